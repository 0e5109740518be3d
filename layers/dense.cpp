#include <keratin/autograd/ops.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

Dense::Dense(int units, const DenseOptions& options) : units_(units), options_(options) {
  check_fields("Dense", fields());
  if (units == 1 && options.activation.name() == "softmax")
    warn("Dense: softmax of one unit is 1 whatever comes in; sigmoid is what one unit needs");
  apply_common(*this, options);
}

std::vector<Field> Dense::fields() {
  DenseOptions& o = options_;
  return {{"units", &units_, at_least(1)},
          {"activation", &o.activation},
          {"use_bias", &o.use_bias},
          {"kernel_initializer", &o.kernel_initializer},
          {"bias_initializer", &o.bias_initializer},
          {"kernel_regularizer", &o.kernel_regularizer},
          {"bias_regularizer", &o.bias_regularizer},
          {"kernel_constraint", &o.kernel_constraint},
          {"bias_constraint", &o.bias_constraint},
          Field::fixed("quantization_config", {})};
}

void Dense::build(const Shape& input_shape) {
  if (input_shape.rank() < 2) fail("expected an input of rank 2 or more, got {}", input_shape);
  const DenseOptions& o = options_;
  kernel = add_weight("kernel", {known_last_axis(input_shape), units_}, o.kernel_initializer,
                      o.kernel_regularizer, o.kernel_constraint);
  if (o.use_bias)
    bias = add_weight("bias", {units_}, o.bias_initializer, o.bias_regularizer, o.bias_constraint);
}

Tensor Dense::call(const Tensor& inputs) {
  if (inputs.rank() < 2 || inputs.size(-1) != kernel.shape()[0])
    fail("expected input with last axis {}, got {}", kernel.shape()[0], inputs.shape());
  return options_.activation(bias.defined() ? linear(inputs, kernel, bias) : dot(inputs, kernel));
}

}  // namespace keratin
