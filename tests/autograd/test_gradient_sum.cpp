// How the tape adds up gradients: in place where nobody else reads the memory, and only there.
#include <doctest/doctest.h>
#include <keratin/keratin.h>

#include "../on_processor.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin {
namespace {

void check_close(const Tensor& a, const Tensor& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  CHECK(max(abs(a - b)).item() <= tolerance);
}

// A loop over time as its formula says it: sum of tanh(x_t w + h_(t-1) u) over all steps.
Tensor by_the_formula(const Tensor& x, const Tensor& w, const Tensor& u) {
  Tensor h = zeros({x.size(1), u.size(0)}, x.dtype()), total = Tensor(0.0).astype(x.dtype());
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    h = tanh(dot(x[t], w) + dot(h, u));
    total = total + sum(h * h);
  }
  return total;
}

}  // namespace

TEST_CASE("a weight used at every step collects its products, in both orders of time") {
  Random random(3);
  for (bool backwards : {false, true}) {
    Tensor a = random.normal({5, 9, 4}).astype(float64), w = random.normal({4, 3}).astype(float64);
    Tensor c = random.normal({5, 9, 3}).astype(float64);
    GradientTape tape;
    tape.watch(w);
    Tensor total = Tensor(0.0).astype(float64);
    for (int i = 0; i < 5; ++i) {
      int t = backwards ? 4 - i : i;
      total = total + sum(dot(a[t], w) * c[t]);
    }
    Tensor expected = dot(transpose(a.reshape({45, 4})), c.reshape({45, 3}));
    check_close(tape.gradient(total, w), expected, 1e-12);
    check_close(tape.gradient(total, w), expected, 1e-12);  // and again
  }
}

TEST_CASE("a loop over time has the gradient that central differences give") {
  Random random(5);
  Tensor x = random.normal({4, 3, 2}).astype(float64), w = random.normal({2, 5}).astype(float64);
  Tensor u = (random.normal({5, 5}) * 0.3).astype(float64);
  CHECK(gradcheck(by_the_formula, x, w, u));
}

TEST_CASE("a slice of a stack's gradient may be added to without touching its neighbours") {
  Tensor x = tensor({1, 2, 3}), y = tensor({4, 5, 6});
  GradientTape tape;
  tape.watch(x);
  tape.watch(y);
  Tensor both = stack({x, y});
  Tensor total = sum(both * both) + sum(x * 10) + sum(both[0] * y);
  auto g = tape.gradient(total, {x, y});
  CHECK(g[0].to_vector<double>() == std::vector<double>{16, 19, 22});
  CHECK(g[1].to_vector<double>() == std::vector<double>{9, 12, 15});
}

TEST_CASE("the gradient of a stack itself can be asked for, and is not written over") {
  Tensor x = tensor({1, 2}), y = tensor({3, 4});
  GradientTape tape;
  tape.watch(x);
  tape.watch(y);
  Tensor both = stack({x, y});
  auto g = tape.gradient(sum(both * both) + sum(x * 7) + sum(y), {both, x, y});
  CHECK(g[0].to_vector<double>() == std::vector<double>{2, 4, 6, 8});
  CHECK(g[1].to_vector<double>() == std::vector<double>{9, 11});
  CHECK(g[2].to_vector<double>() == std::vector<double>{7, 9});
}

TEST_CASE("parts of a gradient that are handed on through views leave each other alone") {
  Random random(7);
  Tensor x = random.normal({3, 2}).astype(float64), y = random.normal({2, 4}).astype(float64);
  Tensor weight = random.normal({2, 7}).astype(float64);
  GradientTape tape;
  tape.watch(x);
  tape.watch(y);
  Tensor turned = transpose(x), flipped = flip(y, 1);
  Tensor before = sum(dot(turned, x)) + sum(flipped * 5) + sum(y * 3);
  Tensor both = concatenate({turned, flipped}, 1);
  Tensor total = before + sum(both * both * weight);
  // To the gradient of `turned` a product is added, to that of `flipped` a sum.
  auto g = tape.gradient(total, {x, y, both});
  Tensor left = slice(weight, {all, range(0, 3)}), right = slice(weight, {all, range(3, 7)});
  Tensor of_dot = 2 * dot(x, ones({2, 2}, float64));
  check_close(g[0], transpose(2 * turned * left) + of_dot, 1e-12);
  check_close(g[1], flip(2 * flipped * right, 1) + 8.0, 1e-12);
  check_close(g[2], 2 * both * weight, 1e-12);
  auto last = std::move(tape).gradient(total, {x, y});
  check_close(last[0], g[0], 0);
  check_close(last[1], g[1], 0);
}

TEST_CASE("what is computed from a transposed tensor keeps its order in memory") {
  Tensor x = transpose(arange(24).reshape({2, 3, 4}).astype(float32), {1, 0, 2});
  for (const Tensor& y : {x + 1, tanh(x), x * x, linear(x, ones({4, 5}), zeros({5}))}) {
    CHECK(y.strides()[1] > y.strides()[0]);
    CHECK(y.copy().is_contiguous());
  }
  Tensor expected = sum(x.copy(), 0);
  CHECK(sum(x, 0).to_vector<double>() == expected.to_vector<double>());
}

TEST_CASE("predictions are row-major" * on_processor()) {
  Sequential model({LSTM(3, {.activation = "relu", .return_sequences = true}), Permute({2, 1})});
  Tensor x = Random(1).normal({2, 4, 5});
  CHECK(model.predict_on_batch(x).is_contiguous());
  CHECK(model.predict(x).to_vector<float>() == model(x).to_vector<float>());
}

}  // namespace keratin

TEST_SUITE_END();
