// The graph of a functional model: which layer is called on what, in which order.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keratin/layers/layer.h>
#include <keratin/layers/symbolic.h>

namespace keratin {

/// Layers are known by their place in the list, so that a clone of a model, whose list holds clones
/// in the same places, has the same graph.
class ModelGraph {
 public:
  ModelGraph() = default;
  /// Everything between these tensors. Throws std::invalid_argument when an output needs an input
  /// that is not among them, and when two layers have one name.
  ModelGraph(const SymbolicTensors& inputs, const SymbolicTensors& outputs);

  /// One call of a layer. Values are numbered through the graph.
  struct Call {
    std::size_t layer = 0;
    int index = 0;  ///< which call of its layer
    std::vector<std::size_t> inputs = {}, outputs = {};
    std::optional<std::size_t> mask = {};    ///< in place of that of the first input
    std::optional<bool> training = {};       ///< Keras's config has it; run overrules it
    std::vector<std::size_t> finished = {};  ///< values that no later call reads
  };

  /// Where a value comes from: the place of its layer, which call, which of its outputs.
  struct Origin {
    std::size_t layer = 0;
    int call = 0;
    std::size_t output = 0;
  };

  bool empty() const { return calls_.empty() && layers_.empty(); }
  /// Whether it is that of a Sequential, which a Model may mean.
  bool is_sequential = false;
  /// By Keras's order: those farthest from the outputs first, InputLayers among them.
  const std::vector<AnyLayer>& layers() const { return layers_; }
  const SymbolicTensors& inputs() const { return inputs_; }
  const SymbolicTensors& outputs() const { return outputs_; }
  const std::vector<Call>& calls() const { return calls_; }
  const SymbolicTensor& value(std::size_t number) const { return values_[number]; }
  Origin origin(std::size_t value) const;
  /// The numbers of the inputs and outputs.
  const std::vector<std::size_t>& input_values() const { return input_values_; }
  const std::vector<std::size_t>& output_values() const { return output_values_; }
  /// Of the inputs and outputs: the names of their layers.
  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  /// How Keras was given the inputs or outputs: by names, which replace those of the layers, or as
  /// a list, which may be of one.
  struct Structure {
    std::vector<std::string> names = {};
    bool is_list = false;
  };
  Structure given_inputs = {}, given_outputs = {};

  /// Makes the weights of the layers at these places.
  void build(const std::vector<AnyLayer>& layers) const;
  /// The outputs and their masks. An error shows the path to the layer that made it.
  std::pair<Tensors, Tensors> run(const std::vector<AnyLayer>& layers, const Tensors& inputs,
                                  const Tensors& masks, bool training) const;
  /// The outputs' shapes for inputs of other shapes than those of the graph.
  Shapes shapes(const std::vector<AnyLayer>& layers, const Shapes& inputs) const;

  /// The shapes of a layer's outputs, of the last call if there are several.
  Shapes output_shapes(std::size_t layer) const;
  /// Whether each layer is called once, on the outputs of the one before.
  bool is_chain() const;
  /// "dense[0][0], input_layer[0][0]", or "-".
  std::string connections(std::size_t layer) const;

 private:
  std::size_t value_of(const SymbolicTensor& tensor);
  void find_last_reads();
  template <class F>
  auto naming_path(const Call& call, const F& f) const;

  std::vector<AnyLayer> layers_;
  std::vector<Call> calls_;  // each after those whose values it needs
  SymbolicTensors inputs_, outputs_, values_;
  std::vector<std::size_t> input_values_, output_values_;
  std::vector<std::size_t> input_places_;  // of their InputLayers, or the number of layers
};

}  // namespace keratin
