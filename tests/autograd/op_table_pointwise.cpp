// The table's pointwise ops. Each formula is the textbook's, in long double.

#include <cmath>

#include "op_table.h"

namespace keratin::test {
namespace {

PointwiseOp unary(const char* op, Tensor (*call)(const Tensor&), Real (*f)(Real), Traits traits) {
  return {op,
          "",
          1,
          [call](const Inputs& x) { return call(x[0]); },
          [f](const Real* x) { return f(x[0]); },
          std::move(traits)};
}

PointwiseOp binary(const char* op, Tensor (*call)(const Tensor&, const Tensor&),
                   Real (*f)(Real, Real), Traits traits) {
  return {op,
          "",
          2,
          [call](const Inputs& x) { return call(x[0], x[1]); },
          [f](const Real* x) { return f(x[0], x[1]); },
          std::move(traits)};
}

// With other arguments, here those of the call and of the formula that are written out.
PointwiseOp with(const char* op, const char* variant, std::function<Tensor(const Tensor&)> call,
                 std::function<Real(Real)> f, Traits traits) {
  return {op,
          variant,
          1,
          [call = std::move(call)](const Inputs& x) { return call(x[0]); },
          [f = std::move(f)](const Real* x) { return f(x[0]); },
          std::move(traits)};
}

PointwiseOp comparison(const char* op, Tensor (*call)(const Tensor&, const Tensor&),
                       Real (*f)(Real, Real)) {
  return binary(op, call, f, {.domains = {{-3, 4, int32}}, .differentiable = false});
}

PointwiseOp logical(const char* op, Tensor (*call)(const Tensor&, const Tensor&),
                    Real (*f)(Real, Real)) {
  return binary(op, call, f, {.domains = {{0, 2, boolean}}, .differentiable = false});
}

PointwiseOp question(const char* op, Tensor (*call)(const Tensor&), Real (*f)(Real)) {
  return unary(op, call, f, {.differentiable = false, .wide = 100});
}

Real sigmoid_of(Real x) { return 1 / (1 + std::exp(-x)); }
Real softplus_of(Real x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
Real clamp(Real x, Real low, Real high) { return x < low ? low : x > high ? high : x; }
Real sign_of(Real x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
Real elu_of(Real x, Real alpha) { return x > 0 ? x : alpha * std::expm1(x); }

const Domain positive{0.1, 3};
constexpr Real sqrt_2 = 1.414213562373095048801688724209698L;
constexpr Real sqrt_2_over_pi = 0.797884560802865355879892119868763L;

std::vector<PointwiseOp> elementary() {
  return {
      unary("abs", abs, [](Real x) { return std::fabs(x); },
            {.kinks = {0}, .whole = true, .wide = 1e6}),
      unary("ceil", ceil, [](Real x) { return std::ceil(x); },
            {.kinks = {-1, 0, 1, 2}, .whole = true, .wide = 1e6}),
      unary("cos", cos, [](Real x) { return std::cos(x); }, {.ulps = 2, .floor = 0.1, .wide = 100}),
      unary("erf", erf, [](Real x) { return std::erf(x); }, {.ulps = 3, .wide = 5}),
      unary("exp", exp, [](Real x) { return std::exp(x); }, {.ulps = 2, .wide = 80}),
      unary("expm1", expm1, [](Real x) { return std::expm1(x); }, {.ulps = 3, .wide = 80}),
      unary("floor", floor, [](Real x) { return std::floor(x); },
            {.kinks = {-1, 0, 1, 2}, .whole = true, .wide = 1e6}),
      unary("log", log, [](Real x) { return std::log(x); }, {.domains = {positive}, .ulps = 2}),
      unary("log10", log10, [](Real x) { return std::log10(x); },
            {.domains = {positive}, .ulps = 3}),
      unary("log1p", log1p, [](Real x) { return std::log1p(x); },
            {.domains = {{-0.9, 3}}, .ulps = 3}),
      unary("negative", negative, [](Real x) { return -x; }, {.whole = true, .wide = 1e6}),
      unary("reciprocal", reciprocal, [](Real x) { return 1 / x; },
            {.domains = {positive}, .wide = 1e6}),
      unary("round", round, [](Real x) { return std::nearbyint(x); },
            {.kinks = {-1.5, -0.5, 0.5, 1.5}, .whole = true, .wide = 1e6}),
      unary("rsqrt", rsqrt, [](Real x) { return 1 / std::sqrt(x); },
            {.domains = {positive}, .ulps = 1.5}),
      unary("sign", sign, sign_of, {.kinks = {0}, .whole = true, .wide = 1e6}),
      unary("sin", sin, [](Real x) { return std::sin(x); }, {.ulps = 2, .floor = 0.1, .wide = 100}),
      unary("sqrt", sqrt, [](Real x) { return std::sqrt(x); }, {.domains = {positive}}),
      unary("square", square, [](Real x) { return x * x; }, {.whole = true, .wide = 1e6}),
      unary("tanh", tanh, [](Real x) { return std::tanh(x); }, {.ulps = 3, .wide = 20}),
  };
}

// The floor of each is the size of what cancels in the formula.
std::vector<PointwiseOp> activations() {
  std::vector<PointwiseOp> ops = {
      unary("hard_sigmoid", hard_sigmoid, [](Real x) { return clamp(x + 3, 0, 6) / 6; },
            {.domains = {{-4, 4}}, .kinks = {-3, 3}, .ulps = 2, .floor = 0.5, .wide = 100}),
      unary("hard_silu", hard_silu, [](Real x) { return x * clamp(x + 3, 0, 6) / 6; },
            {.domains = {{-4, 4}}, .kinks = {-3, 3}, .ulps = 3, .floor = 2, .wide = 100}),
      unary("hard_tanh", hard_tanh, [](Real x) { return clamp(x, -1, 1); },
            {.kinks = {-1, 1}, .wide = 100}),
      unary("log_sigmoid", log_sigmoid, [](Real x) { return -softplus_of(-x); },
            {.ulps = 3, .wide = 80}),
      unary("mish", mish, [](Real x) { return x * std::tanh(softplus_of(x)); },
            {.ulps = 6, .wide = 80}),
      unary("relu", relu, [](Real x) { return x <= 0 ? 0 : x; }, {.kinks = {0}, .wide = 1e6}),
      unary("relu6", relu6, [](Real x) { return clamp(x, 0, 6); },
            {.domains = {{-2, 8}}, .kinks = {0, 6}, .wide = 100}),
      unary("selu", selu,
            [](Real x) { return 1.0507009873554804934193L * elu_of(x, 1.6732632423543772848170L); },
            {.kinks = {0}, .ulps = 5, .wide = 80}),
      unary("sigmoid", sigmoid, sigmoid_of, {.ulps = 4, .wide = 80}),
      unary("silu", silu, [](Real x) { return x * sigmoid_of(x); }, {.ulps = 5, .wide = 80}),
      unary("softplus", softplus, softplus_of, {.ulps = 3, .wide = 80}),
      unary("softsign", softsign, [](Real x) { return x / (1 + std::fabs(x)); },
            {.ulps = 1.5, .wide = 1e6}),
      unary("sparse_sigmoid", sparse_sigmoid, [](Real x) { return clamp((x + 1) / 2, 0, 1); },
            {.kinks = {-1, 1}, .ulps = 1, .floor = 0.5, .wide = 100}),
      unary("sparse_plus", sparse_plus,
            [](Real x) { return x <= -1  ? 0
                                : x >= 1 ? x
                                         : (x + 1) * (x + 1) / 4; },
            {.kinks = {-1, 1}, .ulps = 3, .floor = 0.25, .wide = 100}),
      with(
          "threshold", "(0.5, -2)", [](const Tensor& x) { return threshold(x, 0.5, -2); },
          [](Real x) { return x <= 0.5L ? -2 : x; }, {.kinks = {0.5}, .wide = 1e6}),
      with(
          "gelu", "exact", [](const Tensor& x) { return gelu(x, false); },
          [](Real x) { return x * std::erfc(-x / sqrt_2) / 2; },
          {.ulps = 4, .floor = 2, .wide = 8}),
      with(
          "gelu", "by tanh", [](const Tensor& x) { return gelu(x); },
          [](Real x) {
            return x / 2 * (1 + std::tanh(sqrt_2_over_pi * (x + 0.044715L * x * x * x)));
          },
          {.ulps = 4, .floor = 2, .wide = 8}),
      with(
          "clip", "(-1, 0.5)", [](const Tensor& x) { return clip(x, -1, 0.5); },
          [](Real x) { return clamp(x, -1, 0.5); }, {.kinks = {-1, 0.5}, .wide = 100}),
      with(
          "clip", "(-2, 3)", [](const Tensor& x) { return clip(x, -2, 3); },
          [](Real x) { return clamp(x, -2, 3); },
          {.domains = {{-5, 5}}, .kinks = {-2, 3}, .whole = true}),
  };
  for (double edge : {0.5, 1.25}) {
    const char* variant = edge == 0.5 ? "" : "1.25";
    ops.push_back(with(
        "hard_shrink", variant, [=](const Tensor& x) { return hard_shrink(x, edge); },
        [=](Real x) { return std::fabs(x) <= edge ? 0 : x; },
        {.kinks = {-edge, edge}, .wide = 1e6}));
    ops.push_back(with(
        "soft_shrink", variant, [=](const Tensor& x) { return soft_shrink(x, edge); },
        [=](Real x) { return std::fabs(x) <= edge ? 0 : x - std::copysign(Real(edge), x); },
        {.kinks = {-edge, edge}, .wide = 1e6}));
    ops.push_back(with(
        "squareplus", variant, [=](const Tensor& x) { return squareplus(x, 8 * edge); },
        [=](Real x) {
          Real root = std::hypot(x, std::sqrt(Real(8 * edge)));
          return x > 0 ? (x + root) / 2 : 4 * edge / (root - x);
        },
        {.ulps = 3, .wide = 1e6}));
  }
  for (double alpha : {1.0, 0.3}) {
    const char* variant = alpha == 1 ? "" : "0.3";
    ops.push_back(with(
        "elu", variant, [=](const Tensor& x) { return elu(x, alpha); },
        [=](Real x) { return elu_of(x, alpha); }, {.kinks = {0}, .ulps = 4, .wide = 80}));
    ops.push_back(with(
        "celu", variant, [=](const Tensor& x) { return celu(x, alpha); },
        [=](Real x) { return x > 0 ? x : alpha * std::expm1(x / alpha); },
        {.kinks = {0}, .ulps = 6, .wide = 80}));
    ops.push_back(with(
        "leaky_relu", variant, [=](const Tensor& x) { return leaky_relu(x, alpha); },
        [=](Real x) { return x > 0 ? x : alpha * x; }, {.kinks = {0}, .ulps = 2, .wide = 1e6}));
  }
  return ops;
}

std::vector<PointwiseOp> arithmetic() {
  return {
      binary("add", add, [](Real x, Real y) { return x + y; }, {.whole = true, .wide = 1e6}),
      binary("subtract", subtract, [](Real x, Real y) { return x - y; },
             {.whole = true, .wide = 1e6}),
      binary("multiply", multiply, [](Real x, Real y) { return x * y; },
             {.whole = true, .wide = 1e6}),
      binary("mul", mul, [](Real x, Real y) { return x * y; }, {.whole = true}),
      binary("divide", divide, [](Real x, Real y) { return x / y; },
             {.domains = {{}, {0.4, 3}}, .wide = 1e6}),
      binary("maximum", maximum, [](Real x, Real y) { return x > y || std::isnan(x) ? x : y; },
             {.ties = true, .whole = true, .wide = 1e6}),
      binary("minimum", minimum, [](Real x, Real y) { return x < y || std::isnan(x) ? x : y; },
             {.ties = true, .whole = true, .wide = 1e6}),
      binary("power", power, [](Real x, Real y) { return std::pow(x, y); },
             {.domains = {{0.2, 3}, {-2, 2}}, .ulps = 1}),
  };
}

std::vector<PointwiseOp> logic() {
  return {
      comparison("equal", equal, [](Real x, Real y) -> Real { return x == y; }),
      comparison("not_equal", not_equal, [](Real x, Real y) -> Real { return x != y; }),
      comparison("less", less, [](Real x, Real y) -> Real { return x < y; }),
      comparison("less_equal", less_equal, [](Real x, Real y) -> Real { return x <= y; }),
      comparison("greater", greater, [](Real x, Real y) -> Real { return x > y; }),
      comparison("greater_equal", greater_equal, [](Real x, Real y) -> Real { return x >= y; }),
      logical("logical_and", logical_and, [](Real x, Real y) -> Real { return x != 0 && y != 0; }),
      logical("logical_or", logical_or, [](Real x, Real y) -> Real { return x != 0 || y != 0; }),
      logical("logical_xor", logical_xor,
              [](Real x, Real y) -> Real { return (x != 0) != (y != 0); }),
      unary("logical_not", logical_not, [](Real x) -> Real { return x == 0; },
            {.domains = {{0, 2, boolean}}, .differentiable = false}),
      question("isnan", isnan, [](Real x) -> Real { return std::isnan(x); }),
      question("isinf", isinf, [](Real x) -> Real { return std::isinf(x); }),
      question("isfinite", isfinite, [](Real x) -> Real { return std::isfinite(x); }),
      {"where",
       "",
       3,
       [](const Inputs& x) { return where(x[0], x[1], x[2]); },
       [](const Real* x) { return x[0] != 0 ? x[1] : x[2]; },
       {.domains = {{0, 2, boolean}, {}}, .wide = 1e6}},
  };
}

}  // namespace

const std::vector<PointwiseOp>& pointwise_table() {
  static const std::vector<PointwiseOp> table = [] {
    std::vector<PointwiseOp> all = elementary();
    for (auto* group : {activations, arithmetic, logic})
      for (PointwiseOp& op : group()) all.push_back(std::move(op));
    return all;
  }();
  return table;
}

}  // namespace keratin::test
