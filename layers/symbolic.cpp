// Calls of layers and ops on symbolic tensors. A call finds the outputs' shapes and remembers what
// was called on what; training/graph.cpp makes a model of that.

#include <cctype>

#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
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
  const Shape batch = shape.inserted(0, options.batch_size);
  layer.name();  // automatic names are given in this order
  layer.ensure_built(batch);
  return GraphNode::outputs_of(
      std::make_shared<GraphNode>(GraphNode{layer, {}, {batch}, {options.dtype}}));
}

std::string path_to(const SymbolicTensor& tensor) {
  const GraphNode* node = GraphNode::of(tensor).get();
  if (!node->layer) return "";
  std::string before = node->inputs.empty() ? "" : path_to(node->inputs[0]);
  return fmt::format("{}{} {} -> ", before, tensor.name(), tensor.shape());
}

// --- calling a layer

namespace {

SymbolicTensor call_symbolic(const AnyLayer& layer, const SymbolicTensors& tensors) {
  const SymbolicTensors inputs = flat(tensors);
  if (inputs.empty()) fail("{} ({}): called on no input", layer->name(), layer->class_name());
  Shapes shapes;
  for (const SymbolicTensor& input : inputs) shapes.push_back(input.shape());
  try {
    shapes = layer->compute_output_shape(shapes);
  } catch (const LayerError& error) {
    throw LayerError(fmt::format("{}.\n  {}{}", error.what(), path_to(inputs[0]), layer->name()));
  }
  std::vector<DType> dtypes(shapes.size(), layer->dtype());
  return GraphNode::outputs_of(
      std::make_shared<GraphNode>(GraphNode{layer, inputs, shapes, dtypes}));
}

}  // namespace

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

// --- operations

namespace {

/// A function of tensors as a layer; constants among its operands are part of it.
class Operation : public Layer {
 public:
  Operation(std::string_view name, std::function<Tensors(const Tensors&)> function)
      : class_name_(class_name_of(name)), function_(std::move(function)) {}
  std::string class_name() const override { return class_name_; }
  Tensors call(const Tensors& inputs) override { return function_(inputs); }

 private:
  // "log_softmax" -> "LogSoftmax"
  static std::string class_name_of(std::string_view name) {
    std::string text;
    bool begins = true;
    for (char c : name) {
      if (c != '_') text += static_cast<char>(begins ? std::toupper(c) : c);
      begins = c == '_';
    }
    return text;
  }

  std::string class_name_;
  std::function<Tensors(const Tensors&)> function_;
};

}  // namespace

SymbolicTensor operation(std::string_view name, std::function<Tensors(const Tensors&)> function,
                         const std::vector<Operand>& operands) {
  SymbolicTensors inputs;
  Tensors constants;  // by the operand's number, undefined for inputs
  for (const Operand& operand : operands) {
    if (operand.symbolic) inputs.push_back(*operand.symbolic);
    constants.push_back(operand.constant);
    if (!operand.symbolic && !operand.constant.defined()) fail("{}: a tensor is undefined", name);
  }
  if (inputs.empty()) fail("{}: expected a symbolic tensor among the operands", name);
  auto with_constants = [function = std::move(function), constants](const Tensors& given) {
    Tensors all = constants;
    auto next = given.begin();
    for (Tensor& operand : all)
      if (!operand.defined()) operand = *next++;
    return function(all);
  };
  AnyLayer layer = keratin::layer<Operation>(name, with_constants);
  NoGradient scope;
  auto tried = [&](std::int64_t size) {
    Tensors filled;
    Shapes shapes;
    for (const SymbolicTensor& input : inputs) {
      shapes.push_back(filled_in(input.shape(), size));
      filled.push_back(zeros(shapes.back(), input.dtype()));
    }
    try {
      return with_constants(filled);
    } catch (const std::invalid_argument& error) {
      fail("{}: {}, while finding the output shape with zeros of shape {}.\n  {}{}", layer->name(),
           error.what(), fmt::join(shapes, ", "), path_to(inputs[0]), layer->name());
    }
  };
  const Tensors small = tried(2), large = tried(3);
  GraphNode node{layer, inputs, {}, {}};
  for (std::size_t i = 0; i < small.size(); ++i) {
    Shape shape = small[i].shape();
    for (int axis = 0; axis < shape.rank(); ++axis)
      if (shape[axis] != large[i].size(axis)) shape[axis] = None;
    node.shapes.push_back(shape);
    node.dtypes.push_back(small[i].dtype());
  }
  Shapes shapes;
  for (const SymbolicTensor& input : inputs) shapes.push_back(input.shape());
  layer->ensure_built(shapes);
  return GraphNode::outputs_of(std::make_shared<GraphNode>(std::move(node)));
}

}  // namespace keratin
