// Derivatives where a factor, a norm or an exponent is 0, to high order: there a rule that is right
// elsewhere easily gives 0 * inf.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include <keratin/autograd/pointwise.h>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

using Function = std::function<Tensor(const Tensor&)>;

Tensor slope(const Function& f, const Tensor& x, bool recorded = false) {
  auto call = [&](const Inputs& v) { return f(v[0]); };
  return gradients(call, {x}, ones_like(f(x)), recorded)[0];
}

// The derivative of an elementwise function, of any order; the last pass is not recorded.
Tensor derivative(const Function& f, const Tensor& x, int order) {
  if (order == 0) return f(x);
  GradientTape tape;
  tape.watch(x);
  return tape.gradient(derivative(f, x, order - 1), x);
}

// A user's functor: its blocks of numbers and its tensors follow the rules of core/dual.h too.
struct Raised {
  double exponent;
  auto operator()(auto x) const { return power(x, exponent); }
};

}  // namespace

TEST_CASE("the derivatives of x^n after the n-th are 0, also at 0") {
  for (DType dtype : {float32, float64}) {
    Tensor x = tensor({0.0, -0.0, 2, -1.5}, dtype);
    for (int n = 0; n <= 4; ++n) {
      double factor = 1;
      for (int order = 0; order <= 6; factor *= n - order, ++order) {
        std::string what = fmt::format("derivative {} of x^{}", order, n);
        Tensor expected = factor == 0 ? zeros_like(x) : factor * power(x, n - order);
        Tolerance near{.relative = dtype == float32 ? 1e-6 : 1e-14};
        check(what, derivative([n](const Tensor& v) { return power(v, n); }, x, order), expected,
              near);
        check(what + " by a functor",
              derivative([n](const Tensor& v) { return pointwise(Raised{1.0 * n}, v); }, x, order),
              expected, near);
      }
    }
    auto bell = [](const Tensor& v) { return exp(-power(v, 2)); };
    Tensor zero = tensor({0.0}, dtype);
    for (auto [order, value] :
         std::vector<std::pair<int, double>>{{2, -2}, {3, 0}, {4, 12}, {5, 0}})
      check(fmt::format("derivative {} of exp(-x^2) at 0", order), derivative(bell, zero, order),
            tensor({value}, dtype), {.relative = 1e-6});
  }
}

TEST_CASE("the derivative of x^y with respect to both is 1/x where y is 0") {
  Tensor x = tensor({2, 0.5, 3}, float64), y = tensor({0, 0, 1}, float64);
  auto of_x = [&](const Tensor& v) {
    return slope([&](const Tensor& u) { return power(u, v); }, x, true);
  };
  check("x^y: slope", of_x(y), tensor({0, 0, 1}, float64), exactly);
  check("x^y: slope of the slope", slope(of_x, y), tensor({0.5, 2, 1 + std::log(3.0)}, float64),
        {.relative = 1e-14});
}

TEST_CASE("softplus and its kin are smooth at 0 to every order") {
  Tensor zero = tensor({0.0, -0.0}, float64);
  auto check_orders = [&](const char* what, const Function& f, std::vector<double> values) {
    for (std::size_t order = 0; order < values.size(); ++order)
      check(fmt::format("derivative {} of {} at 0", order, what),
            derivative(f, zero, static_cast<int>(order)), full({2}, values[order], float64),
            {.relative = 1e-14, .floor = 1e-2});
  };
  check_orders("softplus", softplus, {std::log(2.0), 0.5, 0.25, 0, -0.125});
  check_orders("log_sigmoid", log_sigmoid, {-std::log(2.0), 0.5, -0.25, 0, 0.125});
  check_orders("mish", mish, {0, 0.6, 0.64});
}

TEST_CASE("norm is 0 at 0, and so are its derivatives") {
  Tensor x = tensor({{0, 0}, {3, 4}}, float64);
  auto rows = [](const Tensor& v) { return norm(v, 1); };
  for (bool recorded : {false, true})
    check("norm: gradient", slope(rows, x, recorded), tensor({{0, 0}, {0.6, 0.8}}, float64),
          {.relative = 1e-15});
  check("norm: second derivative", all(isfinite(derivative(rows, x, 2))).item() == 1);
}

TEST_CASE("std of equal numbers has gradient 0, as norm has at 0") {
  for (DType dtype : {float32, float64}) {
    Tensor x = tensor({{3, 3}, {1, 3}}, dtype);
    auto rows = [](const Tensor& v) { return std(v, 1); };
    for (bool recorded : {false, true})
      check("std: gradient", slope(rows, x, recorded), tensor({{0, 0}, {-0.5, 0.5}}, dtype),
            {.relative = 1e-6});
    check("std: second derivative", all(isfinite(derivative(rows, x, 2))).item() == 1);
    check("std of one number", slope([](const Tensor& v) { return std(v); }, full({1}, 2, dtype)),
          zeros({1}, dtype), exactly);
  }
}

TEST_CASE("global_norm is the norm of all entries side by side") {
  Tensor a = tensor({3, 0}, float64), b = tensor({{0}, {4}}, float64);
  check("global_norm", global_norm({a, b}), full({}, 5, float64), exactly);
  check("global_norm of nothing", global_norm({}), full({}, 0), exactly);
  check("global_norm of integers", global_norm({tensor({3}, int32), 4}), full({}, 5), exactly);
  check("global_norm of both float types", global_norm({ones({2}), ones({2}, float64)}),
        full({}, 2, float64), exactly);
  auto both = [](const Inputs& v) { return global_norm(v); };
  for (bool recorded : {false, true}) {
    Inputs g = gradients(both, {a, b}, ones({}, float64), recorded);
    check("global_norm: gradient", g[0], tensor({0.6, 0}, float64), {.relative = 1e-15});
    check("global_norm: gradient", g[1], tensor({{0}, {0.8}}, float64), {.relative = 1e-15});
    g = gradients(both, {a * 0, b * 0}, ones({}, float64), recorded);
    check("global_norm: gradient at 0", g[0], tensor({0, 0}, float64), exactly);
    check("global_norm: gradient at 0", g[1], tensor({{0}, {0}}, float64), exactly);
  }
  // Where only this tensor is 0, the second derivative is that of the whole: 1 / 5.
  auto beside = [&](const Tensor& v) { return global_norm({v, tensor({3, 4}, float64)}); };
  check("global_norm: second derivative", derivative(beside, zeros({1}, float64), 2),
        tensor({0.2}, float64), {.relative = 1e-15});
}

TEST_CASE("cumprod has the right derivatives where factors are 0") {
  Tensor x = tensor({{2, 0, 3}, {0, 0, 3}, {1, 4, 5}}, float64);
  auto rows = [](const Tensor& v) { return cumprod(v, 1); };
  check("cumprod", rows(x), tensor({{2, 0, 0}, {0, 0, 0}, {1, 4, 20}}, float64), exactly);
  // Of x + x y + x y z: 1 + y + y z, x + x z, x y.
  for (bool recorded : {false, true})
    check("cumprod: gradient", slope(rows, x, recorded),
          tensor({{1, 8, 0}, {1, 0, 0}, {25, 6, 4}}, float64), exactly);
  // Of the sum of these: 1 + z + y, 1 + z + x, y + x.
  check("cumprod: second derivative", derivative(rows, x, 2),
        tensor({{4, 6, 2}, {4, 4, 0}, {10, 7, 5}}, float64), exactly);
  check("cumprod of integers", cumprod(tensor({2, 3, -4}, int32), 0), tensor({2, 6, -24}, int32),
        exactly);
  check("cumprod of bools", cumprod(tensor({1, 0, 1}, boolean), 0), tensor({1, 0, 0}, int32),
        exactly);
}

TEST_CASE("prod has the right derivatives where factors are 0") {
  Tensor x = tensor({{2, 0, 3}, {0, 0, 3}, {1, 4, 5}}, float64);
  auto rows = [](const Tensor& v) { return prod(v, 1); };
  Tensor first = tensor({{0, 6, 0}, {0, 0, 0}, {20, 5, 4}}, float64);
  for (bool recorded : {false, true})
    check("prod: gradient", slope(rows, x, recorded), first, exactly);
  // Sums over the other factor of each pair: the products of what is left.
  check("prod: second derivative", derivative(rows, x, 2),
        tensor({{3, 5, 2}, {3, 3, 0}, {9, 6, 5}}, float64), exactly);
}

}  // namespace keratin::test

TEST_SUITE_END();
