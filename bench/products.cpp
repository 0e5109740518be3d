// Which kernel multiplies two matrices, and whether the rule is right on this machine.
//
//   bench_products [THREADS]
//
// The first table has products as they occur in the benchmark models, (m, k) . (k, n), each done by
// BLAS and by our kernel, which packs b block by block (core/cpu/gemm.cpp); the star is the rule's
// choice. The second table has a matrix that is packed once for many products.

#include <keratin/core/cpu/gemm.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/core/parallel.h>
#include <keratin/core/random.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace keratin;
using cpu::ProductKernel;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Microseconds per call of each function: medians of slices that take turns.
template <class... F>
std::vector<double> microseconds(const F&... f) {
  constexpr double slice = 2e-3;
  constexpr int slices = 15;
  std::vector<std::vector<double>> times(sizeof...(F));
  auto measure = [&](std::vector<double>& into, const auto& call) {
    double start = now(), end = start;
    int calls = 0;
    for (; end - start < slice || calls < 2; end = now(), ++calls) call();
    into.push_back((end - start) / calls * 1e6);
  };
  for (int i = 0; i < slices; ++i) {
    std::size_t k = 0;
    (measure(times[k++], f), ...);
  }
  std::vector<double> medians;
  for (auto& list : times) {
    std::sort(list.begin(), list.end());
    medians.push_back(list[list.size() / 2]);
  }
  return medians;
}

struct Product {
  const char* what;
  std::int64_t m, n, k;
  bool a_by_columns = false, b_by_columns = false;
};

const Product products[] = {
    {"seed: attention, h W", 640, 64, 128},
    {"seed: gradient of h", 640, 128, 64, false, true},
    {"seed: gradient of W", 128, 64, 640, true},
    {"seed: gradient of the kernel, one block", 32, 512, 320, true},
    {"seed: gradient of the recurrent kernel, one block", 128, 512, 288, true},
    {"vowels: attention, h W", 464, 64, 32},
    {"vowels: gradient of W", 32, 64, 464, true},
    {"vowels: gradient of the recurrent kernel, one block", 32, 128, 224, true},
    {"long: gradient of the recurrent kernel, one block", 256, 1024, 1584, true},
    {"wide: gradient of the recurrent kernel, one block", 512, 2048, 1568, true},
    {"mlp: first layer", 128, 512, 784},
    {"mlp: second layer", 128, 512, 512},
    {"mlp: gradient of the first kernel", 784, 512, 128, true},
    {"mlp: gradient of the second layer's inputs", 128, 512, 512, false, true},
    {"conv: a block of the first layer", 1024, 32, 9, true},
    {"conv: a block of the second layer", 227, 64, 288},
    {"few columns that lie apart", 1024, 64, 27, true},
    {"more columns that lie apart", 1024, 64, 64, true},
    {"attention: scores of a block", 128, 2048, 32, false, true},
    {"attention: a block's sum of values", 128, 32, 2048},
    {"attention: gradient of keys and values", 2048, 32, 128, true},
    {"attention: the same, half as long", 1024, 32, 256, true},
    {"one row", 1, 512, 128},
    {"eight rows", 8, 512, 128},
    {"a narrow result", 640, 10, 128},
    {"square", 256, 256, 256},
    {"large square", 1024, 1024, 1024},
};

cpu::Matrix<float> matrix(const Tensor& x) {
  return {raw<float>(x), x.strides()[0], x.strides()[1]};
}

// A matrix that lies by rows or by columns.
Tensor random(std::int64_t rows, std::int64_t columns, bool by_columns) {
  Random numbers(1);
  if (!by_columns) return numbers.normal({rows, columns});
  Tensor x = numbers.normal({columns, rows});
  return make_view(x, {rows, columns}, {1, rows});
}

void compare_kernels() {
  std::printf("%-52s %16s %10s %10s\n", "product", "m x n x k", "BLAS us", "ours us");
  int right = 0, count = 0;
  for (const Product& p : products) {
    Tensor a = random(p.m, p.k, p.a_by_columns), b = random(p.k, p.n, p.b_by_columns);
    Tensor c = empty({p.m, p.n}, float32, {});
    auto run = [&](ProductKernel kernel) {
      return [&, kernel] {
        auto ma = matrix(a), mb = matrix(b);
        cpu::gemm<float>(p.m, p.n, p.k, matrix(c), {ma.data, ma.row_stride, ma.column_stride},
                         {mb.data, mb.row_stride, mb.column_stride}, nullptr, false, kernel);
      };
    };
    std::vector<double> us = microseconds(run(ProductKernel::blas), run(ProductKernel::packed));
    bool packed = cpu::choose_product(p.m, p.n, p.k, !p.a_by_columns, !p.b_by_columns) ==
                  ProductKernel::packed;
    std::string shape = std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k);
    std::printf("%-52s %16s %9.1f%c %9.1f%c\n", p.what, shape.c_str(), us[0], packed ? ' ' : '*',
                us[1], packed ? '*' : ' ');
    right += us[packed] <= 1.05 * std::min(us[0], us[1]);
    ++count;
  }
  std::printf("within 5 %% of the better one: %d of %d\n\n", right, count);
}

void compare_packed_once() {
  std::printf("%-52s %10s %10s %10s\n", "a kernel packed once, 20 products", "packed us", "gemm us",
              "rule");
  for (std::int64_t units : {32, 128, 256})
    for (std::int64_t rows : {1, 2, 8, 32}) {
      Tensor a = random(rows, units, false), b = random(units, 4 * units, false);
      Tensor c = empty({rows, 4 * units}, float32, {});
      const Kernels& kernels = kernels_of(c);
      const std::int64_t width = kernels.packed_shape(b, 64, 64)[2];
      Tensor packed = empty({(4 * units + width - 1) / width, units, width}, float32, {});
      constexpr int times = 20;
      auto once = [&] {
        kernels.pack(packed, b);
        for (int i = 0; i < times; ++i) kernels.packed_gemm(c, a, packed, {}, false);
      };
      auto each = [&] {
        for (int i = 0; i < times; ++i) kernels.gemm(c, a, b, {}, false);
      };
      std::vector<double> us = microseconds(once, each);
      std::string what = std::to_string(rows) + " rows times " + std::to_string(units) + "x" +
                         std::to_string(4 * units);
      std::printf("%-52s %10.1f %10.1f %10s\n", what.c_str(), us[0], us[1],
                  cpu::packing_pays(rows, times) ? "packed" : "gemm");
    }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) set_num_threads(std::stoi(argv[1]));
  std::printf("%d threads\n\n", num_threads());
  compare_kernels();
  compare_packed_once();
}
