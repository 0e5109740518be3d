// An op from a scalar function: forward by the device's loop; backward by the loop that was derived
// from the same function, or, when somebody records the backward pass, by running the function on
// tensors of dual numbers.
#pragma once

#include <array>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/pointwise.h>
#include <keratin/core/create.h>
#include <keratin/core/kernels.h>

namespace keratin {

/// The dtype in which an op computes: plain numbers follow the tensors; `real` turns integers into
/// floats.
DType common_dtype(std::span<const Tensor> inputs, bool real);

template <class F, std::size_t N>
struct PointwiseVjp {
  F f;
  std::array<Saved, N> saved;  // the inputs; or the output alone, in saved[0]
  Shape shape;                 // of the output

  void operator()(Backward& backward) const {
    constexpr std::size_t outputs = fn::outputs_of<F>;
    std::array<Tensor, outputs> g;
    for (std::size_t o = 0; o < outputs; ++o)
      g[o] = backward.output_gradient_or_zeros(static_cast<std::uint32_t>(o));
    if (recording != nullptr)
      composed(backward, g, std::make_index_sequence<N>{});
    else
      fused(backward, g);
  }

 private:
  static constexpr bool from_output = fn::has_output_vjp<F>;

  template <std::size_t... I>
  void composed(Backward& backward, const std::array<Tensor, fn::outputs_of<F>>& g,
                std::index_sequence<I...> all) const {
    if constexpr (from_output) {
      backward.add(0, F::vjp(*saved[0], g[0]));
    } else {
      std::array<Tensor, N> x{*saved[I]...};
      ((backward.wants(I) ? backward.add(I, fn::pull_back<I>(f, x.data(), g.data(), all)) : void()),
       ...);
    }
  }

  void fused(Backward& backward, const std::array<Tensor, fn::outputs_of<F>>& g) const {
    constexpr std::size_t used = from_output ? 1 : N;
    std::array<Tensor, N> gx;
    std::array<Tensor, N> x;
    for (std::uint32_t i = 0; i < N; ++i) {
      if (!from_output || i == 0) x[i] = *saved[i];
    }
    for (std::uint32_t i = 0; i < N; ++i)
      if (backward.wants(i)) gx[i] = empty_in_order(shape, g[0].dtype(), {x.data(), used});
    kernels_of(g[0]).pointwise_gradient(pointwise_id<F>, &f, gx, {x.data(), used}, g);
    for (std::uint32_t i = 0; i < N; ++i)
      if (gx[i].defined()) backward.add(i, gx[i]);
  }
};

/// The op of functor F on inputs of any shapes and dtypes; one tensor for each of F's outputs.
template <class F, class... X>
auto pointwise_op(const char* name, const F& f, const X&... inputs) {
  constexpr std::size_t N = sizeof...(X);
  constexpr std::size_t outputs = fn::outputs_of<F>;
  std::array<Tensor, N> x{inputs...};
  constexpr bool keeps_integers = requires { F::keeps_integers; };
  DType dtype = common_dtype(x, !keeps_integers);
  Shape shape = x[0].shape();
  for (Tensor& input : x) {
    input = input.astype(dtype);
    shape = broadcast_shapes(shape, input.shape(), name);
  }
  std::array<Tensor, outputs> y;
  for (Tensor& output : y) output = empty_in_order(shape, dtype, x);
  kernels_of(y[0]).pointwise(pointwise_id<F>, &f, y, x);
  if (is_floating(dtype) && follows(x)) {
    PointwiseVjp<F, N> vjp{f, {}, shape};
    if constexpr (fn::has_output_vjp<F>) {
      vjp.saved[0] = save(y[0]);
    } else {
      for (std::size_t i = 0; i < N; ++i) vjp.saved[i] = save(x[i]);
    }
    record_node(name, x, y, std::move(vjp));
  }
  if constexpr (outputs == 1)
    return y[0];
  else
    return y;
}

}  // namespace keratin
