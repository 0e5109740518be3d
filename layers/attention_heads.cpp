#include <algorithm>
#include <cctype>
#include <cmath>

#include <keratin/layers/attention_heads.h>
#include <keratin/layers/internal/attention.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

HeadsAttention::HeadsAttention(int query_heads, int key_heads, int key_dim,
                               const MultiHeadAttentionOptions& options)
    : query_heads_(query_heads), key_heads_(key_heads), key_dim_(key_dim), options_(options) {
  if (!options.name.empty()) set_name(options.name);
}

std::vector<Field> HeadsAttention::call_fields() {
  return {{"return_attention_scores", &options_.return_attention_scores},
          {"use_causal_mask", &options_.use_causal_mask}};
}
std::vector<std::string> HeadsAttention::input_arguments() const {
  return {"query", "value", "key", "attention_mask"};
}

// A config's activity_regularizer is set for the layer, but it is about the projections.
void HeadsAttention::configured() { options_.activity_regularizer = activity_regularizer(); }
void MultiHeadAttention::configured() {
  HeadsAttention::configured();
  set_activity_regularizer({});
}

// --- shapes

// {query, value, key}, or throws std::invalid_argument.
Shapes HeadsAttention::checked(const Shapes& shapes) const {
  if (shapes.size() < 2 || shapes.size() > 4)
    fail("expected the inputs query, value, perhaps key and attention mask, got {}", shapes.size());
  Shapes all{shapes[0], shapes[1], shapes.size() > 2 && !shapes[2].empty() ? shapes[2] : shapes[1]};
  auto given = [&] { return fmt::format("{}", fmt::join(shapes, ", ")); };
  for (const Shape& shape : all)
    if (shape.rank() < 3 || shape.rank() != all[0].rank())
      fail("expected inputs of one rank, 3 or more, got {}", given());
  const int rank = all[0].rank();
  for (int axis = 0; axis < rank - 1; ++axis) {
    const bool attended = std::ranges::find(attention_axes_, axis) != attention_axes_.end();
    if (!may_equal(all[1][axis], all[2][axis]) ||
        (!attended && !may_equal(all[0][axis], all[1][axis])))
      fail("expected as many keys as values, and one size of the other axes, got {}", given());
  }
  if (query_ && (query_->input_shape()[-1] != all[0][-1] ||
                 value_->input_shape()[-1] != all[1][-1] || key_->input_shape()[-1] != all[2][-1]))
    fail("expected a query, value and key of width {}, {} and {}, got {}",
         query_->input_shape()[-1], value_->input_shape()[-1], key_->input_shape()[-1], given());
  return all;
}

// (batch, heads, queries, keys), with all axes that attention is over.
Shape HeadsAttention::scores_shape(const Shape& query, const Shape& key) const {
  Shape shape;
  for (int axis : batch_axes_) shape.push_back(query[axis]);
  shape.push_back(query_heads_);
  for (int axis : attention_axes_) shape.push_back(query[axis]);
  for (int axis : attention_axes_) shape.push_back(key[axis]);
  return shape;
}

Shapes HeadsAttention::compute_output_shape(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  const Shapes all = named(*this, [&] { return checked(input_shapes); });
  Shape output = all[0];
  if (!options_.output_shape.empty()) {
    output = output.without(-1);
    for (int size : options_.output_shape) output.push_back(size);
  }
  if (!options_.return_attention_scores) return {output};
  return {output, scores_shape(all[0], all[2])};
}

// (..., features) -> (..., heads, size)
Shape HeadsAttention::heads_of(const Shape& input, int size) const {
  Shape shape = input.without(-1);
  shape.push_back(query_heads_);
  shape.push_back(size);
  return shape;
}

// The axis of the heads in two, where groups of them share keys: (groups, heads of a group).
Shape HeadsAttention::grouped(const Shape& shape, int heads) const {
  if (key_heads_ == query_heads_) return shape;
  heads = normalize_axis(heads, shape.rank(), "heads");
  return shape.with(heads, query_heads_ / key_heads_).inserted(heads, key_heads_);
}

// With a letter for each axis; "n" and "g" for heads, "h" for the size of one. The axes that
// attention is over have other letters in the keys.
void HeadsAttention::make_equations(int rank) {
  const std::string heads = key_heads_ == query_heads_ ? "n" : "ng";
  std::string query, key, batch, queries, keys;
  for (int axis = 0; axis < rank - 1; ++axis) {
    const char letter = static_cast<char>('a' + axis);  // at most 'f': (batch, 5 axes, features)
    const bool attended = std::ranges::find(attention_axes_, axis) != attention_axes_.end();
    query += letter;
    key += attended ? static_cast<char>(std::toupper(letter)) : letter;
    if (!attended) batch += letter;
  }
  for (int axis : attention_axes_) {
    queries += query[std::size_t(axis)];
    keys += key[std::size_t(axis)];
  }
  const std::string scores = batch + heads + queries + keys;
  scores_equation_ = query + heads + "h," + key + "nh->" + scores;
  attended_equation_ = scores + "," + key + "nh->" + query + heads + "h";
}

// --- weights

void HeadsAttention::check_rank(int) const {}

void HeadsAttention::build(const Shapes& input_shapes) {
  const int rank = input_shapes.at(0).rank();
  check_rank(rank);
  std::vector<int> axes;
  for (int axis : options_.attention_axes)
    axes.push_back(normalize_axis(axis, rank, "attention_axes"));
  if (axes.empty())
    for (int axis = 1; axis < rank - 1; ++axis) axes.push_back(axis);
  for (int axis : axes)
    if (axis == 0 || axis == rank - 1 || std::ranges::count(axes, axis) > 1)
      fail("attention_axes: expected axes between batch and features, got {}",
           fmt::join(options_.attention_axes, ", "));
  if (axes.size() > 1 && (options_.use_causal_mask || options_.sliding_window))
    fail("use_causal_mask and sliding_window are about one axis, but attention_axes are {}",
         fmt::join(axes, ", "));
  attention_axes_ = options_.attention_axes = axes;
  batch_axes_.clear();
  for (int axis = 0; axis < rank - 1; ++axis)
    if (std::ranges::find(axes, axis) == axes.end()) batch_axes_.push_back(axis);
  make_equations(rank);
  query_.reset();  // what was checked against

  const Shapes shapes = checked(input_shapes);
  query_ = projection("query", shapes[0], query_heads_, key_dim_);
  key_ = projection("key", shapes[2], key_heads_, key_dim_);
  if (options_.use_gate)
    gate_ = projection("gate", shapes[0], query_heads_, value_dim(), "sigmoid");
  value_ = projection("value", shapes[1], key_heads_, value_dim());
  attention_output_ = output_projection(shapes[0]);
}

namespace {

EinsumDenseOptions of_projection(const MultiHeadAttentionOptions& o, const std::string& name,
                                 const std::string& bias_axes) {
  return {.bias_axes = o.use_bias ? bias_axes : "",
          .kernel_initializer = o.kernel_initializer,
          .bias_initializer = o.bias_initializer,
          .kernel_regularizer = o.kernel_regularizer,
          .bias_regularizer = o.bias_regularizer,
          .activity_regularizer = o.activity_regularizer,
          .kernel_constraint = o.kernel_constraint,
          .bias_constraint = o.bias_constraint,
          .name = name};
}

}  // namespace

// MultiHeadAttention has public names for most of its parts, which come before the private ones.
std::string HeadsAttention::attribute_of(const std::string& part) const {
  const bool is_public = part != "gate" && dynamic_cast<const MultiHeadAttention*>(this) != nullptr;
  return (is_public ? "" : "_") + part + "_dense";
}

// (..., features) -> (..., heads, size): "...f,fnh->...nh" with the axes spelled out.
EinsumDense HeadsAttention::projection(const std::string& name, const Shape& input_shape, int heads,
                                       int size, ActivationFunction activation) {
  EinsumDenseOptions options = of_projection(options_, name, "nh");
  options.activation = std::move(activation);
  EinsumDense layer("...f,fnh->...nh", {heads, size}, options);
  track(layer, attribute_of(name));
  layer.ensure_built(input_shape);
  return layer;
}

// (..., heads, size) -> (..., features)
EinsumDense HeadsAttention::output_projection(const Shape& query_shape) {
  Shape features{query_shape[-1]};
  if (!options_.output_shape.empty())
    features = Shape(
        std::vector<std::int64_t>(options_.output_shape.begin(), options_.output_shape.end()));
  const std::string letters = std::string("pqrstuvw").substr(0, std::size_t(features.rank()));
  EinsumDense layer("...nh,nh" + letters + "->..." + letters, features,
                    of_projection(options_, "attention_output", letters));
  track(layer, attribute_of("output"));
  layer.ensure_built(heads_of(query_shape, value_dim()));
  return layer;
}

// --- the call

// A mask of the inputs' first axes, among the axes of the scores.
Tensor HeadsAttention::placed(const Tensor& mask, int input_rank, bool of_queries) const {
  if (mask.rank() == input_rank)
    fail("expected a mask of steps, such as (batch, time), got {}", mask.shape());
  Shape shape = mask.shape(), among_scores;
  while (shape.rank() < input_rank - 1) shape.push_back(1);
  std::vector<int> order = batch_axes_;
  order.insert(order.end(), attention_axes_.begin(), attention_axes_.end());
  for (int axis : batch_axes_) among_scores.push_back(shape[axis]);
  among_scores.push_back(1);  // the heads
  for (int axis : attention_axes_) among_scores.push_back(of_queries ? shape[axis] : 1);
  for (int axis : attention_axes_) among_scores.push_back(of_queries ? 1 : shape[axis]);
  return reshape(transpose(reshape(mask, shape), order), among_scores);
}

namespace {

// (batch, queries, keys), of which axes at the front may be missing, with an axis for the heads.
Tensor given_mask(const Tensor& mask, const Shape& scores, int queries_and_keys) {
  Shape shape = mask.shape();
  bool fits = shape.rank() >= queries_and_keys && shape.rank() <= scores.rank();
  while (fits && shape.rank() < scores.rank())
    shape = shape.inserted(shape.rank() - queries_and_keys, 1);
  for (int axis = 0; fits && axis < shape.rank(); ++axis)
    fits = shape[axis] == 1 || shape[axis] == scores[axis];
  if (!fits)
    fail("expected an attention mask that fits {}, which is (batch, heads, queries, keys), got {}",
         scores, mask.shape());
  return reshape(mask, shape).astype(boolean);
}

}  // namespace

MayAttend HeadsAttention::may_attend(const Tensors& inputs, const Shape& scores) const {
  const int rank = inputs[0].rank();
  MayAttend result{{}, options_.use_causal_mask, options_.sliding_window};
  for (std::size_t i = 0; i < std::min<std::size_t>(inputs.size(), 3); ++i)
    if (mask(i).defined()) result.masks.push_back(placed(mask(i), rank, /*of_queries=*/i == 0));
  if (inputs.size() > 3 && inputs[3].defined())
    result.masks.push_back(
        given_mask(inputs[3], scores, static_cast<int>(2 * attention_axes_.size())));
  return result;
}

Tensors HeadsAttention::call(const Tensors& inputs) {
  checked(shapes_of(inputs));
  const bool has_key = inputs.size() > 2 && inputs[2].defined();
  const Tensor query = without_padding(inputs[0], mask(0)),
               value = without_padding(inputs[1], mask(1)),
               key = has_key ? without_padding(inputs[2], mask(2)) : value;

  Tensor q = (*query_)(query) / std::sqrt(double(key_dim_));  // (batch, time, heads, size)
  const Tensor k = (*key_)(key), v = (*value_)(value);
  q = reshape(q, grouped(q.shape(), -2));
  const AttentionFormula attention{
      .scores =
          [equation = scores_equation_](const Tensor& queries, const Tensor& keys, const Tensors&) {
            return einsum(equation, {queries, keys});
          },
      .attended = attended_equation_,
      .axes = attention_axes_,
      .query_axis = static_cast<int>(batch_axes_.size()) + 1,
      .groups = key_heads_ == query_heads_ ? 0 : key_heads_,
      .may_attend = may_attend(inputs, scores_shape(query.shape(), key.shape()))};

  const bool drops = training() && options_.dropout > 0;
  const bool shows = options_.return_attention_scores || is_captured();
  Tensor attended, weights;
  if (!drops && !shows && attention.has_many_scores(q, k)) {
    attended = attention.in_blocks(q, k, v);
  } else {
    weights = name("attention", attention.shares(q, k));
    attended = attention.attend(
        drops ? dropped(weights, options_.dropout, random(options_.seed)) : weights, v);
  }
  attended = reshape(attended, heads_of(query.shape(), value_dim()));
  if (options_.use_gate) attended = attended * (*gate_)(query);

  Tensors outputs{(*attention_output_)(attended)};
  if (options_.return_attention_scores) outputs.push_back(weights);
  return outputs;
}

Tensors HeadsAttention::compute_mask(const Tensors&, const Tensors& masks) { return {masks[0]}; }

// --- the classes

MultiHeadAttention::MultiHeadAttention(int num_heads, int key_dim,
                                       const MultiHeadAttentionOptions& options)
    : HeadsAttention(num_heads, num_heads, key_dim, options) {
  check_fields("MultiHeadAttention", fields());
}

namespace {

// An empty list is Keras's None; one number stands for a list of it.
Field list_or_none(const std::string& name, std::vector<int>& list, const Check& check = {}) {
  auto get = [&list] { return list.empty() ? Option() : to_option(list); };
  auto set = [&list](const Option& value) {
    int one = 0;
    list.clear();
    if (value.is_none()) return true;
    if (!from_option(value, one)) return from_option(value, list);
    list = {one};
    return true;
  };
  return {name, get, set, check};
}

void add_weight_fields(std::vector<Field>& fields, MultiHeadAttentionOptions& o) {
  for (const Field& field : {Field("kernel_initializer", &o.kernel_initializer),
                             Field("bias_initializer", &o.bias_initializer),
                             Field("kernel_regularizer", &o.kernel_regularizer),
                             Field("bias_regularizer", &o.bias_regularizer),
                             Field("activity_regularizer", &o.activity_regularizer),
                             Field("kernel_constraint", &o.kernel_constraint),
                             Field("bias_constraint", &o.bias_constraint), Field("seed", &o.seed)})
    fields.push_back(field);
}

MultiHeadAttentionOptions with_heads(const GroupQueryAttentionOptions& o) {
  return {.dropout = o.dropout,
          .use_bias = o.use_bias,
          .attention_axes = {1},
          .sliding_window = o.sliding_window,
          .kernel_initializer = o.kernel_initializer,
          .bias_initializer = o.bias_initializer,
          .kernel_regularizer = o.kernel_regularizer,
          .bias_regularizer = o.bias_regularizer,
          .activity_regularizer = o.activity_regularizer,
          .kernel_constraint = o.kernel_constraint,
          .bias_constraint = o.bias_constraint,
          .use_gate = o.use_gate,
          .seed = o.seed,
          .use_causal_mask = o.use_causal_mask,
          .return_attention_scores = o.return_attention_scores,
          .name = o.name};
}

}  // namespace

std::vector<Field> MultiHeadAttention::fields() {
  MultiHeadAttentionOptions& o = options_;
  // One number of heads, though the base class knows two.
  auto set_heads = [this](const Option& value) {
    return from_option(value, query_heads_) && from_option(value, key_heads_);
  };
  auto set_value_dim = [&o](const Option& value) { return from_option(value, o.value_dim); };
  std::vector<Field> fields{
      {"num_heads", [this] { return to_option(query_heads_); }, set_heads, at_least(1)},
      {"key_dim", &key_dim_, at_least(1)},
      {"value_dim", [this] { return to_option(value_dim()); }, set_value_dim, at_least(1)},
      {"dropout", &o.dropout, between(0, 1)},
      {"use_bias", &o.use_bias},
      {"use_gate", &o.use_gate},
      list_or_none("output_shape", o.output_shape),
      list_or_none("attention_axes", o.attention_axes),
      {"sliding_window", &o.sliding_window, at_least(1)}};
  add_weight_fields(fields, o);
  return fields;
}

GroupedQueryAttention::GroupedQueryAttention(int head_dim, int num_query_heads,
                                             int num_key_value_heads,
                                             const GroupQueryAttentionOptions& options)
    : HeadsAttention(num_query_heads, num_key_value_heads, head_dim, with_heads(options)) {
  check_fields("GroupQueryAttention", fields());
  check_heads();
  set_activity_regularizer(options.activity_regularizer);
}

// A config may state any numbers, one after the other, so that this is not a field's check.
void GroupedQueryAttention::check_heads() const {
  if (query_heads_ % key_heads_ != 0)
    fail(
        "GroupQueryAttention: expected num_query_heads that num_key_value_heads divides, got {} "
        "and {}",
        query_heads_, key_heads_);
}

void GroupedQueryAttention::configured() {
  HeadsAttention::configured();
  check_heads();
}

void GroupedQueryAttention::check_rank(int rank) const {
  if (rank != 3) fail("expected a query (batch, time, features), got rank {}", rank);
}

std::vector<Field> GroupedQueryAttention::fields() {
  MultiHeadAttentionOptions& o = options_;
  std::vector<Field> fields{{"head_dim", &key_dim_, at_least(1)},
                            {"num_query_heads", &query_heads_, at_least(1)},
                            {"num_key_value_heads", &key_heads_, at_least(1)},
                            {"use_bias", &o.use_bias},
                            {"use_gate", &o.use_gate},
                            {"sliding_window", &o.sliding_window, at_least(1)},
                            {"dropout", &o.dropout, between(0, 1)}};
  add_weight_fields(fields, o);
  return fields;
}

}  // namespace keratin
