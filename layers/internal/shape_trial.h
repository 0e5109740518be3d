// The shapes that a call makes, found by a trial.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include <keratin/layers/outputs.h>

namespace keratin {

/// What is known of a tensor before it has elements.
struct TensorKind {
  Shape shape;  ///< None where a size is not known
  DType dtype = float32;
};
using TensorKinds = std::vector<std::optional<TensorKind>>;  // nothing: there is no such tensor

/// What `call` makes of inputs of these kinds. It is called with zeros of two sizes in place of
/// None; an output's size that differs is None. The zeros are on meta where the call is known to
/// ask for no elements and to keep no tensors (`is_pure`), else, or if it asks, on `device`. Throws
/// std::invalid_argument with what the call threw, and the shapes tried.
TensorKinds tried_kinds(const TensorKinds& inputs, bool is_pure, Device device,
                        const std::function<Tensors(const Tensors&)>& call);

}  // namespace keratin
