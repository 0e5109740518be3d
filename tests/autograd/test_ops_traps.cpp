// The places where derivatives and logarithms go wrong elsewhere: kinks, ties, zeros, infinities,
// dead branches. What happens there is a choice; autograd/ops.h states it, and here it is held.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include <keratin/core/random.h>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

using Function = std::function<Tensor(const Tensor&)>;
constexpr double inf = INFINITY;

Tensor slope(const Function& f, const Tensor& x, bool recorded = false) {
  auto call = [&](const Inputs& v) { return f(v[0]); };
  return gradients(call, {x}, ones_like(f(x)), recorded)[0];
}

// Values and slopes at points, in both float types, by the fused and by the recorded backward pass.
void check_points(const std::string& what, const Function& f, const NestedList& points,
                  const NestedList& values, const NestedList& slopes) {
  for (DType dtype : {float32, float64}) {
    Tensor x = tensor(points, dtype);
    Tolerance near{.relative = 1e-14, .floor = 0, .ulps = dtype == float32 ? 4.0 : 0.0};
    check(what, f(x), tensor(values, dtype), near);
    check(what + ": slope", slope(f, x), tensor(slopes, dtype), near);
    check(what + ": recorded slope", slope(f, x, true), tensor(slopes, dtype), near);
  }
}

// The derivative of an elementwise function, of any order; the last pass is not recorded.
Tensor derivative(const Function& f, const Tensor& x, int order) {
  if (order == 0) return f(x);
  GradientTape tape;
  tape.watch(x);
  return tape.gradient(derivative(f, x, order - 1), x);
}

}  // namespace

TEST_CASE("einsum with two letters on the right alone is a product of matrices") {
  Random random(1);
  Tensor a = random.normal({2, 3}, 0, 1, float64), b = random.normal({3, 4, 5}, 0, 1, float64);
  Tensor expected = dot(a, b.reshape({3, 20})).reshape({2, 4, 5});
  CHECK(max(abs(einsum("ab,bcd->acd", {a, b}) - expected)).item() < 1e-14);
  CHECK(max(abs(einsum("bcd,ab->acd", {b, a}) - expected)).item() < 1e-14);
  CHECK(max(abs(einsum("ab,bcd->dac", {a, b}) - transpose(expected, {2, 0, 1}))).item() < 1e-14);
}

TEST_CASE("where: nothing leaks from the branch not taken") {
  Tensor x = tensor({-1, 4, NAN, inf}), condition = tensor({0, 1, 0, 0}, boolean);
  auto masked = [&](const Tensor& v) { return where(condition, v, 0.0); };
  check("where: values", masked(x), tensor({0, 4, 0, 0}), exactly);
  check("where: the gradient is selected", slope(masked, x), tensor({0, 1, 0, 0}), exactly);
  // The documented idiom: the root sees only what it is taken of.
  auto root = [](const Tensor& v) { return where(v > 0, sqrt(where(v > 0, v, 1)), 0.0); };
  for (bool recorded : {false, true})
    check("where: the double where", slope(root, tensor({-1, 4, 0}), recorded),
          tensor({0, 0.25, 0}), exactly);
  auto careless = [](const Tensor& v) { return where(v > 0, sqrt(v), 0.0); };
  check("where: 0 * inf through the branch not taken",
        std::isnan(slope(careless, tensor({0, 4})).item(0)));
}

TEST_CASE("masked attention is free of NaN, whatever the masked slots hold") {
  Tensor scores = tensor({{1, NAN, 2}, {NAN, inf, -inf}}, float64);
  Tensor mask = tensor({{1, 0, 1}, {0, 0, 0}}, boolean);
  Tensor values = tensor({{1, 2}, {3, 4}, {5, 6}}, float64);
  auto attend = [&](const Tensor& s) { return dot(softmax(where(mask, s, -inf)), values); };
  for (bool recorded : {false, true}) {
    Tensor g = slope(attend, scores, recorded);
    check("attention: finite", all(isfinite(attend(scores))).item() == 1);
    check("attention: finite gradient", all(isfinite(g)).item() == 1);
    check("attention: masked slots have gradient 0", where(mask, 0.0, g), zeros_like(g), exactly);
  }
}

TEST_CASE("ties in max and min share the gradient equally, in every pattern") {
  for (int pattern = 1; pattern < 16; ++pattern) {
    std::vector<double> x, shares;
    for (int i = 0; i < 4; ++i) x.push_back(pattern >> i & 1 ? 2 : i * 0.25);
    for (double v : x) shares.push_back(v == 2 ? 1.0 / __builtin_popcount(pattern) : 0);
    Tensor t = tensor(x), expected = tensor(shares);
    std::string what = fmt::format("ties in pattern {:04b}", pattern);
    auto largest = [](const Tensor& v) { return max(v); };
    auto smallest = [](const Tensor& v) { return min(-v); };
    for (bool recorded : {false, true}) {
      check(what + ": max", slope(largest, t, recorded), expected, {.relative = 1e-15});
      check(what + ": min", slope(smallest, t, recorded), -expected, {.relative = 1e-15});
    }
    auto rows = [](const Tensor& v) { return max(stack({v, v * 2}), 1); };
    check(what + ": along an axis", slope(rows, t), expected * 3, {.relative = 1e-15});
  }
}

TEST_CASE("ties in maximum and minimum share equally, and NaN wins") {
  Tensor x = tensor({1, 2, 3, 0, NAN, 1}), y = tensor({1, 3, 2, -0.0, 1, NAN});
  for (bool recorded : {false, true}) {
    auto g = gradients([](const Inputs& v) { return maximum(v[0], v[1]); }, {x, y}, ones_like(x),
                       recorded);
    check("maximum: x", slice(g[0], {range(4)}), tensor({0.5, 0, 1, 0.5}), exactly);
    check("maximum: y", slice(g[1], {range(4)}), tensor({0.5, 1, 0, 0.5}), exactly);
    g = gradients([](const Inputs& v) { return minimum(v[0], v[1]); }, {x, y}, ones_like(x),
                  recorded);
    check("minimum: x", slice(g[0], {range(4)}), tensor({0.5, 1, 0, 0.5}), exactly);
    check("minimum: y", slice(g[1], {range(4)}), tensor({0.5, 0, 1, 0.5}), exactly);
  }
  check("maximum: NaN", all(isnan(slice(maximum(x, y), {range(4, 6)}))).item() == 1);
  check("minimum: NaN", all(isnan(slice(minimum(x, y), {range(4, 6)}))).item() == 1);
}

TEST_CASE("derivatives at the kinks are those that ops.h states") {
  check_points("abs", abs, {0.0, -0.0, 1, -1}, {0, 0, 1, 1}, {0, 0, 1, -1});
  check_points("relu", relu, {0.0, -0.0, 1, -1}, {0, 0, 1, 0}, {0, 0, 1, 0});
  check_points("relu6", relu6, {0.0, -0.0, 6, 3, 7}, {0, 0, 6, 3, 6}, {0, 0, 0, 1, 0});
  check_points("hard_sigmoid", hard_sigmoid, {-3, 3, 0, 4}, {0, 1, 0.5, 1}, {0, 0, 1 / 6.0, 0});
  check_points("hard_tanh", hard_tanh, {-1, 1, 0, 2}, {-1, 1, 0, 1}, {1, 1, 1, 0});
  check_points("clip", [](const Tensor& x) { return clip(x, -2, 2); }, {-2, 2, -2.5, 2.5, 0},
               {-2, 2, -2, 2, 0}, {1, 1, 0, 0, 1});
  check_points("leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.25); },
               {0.0, -0.0, 1, -1}, {0, 0, 1, -0.25}, {0.25, 0.25, 1, 0.25});
  check_points("elu", [](const Tensor& x) { return elu(x, 0.5); }, {0.0, -0.0, 1}, {0, 0, 1},
               {0.5, 0.5, 1});
  check_points("sparse_sigmoid", sparse_sigmoid, {-1, 1, 0, 3}, {0, 1, 0.5, 1}, {0, 0, 0.5, 0});
  check_points("sparse_plus", sparse_plus, {-1, 1, 0, 3}, {0, 1, 0.25, 3}, {0, 1, 0.5, 1});
  check_points("hard_shrink", [](const Tensor& x) { return hard_shrink(x); },
               {-0.5, 0.5, 0, 1, NAN}, {0, 0, 0, 1, NAN}, {0, 0, 0, 1, 1});
  check_points("soft_shrink", [](const Tensor& x) { return soft_shrink(x); },
               {-0.5, 0.5, 0, 1, NAN}, {0, 0, 0, 0.5, NAN}, {0, 0, 0, 1, 0});
  check_points("threshold", [](const Tensor& x) { return threshold(x, 0.5, -2); }, {0.5, 0, 1, NAN},
               {-2, -2, 1, NAN}, {0, 0, 1, 1});
  check_points("squareplus", [](const Tensor& x) { return squareplus(x); },
               {0.0, -0.0, 1.5, -1.5, -1e9}, {1, 1, 2, 0.5, 1e-9}, {0.5, 0.5, 0.8, 0.2, 1e-18});
  check_points("softplus", softplus, {0.0, -0.0}, {std::log(2.0), std::log(2.0)}, {0.5, 0.5});
  check_points("softsign", softsign, {0.0, -0.0, 1}, {0, 0, 0.5}, {1, 1, 0.25});
  check_points("sign", sign, {0.0, -0.0, 3, -3}, {0, 0, 1, -1}, {0, 0, 0, 0});
  check_points("floor", floor, {1, -1, 0.5, -0.5}, {1, -1, 0, -1}, {0, 0, 0, 0});
  check_points("ceil", ceil, {1, -1, 0.5, -0.5}, {1, -1, 1, 0}, {0, 0, 0, 0});
  check_points("round", round, {0.5, 1.5, 2.5, -0.5, -1.5}, {0, 2, 2, 0, -2}, {0, 0, 0, 0, 0});
}

TEST_CASE("roots, logarithms and quotients at 0") {
  check_points("sqrt", sqrt, {0, 4}, {0, 2}, {inf, 0.25});
  check_points("rsqrt", rsqrt, {0, 4}, {inf, 0.5}, {-inf, -0.0625});
  check_points("log", log, {0, 1}, {-inf, 0}, {inf, 1});
  check_points("log1p", log1p, {-1, 0}, {-inf, 0}, {inf, 1});
  check_points("reciprocal", reciprocal, {0.0, -0.0, 2}, {inf, -inf, 0.5}, {-inf, -inf, -0.25});
  check("log of a negative number", std::isnan(log(tensor({-1})).item()));
  check("sqrt of a negative number", std::isnan(sqrt(tensor({-1})).item()));
}

TEST_CASE("small arguments of expm1 and log1p keep their digits") {
  check_points("expm1", expm1, {1e-12, -1e-9, 0.0}, {1e-12 + 5e-25, -1e-9 + 5e-19, 0.0},
               {1 + 1e-12, 1 - 1e-9, 1});
  check_points("log1p", log1p, {1e-12, -1e-9, 0.0}, {1e-12 - 5e-25, -1e-9 - 5e-19, 0.0},
               {1 - 1e-12, 1 + 1e-9, 1});
}

TEST_CASE("the corners of power") {
  auto to = [](double y) { return [y](const Tensor& x) { return power(x, y); }; };
  auto from = [](double x) { return [x](const Tensor& y) { return power(x, y); }; };
  check_points("x^0", to(0), {0.0, -2, 3, inf}, {1, 1, 1, 1}, {0, 0, 0, 0});
  check_points("x^1", to(1), {0.0, -2, 3}, {0, -2, 3}, {1, 1, 1});
  check_points("x^2", to(2), {0.0, -2, 3}, {0, 4, 9}, {0, -4, 6});
  check_points("x^3", to(3), {0.0, -2}, {0, -8}, {0, 12});
  check_points("x^0.5", to(0.5), {0.0, 4}, {0, 2}, {inf, 0.25});
  check_points("x^-1", to(-1), {0.0, 2}, {inf, 0.5}, {-inf, -0.25});
  check_points("0^y", from(0), {2, 0.5, 0}, {0, 0, 1}, {0, 0, 0});
  check_points("1^y", from(1), {2, -3, 0}, {1, 1, 1}, {0, 0, 0});
  check_points("x^0 of tiny numbers", to(0), {1e-40, -1e-30, 1e-12}, {1, 1, 1}, {0, 0, 0});
  check("negative^fraction", std::isnan(power(tensor({-2}), 0.5).item()));
  check("negative^whole with respect to the exponent",
        std::isnan(slope(from(-2), tensor({2})).item()));
}

TEST_CASE("sort is stable, puts NaN last, and hands each gradient back to its entry") {
  Tensor x = tensor({2, NAN, -inf, 2, inf, 1});
  check("sort", sort(x), tensor({-inf, 1, 2, 2, inf, NAN}), exactly);
  check("argsort: equal entries keep their order", argsort(x), tensor({2, 5, 0, 3, 4, 1}, int32),
        exactly);
  check("argsort: -0 equals 0", argsort(tensor({0.0, -0.0, -1})), tensor({2, 0, 1}, int32),
        exactly);
  check("sort of bools", sort(tensor({1, 0, 1}, boolean)), tensor({0, 1, 1}, boolean), exactly);
  Tensor columns = tensor({{3, 1}, {1, 2}, {2, 0}});
  check("sort along axis 0", sort(columns, 0), tensor({{1, 0}, {2, 1}, {3, 2}}), exactly);
  check("sort of a view", sort(transpose(columns)), tensor({{1, 2, 3}, {0, 1, 2}}), exactly);
  auto weighted = [](const Tensor& v) { return sort(v) * arange(6); };
  for (bool recorded : {false, true})
    check("sort: gradient", slope(weighted, x, recorded), tensor({2, 5, 0, 3, 4, 1}), exactly);
}

TEST_CASE(
    "top_k takes the first of equal entries first, NaN before all, and hands gradients back") {
  const auto [values, indices] = top_k(tensor({{2, NAN, -inf, 2}, {0.0, -0.0, -1, 0}}), 3);
  check("top_k: values", values, tensor({{NAN, 2, 2}, {0, -0.0, 0}}), exactly);
  check("top_k: indices", indices, tensor({{1, 0, 3}, {0, 1, 3}}, int32), exactly);
  const auto [whole, places] = top_k(tensor({5, 2, 7, 1, 9, 3}, int32), 3, /*sorted=*/false);
  check("top_k of integers", whole, tensor({9, 7, 5}, int32), exactly);
  check("top_k of integers: indices", places, tensor({4, 2, 0}, int32), exactly);
  check("top_k of bools", top_k(tensor({0, 1, 1}, boolean), 2)[1], tensor({1, 2}, int32), exactly);
  auto weighted = [](const Tensor& v) { return top_k(v, 3)[0] * tensor({10, 20, 30}); };
  for (bool recorded : {false, true})
    check("top_k: gradient", slope(weighted, tensor({1, 4, -2, 4, 3}), recorded),
          tensor({0, 10, 0, 20, 30}), exactly);
}

TEST_CASE("searchsorted finds the place before or behind equal entries; NaN comes last") {
  const Tensor sequence = tensor({-inf, 1, 1, 2, inf, NAN});
  const Tensor values = tensor({{-inf, 0, 1}, {1.5, 2, 3}, {inf, NAN, -1}});
  check("searchsorted left", searchsorted(sequence, values),
        tensor({{0, 1, 1}, {3, 3, 4}, {4, 5, 1}}, int32), exactly);
  check("searchsorted right", searchsorted(sequence, values, "right"),
        tensor({{1, 1, 3}, {3, 4, 4}, {5, 6, 1}}, int32), exactly);
  check("searchsorted of a number", searchsorted(sequence, 1), tensor({1}, int32).reshape({}),
        exactly);
}

TEST_CASE("tril and triu keep what bools and integers are, and hide what they leave out") {
  const Tensor x = tensor({{1, NAN, inf}, {2, 3, NAN}});
  check("tril", tril(x), tensor({{1, 0, 0}, {2, 3, 0}}), exactly);
  check("triu", triu(tensor({{NAN, 1, 2}, {NAN, NAN, 3}}), 1), tensor({{0, 1, 2}, {0, 0, 3}}),
        exactly);
  check("tril of bools", tril(ones({2, 2}, boolean)), tensor({{1, 0}, {1, 1}}, boolean), exactly);
  auto lower = [](const Tensor& v) { return tril(v, -1); };
  check("tril: gradient", slope(lower, x), tensor({{0, 0, 0}, {1, 0, 0}}), exactly);
}

TEST_CASE("roll takes any shift") {
  const Tensor x = tensor({1, 2, 3});
  check("roll by the least number", roll(x, INT64_MIN, 0), tensor({3, 1, 2}), exactly);
  check("roll by the largest number", roll(x, INT64_MAX, 0), tensor({3, 1, 2}), exactly);
}

TEST_CASE("a resized image rounds integers, keeps a plain color, and leaves what fits as it is") {
  auto row = [](const Tensor& v) { return reshape(v, {1, -1, 1}); };
  check("resize of integers", resize(row(tensor({0, 10, 3}, int32)), {1, 6}),
        row(tensor({0, 2, 8, 8, 5, 3}, int32)), exactly);  // 0, 2.5, 7.5, 8.25, 4.75, 3
  check("resize by nearest",
        resize(row(tensor({1, 2, 3, 4})), {1, 2}, {.interpolation = "nearest"}),
        row(tensor({2, 4})), exactly);
  check("resize of bools",
        resize(row(tensor({1, 0}, boolean)), {1, 4}, {.interpolation = "nearest"}),
        row(tensor({1, 1, 0, 0}, boolean)), exactly);
  const Tensor x = row(tensor({1, 2, NAN, 4}));
  check("resize to the same size", resize(x, {1, 4}), x, exactly);
  check("resize next to NaN", resize(x, {1, 8}, {.interpolation = "nearest"}),
        row(tensor({1, 1, 2, 2, NAN, NAN, 4, 4})), exactly);
  check("resize of ones", resize(ones({5, 7, 2}), {3, 4}, {.antialias = true}), ones({3, 4, 2}),
        {.ulps = 2});
}

TEST_CASE("softmax and its kin: huge, equal, infinite and missing logits") {
  for (DType dtype : {float32, float64}) {
    for (double huge : {88.7, 104.0, 1e4, 1e30}) {
      Tensor x = full({2, 3}, huge, dtype);
      Tolerance near{.relative = 1e-6};
      check("softmax of huge logits", softmax(x), full({2, 3}, 1 / 3.0, dtype), near);
      check("softmax of -huge logits", softmax(-x), full({2, 3}, 1 / 3.0, dtype), near);
      check("log_softmax of huge logits", log_softmax(x), full({2, 3}, -std::log(3.0), dtype),
            {.relative = 1e-6, .floor = huge});
      check("logsumexp of huge logits", logsumexp(x, 1), full({2}, huge + std::log(3.0), dtype),
            near);
    }
    Tensor missing = tensor({{-inf, -inf, -inf}, {0, -inf, 0}, {1, 1, 1}}, dtype);
    Tensor third = full({3}, 1 / 3.0, dtype);
    for (int axis : {0, 1}) {
      Tensor x = axis == 1 ? missing : transpose(missing).copy();
      auto soft = [axis](const Tensor& v) { return softmax(v, axis); };
      auto total = [axis](const Tensor& v) { return logsumexp(v, axis); };
      Tensor y = axis == 1 ? soft(x) : transpose(soft(x));
      check("softmax of nothing but -inf", y[0], zeros({3}, dtype), exactly);
      check("softmax with a -inf", y[1], tensor({0.5, 0, 0.5}, dtype), {.relative = 1e-6});
      check("softmax beside them", y[2], third, {.relative = 1e-6});
      check("logsumexp of nothing but -inf", total(x).item(0) == -inf);
      auto logarithm = [axis](const Tensor& v) { return log_softmax(v, axis); };
      Tensor log_y = axis == 1 ? logarithm(x) : transpose(logarithm(x));
      check("log_softmax of nothing but -inf", log_y[0], full({3}, -inf, dtype), exactly);
      check("log_softmax is the logarithm of softmax", log_y, log(y), {.relative = 1e-6});
      auto weighted = [&](const Tensor& v) { return soft(v) * random_like(v, 9); };
      for (bool recorded : {false, true}) {
        Tensor g = slope(weighted, x, recorded);
        check("softmax: gradient finite", all(isfinite(g)).item() == 1);
        check("softmax: gradient 0 in a missing row", axis == 1 ? g[0] : transpose(g)[0],
              zeros({3}, dtype), {.relative = 1e-15});
        for (auto& [name, f] : std::vector<std::pair<std::string, Function>>{
                 {"log_softmax", logarithm}, {"logsumexp", total}}) {
          auto product = [f = f](const Tensor& v) { return f(v) * random_like(f(v), 9); };
          g = slope(product, x, recorded);
          check(fmt::format("{}: gradient finite", name), all(isfinite(g)).item() == 1);
          check(fmt::format("{}: gradient 0 in a missing row", name),
                axis == 1 ? g[0] : transpose(g)[0], zeros({3}, dtype), {.relative = 1e-15});
          if (recorded)
            check(fmt::format("{}: second derivative finite", name),
                  all(isfinite(derivative(product, x, 2))).item() == 1);
        }
      }
    }
    Tensor one = tensor({{inf, 0, 1}, {0, 1, 2}}, dtype);
    check("softmax: one +inf spoils its row", all(isnan(softmax(one)[0])).item() == 1);
    check("softmax: and no other", all(isfinite(softmax(one)[1])).item() == 1);
    check("logsumexp with one +inf", logsumexp(one, 1).item(0) == inf);
    one = where(isinf(one), NAN, one);
    check("softmax: NaN spoils its row", all(isnan(softmax(one)[0])).item() == 1);
    check("softmax: NaN spoils no other", all(isfinite(softmax(one)[1])).item() == 1);
  }
}

TEST_CASE("sparsemax is the nearest point on the simplex, along its axis") {
  for (DType dtype : {float32, float64}) {
    Tolerance near{.relative = dtype == float32 ? 1e-6 : 1e-14, .floor = 1};
    // One entry left, two, all of them; equal ones; and far from 0, where 1 is a small number.
    Tensor x =
        tensor({{3, 1, 2.5}, {0.5, 0.25, -1}, {0.25, 0.5, 0.5}, {4096.5, 4096.25, 0}}, dtype);
    x = concatenate({slice(x, {0}).reshape({1, 3}) * 4, slice(x, {range(1, 4)})}, 0);
    Tensor expected = tensor(
        {{1, 0, 0}, {0.625, 0.375, 0}, {1 / 6.0, 5 / 12.0, 5 / 12.0}, {0.625, 0.375, 0}}, dtype);
    check("sparsemax", sparsemax(x), expected, near);
    check("sparsemax along axis 0", sparsemax(transpose(x), 0), transpose(expected), near);
    // Among the entries left the gradient loses its mean; the others have none.
    auto weighted = [&](const Tensor& v) { return sparsemax(v) * tensor({8, 4, 1}, dtype); };
    Tensor slopes =
        tensor({{0, 0, 0}, {2, -2, 0}, {11 / 3.0, -1 / 3.0, -10 / 3.0}, {2, -2, 0}}, dtype);
    for (bool recorded : {false, true})
      check("sparsemax: gradient", slope(weighted, x, recorded), slopes,
            {.relative = 1e-6, .floor = 1});
    check("sparsemax of integers", sparsemax(tensor({{3, 1}}, int32)), tensor({{1, 0}}), exactly);
  }
}

TEST_CASE("sparsemax of infinite and missing logits") {
  for (DType dtype : {float32, float64}) {
    Tensor x = tensor({{-inf, -inf, -inf}, {0, -inf, 0}, {1, 1, 1}}, dtype);
    Tensor expected = tensor({{0, 0, 0}, {0.5, 0, 0.5}, {1 / 3.0, 1 / 3.0, 1 / 3.0}}, dtype);
    auto weighted = [](const Tensor& v) { return sparsemax(v) * random_like(v, 9); };
    check("sparsemax with -inf", sparsemax(x), expected, {.relative = 1e-6});
    for (bool recorded : {false, true}) {
      Tensor g = slope(weighted, x, recorded);
      check("sparsemax: gradient finite", all(isfinite(g)).item() == 1);
      check("sparsemax: gradient 0 in a missing row", g[0], zeros({3}, dtype), exactly);
      check("sparsemax: gradient 0 at a missing entry", g[1].item(1) == 0);
    }
    for (double wrong : {inf, double(NAN)}) {
      Tensor one = tensor({{wrong, 0, 1}, {0, 1, 2}}, dtype);
      check("sparsemax: NaN or +inf spoils its row", all(isnan(sparsemax(one)[0])).item() == 1);
      check("sparsemax: and no other", sparsemax(one)[1], tensor({0, 0, 1}, dtype), exactly);
    }
  }
}

TEST_CASE("sigmoid and its logarithms far out") {
  check_points("sigmoid", sigmoid, {-1e4, 1e4}, {0, 1}, {0, 0});
  check_points("log_sigmoid", log_sigmoid, {-1e4, -104, -50, 1e4}, {-1e4, -104, -50, 0},
               {1, 1, 1, 0});
  check_points("softplus", softplus, {1e4, 104, 50, -1e4}, {1e4, 104, 50, 0}, {1, 1, 1, 0});
  check_points("log_sigmoid", log_sigmoid, {20.0}, {-std::log1p(std::exp(-20.0))},
               {1 / (1 + std::exp(20.0))});
  check_points("tanh", tanh, {1e4, -1e4}, {1, -1}, {0, 0});
  check_points("elu", [](const Tensor& x) { return elu(x); }, {1e4, -1e4}, {1e4, -1}, {1, 0});
  check_points("silu", silu, {1e4, -1e4}, {1e4, 0}, {1, 0});
  check_points("mish", mish, {1e4, -1e4}, {1e4, 0}, {1, 0});
  check_points("gelu", [](const Tensor& x) { return gelu(x); }, {1e4, -1e4}, {1e4, 0}, {1, 0});
}

TEST_CASE("the variance of large numbers close together") {
  Tensor noise = random_like(zeros({1000}), 1) * 0.02 + 1e4;  // float32: a spacing of 0.001
  Tensor exact = noise.astype(float64);
  check("var", var(noise), var(exact).astype(float32), {.relative = 1e-2});
  check("std", std(noise), std(exact).astype(float32), {.relative = 1e-2});
  check("var is about 0.02^2 / 3", var(exact), full({}, 0.02 * 0.02 / 3, float64),
        {.relative = 0.1});
  check("std of equal numbers", std(full({5}, 1e4)).item() == 0);
}

TEST_CASE("NaN in a matrix reaches its own row and column, whatever the size") {
  for (std::int64_t n : {2, 16, 101, 200}) {
    Tensor a = zeros({n, n}), b = ones({n, n});
    a = slice_update(a, {1, 0}, full({1, 1}, NAN));
    Tensor bad = broadcast_to(equal(arange(n), 1).reshape({n, 1}), {n, n});
    check(fmt::format("dot: NaN on the left, n = {}", n), isnan(dot(a, b)), bad, exactly);
    check(fmt::format("dot: NaN on the right, n = {}", n), isnan(dot(b, transpose(a))),
          transpose(bad), exactly);
    check(fmt::format("matmul: 0 * NaN, n = {}", n),
          isnan(matmul(stack({a, a}), stack({b * 0, b}))), stack({bad, bad}), exactly);
    GradientTape tape;
    tape.watch(b);
    Tensor g = tape.gradient(dot(a, b), b);
    check(fmt::format("dot: NaN in the gradient, n = {}", n), isnan(g),
          broadcast_to(equal(arange(n), 0).reshape({n, 1}), {n, n}), exactly);
  }
}

TEST_CASE("NaN in reductions") {
  Tensor x = tensor({{1, NAN, 3}, {4, 5, 6}});
  for (auto* op : {&sum, &mean, &max, &min, &prod, &var, &logsumexp, &norm})
    check("a reduction of NaN", isnan((*op)(x, 1, false)), tensor({1, 0}, boolean), exactly);
  for (DType dtype : {float32, float64})
    for (auto* op : {&max, &min}) {
      auto rows = [&](const Tensor& v) { return (*op)(v, 1, false); };
      Tensor some = tensor({{1, NAN, 3}, {NAN, 5, NAN}, {4, 4, 4}}, dtype);
      Tensor expected = tensor({{0, NAN, 0}, {NAN, 0, NAN}, {1 / 3.0, 1 / 3.0, 1 / 3.0}}, dtype);
      for (bool recorded : {false, true})
        check("max and min: NaN shows in the gradient", slope(rows, some, recorded), expected,
              {.relative = 1e-6});
      check("max and min: of everything",
            slope([&](const Tensor& v) { return (*op)(v, {}, false); }, some),
            where(isnan(some), some, 0.0), exactly);
    }
  check("argmax: NaN is the largest", argmax(x, 1), tensor({1, 2}, int32), exactly);
  check("argmin: NaN is the smallest", argmin(x, 1), tensor({1, 0}, int32), exactly);
  check("argmax: the first of equals", argmax(tensor({1, 3, 3, 2}), 0).item() == 1);
  check("argmin: the first of equals", argmin(tensor({2, 1, 1, 2}), 0).item() == 1);
}

TEST_CASE("an index taken twice collects both gradients") {
  Tensor x = tensor({1, 2, 3}), indices = tensor({2, 0, 2, -1}, int32);
  auto f = [&](const Tensor& v) { return take(v, indices, 0) * tensor({1, 10, 100, 1000}); };
  for (bool recorded : {false, true})
    check("take: gradient", slope(f, x, recorded), tensor({10, 0, 1101}), exactly);
}

TEST_CASE("a value that the backward pass needs may not be overwritten") {
  Tensor x = ones({3}), y = ones({3});
  GradientTape tape;
  tape.watch(x);
  Tensor z = x * y;
  y.assign(zeros({3}));
  CHECK_THROWS_WITH_AS(tape.gradient(z, x), doctest::Contains("overwritten"),
                       std::invalid_argument);
}

TEST_CASE("a view that repeats its elements is reshaped into what it shows") {
  Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}}).reshape({3, 1, 2});
  Tensor shown = broadcast_to(x, {3, 2, 2});
  check("reshape of an expanded view", shown.reshape({-1}), shown.copy().reshape({-1}), exactly);
  check("reshape of an expanded view", shown.reshape({6, 2}), shown.copy().reshape({6, 2}),
        exactly);
  Tensor number = broadcast_to(tensor({7}), {2, 3});
  check("reshape of an expanded number", number.reshape({3, 2}), full({3, 2}, 7), exactly);
}

TEST_CASE("plain numbers keep their digits where they meet float64") {
  Tensor x = tensor({0.1, 3}, float64);
  check("a number takes on the tensor's dtype", (x * 0.1).dtype() == float64);
  check("with all its digits", x * 0.1, tensor({0.1 * 0.1, 3 * 0.1}, float64), exactly);
  // The recorded backward pass once began with a number in float32.
  check("in the recorded backward pass too", slope(erf, x, true), slope(erf, x),
        {.relative = 1e-15});
}

TEST_CASE("shapes too large to hold are refused") {
  std::int64_t large = std::int64_t{1} << 40;
  CHECK_THROWS_AS(broadcast_to(ones({1, 1}), {large, large}), std::invalid_argument);
  CHECK_THROWS_AS(reshape(ones({0}), {large, large, -1}), std::invalid_argument);
  CHECK_THROWS_AS(pad(ones({2}), {{large << 20, 0}}), std::exception);
}

}  // namespace keratin::test

TEST_SUITE_END();
