// EinsumDense: y = activation(einsum(equation, x, kernel) + bias)
// (keras/src/layers/core/einsum_dense.py).
#pragma once

#include <string>

#include <keratin/layers/activations.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct EinsumDenseOptions {
  ActivationFunction activation = {};
  std::string bias_axes = {};  ///< letters of the output that the bias has; none: no bias
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

/// A dense layer over axes of one's choice. In the equation "input,kernel->output" every axis has a
/// letter; "..." before or behind the letters of input and output stands for any axes. The output
/// shape leaves out the batch and what "..." stands for, and says None where the input decides:
///
///   EinsumDense("abc,cd->abd", {None, 64}, {.bias_axes = "d"})   // Dense(64) on a sequence
///   EinsumDense("...x,xy->...y", {64}, {.bias_axes = "y"})       // Dense(64) on anything
class EinsumDense : public Layer {
 public:
  EinsumDense(const std::string& equation, const Shape& output_shape,
              const EinsumDenseOptions& options = {});
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  std::vector<Field> fields() override;

 private:
  std::string equation_;
  Shape output_shape_;
  EinsumDenseOptions options_;
  Weight kernel, bias;
};

}  // namespace keratin
