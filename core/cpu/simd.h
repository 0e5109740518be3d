// A batch of floats for the scalar functions to run on: xsimd's batch, with the vocabulary of
// core/dual.h. The architecture is part of every type's name, so that code for one instruction set
// can never be linked in place of another's.
#pragma once

#include <cmath>
#include <xsimd/xsimd.hpp>

namespace keratin::fn {

template <class Arch>
struct Simd {
  using Batch = xsimd::batch<float, Arch>;
  using Mask = typename Batch::batch_bool_type;
  static constexpr int width = Batch::size;

  Batch b;

  Simd() = default;
  Simd(Batch batch) : b(batch) {}
  Simd(double value) : b(static_cast<float>(value)) {}

  static Simd load(const float* p) { return Batch::load_unaligned(p); }
  static Simd repeat(const float* p) { return Batch(*p); }
  void store(float* p) const { b.store_unaligned(p); }

  // clang-format off
  friend Simd operator-(Simd x) { return -x.b; }
  friend Simd operator+(Simd x, Simd y) { return x.b + y.b; }
  friend Simd operator-(Simd x, Simd y) { return x.b - y.b; }
  friend Simd operator*(Simd x, Simd y) { return x.b * y.b; }
  friend Simd operator/(Simd x, Simd y) { return quotient(x.b, y.b); }
  friend Mask operator<(Simd x, Simd y) { return x.b < y.b; }
  friend Mask operator<=(Simd x, Simd y) { return x.b <= y.b; }
  friend Mask operator>(Simd x, Simd y) { return x.b > y.b; }
  friend Mask operator>=(Simd x, Simd y) { return x.b >= y.b; }
  friend Mask operator==(Simd x, Simd y) { return x.b == y.b; }
  friend Simd where(Mask c, Simd x, Simd y) { return xsimd::select(c, x.b, y.b); }

  friend Simd abs(Simd x) { return xsimd::abs(x.b); }
  friend Simd ceil(Simd x) { return xsimd::ceil(x.b); }
  friend Simd cos(Simd x) { return xsimd::cos(x.b); }
  friend Simd erf(Simd x) { return xsimd::erf(x.b); }
  friend Simd exp(Simd x) { return to_the_end(x.b, xsimd::exp(x.b)); }
  friend Simd expm1(Simd x) { return to_the_end(x.b, xsimd::expm1(x.b)); }
  friend Simd floor(Simd x) { return xsimd::floor(x.b); }
  friend Simd log(Simd x) { return xsimd::log(x.b); }
  friend Simd log1p(Simd x) { return xsimd::log1p(x.b); }
  friend Simd round(Simd x) { return xsimd::nearbyint(x.b); }
  friend Simd sin(Simd x) { return xsimd::sin(x.b); }
  friend Simd sqrt(Simd x) { return root(x.b); }
  friend Simd tanh(Simd x) { return xsimd::tanh(x.b); }
  friend Simd sigmoid(Simd x) { return Simd(1.0) / (Simd(1.0) + exp(-x)); }
  friend Simd sign(Simd x) { return where(x > Simd(0.0), Simd(1.0), where(x < Simd(0.0), Simd(-1.0), x)); }
  friend Simd maximum(Simd x, Simd y) { return xsimd::select(x.b > y.b || xsimd::isnan(x.b), x.b, y.b); }
  friend Simd minimum(Simd x, Simd y) { return xsimd::select(x.b < y.b || xsimd::isnan(x.b), x.b, y.b); }
  // clang-format on

  /// x y + z, rounded once where the processor can. (xsimd 8 forgets that AVX-512 can.)
  friend Simd multiply_add(Simd x, Simd y, Simd z) {
#ifdef __AVX512F__
    return Batch(_mm512_fmadd_ps(x.b, y.b, z.b));
#else
    return xsimd::fma(x.b, y.b, z.b);
#endif
  }

  /// The nearest number in -limit..limit; NaN stays NaN, which min and max take from the right.
  static Simd within(Simd x, Simd limit) {
    return xsimd::min(limit.b, xsimd::max((-limit).b, x.b));
  }

  /// tanh as x P(x^2) / Q(x^2), fitted to 2e-8 in relative error over 0..9 by weighted least
  /// squares (Lawson's iteration), where float32 arithmetic adds up to 4e-7; at 10 it is above 1.
  [[gnu::always_inline]] friend Simd quick_tanh(Simd x) {
    Simd one(1.0);
    x = within(x, Simd(10.0));
    Simd u = x * x;
    Simd p = multiply_add(u, Simd(1.3177208657566553e-08), Simd(2.048095120699145e-05));
    Simd q = multiply_add(u, Simd(7.703914661760791e-07), Simd(0.0003272896574344486));
    p = multiply_add(u, p, Simd(0.0034877965226769447));
    q = multiply_add(u, q, Simd(0.025847334414720535));
    p = multiply_add(u, p, Simd(0.13374462723731995));
    q = multiply_add(u, q, Simd(0.46707776188850403));
    return within(x * multiply_add(u, p, one) / multiply_add(u, q, one), one);
  }
  [[gnu::always_inline]] friend Simd quick_sigmoid(Simd x) {
    return multiply_add(Simd(0.5), quick_tanh(Simd(0.5) * x), Simd(0.5));
  }

  // xsimd 8 takes a few steps of Newton's method on ARM, which end a digit too early.
#ifdef __aarch64__
  static Batch quotient(Batch x, Batch y) { return Batch(vdivq_f32(x, y)); }
  static Batch root(Batch x) { return Batch(vsqrtq_f32(x)); }
#else
  static Batch quotient(Batch x, Batch y) { return x / y; }
  static Batch root(Batch x) { return xsimd::sqrt(x); }
#endif

  // y = e^x, put right where xsimd's is infinite too early: from 88.38 on instead of 88.72.
  static Batch to_the_end(Batch x, Batch y) {
    return xsimd::none(x > Batch(88.0f)) ? y : squared_root(x, y);
  }
  [[gnu::noinline]] static Batch squared_root(Batch x, Batch y) {
    Batch root = xsimd::exp(x * Batch(0.5f));
    return xsimd::select(x > Batch(88.0f), root * root, y);
  }

  // One number at a time: a power by logarithms would lose digits.
  friend Simd power(Simd x, Simd y) {
    alignas(64) float a[width], e[width];
    x.store(a);
    y.store(e);
    for (int i = 0; i < width; ++i) a[i] = __builtin_powf(a[i], e[i]);
    return load(a);
  }
};

}  // namespace keratin::fn
