// Activations with options, as layers (keras/src/layers/activations). Activation, which takes a
// name or a function, is in core_layers.h.
#pragma once

#include <optional>
#include <vector>

#include <keratin/layers/core_layers.h>

namespace keratin {

struct ReLUOptions {
  std::optional<double> max_value = {};  ///< none: outputs have no upper limit
  double negative_slope = 0;
  double threshold = 0;
  std::string name = {};
  Shape input_shape = {};
};

/// x above the threshold, but at most max_value; below it negative_slope * (x - threshold).
class ReLU : public SameShapeLayer {
 public:
  explicit ReLU(const ReLUOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  ReLUOptions options_;
};

struct LeakyReLUOptions {
  double negative_slope = 0.3;
  std::string name = {};
  Shape input_shape = {};
};

/// x where it is positive, negative_slope * x elsewhere.
class LeakyReLU : public SameShapeLayer {
 public:
  explicit LeakyReLU(const LeakyReLUOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  LeakyReLUOptions options_;
};

struct PReLUOptions {
  Initializer alpha_initializer = "zeros";
  Regularizer alpha_regularizer = {};
  Constraint alpha_constraint = {};
  std::vector<int> shared_axes = {};  ///< counted from 1, the first one after the batch
  std::string name = {};
  Shape input_shape = {};
};

/// x where it is positive, alpha * x elsewhere. There is an alpha for each place in a sample, and
/// one for all places along a shared axis.
class PReLU : public SameShapeLayer {
 public:
  explicit PReLU(const PReLUOptions& options = {});
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;

 private:
  PReLUOptions options_;
  Weight alpha;
};

struct ELUOptions {
  double alpha = 1;
  std::string name = {};
  Shape input_shape = {};
};

/// x where it is positive, alpha * (exp(x) - 1) elsewhere.
class ELU : public SameShapeLayer {
 public:
  explicit ELU(const ELUOptions& options = {});
  std::vector<Field> fields() override;
  Config get_config() const override;
  Tensor call(const Tensor& inputs) override;

 private:
  ELUOptions options_;
};

struct SoftmaxOptions {
  std::vector<int> axis = {-1};
  std::string name = {};
  Shape input_shape = {};
};

/// exp(x), divided by its sum over the axes. What is masked counts as -1e9 and gives 0. A mask with
/// fewer axes than the inputs speaks of the first ones: (batch, time) of whole steps.
class Softmax : public SameShapeLayer {
 public:
  explicit Softmax(const SoftmaxOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  SoftmaxOptions options_;
};

}  // namespace keratin
