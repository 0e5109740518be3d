// The processor's kernels: picks the compiled loop for a dtype, cuts the work for the threads.

#include <atomic>
#include <cstring>
#include <type_traits>

#include <keratin/core/cpu/convolution.h>
#include <keratin/core/cpu/dispatch.h>
#include <keratin/core/cpu/draws.h>
#include <keratin/core/cpu/gemm.h>
#include <keratin/core/cpu/kernels.h>
#include <keratin/core/cpu/plain_loops.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/comparison.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {
namespace cpu {
namespace {

template <class T>
Matrix<T> matrix(const Tensor& x, std::int64_t offset = 0) {
  return {raw<std::remove_const_t<T>>(x) + offset, x.strides()[-2], x.strides()[-1]};
}

class CpuKernels final : public Kernels {
 public:
  void fill(const Tensor& y, double value) const override {
    with_type(y.dtype(), [&](auto type) {
      using T = decltype(type);
      T element = convert<T>(value);
      if (y.numel() == 1) return void(*raw<T>(y) = element);  // most are plain numbers
      for_each_row(y.shape(), {y}, [=](char* const* p, const std::int64_t* s, std::int64_t n) {
        auto* to = reinterpret_cast<T*>(p[0]);
        if (s[0] == 1)
          std::fill_n(to, n, element);
        else
          for (std::int64_t j = 0; j < n; ++j) to[j * s[0]] = element;
      });
    });
  }

  void arange(const Tensor& y, double start, double step) const override {
    with_type(y.dtype(), [&](auto type) {
      using T = decltype(type);
      for (std::int64_t i = 0; i < y.numel(); ++i)
        raw<T>(y)[i] = convert<T>(start + static_cast<double>(i) * step);
    });
  }

  void random(const Tensor& y, const Draw& draw) const override {
    with_float(y.dtype(), [&](auto type) {
      using T = decltype(type);
      cpu::random(raw<T>(y), y.numel(), draw);
    });
  }

  void copy(const Tensor& y, const Tensor& x) const override {
    with_type(y.dtype(), [&](auto to) {
      with_type(x.dtype(), [&](auto from) { copy_rows<decltype(to), decltype(from)>(y, x); });
    });
  }

  void accumulate(const Tensor& y, const Tensor& x) const override {
    with_type(y.dtype(), [&](auto type) {
      using T = decltype(type);
      auto row = [](char* const* p, const std::int64_t* s, std::int64_t n) {
        auto* to = reinterpret_cast<T*>(p[0]);
        auto* from = reinterpret_cast<const T*>(p[1]);
        for (std::int64_t j = 0; j < n; ++j)
          to[j * s[0]] = static_cast<T>(to[j * s[0]] + from[j * s[1]]);
      };
      if (y.numel() == 0) return;
      Tensor operands[] = {y, x};
      visit_rows<decltype(row)>(plan_loop(y.shape(), {operands}), &row);
    });
  }

  void pointwise(Pointwise op, const void* functor, Tensors y, Tensors x) const override {
    FlushDenormals guard;
    DType dtype = y[0].dtype();
    Loop loop = plan_loop(y[0].shape(), {y, x});
    const KernelTable& table = table_for(dtype);
    run_loop(loop, table.forward[static_cast<int>(op)], functor, table.cost[static_cast<int>(op)]);
  }

  void pointwise_gradient(Pointwise op, const void* functor, Tensors gx, Tensors x,
                          Tensors gy) const override {
    FlushDenormals guard;
    DType dtype = gy[0].dtype();
    Shape shape;
    for (const Tensor& g : gx)
      if (g.defined()) shape = g.shape();
    Loop loop = plan_loop(shape, {gx, x, gy});
    const KernelTable& table = table_for(dtype);
    run_loop(loop, table.gradient[static_cast<int>(op)], functor, table.cost[static_cast<int>(op)]);
  }

  void compare(Comparison op, const Tensor& y, const Tensor& a, const Tensor& b) const override {
    with_type(a.dtype(), [&](auto type) {
      using T = decltype(type);
      for_each_row(
          y.shape(), {y, a, b}, [op](char* const* p, const std::int64_t* s, std::int64_t n) {
            auto* to = reinterpret_cast<bool*>(p[0]);
            auto* a = reinterpret_cast<const T*>(p[1]);
            auto* b = reinterpret_cast<const T*>(p[2]);
            with_comparison(op, [=](auto compare) { combine_row(to, a, b, s, n, compare); });
          });
    });
  }

  void select(const Tensor& y, const Tensor& condition, const Tensor& a,
              const Tensor& b) const override {
    with_type(y.dtype(), [&](auto type) {
      using T = decltype(type);
      for_each_row(y.shape(), {y, condition, a, b},
                   [](char* const* p, const std::int64_t* s, std::int64_t n) {
                     auto* to = reinterpret_cast<T*>(p[0]);
                     auto* c = reinterpret_cast<const bool*>(p[1]);
                     auto* a = reinterpret_cast<const T*>(p[2]);
                     auto* b = reinterpret_cast<const T*>(p[3]);
                     if (s[1] == 0)  // one answer for the row
                       return *c ? copy_row(to, s[0], a, s[2], n) : copy_row(to, s[0], b, s[3], n);
                     for (std::int64_t j = 0; j < n; ++j)
                       to[j * s[0]] = c[j * s[1]] ? a[j * s[2]] : b[j * s[3]];
                   });
    });
  }

  void step(Pointwise op, const void* functor, std::span<const std::vector<Tensor>> groups,
            const Tensor& allowed) const override {
    if (allowed.defined() && !*raw<bool>(allowed)) return;
    for (const Tensors group : groups) pointwise(op, functor, group.first(group.size() - 1), group);
  }

  // x - x is 0 for all numbers but infinity and NaN.
  void check_finite(const Tensor& finite, Tensors x) const override {
    std::atomic<bool> all_finite = *raw<bool>(finite);
    for (const Tensor& t : x)
      with_type(t.dtype(), [&](auto type) {
        using T = decltype(type);
        if constexpr (std::is_floating_point_v<T>)
          for_each_row(t.shape(), {t}, [&](char* const* p, const std::int64_t* s, std::int64_t n) {
            auto* from = reinterpret_cast<const T*>(p[0]);
            std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> found = 0;
            if (s[0] == 1)
              for (std::int64_t j = 0; j < n; ++j) found |= from[j] - from[j] != 0;
            else
              for (std::int64_t j = 0; j < n; ++j) found |= from[j * s[0]] - from[j * s[0]] != 0;
            if (found != 0) all_finite.store(false, std::memory_order_relaxed);
          });
      });
    *raw<bool>(finite) = all_finite;
  }

  void reduce(Reduction op, const Tensor& y, const Tensor& x, int axis) const override {
    if (y.numel() == 0) return;
    FlushDenormals guard;
    const Middle m = middle_of(x.shape(), axis);
    ReduceFunction function = table_for(x.dtype()).reduce[static_cast<int>(op)];
    auto bytes = static_cast<std::int64_t>(size_of(x.dtype()));
    const char* in = raw<char>(x);
    char* out = raw<char>(y);
    if (m.outer > 1) {
      parallel_for(m.outer, x.numel() / accesses_per_thread,
                   [&](std::int64_t begin, std::int64_t end) {
                     function(out + begin * m.inner * bytes, in + begin * m.n * m.inner * bytes,
                              end - begin, m.n, m.inner, m.inner);
                   });
    } else if (m.inner > 1) {
      std::int64_t units = (m.inner + 63) / 64;  // whole batches, so that no sum depends on the cut
      parallel_for(
          units, x.numel() / accesses_per_thread, [&](std::int64_t begin, std::int64_t end) {
            std::int64_t first = begin * 64, last = std::min(end * 64, m.inner);
            function(out + first * bytes, in + first * bytes, 1, m.n, last - first, m.inner);
          });
    } else {
      reduce_all(function, out, in, m.n, bytes, x.dtype());
    }
  }

  void arg_reduce(bool largest, const Tensor& y, const Tensor& x, int axis) const override {
    const Middle m = middle_of(x.shape(), axis);
    with_type(x.dtype(), [&](auto type) {
      using T = decltype(type);
      auto* out = raw<std::int32_t>(y);
      const T* in = raw<T>(x);
      for (std::int64_t o = 0; o < m.outer; ++o) {
        for (std::int64_t j = 0; j < m.inner; ++j) {
          const T* column = in + o * m.n * m.inner + j;
          std::int64_t best = 0;
          for (std::int64_t i = 1; i < m.n; ++i) {
            T value = column[i * m.inner], top = column[best * m.inner];
            bool better = largest ? value > top : value < top;
            if (better || (value != value && top == top)) best = i;
          }
          out[o * m.inner + j] = static_cast<std::int32_t>(best);
        }
      }
    });
  }

  void cumulative_sum(const Tensor& y, const Tensor& x, int axis, bool reverse) const override {
    const Middle m = middle_of(x.shape(), axis);
    with_type(x.dtype(), [&](auto type) {
      using T = decltype(type);
      for (std::int64_t o = 0; o < m.outer; ++o) {
        for (std::int64_t j = 0; j < m.inner; ++j) {
          const T* in = raw<T>(x) + o * m.n * m.inner + j;
          T* out = raw<T>(y) + o * m.n * m.inner + j;
          T sum(0);
          for (std::int64_t i = 0; i < m.n; ++i) {
            std::int64_t at = (reverse ? m.n - 1 - i : i) * m.inner;
            sum = static_cast<T>(sum + in[at]);
            out[at] = sum;
          }
        }
      }
    });
  }

  void softmax(const Tensor& y, const Tensor& x, int axis, bool log) const override {
    FlushDenormals guard;
    const Middle m = middle_of(x.shape(), axis);
    SoftmaxFunction function = table_for(x.dtype()).softmax;
    auto block = m.n * m.inner * static_cast<std::int64_t>(size_of(x.dtype()));
    parallel_for(m.outer, 10 * x.numel() / accesses_per_thread,
                 [&](std::int64_t begin, std::int64_t end) {
                   function(raw<char>(y) + begin * block, raw<char>(x) + begin * block, end - begin,
                            m.n, m.inner, log);
                 });
  }

  void softmax_gradient(const Tensor& gx, const Tensor& y, const Tensor& gy, int axis,
                        bool log) const override {
    FlushDenormals guard;
    const Middle m = middle_of(y.shape(), axis);
    SoftmaxGradientFunction function = table_for(y.dtype()).softmax_gradient;
    auto block = m.n * m.inner * static_cast<std::int64_t>(size_of(y.dtype()));
    parallel_for(m.outer, 4 * y.numel() / accesses_per_thread,
                 [&](std::int64_t begin, std::int64_t end) {
                   function(raw<char>(gx) + begin * block, raw<char>(y) + begin * block,
                            raw<char>(gy) + begin * block, end - begin, m.n, m.inner, log);
                 });
  }

  void check_indices(const char* who, const Tensor& y, const Tensor& indices, std::int64_t lowest,
                     std::int64_t extent) const override {
    const auto* from = raw<std::int32_t>(indices);
    auto* to = raw<std::int32_t>(y);
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      if (from[i] < lowest || from[i] >= extent)
        fail("{}: index {} at position {} is out of range for an axis of {}", who, from[i], i,
             extent);
      to[i] = from[i] < 0 ? from[i] + static_cast<std::int32_t>(extent) : from[i];
    }
  }

  void take(const Tensor& y, const Tensor& x, const Tensor& indices) const override {
    std::int64_t outer = x.size(0), n = x.size(1), count = indices.numel();
    auto bytes = static_cast<std::size_t>(x.size(2)) * size_of(x.dtype());
    const auto* index = raw<std::int32_t>(indices);
    const char* in = raw<char>(x);
    char* out = raw<char>(y);
    // Rows from anywhere come slowly: a read counts for several.
    parallel_for(outer * count, 4 * y.numel() / accesses_per_thread,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     auto row = static_cast<std::size_t>(i / count * n + index[i % count]);
                     std::memcpy(out + static_cast<std::size_t>(i) * bytes, in + row * bytes,
                                 bytes);
                   }
                 });
  }

  void scatter_add(const Tensor& y, const Tensor& x, const Tensor& indices) const override {
    std::int64_t outer = y.size(0), n = y.size(1), inner = y.size(2), count = indices.numel();
    const auto* index = raw<std::int32_t>(indices);
    with_type(y.dtype(), [&](auto type) {
      using T = decltype(type);
      const T* in = raw<T>(x);
      T* begin = raw<T>(y);
      for (std::int64_t o = 0; o < outer; ++o) {
        for (std::int64_t j = 0; j < count; ++j, in += inner) {
          T* out = begin + (o * n + index[j]) * inner;
          for (std::int64_t i = 0; i < inner; ++i) out[i] = static_cast<T>(out[i] + in[i]);
        }
      }
    });
  }

  void gemm(const Tensor& c, const Tensor& a, const Tensor& b, const Tensor& bias,
            bool accumulate) const override {
    with_float(c.dtype(), [&](auto type) {
      using T = decltype(type);
      cpu::gemm<T>(a.size(0), b.size(1), a.size(1), matrix<T>(c), matrix<const T>(a),
                   matrix<const T>(b), bias.defined() ? raw<T>(bias) : nullptr, accumulate);
    });
  }

  Shape packed_shape(const Tensor& b, std::int64_t rows, std::int64_t products) const override {
    if (b.dtype() != float32 || !packing_pays(rows, products)) return {};
    const std::int64_t width = float32_table().packed.width;
    return {(b.size(1) + width - 1) / width, b.size(0), width};
  }

  void pack(const Tensor& packed, const Tensor& b) const override {
    const PackedKernels& kernels = float32_table().packed;
    std::int64_t k = b.size(0), n = b.size(1), panels = packed.size(0);
    parallel_for(panels, 2 * packed.numel() / accesses_per_thread,
                 [&](std::int64_t first, std::int64_t last) {
                   kernels.pack(raw<float>(packed), raw<float>(b), b.strides()[0], b.strides()[1],
                                k, n, first, last);
                 });
  }

  // By rows first, as pointwise loops are: what a thread wrote it finds in its own cache.
  void packed_gemm(const Tensor& c, const Tensor& a, const Tensor& packed, const Tensor& bias,
                   bool accumulate) const override {
    FlushDenormals guard;
    const PackedKernels& kernels = float32_table().packed;
    std::int64_t m = c.size(0), n = c.size(1), k = a.size(1), panels = packed.size(0);
    std::int64_t c_stride = c.strides()[0], a_stride = a.strides()[0];
    float* to = raw<float>(c);
    const float *from = raw<float>(a), *with = raw<float>(packed);
    const float* start = accumulate ? to : bias.defined() ? raw<float>(bias) : nullptr;
    std::int64_t start_stride = accumulate ? c_stride : 0;
    constexpr std::int64_t height = 16;  // rows for which a panel is kept in the cache
    std::int64_t parts = (m + height - 1) / height;
    parallel_for(
        panels * parts, m * n * k / products_per_thread, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            std::int64_t row = i / panels * height, column = i % panels * kernels.width;
            kernels.multiply(to + row * c_stride + column, c_stride,
                             start == nullptr ? start : start + row * start_stride + column,
                             start_stride, from + row * a_stride, a_stride, 1, with + column * k,
                             std::min(height, m - row), k,
                             std::min<std::int64_t>(kernels.width, n - column));
          }
        });
  }

  void batched_gemm(const Tensor& c, const Tensor& a, const Tensor& b) const override {
    std::int64_t batch = c.size(0), m = a.size(1), n = b.size(2), k = a.size(2);
    with_float(c.dtype(), [&](auto type) {
      using T = decltype(type);
      auto product = [&](std::int64_t i) {
        cpu::gemm<T>(m, n, k, matrix<T>(c, i * c.strides()[0]),
                     matrix<const T>(a, i * a.strides()[0]), matrix<const T>(b, i * b.strides()[0]),
                     nullptr, false);
      };
      // Small products are shared out whole; each large one is cut by gemm itself.
      if (m * n * k > 1'500'000) {
        for (std::int64_t i = 0; i < batch; ++i) product(i);
      } else {
        parallel_for(batch, batch * m * n * k / products_per_thread,
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t i = begin; i < end; ++i) product(i);
                     });
      }
    });
  }

  void conv(const Tensor& y, const Tensor& x, const Tensor& kernel, const Tensor& bias,
            const Windows& windows, bool relu) const override {
    with_float(y.dtype(), [&](auto type) {
      using T = decltype(type);
      convolve<T>(convolution(x, y, kernel.size(3), windows), raw<T>(y), raw<T>(x), raw<T>(kernel),
                  bias.defined() ? raw<T>(bias) : nullptr, relu);
    });
  }
  void conv_input_gradient(const Tensor& gx, const Tensor& gy, const Tensor& kernel,
                           const Windows& windows) const override {
    with_float(gx.dtype(), [&](auto type) {
      using T = decltype(type);
      convolve_input_gradient<T>(convolution(gx, gy, kernel.size(3), windows), raw<T>(gx),
                                 raw<T>(gy), raw<T>(kernel));
    });
  }
  void conv_kernel_gradient(const Tensor& gk, const Tensor& x, const Tensor& gy,
                            const Windows& windows) const override {
    with_float(gk.dtype(), [&](auto type) {
      using T = decltype(type);
      convolve_kernel_gradient<T>(convolution(x, gy, gk.size(3), windows), raw<T>(gk), raw<T>(x),
                                  raw<T>(gy));
    });
  }
  void max_pool(const Tensor& y, const Tensor& index, const Tensor& x,
                const Windows& windows) const override {
    with_float(x.dtype(), [&](auto type) {
      using T = decltype(type);
      cpu::max_pool<T>(convolution(x, y, x.size(4), windows), raw<T>(y),
                       index.defined() ? raw<std::int32_t>(index) : nullptr, raw<T>(x));
    });
  }

 private:
  static Convolution convolution(const Tensor& x, const Tensor& y, std::int64_t channels_per_group,
                                 const Windows& windows) {
    Convolution c{windows};
    c.batch = x.size(0);
    for (int i = 0; i < 3; ++i) {
      c.n[i] = x.size(i + 1);
      c.m[i] = y.size(i + 1);
    }
    c.channels = x.size(4);
    c.filters = y.size(4);
    c.groups = channels_per_group == 0 ? 1 : c.channels / channels_per_group;
    return c;
  }

  template <class F>
  static void with_float(DType dtype, const F& f) {
    if (dtype == float64) return f(double{});
    f(float{});
  }

  // A long row to one number: fixed pieces first, then their results.
  static void reduce_all(ReduceFunction function, char* out, const char* in, std::int64_t n,
                         std::int64_t bytes, DType dtype) {
    constexpr std::int64_t piece = 16384;
    if (n <= piece) return function(out, in, 1, n, 1, 1);
    std::int64_t pieces = (n + piece - 1) / piece;
    Tensor partial = empty({pieces}, dtype, Device());
    char* results = raw<char>(partial);
    parallel_for(pieces, n / accesses_per_thread, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        function(results + i * bytes, in + i * piece * bytes, 1, std::min(piece, n - i * piece), 1,
                 1);
    });
    reduce_all(function, out, results, pieces, bytes, dtype);
  }
};

}  // namespace

const Kernels& kernels() {
  static const CpuKernels kernels;
  return kernels;
}

}  // namespace cpu

const Kernels& kernels_of(Device device) {
  return device.is_cpu() ? cpu::kernels() : backend_of(device).kernels(device.index);
}

}  // namespace keratin
