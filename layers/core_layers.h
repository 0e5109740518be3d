// Small layers without weights: activation, dropout, shapes, masking, scaling; and the layer that
// says what a model's inputs look like. keras/src/layers/{core,activations,regularization,
// reshaping,preprocessing}.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/activations.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct NameOptions {
  std::string name = {};
  Shape input_shape = {};
};

/// A layer whose outputs have the shape of its inputs, and their masks.
class SameShapeLayer : public Layer {
 public:
  Shape compute_output_shape(const Shape& input_shape) override;
  bool supports_masking() const override { return true; }
};

/// Says what a model's inputs look like: InputLayer({10, 32}) for batches (None, 10, 32).
class InputLayer : public Layer {
 public:
  explicit InputLayer(const Shape& shape, const NameOptions& options = {});
  std::vector<Field> fields() override;
  Config get_config() const override;
  Tensor call(const Tensor& inputs) override { return inputs; }
  bool supports_masking() const override { return true; }
};

/// An activation as a layer of its own.
class Activation : public Layer {
 public:
  explicit Activation(ActivationFunction activation, const NameOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override { return activation_(inputs); }
  bool supports_masking() const override { return true; }

 private:
  ActivationFunction activation_;
};

/// What comes in goes out: Keras's layer Identity. Here that name is the initializer's.
class IdentityLayer : public SameShapeLayer {
 public:
  explicit IdentityLayer(const NameOptions& options = {});
  std::string class_name() const override { return "Identity"; }
  Tensors call(const Tensors& inputs) override { return inputs; }
};

/// One number for all channels, or one for each of the last axis.
struct PerChannel : std::vector<double> {
  using std::vector<double>::vector;
  PerChannel(double all) : std::vector<double>{all} {}
};

struct RescalingOptions {
  PerChannel offset = 0;
  std::string name = {};
  Shape input_shape = {};
};

/// x * scale + offset, of floats or integers: Rescaling(1 / 127.5, {.offset = -1}).
class Rescaling : public SameShapeLayer {
 public:
  explicit Rescaling(const PerChannel& scale, const RescalingOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  PerChannel scale_;
  RescalingOptions options_;
};

struct DropoutOptions {
  std::optional<std::uint64_t> seed = {};
  Shape noise_shape = {};  ///< 1 along axes that share the noise, None for the input's size
  std::string name = {};
};

/// In training, sets each number to 0 with probability `rate` and divides the others by 1 - rate.
class Dropout : public Layer {
 public:
  explicit Dropout(double rate, const DropoutOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return true; }

 private:
  double rate_;
  DropoutOptions options_;
};

/// A dropout mask for tensors of this shape: 0, or 1 / (1 - rate).
Tensor dropout_mask(const Shape& shape, double rate, DType dtype, Random& random, Device device);

/// The shape of noise for inputs of this shape: theirs, unless `noise_shape` says otherwise. Throws
/// std::invalid_argument when it does not broadcast to theirs.
Shape noise_shape_for(const Shape& inputs, const Shape& noise_shape);

struct FlattenOptions {
  std::string data_format = "channels_last";  ///< or channels_first: (batch, channels, ...)
  std::string name = {};
  Shape input_shape = {};
};

/// (batch, everything else), row-major and with the channels last.
class Flatten : public Layer {
 public:
  explicit Flatten(const FlattenOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  FlattenOptions options_;
};

/// The axes after the batch in a new shape; one size may be -1.
class Reshape : public Layer {
 public:
  explicit Reshape(const Shape& target_shape, const NameOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;

 private:
  Shape target_shape_;
};

/// The axes after the batch in a new order; counted from 1.
class Permute : public Layer {
 public:
  explicit Permute(std::vector<int> dims, const NameOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  std::vector<int> axes_;
};

/// (batch, features) -> (batch, n, features)
class RepeatVector : public Layer {
 public:
  explicit RepeatVector(int n, const NameOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  int n_;
};

/// Marks as padding each time step in which every feature equals mask_value, and sets it to 0.
class Masking : public Layer {
 public:
  explicit Masking(double mask_value = 0, const NameOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;
  Tensor compute_mask(const Tensor& inputs, const Tensor& mask) override;
  bool supports_masking() const override { return true; }

 private:
  double mask_value_;
};

}  // namespace keratin
