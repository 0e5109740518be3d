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
  for (const AnyLayer& other : sublayers())
    if (other->name() == added)
      fail("{} ({}): two layers are named \"{}\"", name(), class_name(), added);
  const bool knows_input = sublayers().empty() && !layer->input_shape().empty();
  track(layer);
  if (!built()) {
    if (knows_input) ensure_built(layer->input_shape());
    return;
  }
  // A built model grows by one built layer, or not at all.
  try {
    output_shapes_->push_back(layer->compute_output_shape(output_shapes_->back()));
  } catch (const LayerError& error) {
    untrack_last();
    throw LayerError(
        fmt::format("{}.\n  {}{}", error.what(), chain(sublayers().size()), layer->name()));
  }
}

void Sequential::pop() {
  if (sublayers().empty()) fail("{} ({}): there is no layer to remove", name(), class_name());
  untrack_last();
  if (built()) output_shapes_->pop_back();
}

void Sequential::build(const Shape& input_shape) {
  if (!being_built()) return ensure_built(input_shape);  // a user called, as in Keras
  const std::vector<AnyLayer>& layers = sublayers();
  if (layers.empty()) fail("a model without layers cannot be built");
  output_shapes_->clear();
  set_input_shape(input_shape);
  Shape shape = input_shape;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    try {
      shape = layers[i]->compute_output_shape(shape);
    } catch (const LayerError& error) {
      throw LayerError(fmt::format("{}.\n  {}{}", error.what(), chain(i), layers[i]->name()));
    }
    output_shapes_->push_back(shape);
  }
}

Tensor Sequential::call(const Tensor& inputs) {
  const std::vector<AnyLayer>& layers = sublayers();
  if (layers.empty()) fail("a model without layers cannot be called");
  Tensor x = inputs, mask = this->mask();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    try {
      std::tie(x, mask) = layers[i]->call_with_mask(x, {.training = training(), .mask = mask});
    } catch (const LayerError& error) {
      throw LayerError(fmt::format("{}.\n  {}{}", error.what(), chain(i), layers[i]->name()));
    }
  }
  set_output_mask(mask);
  return x;
}

Shape Sequential::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  if (input_shape == this->input_shape()) return output_shapes_->back();
  Shape shape = input_shape;
  for (const AnyLayer& layer : sublayers()) shape = layer->compute_output_shape(shape);
  return shape;
}

// "masking (None, 29, 12) -> lstm (None, 29, 64) -> ": how the shapes came to be what they are.
std::string Sequential::chain(std::size_t up_to) const {
  std::string text;
  for (std::size_t i = 0; i < up_to && i < output_shapes_->size(); ++i)
    text += fmt::format("{} {} -> ", sublayers()[i]->name(), (*output_shapes_)[i]);
  return text;
}

}  // namespace keratin
