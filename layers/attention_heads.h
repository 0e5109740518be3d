// Attention with several heads (Vaswani et al., arXiv:1706.03762;
// keras/src/layers/attention/multi_head_attention.py, grouped_query_attention.py):
//
//   q, k, v = query Wq + bq, key Wk + bk, value Wv + bv   (batch, heads, time, size)
//   weights = softmax(q . k / sqrt(key_dim))              (batch, heads, queries, keys)
//   output = (weights . v) Wo + bo                        (batch, queries, features)
//
// The inputs are {query, value}, {query, value, key} or {query, value, key, attention_mask}, each
// but the last (batch, time, features). Without a key (an undefined tensor before a mask) the
// values are the keys, too. The attention mask (batch, queries, keys) is true where a query may
// attend to a key; axes at its front may be missing or of size 1. In a functional model it is an
// input like the others:
//
//   Tensor y = MultiHeadAttention(4, 16)({x, x});
//   auto [y, weights] = MultiHeadAttention(4, 16, {.return_attention_scores = true})({x, memory})
//                           .unpack<2>();
//   Tensor y = MultiHeadAttention(4, 16)({x, x, {}, may_attend});
//
// The masks of the inputs restrict the attention further: a padded value or key has no share, and
// for a padded query, as for one that may attend to nothing, the weights are 0. Padding may hold
// anything, NaN too. The output has the query's mask.
//
// What Keras passes in the call, use_causal_mask and return_attention_scores, is an option of the
// layer here, so that it serves in functional models, too; a model's config has it where Keras's
// has it, in the call. The weights can also be read from a capture, as
// "multi_head_attention/attention". There is no flash_attention, which would change no number:
// where there are many scores, the queries take turns (layers/internal/attention.h), unless the
// weights are asked for or some are dropped.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/call_arguments.h>
#include <keratin/layers/einsum_dense.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct MultiHeadAttentionOptions {
  std::optional<int> value_dim = {};       ///< of each head; by default key_dim
  double dropout = 0;                      ///< the share of the attention that training leaves out
  bool use_bias = true;                    ///< in the four projections
  std::vector<int> output_shape = {};      ///< by default the width of the query
  std::vector<int> attention_axes = {};    ///< by default all between batch and features
  std::optional<int> sliding_window = {};  ///< a query sees keys less than this far away
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the outputs of each projection
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  bool use_gate = false;  ///< multiplies what is attended to by a sigmoid of the query
  std::optional<std::uint64_t> seed = {};
  bool use_causal_mask = false;          ///< a query attends to nothing behind its own time
  bool return_attention_scores = false;  ///< the weights are a second output
  std::string name = {};
};

struct MayAttend;  // layers/internal/attention.h

/// What the layers with several heads have in common.
class HeadsAttention : public Layer, public CallArguments {
 public:
  void build(const Shapes& input_shapes) override;
  Tensors call(const Tensors& inputs) override;
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  bool supports_masking() const override { return true; }
  void configured() override;
  std::vector<Field> call_fields() override;
  std::vector<std::string> input_arguments() const override;

 protected:
  HeadsAttention(int query_heads, int key_heads, int key_dim,
                 const MultiHeadAttentionOptions& options);
  int value_dim() const { return options_.value_dim.value_or(key_dim_); }

  int query_heads_, key_heads_, key_dim_;
  MultiHeadAttentionOptions options_;

 private:
  virtual void check_rank(int rank) const;
  EinsumDense projection(const std::string& name, const Shape& input_shape, int heads, int size,
                         ActivationFunction activation = {});
  EinsumDense output_projection(const Shape& query_shape);
  std::string attribute_of(const std::string& part) const;
  Shapes checked(const Shapes& shapes) const;
  void make_equations(int rank);
  Shape heads_of(const Shape& input, int size) const;
  Shape grouped(const Shape& shape, int heads) const;
  Shape scores_shape(const Shape& query, const Shape& key) const;
  MayAttend may_attend(const Tensors& inputs, const Shape& scores) const;
  Tensor placed(const Tensor& mask, int input_rank, bool of_queries) const;

  std::vector<int> batch_axes_, attention_axes_;     // of the inputs
  std::string scores_equation_, attended_equation_;  // "abnh,aBnh->anbB" and "anbB,aBnh->abnh"
  std::optional<EinsumDense> query_, key_, value_, gate_, attention_output_;
};

class MultiHeadAttention : public HeadsAttention {
 public:
  MultiHeadAttention(int num_heads, int key_dim, const MultiHeadAttentionOptions& options = {});
  std::vector<Field> fields() override;
  void configured() override;
};

struct GroupQueryAttentionOptions {
  double dropout = 0;                      ///< the share of the attention that training leaves out
  bool use_bias = true;                    ///< in the four projections
  std::optional<int> sliding_window = {};  ///< a query sees keys less than this far away
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the outputs, of each projection too
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  bool use_gate = false;  ///< multiplies what is attended to by a sigmoid of the query
  std::optional<std::uint64_t> seed = {};
  bool use_causal_mask = false;          ///< a query attends to nothing behind its own time
  bool return_attention_scores = false;  ///< the weights are a second output
  std::string name = {};
};

/// Several heads of queries share one of keys and values (Ainslie et al., arXiv:2305.13245). The
/// output is as wide as the query.
class GroupedQueryAttention : public HeadsAttention {
 public:
  GroupedQueryAttention(int head_dim, int num_query_heads, int num_key_value_heads,
                        const GroupQueryAttentionOptions& options = {});
  std::vector<Field> fields() override;
  void configured() override;

 private:
  void check_rank(int rank) const override;
  void check_heads() const;
};
/// Keras has the class under both names, too: this one for users, the other for names of layers.
using GroupQueryAttention = GroupedQueryAttention;

}  // namespace keratin
