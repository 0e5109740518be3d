// The kernels of a CUDA device, of one with a GPU or of the emulated one: what they compute is what
// the processor computes.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/pointwise.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/kernels.h>
#include <keratin/core/random.h>
#include <keratin/layers/rnn.h>

#include "../error_of.h"
#include "cuda_test_case.h"

TEST_SUITE_BEGIN("cuda");

using namespace keratin;

namespace {

struct Bump {
  auto operator()(auto x) const { return exp(-x * x); }
};

double distance(const Tensor& a, const Tensor& b) {
  return max(abs(a.to("cpu") - b.to("cpu"))).item();
}

}  // namespace

CUDA_TEST_CASE("products round their factors only if the program allows TF32") {
  const Tensor a = full({2, 3}, 1 + 0x1p-12, float32, "cuda:0");
  const Tensor b = full({3, 4}, 1, float32, "cuda:0");
  auto product = [&](DType dtype) { return matmul(a.astype(dtype), b.astype(dtype)).item(1, 2); };
  const double exact = 3 * (1 + 0x1p-12);
  CHECK(product(float32) == exact);
  set_tf32(true);
  CHECK(product(float32) == 3);
  CHECK(product(float64) == exact);
  set_tf32(false);
  CHECK(product(float32) == exact);
}

CUDA_TEST_CASE("products take the matrices of a batch from last to first") {
  const Tensor x = Random(1).normal({4, 3, 5}), y = Random(2).normal({4, 5, 2});
  auto product = [&](const char* where) {
    return matmul(flip(x.to(where), {0}), flip(y.to(where), {0}));
  };
  CHECK(distance(product("cpu"), product("cuda:0")) < 1e-6);
}

CUDA_TEST_CASE("threads that multiply at the same time get the bits of one that is alone") {
  auto scope = device("cuda:0");
  const Tensor a = Random(1).normal({20, 700}), b = Random(2).normal({700, 30});
  const Tensor alone = matmul(a, b);
  std::array<double, 8> differences;
  differences.fill(1);
  std::vector<std::thread> threads;
  for (double& difference : differences)
    threads.emplace_back([&] {
      double largest = 0;
      for (int i = 0; i < 20; ++i)
        largest = std::max(largest, max(abs(matmul(a, b) - alone)).item());
      difference = largest;
    });
  for (std::thread& thread : threads) thread.join();
  for (double difference : differences) CHECK(difference == 0);
}

CUDA_TEST_CASE("random numbers are those of the processor") {
  auto draw = [](Device device) {
    Random random(7);
    return Tensors{random.uniform({1001}, -1, 2, float32, device),
                   random.uniform({101}, -1, 2, float64, device),
                   random.integers({1001}, -5, 9, device),
                   random.normal({1001}, 1, 2, float32, device),
                   random.truncated_normal({1001}, 1, 2, float32, device)};
  };
  const Tensors here = draw("cpu"), there = draw("cuda:0");
  for (std::size_t i = 0; i < 3; ++i) CHECK(distance(here[i], there[i]) == 0);
  for (std::size_t i = 3; i < 5; ++i) CHECK(distance(here[i], there[i]) < 1e-5);
}

CUDA_TEST_CASE("an index out of range is an error when somebody waits, and the device goes on") {
  Tensor x = arange(12).astype(float32).reshape({4, 3}).to("cuda:0");
  Tensor y = take(x, tensor({0, 9, -5, 3}, int32, "cuda:0"), 0);
  CHECK(error_of([&] { sum(y).item(); }) ==
        "take: index 9 at position 1 is out of range for an axis of 4");
  CHECK(sum(take(x, tensor({-1, 0}, int32, "cuda:0"), 0)).item() == 33);
  for (int row : {1, 2}) CHECK(distance(y[row], x[0]) == 0);
}

CUDA_TEST_CASE("of several indices out of range the first is told, whoever meets it") {
  const Tensor x = ones({4, 3}, float32, "cuda:0");
  auto check = [&](std::int64_t count, std::int64_t first, const std::vector<std::int64_t>& later) {
    CAPTURE(count);
    CAPTURE(first);
    Tensor indices = zeros({count}, int32, "cpu");
    for (std::int64_t place : later) indices[place].assign(-7);
    indices[first].assign(9);
    take(x, indices.to("cuda:0"), 0);
    take(x, tensor({8}, int32, "cuda:0"), 0);
    CHECK(error_of([&] { sum(x).item(); }) == "take: index 9 at position " + std::to_string(first) +
                                                  " is out of range for an axis of 4");
  };
  for (std::int64_t first : {0, 5, 700, 1023, 1024, 2500, 66'000})
    check(first + 2500, first, {first + 1, first + 900, first + 1024, first + 2048});
  for (std::int64_t count : {1, 3, 7, 100})
    for (std::int64_t first = 0; first < count; ++first) check(count, first, {count - 1});
}

CUDA_TEST_CASE("numbers that are not finite are found wherever they are") {
  auto all_finite = [](const Tensors& x) {
    const Tensor finite = ones({}, boolean, "cuda:0");
    kernels_of(finite).check_finite(finite, x);
    kernels_of(finite).check_finite(finite, Tensors{ones({2}, x[0].dtype(), "cuda:0")});
    return finite.item() == 1;
  };
  for (DType dtype : {float32, float64}) {
    CHECK(all_finite({full({10'000}, 1e30, dtype, "cuda:0"), zeros({0}, dtype, "cuda:0")}));
    for (double bad :
         {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()})
      for (std::int64_t place : {0, 3, 4095, 4096, 5000, 9999}) {
        CAPTURE(place);
        Tensor x = ones({10'000}, dtype, "cuda:0");
        x[place].assign(bad);
        CHECK_FALSE(all_finite({ones({3}, dtype, "cuda:0"), x}));
        Tensors many(70, ones({2, 3}, dtype, "cuda:0"));  // more than one launch takes
        for (std::size_t k : {0, 63, 64, 69}) {
          std::swap(many[k], x);
          CHECK_FALSE(all_finite(many));
          std::swap(many[k], x);
        }
      }
    const Tensor x = ones({8}, dtype, "cuda:0").copy();
    x[6].assign(std::nan(""));
    CHECK_FALSE(all_finite({slice(x, {range(0, 8, 2)})}));
    CHECK(all_finite({slice(x, {range(1, 8, 2)})}));
  }
}

CUDA_TEST_CASE("a tensor may have more elements than a launch has threads") {
  const std::int64_t n = 8192 * 256 + 3;
  Tensor x = arange(n, int32, "cuda:0");
  Tensor y = x.astype(float64) * 2.0 + 1;
  CHECK(y.item(n - 1) == 2.0 * (n - 1) + 1);
  CHECK(sum(y).item() == static_cast<double>(n) * n);
  CHECK(max(where(x > 5, y, -y)).item() == 2.0 * (n - 1) + 1);
}

CUDA_TEST_CASE("gathered gradients are added in the order of the indices, few or many") {
  for (auto [rows, count, inner] : {std::array<std::int64_t, 3>{7, 100, 3},
                                    {2000, 1001, 2},
                                    {70'000, 100, 1},
                                    {3, 400'001, 1}}) {
    Tensor x = Random(3).normal({rows, inner}), w = Random(4).normal({count, inner});
    Tensor indices = Random(5).integers({count}, -rows, rows);
    auto gradient = [&](const Tensor& x) {
      GradientTape tape;
      tape.watch(x);
      return tape.gradient(sum(take(x, indices.to(x.device()), 0) * w.to(x.device())), x);
    };
    CHECK(distance(gradient(x), gradient(x.to("cuda:0"))) == 0);
  }
}

CUDA_TEST_CASE("sorted indices add to what is there, in each outer row") {
  const std::int64_t rows = 2000, count = 1001;
  const Tensor indices = Random(5).integers({count}, 0, rows);
  const Tensor x = Random(3).normal({3, count, 2}), start = Random(4).normal({3, rows, 2});
  auto result = [&](const char* where) {
    const Tensor y = start.to(where).copy();
    kernels_of(y).scatter_add(y, x.to(where), indices.to(where));
    return y;
  };
  CHECK(distance(result("cpu"), result("cuda:0")) == 0);
}

CUDA_TEST_CASE("long rows side by side, and long columns, are each reduced and summed alone") {
  const std::int64_t n = 70'001;  // of one row alone: pieces of 65536, and of 1024
  for (const Shape& shape : {Shape{n, 2}, Shape{2, n}, Shape{2, n, 2}}) {
    CAPTURE(shape.str());
    const int axis = shape[0] == n ? 0 : 1;
    const Tensor x = Random(1).integers(shape, -9, 9), there = x.to("cuda:0");
    CHECK(distance(sum(there, {axis}), sum(x, {axis})) == 0);
    CHECK(distance(max(there * there, {axis}), max(x * x, {axis})) == 0);
    CHECK(distance(cumsum(there, axis), cumsum(x, axis)) == 0);
  }
  CHECK(sum(zeros({0, n}, float32, "cuda:0"), {1}).to("cpu").shape() == Shape{0});
}

CUDA_TEST_CASE("booleans are searched, summed up, chosen and compared") {
  const Tensor x = Random(1).uniform({9, 5}) > 0.6, y = Random(2).uniform({9, 5}) > 0.4;
  auto results = [&](const char* place) {
    const Tensor a = x.to(place), b = y.to(place);
    return Tensors{argmax(a, 0),   argmin(a, 1), cumsum(a, 0),
                   where(a, b, a), a == b,       logical_xor(a, b)};
  };
  const Tensors here = results("cpu"), there = results("cuda:0");
  for (std::size_t i = 0; i < here.size(); ++i) {
    CAPTURE(i);
    CHECK(distance(here[i].astype(int32), there[i].astype(int32)) == 0);
  }
}

CUDA_TEST_CASE("running sums of a long row, and their gradients, are those of the processor") {
  for (std::int64_t n : {2048, 2049, 4096, 70'001}) {
    const Tensor x = Random(1).integers({n}, -9, 9), z = Random(2).normal({n}, 0, 1, float64);
    const Tensor w = Random(3).normal({n}, 0, 1, float64);
    auto gradient = [&](const Tensor& z) {
      GradientTape tape;
      tape.watch(z);
      return tape.gradient(sum(cumsum(z, 0) * w.to(z.device())), z);
    };
    CHECK(distance(cumsum(x.to("cuda:0"), 0), cumsum(x, 0)) == 0);
    CHECK(distance(cumsum(z.to("cuda:0"), 0), cumsum(z, 0)) < 1e-10);
    CHECK(distance(gradient(z.to("cuda:0")), gradient(z)) < 1e-10);
  }
}

// On the device a step is one launch, which computes in tiles of 8 rows and 8 units.
CUDA_TEST_CASE("an LSTM has the processor's values and gradients, whatever its rows and units") {
  for (const auto& size : {std::pair{1, 1}, {8, 8}, {9, 20}, {33, 7}, {1, 64}, {0, 3}})
    for (const bool sequences : {false, true})
      for (const auto& kind : {std::pair{false, false}, {true, false}, {false, true}}) {
        const int batch = size.first, units = size.second;
        const bool masked = kind.first, at_rest = kind.second;
        const Tensor x = Random(4).normal({batch, 6, 5}), h = Random(5).normal({batch, units}),
                     c = Random(6).normal({batch, units}), mask = Random(7).uniform({batch, 6});
        LSTM lstm(units, {.return_sequences = sequences});
        set_random_seed(3);
        lstm.build(x.shape());
        // The output, and the gradients with respect to inputs, states and weights.
        auto results = [&](const Device& there) {
          lstm.to(there);
          Tensors inputs{x.to(there)};
          if (!at_rest) inputs.insert(inputs.end(), {h.to(there), c.to(there)});
          Tensors sources = inputs;
          for (const Weight& weight : lstm.weights()) sources.push_back(weight.value());
          GradientTape tape;
          for (const Tensor& input : inputs) tape.watch(input);
          CallOptions options;
          if (masked) options.mask = (mask > 0.3).to(there);
          const Tensor y = lstm(inputs, options);
          Tensors all = tape.gradient(sum(y * sin(y)), sources);
          all.push_back(y);
          return all;
        };
        const Tensors here = results("cpu"), there = results("cuda:0");
        CAPTURE(batch);
        CAPTURE(units);
        for (std::size_t i = 0; i < here.size(); ++i) {
          CAPTURE(i);
          REQUIRE(there[i].shape() == here[i].shape());
          if (here[i].numel() > 0)
            CHECK(distance(there[i], here[i]) < 1e-5 * (1 + max(abs(here[i])).item()));
        }
      }
}

CUDA_TEST_CASE("an LSTM does not ask how its kernel and its output's gradient lie in memory") {
  const Tensor x = Random(1).normal({3, 4, 5}), kernel = Random(2).normal({28, 7}),
               gy = Random(3).normal({3, 7, 4});
  LSTM lstm(7, {.return_sequences = true});
  lstm.build(x.shape());
  for (const bool dense : {false, true}) {
    auto results = [&](const Device& there) {
      lstm.to(there);
      const Tensor k = kernel.to(there).transpose(), inputs = x.to(there);
      lstm.weights()[1].replace(dense ? k.copy() : k);
      GradientTape tape;
      tape.watch(inputs);
      const Tensor y = lstm(inputs);
      return Tensors{y, tape.gradient(y, inputs, gy.to(there).transpose({0, 2, 1}))};
    };
    const Tensors here = results("cpu"), there = results("cuda:0");
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(distance(here[i], there[i]) < 1e-5);
  }
}

CUDA_TEST_CASE("of equal elements of a window the first one has the gradient") {
  const Tensor x = Random(1).integers({2, 7, 7, 3}, 0, 3).astype(float32);
  auto gradient = [](const Tensor& x) {
    GradientTape tape;
    tape.watch(x);
    return tape.gradient(sum(square(max_pool(x, 3, {.strides = 2}))), x);
  };
  CHECK(distance(gradient(x), gradient(x.to("cuda:0"))) == 0);
}

CUDA_TEST_CASE("all numbers but 0 are true") {
  auto truth = [](const Device& there) {
    const Tensor x = tensor({2.0, -1.0, 0.0, 0.5, 0.0, std::nan("")}, float32, there),
                 y = tensor({1, 3, 2, 0, 0, -1}, int32, there);
    return stack({logical_and(x, y), logical_or(x, y), logical_xor(x, y)});
  };
  CHECK(truth("cpu").to_vector<int>() ==
        std::vector<int>{1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0});
  CHECK(all(truth("cpu") == truth("cuda:0").to("cpu")).item() == 1);
}

CUDA_TEST_CASE("ranges have the processor's bits, and integers wrap around as there") {
  CHECK(distance(arange(0, 100, 0.1, float64, "cuda:0"), arange(0, 100, 0.1, float64, "cpu")) == 0);
  const Tensor x = arange(16'777'210, 16'777'230, 1, int32, "cpu"), y = x.to("cuda:0");
  CHECK(distance(arange(16'777'210, 16'777'230, 1, int32, "cuda:0"), x) == 0);
  CHECK(distance(y * y, x * x) == 0);
}

CUDA_TEST_CASE("views that overlap are added to in order") {
  Tensor x = Random(2).normal({40}).to("cuda:0");
  GradientTape tape;
  tape.watch(x);
  Tensor windows = stack({slice(x, {range(0, 30)}), slice(x, {range(5, 35)})});
  Tensor g = tape.gradient(sum(square(windows)), x);
  const Tensor times = concatenate({ones({5}), full({25}, 2), ones({5}), zeros({5})}, 0);
  CHECK(distance(g, 2 * x.to("cpu") * times) < 1e-6);
}

CUDA_TEST_CASE("a function of a user's own runs on the device, with its derivatives") {
  Tensor x = Random(3).normal({5, 7}).to("cuda:0");
  GradientTape tape;
  tape.watch(x);
  Tensor y = pointwise<Bump>(x), here = exp(-square(x.to("cpu")));
  CHECK(y.device() == Device("cuda:0"));
  CHECK(distance(y, here) < 1e-6);
  CHECK(distance(tape.gradient(sum(y), x), -2 * x.to("cpu") * here) < 1e-6);
}

TEST_SUITE_END();
