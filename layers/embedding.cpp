#include <keratin/autograd/ops.h>
#include <keratin/layers/embedding.h>
#include <keratin/layers/internal/categories.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

Embedding::Embedding(int input_dim, int output_dim, const EmbeddingOptions& options)
    : input_dim_(input_dim), output_dim_(output_dim), options_(options) {
  check_fields("Embedding", fields());
  apply_common(*this, options);
}

std::vector<Field> Embedding::fields() {
  EmbeddingOptions& o = options_;
  return {{"input_dim", &input_dim_, at_least(1)},
          {"output_dim", &output_dim_, at_least(1)},
          {"embeddings_initializer", &o.embeddings_initializer},
          {"embeddings_regularizer", &o.embeddings_regularizer},
          {"activity_regularizer", &activity_regularizer()},
          {"embeddings_constraint", &o.embeddings_constraint},
          {"mask_zero", &o.mask_zero},
          Field::fixed("quantization_config", {})};
}

void Embedding::build(const Shape&) {
  const EmbeddingOptions& o = options_;
  embeddings = add_weight("embeddings", {input_dim_, output_dim_}, o.embeddings_initializer,
                          o.embeddings_regularizer, o.embeddings_constraint);
}

Tensor Embedding::call(const Tensor& inputs) {
  return take(embeddings, checked_ids("Embedding", inputs, input_dim_), 0);
}

Tensor Embedding::compute_mask(const Tensor& inputs, const Tensor&) {
  return options_.mask_zero ? inputs != 0 : Tensor();
}

}  // namespace keratin
