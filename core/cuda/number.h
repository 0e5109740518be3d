// A number of a device loop, with the vocabulary of core/dual.h: like Simd of core/cpu/simd.h, with
// one lane. A plain float would turn into a double at the first literal.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <keratin/core/dual.h>

namespace keratin::fn {

/// T is float or double.
template <class T>
struct Real {
  T v;

  Real() = default;
  constexpr Real(double x) : v(static_cast<T>(x)) {}
  static constexpr Real of(T x) {
    Real r;
    r.v = x;
    return r;
  }

  // clang-format off
  friend constexpr Real operator-(Real x) { return of(-x.v); }
  friend constexpr Real operator+(Real x, Real y) { return of(x.v + y.v); }
  friend constexpr Real operator-(Real x, Real y) { return of(x.v - y.v); }
  friend constexpr Real operator*(Real x, Real y) { return of(x.v * y.v); }
  friend constexpr Real operator/(Real x, Real y) { return of(x.v / y.v); }
  friend constexpr bool operator<(Real x, Real y) { return x.v < y.v; }
  friend constexpr bool operator<=(Real x, Real y) { return x.v <= y.v; }
  friend constexpr bool operator>(Real x, Real y) { return x.v > y.v; }
  friend constexpr bool operator>=(Real x, Real y) { return x.v >= y.v; }
  friend constexpr bool operator==(Real x, Real y) { return x.v == y.v; }
  friend constexpr Real where(bool c, Real x, Real y) { return c ? x : y; }

  friend constexpr Real abs(Real x) { return of(std::fabs(x.v)); }
  friend constexpr Real ceil(Real x) { return of(std::ceil(x.v)); }
  friend constexpr Real cos(Real x) { return of(std::cos(x.v)); }
  friend constexpr Real erf(Real x) { return of(std::erf(x.v)); }
  friend constexpr Real exp(Real x) { return of(std::exp(x.v)); }
  friend constexpr Real expm1(Real x) { return of(std::expm1(x.v)); }
  friend constexpr Real floor(Real x) { return of(std::floor(x.v)); }
  friend constexpr Real log(Real x) { return of(std::log(x.v)); }
  friend constexpr Real log1p(Real x) { return of(std::log1p(x.v)); }
  friend constexpr Real round(Real x) { return of(std::nearbyint(x.v)); }
  friend constexpr Real sin(Real x) { return of(std::sin(x.v)); }
  friend constexpr Real sqrt(Real x) { return of(std::sqrt(x.v)); }
  friend constexpr Real tanh(Real x) { return of(std::tanh(x.v)); }
  friend constexpr Real power(Real x, Real y) { return of(std::pow(x.v, y.v)); }
  friend constexpr Real sign(Real x) { return where(x > 0.0, 1.0, where(x < 0.0, -1.0, x)); }
  friend constexpr Real sigmoid(Real x) { return 1.0 / (1.0 + exp(-x)); }
  friend constexpr Real quick_tanh(Real x) { return tanh(x); }
  friend constexpr Real quick_sigmoid(Real x) { return sigmoid(x); }
  friend constexpr Real maximum(Real x, Real y) { return x.v > y.v || x.v != x.v ? x : y; }
  friend constexpr Real minimum(Real x, Real y) { return x.v < y.v || x.v != x.v ? x : y; }
  // clang-format on
};

}  // namespace keratin::fn

namespace keratin::cuda {

/// What an element of memory is computed in: an integer in double, as the CPU does.
template <class T>
using Number = fn::Real<std::conditional_t<std::is_same_v<T, float>, float, double>>;

template <class T>
constexpr Number<T> number(T element) {
  using Value = decltype(Number<T>::v);
  return Number<T>::of(static_cast<Value>(element));
}

/// The element that holds a number: Plain::store of core/cpu/loops.h.
template <class T>
constexpr T element(Number<T> x) {
  if constexpr (std::is_integral_v<T>) {
    // A GPU's pow may miss a whole number by the last bit: 2 to the power of 11.
    const double whole = std::nearbyint(x.v);
    const double v = std::fabs(x.v - whole) <= 1e-14 * std::fabs(whole) ? whole : x.v;
    return static_cast<T>(v > -9e18 && v < 9e18 ? static_cast<std::int64_t>(v) : 0);
  } else {
    return x.v;
  }
}

}  // namespace keratin::cuda
