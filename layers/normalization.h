// Normalisation: of features to mean 0 and variance 1, of vectors to length 1, and of a layer's
// kernel to the spectral norm 1 (keras/src/layers/normalization).
#pragma once

#include <vector>

#include <keratin/layers/core_layers.h>

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

struct GroupNormalizationOptions {
  int groups = 32;  ///< -1: each channel is one
  int axis = -1;    ///< of the channels
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

/// Each sample by itself, over all places and the channels of a group (Wu and He,
/// arXiv:1803.08494).
class GroupNormalization : public SameShapeLayer {
 public:
  explicit GroupNormalization(const GroupNormalizationOptions& options = {});
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;

 private:
  GroupNormalizationOptions options_;
  int axis_ = 0;  // counted from 0
  std::int64_t channels_ = 0, groups_ = 0;
  Weight gamma, beta;
};

struct RMSNormalizationOptions {
  std::vector<int> axis = {-1};
  double epsilon = 1e-6;
  std::string name = {};
  Shape input_shape = {};
};

/// x / sqrt(mean(x^2) + epsilon) * scale over the given axes (Zhang and Sennrich,
/// arXiv:1910.07467). As in Keras, the mask goes no further.
class RMSNormalization : public SameShapeLayer {
 public:
  explicit RMSNormalization(const RMSNormalizationOptions& options = {});
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return false; }

 private:
  RMSNormalizationOptions options_;
  std::vector<int> axes_;  // counted from 0, in order
  Weight scale;
};

struct UnitNormalizationOptions {
  std::vector<int> axis = {-1};
  std::string name = {};
  Shape input_shape = {};
};

/// x / max(|x|, 1e-12), where |x| is the Euclidean norm over the given axes.
class UnitNormalization : public SameShapeLayer {
 public:
  explicit UnitNormalization(const UnitNormalizationOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  UnitNormalizationOptions options_;
};

struct SpectralNormalizationOptions {
  int power_iterations = 1;
  std::string name = {};
  Shape input_shape = {};
};

/// A layer with a kernel or embeddings W, a matrix of as many columns as its last axis is long.
/// Each call in training divides W, for good, by its largest singular value (Miyato et al.,
/// arXiv:1802.05957). Power iterations find that, from the vector u where the last call left it.
/// The gradient is the one with respect to the divided W. Because the kernel changes, one tape
/// takes one such call. As in Keras, the weights are W, u and the others of the layer inside, and
/// the mask reaches that layer and goes no further.
class SpectralNormalization : public Layer {
 public:
  explicit SpectralNormalization(AnyLayer layer, const SpectralNormalizationOptions& options = {});
  std::vector<Field> fields() override;
  void configured() override { replace_sublayers({layer_}); }
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  /// The mask is passed on, and read, as by the layer inside.
  bool supports_masking() const override { return layer_->supports_masking(); }
  Tensor compute_mask(const Tensor& inputs, const Tensor& mask) override {
    return layer_->compute_mask(inputs, mask);
  }
  Shape compute_output_shape(const Shape& input_shape) override;

 private:
  void normalize();
  AnyLayer layer_;
  SpectralNormalizationOptions options_;
  Weight kernel, vector_u;
};

}  // namespace keratin
