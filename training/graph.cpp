// From symbolic tensors to the calls between them, in the order of keras/src/ops/function.py.

#include <algorithm>
#include <map>

#include <keratin/core/internal/message.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/graph_node.h>
#include <keratin/training/internal/graph.h>

namespace keratin {
namespace {

using GraphNodePointer = std::shared_ptr<const GraphNode>;

bool same(const SymbolicTensor& a, const SymbolicTensor& b) {
  return GraphNode::of(a) == GraphNode::of(b) && GraphNode::output_of(a) == GraphNode::output_of(b);
}
bool contains(const SymbolicTensors& list, const SymbolicTensor& tensor) {
  return std::ranges::any_of(list,
                             [&](const SymbolicTensor& other) { return same(other, tensor); });
}
/// The place of a layer in a list, or its size.
std::size_t place_of(const AnyLayer& layer, const std::vector<AnyLayer>& list) {
  auto found = std::ranges::find_if(list, [&](const AnyLayer& other) { return other->is(*layer); });
  return static_cast<std::size_t>(found - list.begin());
}

/// All nodes from the inputs to the outputs, each after those that it needs; and their layers in
/// the order in which they are met on the way from the outputs.
struct Walk {
  const SymbolicTensors& inputs;
  std::vector<GraphNodePointer> nodes = {};
  std::vector<AnyLayer> layers = {};

  void visit(const SymbolicTensor& tensor) {
    const GraphNodePointer& node = GraphNode::of(tensor);
    if (std::ranges::find(nodes, node) != nodes.end()) return;
    const bool begins = node->inputs.empty(), is_input = contains(inputs, tensor);
    if (is_input && !begins) return;  // what made this tensor is not part of the graph
    if (begins && !is_input)
      fail("an output depends on the input \"{}\", which is not among the inputs", tensor.name());
    if (node->layer && place_of(*node->layer, layers) == layers.size())
      layers.push_back(*node->layer);
    for (const SymbolicTensor& input : node->inputs) visit(input);
    if (node->mask) visit(*node->mask);
    nodes.push_back(node);
  }

  /// The layers, those farthest from the outputs first.
  std::vector<AnyLayer> by_depth() const {
    std::map<GraphNodePointer, int> depths;
    std::vector<int> of_layers(layers.size(), 0);  // the largest of their nodes
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      if (!(*node)->layer) continue;
      int &depth = depths[*node], &of_layer = of_layers[place_of(*(*node)->layer, layers)];
      depth = of_layer = std::max(depth, of_layer);
      auto comes_before = [&, behind = depth](const SymbolicTensor& input) {
        int& before = depths[GraphNode::of(input)];
        before = std::max(before, behind + 1);
      };
      for (const SymbolicTensor& input : (*node)->inputs) comes_before(input);
      if ((*node)->mask) comes_before(*(*node)->mask);
    }
    std::vector<std::size_t> places(layers.size());
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
    std::ranges::stable_sort(
        places, [&](std::size_t a, std::size_t b) { return of_layers[a] > of_layers[b]; });
    std::vector<AnyLayer> sorted;
    for (std::size_t place : places) sorted.push_back(layers[place]);
    return sorted;
  }
};

AnyLayer input_layer_for(const SymbolicTensor& tensor) {
  InputLayer layer(tensor.shape().without(0));
  layer.name();  // automatic names are given in this order
  layer.set_dtype(tensor.dtype());
  return layer;
}

}  // namespace

ModelGraph::ModelGraph(const SymbolicTensors& inputs, const SymbolicTensors& outputs)
    : inputs_(flat(inputs)), outputs_(flat(outputs)) {
  if (inputs_.empty() || outputs_.empty()) fail("expected at least one input and one output");
  Walk walk{inputs_};
  for (const SymbolicTensor& output : outputs_) walk.visit(output);
  layers_ = walk.by_depth();
  std::vector<std::optional<AnyLayer>> begins;
  int new_layers = 0;
  for (const SymbolicTensor& input : inputs_) {
    const GraphNode& node = *GraphNode::of(input);
    if (node.inputs.empty()) {
      begins.push_back(node.layer);
      if (node.layer && place_of(*node.layer, layers_) == layers_.size())
        layers_.push_back(*node.layer);  // those that no output needs come last
    } else {                             // another graph's tensor: an InputLayer stands for it
      begins.push_back(input_layer_for(input));
      layers_.insert(layers_.begin() + new_layers++, *begins.back());
    }
  }
  for (const auto& begin : begins)
    input_places_.push_back(begin ? place_of(*begin, layers_) : layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (layers_[i]->name() == layers_[j]->name())
        fail("two layers are named \"{}\"", layers_[i]->name());

  for (const SymbolicTensor& input : inputs_) input_values_.push_back(value_of(input));
  std::vector<int> calls_of(layers_.size(), 0);
  for (const GraphNodePointer& node : walk.nodes) {
    if (node->inputs.empty()) continue;
    Call call{.layer = place_of(*node->layer, layers_)};
    call.index = calls_of[call.layer]++;
    for (const SymbolicTensor& input : node->inputs) call.inputs.push_back(value_of(input));
    if (node->mask) call.mask = value_of(*node->mask);
    call.training = node->training;
    for (const SymbolicTensor& output : flat({GraphNode::outputs_of(node)}))
      call.outputs.push_back(value_of(output));
    calls_.push_back(call);
  }
  for (const SymbolicTensor& output : outputs_) output_values_.push_back(value_of(output));
  find_last_reads();
}

std::size_t ModelGraph::value_of(const SymbolicTensor& tensor) {
  for (std::size_t i = 0; i < values_.size(); ++i)
    if (same(values_[i], tensor)) return i;
  values_.push_back(tensor);
  return values_.size() - 1;
}

void ModelGraph::find_last_reads() {
  std::vector<bool> read(values_.size(), false);
  for (std::size_t output : output_values_) read[output] = true;
  for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
    auto reads = [&](std::size_t value) {
      if (!read[value]) call->finished.push_back(value);
      read[value] = true;
    };
    std::ranges::for_each(call->inputs, reads);
    if (call->mask) reads(*call->mask);
    std::ranges::for_each(call->outputs, reads);
  }
}

std::vector<std::string> ModelGraph::input_names() const {
  if (!given_inputs.names.empty()) return given_inputs.names;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    names.push_back(input_places_[i] < layers_.size() ? layers_[input_places_[i]]->name()
                                                      : inputs_[i].name());
  return names;
}
std::vector<std::string> ModelGraph::output_names() const {
  if (!given_outputs.names.empty()) return given_outputs.names;
  std::vector<std::string> names;
  for (const SymbolicTensor& output : outputs_) names.push_back(output.name());
  return names;
}

template <class F>
auto ModelGraph::naming_path(const Call& call, const F& f) const {
  try {
    return f();
  } catch (const LayerError& error) {
    throw LayerError(fmt::format("{}.\n  {}{}", error.what(), path_to(values_[call.inputs[0]]),
                                 layers_[call.layer]->name()));
  }
}

// --- using it

void ModelGraph::build(const std::vector<AnyLayer>& layers) const {
  auto shape = [&](std::size_t value) { return values_[value].shape(); };
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (input_places_[i] < layers.size())
      layers[input_places_[i]]->ensure_built(inputs_[i].shape());
  for (const Call& call : calls_) {
    Shapes shapes;
    for (std::size_t input : call.inputs) shapes.push_back(shape(input));
    naming_path(call, [&] { layers[call.layer]->ensure_built(shapes); });
  }
}

std::pair<Tensors, Tensors> ModelGraph::run(const std::vector<AnyLayer>& layers,
                                            const Tensors& inputs, const Tensors& masks,
                                            bool training) const {
  if (inputs.size() != inputs_.size())
    fail("expected {} inputs ({}), got {}", inputs_.size(), fmt::join(input_names(), ", "),
         inputs.size());
  Tensors values(values_.size()), value_masks(values_.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    values[input_values_[i]] = inputs[i];
    if (i < masks.size()) value_masks[input_values_[i]] = masks[i];
  }
  auto pick = [](const Tensors& all, const std::vector<std::size_t>& numbers) {
    Tensors picked;
    for (std::size_t number : numbers) picked.push_back(all[number]);
    return picked;
  };
  for (const Call& call : calls_) {
    CallOptions options{.training = training, .masks = pick(value_masks, call.inputs)};
    if (call.mask) options.masks[0] = values[*call.mask];
    auto [outputs, output_masks] = naming_path(call, [&] {
      return layers[call.layer]->call_with_mask(pick(values, call.inputs), options);
    });
    for (std::size_t i = 0; i < call.outputs.size() && i < outputs.size(); ++i) {
      values[call.outputs[i]] = outputs[i];
      value_masks[call.outputs[i]] = output_masks[i];
    }
    for (std::size_t value : call.finished) values[value] = value_masks[value] = Tensor();
  }
  return {pick(values, output_values_), pick(value_masks, output_values_)};
}

Shapes ModelGraph::shapes(const std::vector<AnyLayer>& layers, const Shapes& inputs) const {
  Shapes shapes(values_.size());
  bool as_declared = inputs.size() == inputs_.size();
  for (std::size_t i = 0; i < inputs.size() && i < inputs_.size(); ++i) {
    shapes[input_values_[i]] = inputs[i];
    as_declared = as_declared && inputs[i] == inputs_[i].shape();
  }
  Shapes outputs;
  if (as_declared) {
    for (const SymbolicTensor& output : outputs_) outputs.push_back(output.shape());
    return outputs;
  }
  for (const Call& call : calls_) {
    Shapes of_inputs;
    for (std::size_t input : call.inputs) of_inputs.push_back(shapes[input]);
    const Shapes found =
        naming_path(call, [&] { return layers[call.layer]->compute_output_shape(of_inputs); });
    for (std::size_t i = 0; i < call.outputs.size(); ++i) shapes[call.outputs[i]] = found.at(i);
  }
  for (std::size_t output : output_values_) outputs.push_back(shapes[output]);
  return outputs;
}

// --- what summary shows

Shapes ModelGraph::output_shapes(std::size_t layer) const {
  Shapes shapes;
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (input_places_[i] == layer) shapes = {inputs_[i].shape()};
  for (const Call& call : calls_) {
    if (call.layer != layer) continue;
    shapes.clear();
    for (std::size_t output : call.outputs) shapes.push_back(values_[output].shape());
  }
  return shapes;
}

bool ModelGraph::is_chain() const {
  if (inputs_.size() != 1) return false;
  std::size_t expected = input_values_[0];
  for (const Call& call : calls_) {
    if (call.inputs.size() != 1 || call.inputs[0] != expected || call.index > 0) return false;
    expected = call.outputs[0];
  }
  return true;
}

ModelGraph::Origin ModelGraph::origin(std::size_t value) const {
  for (const Call& call : calls_) {
    auto found = std::ranges::find(call.outputs, value);
    if (found == call.outputs.end()) continue;
    return {call.layer, call.index, static_cast<std::size_t>(found - call.outputs.begin())};
  }
  auto input = std::ranges::find(input_values_, value);
  return {input_places_.at(static_cast<std::size_t>(input - input_values_.begin())), 0, 0};
}

std::string ModelGraph::connections(std::size_t layer) const {
  std::string text;
  for (const Call& call : calls_) {
    if (call.layer != layer) continue;
    std::vector<std::size_t> read = call.inputs;
    if (call.mask) read.push_back(*call.mask);
    for (std::size_t input : read) {
      const Origin from = origin(input);
      text += fmt::format(
          "{}{}[{}][{}]", text.empty() ? "" : ", ",
          from.layer < layers_.size() ? layers_[from.layer]->name() : values_[input].name(),
          from.call, from.output);
    }
  }
  return text.empty() ? "-" : text;
}

}  // namespace keratin
