// Dense: y = activation(x . kernel + bias) over the last axis (keras/src/layers/core/dense.py).
#pragma once

#include <keratin/layers/activations.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct DenseOptions {
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the outputs, divided by the batch size
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
  Shape input_shape = {};  ///< without the batch axis, for the first layer of a model
};

class Dense : public Layer {
 public:
  explicit Dense(int units, const DenseOptions& options = {});
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return true; }
  std::vector<Field> fields() override;

 private:
  int units_;
  DenseOptions options_;
  Weight kernel, bias;
};

}  // namespace keratin
