// The one place where derivatives are stated: core/dual.h's rules against calculus, and every
// functor of core/catalogue.def: its kernel, and its two backward passes, against the functor run
// on dual numbers over double.

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include <keratin/autograd/internal/cross_entropy.h>
#include <keratin/core/kernels.h>

#include "autograd/op_table.h"

TEST_SUITE_BEGIN("kernels");

namespace keratin::fn {

// The steps of recurrent cells as their papers state them.
struct LstmFormula {
  auto operator()(auto i, auto f, auto g, auto o, auto c) const {
    auto c1 = sigmoid(f) * c + sigmoid(i) * tanh(g);
    return std::tuple(sigmoid(o) * tanh(c1), c1);
  }
};
struct GruFormula {
  auto operator()(auto xz, auto xr, auto xn, auto hz, auto hr, auto hn, auto h) const {
    auto z = sigmoid(xz + hz);
    return z * h + (1.0 - z) * tanh(xn + sigmoid(xr + hr) * hn);
  }
};
struct CandidateFormula {
  auto operator()(auto z, auto n, auto h) const {
    return sigmoid(z) * h + (1.0 - sigmoid(z)) * tanh(n);
  }
};
struct ResetFormula {
  auto operator()(auto r, auto h) const { return sigmoid(r) * h; }
};

}  // namespace keratin::fn

namespace keratin::test {
namespace {

using Dual = fn::Dual<double>;
using Call = std::function<Tensor(const Inputs&)>;
constexpr Tolerance close{.relative = 1e-12, .floor = 1e-3};

// Thirteen points in (-2, 2) for each input.
Inputs points(std::size_t inputs, DType dtype = float64) {
  Inputs x;
  for (std::size_t i = 0; i < inputs; ++i)
    x.push_back((random_like(zeros({13}), static_cast<unsigned>(31 + i)) * 2).astype(dtype));
  return x;
}

std::vector<double> column(const Inputs& x, std::int64_t point) {
  std::vector<double> values;
  for (const Tensor& input : x) values.push_back(input.item(point));
  return values;
}

// A rule's value and derivative at x, against what calculus says.
void check_rule(const char* name, Dual (*f)(const Dual&), Real (*derivative)(Real)) {
  for (double x : {-1.9, -0.7, 0.1, 0.6, 1.3, 2.6}) {
    Tensor got = tensor(std::vector<double>{f(Dual(x, 3)).d}, {1});
    Array expected{{1}, {3 * derivative(x)}};
    check("dual " + std::string(name) + " at " + std::to_string(x), got, expected, close);
  }
}

// The gradients of call = f elementwise against f on dual numbers.
template <class F, std::size_t... I>
void check_functor(const std::string& name, const F& f, const Call& call,
                   std::index_sequence<I...> all) {
  Inputs x = points(sizeof...(I));
  Tensor y = call(x), g = random_like(y, 5);
  Inputs fused = gradients(call, x, g), composed = gradients(call, x, g, true);
  std::vector<std::vector<double>> expected(sizeof...(I));
  std::vector<double> values;
  for (std::int64_t j = 0; j < 13; ++j) {
    std::vector<double> at = column(x, j);
    double upstream = g.item(j);
    values.push_back(f(at[I]...));
    (expected[I].push_back(fn::pull_back<I>(f, at.data(), &upstream, all)), ...);
  }
  check(name + ": kernel", y, tensor(values), close);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    check(name + ": fused backward, input " + std::to_string(i), fused[i], tensor(expected[i]),
          close);
    check(name + ": composed backward, input " + std::to_string(i), composed[i],
          tensor(expected[i]), close);
  }
}

template <class F>
void check_functor(const std::string& name, const F& f, const Call& call) {
  check_functor(name, f, call, std::make_index_sequence<fn::inputs_of<F>>{});
}

// A derivative in terms of the output against the derived one.
template <class F>
void check_output_vjp(const std::string& name) {
  if constexpr (fn::has_output_vjp<F>) {
    F f;
    std::vector<double> stated, derived;
    for (double x : {-30.0, -2.0, -0.5, -1e-3, 1e-3, 0.5, 2.0, 30.0}) {
      Dual y = f(Dual(x, 1));
      stated.push_back(F::vjp(y.v, 1.7));
      derived.push_back(1.7 * y.d);
    }
    check(name + ": vjp from the output", tensor(stated), tensor(derived), close);
  }
}

// The values that a device's loop gives for a functor without an op of its own.
template <class F, std::size_t... I, std::size_t... O>
void check_kernel(const std::string& name, const F& f, std::index_sequence<I...>,
                  std::index_sequence<O...>) {
  for (DType dtype : {float32, float64}) {
    Inputs x = points(sizeof...(I), dtype), y;
    x[std::min<std::size_t>(2, x.size() - 1)] = abs(x[std::min<std::size_t>(2, x.size() - 1)]);
    for (std::size_t o = 0; o < sizeof...(O); ++o) y.push_back(zeros({13}, dtype));
    kernels_of(y[0]).pointwise(pointwise_id<F>, &f, y, x);
    std::vector<std::vector<double>> expected(sizeof...(O));
    for (std::int64_t j = 0; j < 13; ++j) {
      std::vector<double> at = column(x, j);
      if constexpr (sizeof...(O) == 1) {
        expected[0].push_back(f(at[I]...));
      } else {
        auto results = f(at[I]...);
        (expected[O].push_back(std::get<O>(results)), ...);
      }
    }
    for (std::size_t o = 0; o < expected.size(); ++o)
      check(name + ": output " + std::to_string(o), y[o], array_of(tensor(expected[o])),
            dtype == float64 ? close : Tolerance{.floor = 1, .ulps = 16});
  }
}

template <class F>
void check_kernel(const std::string& name, const F& f) {
  check_kernel(name, f, std::make_index_sequence<fn::inputs_of<F>>{},
               std::make_index_sequence<fn::outputs_of<F>>{});
}

Call one(Tensor (*op)(const Tensor&)) {
  return [op](const Inputs& x) { return op(x[0]); };
}
Call two(Tensor (*op)(const Tensor&, const Tensor&)) {
  return [op](const Inputs& x) { return op(x[0], x[1]); };
}

// Vectors side by side as columns.
}  // namespace

TEST_CASE("the rules of core/dual.h are those of calculus") {
  check_rule(
      "-x", [](const Dual& x) { return -x; }, [](Real) { return Real(-1); });
  check_rule(
      "x + x", [](const Dual& x) { return x + x; }, [](Real) { return Real(2); });
  check_rule(
      "x + 1", [](const Dual& x) { return 1.0 + (x + 1.0); }, [](Real) { return Real(1); });
  check_rule(
      "x - 2x", [](const Dual& x) { return x - 2.0 * x; }, [](Real) { return Real(-1); });
  check_rule(
      "1 - x", [](const Dual& x) { return 1.0 - (x - 1.0); }, [](Real) { return Real(-1); });
  check_rule(
      "x x", [](const Dual& x) { return x * x; }, [](Real x) { return 2 * x; });
  check_rule(
      "x 3", [](const Dual& x) { return x * 3.0; }, [](Real) { return Real(3); });
  check_rule(
      "x / (1 + x x)", [](const Dual& x) { return x / (1.0 + x * x); },
      [](Real x) { return (1 - x * x) / ((1 + x * x) * (1 + x * x)); });
  check_rule(
      "x / 3", [](const Dual& x) { return x / 3.0; }, [](Real) { return Real(1) / 3; });
  check_rule(
      "1 / x", [](const Dual& x) { return 1.0 / x; }, [](Real x) { return -1 / (x * x); });
  check_rule(
      "exp", [](const Dual& x) { return exp(x); }, [](Real x) { return std::exp(x); });
  check_rule(
      "expm1", [](const Dual& x) { return expm1(x); }, [](Real x) { return std::exp(x); });
  check_rule(
      "log", [](const Dual& x) { return log(x * x); }, [](Real x) { return 2 / x; });
  check_rule(
      "log1p", [](const Dual& x) { return log1p(x * x); },
      [](Real x) { return 2 * x / (1 + x * x); });
  check_rule(
      "sqrt", [](const Dual& x) { return sqrt(x * x + 1.0); },
      [](Real x) { return x / std::sqrt(x * x + 1); });
  check_rule(
      "tanh", [](const Dual& x) { return tanh(x); },
      [](Real x) { return 1 / (std::cosh(x) * std::cosh(x)); });
  check_rule(
      "sigmoid", [](const Dual& x) { return sigmoid(x); },
      [](Real x) { return 1 / (2 + std::exp(x) + std::exp(-x)); });
  check_rule(
      "sin", [](const Dual& x) { return sin(x); }, [](Real x) { return std::cos(x); });
  check_rule(
      "cos", [](const Dual& x) { return cos(x); }, [](Real x) { return -std::sin(x); });
  check_rule(
      "erf", [](const Dual& x) { return erf(x); },
      [](Real x) { return 1.128379167095512573896158903121545L * std::exp(-x * x); });
  check_rule(
      "abs", [](const Dual& x) { return abs(x); }, [](Real x) -> Real { return x < 0 ? -1 : 1; });
  for (auto* flat :
       {+[](const Dual& x) { return sign(x); }, +[](const Dual& x) { return floor(x); },
        +[](const Dual& x) { return ceil(x); }, +[](const Dual& x) { return round(x); }})
    check_rule("a step function", flat, [](Real) { return Real(0); });
  check_rule(
      "x^2.5", [](const Dual& x) { return power(abs(x), 2.5); },
      [](Real x) { return std::copysign(2.5L * std::pow(std::fabs(x), 1.5L), x); });
  check_rule(
      "2.5^x", [](const Dual& x) { return power(2.5, x); },
      [](Real x) { return std::pow(2.5L, x) * std::log(2.5L); });
  check_rule(
      "|x|^x", [](const Dual& x) { return power(abs(x), x); },
      [](Real x) { return std::pow(std::fabs(x), x) * (std::log(std::fabs(x)) + 1); });
  check_rule(
      "maximum", [](const Dual& x) { return maximum(x, 0.5) + maximum(-0.2, x) + maximum(x, -x); },
      [](Real x) -> Real { return (x > 0.5L) + (x > -0.2L) + (x > 0 ? 1 : -1); });
  check_rule(
      "minimum", [](const Dual& x) { return minimum(x, 0.5) + minimum(-0.2, x) + minimum(x, -x); },
      [](Real x) -> Real { return (x < 0.5L) + (x < -0.2L) + (x < 0 ? 1 : -1); });
  check_rule(
      "where", [](const Dual& x) { return where(x > 0.0, x * x, x) + where(x < 0.5, 1.0, x); },
      [](Real x) -> Real { return (x > 0 ? 2 * x : 1) + (x < 0.5L ? 0 : 1); });
}

TEST_CASE("every functor's backward passes agree with dual numbers") {
#define KERATIN_UNARY(name, Functor)                       \
  check_functor(#name, fn::Functor{}, one(keratin::name)); \
  check_output_vjp<fn::Functor>(#name);
#define KERATIN_BINARY(name, Functor) check_functor(#name, fn::Functor{}, two(keratin::name));
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#include <keratin/core/catalogue.def>
  check_functor("add", fn::Add{}, two(add));
  check_functor("subtract", fn::Subtract{}, two(subtract));
  check_functor("celu", fn::Celu{0.7}, [](const Inputs& x) { return celu(x[0], 0.7); });
  check_functor("elu", fn::Elu{0.7}, [](const Inputs& x) { return elu(x[0], 0.7); });
  check_functor("leaky_relu", fn::LeakyRelu{0.3},
                [](const Inputs& x) { return leaky_relu(x[0], 0.3); });
  check_functor("hard_shrink", fn::HardShrink{0.3},
                [](const Inputs& x) { return hard_shrink(x[0], 0.3); });
  check_functor("soft_shrink", fn::SoftShrink{0.3},
                [](const Inputs& x) { return soft_shrink(x[0], 0.3); });
  check_functor("squareplus", fn::Squareplus{0.7},
                [](const Inputs& x) { return squareplus(x[0], 0.7); });
  check_functor("threshold", fn::Threshold{0.3, -2},
                [](const Inputs& x) { return threshold(x[0], 0.3, -2); });
  check_functor("gelu exact", fn::GeluErf{}, [](const Inputs& x) { return gelu(x[0], false); });
  check_functor("gelu by tanh", fn::GeluTanh{}, [](const Inputs& x) { return gelu(x[0]); });
  check_functor("cross_entropy", fn::CrossEntropy{},
                [](const Inputs& x) { return cross_entropy(x[0], x[1], x[2]); });
  check_functor("clip", fn::Clip{{}, -0.5, 1}, [](const Inputs& x) { return clip(x[0], -0.5, 1); });
}

// The gradients that a step of a recurrent cell states by hand against those of its formula.
template <class Forward, std::size_t outputs, std::size_t... I>
std::vector<double> derived(Forward forward, const std::vector<double>& x,
                            std::array<double, outputs> g, std::index_sequence<I...> all) {
  return {fn::pull_back<I>(forward, x.data(), g.data(), all)...};
}

void check_by_hand(const std::string& what, const std::vector<double>& by_hand,
                   const std::vector<double>& expected) {
  check(what, tensor(by_hand), tensor(expected), close);
}

TEST_CASE("the steps of recurrent cells backward are the derivatives of their formulas") {
  const fn::LstmFormula lstm;
  const fn::GruFormula gru;
  const fn::CandidateFormula candidate;
  const fn::ResetFormula reset;
  Inputs x = points(7), g = points(9);
  for (std::int64_t j = 0; j < 13; ++j) {
    std::vector<double> v = column(x, j), up{g[7].item(j), g[8].item(j)};
    {
      auto [h, c1, i, f, n, o, tc] = fn::LstmForward{}(v[0], v[1], v[2], v[3], v[4]);
      auto [gc, gi, gf, gn, go] = fn::LstmBackward{}(i, f, n, o, tc, v[4], up[0], up[1]);
      check_by_hand("LstmBackward", {gi, gf, gn, go, gc},
                    derived(lstm, v, std::array{up[0], up[1]}, std::make_index_sequence<5>{}));
      check("LstmForward", h == std::get<0>(lstm(v[0], v[1], v[2], v[3], v[4])) &&
                               c1 == std::get<1>(lstm(v[0], v[1], v[2], v[3], v[4])));
    }
    {
      auto [h, z, r, n] = fn::GruForward{}(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
      auto [gh, gxz, gxr, gxn, ghz, ghr, ghn] = fn::GruBackward{}(z, r, n, v[5], v[6], up[0]);
      check_by_hand("GruBackward", {gxz, gxr, gxn, ghz, ghr, ghn, gh},
                    derived(gru, v, std::array{up[0]}, std::make_index_sequence<7>{}));
      check("GruForward", h == gru(v[0], v[1], v[2], v[3], v[4], v[5], v[6]));
    }
    {
      auto [rh, z, r] = fn::GruGatesForward{}(v[0], v[1], v[2]);
      auto [h, n] = fn::GruCandidateForward{}(z, v[3], v[2]);
      auto [gh, gz, gn] = fn::GruCandidateBackward{}(z, n, v[2], up[0]);
      check_by_hand(
          "GruCandidateBackward", {gz, gn, gh},
          derived(candidate, {v[0], v[3], v[2]}, std::array{up[0]}, std::make_index_sequence<3>{}));
      auto [more, gr] = fn::GruResetBackward{}(r, v[2], up[1], 0.25);
      std::vector<double> expected =
          derived(reset, {v[1], v[2]}, std::array{up[1]}, std::make_index_sequence<2>{});
      check_by_hand("GruResetBackward", {gr, more}, {expected[0], expected[1] + 0.25});
      check("GruGatesForward", rh == reset(v[1], v[2]) && h == candidate(v[0], v[3], v[2]));
    }
  }
}

TEST_CASE("kernels of functors without an op give the functor's values") {
  std::set<std::string> tested;
#define CHECK_STEP(Functor, ...) \
  check_kernel(#Functor, fn::Functor{__VA_ARGS__}), tested.insert(#Functor)
  CHECK_STEP(SgdStep, 0.1);
  CHECK_STEP(MomentumStep, 0.1, 0.9);
  CHECK_STEP(NesterovStep, 0.1, 0.9);
  CHECK_STEP(AdamStep, 0.1, 0.9, 0.99, 1e-3);
  CHECK_STEP(AmsgradStep, 0.1, 0.9, 0.99, 1e-3);
  CHECK_STEP(RmspropStep, 0.1, 0.9, 1e-3);
  CHECK_STEP(GruBackward, );
  CHECK_STEP(GruCandidateBackward, );
  CHECK_STEP(GruCandidateForward, );
  CHECK_STEP(GruForward, );
  CHECK_STEP(GruGatesForward, );
  CHECK_STEP(GruResetBackward, );
  CHECK_STEP(LstmBackward, );
  CHECK_STEP(LstmForward, );
#undef CHECK_STEP
  std::set<std::string> listed;
#define KERATIN_UNARY(name, Functor)
#define KERATIN_BINARY(name, Functor)
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor) listed.insert(#Functor);
#include <keratin/core/catalogue.def>
  CHECK(tested == listed);
}

TEST_CASE("a functor's number of inputs and outputs is read from its call operator") {
  CHECK(fn::inputs_of<fn::Exp> == 1);
  CHECK(fn::inputs_of<fn::Power> == 2);
  CHECK(fn::inputs_of<fn::GruForward> == 7);
  CHECK(fn::outputs_of<fn::Exp> == 1);
  CHECK(fn::outputs_of<fn::GruGatesForward> == 3);
  CHECK(fn::outputs_of<fn::LstmForward> == 7);
  CHECK(fn::has_output_vjp<fn::Tanh>);
  CHECK(!fn::has_output_vjp<fn::Sin>);
}

}  // namespace keratin::test

TEST_SUITE_END();
