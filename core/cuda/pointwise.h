// The kernels that run a scalar function, or its gradient, over a loop; by op, for each type of
// elements in a file of its own.
#pragma once

#include <utility>

#include <keratin/core/cuda/loop.h>
#include <keratin/core/cuda/number.h>

namespace keratin::cuda {

inline constexpr int pointwise_count = static_cast<int>(Pointwise::count);

using PointwiseFunction = void (*)(const void* functor, const DeviceLoop& loop, Stream stream);
using StepFunction = void (*)(const void* functor, const Groups& groups, const bool* allowed,
                              Stream stream);

/// Null where there is none: a step has no gradient, only it can run on groups, and on integers run
/// only the functions that take integers to integers.
struct PointwiseTable {
  PointwiseFunction forward[pointwise_count];
  PointwiseFunction gradient[pointwise_count];
  StepFunction step[pointwise_count];
};

extern const PointwiseTable float32_pointwise;
extern const PointwiseTable float64_pointwise;
extern const PointwiseTable int32_pointwise;

template <class T, class F, std::size_t... I, std::size_t... O, class Operands>
__device__ void forward_step(const Operands& operands, const F& f, std::index_sequence<I...>,
                             std::index_sequence<O...>) {
  constexpr int outputs = sizeof...(O);
  auto y = f(number(operands.template load<T>(outputs + I))...);
  if constexpr (outputs == 1)
    operands.store(0, element<T>(y));
  else
    (operands.store(O, element<T>(std::get<O>(y))), ...);
}

template <class T, class F>
__global__ void forward(const DeviceLoop loop, const F f) {
  constexpr int inputs = fn::inputs_of<F>, outputs = fn::outputs_of<F>;
  for_elements(loop.total, [&](std::int64_t i) {
    forward_step<T>(Place<inputs + outputs>(loop, i), f, std::make_index_sequence<inputs>{},
                    std::make_index_sequence<outputs>{});
  });
}

/// Operands: the gradients of the inputs (null where not wanted), the inputs, the outputs'
/// gradients. A derivative in terms of the output takes that in the inputs' place.
template <class T, class F, std::size_t... I, class Operands>
__device__ void gradient_step(const Operands& operands, const F& f, std::index_sequence<I...> all) {
  constexpr int inputs = fn::inputs_of<F>, outputs = fn::outputs_of<F>;
  auto load = [&](int k) { return number(operands.template load<T>(k)); };
  if constexpr (fn::has_output_vjp<F>) {
    operands.store(0, element<T>(F::vjp(load(1), load(2))));
  } else {
    Number<T> x[inputs], g[outputs];
    for (int k = 0; k < inputs; ++k) x[k] = load(inputs + k);
    for (int k = 0; k < outputs; ++k) g[k] = load(2 * inputs + k);
    ((operands.wanted(I) ? operands.store(I, element<T>(fn::pull_back<I>(f, x, g, all))) : void()),
     ...);
  }
}

template <class T, class F>
__global__ void gradient(const DeviceLoop loop, const F f) {
  constexpr int inputs = fn::inputs_of<F>, outputs = fn::outputs_of<F>;
  constexpr int operands = fn::has_output_vjp<F> ? 3 : 2 * inputs + outputs;
  for_elements(loop.total, [&](std::int64_t i) {
    gradient_step<T>(Place<operands>(loop, i), f, std::make_index_sequence<inputs>{});
  });
}

/// Element i of the arrays of a group.
struct GroupPlace {
  void* const* data;
  std::int64_t i;
  int outputs;

  template <class T>
  __device__ T load(int k) const {
    return static_cast<const T*>(data[k - outputs])[i];
  }
  template <class T>
  __device__ void store(int k, T element) const {
    static_cast<T*>(data[k])[i] = element;
  }
};

template <class T, class F>
__global__ void step(const Groups groups, const F f, const bool* allowed) {
  constexpr int inputs = fn::inputs_of<F>, outputs = fn::outputs_of<F>;
  if (allowed != nullptr && !*allowed) return;
  const auto group = blockIdx.y;
  for_elements(groups.size[group], [&](std::int64_t i) {
    forward_step<T>(GroupPlace{groups.data[group], i, outputs}, f,
                    std::make_index_sequence<inputs>{}, std::make_index_sequence<outputs>{});
  });
}

template <class T, class F>
constexpr PointwiseFunction launch_forward() {
  if constexpr (std::is_integral_v<T> && !requires { F::keeps_integers; })
    return nullptr;
  else
    return [](const void* functor, const DeviceLoop& loop, Stream stream) {
      launch_for(loop.total, forward<T, F>, stream, loop, *static_cast<const F*>(functor));
    };
}

template <class T, class F>
constexpr PointwiseFunction launch_gradient() {
  if constexpr (std::is_integral_v<T>)
    return nullptr;
  else
    return [](const void* functor, const DeviceLoop& loop, Stream stream) {
      launch_for(loop.total, gradient<T, F>, stream, loop, *static_cast<const F*>(functor));
    };
}

template <class T, class F>
constexpr StepFunction launch_step() {
  constexpr int inputs = fn::inputs_of<F>;
  if constexpr (std::is_integral_v<T> || inputs > Groups::max_arrays ||
                fn::outputs_of<F> + 1 != inputs)
    return nullptr;
  else
    return [](const void* functor, const Groups& groups, const bool* allowed, Stream stream) {
      const std::int64_t largest = *std::max_element(groups.size, groups.size + groups.count);
      if (largest == 0) return;
      launch(step<T, F>, {blocks_for(largest), static_cast<unsigned>(groups.count)}, block_size,
             stream, groups, *static_cast<const F*>(functor), allowed);
    };
}

/// Every kernel for elements of type T.
template <class T>
constexpr PointwiseTable make_pointwise_table() {
  return {
      {
#define KERATIN_UNARY(op, Functor) launch_forward<T, fn::Functor>(),
#define KERATIN_BINARY(op, Functor) launch_forward<T, fn::Functor>(),
#define KERATIN_FUNCTOR(Functor) launch_forward<T, fn::Functor>(),
#define KERATIN_STEP(Functor) launch_forward<T, fn::Functor>(),
#include <keratin/core/catalogue.def>
      },
      {
#define KERATIN_UNARY(op, Functor) launch_gradient<T, fn::Functor>(),
#define KERATIN_BINARY(op, Functor) launch_gradient<T, fn::Functor>(),
#define KERATIN_FUNCTOR(Functor) launch_gradient<T, fn::Functor>(),
#define KERATIN_STEP(Functor) nullptr,
#include <keratin/core/catalogue.def>
      },
      {
#define KERATIN_UNARY(op, Functor) nullptr,
#define KERATIN_BINARY(op, Functor) nullptr,
#define KERATIN_FUNCTOR(Functor) nullptr,
#define KERATIN_STEP(Functor) launch_step<T, fn::Functor>(),
#include <keratin/core/catalogue.def>
      },
  };
}

}  // namespace keratin::cuda
