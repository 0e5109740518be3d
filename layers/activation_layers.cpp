#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/layers/activation_layers.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

ReLU::ReLU(const ReLUOptions& options) : options_(options) {
  check_fields("ReLU", fields());
  apply_common(*this, options);
}

Tensor ReLU::call(const Tensor& x) {
  const ReLUOptions& o = options_;
  Tensor y = o.threshold == 0 ? relu(x) : threshold(x, o.threshold, 0);
  if (o.max_value) y = clip(y, 0, *o.max_value);
  return o.negative_slope == 0 ? y : y - o.negative_slope * relu(o.threshold - x);
}

LeakyReLU::LeakyReLU(const LeakyReLUOptions& options) : options_(options) {
  check_fields("LeakyReLU", fields());
  apply_common(*this, options);
}
Tensor LeakyReLU::call(const Tensor& x) { return leaky_relu(x, options_.negative_slope); }

PReLU::PReLU(const PReLUOptions& options) : options_(options) { apply_common(*this, options); }

void PReLU::build(const Shape& input_shape) {
  const PReLUOptions& o = options_;
  Shape places = input_shape;
  for (int axis : o.shared_axes) {
    if (axis < 1 || axis >= input_shape.rank())
      fail("expected shared_axes between 1 and {} for an input of shape {}, got {}",
           input_shape.rank() - 1, input_shape, axis);
    places[axis] = 1;
  }
  alpha = add_weight("alpha", places.without(0), o.alpha_initializer, o.alpha_regularizer,
                     o.alpha_constraint);
}

Tensor PReLU::call(const Tensor& x) {
  bool fits = x.rank() == alpha.shape().rank() + 1;
  for (int axis = 1; fits && axis < x.rank(); ++axis)
    fits = x.size(axis) == alpha.shape()[axis - 1] ||
           std::ranges::count(options_.shared_axes, axis) > 0;
  if (!fits) fail("expected input like {}, got {}", input_shape(), x.shape());
  return relu(x) - alpha * relu(-x);
}

ELU::ELU(const ELUOptions& options) : options_(options) { apply_common(*this, options); }
Tensor ELU::call(const Tensor& x) { return elu(x, options_.alpha); }

Softmax::Softmax(const SoftmaxOptions& options) : options_(options) {
  check_fields("Softmax", fields());
  apply_common(*this, options);
}

Tensor Softmax::call(const Tensor& x) {
  const std::vector<int>& axis = options_.axis;
  Tensor valid = mask();
  while (valid.defined() && valid.rank() < x.rank()) valid = expand_dims(valid, -1);
  Tensor z = valid.defined() ? where(valid, x, -1e9) : x;
  Tensor y = axis.size() == 1 ? softmax(z, axis[0]) : exp(z - logsumexp(z, axis, true));
  return valid.defined() ? where(valid, y, 0.0) : y;  // also where nothing is valid
}

// --- options

std::vector<Field> ReLU::fields() {
  return {{"max_value", &options_.max_value, at_least(0)},
          {"negative_slope", &options_.negative_slope, at_least(0)},
          {"threshold", &options_.threshold, at_least(0)}};
}
std::vector<Field> LeakyReLU::fields() {
  return {{"negative_slope", &options_.negative_slope, at_least(0)}};
}
std::vector<Field> PReLU::fields() {
  return {{"alpha_initializer", &options_.alpha_initializer},
          {"alpha_regularizer", &options_.alpha_regularizer},
          {"alpha_constraint", &options_.alpha_constraint},
          {"shared_axes", &options_.shared_axes}};
}
std::vector<Field> Softmax::fields() { return {axis_field(options_.axis)}; }

std::vector<Field> ELU::fields() { return {{"alpha", &options_.alpha}}; }
// Keras puts alpha after the name.
Config ELU::get_config() const {
  Config config = Layer::get_config();
  std::rotate(config.begin() + 1, config.end() - 1, config.end());
  return config;
}

}  // namespace keratin
