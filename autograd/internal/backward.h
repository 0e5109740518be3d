// A node's view of the backward pass: the gradients of its outputs come in, those of its inputs go
// out.
#pragma once

#include <cstdint>
#include <vector>

#include <keratin/autograd/internal/gradient_sum.h>
#include <keratin/autograd/internal/recording.h>

namespace keratin {

class Backward {
 public:
  /// Undefined when nothing depends on that output.
  const Tensor& output_gradient(std::uint32_t output) const;
  /// Zeros where nothing depends on that output.
  Tensor output_gradient_or_zeros(std::uint32_t output) const;
  /// Whether the tape is spent on this pass, so that the node may overwrite what it saved.
  bool is_last() const { return last_; }
  /// Whether somebody needs the gradient of that input.
  bool wants(std::uint32_t input) const;
  /// Adds to the gradient of that input. A gradient of broadcast shape is summed to the input's
  /// shape, and converted to the input's dtype.
  void add(std::uint32_t input, const Tensor& gradient);

 private:
  friend class BackwardPass;
  GradientSum& sum_of(VariableId id) const { return (*gradients_)[id - first_]; }
  VariableId input(std::uint32_t i) const { return record_->inputs[node_->inputs + i]; }

  const Record* record_ = nullptr;
  const Node* node_ = nullptr;
  std::vector<GradientSum>* gradients_ = nullptr;  // by variable, from `first_` on
  const std::vector<char>* needed_ = nullptr;
  VariableId first_ = 0;
  bool last_ = false;
};

}  // namespace keratin
