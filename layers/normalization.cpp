#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/normalization.h>

namespace keratin {
namespace {

/// x, scaled and moved where the layer has weights for it; `shape` makes them broadcast to x.
Tensor affine(const Tensor& x, const Weight& gamma, const Weight& beta, const Shape& shape) {
  Tensor y = x;
  if (gamma.defined()) y = y * reshape(gamma, shape);
  if (beta.defined()) y = y + reshape(beta, shape);
  return y;
}

}  // namespace

BatchNormalization::BatchNormalization(const BatchNormalizationOptions& options)
    : options_(options) {
  check_fields("BatchNormalization", fields());
  apply_common(*this, options);
}

std::vector<Field> BatchNormalization::fields() {
  BatchNormalizationOptions& o = options_;
  return {{"axis", &o.axis},
          {"momentum", &o.momentum, between(0, 1)},
          {"epsilon", &o.epsilon},
          {"center", &o.center},
          {"scale", &o.scale},
          {"beta_initializer", &o.beta_initializer},
          {"gamma_initializer", &o.gamma_initializer},
          {"moving_mean_initializer", &o.moving_mean_initializer},
          {"moving_variance_initializer", &o.moving_variance_initializer},
          {"beta_regularizer", &o.beta_regularizer},
          {"gamma_regularizer", &o.gamma_regularizer},
          {"beta_constraint", &o.beta_constraint},
          {"gamma_constraint", &o.gamma_constraint},
          Field::fixed("synchronized", false),
          Field::fixed("renorm", false),
          Field::fixed("renorm_clipping", {}),
          Field::without_effect("renorm_momentum", 0.99)};
}

void BatchNormalization::build(const Shape& input_shape) {
  const BatchNormalizationOptions& o = options_;
  Shape features{input_shape[normalize_axis(o.axis, input_shape.rank(), "axis")]};
  if (o.scale)
    gamma =
        add_weight("gamma", features, o.gamma_initializer, o.gamma_regularizer, o.gamma_constraint);
  if (o.center)
    beta = add_weight("beta", features, o.beta_initializer, o.beta_regularizer, o.beta_constraint);
  moving_mean = add_weight("moving_mean", features, o.moving_mean_initializer, {}, {},
                           /*trainable=*/false);
  moving_variance = add_weight("moving_variance", features, o.moving_variance_initializer, {}, {},
                               /*trainable=*/false);
}

Tensor BatchNormalization::call(const Tensor& inputs) {
  Tensor x = inputs, valid;
  if (mask().defined()) {
    valid = mask();
    while (valid.rank() < x.rank()) valid = expand_dims(valid, -1);
    x = where(logical_or(valid, isfinite(x)), x, 0.0);  // NaN in padding reaches nothing
  }
  int axis = normalize_axis(options_.axis, x.rank(), "axis");
  if (x.size(axis) != moving_mean.shape()[0])
    fail("expected input with axis {} of {}, got {}", axis, moving_mean.shape()[0], x.shape());
  std::vector<int> others;
  for (int i = 0; i < x.rank(); ++i)
    if (i != axis) others.push_back(i);
  Shape shape = Shape::filled(x.rank(), 1).with(axis, x.size(axis));

  Tensor average = reshape(moving_mean, shape), variance = reshape(moving_variance, shape);
  if (training() && trainable()) {
    if (mask().defined()) {
      valid = valid.astype(x.dtype());
      Tensor count = sum(valid * ones_like(x), others, true) + 1e-7;
      average = sum(x * valid, others, true) / count;
      variance = sum(square(x - average) * valid, others, true) / count;
    } else {
      average = mean(x, others, true);
      variance = var(x, others, true);
    }
    NoGradient scope;
    double m = options_.momentum;
    moving_mean.assign(moving_mean * m + reshape(average, moving_mean.shape()) * (1 - m));
    moving_variance.assign(moving_variance * m +
                           reshape(variance, moving_variance.shape()) * (1 - m));
  }
  return affine((x - average) * rsqrt(variance + options_.epsilon), gamma, beta, shape);
}

LayerNormalization::LayerNormalization(const LayerNormalizationOptions& options)
    : options_(options) {
  apply_common(*this, options);
}

std::vector<Field> LayerNormalization::fields() {
  LayerNormalizationOptions& o = options_;
  auto axis = [&o] { return o.axis.size() == 1 ? to_option(o.axis[0]) : to_option(o.axis); };
  return {{"axis", axis, [&o](const Option& value) { return from_option(value, o.axis); }},
          {"epsilon", &o.epsilon},
          {"center", &o.center},
          {"scale", &o.scale},
          Field::fixed("rms_scaling", false),
          {"beta_initializer", &o.beta_initializer},
          {"gamma_initializer", &o.gamma_initializer},
          {"beta_regularizer", &o.beta_regularizer},
          {"gamma_regularizer", &o.gamma_regularizer},
          {"beta_constraint", &o.beta_constraint},
          {"gamma_constraint", &o.gamma_constraint}};
}

void LayerNormalization::build(const Shape& input_shape) {
  const LayerNormalizationOptions& o = options_;
  if (o.axis.empty()) fail("expected at least one axis");
  axes_ = o.axis;
  for (int& axis : axes_) axis = normalize_axis(axis, input_shape.rank(), "axis");
  std::ranges::sort(axes_);
  Shape features;
  for (int axis : axes_) features.push_back(input_shape[axis]);
  if (o.scale)
    gamma =
        add_weight("gamma", features, o.gamma_initializer, o.gamma_regularizer, o.gamma_constraint);
  if (o.center)
    beta = add_weight("beta", features, o.beta_initializer, o.beta_regularizer, o.beta_constraint);
}

Tensor LayerNormalization::call(const Tensor& x) {
  Shape shape = Shape::filled(x.rank(), 1);
  for (int axis : axes_) {
    if (axis >= x.rank() || axis >= input_shape().rank() || x.size(axis) != input_shape()[axis])
      fail("expected input like {}, got {}", input_shape(), x.shape());
    shape[axis] = x.size(axis);
  }
  Tensor centred = x - mean(x, axes_, true);
  Tensor variance = mean(square(centred), axes_, true);
  return affine(centred * rsqrt(variance + options_.epsilon), gamma, beta, shape);
}

}  // namespace keratin
