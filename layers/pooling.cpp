#include <keratin/autograd/internal/window_options.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/internal/per_axis.h>
#include <keratin/layers/pooling.h>

namespace keratin {
namespace {

// The axes that windows move over, without the batch and the channels.
std::vector<int> window_axes(const std::string& data_format, int count) {
  std::vector<int> axes;
  for (int i = 0; i < count; ++i) axes.push_back(i + (data_format == "channels_last" ? 1 : 2));
  return axes;
}

}  // namespace

Pooling::Pooling(int axes, Op op, const PerAxis& pool_size, const PoolingOptions& options)
    : axes_(axes), op_(op), pool_size_(pool_size), options_(options) {
  apply_common(*this, options);
}

std::vector<Field> Pooling::fields() {
  PoolingOptions& o = options_;
  return {{"pool_size", &pool_size_},
          {"padding", &o.padding, one_of({"valid", "same"})},
          {"strides", &o.strides},
          {"data_format", &o.data_format, one_of({"channels_last", "channels_first"})}};
}

void Pooling::configured() {
  const std::string who = class_name();
  check_fields(who.c_str(), fields());
  if (options_.strides.empty()) options_.strides = pool_size_;
  for (auto [what, values] :
       {std::pair{"pool_size", &pool_size_}, std::pair{"strides", &options_.strides}}) {
    PerAxis each;
    for (int axis = 0; axis < axes_; ++axis)
      each.push_back(for_axis(who.c_str(), what, *values, axes_, axis, 1));
    *values = each;
  }
}

Tensor Pooling::call(const Tensor& inputs) {
  if (inputs.rank() != axes_ + 2)
    fail("expected an input of rank {}, got {}", axes_ + 2, inputs.shape());
  const PoolOptions options{options_.strides, options_.padding};
  if (options_.data_format == "channels_last") return op_(inputs, pool_size_, options);
  return moveaxis(op_(moveaxis(inputs, 1, -1), pool_size_, options), -1, 1);
}

Shape Pooling::compute_output_shape(const Shape& input_shape) {
  if (input_shape.rank() != axes_ + 2)
    fail("expected an input of rank {}, got {}", axes_ + 2, input_shape);
  Shape shape = input_shape;
  std::size_t i = 0;
  for (int axis : window_axes(options_.data_format, axes_)) {
    Windows::Axis windows{pool_size_[i], options_.strides[i]};
    if (shape[axis] != None)
      shape[axis] = pad_axis(class_name().c_str(), options_.padding, windows, shape[axis]);
    ++i;
  }
  return shape;
}

GlobalPooling::GlobalPooling(int axes, bool is_mean, const GlobalPoolingOptions& options)
    : axes_(axes), is_mean_(is_mean), options_(options) {
  apply_common(*this, options);
}

std::vector<Field> GlobalPooling::fields() {
  return {{"data_format", &options_.data_format, one_of({"channels_last", "channels_first"})},
          {"keepdims", &options_.keepdims}};
}

void GlobalPooling::configured() { check_fields(class_name().c_str(), fields()); }

Tensor GlobalPooling::call(const Tensor& x) {
  if (x.rank() != axes_ + 2) fail("expected an input of rank {}, got {}", axes_ + 2, x.shape());
  const Axes axes(window_axes(options_.data_format, axes_));
  if (!is_mean_) return max(x, axes, options_.keepdims);
  if (axes_ > 1 || !mask().defined()) return mean(x, axes, options_.keepdims);
  const Tensor valid = expand_dims(mask(), options_.data_format == "channels_last" ? 2 : 1);
  const Tensor count = sum(valid.astype(x.dtype()), axes, options_.keepdims);
  return sum(where(valid, x, 0.0), axes, options_.keepdims) / maximum(count, 1.0);
}

}  // namespace keratin
