// Layers that make training harder (keras/src/layers/regularization): noise, which acts in training
// alone, and a cost of the outputs. Dropout of single numbers is in core_layers.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/core_layers.h>

namespace keratin {

struct SpatialDropout1DOptions {
  std::optional<std::uint64_t> seed = {};
  std::string name = {};
};
struct SpatialDropoutOptions {
  std::string data_format = "channels_last";  ///< or channels_first: (batch, channels, ...)
  std::optional<std::uint64_t> seed = {};
  std::string name = {};
};

/// Dropout of whole channels (Tompson et al., arXiv:1411.4280): what all places between batch and
/// channels have in common is whether a channel is 0. Its classes say how many axes are between.
class SpatialDropout : public SameShapeLayer {
 public:
  std::vector<Field> fields() override;
  Config get_config() const override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;

 protected:
  SpatialDropout(int axes, double rate, const SpatialDropoutOptions& options);

 private:
  int axes_;
  double rate_;
  SpatialDropoutOptions options_;
};

/// (batch, time, channels)
class SpatialDropout1D : public SpatialDropout {
 public:
  explicit SpatialDropout1D(double rate, const SpatialDropout1DOptions& options = {})
      : SpatialDropout(1, rate, {.seed = options.seed, .name = options.name}) {}
};
/// (batch, rows, columns, channels)
class SpatialDropout2D : public SpatialDropout {
 public:
  explicit SpatialDropout2D(double rate, const SpatialDropoutOptions& options = {})
      : SpatialDropout(2, rate, options) {}
};
/// (batch, depth, rows, columns, channels)
class SpatialDropout3D : public SpatialDropout {
 public:
  explicit SpatialDropout3D(double rate, const SpatialDropoutOptions& options = {})
      : SpatialDropout(3, rate, options) {}
};

struct NoiseOptions {
  std::optional<std::uint64_t> seed = {};
  std::string name = {};
};

/// In training, adds normal noise of mean 0.
class GaussianNoise : public SameShapeLayer {
 public:
  explicit GaussianNoise(double stddev, const NoiseOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  double stddev_;
  std::optional<std::uint64_t> seed_;
};

/// In training, multiplies by normal noise of mean 1 and the variance of dropout, rate / (1 - rate)
/// (Srivastava et al., JMLR 15, 2014, section 10).
class GaussianDropout : public SameShapeLayer {
 public:
  explicit GaussianDropout(double rate, const NoiseOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  double rate_;
  std::optional<std::uint64_t> seed_;
};

struct AlphaDropoutOptions {
  Shape noise_shape = {};  ///< 1 along axes that share the noise, None for the input's size
  std::optional<std::uint64_t> seed = {};
  std::string name = {};
};

/// Dropout for networks of selu: in training, numbers become selu's least value with probability
/// `rate`, and a x + b then keeps the mean of 0 and the variance of 1 (Klambauer et al.,
/// arXiv:1706.02515).
class AlphaDropout : public SameShapeLayer {
 public:
  explicit AlphaDropout(double rate, const AlphaDropoutOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  double rate_;
  AlphaDropoutOptions options_;
};

struct ActivityRegularizationOptions {
  double l1 = 0;
  double l2 = 0;
  std::string name = {};
  Shape input_shape = {};
};

/// The inputs, which cost l1 * sum |x| + l2 * sum x^2, divided by the batch size.
class ActivityRegularization : public SameShapeLayer {
 public:
  explicit ActivityRegularization(const ActivityRegularizationOptions& options = {});
  std::vector<Field> fields() override;
  Config get_config() const override;
  void configured() override;
  Tensor call(const Tensor& inputs) override { return inputs; }

 private:
  ActivityRegularizationOptions options_;
};

}  // namespace keratin
