// Convolutions over one, two or three axes between the batch and the channels
// (keras/src/layers/convolutional). Kernel size, strides and dilation are one number for all of
// these axes, or one for each.
//
//   Conv1D(32, 5, {.padding = "causal", .dilation_rate = 2})
//   Conv2D(64, {3, 3}, {.strides = 2, .activation = "relu"})
#pragma once

#include <optional>
#include <string>

#include <keratin/autograd/ops.h>
#include <keratin/layers/activations.h>
#include <keratin/layers/layer.h>

namespace keratin {

/// What all convolutions share: how windows lie, the bias, the activation. Inputs (batch, n...,
/// channels), or (batch, channels, n...) with data_format "channels_first". Strides and dilation
/// cannot both be more than 1.
class ConvolutionBase : public Layer {
 public:
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  void configured() override;

 protected:
  template <class Options>
  ConvolutionBase(int axes, PerAxis kernel_size, const Options& o)
      : axes_(axes),
        kernel_size_(std::move(kernel_size)),
        strides_(o.strides),
        dilation_rate_(o.dilation_rate),
        padding_(o.padding),
        data_format_(o.data_format),
        activation_(o.activation),
        use_bias_(o.use_bias),
        bias_initializer_(o.bias_initializer),
        bias_regularizer_(o.bias_regularizer),
        bias_constraint_(o.bias_constraint) {}
  /// Makes the kernels for inputs of so many channels.
  virtual void make_kernels(std::int64_t channels) = 0;
  /// The bias included; x and the result have their channels last.
  virtual Tensor convolve(const Tensor& x) const = 0;
  /// Whether convolve applies the activation, too.
  virtual bool activates() const { return false; }
  Tensor with_bias(const Tensor& y) const { return bias.defined() ? y + bias : y; }
  virtual std::int64_t filters_of(std::int64_t channels) const = 0;
  virtual bool may_be_causal() const { return false; }
  /// What becomes of an axis of n.
  virtual std::int64_t extent_of(int axis, std::int64_t n) const;
  /// The shape of a kernel with these last two axes.
  Shape kernel_shape(std::int64_t channels, std::int64_t filters) const;
  ConvOptions options() const { return {strides_, padding_, dilation_rate_}; }

  int axes_;
  PerAxis kernel_size_, strides_, dilation_rate_;
  std::string padding_, data_format_;
  ActivationFunction activation_;
  bool use_bias_;
  Initializer bias_initializer_;
  Regularizer bias_regularizer_;
  Constraint bias_constraint_;
  Weight bias;
};

struct ConvolutionOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"; of one axis also "causal"
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  int groups = 1;  ///< a group of filters sees a group of channels
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
  Shape input_shape = {};
};

/// y = activation(x * kernel + bias); see conv in autograd/ops.h.
class Convolution : public ConvolutionBase {
 public:
  std::vector<Field> fields() override;

 protected:
  Convolution(int axes, int filters, const PerAxis& kernel_size, const ConvolutionOptions& options);
  void make_kernels(std::int64_t channels) override;
  Tensor convolve(const Tensor& x) const override;
  bool activates() const override { return activation_.name() == "relu"; }
  std::int64_t filters_of(std::int64_t) const override { return filters_; }
  bool may_be_causal() const override { return axes_ == 1; }

 private:
  int filters_;
  ConvolutionOptions options_;
  Weight kernel;
};

class Conv1D : public Convolution {
 public:
  explicit Conv1D(int filters, const PerAxis& kernel_size, const ConvolutionOptions& options = {})
      : Convolution(1, filters, kernel_size, options) {
    configured();
  }
};
class Conv2D : public Convolution {
 public:
  explicit Conv2D(int filters, const PerAxis& kernel_size, const ConvolutionOptions& options = {})
      : Convolution(2, filters, kernel_size, options) {
    configured();
  }
};
class Conv3D : public Convolution {
 public:
  explicit Conv3D(int filters, const PerAxis& kernel_size, const ConvolutionOptions& options = {})
      : Convolution(3, filters, kernel_size, options) {
    configured();
  }
};

struct ConvolutionTransposeOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"
  std::optional<PerAxis> output_padding = std::nullopt;
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
  Shape input_shape = {};
};

/// The other way: each element spreads over a window; see conv_transpose in autograd/ops.h.
class ConvolutionTranspose : public ConvolutionBase {
 public:
  std::vector<Field> fields() override;
  void configured() override;

 protected:
  ConvolutionTranspose(int axes, int filters, const PerAxis& kernel_size,
                       const ConvolutionTransposeOptions& options);
  void make_kernels(std::int64_t channels) override;
  Tensor convolve(const Tensor& x) const override;
  std::int64_t filters_of(std::int64_t) const override { return filters_; }
  std::int64_t extent_of(int axis, std::int64_t n) const override;

 private:
  int filters_;
  ConvolutionTransposeOptions options_;
  Weight kernel;
};

class Conv1DTranspose : public ConvolutionTranspose {
 public:
  explicit Conv1DTranspose(int filters, const PerAxis& kernel_size,
                           const ConvolutionTransposeOptions& options = {})
      : ConvolutionTranspose(1, filters, kernel_size, options) {
    configured();
  }
};
class Conv2DTranspose : public ConvolutionTranspose {
 public:
  explicit Conv2DTranspose(int filters, const PerAxis& kernel_size,
                           const ConvolutionTransposeOptions& options = {})
      : ConvolutionTranspose(2, filters, kernel_size, options) {
    configured();
  }
};
class Conv3DTranspose : public ConvolutionTranspose {
 public:
  explicit Conv3DTranspose(int filters, const PerAxis& kernel_size,
                           const ConvolutionTransposeOptions& options = {})
      : ConvolutionTranspose(3, filters, kernel_size, options) {
    configured();
  }
};

struct DepthwiseOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"
  int depth_multiplier = 1;       ///< outputs for each channel
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer depthwise_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer depthwise_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint depthwise_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
  Shape input_shape = {};
};

/// Each channel by itself.
class DepthwiseConvolution : public ConvolutionBase {
 public:
  std::vector<Field> fields() override;

 protected:
  DepthwiseConvolution(int axes, const PerAxis& kernel_size, const DepthwiseOptions& options);
  void make_kernels(std::int64_t channels) override;
  Tensor convolve(const Tensor& x) const override;
  std::int64_t filters_of(std::int64_t channels) const override {
    return channels * options_.depth_multiplier;
  }

 private:
  DepthwiseOptions options_;
  Weight kernel;
};

class DepthwiseConv1D : public DepthwiseConvolution {
 public:
  explicit DepthwiseConv1D(const PerAxis& kernel_size, const DepthwiseOptions& options = {})
      : DepthwiseConvolution(1, kernel_size, options) {
    configured();
  }
};
class DepthwiseConv2D : public DepthwiseConvolution {
 public:
  explicit DepthwiseConv2D(const PerAxis& kernel_size, const DepthwiseOptions& options = {})
      : DepthwiseConvolution(2, kernel_size, options) {
    configured();
  }
};

struct SeparableOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  int depth_multiplier = 1;
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer depthwise_initializer = "glorot_uniform";
  Initializer pointwise_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer depthwise_regularizer = {};
  Regularizer pointwise_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint depthwise_constraint = {};
  Constraint pointwise_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
  Shape input_shape = {};
};

/// Each channel by itself, then all of them at each place.
class SeparableConvolution : public ConvolutionBase {
 public:
  std::vector<Field> fields() override;

 protected:
  SeparableConvolution(int axes, int filters, const PerAxis& kernel_size,
                       const SeparableOptions& options);
  void make_kernels(std::int64_t channels) override;
  Tensor convolve(const Tensor& x) const override;
  std::int64_t filters_of(std::int64_t) const override { return filters_; }

 private:
  int filters_;
  SeparableOptions options_;
  Weight depthwise_kernel, pointwise_kernel;
};

class SeparableConv1D : public SeparableConvolution {
 public:
  explicit SeparableConv1D(int filters, const PerAxis& kernel_size,
                           const SeparableOptions& options = {})
      : SeparableConvolution(1, filters, kernel_size, options) {
    configured();
  }
};
class SeparableConv2D : public SeparableConvolution {
 public:
  explicit SeparableConv2D(int filters, const PerAxis& kernel_size,
                           const SeparableOptions& options = {})
      : SeparableConvolution(2, filters, kernel_size, options) {
    configured();
  }
};

}  // namespace keratin
