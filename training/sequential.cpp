#include <algorithm>
#include <set>

#include <keratin/core/internal/message.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/graph_node.h>
#include <keratin/layers/registry.h>
#include <keratin/training/internal/graph.h>
#include <keratin/training/internal/model_config.h>
#include <keratin/training/sequential.h>

namespace keratin {

namespace {

[[maybe_unused]] const bool registered =
    (register_layer_class(typeid(Sequential),
                          {.name = "Sequential",
                           .module = "keras",
                           .reference =
                               [](const Layer& layer) {
                                 return AnyLayer(Sequential(static_cast<const Sequential&>(layer)));
                               },
                           .from_config = sequential_from_config,
                           .built_in = true}),
     true);

}  // namespace

Sequential::Sequential(std::initializer_list<AnyLayer> layers, const std::string& name) {
  if (!name.empty()) set_name(name);
  for (const AnyLayer& layer : layers) add(layer);
}

Sequential::Sequential(const Sequential& other) : Model(other), chain_(other.chain_) {
  if (!cloning()) return;
  graph_ = std::make_shared<ModelGraph>();
  chain_ = std::make_shared<Chain>();
}

void Sequential::add(AnyLayer layer) {
  const std::string& added = layer->name();  // automatic names are given in this order
  for (const AnyLayer& other : sublayers())
    if (other->name() == added)
      fail("{} ({}): two layers are named \"{}\"", name(), class_name(), added);
  const bool knows_input = sublayers().empty() && !layer->input_shape().empty();
  track(layer, "layers/");
  if (!built()) {
    if (knows_input) ensure_built(layer->input_shape());
    return;
  }
  // A built model grows by one built layer, or not at all.
  try {
    chain_->push_back(layer(chain_->back()));
  } catch (...) {
    untrack_last();
    throw;
  }
  connect();
}

void Sequential::set_layers(const std::vector<AnyLayer>& layers) {
  std::set<std::string> names;
  for (const AnyLayer& layer : layers) {
    if (!names.insert(layer->name()).second)
      fail("{} ({}): two layers are named \"{}\"", name(), class_name(), layer->name());
    track(layer, "layers/");
  }
  if (!layers.empty() && !layers[0]->input_shape().empty()) ensure_built(layers[0]->input_shape());
}

void Sequential::pop() {
  if (sublayers().empty()) fail("{} ({}): there is no layer to remove", name(), class_name());
  untrack_last();
  if (!built()) return;
  chain_->pop_back();
  connect();
}

void Sequential::build(const Shape& input_shape) { build(Shapes{input_shape}); }
void Sequential::build(const Shapes& input_shapes) {
  if (!being_built()) return ensure_built(input_shapes);  // a user called, as in Keras
  if (sublayers().empty()) fail("a model without layers cannot be built");
  if (!chain_->empty()) return;
  Chain chain{placeholder(input_shapes[0], dtype())};
  for (const AnyLayer& layer : sublayers()) chain.push_back(layer(chain.back()));
  *chain_ = chain;
  connect();
}

// The graph of what the chain holds.
void Sequential::connect() {
  *graph_ = chain_->size() < 2 ? ModelGraph() : ModelGraph({chain_->front()}, {chain_->back()});
  graph_->is_sequential = true;
}

Tensors Sequential::default_call(const Tensors& inputs) {
  if (sublayers().empty()) fail("a model without layers cannot be called");
  return Model::default_call(inputs);
}

std::vector<Shape> Sequential::output_shapes() const {
  std::vector<Shape> shapes;
  for (std::size_t i = 1; i < chain_->size(); ++i)
    shapes.push_back((*chain_)[i].count() == 1 ? (*chain_)[i].shape() : (*chain_)[i][0].shape());
  return shapes;
}

Config Sequential::get_config() const { return sequential_config(*this); }

}  // namespace keratin
