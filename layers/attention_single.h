// Attention with one head (keras/src/layers/attention/attention.py, additive_attention.py). What a
// query asks for is found among keys, and the values there are its answer:
//
//   weights = softmax(score(query, key))   (batch, queries, keys)
//   output = weights . value               (batch, queries, features)
//
// The inputs are {query, value} or {query, value, key}, each (batch, time, features); without a key
// the values are the keys, too. The masks are those of the inputs: a padded value has no share, and
// a padded query gets 0, as does one that may attend to nothing. Padding may hold anything, NaN
// too.
//
// What Keras passes in the call, use_causal_mask and return_attention_scores, is an option of the
// layer here, so that it serves in functional models, too; a model's config has it where Keras's
// has it, in the call. The weights can also be read from a capture, as "attention/attention".
#pragma once

#include <optional>
#include <string>

#include <keratin/layers/call_arguments.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct AttentionFormula;  // layers/internal/attention.h

struct AttentionOptions {
  bool use_scale = false;          ///< multiplies the scores by a weight
  std::string score_mode = "dot";  ///< dot: query . key; concat: sum of tanh(query + key)
  double dropout = 0;              ///< the share of the attention that training leaves out
  std::optional<std::uint64_t> seed = {};
  bool use_causal_mask = false;          ///< a query attends to nothing behind its own time
  bool return_attention_scores = false;  ///< the weights are a second output
  std::string name = {};
};

/// score = scale query . key (Luong et al., arXiv:1508.04025), or with "concat" a weight times the
/// sum of tanh(scale (query + key)).
class Attention : public Layer, public CallArguments {
 public:
  explicit Attention(const AttentionOptions& options = {});
  void build(const Shapes& input_shapes) override;
  Tensors call(const Tensors& inputs) override;
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  bool supports_masking() const override { return true; }
  std::vector<Field> fields() override;
  std::vector<Field> call_fields() override;

 protected:
  AttentionOptions options_;
  Weight scale;

 private:
  virtual void make_weights(const Shape& query_shape);
  /// How queries (batch, queries, features) are compared with keys (batch, keys, features).
  virtual AttentionFormula formula(std::int64_t features) const;
  Weight concat_score_weight;
};

struct AdditiveAttentionOptions {
  bool use_scale = true;  ///< multiplies the features in the sum by weights
  double dropout = 0;     ///< the share of the attention that training leaves out
  std::optional<std::uint64_t> seed = {};
  bool use_causal_mask = false;          ///< a query attends to nothing behind its own time
  bool return_attention_scores = false;  ///< the weights are a second output
  std::string name = {};
};

/// score = sum of scale tanh(query + key) over the features (Bahdanau et al., arXiv:1409.0473).
class AdditiveAttention : public Attention {
 public:
  explicit AdditiveAttention(const AdditiveAttentionOptions& options = {});
  std::vector<Field> fields() override;

 private:
  void make_weights(const Shape& query_shape) override;
  AttentionFormula formula(std::int64_t features) const override;
};

}  // namespace keratin
