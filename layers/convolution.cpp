#include <algorithm>

#include <keratin/autograd/internal/conv_relu.h>
#include <keratin/autograd/internal/window_options.h>
#include <keratin/layers/convolution.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/internal/per_axis.h>

namespace keratin {

void ConvolutionBase::configured() {
  const std::string who = class_name();
  check_fields(who.c_str(), fields());
  check_padding(who.c_str(), padding_, may_be_causal());
  for (auto [what, values] :
       {std::pair{"kernel_size", &kernel_size_}, std::pair{"strides", &strides_},
        std::pair{"dilation_rate", &dilation_rate_}})
    fill_axes(who.c_str(), what, *values, axes_, 1);
  if (std::ranges::max(strides_) > 1 && std::ranges::max(dilation_rate_) > 1)
    fail("{}: strides and dilation_rate cannot both be more than 1", who);
}

Shape ConvolutionBase::kernel_shape(std::int64_t channels, std::int64_t filters) const {
  Shape shape;
  for (std::int64_t size : kernel_size_) shape.push_back(size);
  shape.push_back(channels);
  shape.push_back(filters);
  return shape;
}

namespace {

int channel_axis(const std::string& data_format) { return data_format == "channels_last" ? -1 : 1; }

}  // namespace

void ConvolutionBase::build(const Shape& input_shape) {
  if (input_shape.rank() != axes_ + 2)
    fail("expected an input of rank {}, got {}", axes_ + 2, input_shape);
  const std::int64_t channels = input_shape[channel_axis(data_format_)];
  if (channels == None) fail("the number of channels must be known, got {}", input_shape);
  make_kernels(channels);
  if (use_bias_)
    bias = add_weight("bias", {filters_of(channels)}, bias_initializer_, bias_regularizer_,
                      bias_constraint_);
}

Tensor ConvolutionBase::call(const Tensor& inputs) {
  const Shape& known = input_shape();
  const int axis = channel_axis(data_format_);
  if (inputs.rank() != axes_ + 2 || inputs.size(axis) != known[axis])
    fail("expected an input like {}, got {}", known, inputs.shape());
  Tensor y = convolve(axis == -1 ? inputs : moveaxis(inputs, 1, -1));
  if (axis != -1) y = moveaxis(y, -1, 1);
  return activates() ? y : activation_(y);  // after moveaxis: softmax is that of the last axis
}

Shape ConvolutionBase::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  Shape shape = input_shape;
  const int axis = channel_axis(data_format_), first = axis == 1 ? 2 : 1;
  shape[axis] = filters_of(input_shape[axis]);
  for (int i = 0; i < axes_; ++i)
    if (shape[first + i] != None) shape[first + i] = extent_of(i, shape[first + i]);
  return shape;
}

std::int64_t ConvolutionBase::extent_of(int axis, std::int64_t n) const {
  const auto i = static_cast<std::size_t>(axis);
  Windows::Axis windows{kernel_size_[i], strides_[i], dilation_rate_[i]};
  return pad_axis(class_name().c_str(), padding_, windows, n);
}

// --- Conv1D, Conv2D, Conv3D

Convolution::Convolution(int axes, int filters, const PerAxis& kernel_size,
                         const ConvolutionOptions& options)
    : ConvolutionBase(axes, kernel_size, options), filters_(filters), options_(options) {
  apply_common(*this, options);
}

std::vector<Field> Convolution::fields() {
  ConvolutionOptions& o = options_;
  return {{"filters", &filters_, at_least(1)},
          {"kernel_size", &kernel_size_},
          {"strides", &strides_},
          {"padding", &padding_},
          {"data_format", &data_format_, one_of({"channels_last", "channels_first"})},
          {"dilation_rate", &dilation_rate_},
          {"groups", &o.groups, at_least(1)},
          {"activation", &activation_},
          {"use_bias", &use_bias_},
          {"kernel_initializer", &o.kernel_initializer},
          {"bias_initializer", &bias_initializer_},
          {"kernel_regularizer", &o.kernel_regularizer},
          {"bias_regularizer", &bias_regularizer_},
          {"activity_regularizer", &activity_regularizer()},
          {"kernel_constraint", &o.kernel_constraint},
          {"bias_constraint", &bias_constraint_}};
}

void Convolution::make_kernels(std::int64_t channels) {
  const ConvolutionOptions& o = options_;
  if (channels % o.groups != 0 || filters_ % o.groups != 0)
    fail("{} channels and {} filters cannot be divided into {} groups", channels, filters_,
         o.groups);
  kernel = add_weight("kernel", kernel_shape(channels / o.groups, filters_), o.kernel_initializer,
                      o.kernel_regularizer, o.kernel_constraint);
}

Tensor Convolution::convolve(const Tensor& x) const {
  const Tensor b = bias.defined() ? Tensor(bias) : Tensor();
  return activates() ? conv_relu(x, kernel, b, options()) : conv(x, kernel, b, options());
}

// --- Conv1DTranspose, Conv2DTranspose, Conv3DTranspose

ConvolutionTranspose::ConvolutionTranspose(int axes, int filters, const PerAxis& kernel_size,
                                           const ConvolutionTransposeOptions& options)
    : ConvolutionBase(axes, kernel_size, options), filters_(filters), options_(options) {
  apply_common(*this, options);
}

std::vector<Field> ConvolutionTranspose::fields() {
  ConvolutionTransposeOptions& o = options_;
  return {{"filters", &filters_, at_least(1)},
          {"kernel_size", &kernel_size_},
          {"strides", &strides_},
          {"padding", &padding_},
          {"output_padding", &o.output_padding},
          {"data_format", &data_format_, one_of({"channels_last", "channels_first"})},
          {"dilation_rate", &dilation_rate_},
          {"activation", &activation_},
          {"use_bias", &use_bias_},
          {"kernel_initializer", &o.kernel_initializer},
          {"bias_initializer", &bias_initializer_},
          {"kernel_regularizer", &o.kernel_regularizer},
          {"bias_regularizer", &bias_regularizer_},
          {"activity_regularizer", &activity_regularizer()},
          {"kernel_constraint", &o.kernel_constraint},
          {"bias_constraint", &bias_constraint_}};
}

void ConvolutionTranspose::configured() {
  ConvolutionBase::configured();
  if (options_.output_padding)
    fill_axes(class_name().c_str(), "output_padding", *options_.output_padding, axes_, 0);
}

void ConvolutionTranspose::make_kernels(std::int64_t channels) {
  const ConvolutionTransposeOptions& o = options_;
  kernel = add_weight("kernel", kernel_shape(filters_, channels), o.kernel_initializer,
                      o.kernel_regularizer, o.kernel_constraint);
}

Tensor ConvolutionTranspose::convolve(const Tensor& x) const {
  return with_bias(conv_transpose(x, kernel, options(), options_.output_padding));
}

std::int64_t ConvolutionTranspose::extent_of(int axis, std::int64_t n) const {
  const auto i = static_cast<std::size_t>(axis);
  Windows::Axis windows{kernel_size_[i], strides_[i], dilation_rate_[i]};
  std::optional<std::int64_t> extra;
  if (options_.output_padding)
    extra =
        for_axis(class_name().c_str(), "output_padding", *options_.output_padding, axes_, axis, 0);
  return transposed_extent(padding_, windows, n, extra);
}

// --- DepthwiseConv1D, DepthwiseConv2D

DepthwiseConvolution::DepthwiseConvolution(int axes, const PerAxis& kernel_size,
                                           const DepthwiseOptions& options)
    : ConvolutionBase(axes, kernel_size, options), options_(options) {
  apply_common(*this, options);
}

std::vector<Field> DepthwiseConvolution::fields() {
  DepthwiseOptions& o = options_;
  return {{"depth_multiplier", &o.depth_multiplier, at_least(1)},
          {"kernel_size", &kernel_size_},
          {"strides", &strides_},
          {"padding", &padding_},
          {"data_format", &data_format_, one_of({"channels_last", "channels_first"})},
          {"dilation_rate", &dilation_rate_},
          {"activation", &activation_},
          {"use_bias", &use_bias_},
          {"depthwise_initializer", &o.depthwise_initializer},
          {"bias_initializer", &bias_initializer_},
          {"depthwise_regularizer", &o.depthwise_regularizer},
          {"bias_regularizer", &bias_regularizer_},
          {"activity_regularizer", &activity_regularizer()},
          {"depthwise_constraint", &o.depthwise_constraint},
          {"bias_constraint", &bias_constraint_}};
}

void DepthwiseConvolution::make_kernels(std::int64_t channels) {
  const DepthwiseOptions& o = options_;
  kernel = add_weight("kernel", kernel_shape(channels, o.depth_multiplier), o.depthwise_initializer,
                      o.depthwise_regularizer, o.depthwise_constraint);
}

Tensor DepthwiseConvolution::convolve(const Tensor& x) const {
  return with_bias(depthwise_conv(x, kernel, options()));
}

// --- SeparableConv1D, SeparableConv2D

SeparableConvolution::SeparableConvolution(int axes, int filters, const PerAxis& kernel_size,
                                           const SeparableOptions& options)
    : ConvolutionBase(axes, kernel_size, options), filters_(filters), options_(options) {
  apply_common(*this, options);
}

std::vector<Field> SeparableConvolution::fields() {
  SeparableOptions& o = options_;
  return {{"depth_multiplier", &o.depth_multiplier, at_least(1)},
          {"filters", &filters_, at_least(1)},
          {"kernel_size", &kernel_size_},
          {"strides", &strides_},
          {"padding", &padding_},
          {"data_format", &data_format_, one_of({"channels_last", "channels_first"})},
          {"dilation_rate", &dilation_rate_},
          {"activation", &activation_},
          {"use_bias", &use_bias_},
          {"depthwise_initializer", &o.depthwise_initializer},
          {"pointwise_initializer", &o.pointwise_initializer},
          {"bias_initializer", &bias_initializer_},
          {"depthwise_regularizer", &o.depthwise_regularizer},
          {"pointwise_regularizer", &o.pointwise_regularizer},
          {"bias_regularizer", &bias_regularizer_},
          {"activity_regularizer", &activity_regularizer()},
          {"depthwise_constraint", &o.depthwise_constraint},
          {"pointwise_constraint", &o.pointwise_constraint},
          {"bias_constraint", &bias_constraint_}};
}

void SeparableConvolution::make_kernels(std::int64_t channels) {
  const SeparableOptions& o = options_;
  depthwise_kernel =
      add_weight("depthwise_kernel", kernel_shape(channels, o.depth_multiplier),
                 o.depthwise_initializer, o.depthwise_regularizer, o.depthwise_constraint);
  Shape pointwise = Shape::filled(axes_, 1);
  pointwise.push_back(channels * o.depth_multiplier);
  pointwise.push_back(filters_);
  pointwise_kernel = add_weight("pointwise_kernel", pointwise, o.pointwise_initializer,
                                o.pointwise_regularizer, o.pointwise_constraint);
}

Tensor SeparableConvolution::convolve(const Tensor& x) const {
  const Shape& shape = pointwise_kernel.shape();
  const Tensor each = depthwise_conv(x, depthwise_kernel, options());
  const Tensor mix = reshape(pointwise_kernel, {shape[-2], shape[-1]});
  return bias.defined() ? linear(each, mix, bias) : dot(each, mix);
}

}  // namespace keratin
