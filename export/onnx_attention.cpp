// Attention, as layers/attention*.cpp state it.

#include <algorithm>
#include <cctype>
#include <cmath>

#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

// What does not count has a score that no other comes near, and not -inf, because ONNX gives NaN
// where all are.
Value shares(const Value& scores, const Value& counts, const std::vector<int>& axes) {
  if (!counts.defined()) return softmax(scores, axes);
  return where(counts, softmax(where(counts, scores, -1e30), axes), 0.0);
}

namespace {

Value all_of(const Values& masks) {
  Value both;
  for (const Value& mask : masks)
    if (mask.defined()) both = both.defined() ? logical_and(both, mask) : mask;
  return both;
}

// (queries, keys): how far behind its key a query is.
Value lead_of_queries(Writer& writer, const Size& queries, const Size& keys) {
  return expand_dims(arange(writer, queries), {1}) - arange(writer, keys);
}

// The query, the value and the key without padding; the values are the keys where none are given.
struct Inputs {
  Value query, value, key;
};
Inputs inputs_of(const Call& call, bool key_has_mask) {
  const Value value = without_padding(call.inputs[1], call.mask(1));
  const bool has_key = call.inputs.size() > 2 && call.inputs[2].defined();
  return {without_padding(call.x(), call.mask()), value,
          has_key ? without_padding(call.inputs[2], call.mask(key_has_mask ? 2 : 1)) : value};
}

// --- one head

Value scores_of(const Call& call, const Value& query, const Value& key) {
  const Value scale = call.weight("scale");
  const bool additive = call.layer.class_name() == "AdditiveAttention";
  if (!additive && call.option<std::string>("score_mode") == "dot") {
    const Value scores = matmul(query, transpose(key, {0, 2, 1}));
    return scale.defined() ? scores * scale : scores;
  }
  Value e = expand_dims(query, {2}) + expand_dims(key, {1});
  if (!additive && scale.defined()) e = scale * e;
  e = unary("Tanh", e);
  if (additive && scale.defined()) e = scale * e;
  const Value sum = reduce("ReduceSum", e, {-1});
  return additive ? sum : call.weight("concat_score_weight") * sum;
}

Values attention(Call& call) {
  const auto [query, value, key] = inputs_of(call, /*key_has_mask=*/false);
  const Value query_mask = call.mask(0), value_mask = call.mask(1);
  Value causal;
  if (call.flag("use_causal_mask"))
    causal = lead_of_queries(call.writer, size_of(query, 1), size_of(key, 1)) >= 0.0;
  const Value counts =
      all_of({query_mask.defined() ? expand_dims(query_mask, {2}) : Value(),
              value_mask.defined() ? expand_dims(value_mask, {1}) : Value(), causal});
  const Value weights = shares(scores_of(call, query, key), counts, {-1});
  call.set_output_masks({query_mask});
  Values outputs{matmul(weights, value)};
  if (call.flag("return_attention_scores")) outputs.push_back(weights);
  return outputs;
}

Values attention_layer(Call& call) {
  const Value x = without_padding(call.x(), call.mask());
  const Value e = unary("Tanh", matmul(x, call.weight("W")) + call.weight("b"));
  const Value counts = call.mask().defined() ? expand_dims(call.mask(), {2}) : Value();
  const Value a = shares(matmul(e, call.weight("u")), counts, {1});
  return {reduce("ReduceSum", x * a, {1})};
}

// --- several heads

class Heads {
 public:
  explicit Heads(Call& call) : call_(call), rank_(call.x().rank()) {
    std::vector<int> attended{1};  // of a GroupQueryAttention
    if (call.has_option("attention_axes"))
      attended = call.option<std::vector<int>>("attention_axes");
    for (int axis = 0; axis < rank_ - 1; ++axis)
      (std::ranges::find(attended, axis) == attended.end() ? batch_ : attended_).push_back(axis);
    attended_ = attended;  // in the order that was given
  }

  Values run() {
    const auto [query, value, key] = inputs_of(call_, /*key_has_mask=*/true);
    Value q = part("query", query), k = part("key", key), v = part("value", value);
    q = q / std::sqrt(static_cast<double>(q.shape[-1]));
    // Several heads of queries share one of keys.
    k = repeat(k, q.shape[-2] / k.shape[-2], -2);
    v = repeat(v, q.shape[-2] / v.shape[-2], -2);

    const auto [scores_equation, attended_equation] = equations();
    const int axes = static_cast<int>(attended_.size());
    Shape shape;  // of the scores
    for (int axis : batch_) shape.push_back(q.shape[axis]);
    shape.push_back(q.shape[-2]);
    for (int axis : attended_) shape.push_back(q.shape[axis]);
    for (int axis : attended_) shape.push_back(k.shape[axis]);
    std::vector<int> last;
    for (int axis = -axes; axis < 0; ++axis) last.push_back(axis);
    const Value weights =
        shares(einsum(scores_equation, {q, k}, shape), may_attend(query, key, shape.rank()), last);
    Shape output = q.shape;
    output[-1] = v.shape[-1];
    Value attended = einsum(attended_equation, {weights, v}, output);
    if (call_.flag("use_gate")) attended = attended * part("gate", query);
    call_.set_output_masks({call_.mask()});
    Values outputs{part("attention_output", attended)};
    if (call_.flag("return_attention_scores")) outputs.push_back(weights);
    return outputs;
  }

 private:
  Value part(const std::string& name, const Value& x) const {
    for (const AnyLayer& layer : call_.layer.sublayers())
      if (layer->name() == name) {
        Value y = export_layer(call_.writer, *layer, {x}, {Value()}).first[0];
        y.shape = layer->compute_output_shape(x.shape);
        return y;
      }
    fail("there is no part {}", name);
  }

  // "abnh,aBnh->anbB" and "anbB,aBnh->abnh", as in layers/attention_heads.cpp.
  std::pair<std::string, std::string> equations() const {
    std::string query, key, batch, queries, keys;
    for (int axis = 0; axis < rank_ - 1; ++axis) {
      const char letter = static_cast<char>('a' + axis);
      const bool in_batch = std::ranges::find(batch_, axis) != batch_.end();
      query += letter;
      key += in_batch ? letter : static_cast<char>(std::toupper(letter));
      if (in_batch) batch += letter;
    }
    for (int axis : attended_) {
      queries += query[std::size_t(axis)];
      keys += key[std::size_t(axis)];
    }
    const std::string scores = batch + "n" + queries + keys;
    return {query + "nh," + key + "nh->" + scores, scores + "," + key + "nh->" + query + "nh"};
  }

  // A mask of the inputs' first axes, among the axes of the scores.
  Value placed(const Value& mask, bool of_queries) const {
    if (!mask.defined()) return {};
    std::vector<int> order = batch_, ones{static_cast<int>(batch_.size())};  // the heads
    order.insert(order.end(), attended_.begin(), attended_.end());
    const int axes = static_cast<int>(attended_.size());
    for (int i = 0; i < axes; ++i) ones.push_back(ones[0] + 1 + i + (of_queries ? axes : 0));
    return expand_dims(transpose(with_rank(mask, rank_ - 1), order), ones);
  }

  Value may_attend(const Value& query, const Value& key, int rank) const {
    Values masks;
    for (std::size_t i = 0; i < std::min<std::size_t>(call_.inputs.size(), 3); ++i)
      masks.push_back(placed(call_.mask(i), i == 0));
    if (call_.inputs.size() > 3 && call_.inputs[3].defined()) {
      // (batch, queries, keys), of which axes at the front may be missing.
      const Value& mask = call_.inputs[3];
      std::vector<int> ones;
      const int first = mask.rank() - 2 * static_cast<int>(attended_.size());
      for (int i = 0; i < rank - mask.rank(); ++i) ones.push_back(first + i);
      masks.push_back(cast(ones.empty() ? mask : expand_dims(mask, ones), Type::boolean));
    }
    const bool causal = call_.flag("use_causal_mask"), window = call_.has_option("sliding_window");
    if (causal || window) {
      const Value lead =
          lead_of_queries(call_.writer, size_of(query, attended_[0]), size_of(key, attended_[0]));
      if (causal) masks.push_back(lead >= 0.0);
      if (window) masks.push_back(unary("Abs", lead) < call_.option<double>("sliding_window"));
    }
    return all_of(masks);
  }

  Call& call_;
  int rank_;
  std::vector<int> batch_, attended_;  // axes of the inputs
};

Values heads_attention(Call& call) { return Heads(call).run(); }

}  // namespace

const ExportTable& attention_exports() {
  static const ExportTable table{
      {"AdditiveAttention", attention},        {"Attention", attention},
      {"AttentionLayer", attention_layer},     {"GroupedQueryAttention", heads_attention},
      {"MultiHeadAttention", heads_attention},
  };
  return table;
}

}  // namespace keratin::onnx
