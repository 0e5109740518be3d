// Dual numbers: a value and its derivative with respect to one input. Running a scalar function
// (core/functions.h) on them differentiates it, so each rule below is the only place where that
// derivative is stated.
//
// T may be a double, a SIMD batch, a block of numbers, or a Tensor: the fused backward kernels run
// on batches, and the derivative of a derivative comes from running the same function on tensors.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace keratin::fn {

// What a scalar function may call, on plain numbers. Each has its derivative further down.
// clang-format off
inline double exp(double x) { return std::exp(x); }
inline double expm1(double x) { return std::expm1(x); }
inline double log(double x) { return std::log(x); }
inline double log1p(double x) { return std::log1p(x); }
inline double sqrt(double x) { return std::sqrt(x); }
inline double tanh(double x) { return std::tanh(x); }
inline double sin(double x) { return std::sin(x); }
inline double cos(double x) { return std::cos(x); }
inline double erf(double x) { return std::erf(x); }
inline double abs(double x) { return std::fabs(x); }
inline double floor(double x) { return std::floor(x); }
inline double ceil(double x) { return std::ceil(x); }
inline double round(double x) { return std::nearbyint(x); }  // ties to even, as NumPy
inline double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }
inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double quick_tanh(double x) { return std::tanh(x); }
inline double quick_sigmoid(double x) { return sigmoid(x); }
inline double power(double x, double y) { return std::pow(x, y); }
inline double maximum(double x, double y) { return x > y || x != x ? x : y; }  // NaN wins
inline double minimum(double x, double y) { return x < y || x != x ? x : y; }
inline double where(bool c, double x, double y) { return c ? x : y; }
// clang-format on

template <class T>
struct Dual {
  T v;
  T d;

  constexpr Dual(T value, T derivative) : v(std::move(value)), d(std::move(derivative)) {}
  constexpr Dual(T value) : v(std::move(value)), d(0.0) {}
  constexpr Dual(double value) requires(!std::same_as<T, double>) : v(value), d(0.0) {}
};

template <class T>
using Plain = std::type_identity_t<T>;  // a parameter that takes part in no deduction

// clang-format off
template <class T> constexpr Dual<T> operator-(const Dual<T>& x) { return {-x.v, -x.d}; }

template <class T> constexpr Dual<T> operator+(const Dual<T>& x, const Dual<T>& y) { return {x.v + y.v, x.d + y.d}; }
template <class T> constexpr Dual<T> operator+(const Dual<T>& x, const Plain<T>& y) { return {x.v + y, x.d}; }
template <class T> constexpr Dual<T> operator+(const Plain<T>& x, const Dual<T>& y) { return {x + y.v, y.d}; }

template <class T> constexpr Dual<T> operator-(const Dual<T>& x, const Dual<T>& y) { return {x.v - y.v, x.d - y.d}; }
template <class T> constexpr Dual<T> operator-(const Dual<T>& x, const Plain<T>& y) { return {x.v - y, x.d}; }
template <class T> constexpr Dual<T> operator-(const Plain<T>& x, const Dual<T>& y) { return {x - y.v, -y.d}; }

template <class T> constexpr Dual<T> operator*(const Dual<T>& x, const Dual<T>& y) { return {x.v * y.v, x.d * y.v + x.v * y.d}; }
template <class T> constexpr Dual<T> operator*(const Dual<T>& x, const Plain<T>& y) { return {x.v * y, x.d * y}; }
template <class T> constexpr Dual<T> operator*(const Plain<T>& x, const Dual<T>& y) { return {x * y.v, x * y.d}; }

template <class T> constexpr Dual<T> operator/(const Dual<T>& x, const Dual<T>& y) { T q = x.v / y.v; return {q, (x.d - q * y.d) / y.v}; }
template <class T> constexpr Dual<T> operator/(const Dual<T>& x, const Plain<T>& y) { return {x.v / y, x.d / y}; }
template <class T> constexpr Dual<T> operator/(const Plain<T>& x, const Dual<T>& y) { T q = x / y.v; return {q, -q / y.v * y.d}; }

template <class T> constexpr auto operator<(const Dual<T>& x, const Dual<T>& y) { return x.v < y.v; }
template <class T> constexpr auto operator<(const Dual<T>& x, const Plain<T>& y) { return x.v < y; }
template <class T> constexpr auto operator<(const Plain<T>& x, const Dual<T>& y) { return x < y.v; }
template <class T> constexpr auto operator<=(const Dual<T>& x, const Dual<T>& y) { return x.v <= y.v; }
template <class T> constexpr auto operator<=(const Dual<T>& x, const Plain<T>& y) { return x.v <= y; }
template <class T> constexpr auto operator<=(const Plain<T>& x, const Dual<T>& y) { return x <= y.v; }
template <class T> constexpr auto operator>(const Dual<T>& x, const Dual<T>& y) { return x.v > y.v; }
template <class T> constexpr auto operator>(const Dual<T>& x, const Plain<T>& y) { return x.v > y; }
template <class T> constexpr auto operator>(const Plain<T>& x, const Dual<T>& y) { return x > y.v; }
template <class T> constexpr auto operator>=(const Dual<T>& x, const Dual<T>& y) { return x.v >= y.v; }
template <class T> constexpr auto operator>=(const Dual<T>& x, const Plain<T>& y) { return x.v >= y; }
template <class T> constexpr auto operator>=(const Plain<T>& x, const Dual<T>& y) { return x >= y.v; }

// The derivative is selected, never multiplied by 0 or 1: what the other branch holds does not leak.
template <class M, class T> constexpr Dual<T> where(const M& c, const Dual<T>& x, const Dual<T>& y) { return {where(c, x.v, y.v), where(c, x.d, y.d)}; }
template <class M, class T> constexpr Dual<T> where(const M& c, const Dual<T>& x, const Plain<T>& y) { return {where(c, x.v, y), where(c, x.d, T(0.0))}; }
template <class M, class T> constexpr Dual<T> where(const M& c, const Plain<T>& x, const Dual<T>& y) { return {where(c, x, y.v), where(c, T(0.0), y.d)}; }

template <class T> constexpr Dual<T> exp(const Dual<T>& x) { T y = exp(x.v); return {y, x.d * y}; }
template <class T> constexpr Dual<T> expm1(const Dual<T>& x) { T y = expm1(x.v); return {y, x.d * (y + 1.0)}; }
template <class T> constexpr Dual<T> log(const Dual<T>& x) { return {log(x.v), x.d / x.v}; }
template <class T> constexpr Dual<T> log1p(const Dual<T>& x) { return {log1p(x.v), x.d / (x.v + 1.0)}; }
template <class T> constexpr Dual<T> sqrt(const Dual<T>& x) { T y = sqrt(x.v); return {y, x.d * 0.5 / y}; }
template <class T> constexpr Dual<T> tanh(const Dual<T>& x) { T y = tanh(x.v); return {y, x.d * (1.0 - y * y)}; }
template <class T> constexpr Dual<T> sigmoid(const Dual<T>& x) { T y = sigmoid(x.v); return {y, x.d * y * (1.0 - y)}; }
template <class T> constexpr Dual<T> sin(const Dual<T>& x) { return {sin(x.v), x.d * cos(x.v)}; }
template <class T> constexpr Dual<T> cos(const Dual<T>& x) { return {cos(x.v), -x.d * sin(x.v)}; }
template <class T> constexpr Dual<T> erf(const Dual<T>& x) { return {erf(x.v), x.d * 1.1283791670955126 * exp(-x.v * x.v)}; }
template <class T> constexpr Dual<T> abs(const Dual<T>& x) { return {abs(x.v), x.d * sign(x.v)}; }

// Flat almost everywhere: the derivative is 0, also at the steps.
template <class T> constexpr Dual<T> sign(const Dual<T>& x) { return {sign(x.v), T(0.0)}; }
template <class T> constexpr Dual<T> floor(const Dual<T>& x) { return {floor(x.v), T(0.0)}; }
template <class T> constexpr Dual<T> ceil(const Dual<T>& x) { return {ceil(x.v), T(0.0)}; }
template <class T> constexpr Dual<T> round(const Dual<T>& x) { return {round(x.v), T(0.0)}; }
// clang-format on

// x^y. With respect to x: y x^(y-1), exactly 0 where y is 0, and so are all further derivatives.
// With respect to y: x^y log x, exactly 0 where x is 0 and y is not negative; NaN for negative x.
//
// Where y is 0 and x is next to 0, y x^(y-1) would be 0 * inf: there the exponent is held at 0.
// Elsewhere it stays y - 1, so that the derivative of this one with respect to y is 1/x, as it
// should be. The bound lets the fourth power of 1/x fit float32.
template <class T>
constexpr T power_wrt_base(const T& x, const T& y) {
  T exponent = where(y == T(0.0), where(abs(x) > T(1e-9), y, T(1.0)), y) - 1.0;
  return y * power(x, exponent);
}
template <class T>
constexpr T power_wrt_exponent(const T& x, const T& y, const T& value) {
  return where(x == T(0.0), where(y < T(0.0), T(-INFINITY), T(0.0)),
               value * log(where(x == T(0.0), T(1.0), x)));
}
template <class T>
constexpr Dual<T> power(const Dual<T>& x, const Plain<T>& y) {
  return {power(x.v, y), x.d * power_wrt_base(x.v, y)};
}
template <class T>
constexpr Dual<T> power(const Plain<T>& x, const Dual<T>& y) {
  T value = power(x, y.v);
  return {value, y.d * power_wrt_exponent(x, y.v, value)};
}
template <class T>
constexpr Dual<T> power(const Dual<T>& x, const Dual<T>& y) {
  T value = power(x.v, y.v);
  return {value, x.d * power_wrt_base(x.v, y.v) + y.d * power_wrt_exponent(x.v, y.v, value)};
}

// At a tie the two share the derivative equally, as JAX does.
template <class T, class X, class Y>
constexpr Dual<T> extremum(const T& value, const T& dx, const T& dy, const X& x_wins,
                           const Y& y_wins) {
  return {value, where(x_wins, dx, where(y_wins, dy, (dx + dy) * 0.5))};
}
template <class T>
constexpr Dual<T> maximum(const Dual<T>& x, const Dual<T>& y) {
  return extremum<T>(maximum(x.v, y.v), x.d, y.d, x.v > y.v, x.v < y.v);
}
template <class T>
constexpr Dual<T> maximum(const Dual<T>& x, const Plain<T>& y) {
  return maximum(x, Dual<T>(y));
}
template <class T>
constexpr Dual<T> maximum(const Plain<T>& x, const Dual<T>& y) {
  return maximum(Dual<T>(x), y);
}
template <class T>
constexpr Dual<T> minimum(const Dual<T>& x, const Dual<T>& y) {
  return extremum<T>(minimum(x.v, y.v), x.d, y.d, x.v<y.v, x.v> y.v);
}
template <class T>
constexpr Dual<T> minimum(const Dual<T>& x, const Plain<T>& y) {
  return minimum(x, Dual<T>(y));
}
template <class T>
constexpr Dual<T> minimum(const Plain<T>& x, const Dual<T>& y) {
  return minimum(Dual<T>(x), y);
}

// The derivative of x with respect to itself; a type with dtypes has an overload beside it.
template <class T>
constexpr T one_like(const T&) {
  return T(1.0);
}

namespace pointwise_detail {

template <bool active, class T>
constexpr auto seed(const T& x) {
  if constexpr (active)
    return Dual<T>(x, one_like(x));
  else
    return x;
}

template <class T, class R>
constexpr void add_term(T& sum, bool& any, const R& y, const T& g) {
  if constexpr (std::same_as<R, Dual<T>>) {
    sum = any ? sum + g * y.d : g * y.d;
    any = true;
  }
}

}  // namespace pointwise_detail

/// The gradient of a scalar function with respect to its input I: the sum over its outputs o of
/// g[o] * d f_o / d x[I]. Only input I is a dual number, so whatever does not depend on it is
/// computed plainly.
template <std::size_t I, class T, class F, std::size_t... J>
constexpr T pull_back(const F& f, const T* x, const T* g, std::index_sequence<J...>) {
  auto y = f(pointwise_detail::seed<J == I>(x[J])...);
  T sum(0.0);
  bool any = false;
  if constexpr (requires { std::tuple_size<decltype(y)>::value; }) {
    std::apply(
        [&](const auto&... out) {
          std::size_t o = 0;
          (pointwise_detail::add_term(sum, any, out, g[o++]), ...);
        },
        y);
  } else {
    pointwise_detail::add_term(sum, any, y, g[0]);
  }
  return sum;
}

namespace pointwise_detail {

// A pack of doubles. nvcc 13 does not expand decltype(J, 0.0).
template <std::size_t>
struct NumberAt {
  using type = double;
};

template <class F, std::size_t... J>
constexpr bool takes(std::index_sequence<J...>) {
  return std::is_invocable_v<F, typename NumberAt<J>::type...>;
}

template <class F, std::size_t N = 1>
constexpr std::size_t count_inputs() {
  static_assert(N <= 8, "a pointwise function takes one to eight numbers");
  if constexpr (takes<F>(std::make_index_sequence<N>{}))
    return N;
  else
    return count_inputs<F, N + 1>();
}

template <class F, std::size_t... J>
constexpr std::size_t count_outputs(std::index_sequence<J...>) {
  using Result = std::invoke_result_t<F, typename NumberAt<J>::type...>;
  if constexpr (requires { std::tuple_size<Result>::value; })
    return std::tuple_size_v<Result>;
  else
    return 1;
}

}  // namespace pointwise_detail

/// How many numbers a scalar function takes and returns.
template <class F>
inline constexpr std::size_t inputs_of = pointwise_detail::count_inputs<F>();
template <class F>
inline constexpr std::size_t outputs_of =
    pointwise_detail::count_outputs<F>(std::make_index_sequence<inputs_of<F>>{});

/// A functor may state its derivative in terms of its output: static vjp(y, g). Then the output is
/// kept instead of the input; the derived rule is its test.
template <class F>
inline constexpr bool has_output_vjp = requires {
  F::vjp(0.0, 0.0);
};

}  // namespace keratin::fn
