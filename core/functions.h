// The scalar functions behind the pointwise ops: one functor each, and nothing else. Their loops,
// SIMD code and derivatives are generated from here (core/cpu/loops.h, core/dual.h).
//
// A functor is a template over its number type: a double, a SIMD batch, a dual number over either,
// or a whole Tensor. What it may call is what core/dual.h has rules for. It is constexpr, so that
// device code may call it.
#pragma once

#include <tuple>

#include <keratin/core/dual.h>

namespace keratin::fn {

// Takes integers to integers; the other functions turn them into floats.
struct Whole {
  static constexpr bool keeps_integers = true;
};

// Takes as long as reading or writing five numbers, which decides how many threads are worth it.
struct Elementary {
  static constexpr int cost = 5;
};

// clang-format off
// --- arithmetic
struct Add      : Whole { constexpr auto operator()(auto x, auto y) const { return x + y; } };
struct Subtract : Whole { constexpr auto operator()(auto x, auto y) const { return x - y; } };
struct Multiply : Whole { constexpr auto operator()(auto x, auto y) const { return x * y; } };
struct Divide   { constexpr auto operator()(auto x, auto y) const { return x / y; } };
struct Maximum  : Whole { constexpr auto operator()(auto x, auto y) const { return maximum(x, y); } };
struct Minimum  : Whole { constexpr auto operator()(auto x, auto y) const { return minimum(x, y); } };
struct Power    : Whole { static constexpr int cost = 60;
                  constexpr auto operator()(auto x, auto y) const { return power(x, y); } };

// --- elementary functions
struct Abs        : Whole { constexpr auto operator()(auto x) const { return abs(x); } };
struct Ceil       : Whole { constexpr auto operator()(auto x) const { return ceil(x); } };
struct Cos        : Elementary { constexpr auto operator()(auto x) const { return cos(x); } };
struct Erf        : Elementary { constexpr auto operator()(auto x) const { return erf(x); } };
struct Exp        : Elementary { constexpr auto operator()(auto x) const { return exp(x); }
                    static constexpr auto vjp(auto y, auto g) { return g * y; } };
struct Expm1      : Elementary { constexpr auto operator()(auto x) const { return expm1(x); } };
struct Floor      : Whole { constexpr auto operator()(auto x) const { return floor(x); } };
struct Log        : Elementary { constexpr auto operator()(auto x) const { return log(x); } };
struct Log10      : Elementary { constexpr auto operator()(auto x) const { return log(x) * 0.43429448190325182765; } };
struct Log1p      : Elementary { constexpr auto operator()(auto x) const { return log1p(x); } };
struct Negative   : Whole { constexpr auto operator()(auto x) const { return -x; } };
struct Reciprocal { constexpr auto operator()(auto x) const { return 1.0 / x; } };
struct Round      : Whole { constexpr auto operator()(auto x) const { return round(x); } };
struct Rsqrt      { constexpr auto operator()(auto x) const { return 1.0 / sqrt(x); } };
struct Sign       : Whole { constexpr auto operator()(auto x) const { return sign(x); } };
struct Sin        : Elementary { constexpr auto operator()(auto x) const { return sin(x); } };
struct Sqrt       { constexpr auto operator()(auto x) const { return sqrt(x); } };
struct Square     : Whole { constexpr auto operator()(auto x) const { return x * x; } };
struct Tanh       : Elementary { constexpr auto operator()(auto x) const { return tanh(x); }
                    static constexpr auto vjp(auto y, auto g) { return g * (1.0 - y * y); } };

// --- activations (keras/src/activations/activations.py, keras/src/backend/numpy/nn.py)

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which does not overflow. The parts have kinks that
// cancel; selected rather than by maximum and abs, they give the right derivatives at 0 as well.
constexpr auto softplus(auto x) { return where(x > 0.0, x, 0.0) + log1p(exp(where(x > 0.0, -x, x))); }

struct Softplus    : Elementary { constexpr auto operator()(auto x) const { return softplus(x); } };
struct LogSigmoid  : Elementary { constexpr auto operator()(auto x) const { return -softplus(-x); } };
struct Mish        : Elementary { constexpr auto operator()(auto x) const { return x * tanh(softplus(x)); } };
struct Sigmoid     : Elementary { constexpr auto operator()(auto x) const { return sigmoid(x); }
                     static constexpr auto vjp(auto y, auto g) { return g * y * (1.0 - y); } };
struct Silu        : Elementary { constexpr auto operator()(auto x) const { return x * sigmoid(x); } };
struct Softsign    { constexpr auto operator()(auto x) const { return x / (1.0 + abs(x)); } };

// Kinks: the derivative at each is that of the flat side.
struct Relu        { constexpr auto operator()(auto x) const { return where(x <= 0.0, 0.0, x); }
                     static constexpr auto vjp(auto y, auto g) { return where(y <= 0.0, 0.0, g); } };
struct Relu6       { constexpr auto operator()(auto x) const { return where(x <= 0.0, 0.0, where(x >= 6.0, 6.0, x)); } };
struct HardSigmoid { constexpr auto operator()(auto x) const { return Relu6{}(x + 3.0) / 6.0; } };
struct HardSilu    { constexpr auto operator()(auto x) const { return x * HardSigmoid{}(x); } };
struct HardTanh    { constexpr auto operator()(auto x) const { return where(x < -1.0, -1.0, where(x > 1.0, 1.0, x)); } };

// Kinks: flat at -1 and at 1. SparsePlus, whose slope this is, has none.
struct SparseSigmoid { constexpr auto operator()(auto x) const { return where(x <= -1.0, 0.0, where(x >= 1.0, 1.0, 0.5 * (x + 1.0))); } };
struct SparsePlus  { constexpr auto operator()(auto x) const { auto s = SparseSigmoid{}(x); return where(x >= 1.0, x, s * s); } };

// min(x, 0) with slope 1 at 0. The exponential of an ELU sees only this, so that it cannot overflow.
constexpr auto negative_part(auto x) { return where(x > 0.0, 0.0, x); }

struct Elu         { double alpha = 1; static constexpr int cost = 5;
                     constexpr auto operator()(auto x) const { return where(x > 0.0, x, alpha * expm1(negative_part(x))); } };
struct Celu        { double alpha = 1; static constexpr int cost = 5;
                     constexpr auto operator()(auto x) const { return where(x > 0.0, x, alpha * expm1(negative_part(x) / alpha)); } };
struct Selu        : Elementary { constexpr auto operator()(auto x) const { return 1.0507009873554804934193349852946 * Elu{1.6732632423543772848170429916717}(x); } };
struct LeakyRelu   { double negative_slope = 0.2;
                     constexpr auto operator()(auto x) const { return where(x > 0.0, x, negative_slope * x); } };
struct GeluErf     : Elementary { constexpr auto operator()(auto x) const { return 0.5 * x * (1.0 + erf(x * 0.70710678118654752)); } };
struct GeluTanh    : Elementary { constexpr auto operator()(auto x) const { return 0.5 * x * (1.0 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))); } };

// Inside the bounds, and on them, the derivative is 1.
struct Clip        : Whole { double low, high;
                     constexpr auto operator()(auto x) const { return where(x < low, low, where(x > high, high, x)); } };

// A term of the crossentropy, of the probability p / sum; away from 0 and 1, where the logarithm or
// its derivative would be infinite (keras/src/backend/jax/nn.py).
struct CrossEntropy : Elementary { static constexpr double epsilon = 1e-7;  // Keras's
                     constexpr auto operator()(auto y, auto p, auto sum) const { return -y * log(Clip{{}, epsilon, 1 - epsilon}(p / sum)); } };

// Jumps and kinks: the derivative there is 0. NaN is neither small nor replaced.
struct Threshold   { double threshold, default_value;
                     constexpr auto operator()(auto x) const { return where(x <= threshold, default_value, x); } };
struct HardShrink  { double threshold = 0.5;
                     constexpr auto operator()(auto x) const { return where(abs(x) <= threshold, 0.0, x); } };
struct SoftShrink  { double threshold = 0.5;
                     constexpr auto operator()(auto x) const { return x - Clip{{}, -threshold, threshold}(x); } };

// f(x) = (x + sqrt(x^2 + b)) / 2 cancels where x is negative; there f(x) = b / 4 / f(-x) does not.
struct Squareplus  { double b = 4;
                     constexpr auto operator()(auto x) const {
                       auto size = where(x > 0.0, x, -x);
                       auto upper = 0.5 * (size + sqrt(size * size + b));
                       return where(x > 0.0, upper, 0.25 * b / upper);
                     } };
// clang-format on

// --- steps of recurrent cells (keras/src/layers/rnn), as autograd/scan.cpp runs them. The layers
// state the same formulas as ops, and the tests hold the two against each other. A step forward
// also gives what the step backward reads, because computing the activations again takes 2.5 times
// as long. In float32 the activations err by up to 5e-7 and take half the time of the ops.

/// The gates (i, f, g, o) of an LSTM before activation and its cell state c give
/// (h, c, i, f, g, o, tanh c), the gates activated.
struct LstmForward {
  [[gnu::always_inline]] constexpr auto operator()(auto i, auto f, auto g, auto o, auto c) const {
    auto si = quick_sigmoid(i), sf = quick_sigmoid(f), so = quick_sigmoid(o);
    auto tg = quick_tanh(g), c1 = sf * c + si * tg, tc = quick_tanh(c1);
    return std::tuple(so * tc, c1, si, sf, tg, so, tc);
  }
};

/// The gradients with respect to c and to (i, f, g, o) before activation.
struct LstmBackward {
  constexpr auto operator()(auto i, auto f, auto g, auto o, auto tc, auto c, auto gh,
                            auto gc) const {
    auto gc1 = gc + gh * o * (1.0 - tc * tc);
    return std::tuple(gc1 * f, gc1 * g * i * (1.0 - i), gc1 * c * f * (1.0 - f),
                      gc1 * i * (1.0 - g * g), gh * tc * o * (1.0 - o));
  }
};

/// A GRU with reset_after: the inputs' share and the state's share of the gates (z, r, n) and the
/// state h give (h, z, r, n), the gates activated.
struct GruForward {
  constexpr auto operator()(auto xz, auto xr, auto xn, auto hz, auto hr, auto hn, auto h) const {
    auto z = quick_sigmoid(xz + hz), r = quick_sigmoid(xr + hr), n = quick_tanh(xn + r * hn);
    return std::tuple(z * h + (1.0 - z) * n, z, r, n);
  }
};

/// The gradients with respect to h, to (xz, xr, xn) and to (hz, hr, hn).
struct GruBackward {
  constexpr auto operator()(auto z, auto r, auto n, auto hn, auto h, auto g) const {
    auto gn = g * (1.0 - z) * (1.0 - n * n);
    auto gz = g * (h - n) * z * (1.0 - z), gr = gn * hn * r * (1.0 - r);
    return std::tuple(g * z, gz, gr, gn, gz, gr, gn * r);
  }
};

/// A GRU whose reset gate acts before the recurrent product: the gates (z, r) before activation and
/// the state h give (r h, z, r), the gates activated.
struct GruGatesForward {
  constexpr auto operator()(auto z, auto r, auto h) const {
    auto sr = quick_sigmoid(r);
    return std::tuple(sr * h, quick_sigmoid(z), sr);
  }
};

/// Then z, the candidate n before activation and h give (h, n).
struct GruCandidateForward {
  constexpr auto operator()(auto z, auto n, auto h) const {
    auto tn = quick_tanh(n);
    return std::tuple(z * h + (1.0 - z) * tn, tn);
  }
};

/// The gradients with respect to h, and to z and n before activation.
struct GruCandidateBackward {
  constexpr auto operator()(auto z, auto n, auto h, auto g) const {
    return std::tuple(g * z, g * (h - n) * z * (1.0 - z), g * (1.0 - z) * (1.0 - n * n));
  }
};

/// Given the gradient of r h: those with respect to h, added to gh, and to r before activation.
struct GruResetBackward {
  constexpr auto operator()(auto r, auto h, auto grh, auto gh) const {
    return std::tuple(gh + grh * r, grh * h * r * (1.0 - r));
  }
};

// --- optimizer steps (keras/src/optimizers): the new weight first, then the new slots

struct SgdStep {
  double learning_rate;
  constexpr auto operator()(auto w, auto g) const { return w - learning_rate * g; }
};

struct MomentumStep {
  double learning_rate, momentum;
  constexpr auto operator()(auto w, auto m, auto g) const {
    auto m1 = momentum * m - learning_rate * g;
    return std::tuple(w + m1, m1);
  }
};

struct NesterovStep {
  double learning_rate, momentum;
  constexpr auto operator()(auto w, auto m, auto g) const {
    auto m1 = momentum * m - learning_rate * g;
    return std::tuple(w + momentum * m1 - learning_rate * g, m1);
  }
};

struct RmspropStep {
  double learning_rate, rho, epsilon;
  constexpr auto operator()(auto w, auto v, auto g) const {
    auto v1 = rho * v + (1.0 - rho) * (g * g);
    return std::tuple(w - learning_rate * g / sqrt(v1 + epsilon), v1);
  }
};

struct AdamStep {
  double alpha, beta_1, beta_2, epsilon;  // alpha: the learning rate after bias correction
  constexpr auto operator()(auto w, auto m, auto v, auto g) const {
    auto m1 = m + (g - m) * (1.0 - beta_1);
    auto v1 = v + (g * g - v) * (1.0 - beta_2);
    return std::tuple(w - m1 * alpha / (sqrt(v1) + epsilon), m1, v1);
  }
};

struct AmsgradStep {
  double alpha, beta_1, beta_2, epsilon;
  constexpr auto operator()(auto w, auto m, auto v, auto v_hat, auto g) const {
    auto m1 = m + (g - m) * (1.0 - beta_1);
    auto v1 = v + (g * g - v) * (1.0 - beta_2);
    auto v_hat1 = maximum(v_hat, v1);
    return std::tuple(w - m1 * alpha / (sqrt(v_hat1) + epsilon), m1, v1, v_hat1);
  }
};

}  // namespace keratin::fn
