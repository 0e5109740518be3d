// A pointwise op of one's own: a scalar function, and nothing else.
//
//   struct Swish1 { auto operator()(auto x) const { return x * sigmoid(x); } };
//   Tensor swish1(const Tensor& x) { return pointwise<Swish1>(x); }
//
// The function runs on blocks of 64 numbers, whose arithmetic the compiler turns into vector code
// and whose elementary functions are the library's own vector kernels. Its derivative comes from
// running it on dual numbers over such blocks, and higher ones from running it on whole tensors, so
// it may use arithmetic, comparisons, where(condition, a, b), and abs, ceil, cos, erf, exp, expm1,
// floor, log, log1p, maximum, minimum, power, round, sigmoid, sign, sin, sqrt and tanh.
#pragma once

#include <array>
#include <concepts>
#include <functional>

#include <keratin/autograd/ops.h>
#include <keratin/core/dual.h>

namespace keratin {

/// What a dual number over tensors begins with: of x's dtype, as two plain numbers would meet in
/// floatx().
inline Tensor one_like(const Tensor& x) { return Tensor(1.0).astype(x.dtype()); }

namespace fn {

/// A block of numbers.
template <class T>
struct Lanes {
  static constexpr int width = 64;
  T v[width];

  Lanes() = default;
  Lanes(double value) {
    for (T& lane : v) lane = static_cast<T>(value);
  }

  struct Mask {
    bool v[width];
  };
};

/// The elementary functions a block can be put through, by the library's kernels, in place.
enum class BlockFunction {
  abs,
  ceil,
  cos,
  erf,
  exp,
  expm1,
  floor,
  log,
  log1p,
  round,
  sigmoid,
  sign,
  sin,
  sqrt,
  tanh,
  power,
  maximum,
  minimum
};
void run_block(BlockFunction function, float* y, const float* x, const float* z, int n);
void run_block(BlockFunction function, double* y, const double* x, const double* z, int n);

#define KERATIN_LANES_OPERATOR(op, Result)                                         \
  template <class T>                                                               \
  Result operator op(const Lanes<T>& x, const std::type_identity_t<Lanes<T>>& y) { \
    Result r;                                                                      \
    for (int i = 0; i < Lanes<T>::width; ++i) r.v[i] = x.v[i] op y.v[i];           \
    return r;                                                                      \
  }                                                                                \
  template <class T>                                                               \
  Result operator op(double x, const Lanes<T>& y) {                                \
    return Lanes<T>(x) op y;                                                       \
  }
KERATIN_LANES_OPERATOR(+, Lanes<T>)
KERATIN_LANES_OPERATOR(-, Lanes<T>)
KERATIN_LANES_OPERATOR(*, Lanes<T>)
KERATIN_LANES_OPERATOR(/, Lanes<T>)
KERATIN_LANES_OPERATOR(<, typename Lanes<T>::Mask)
KERATIN_LANES_OPERATOR(<=, typename Lanes<T>::Mask)
KERATIN_LANES_OPERATOR(>, typename Lanes<T>::Mask)
KERATIN_LANES_OPERATOR(>=, typename Lanes<T>::Mask)
KERATIN_LANES_OPERATOR(==, typename Lanes<T>::Mask)
#undef KERATIN_LANES_OPERATOR

template <class T>
Lanes<T> operator-(const Lanes<T>& x) {
  Lanes<T> r;
  for (int i = 0; i < Lanes<T>::width; ++i) r.v[i] = -x.v[i];
  return r;
}

template <class M, class T>
requires std::same_as<M, typename Lanes<T>::Mask> Lanes<T> where(
    const M& c, const Lanes<T>& x, const std::type_identity_t<Lanes<T>>& y) {
  Lanes<T> r;
  for (int i = 0; i < Lanes<T>::width; ++i) r.v[i] = c.v[i] ? x.v[i] : y.v[i];
  return r;
}
template <class M, class T>
requires std::same_as<M, typename Lanes<T>::Mask> Lanes<T> where(const M& c, double x,
                                                                 const Lanes<T>& y) {
  return where(c, Lanes<T>(x), y);
}

#define KERATIN_LANES_FUNCTION(name)                                \
  template <class T>                                                \
  Lanes<T> name(const Lanes<T>& x) {                                \
    Lanes<T> r;                                                     \
    run_block(BlockFunction::name, r.v, x.v, x.v, Lanes<T>::width); \
    return r;                                                       \
  }
KERATIN_LANES_FUNCTION(abs)
KERATIN_LANES_FUNCTION(ceil)
KERATIN_LANES_FUNCTION(cos)
KERATIN_LANES_FUNCTION(erf)
KERATIN_LANES_FUNCTION(exp)
KERATIN_LANES_FUNCTION(expm1)
KERATIN_LANES_FUNCTION(floor)
KERATIN_LANES_FUNCTION(log)
KERATIN_LANES_FUNCTION(log1p)
KERATIN_LANES_FUNCTION(round)
KERATIN_LANES_FUNCTION(sigmoid)
KERATIN_LANES_FUNCTION(sign)
KERATIN_LANES_FUNCTION(sin)
KERATIN_LANES_FUNCTION(sqrt)
KERATIN_LANES_FUNCTION(tanh)
#undef KERATIN_LANES_FUNCTION

#define KERATIN_LANES_FUNCTION(name)                                          \
  template <class T>                                                          \
  Lanes<T> name(const Lanes<T>& x, const std::type_identity_t<Lanes<T>>& y) { \
    Lanes<T> r;                                                               \
    run_block(BlockFunction::name, r.v, x.v, y.v, Lanes<T>::width);           \
    return r;                                                                 \
  }                                                                           \
  template <class T>                                                          \
  Lanes<T> name(double x, const Lanes<T>& y) {                                \
    return name(Lanes<T>(x), y);                                              \
  }
KERATIN_LANES_FUNCTION(maximum)
KERATIN_LANES_FUNCTION(minimum)
KERATIN_LANES_FUNCTION(power)
#undef KERATIN_LANES_FUNCTION

}  // namespace fn

namespace pointwise_detail {

/// The functor seen from the library: blocks of inputs to blocks of outputs, and of gradients, and
/// the gradient made of ops.
struct Erased {
  int inputs;
  std::function<void(float* y, const float* const* x)> forward32;
  std::function<void(double* y, const double* const* x)> forward64;
  std::function<void(float* gx, int input, const float* const* x, const float* g)> gradient32;
  std::function<void(double* gx, int input, const double* const* x, const double* g)> gradient64;
  std::function<Tensor(const Tensor* x)> on_tensors;  // where a device has no loop for it
  std::function<Tensor(int input, const Tensor* x, const Tensor& g)> composed;
};
Tensor run(Erased functor, const std::vector<Tensor>& inputs);

template <class T>
void copy_lanes(const T* from, T* to) {
  for (int i = 0; i < fn::Lanes<T>::width; ++i) to[i] = from[i];
}

template <class T, class F, std::size_t... I>
void forward(const F& f, T* y, const T* const* x, std::index_sequence<I...>) {
  fn::Lanes<T> in[sizeof...(I)];
  (copy_lanes<T>(x[I], in[I].v), ...);
  fn::Lanes<T> out = f(in[I]...);
  copy_lanes<T>(out.v, y);
}

template <class T, class F, std::size_t... I>
void gradient(const F& f, T* gx, int input, const T* const* x, const T* g,
              std::index_sequence<I...> all) {
  fn::Lanes<T> in[sizeof...(I)], gy, result;
  (copy_lanes<T>(x[I], in[I].v), ...);
  copy_lanes<T>(g, gy.v);
  ((input == int(I) ? void(result = fn::pull_back<I>(f, in, &gy, all)) : void()), ...);
  copy_lanes<T>(result.v, gx);
}

template <class F, std::size_t... I>
Tensor on_tensors(const F& f, const Tensor* x, std::index_sequence<I...>) {
  return f(x[I]...);
}

template <class F, std::size_t... I>
Tensor composed(const F& f, int input, const Tensor* x, const Tensor& g,
                std::index_sequence<I...> all) {
  Tensor result;
  ((input == int(I) ? void(result = fn::pull_back<I>(f, x, &g, all)) : void()), ...);
  return result;
}

}  // namespace pointwise_detail

/// The op of a scalar function of as many numbers as tensors are given (they broadcast), of floats.
template <class F, std::convertible_to<Tensor>... X>
Tensor pointwise(const F& f, const X&... x) {
  constexpr auto all = std::index_sequence_for<X...>{};
  return pointwise_detail::run(
      {sizeof...(X),
       [=](float* y, const float* const* in) { pointwise_detail::forward(f, y, in, all); },
       [=](double* y, const double* const* in) { pointwise_detail::forward(f, y, in, all); },
       [=](float* gx, int i, const float* const* in, const float* g) {
         pointwise_detail::gradient(f, gx, i, in, g, all);
       },
       [=](double* gx, int i, const double* const* in, const double* g) {
         pointwise_detail::gradient(f, gx, i, in, g, all);
       },
       [=](const Tensor* in) { return pointwise_detail::on_tensors(f, in, all); },
       [=](int i, const Tensor* in, const Tensor& g) {
         return pointwise_detail::composed(f, i, in, g, all);
       }},
      {Tensor(x)...});
}
template <class F, std::convertible_to<Tensor>... X>
requires std::default_initializable<F> Tensor pointwise(const X&... x) {
  return pointwise(F{}, x...);
}

}  // namespace keratin
