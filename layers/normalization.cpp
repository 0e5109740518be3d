#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/normalization.h>
#include <keratin/layers/registry.h>

namespace keratin {
namespace {

/// x, scaled and moved where the layer has weights for it; `shape` makes them broadcast to x.
Tensor affine(const Tensor& x, const Weight& gamma, const Weight& beta, const Shape& shape) {
  Tensor y = x;
  if (gamma.defined()) y = y * reshape(gamma, shape);
  if (beta.defined()) y = y + reshape(beta, shape);
  return y;
}

/// Mean 0 and variance 1 over the axes, in two passes.
Tensor standardized(const Tensor& x, const std::vector<int>& axes, double epsilon) {
  Tensor centred = x - mean(x, axes, true);
  return centred * rsqrt(mean(square(centred), axes, true) + epsilon);
}

/// The axes counted from 0, in order.
std::vector<int> sorted_axes(std::vector<int> axes, int rank) {
  for (int& axis : axes) axis = normalize_axis(axis, rank, "axis");
  std::ranges::sort(axes);
  return axes;
}

/// The sizes along the axes alone.
Shape sizes_along(const std::vector<int>& axes, const Shape& shape) {
  Shape sizes;
  for (int axis : axes) sizes.push_back(shape[axis]);
  return sizes;
}

/// The shape in which a weight of the sizes along the axes broadcasts to x, which must have them.
Shape broadcast_shape(const std::vector<int>& axes, const Tensor& x, const Shape& built_for) {
  Shape shape = Shape::filled(x.rank(), 1);
  for (int axis : axes) {
    if (axis >= x.rank() || axis >= built_for.rank() || x.size(axis) != built_for[axis])
      fail("expected input like {}, got {}", built_for, x.shape());
    shape[axis] = x.size(axis);
  }
  return shape;
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
  check_fields("LayerNormalization", fields());
  apply_common(*this, options);
}

std::vector<Field> LayerNormalization::fields() {
  LayerNormalizationOptions& o = options_;
  return {axis_field(o.axis),
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
  axes_ = sorted_axes(o.axis, input_shape.rank());
  const Shape features = sizes_along(axes_, input_shape);
  if (o.scale)
    gamma =
        add_weight("gamma", features, o.gamma_initializer, o.gamma_regularizer, o.gamma_constraint);
  if (o.center)
    beta = add_weight("beta", features, o.beta_initializer, o.beta_regularizer, o.beta_constraint);
}

Tensor LayerNormalization::call(const Tensor& x) {
  const Shape shape = broadcast_shape(axes_, x, input_shape());
  return affine(standardized(x, axes_, options_.epsilon), gamma, beta, shape);
}

// --- groups of channels

GroupNormalization::GroupNormalization(const GroupNormalizationOptions& options)
    : options_(options) {
  check_fields("GroupNormalization", fields());
  apply_common(*this, options);
}

std::vector<Field> GroupNormalization::fields() {
  GroupNormalizationOptions& o = options_;
  Check some{"of at least 1, or -1", [](const Option& value) {
               int groups = 0;
               return from_option(value, groups) && (groups >= 1 || groups == -1);
             }};
  return {{"groups", &o.groups, some},
          {"axis", &o.axis},
          {"epsilon", &o.epsilon},
          {"center", &o.center},
          {"scale", &o.scale},
          {"beta_initializer", &o.beta_initializer},
          {"gamma_initializer", &o.gamma_initializer},
          {"beta_regularizer", &o.beta_regularizer},
          {"gamma_regularizer", &o.gamma_regularizer},
          {"beta_constraint", &o.beta_constraint},
          {"gamma_constraint", &o.gamma_constraint}};
}

void GroupNormalization::build(const Shape& input_shape) {
  const GroupNormalizationOptions& o = options_;
  axis_ = normalize_axis(o.axis, input_shape.rank(), "axis");
  channels_ = input_shape[axis_];
  if (axis_ == 0 || channels_ == None)
    fail("expected an axis {} of known size after the batch, got {}", o.axis, input_shape);
  groups_ = o.groups == -1 ? channels_ : o.groups;
  if (channels_ % groups_ != 0)
    fail("expected a number of groups that divides the {} channels, got {}", channels_, groups_);
  if (o.scale)
    gamma = add_weight("gamma", {channels_}, o.gamma_initializer, o.gamma_regularizer,
                       o.gamma_constraint);
  if (o.center)
    beta =
        add_weight("beta", {channels_}, o.beta_initializer, o.beta_regularizer, o.beta_constraint);
}

// (batch, ..., groups, channels / groups, ...) while the moments are those of a group.
Tensor GroupNormalization::call(const Tensor& x) {
  const Shape shape = broadcast_shape({axis_}, x, input_shape());
  std::vector<int> within;
  for (int axis = 1; axis <= x.rank(); ++axis)
    if (axis != axis_) within.push_back(axis);
  Tensor grouped = reshape(x, x.shape().with(axis_, channels_ / groups_).inserted(axis_, groups_));
  grouped = standardized(grouped, within, options_.epsilon);
  return affine(reshape(grouped, x.shape()), gamma, beta, shape);
}

// --- lengths

RMSNormalization::RMSNormalization(const RMSNormalizationOptions& options) : options_(options) {
  check_fields("RMSNormalization", fields());
  apply_common(*this, options);
}

std::vector<Field> RMSNormalization::fields() {
  return {axis_field(options_.axis), {"epsilon", &options_.epsilon}};
}

void RMSNormalization::build(const Shape& input_shape) {
  axes_ = sorted_axes(options_.axis, input_shape.rank());
  scale = add_weight("scale", sizes_along(axes_, input_shape), "ones");
}

Tensor RMSNormalization::call(const Tensor& x) {
  const Shape shape = broadcast_shape(axes_, x, input_shape());
  return x * rsqrt(mean(square(x), axes_, true) + options_.epsilon) * reshape(scale, shape);
}

UnitNormalization::UnitNormalization(const UnitNormalizationOptions& options) : options_(options) {
  check_fields("UnitNormalization", fields());
  apply_common(*this, options);
}

std::vector<Field> UnitNormalization::fields() { return {axis_field(options_.axis)}; }

Tensor UnitNormalization::call(const Tensor& x) {
  return x / maximum(norm(x, options_.axis, true), 1e-12);
}

// --- kernels

SpectralNormalization::SpectralNormalization(AnyLayer layer,
                                             const SpectralNormalizationOptions& options)
    : layer_(std::move(layer)), options_(options) {
  check_fields("SpectralNormalization", fields());
  apply_common(*this, options);
  track(layer_, "layer");
}

std::vector<Field> SpectralNormalization::fields() {
  return {{"layer", &layer_}, {"power_iterations", &options_.power_iterations, at_least(1)}};
}

void SpectralNormalization::build(const Shape& input_shape) {
  layer_->ensure_built(input_shape);
  std::vector<Weight> own = layer_->weights();
  for (const AnyLayer& part : layer_->sublayers())
    for (const Weight& weight : part->weights()) std::erase(own, weight);
  auto found = std::ranges::find_if(own, [](const Weight& weight) {
    return weight.name() == "kernel" || weight.name() == "embeddings";
  });
  if (found == own.end())
    fail("expected a layer with a weight \"kernel\" or \"embeddings\", got {} ({})", layer_->name(),
         layer_->class_name());
  kernel = *found;
  share_weight(kernel);
  vector_u = add_weight("vector_u", {1, kernel.shape()[-1]}, TruncatedNormal({.stddev = 0.02}), {},
                        {}, /*trainable=*/false);
}

Shape SpectralNormalization::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  InsideOf scope(*this);
  return layer_->compute_output_shape(input_shape);
}

// u and v become the singular vectors of W that belong to sigma. A W of zeros stays as it is.
void SpectralNormalization::normalize() {
  NoGradient scope;
  auto unit = [](const Tensor& x) { return x / maximum(norm(x), 1e-7); };
  const Tensor w = reshape(kernel, {-1, kernel.shape()[-1]});
  Tensor u = vector_u.value(), v;
  for (int i = 0; i < options_.power_iterations; ++i) {
    v = unit(dot(u, transpose(w)));
    u = unit(dot(v, w));
  }
  const Tensor sigma = reshape(dot(dot(v, w), transpose(u)), {});
  const Tensor nothing = all(kernel.value() == 0.0);
  vector_u.assign(where(nothing, vector_u, u));
  kernel.assign(where(nothing, kernel, kernel / sigma));
}

Tensor SpectralNormalization::call(const Tensor& inputs) {
  if (training()) normalize();
  return (*layer_)(inputs, {.training = training(), .mask = mask()});
}

}  // namespace keratin
