// The pointwise ops of random graphs.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <keratin/core/create.h>

#include "random_graph.h"

namespace keratin::test {
namespace {

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

// --- pointwise

using Derivatives = std::array<double, 3>;  // f and its first two derivatives

struct Unary {
  const char* name;
  Tensor (*call)(const Tensor&);
  Derivatives (*f)(double);
  double low = -100, high = 100;  // where it may be evaluated
  double kink = NAN;
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
Derivatives of_tanh(double x) {
  double t = std::tanh(x);
  return {t, 1 - t * t, -2 * t * (1 - t * t)};
}
Derivatives of_sigmoid(double x) {
  double s = logistic(x), d = s * (1 - s);
  return {s, d, d * (1 - 2 * s)};
}
Derivatives of_exp(double x) { return {std::exp(x), std::exp(x), std::exp(x)}; }
Derivatives of_log(double x) { return {std::log(x), 1 / x, -1 / (x * x)}; }
Derivatives of_power(double x, double p) {
  return {std::pow(x, p), p * std::pow(x, p - 1), p * (p - 1) * std::pow(x, p - 2)};
}
Derivatives of_softplus(double x) {
  double s = logistic(x);
  return {std::log1p(std::exp(-std::fabs(x))) + std::max(x, 0.0), s, s * (1 - s)};
}
Derivatives of_silu(double x) {
  double s = logistic(x), d = s * (1 - s);
  return {x * s, s + x * d, d * (2 + x * (1 - 2 * s))};
}
Derivatives of_gelu(double x) {
  double density = std::exp(-x * x / 2) * 0.3989422804014326779;
  double below = std::erfc(-x * 0.7071067811865475244) / 2;
  return {x * below, below + x * density, density * (2 - x * x)};
}
Derivatives of_erf(double x) {
  double d = std::exp(-x * x) * 1.1283791670955125739;
  return {std::erf(x), d, -2 * x * d};
}
Derivatives of_elu(double x) {
  if (x > 0) return {x, 1, 0};
  return {std::expm1(x), std::exp(x), std::exp(x)};
}

const std::vector<Unary>& unaries() {
  static const std::vector<Unary> table = {
      {"tanh", tanh, of_tanh},
      {"sigmoid", sigmoid, of_sigmoid},
      {"exp", exp, of_exp, -20, 3},
      {"expm1", expm1,
       [](double x) {
         return Derivatives{std::expm1(x), std::exp(x), std::exp(x)};
       },
       -20, 3},
      {"sin", sin,
       [](double x) {
         return Derivatives{std::sin(x), std::cos(x), -std::sin(x)};
       }},
      {"cos", cos,
       [](double x) {
         return Derivatives{std::cos(x), -std::sin(x), -std::cos(x)};
       }},
      {"square", square,
       [](double x) {
         return Derivatives{x * x, 2 * x, 2};
       }},
      {"negative", negative,
       [](double x) {
         return Derivatives{-x, -1, 0};
       }},
      {"softplus", softplus, of_softplus},
      {"silu", silu, of_silu},
      {"gelu", [](const Tensor& x) { return gelu(x, false); }, of_gelu},
      {"erf", erf, of_erf},
      {"log", log, of_log, 0.2},
      {"log10", log10,
       [](double x) {
         Derivatives d = of_log(x);
         for (double& part : d) part /= 2.3025850929940456840;
         return d;
       },
       0.2},
      {"log1p", log1p,
       [](double x) {
         Derivatives d = of_log(1 + x);
         d[0] = std::log1p(x);
         return d;
       },
       -0.7},
      {"sqrt", sqrt, [](double x) { return of_power(x, 0.5); }, 0.1},
      {"rsqrt", rsqrt, [](double x) { return of_power(x, -0.5); }, 0.2},
      {"reciprocal", reciprocal,
       [](double x) {
         return Derivatives{1 / x, -1 / (x * x), 2 / (x * x * x)};
       },
       0.3},
      {"abs", abs,
       [](double x) {
         return Derivatives{std::fabs(x), x < 0 ? -1.0 : 1.0, 0};
       },
       -100, 100, 0},
      {"relu", relu,
       [](double x) {
         return Derivatives{x > 0 ? x : 0, x > 0 ? 1.0 : 0.0, 0};
       },
       -100, 100, 0},
      {"elu", [](const Tensor& x) { return elu(x); }, of_elu, -100, 100, 0},
  };
  return table;
}

Jet through(const Jet& x, const Derivatives& d) { return chain(x, d[0], d[1], d[2]); }

bool far_from(const Graph& graph, int x, double kink) {
  return std::isnan(kink) || graph.distance(x, kink) > 0.02;
}

bool add_unary(Graph& graph) {
  const Unary& op = unaries()[at(graph.dice.below(static_cast<int>(unaries().size())))];
  int x = graph.any();
  if (graph.smallest(x) < op.low || graph.largest(x) > op.high || !far_from(graph, x, op.kink))
    return false;
  return graph.add(
      op.name, "", {x}, [&op](const Tensors& in) { return op.call(in[0]); },
      [&op](const JetArrays& in) {
        JetArray y = in[0];
        for (Jet& jet : y.values) jet = through(jet, op.f(jet.v));
        return y;
      });
}

struct Binary {
  const char* name;
  Tensor (*call)(const Tensor&, const Tensor&);
  Jet (*f)(const Jet&, const Jet&);
};

Jet quotient(const Jet& x, const Jet& y) {
  return x * chain(y, 1 / y.v, -1 / (y.v * y.v), 2 / (y.v * y.v * y.v));
}
Jet raised(const Jet& x, const Jet& y) {
  return through(y * through(x, of_log(x.v)), of_exp(y.v * std::log(x.v)));
}
Jet sum_of(const Jet& x, const Jet& y) { return x + y; }
Jet difference(const Jet& x, const Jet& y) { return x - y; }
Jet product(const Jet& x, const Jet& y) { return x * y; }
Jet larger(const Jet& x, const Jet& y) { return x.v > y.v ? x : y; }
Jet smaller(const Jet& x, const Jet& y) { return x.v < y.v ? x : y; }

constexpr Binary binaries[] = {
    {"add", add, sum_of},
    {"subtract", subtract, difference},
    {"multiply", multiply, product},
    {"multiply", mul, product},
    {"divide", divide, quotient},
    {"maximum", maximum, larger},
    {"minimum", minimum, smaller},
    {"power", power, raised},
};

// Whether f is smooth at these operands, and they are where it may be evaluated.
bool is_smooth(const Binary& op, const JetArray& x, const JetArray& y, const Shape& shape) {
  bool smooth = true;
  for_places(shape, [&](const Place& place) {
    double a = x.at(place).v, b = y.at(place).v;
    if (op.call == divide) smooth &= std::fabs(b) > 0.3;
    if (op.call == power) smooth &= a > 0.2;
    if (op.call == maximum || op.call == minimum) smooth &= std::fabs(a - b) > 0.02;
  });
  return smooth;
}

JetArray combined(const Binary& op, const JetArray& x, const JetArray& y) {
  return jets(*broadcast(x.shape, y.shape),
              [&](const Place& place) { return op.f(x.at(place), y.at(place)); });
}

bool add_binary(Graph& graph) {
  const Binary& op = binaries[graph.dice.below(std::size(binaries))];
  int x = graph.any();
  std::optional<int> y = graph.partner(x);
  if (!y || !is_smooth(op, graph.at(x), graph.at(*y), *broadcast(graph.shape(x), graph.shape(*y))))
    return false;
  return graph.add(
      op.name, "", {x, *y}, [&op](const Tensors& in) { return op.call(in[0], in[1]); },
      [&op](const JetArrays& in) { return combined(op, in[0], in[1]); });
}

// With a plain number, or a constant tensor of whole numbers, on one side.
bool add_binary_with_constant(Graph& graph) {
  const Binary& op = binaries[graph.dice.below(std::size(binaries))];
  int x = graph.any();
  bool is_tensor = graph.dice.chance(0.3), left = graph.dice.chance(0.5);
  double number =
      is_tensor || graph.dice.chance(0.3) ? 1 + graph.dice.below(3) : graph.dice.number(-2, 2);
  Tensor constant = is_tensor                      ? full(graph.shape(x), number, int32)
                    : number == std::trunc(number) ? Tensor(static_cast<int>(number))
                                                   : Tensor(number);
  JetArray known{{}, {Jet{.v = number}}};
  const JetArray &a = left ? known : graph.at(x), &b = left ? graph.at(x) : known;
  if (!is_smooth(op, a, b, graph.shape(x))) return false;
  return graph.add(
      op.name,
      fmt::format("{} {} {}", is_tensor ? "int32" : "number", number, left ? "left" : "right"), {x},
      [=, &op](const Tensors& in) {
        return left ? op.call(constant, in[0]) : op.call(in[0], constant);
      },
      [=, &op](const JetArrays& in) {
        return left ? combined(op, known, in[0]) : combined(op, in[0], known);
      });
}

}  // namespace

const std::vector<AddOp>& pointwise_ops() {
  static const std::vector<AddOp> ops = {add_unary, add_binary, add_binary_with_constant};
  return ops;
}

}  // namespace keratin::test
