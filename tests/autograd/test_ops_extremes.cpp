// Every pointwise op in float32 at the ends of the number line: each result is of the same class
// (NaN, infinite, finite, zero; and its sign) as the formula's in wide precision, and as near as
// elsewhere. So are the gradients, compared with float64's.
//
// Kernels flush denormals to zero, in and out (core/internal/parallel.h), where they do arithmetic;
// ops that only choose or flip a sign keep them. Either is right here. What differs otherwise is
// listed in excused() below.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cfloat>
#include <cmath>

#include <keratin/core/kernels.h>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

const std::vector<float>& extremes() {
  static const std::vector<float> values = [] {
    std::vector<float> all{NAN};
    for (float x : {0.0f, 1e-40f, FLT_MIN, 1e-30f, 0.5f, 1.0f, 17.5f, 88.7f, 104.0f, 1e4f, 1e30f,
                    FLT_MAX, INFINITY}) {
      all.push_back(x);
      all.push_back(-x);
    }
    return all;
  }();
  return values;
}

// Every combination of the values for each of the inputs.
Inputs combinations(int inputs) {
  auto n = static_cast<std::int64_t>(extremes().size());
  Inputs x;
  for (int i = 0; i < inputs; ++i) {
    Shape shape = Shape::filled(inputs, 1).with(i, n);
    x.push_back(broadcast_to(tensor(extremes(), shape), Shape::filled(inputs, n)).copy());
  }
  return x;
}

Real flushed(Real x) { return std::fabs(x) < FLT_MIN ? std::copysign(Real(0), x) : x; }

// Whether a float is what rounding `expected` may give, up to flushing and a few last places.
bool near(float got, Real expected, double ulps, double floor) {
  auto rounded = static_cast<float>(flushed(expected));
  got = static_cast<float>(flushed(got));
  if (std::isnan(rounded)) return std::isnan(got);
  if (rounded == got) return true;
  if (!std::isfinite(rounded) || !std::isfinite(got)) return false;
  if ((rounded == 0) != (got == 0) && floor == 0) return false;
  float size = std::fmax(std::fabs(rounded), static_cast<float>(floor));
  return std::fabs(got - rounded) <= ulps * std::ldexp(1.0, std::ilogb(size) - 23);
}

// Sigmoid and softplus of -88.7 are denormal, and flushed before they are multiplied. The powers of
// a denormal are neither its own nor those of 0: powf does not work in a mode that flushes. The
// square inside squareplus overflows from 1e19 on, as it does in Keras.
bool excused(const PointwiseOp& op, const Real* x) {
  if (op.op == "squareplus") return std::fabs(x[0]) > 1e19L && std::isfinite(x[0]);
  if (op.op == "silu" || op.op == "mish") return x[0] < -87 && x[0] > -89;
  return op.op == "power" && x[0] != 0 && flushed(x[0]) == 0;
}

// The slope of the cube inside overflows from 1e19 on, and meets a tanh' of 0.
bool gradient_excused(const PointwiseOp& op, const Real* x) {
  return excused(op, x) || (op.variant == "by tanh" && std::fabs(x[0]) > 1e19L);
}

std::string position(std::size_t element, int inputs) {
  std::size_t n = extremes().size();
  std::string text;
  for (int i = 0; i < inputs; ++i) {
    text = fmt::format(" {}", extremes()[element % n]) + text;
    element /= n;
  }
  return text;
}

// Ops whose samples are integers or bools are tested by their tables alone.
bool takes_floats(const PointwiseOp& op) { return op.traits.domains[0].dtype == float64; }

}  // namespace

TEST_CASE("float32 values at the extremes") {
  for (const PointwiseOp& op : pointwise_table()) {
    if (!takes_floats(op)) continue;
    Inputs x = combinations(op.inputs);
    std::vector<float> y = op.call(x).to_vector<float>();
    Arrays inputs;
    for (const Tensor& input : x) inputs.push_back(array_of(input));
    for (std::size_t i = 0; i < y.size(); ++i) {
      Real at[2] = {}, flat[2] = {};
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        at[k] = inputs[k].values[i];
        flat[k] = flushed(at[k]);
      }
      if (excused(op, at)) continue;
      Real expected = op.formula(at);
      bool same = near(y[i], expected, op.traits.ulps, op.traits.floor) ||
                  near(y[i], op.formula(flat), op.traits.ulps, op.traits.floor);
      check(fmt::format("{}{} at{}: {}, expected {}", op.op, op.variant, position(i, op.inputs),
                        y[i], static_cast<float>(expected)),
            same);
    }
  }
}

TEST_CASE("float32 gradients at the extremes are of float64's class") {
  for (const PointwiseOp& op : pointwise_table()) {
    if (!takes_floats(op) || !op.traits.differentiable) continue;
    Inputs x = combinations(op.inputs), wide, flat;
    for (const Tensor& input : x) {
      wide.push_back(input.astype(float64));
      flat.push_back(where(abs(wide.back()) < FLT_MIN, wide.back() * 0, wide.back()));
    }
    Inputs g = gradients(op.call, x, ones_like(x[0]));
    Inputs expected = gradients(op.call, wide, ones_like(wide[0]));
    Inputs of_flat = gradients(op.call, flat, ones_like(wide[0]));
    for (std::size_t k = 0; k < x.size(); ++k) {
      std::vector<float> got = g[k].to_vector<float>();
      std::vector<double> e = expected[k].to_vector<double>(), f = of_flat[k].to_vector<double>();
      for (std::size_t i = 0; i < got.size(); ++i) {
        Real at[2] = {};
        for (std::size_t j = 0; j < x.size(); ++j) at[j] = array_of(wide[j]).values[i];
        if (gradient_excused(op, at)) continue;
        bool same = near(got[i], e[i], 64, 1) || near(got[i], f[i], 64, 1);
        check(fmt::format("{} {} at{}: gradient {}: {}, expected {}", op.op, op.variant,
                          position(i, op.inputs), k, got[i], e[i]),
              same);
      }
    }
  }
}

TEST_CASE("the activations in an LSTM's kernel are within 5e-7 of the truth, and end at 1") {
  // With i closed and f open, h = sigmoid(o) tanh(c).
  const std::int64_t n = 40001;
  const double infinite = std::numeric_limits<double>::infinity();
  Tensor x = linspace(-20, 20, n, float32), open = full({n}, 40.0, float32);
  auto h_of = [&](const Tensor& o, const Tensor& c) {
    Tensor i = -open, f = open, g = zeros_like(open), x[] = {i, f, g, o, c}, y[7];
    for (Tensor& output : y) output = zeros_like(open);
    fn::LstmForward functor;
    kernels_of(o).pointwise(Pointwise::LstmForward, &functor, y, x);
    return y[0];
  };
  Tensor squashed = h_of(open, x), gate = h_of(x, open);
  auto exact = x.to_vector<double>();
  for (std::int64_t j = 0; j < n; ++j) {
    double at = exact[static_cast<std::size_t>(j)];
    REQUIRE(std::abs(squashed.item(j) - std::tanh(at)) < 5e-7);
    REQUIRE(std::abs(gate.item(j) - 1 / (1 + std::exp(-at))) < 5e-7);
  }
  CHECK(max(abs(squashed)).item() == 1);
  CHECK(min(gate).item() >= 0);
  for (Tensor* t : {&x, &open}) *t = slice(*t, {range(0, 1)});
  open = full({1}, infinite, float32);
  CHECK(h_of(open, full({1}, 20.0, float32)).item() == 1);
  CHECK(h_of(-open, full({1}, 2.0, float32)).item() == 0);
  CHECK(std::isnan(h_of(open * 0, full({1}, 2.0, float32)).item()));
}

}  // namespace keratin::test

TEST_SUITE_END();
