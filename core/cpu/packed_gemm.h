// c = a b, or c += a b, with a packed b: what there is to do, in parts.
#pragma once

#include <algorithm>

#include <keratin/core/cpu/kernel_table.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin::cpu {

struct PackedGemm {
  static constexpr std::int64_t height = 16;  // rows for which a panel is kept in the cache

  const PackedKernels* kernels;
  float* c;
  const float* a;
  const float* packed;
  std::int64_t c_stride, a_stride, rows, columns, k, panels;
  const float* bias;  // or null
  bool accumulate;

  PackedGemm(const Tensor& c, const Tensor& a, const Tensor& packed, const Tensor& bias,
             bool accumulate)
      : kernels(&float32_table().packed),
        c(unsettled<float>(c)),
        a(unsettled<float>(a)),
        packed(unsettled<float>(packed)),
        c_stride(c.strides()[0]),
        a_stride(a.strides()[0]),
        rows(c.size(0)),
        columns(c.size(1)),
        k(a.size(1)),
        panels(packed.size(0)),
        bias(bias.defined() ? unsettled<float>(bias) : nullptr),
        accumulate(accumulate) {}

  double work() const {
    return static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(k);
  }

  /// Rows begin..end-1.
  void run(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t row = begin; row < end; row += height)
      for (std::int64_t panel = 0; panel < panels; ++panel)
        block(row, std::min(height, end - row), panel);
  }

  /// By rows first, as pointwise loops are: what a thread wrote it finds in its own cache.
  void run_in_parallel() const {
    std::int64_t parts = (rows + height - 1) / height;
    parallel_for(panels * parts, rows * columns * k / products_per_thread,
                 [this](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     std::int64_t row = i / panels * height;
                     block(row, std::min(height, rows - row), i % panels);
                   }
                 });
  }

 private:
  void block(std::int64_t row, std::int64_t count, std::int64_t panel) const {
    std::int64_t column = panel * kernels->width;
    float* to = c + row * c_stride + column;
    const float* start = accumulate ? to : bias != nullptr ? bias + column : nullptr;
    kernels->multiply(to, c_stride, start, accumulate ? c_stride : 0, a + row * a_stride, a_stride,
                      1, packed + column * k, count, k,
                      std::min<std::int64_t>(kernels->width, columns - column));
  }
};

}  // namespace keratin::cpu
