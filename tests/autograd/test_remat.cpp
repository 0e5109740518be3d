// remat: what a tape does not keep is computed again, to the same gradients.

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

#include <keratin/autograd/functional.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/autograd/weight.h>
#include <keratin/core/create.h>
#include <keratin/core/random.h>

TEST_SUITE_BEGIN("autograd");

using namespace keratin;

namespace {

// sum((tanh(x w))^2), step by step, or with tanh(x w) computed again by the backward pass.
Tensor chain(const Tensor& x, const Tensor& w, bool again) {
  const TensorsFunction f = [](const std::vector<Tensor>& in) { return tanh(dot(in[0], in[1])); };
  return sum(square((again ? remat(f) : f)({x, w})));
}

}  // namespace

TEST_CASE("remat keeps the arguments only, and computes the same gradients") {
  Random random(3);
  Tensor x = random.normal({4, 3}, 0, 1, float64), w = random.normal({3, 2}, 0, 1, float64);
  std::vector<std::vector<double>> results;
  std::vector<std::size_t> sizes;
  for (bool again : {false, true}) {
    GradientTape tape;
    tape.watch(x);
    tape.watch(w);
    const Tensor y = chain(x, w, again);
    sizes.push_back(tape.size());
    const auto gradients = tape.gradient(y, {x, w});
    CHECK(tape.size() == sizes.back());  // nothing of the second run stays
    results.push_back(y.to_vector<double>());
    for (const Tensor& g : gradients) results.push_back(g.to_vector<double>());
  }
  CHECK(sizes[0] == 4);
  CHECK(sizes[1] == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(results[i] == results[i + 3]);
}

TEST_CASE("remat is differentiated twice, and nested") {
  const Tensor x = tensor({0.3, -0.7, 1.1}, float64), w = tensor({0.5, 2.0, -1.0}, float64);
  auto slope_of_slope = [&](bool again) {
    const TensorsFunction inner = [](const std::vector<Tensor>& in) { return sin(in[0] * in[1]); };
    const TensorsFunction outer = [&](const std::vector<Tensor>& in) {
      return exp((again ? remat(inner) : inner)({in[0], in[1]})) * in[0];
    };
    auto f = [&](const Tensor& at) { return sum((again ? remat(outer) : outer)({at, w})); };
    return hessian_vector_product(f, x, tensor({1.0, 2.0, 3.0}, float64)).to_vector<double>();
  };
  const auto expected = slope_of_slope(false), found = slope_of_slope(true);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-13));
}

TEST_CASE("remat of a function that returns its argument, or depends on none, or keeps a weight") {
  Tensor x = tensor({1.0, 2.0});
  Weight hidden("hidden", tensor({3.0, 4.0}));
  const Tensor constant = tensor({5.0, 6.0});
  GradientTape tape;
  tape.watch(x);
  const Tensor same = remat([](const std::vector<Tensor>& in) { return in[0]; })({x});
  CHECK(tape.gradient(sum(3.0 * same), x).to_vector<double>() == std::vector<double>{3, 3});
  const Tensor none = remat([&](const std::vector<Tensor>&) { return constant; })({x});
  CHECK(tape.gradient(sum(none), x).to_vector<double>() == std::vector<double>{0, 0});
  const Tensor y =
      remat([&](const std::vector<Tensor>& in) { return in[0] * Tensor(hidden); })({x});
  CHECK_THROWS_WITH_AS(tape.gradient(sum(y), x),
                       "gradient of remat: the function uses a trainable weight of shape "
                       "(2,) that is not an argument",
                       std::invalid_argument);
  const Tensor z = remat([](const std::vector<Tensor>& in) { return in[0] * in[1]; })({x, hidden});
  CHECK(tape.gradient(sum(z), std::vector<Tensor>{hidden})[0].to_vector<double>() ==
        std::vector<double>{1, 2});
  CHECK(tape.gradient(sum(z), x).to_vector<double>() == std::vector<double>{3, 4});
}

TEST_SUITE_END();
