// Attention.

#include <algorithm>
#include <cmath>

#include <keratin/export/internal/c_writer.h>
#include <keratin/layers/call_arguments.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* Which keys a query may attend to. */
typedef struct {
  const unsigned char *of_queries, *of_keys, *of_values; /* of their steps; 0: all count */
  const float* given;                                    /* (queries, keys), or of one row, or 0 */
  int given_rows;
  int causal; /* none behind its own time */
  int window; /* none this far away or further; 0: any */
} attention_mask;

static int may_attend(attention_mask m, int q, int k, int keys) {
  const int lead = q - k;
  if (m.of_queries && !m.of_queries[q]) return 0;
  if (m.of_keys && !m.of_keys[k]) return 0;
  if (m.of_values && !m.of_values[k]) return 0;
  if (m.given && m.given[(m.given_rows == 1 ? 0 : q) * keys + k] == 0.0f) return 0;
  if (m.causal && lead < 0) return 0;
  return !m.window || (lead < m.window && -lead < m.window);
}

/* Scores (queries, keys) become shares: the softmax of those that a query may attend to, and 0
   elsewhere. */
static void shares(attention_mask m, int queries, int keys, float* y) {
  for (int q = 0; q < queries; ++q, y += keys) {
    float largest = -INFINITY, sum = 0.0f;
    for (int k = 0; k < keys; ++k)
      if (may_attend(m, q, k, keys)) largest = fmaxf(largest, y[k]);
    for (int k = 0; k < keys; ++k)
      sum += y[k] = may_attend(m, q, k, keys) ? expf(y[k] - largest) : 0.0f;
    for (int k = 0; k < keys; ++k)
      if (sum > 0.0f) y[k] /= sum;
  }
}

/* Rows of n numbers that are `step` apart: y = scale q . k for each pair. */
static void dot_scores(const float* q, int queries, int q_step, const float* k, int keys,
                       int k_step, int n, float scale, float* y) {
  for (int a = 0; a < queries; ++a)
    for (int b = 0; b < keys; ++b) {
      float sum = 0.0f;
      for (int i = 0; i < n; ++i) sum += scale * q[a * q_step + i] * k[b * k_step + i];
      y[a * keys + b] = sum;
    }
}

/* y = the sum of weight tanh(scale (q + k)), with a weight for each feature or none. */
static void additive_scores(const float* q, int queries, const float* k, int keys, int n,
                            float scale, const float* weights, float* y) {
  for (int a = 0; a < queries; ++a)
    for (int b = 0; b < keys; ++b) {
      float sum = 0.0f;
      for (int i = 0; i < n; ++i)
        sum += (weights ? weights[i] : 1.0f) * tanhf(scale * (q[a * n + i] + k[b * n + i]));
      y[a * keys + b] = sum;
    }
}

static void scale_by(float scale, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] *= scale;
}

/* y = the values, each by its share; rows of v and y are v_step and y_step apart. A value without a
   share may be anything, NaN too. */
static void attend(const float* weights, int queries, int keys, const float* v, int v_step, int n,
                   int y_step, float* y) {
  for (int q = 0; q < queries; ++q, weights += keys, y += y_step) {
    fill(0.0f, n, y);
    for (int k = 0; k < keys; ++k)
      if (weights[k] != 0.0f) add_product(weights + k, 1, v + k * v_step, n, n, y);
  }
}

/* e = tanh(x W + b), a = softmax of e u over the steps that count, y = the sum of a x. */
static void attention_over_time(const float* x, const unsigned char* mask, int steps, int n,
                                int width, const float* W, const float* b, const float* u, float* e,
                                float* a, float* y) {
  const attention_mask m = {0, mask, 0, 0, 0, 0, 0};
  for (int t = 0; t < steps; ++t) {
    dense(x + t * n, 1, n, width, W, b, e);
    a[t] = 0.0f;
    for (int i = 0; i < width; ++i) a[t] += tanhf(e[i]) * u[i];
  }
  shares(m, 1, steps, a);
  attend(a, 1, steps, x, n, n, n, y);
}
)c";

bool call_option(const Layer& layer, const std::string& name) {
  auto* arguments = dynamic_cast<const CallArguments*>(&layer);
  if (arguments == nullptr) return false;
  const Config config = config_of(const_cast<CallArguments*>(arguments)->call_fields());
  return option<bool>(config, name);
}

double scalar(const Layer& layer, const std::string& name, double otherwise) {
  for (const Weight& weight : layer.weights())
    if (weight.name() == name) return weight.value().item();
  return otherwise;
}

/// The line with the mask, and its name.
std::string mask_line(Writer& w, const std::string& queries, const std::string& keys,
                      const std::string& values, const std::string& given,
                      const std::string& given_rows, bool causal, int window) {
  const std::string name = w.unique(identifier(w.path) + "_mask");
  w.line(fmt::format("const attention_mask {} = {{{}, {}, {}, {}, {}, {:d}, {}}};", name, queries,
                     keys, values, given, given_rows, causal, window));
  return name;
}

// Attention and AdditiveAttention.
Values emit_single(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const Array &query = in.at(0).numbers, &value = in.at(1).numbers,
              &key = in.size() > 2 ? in[2].numbers : value;
  const Size queries = query.shape[0], keys = key.shape[0], n = query.shape[1];
  w.must_equal(value.shape[0], keys);
  const bool additive = layer.class_name() == "AdditiveAttention";
  const std::string factors = additive ? w.weight(layer, "scale") : "0";
  const std::string mask = mask_line(w, mask_of_steps(in[0]), "0", mask_of_steps(in[1]), "0", "0",
                                     call_option(layer, "use_causal_mask"), 0);
  const Array scores = w.numbers("weights", {queries, keys}),
              y = w.numbers("out", {queries, value.shape[1]});
  const std::string scale = w.literal(additive ? 1 : scalar(layer, "scale", 1));
  if (additive || option<std::string>(config, "score_mode") == "concat") {
    w.call("additive_scores", query, queries, key, keys, n, scale, factors, scores);
    if (!additive)
      w.call("scale_by", w.literal(scalar(layer, "concat_score_weight", 1)), product(scores.shape),
             scores);
  } else {
    w.call("dot_scores", query, queries, n, key, keys, n, n, scale, scores);
  }
  w.call("shares", mask, queries, keys, scores);
  w.call("attend", scores, queries, keys, value, value.shape[1], value.shape[1], value.shape[1], y);
  Values out{{y, in[0].mask}};
  if (call_option(layer, "return_attention_scores")) out.push_back({scores});
  return out;
}

const Layer* part_of(const Layer& layer, const std::string& name) {
  for (const AnyLayer& part : layer.sublayers())
    if (part->name() == name) return &*part;
  return nullptr;
}

/// How attention sees the axes of a sample but the last: those that it keeps apart come first, then
/// those that it attends over.
struct AttendedAxes {
  /// As the option attention_axes gives them; none: all.
  AttendedAxes(const std::vector<int>& given, std::size_t sample_rank) {
    for (int axis : given)
      attended.push_back(static_cast<std::size_t>(
          normalize_axis(axis, static_cast<int>(sample_rank) + 1, "attention_axes") - 1));
    for (std::size_t axis = 0; axis + 1 < sample_rank; ++axis)
      if (given.empty())
        attended.push_back(axis);
      else if (std::ranges::find(attended, axis) == attended.end())
        apart.push_back(axis);
    order = apart;
    order.insert(order.end(), attended.begin(), attended.end());
  }
  bool are_steps() const { return apart.empty() && attended.size() == 1; }

  /// Gives x as (apart, attended, features).
  Array merged(Writer& w, const Array& x) const {
    std::vector<std::size_t> all = order;
    all.push_back(order.size());
    const Array moved = permuted(w, x, all);
    return {moved.text,
            {product(moved.shape, 0, apart.size()),
             product(moved.shape, apart.size(), order.size()), moved.shape.back()},
            moved.memory};
  }
  /// Puts the axes of y, which come in that order, where the layer has them.
  Array back(Writer& w, const Array& y) const {
    std::vector<std::size_t> all(y.shape.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i < order.size() ? order[i] : i] = i;
    return permuted(w, y, all);
  }
  Sizes sizes(const Array& x, const std::vector<std::size_t>& axes) const {
    Sizes list;
    for (std::size_t axis : axes) list.push_back(x.shape[axis]);
    return list;
  }

  std::vector<std::size_t> apart = {}, attended = {}, order = {};
};

Values emit_heads(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const bool grouped = layer.class_name() != "MultiHeadAttention";
  const bool has_key = in.size() > 2;
  const Value& key_value = in.at(has_key ? 2 : 1);
  AttendedAxes axes(
      grouped ? std::vector<int>() : option<std::vector<int>>(config, "attention_axes"),
      in[0].numbers.shape.size());
  const bool masked =
      in.size() > 3 || std::ranges::any_of(in, [](const Value& x) { return x.mask.has_value(); });
  if (masked && !axes.are_steps()) fail("masks of several axes are not exported");
  const Array query = axes.merged(w, in[0].numbers), value = axes.merged(w, in[1].numbers),
              key = has_key ? axes.merged(w, key_value.numbers) : value;
  const auto heads = option<std::int64_t>(config, grouped ? "num_query_heads" : "num_heads"),
             key_heads = grouped ? option<std::int64_t>(config, "num_key_value_heads") : heads,
             size = option<std::int64_t>(config, grouped ? "head_dim" : "key_dim");
  auto value_size = size;
  if (!grouped)
    if (const auto given = option<std::optional<std::int64_t>>(config, "value_dim"))
      value_size = *given;
  const Size outer = query.shape[0], queries = query.shape[1], keys = key.shape[1];
  for (std::size_t axis : axes.apart)
    for (std::size_t i = 1; i < std::min<std::size_t>(in.size(), 3); ++i)
      w.must_equal(in[i].numbers.shape[axis], in[0].numbers.shape[axis]);
  for (std::size_t axis : axes.attended)
    w.must_equal(in[1].numbers.shape[axis], key_value.numbers.shape[axis]);

  auto projected = [&](const char* name, const Array& x, std::int64_t count, std::int64_t width) {
    const Layer& part = *part_of(layer, name);
    const std::string before = w.path;
    w.path += std::string("/") + name;
    const std::string kernel = w.weight(part, "kernel"), bias = w.weight(part, "bias");
    Array y = w.numbers("out", {x.shape[0], x.shape[1], count * width});
    w.call("dense", x, rows_of(x.shape), x.shape.back(), count * width, kernel, bias, y);
    w.path = before;
    return y;
  };
  const Array q = projected("query", query, heads, size),
              k = projected("key", key, key_heads, size),
              v = projected("value", value, key_heads, value_size);
  std::string given = "0", given_rows = "0";
  if (in.size() > 3) {
    const Array& mask = in[3].numbers;
    if (mask.shape.size() != 2) fail("an attention mask for each head is not exported");
    given = mask.text;
    given_rows = mask.shape[0].text;
    if (mask.shape[1] == Size(1) && keys != Size(1))
      fail("an attention mask that broadcasts over keys is not exported");
    w.must_equal(mask.shape[1], keys);
    if (mask.shape[0] != Size(1)) w.must_equal(mask.shape[0], queries);
  }
  const auto window = option<std::optional<int>>(config, "sliding_window");
  const std::string mask = mask_line(
      w, mask_of_steps(in[0]), has_key ? mask_of_steps(key_value) : "0", mask_of_steps(in[1]),
      given, given_rows, call_option(layer, "use_causal_mask"), window.value_or(0));
  const Array weights = w.numbers("weights", {outer, heads, queries, keys}),
              attended = w.numbers("attended", {outer, queries, heads * value_size});
  const std::string h = w.unique("h"), own = w.unique("weights");
  const bool one = outer == Size(1);
  const std::string o = one ? "0" : w.unique("outer");
  if (!one) w.open(fmt::format("for (int {0} = 0; {0} < {1}; ++{0}) {{", o, outer.text));
  w.open(fmt::format("for (int {0} = 0; {0} < {1}; ++{0}) {{", h, heads));
  auto at = [&](const Array& x) {
    return one ? x.text
               : fmt::format("{} + {} * {}", x.text, o, product(x.shape, 1, x.shape.size()).text);
  };
  w.line(fmt::format("float* const {} = {} + {} * {};", own, at(weights), h,
                     product({queries, keys}).text));
  const std::string key_head =
      heads == key_heads ? h : fmt::format("{} / {}", h, heads / key_heads);
  auto of_head = [&](const Array& x, const std::string& head, std::int64_t width) {
    return fmt::format("{} + {} * {}", at(x), head, width);
  };
  w.call("dot_scores", of_head(q, h, size), queries, heads * size, of_head(k, key_head, size), keys,
         key_heads * size, size, w.literal(1 / std::sqrt(static_cast<double>(size))), own);
  w.call("shares", mask, queries, keys, own);
  w.call("attend", own, queries, keys, of_head(v, key_head, value_size), key_heads * value_size,
         value_size, heads * value_size, of_head(attended, h, value_size));
  w.close();
  if (!one) w.close();
  if (option<bool>(config, "use_gate")) {
    const Array gate = projected("gate", query, heads, value_size);
    w.call("apply_sigmoid", gate, rows_of(gate.shape), heads * value_size);
    w.call("multiply", gate, product(gate.shape), attended);
  }

  const Layer& output = *part_of(layer, "attention_output");
  Sizes features;
  for (const Weight& weight : output.weights())
    if (weight.name() == "kernel")
      for (int axis = 2; axis < weight.shape().rank(); ++axis)
        features.push_back(weight.shape()[axis]);
  Array y = projected("attention_output", attended, 1, product(features).most);
  y.shape = axes.sizes(in[0].numbers, axes.order);
  y.shape.insert(y.shape.end(), features.begin(), features.end());
  Values out{{axes.back(w, y), in[0].mask}};
  if (!call_option(layer, "return_attention_scores")) return out;
  Array scores = weights;
  scores.shape = axes.sizes(in[0].numbers, axes.apart);
  scores.shape.push_back(heads);
  for (const Array& x : {in[0].numbers, key_value.numbers})
    for (const Size& extent : axes.sizes(x, axes.attended)) scores.shape.push_back(extent);
  out.push_back({scores});
  return out;
}

Values emit_over_time(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const auto width = option<std::int64_t>(layer.get_config(), "attention_dim");
  const std::string W = w.weight(layer, "W"), b = w.weight(layer, "b"), u = w.weight(layer, "u");
  const std::string mask = mask_of_steps(in[0]);
  const Array e = w.numbers("e", {width}), a = w.numbers("a", {x.shape[0]}),
              y = w.numbers("out", {x.shape[1]});
  w.call("attention_over_time", x, mask, x.shape[0], x.shape[1], width, W, b, u, e, a, y);
  return {{y}};
}

}  // namespace

Part attention_part() {
  return {functions,
          {{"Attention", emit_single, true},
           {"AdditiveAttention", emit_single, true},
           {"MultiHeadAttention", emit_heads, true},
           {"GroupQueryAttention", emit_heads, true},
           {"AttentionLayer", emit_over_time, true}}};
}

}  // namespace keratin::c_export
