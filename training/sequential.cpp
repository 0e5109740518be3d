#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/core_layers.h>
#include <keratin/training/sequential.h>

namespace keratin {

Sequential::Sequential(std::initializer_list<AnyLayer> layers, const std::string& name) {
  if (!name.empty()) set_name(name);
  for (const AnyLayer& layer : layers) add(layer);
}

void Sequential::add(AnyLayer layer) {
  const std::string& added = layer->name();  // automatic names are given in this order
  for (const AnyLayer& other : layers_)
    if (other->name() == added)
      fail("{} ({}): two layers are named \"{}\"", name(), class_name(), added);
  bool knows_input = layers_.empty() && !layer->input_shape().empty();
  if (!built()) {
    layers_.push_back(layer);
    if (knows_input) ensure_built(layer->input_shape());
    return;
  }
  // A built model grows by one built layer, or not at all.
  track(*layer);
  try {
    Shape output = layer->compute_output_shape(output_shapes_.back());
    layers_.push_back(layer);
    output_shapes_.push_back(output);
  } catch (const LayerError& error) {
    untrack_last();
    throw LayerError(
        fmt::format("{}.\n  {}{}", error.what(), chain(layers_.size()), layer->name()));
  }
  set_weight_paths("");
}

void Sequential::pop() {
  if (layers_.empty()) fail("{} ({}): there is no layer to remove", name(), class_name());
  layers_.pop_back();
  if (!built()) return;
  output_shapes_.pop_back();
  untrack_last();
}

void Sequential::build(const Shape& input_shape) {
  if (!being_built()) return ensure_built(input_shape);  // a user called, as in Keras
  if (layers_.empty()) fail("a model without layers cannot be built");
  output_shapes_.clear();
  set_input_shape(input_shape);
  Shape shape = input_shape;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    track(*layers_[i]);
    try {
      shape = layers_[i]->compute_output_shape(shape);
    } catch (const LayerError& error) {
      throw LayerError(fmt::format("{}.\n  {}{}", error.what(), chain(i), layers_[i]->name()));
    }
    output_shapes_.push_back(shape);
  }
  set_weight_paths("");
}

Tensor Sequential::call(const Tensor& inputs) {
  if (layers_.empty()) fail("a model without layers cannot be called");
  Tensor x = inputs, mask = this->mask();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    try {
      std::tie(x, mask) = layers_[i]->call_with_mask(x, {.training = training(), .mask = mask});
    } catch (const LayerError& error) {
      throw LayerError(fmt::format("{}.\n  {}{}", error.what(), chain(i), layers_[i]->name()));
    }
    name_output(*layers_[i], x);
  }
  set_output_mask(mask);
  return x;
}

Shape Sequential::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  if (input_shape == this->input_shape()) return output_shapes_.back();
  Shape shape = input_shape;
  for (const AnyLayer& layer : layers_) shape = layer->compute_output_shape(shape);
  return shape;
}

std::vector<Layer*> Sequential::layers() const {
  std::vector<Layer*> list;
  for (const AnyLayer& layer : layers_) list.push_back(layer.pointer().get());
  return list;
}

// "masking (None, 29, 12) -> lstm (None, 29, 64) -> ": how the shapes came to be what they are.
std::string Sequential::chain(std::size_t up_to) const {
  std::string text;
  for (std::size_t i = 0; i < up_to && i < output_shapes_.size(); ++i)
    text += fmt::format("{} {} -> ", layers_[i]->name(), output_shapes_[i]);
  return text;
}

}  // namespace keratin
