// gradcheck of a layer: its inputs and every weight, in one line (see autograd/gradcheck.h).
#pragma once

#include <keratin/autograd/gradcheck.h>
#include <keratin/layers/layer.h>

namespace keratin {

/// Of any function that uses the layer: f(inputs) is checked with respect to the inputs and the
/// layer's trainable weights, those included that layers inside make when f is first called.
/// `weights` of the result counts the weights of which elements were compared; the check fails when
/// there is one without.
GradientCheck gradcheck_with_weights(Layer& layer, const std::function<Tensor(const Tensors&)>& f,
                                     const Tensors& inputs, const GradcheckOptions& options = {});

/// Checks the gradients of all outputs with respect to the inputs (those that hold floats) and to
/// all trainable weights, in float64. The layer is built if need be; its weights are left as they
/// were. In training mode noise such as dropout is the same in every evaluation.
GradientCheck gradcheck_layer(Layer& layer, const Tensors& inputs, const CallOptions& call = {},
                              const GradcheckOptions& options = {});

template <class L>
requires std::derived_from<std::remove_cvref_t<L>, Layer> GradientCheck
gradcheck(L&& layer, const Tensor& x, const CallOptions& call = {},
          const GradcheckOptions& options = {}) {
  return gradcheck_layer(layer, {x}, call, options);
}
template <class L>
requires std::derived_from<std::remove_cvref_t<L>, Layer> GradientCheck
gradcheck(L&& layer, const Tensors& inputs, const CallOptions& call = {},
          const GradcheckOptions& options = {}) {
  return gradcheck_layer(layer, inputs, call, options);
}

}  // namespace keratin
