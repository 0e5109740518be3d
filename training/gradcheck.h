// gradcheck of a compiled model, loss included (see autograd/gradcheck.h).
#pragma once

#include <keratin/layers/gradcheck.h>
#include <keratin/training/model.h>

namespace keratin {

/// Checks the gradient of the model's whole loss, regularizers included, with respect to x and all
/// trainable weights.
inline GradientCheck gradcheck(Model& model, const Tensor& x, const Tensor& y,
                               const CallOptions& call = {}, const GradcheckOptions& options = {}) {
  Tensor target = is_floating(y.dtype()) ? y.astype(float64) : y;
  return gradcheck_with_weights(
      model, [&](const Tensors& at) { return model.total_loss(at[0], target, call); }, {x},
      options);
}

}  // namespace keratin
