// One call of a layer in the functional API.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/symbolic.h>

namespace keratin {

struct GraphNode {
  std::optional<AnyLayer> layer;  // where a graph begins an InputLayer, or none
  SymbolicTensors inputs;         // none where a graph begins
  Shapes shapes;                  // of the outputs
  std::vector<DType> dtypes;
  std::optional<SymbolicTensor> mask =
      {};                             // given in the call, in place of that of the first input
  std::optional<bool> training = {};  // as Keras's config has it; running the model overrules it

  /// The outputs of this call, as one.
  static SymbolicTensor outputs_of(std::shared_ptr<const GraphNode> node);
  static const std::shared_ptr<const GraphNode>& of(const SymbolicTensor& tensor) {
    return tensor.node_;
  }
  /// Which output of its node the tensor is.
  static std::size_t output_of(const SymbolicTensor& tensor) { return tensor.output_; }
};

/// The layer called on these inputs, and with this mask and `training` if there are any.
SymbolicTensor call_symbolic(const AnyLayer& layer, const SymbolicTensors& inputs,
                             const std::optional<SymbolicTensor>& mask = {},
                             std::optional<bool> training = {});
/// What an InputLayer gives.
SymbolicTensor begin_graph(const AnyLayer& input_layer);
/// A graph's beginning without a layer of its own, as in a Sequential.
SymbolicTensor placeholder(const Shape& shape, DType dtype);

/// "text (None, None) -> embedding (None, None, 32) -> ": how the tensor came to be what it is.
std::string path_to(const SymbolicTensor& tensor);

}  // namespace keratin
