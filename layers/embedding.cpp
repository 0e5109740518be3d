#include <keratin/autograd/internal/indices.h>
#include <keratin/autograd/ops.h>
#include <keratin/layers/embedding.h>
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
  Tensor ids = inputs.astype(int32);
  if (!inputs.device().is_cpu()) {
    // Found when somebody waits. What is no whole number becomes an id that there is not.
    if (is_floating(inputs.dtype())) ids = where(equal(ids, inputs), ids, -1);
    return take(embeddings, checked_indices("Embedding", ids, 0, input_dim_, ids.device()), 0);
  }
  if (is_floating(inputs.dtype()) && any(ids != inputs).item() != 0)
    fail("expected ids that are whole numbers");
  if (ids.numel() > 0 && (min(ids).item() < 0 || max(ids).item() >= input_dim_))
    fail("expected ids in 0..{}, got {} to {}", input_dim_ - 1, min(ids).item(), max(ids).item());
  return take(embeddings, ids, 0);
}

Tensor Embedding::compute_mask(const Tensor& inputs, const Tensor&) {
  return options_.mask_zero ? inputs != 0 : Tensor();
}

}  // namespace keratin
