#include <keratin/layers/internal/options.h>
#include <keratin/layers/lambda.h>

namespace keratin {

Lambda::Lambda(Function function, const LambdaOptions& options)
    : function_(std::move(function)), options_(options) {
  if (!function_) fail("Lambda: the function is empty");
  apply_common(*this, options);
}

const Tensor& Lambda::the_only(const Tensors& inputs) {
  if (inputs.size() != 1)
    fail("the function takes one input, got {}: a function of several takes const Tensors&",
         inputs.size());
  return inputs[0];
}

Tensors Lambda::call(const Tensors& inputs) {
  CallOptions call{.training = training()};
  for (std::size_t i = 0; i < inputs.size(); ++i) call.masks.push_back(mask(i));
  call.mask = call.masks[0];
  return function_(inputs, call);
}

Tensors Lambda::compute_mask(const Tensors& inputs, const Tensors& masks) {
  if (options_.mask) return {options_.mask(inputs, masks)};
  return {};
}

Shapes Lambda::compute_output_shape(const Shapes& input_shapes) {
  if (options_.output_shape.empty()) return tried_shapes(input_shapes);
  return {options_.output_shape.inserted(0, input_shapes.at(0)[0])};
}

// Keras stores Python's code; there is no such thing here.
std::vector<Field> Lambda::fields() {
  auto refuse = [this]() -> Option {
    fail(
        "{} (Lambda): a function has no config: write a class of your own with fields() and "
        "register_keras_serializable",
        name());
  };
  return {{"function", refuse, [](const Option&) { return false; }}};
}

}  // namespace keratin
