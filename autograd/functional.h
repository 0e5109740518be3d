// Derivatives of functions: from a function of tensors to another.
//
//   auto f = [](const Tensor& x) { return sum(exp(-square(x))); };
//   Tensor slope = grad(f)(x);
//   Tensor curvature = hessian(f)(x);
#pragma once

#include <functional>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

using TensorFunction = std::function<Tensor(const Tensor&)>;

/// x -> df/dx, of x's shape. f returns a scalar (of a larger result, the sum is differentiated).
/// May be nested: grad(grad(f)).
TensorFunction grad(TensorFunction f);

/// x -> dy/dx, of shape y.shape + x.shape: one backward pass for each number in y.
TensorFunction jacobian(TensorFunction f);

/// x -> the second derivatives of a scalar function, of shape x.shape + x.shape.
TensorFunction hessian(TensorFunction f);

/// The Hessian of f at x times v, without the Hessian: one backward pass through another.
Tensor hessian_vector_product(const TensorFunction& f, const Tensor& x, const Tensor& v);

using TensorsFunction = std::function<Tensor(const std::vector<Tensor>&)>;

/// f with the same result and gradients, of which a tape keeps the arguments only: the backward
/// pass runs f once more (rematerialization; Chen et al., arXiv:1604.06174;
/// keras/src/backend/common/remat.py). f must give the same result again. Pass everything that is
/// to have a gradient as an argument: other weights that f uses get none, and a backward pass that
/// is not itself recorded throws std::invalid_argument when it meets one.
TensorsFunction remat(TensorsFunction f);

}  // namespace keratin
