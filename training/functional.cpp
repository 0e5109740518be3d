// A model that is made of symbolic inputs and outputs (keras/src/models/functional.py).

#include <algorithm>

#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/graph_node.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/registry.h>
#include <keratin/training/internal/graph.h>
#include <keratin/training/internal/model_config.h>
#include <keratin/training/model.h>

namespace keratin {

namespace {

[[maybe_unused]] const bool registered =
    (register_layer_class(
         typeid(Model),
         {.name = "Functional",
          .module = "keras.src.models.functional",
          .reference =
              [](const Layer& layer) { return AnyLayer(Model(static_cast<const Model&>(layer))); },
          .from_config = functional_from_config,
          .built_in = true}),
     true);

// A known extent must be as declared, and so must the rank.
void check_input(const SymbolicTensor& input, const Tensor& given) {
  if (!GraphNode::of(input)->layer) return;  // the first layer of a Sequential has its own errors
  const Shape& expected = input.shape();
  bool fits = given.defined() && given.rank() == expected.rank();
  for (int axis = 0; fits && axis < expected.rank(); ++axis)
    fits = expected[axis] == None || expected[axis] == given.size(axis);
  if (!fits)
    fail("input \"{}\": expected {}, got {}", input.name(), expected,
         given.defined() ? given.shape().str() : "nothing");
}

// What all layers with weights compute in, without weights all layers; or floatx().
DType dtype_of(const std::vector<AnyLayer>& layers) {
  const bool weighted =
      std::ranges::any_of(layers, [](const AnyLayer& layer) { return !layer->weights().empty(); });
  std::optional<DType> common;
  for (const AnyLayer& layer : layers) {
    if (weighted ? layer->weights().empty() : !is_layer_of_keras(*layer)) continue;
    if (common && *common != layer->dtype()) return floatx();
    common = layer->dtype();
  }
  return common.value_or(floatx());
}

}  // namespace

Model::Model(const SymbolicTensors& inputs, const SymbolicTensors& outputs, const std::string& name)
    : Model() {
  set_name(name.empty() ? unique_name("functional") : name);
  try {
    *graph_ = ModelGraph(inputs, outputs);
  } catch (const std::invalid_argument& error) {
    throw LayerError(fmt::format("{} (Functional): {}", this->name(), error.what()));
  }
  set_dtype(dtype_of(graph().layers()));
  for (const AnyLayer& layer : graph().layers()) track(layer, "layers/");
  Shapes shapes;
  for (const SymbolicTensor& input : graph().inputs()) shapes.push_back(input.shape());
  ensure_built(shapes);
}

const ModelGraph& Model::graph() const {
  if (graph_ == nullptr) name();  // throws: the object was moved from
  return *graph_;
}

void Model::default_build(const Shapes& input_shapes) {
  if (graph().empty()) return Layer::default_build(input_shapes);
  graph().build(sublayers());
}

// A class derived from a model with a graph may override this form, as that of any layer.
Tensor Model::call(const Tensor& inputs) {
  return graph().empty() ? Layer::call(inputs) : call_layers({inputs})[0];
}

Tensors Model::default_call(const Tensors& inputs) {
  const bool single = inputs.size() == 1 && graph().outputs().size() == 1;
  return graph().empty() || single ? Layer::default_call(inputs) : call_layers(inputs);
}

Tensors Model::call_layers(const Tensors& inputs) {
  if (inputs.size() == graph().inputs().size())
    for (std::size_t i = 0; i < inputs.size(); ++i) check_input(graph().inputs()[i], inputs[i]);
  Tensors masks;
  for (std::size_t i = 0; i < inputs.size(); ++i) masks.push_back(mask(i));
  auto [outputs, output_masks] = graph().run(sublayers(), inputs, masks, training());
  set_output_masks(output_masks);
  return outputs;
}

Shapes Model::tried_shapes(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  if (graph().empty() || !is_built_in(*this)) return Layer::tried_shapes(input_shapes);
  InsideOf scope(*this);
  return graph().shapes(sublayers(), input_shapes);
}

bool Model::supports_masking() const { return !graph().empty(); }

std::string Model::class_name() const {
  if (typeid(*this) != typeid(Model) || graph_ == nullptr || graph_->empty())
    return Layer::class_name();
  return graph_->is_sequential ? "Sequential" : "Functional";
}

Config Model::get_config() const {
  if (class_name() == "Functional") {
    Config config{{"name", name()}, {"trainable", trainable()}};
    for (auto& entry : graph_config(graph(), sublayers())) config.push_back(std::move(entry));
    return config;
  }
  if (class_name() == "Sequential") return sequential_config(*this);
  if (const_cast<Model*>(this)->fields().empty())
    fail("{} ({}): a model of one's own has a config when it overrides fields()", name(),
         class_name());
  return Layer::get_config();
}

std::vector<std::string> Model::input_names() const { return graph().input_names(); }
std::vector<std::string> Model::output_names() const { return graph().output_names(); }

}  // namespace keratin
