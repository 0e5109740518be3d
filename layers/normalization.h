// Normalisation of features to mean 0 and variance 1 (keras/src/layers/normalization).
#pragma once

#include <vector>

#include <keratin/layers/layer.h>

namespace keratin {

struct BatchNormalizationOptions {
  int axis = -1;
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  Initializer beta_initializer = "zeros";
  Initializer gamma_initializer = "ones";
  Initializer moving_mean_initializer = "zeros";
  Initializer moving_variance_initializer = "ones";
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  std::string name = {};
  Shape input_shape = {};
};

/// Over all axes but one: by the batch's own mean and variance in training, which also move the
/// running ones; by the running ones otherwise, and when the layer is not trainable. Masked steps
/// do not count. Variances are those of the population.
class BatchNormalization : public Layer {
 public:
  explicit BatchNormalization(const BatchNormalizationOptions& options = {});
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return true; }

 private:
  BatchNormalizationOptions options_;
  Weight gamma, beta, moving_mean, moving_variance;
};

struct LayerNormalizationOptions {
  std::vector<int> axis = {-1};
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  Initializer beta_initializer = "zeros";
  Initializer gamma_initializer = "ones";
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  std::string name = {};
  Shape input_shape = {};
};

/// Each sample by itself, over the given axes.
class LayerNormalization : public Layer {
 public:
  explicit LayerNormalization(const LayerNormalizationOptions& options = {});
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return true; }

 private:
  LayerNormalizationOptions options_;
  std::vector<int> axes_;  // counted from 0, in order
  Weight gamma, beta;
};

}  // namespace keratin
