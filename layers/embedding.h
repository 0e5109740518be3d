// Embedding: a row of numbers for each integer (keras/src/layers/core/embedding.py).
#pragma once

#include <keratin/layers/layer.h>

namespace keratin {

struct EmbeddingOptions {
  Initializer embeddings_initializer = "uniform";
  Regularizer embeddings_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the outputs, divided by the batch size
  Constraint embeddings_constraint = {};
  bool mask_zero = false;  ///< id 0 is padding; it is looked up all the same
  std::string name = {};
  Shape input_shape = {};
};

/// Ids (batch, ...) in 0..input_dim-1 -> (batch, ..., output_dim).
class Embedding : public Layer {
 public:
  Embedding(int input_dim, int output_dim, const EmbeddingOptions& options = {});
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  Tensor compute_mask(const Tensor& inputs, const Tensor& mask) override;

 private:
  int input_dim_, output_dim_;
  EmbeddingOptions options_;
  Weight embeddings;
};

}  // namespace keratin
