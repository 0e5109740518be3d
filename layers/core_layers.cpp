#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/options.h>

namespace keratin {
namespace {

// One number, or a list, which Keras may have as an array of NumPy.
Field per_channel_field(const std::string& name, PerChannel& numbers) {
  auto read = [&] { return numbers.size() == 1 ? to_option(numbers[0]) : to_option(numbers); };
  auto write = [&](const Option& value) {
    const auto object = object_in(value);
    const Option* inside = object ? find_option(object->second, "value") : nullptr;
    return from_option(inside == nullptr ? value : *inside, numbers);
  };
  return {name, read, write, {"of at least one number", [](const Option& value) {
                                auto* list = std::get_if<std::vector<Option>>(&value);
                                return list == nullptr || !list->empty();
                              }}};
}

}  // namespace

Shape SameShapeLayer::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  return input_shape;
}

InputLayer::InputLayer(const Shape& shape, const NameOptions& options) {
  apply_common(*this, options);
  set_input_shape(batched(shape));
}

Activation::Activation(ActivationFunction activation, const NameOptions& options)
    : activation_(std::move(activation)) {
  apply_common(*this, options);
}

IdentityLayer::IdentityLayer(const NameOptions& options) { apply_common(*this, options); }

Rescaling::Rescaling(const PerChannel& scale, const RescalingOptions& options)
    : scale_(scale), options_(options) {
  check_fields("Rescaling", fields());
  apply_common(*this, options);
}

Tensor Rescaling::call(const Tensor& inputs) {
  const Tensor x = inputs.astype(dtype());
  auto constant = [&](const PerChannel& numbers, const char* option) {
    if (numbers.size() == 1) return Tensor(numbers[0]);
    if (x.rank() == 0 || x.size(-1) != static_cast<std::int64_t>(numbers.size()))
      fail("expected input with last axis {}, as {} has, got {}", numbers.size(), option,
           x.shape());
    std::vector<Tensor> made;  // where x is, so that nothing is sent there
    for (double number : numbers) made.push_back(full({}, number, x.dtype(), x.device()));
    return stack(made);
  };
  return x * constant(scale_, "scale") + constant(options_.offset, "offset");
}

// --- dropout

Dropout::Dropout(double rate, const DropoutOptions& options) : rate_(rate), options_(options) {
  check_fields("Dropout", fields());
  apply_common(*this, options);
}

Tensor dropout_mask(const Shape& shape, double rate, DType dtype, Random& random, Device device) {
  NoGradient scope;
  if (rate >= 1) return zeros(shape, dtype, device);
  Tensor keep = random.uniform(shape, 0, 1, float32, device) >= rate;
  return keep.astype(dtype) / (1 - rate);
}

Shape noise_shape_for(const Shape& inputs, const Shape& noise_shape) {
  if (noise_shape.empty()) return inputs;
  Shape shape = inputs;
  bool fits = noise_shape.rank() == inputs.rank();
  for (int axis = 0; fits && axis < inputs.rank(); ++axis) {
    if (noise_shape[axis] != None) shape[axis] = noise_shape[axis];
    fits = shape[axis] == 1 || shape[axis] == inputs[axis];
  }
  if (!fits) fail("expected a noise_shape that broadcasts to {}, got {}", inputs, noise_shape);
  return shape;
}

Tensor Dropout::call(const Tensor& x) {
  if (!training() || rate_ == 0) return x;
  const Shape shape = noise_shape_for(x.shape(), options_.noise_shape);
  return x * dropout_mask(shape, rate_, x.dtype(), random(options_.seed), x.device());
}

// --- shapes

Flatten::Flatten(const FlattenOptions& options) : options_(options) {
  check_fields("Flatten", fields());
  apply_common(*this, options);
}

Tensor Flatten::call(const Tensor& inputs) {
  if (inputs.rank() < 1) fail("expected an input with a batch axis, got {}", inputs.shape());
  const bool moved = options_.data_format == "channels_first" && inputs.rank() > 1;
  return reshape(moved ? moveaxis(inputs, 1, -1) : inputs,
                 {inputs.size(0), inputs.shape().without(0).numel()});
}

Reshape::Reshape(const Shape& target_shape, const NameOptions& options)
    : target_shape_(target_shape) {
  apply_common(*this, options);
}

Tensor Reshape::call(const Tensor& inputs) {
  Shape shape = target_shape_;
  std::int64_t per_sample = inputs.shape().without(0).numel(), known = 1;
  for (std::int64_t extent : shape) known *= extent == -1 ? 1 : extent;
  for (std::int64_t& extent : shape)
    if (extent == -1 && known > 0) extent = per_sample / known;
  if (shape.numel() != per_sample)
    fail("expected inputs of {} numbers each, got {}", target_shape_, inputs.shape());
  return reshape(inputs, shape.inserted(0, inputs.size(0)));
}

Shape Reshape::compute_output_shape(const Shape& input_shape) {
  for (int axis = 1; axis < input_shape.rank(); ++axis)
    if (input_shape[axis] == None) return batched(target_shape_);
  return Layer::compute_output_shape(input_shape);
}

Permute::Permute(std::vector<int> dims, const NameOptions& options) : axes_(std::move(dims)) {
  apply_common(*this, options);
  axes_.insert(axes_.begin(), 0);
}
Tensor Permute::call(const Tensor& inputs) { return transpose(inputs, axes_); }

RepeatVector::RepeatVector(int n, const NameOptions& options) : n_(n) {
  check_fields("RepeatVector", fields());
  apply_common(*this, options);
}
Tensor RepeatVector::call(const Tensor& inputs) {
  if (inputs.rank() != 2) fail("expected an input of rank 2, got {}", inputs.shape());
  return repeat(expand_dims(inputs, 1), n_, 1);
}

// --- masking

Masking::Masking(double mask_value, const NameOptions& options) : mask_value_(mask_value) {
  apply_common(*this, options);
}

// Whether any feature differs from mask_value, which may be NaN.
Tensor Masking::compute_mask(const Tensor& inputs, const Tensor&) {
  return any(std::isnan(mask_value_) ? logical_not(isnan(inputs)) : inputs != mask_value_, -1);
}

Tensor Masking::call(const Tensor& inputs) {
  if (inputs.rank() < 2) fail("expected an input of rank 2 or more, got {}", inputs.shape());
  return where(expand_dims(compute_mask(inputs, {}), -1), inputs, 0.0);
}

// --- options

std::vector<Field> InputLayer::fields() {
  auto shape = [this] { return to_option(input_shape()); };
  auto set_shape = [this](const Option& value) {
    Shape read;
    return from_option(value, read) && read.rank() > 0 && (set_input_shape(read), true);
  };
  return {{"batch_shape", shape, set_shape},
          Field::without_effect("dtype", std::string(name_of(dtype()))),
          Field::fixed("sparse", false),
          Field::fixed("ragged", false),
          Field::fixed("optional", false)};
}
// Keras gives no trainable, and puts the name before the last option.
Config InputLayer::get_config() const {
  Config config = config_of(const_cast<InputLayer*>(this)->fields());
  config.insert(config.end() - 1, {"name", name()});
  return config;
}

std::vector<Field> Activation::fields() { return {{"activation", &activation_}}; }
std::vector<Field> Dropout::fields() {
  return {{"rate", &rate_, between(0, 1)},
          {"seed", &options_.seed},
          noise_shape_field(options_.noise_shape)};
}
std::vector<Field> Flatten::fields() { return {data_format_field(options_.data_format)}; }
std::vector<Field> Rescaling::fields() {
  return {per_channel_field("scale", scale_), per_channel_field("offset", options_.offset)};
}
std::vector<Field> RepeatVector::fields() { return {{"n", &n_, at_least(1)}}; }
std::vector<Field> Masking::fields() { return {{"mask_value", &mask_value_}}; }

// Here -1 is a number and not None.
std::vector<Field> Reshape::fields() {
  auto shape = [this] {
    return to_option(std::vector<int>(target_shape_.begin(), target_shape_.end()));
  };
  return {{"target_shape", shape,
           [this](const Option& value) { return from_option(value, target_shape_); }}};
}
std::vector<Field> Permute::fields() {
  auto dims = [this] { return to_option(std::vector<int>(axes_.begin() + 1, axes_.end())); };
  auto set_dims = [this](const Option& value) {
    const bool fits = from_option(value, axes_);
    axes_.insert(axes_.begin(), 0);
    return fits;
  };
  return {{"dims", dims, set_dims}};
}

}  // namespace keratin
