#include <algorithm>

#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/shape_trial.h>

namespace keratin {
namespace {

using Call = std::function<Tensors(const Tensors&)>;

Tensors tried(const TensorKinds& inputs, std::int64_t size, Device device, const Call& call) {
  Tensors filled;
  Shapes shapes;
  bool changed = false;
  for (const auto& input : inputs) {
    if (!input) {
      filled.emplace_back();
      continue;
    }
    Shape shape = input->shape;
    std::ranges::replace(shape, None, size);
    changed |= shape != input->shape;
    shapes.push_back(shape);
    filled.push_back(zeros(shape, input->dtype, device));
  }
  try {
    return call(filled);
  } catch (const std::invalid_argument& error) {
    if (!changed) throw;
    fail("{}, while finding the output shape with {} of shape {}", error.what(),
         shapes.size() == 1 ? "an input" : "inputs", fmt::join(shapes, ", "));
  }
}

TensorKinds kinds_of_both(const Tensors& small, const Tensors& large) {
  TensorKinds kinds;
  bool alike = small.size() == large.size();
  for (std::size_t i = 0; alike && i < small.size(); ++i) {
    auto& kind = kinds.emplace_back();
    alike = small[i].defined() == large[i].defined();
    if (!alike || !small[i].defined()) continue;
    alike = small[i].rank() == large[i].rank();
    kind = {small[i].shape(), small[i].dtype()};
    for (int axis = 0; alike && axis < kind->shape.rank(); ++axis)
      if (kind->shape[axis] != large[i].size(axis)) kind->shape[axis] = None;
  }
  if (!alike) fail("the number of outputs or their ranks depend on the sizes of the inputs");
  return kinds;
}

}  // namespace

TensorKinds tried_kinds(const TensorKinds& inputs, bool is_pure, Device device, const Call& call) {
  NoGradient scope;
  auto on = [&](Device where) {
    const Tensors small = tried(inputs, 2, where, call);
    return kinds_of_both(small, tried(inputs, 3, where, call));
  };
  if (!is_pure) return on(device);
  try {
    return on("meta");
  } catch (const NoElements&) {
    return on(device);
  }
}

}  // namespace keratin
