// Attention over time: which steps of a sequence count, learned by a small network of its own.
#pragma once

#include <keratin/layers/layer.h>

namespace keratin {

/// (batch, time, features) -> (batch, features): the sum of the steps, each weighted by a. The
/// weights can be read from a capture as "attention_layer/attention".
class AttentionLayer : public Layer {
 public:
  explicit AttentionLayer(int attention_dim) : attention_dim_(attention_dim) {}
  void build(const Shape& input_shape) override;
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;

 private:
  int attention_dim_;
  Weight W, b, u;
};

}  // namespace keratin
