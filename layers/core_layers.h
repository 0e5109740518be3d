// Small layers without weights: activation, dropout, shapes, masking; and the layer that says what
// a model's inputs look like. keras/src/layers/{core,activations,regularization,reshaping}.
#pragma once

#include <optional>

#include <keratin/layers/activations.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct NameOptions {
  std::string name = {};
  Shape input_shape = {};
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

struct DropoutOptions {
  std::optional<std::uint64_t> seed = {};
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
  std::optional<std::uint64_t> seed_;
};

/// A dropout mask for tensors of this shape: 0, or 1 / (1 - rate).
Tensor dropout_mask(const Shape& shape, double rate, DType dtype, Random& random, Device device);

/// (batch, everything else), row-major.
class Flatten : public Layer {
 public:
  explicit Flatten(const NameOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;
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
