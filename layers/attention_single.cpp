#include <keratin/layers/attention_single.h>
#include <keratin/layers/internal/attention.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

Attention::Attention(const AttentionOptions& options) : options_(options) {
  check_fields("Attention", Attention::fields());
  apply_common(*this, options);
}

std::vector<Field> Attention::fields() {
  AttentionOptions& o = options_;
  return {{"use_scale", &o.use_scale},
          {"score_mode", &o.score_mode, one_of({"dot", "concat"})},
          {"dropout", &o.dropout, between(0, 1)},
          {"seed", &o.seed}};
}
std::vector<Field> Attention::call_fields() {
  return {{"return_attention_scores", &options_.return_attention_scores},
          {"use_causal_mask", &options_.use_causal_mask}};
}

namespace {

// {query, value, key}, or throws std::invalid_argument.
Shapes checked(const Shapes& shapes) {
  if (shapes.size() < 2 || shapes.size() > 3)
    fail("expected the inputs query, value and perhaps key, got {}", shapes.size());
  Shapes all = shapes;
  if (all.size() == 2 || all[2].empty()) all.resize(3), all[2] = all[1];
  for (const Shape& shape : all)
    if (shape.rank() != 3)
      fail("expected inputs (batch, time, features), got {}", fmt::join(shapes, ", "));
  bool fits = may_equal(all[0][2], all[2][2]) && may_equal(all[1][1], all[2][1]);
  for (const Shape& shape : all) fits = fits && may_equal(shape[0], all[0][0]);
  if (!fits)
    fail("expected a query and keys of one width, and as many keys as values, got {}",
         fmt::join(shapes, ", "));
  return all;
}

}  // namespace

void Attention::build(const Shapes& input_shapes) { make_weights(checked(input_shapes)[0]); }

void Attention::make_weights(const Shape&) {
  if (options_.use_scale) scale = add_weight("scale", {}, "ones");
  if (options_.score_mode == "concat")
    concat_score_weight = add_weight("concat_score_weight", {}, "ones");
}

AttentionFormula Attention::formula(std::int64_t features) const {
  AttentionFormula formula;
  if (options_.use_scale) formula.score_weights = {scale};
  if (options_.score_mode == "dot") {
    formula.scores = [](const Tensor& query, const Tensor& key, const Tensors& weights) {
      const Tensor scores = matmul(query, swapaxes(key, 1, 2));
      return weights.empty() ? scores : scores * weights[0];
    };
    return formula;
  }
  formula.score_weights.push_back(concat_score_weight);
  formula.numbers_per_score = features;
  formula.scores = [](const Tensor& query, const Tensor& key, const Tensors& weights) {
    const Tensor both = expand_dims(query, 2) + expand_dims(key, 1);
    return weights.back() * sum(tanh(weights.size() > 1 ? weights[0] * both : both), -1);
  };
  return formula;
}

Tensors Attention::call(const Tensors& inputs) {
  checked(shapes_of(inputs));
  const bool has_key = inputs.size() > 2 && inputs[2].defined();
  const Tensor query_mask = mask(0), value_mask = mask(1);
  const Tensor query = without_padding(inputs[0], query_mask),
               value = without_padding(inputs[1], value_mask),
               key = has_key ? without_padding(inputs[2], value_mask) : value;
  for (const Tensor& m : {query_mask, value_mask})
    if (m.defined() && m.rank() != 2) fail("expected a mask (batch, time), got {}", m.shape());
  AttentionFormula attention = formula(query.size(-1));
  attention.attended = "bqk,bkf->bqf";
  attention.may_attend.causal = options_.use_causal_mask;
  if (query_mask.defined()) attention.may_attend.masks.push_back(expand_dims(query_mask, 2));
  if (value_mask.defined()) attention.may_attend.masks.push_back(expand_dims(value_mask, 1));

  const bool drops = training() && options_.dropout > 0;
  const bool shows = options_.return_attention_scores || is_captured();
  if (!drops && !shows && attention.has_many_scores(query, key))
    return {attention.in_blocks(query, key, value)};
  Tensor weights = name("attention", attention.shares(query, key));
  if (drops) weights = dropped(weights, options_.dropout, random(options_.seed));
  Tensors outputs{attention.attend(weights, value)};  // (batch, queries, features)
  if (options_.return_attention_scores) outputs.push_back(weights);
  return outputs;
}

Tensors Attention::compute_mask(const Tensors&, const Tensors& masks) { return {masks[0]}; }

Shapes Attention::compute_output_shape(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  const Shapes all = named(*this, [&] { return checked(input_shapes); });
  Shapes outputs{all[0].with(2, all[1][2])};
  if (options_.return_attention_scores) outputs.push_back(all[0].with(2, all[1][1]));
  return outputs;
}

// --- additive

AdditiveAttention::AdditiveAttention(const AdditiveAttentionOptions& options)
    : Attention({.use_scale = options.use_scale,
                 .dropout = 0,
                 .seed = options.seed,
                 .use_causal_mask = options.use_causal_mask,
                 .return_attention_scores = options.return_attention_scores,
                 .name = options.name}) {
  options_.dropout = options.dropout;
  check_fields("AdditiveAttention", fields());
}

std::vector<Field> AdditiveAttention::fields() {
  std::vector<Field> fields = Attention::fields();
  std::erase_if(fields, [](const Field& field) { return field.name == "score_mode"; });
  return fields;
}

void AdditiveAttention::make_weights(const Shape& query_shape) {
  if (options_.use_scale) scale = add_weight("scale", {known_last_axis(query_shape)});
}

AttentionFormula AdditiveAttention::formula(std::int64_t features) const {
  AttentionFormula formula;
  if (options_.use_scale) formula.score_weights = {scale};
  formula.numbers_per_score = features;
  formula.scores = [](const Tensor& query, const Tensor& key, const Tensors& weights) {
    const Tensor e = tanh(expand_dims(query, 2) + expand_dims(key, 1));
    return sum(weights.empty() ? e : weights[0] * e, -1);
  };
  return formula;
}

}  // namespace keratin
