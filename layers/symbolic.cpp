// Calls of layers on symbolic tensors. A call finds the outputs' shapes and remembers what
// was called on what; training/graph.cpp makes a model of that.

#include <keratin/core/internal/message.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/graph_node.h>
#include <keratin/layers/layers.h>
#include <keratin/layers/registry.h>

namespace keratin {

// --- symbolic tensors

const Shape& SymbolicTensor::shape() const { return node_->shapes[one_output()]; }
DType SymbolicTensor::dtype() const { return node_->dtypes[one_output()]; }
const std::string& SymbolicTensor::name() const {
  static const std::string input = "input";
  return node_->layer ? (*node_->layer)->name() : input;
}
std::size_t SymbolicTensor::several() const { return node_->shapes.size(); }
std::size_t SymbolicTensor::one_output() const {
  if (output_ == all_outputs)
    fail("{} has {} outputs; choose one by its number, [0] for example", name(), several());
  return output_;
}

SymbolicTensor SymbolicTensor::operator[](int output) const {
  const int n = static_cast<int>(count());
  if (n == 1) fail("{}: expected several outputs to choose from; slice takes parts of one", name());
  if (output < -n || output >= n) fail("{}: output {} of {} was asked for", name(), output, n);
  SymbolicTensor one = *this;
  one.output_ = static_cast<std::size_t>(output < 0 ? output + n : output);
  return one;
}

SymbolicTensors flat(const SymbolicTensors& tensors) {
  SymbolicTensors list;
  for (const SymbolicTensor& tensor : tensors) {
    if (tensor.count() == 1) list.push_back(tensor);
    for (int i = 0; tensor.count() > 1 && i < static_cast<int>(tensor.count()); ++i)
      list.push_back(tensor[i]);
  }
  return list;
}

SymbolicTensor GraphNode::outputs_of(std::shared_ptr<const GraphNode> node) {
  SymbolicTensor outputs;
  if (node->shapes.size() > 1) outputs.output_ = SymbolicTensor::all_outputs;
  outputs.node_ = std::move(node);
  return outputs;
}

SymbolicTensor placeholder(const Shape& shape, DType dtype) {
  return GraphNode::outputs_of(std::make_shared<GraphNode>(GraphNode{{}, {}, {shape}, {dtype}}));
}

SymbolicTensor Input(const Shape& shape, const InputOptions& options) {
  InputLayer layer(shape, {.name = options.name});
  layer.name();  // automatic names are given in this order
  layer.set_dtype(options.dtype);
  layer.set_input_shape(shape.inserted(0, options.batch_size));
  return begin_graph(layer);
}

SymbolicTensor begin_graph(const AnyLayer& input_layer) {
  const Shape shape = input_layer->input_shape();
  input_layer->ensure_built(shape);
  return GraphNode::outputs_of(
      std::make_shared<GraphNode>(GraphNode{input_layer, {}, {shape}, {input_layer->dtype()}}));
}

std::string path_to(const SymbolicTensor& tensor) {
  const GraphNode* node = GraphNode::of(tensor).get();
  if (!node->layer) return "";
  std::string before = node->inputs.empty() ? "" : path_to(node->inputs[0]);
  return fmt::format("{}{} {} -> ", before, tensor.name(), tensor.shape());
}

// --- calling a layer

SymbolicTensor call_symbolic(const AnyLayer& layer, const SymbolicTensors& tensors,
                             const std::optional<SymbolicTensor>& mask,
                             std::optional<bool> training) {
  const SymbolicTensors inputs = flat(tensors);
  if (inputs.empty()) fail("{} ({}): called on no input", layer->name(), layer->class_name());
  Shapes shapes;
  for (const SymbolicTensor& input : inputs) shapes.push_back(input.shape());
  try {
    const Shapes given = shapes;
    shapes = layer->compute_output_shape(shapes);
    layer->ensure_built(given);  // if finding the shapes has not done so
  } catch (const LayerError& error) {
    throw LayerError(fmt::format("{}.\n  {}{}", error.what(), path_to(inputs[0]), layer->name()));
  }
  std::vector<DType> dtypes(shapes.size(), layer->dtype());
  return GraphNode::outputs_of(
      std::make_shared<GraphNode>(GraphNode{layer, inputs, shapes, dtypes, mask, training}));
}

SymbolicTensor Layer::operator()(const SymbolicTensor& inputs) {
  return reference_to(*this)(inputs);
}
SymbolicTensor Layer::operator()(const SymbolicTensors& inputs) {
  return reference_to(*this)(inputs);
}
SymbolicTensor AnyLayer::operator()(const SymbolicTensor& inputs) const {
  return call_symbolic(*this, {inputs});
}
SymbolicTensor AnyLayer::operator()(const SymbolicTensors& inputs) const {
  return call_symbolic(*this, inputs);
}

}  // namespace keratin
