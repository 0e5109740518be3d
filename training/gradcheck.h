// gradcheck of a compiled model, loss included (see autograd/gradcheck.h).
#pragma once

#include <keratin/layers/gradcheck.h>
#include <keratin/training/model.h>

namespace keratin {

/// Checks the gradient of the model's whole loss, regularizers included, with respect to x and all
/// trainable weights.
inline GradientCheck gradcheck(Model& model, const Tensors& x, const Tensors& y,
                               const CallOptions& call = {}, const GradcheckOptions& options = {}) {
  Tensors targets = y;
  for (Tensor& target : targets)
    if (is_floating(target.dtype())) target = target.astype(float64);
  return gradcheck_with_weights(
      model, [&](const Tensors& at) { return model.total_loss(at, targets, call); }, x, options);
}
inline GradientCheck gradcheck(Model& model, const Tensor& x, const Tensor& y,
                               const CallOptions& call = {}, const GradcheckOptions& options = {}) {
  return gradcheck(model, Tensors{x}, Tensors{y}, call, options);
}

}  // namespace keratin
