// Activations: by name in other layers, and as layers of their own.

#include <map>

#include <keratin/export/internal/c_writer.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/registry.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* Applied to rows of n numbers, in place. */
typedef void (*activation)(float* y, int rows, int n);

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

static float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

static void apply_linear(float* y, int rows, int n) {
  (void)y;
  (void)rows;
  (void)n;
}

static void apply_celu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = y[i] < 0.0f ? expm1f(y[i]) : y[i];
}

static void apply_elu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = y[i] < 0.0f ? expm1f(y[i]) : y[i];
}

static void apply_exponential(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = expf(y[i]);
}

static void apply_gelu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i)
    y[i] = 0.5f * y[i] * (1.0f + erff(y[i] * 0.70710678118654752f));
}

/* The first half of a row, times the sigmoid of the second. */
static void apply_glu(float* y, int rows, int n) {
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < n / 2; ++i)
      y[r * (n / 2) + i] = y[r * n + i] * sigmoid(y[r * n + n / 2 + i]);
}

static void apply_hard_shrink(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = fabsf(y[i]) <= 0.5f ? 0.0f : y[i];
}

static float hard_sigmoid(float x) { return fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f; }

static void apply_hard_sigmoid(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = hard_sigmoid(y[i]);
}

static void apply_hard_silu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] *= hard_sigmoid(y[i]);
}

static void apply_hard_tanh(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = fminf(fmaxf(y[i], -1.0f), 1.0f);
}

static void apply_leaky_relu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = y[i] < 0.0f ? 0.2f * y[i] : y[i];
}

static void apply_log_sigmoid(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = -softplus(-y[i]);
}

static void apply_mish(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] *= tanhf(softplus(y[i]));
}

static void apply_relu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = y[i] < 0.0f ? 0.0f : y[i];
}

static void apply_relu6(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = fminf(fmaxf(y[i], 0.0f), 6.0f);
}

static void apply_selu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i)
    y[i] = 1.0507009873554805f * (y[i] < 0.0f ? 1.6732632423543773f * expm1f(y[i]) : y[i]);
}

static void apply_sigmoid(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = sigmoid(y[i]);
}

static void apply_silu(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] *= sigmoid(y[i]);
}

static void apply_soft_shrink(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i)
    y[i] = y[i] > 0.5f ? y[i] - 0.5f : y[i] < -0.5f ? y[i] + 0.5f : 0.0f;
}

static void apply_softplus(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = softplus(y[i]);
}

static void apply_softsign(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] /= 1.0f + fabsf(y[i]);
}

static void apply_sparse_plus(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) {
    const float x = y[i];
    y[i] = x <= -1.0f ? 0.0f : x < 1.0f ? 0.25f * (x + 1.0f) * (x + 1.0f) : x;
  }
}

static void apply_sparse_sigmoid(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = fminf(fmaxf(0.5f * (y[i] + 1.0f), 0.0f), 1.0f);
}

static void apply_squareplus(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = 0.5f * (y[i] + sqrtf(y[i] * y[i] + 4.0f));
}

static void apply_tanh(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] = tanhf(y[i]);
}

static void apply_tanh_shrink(float* y, int rows, int n) {
  for (int i = 0; i < rows * n; ++i) y[i] -= tanhf(y[i]);
}

/* The maximum first, so that exp never overflows. */
static void apply_softmax(float* y, int rows, int n) {
  for (int r = 0; r < rows; ++r, y += n) {
    float largest = y[0], sum = 0.0f;
    for (int i = 1; i < n; ++i) largest = fmaxf(largest, y[i]);
    for (int i = 0; i < n; ++i) sum += y[i] = expf(y[i] - largest);
    for (int i = 0; i < n; ++i) y[i] /= sum;
  }
}

static void apply_log_softmax(float* y, int rows, int n) {
  for (int r = 0; r < rows; ++r, y += n) {
    float largest = y[0], sum = 0.0f;
    for (int i = 1; i < n; ++i) largest = fmaxf(largest, y[i]);
    for (int i = 0; i < n; ++i) sum += expf(y[i] - largest);
    for (int i = 0; i < n; ++i) y[i] -= largest + logf(sum);
  }
}

/* What is above a threshold, less the threshold, so that the sum is 1: those below are left out
   until none is. */
static void apply_sparsemax(float* y, int rows, int n) {
  for (int r = 0; r < rows; ++r, y += n) {
    float threshold = -INFINITY;
    int kept = 0, before;
    do {
      float sum = 0.0f;
      before = kept;
      kept = 0;
      for (int i = 0; i < n; ++i)
        if (y[i] > threshold) {
          sum += y[i];
          ++kept;
        }
      threshold = (sum - 1.0f) / (float)kept;
    } while (kept != before);
    for (int i = 0; i < n; ++i) y[i] = fmaxf(y[i] - threshold, 0.0f);
  }
}

static void relu_of(float threshold, float largest, float slope, int n, float* y) {
  for (int i = 0; i < n; ++i) {
    const float above = fminf(y[i] > threshold ? y[i] : 0.0f, largest);
    y[i] = above - (y[i] < threshold ? slope * (threshold - y[i]) : 0.0f);
  }
}

static void elu_of(float alpha, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = y[i] < 0.0f ? alpha * expm1f(y[i]) : y[i];
}

static void prelu(const float* alpha, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = y[i] < 0.0f ? alpha[i] * y[i] : y[i];
}

/* y of the rows that do not count. */
static void blank(const unsigned char* mask, int rows, int n, float value, float* y) {
  for (int i = 0; i < rows * n; ++i)
    if (!mask[i / n]) y[i] = value;
}
)c";

Values emit_activation(Writer& w, const Layer& layer, const Values& in) {
  Array y = copied(w, in[0].numbers, "out");
  activate(w, y, layer.get_config());
  return {{y}};
}

Values emit_relu(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const auto largest = option<std::optional<double>>(config, "max_value");
  Array y = copied(w, in[0].numbers, "out");
  w.call("relu_of", w.literal(option<double>(config, "threshold")),
         largest ? w.literal(*largest) : "INFINITY",
         w.literal(option<double>(config, "negative_slope")), product(y.shape), y);
  return {{y}};
}

Values emit_leaky_relu(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Array y = copied(w, in[0].numbers, "out");
  w.call("relu_of", w.literal(0), "INFINITY", w.literal(option<double>(config, "negative_slope")),
         product(y.shape), y);
  return {{y}};
}

Values emit_elu(Writer& w, const Layer& layer, const Values& in) {
  Array y = copied(w, in[0].numbers, "out");
  w.call("elu_of", w.literal(option<double>(layer.get_config(), "alpha")), product(y.shape), y);
  return {{y}};
}

Values emit_prelu(Writer& w, const Layer& layer, const Values& in) {
  if (layer.weights().empty()) fail("a PReLU that is an activation is not exported");
  Array y = copied(w, in[0].numbers, "out");
  Array alpha{w.weight(layer, "alpha"), {}};
  for (const Weight& weight : layer.weights())
    for (std::int64_t size : weight.shape()) alpha.shape.push_back(size);
  w.call("prelu", broadcast(w, alpha, y.shape), product(y.shape), y);
  return {{y}};
}

Values emit_softmax(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  std::vector<int> axes;
  if (int one = 0; from_option(*find_option(config, "axis"), one))
    axes = {one};
  else
    axes = option<std::vector<int>>(config, "axis");
  const std::vector<std::size_t> along = sample_axes(axes, in[0].numbers.shape.size());
  Array x = copied(w, in[0].numbers, "out");
  const std::size_t rank = x.shape.size();
  const std::optional<Array>& mask = in[0].mask;
  auto set_masked = [&](Array& y, double value) {
    if (mask)
      w.call("blank", *mask, product(mask->shape), product(y.shape, mask->shape.size(), rank),
             w.literal(value), y);
  };
  set_masked(x, -1e9);
  Array y = axes_last(w, x, along);
  w.call("apply_softmax", y, product(y.shape, 0, rank - along.size()),
         product(y.shape, rank - along.size(), rank));
  y = axes_back(w, y, along);
  set_masked(y, 0);
  return {{y}};
}

}  // namespace

std::string activation_function(const Config& config, const std::string& option_name) {
  static const std::map<std::string, std::string> others{{"swish", "silu"},
                                                         {"hard_swish", "hard_silu"}};
  const Option* given = find_option(config, option_name);
  if (given == nullptr || given->is_none()) return "apply_linear";
  const auto* name = std::get_if<std::string>(given);
  if (name == nullptr) fail("{}: only functions of Keras are exported", option_name);
  const auto same = others.find(*name);
  const std::string known = "apply_" + (same == others.end() ? *name : same->second);
  if (std::string(functions).find(" " + known + "(") == std::string::npos)
    fail("{}: \"{}\" is not exported", option_name, *name);
  return known;
}

void activate(Writer& w, Array& y, const Config& config, const std::string& option_name) {
  // A layer may be an activation, too.
  const Option* given = find_option(config, option_name);
  AnyLayer layer = IdentityLayer();
  if (given != nullptr && object_in(*given) && from_option(*given, layer)) {
    y = emit_layer(w, *layer, {{y}}).at(0).numbers;
    return;
  }
  const std::string function = activation_function(config, option_name);
  if (function == "apply_linear") return;
  w.call(function.c_str(), y, rows_of(y.shape), y.shape.back());
  if (function == "apply_glu") y.shape.back() = y.shape.back().most / 2;
}

Part activation_part() {
  return {functions,
          {{"Activation", emit_activation},
           {"ReLU", emit_relu},
           {"LeakyReLU", emit_leaky_relu},
           {"ELU", emit_elu},
           {"PReLU", emit_prelu},
           {"Softmax", emit_softmax}}};
}

}  // namespace keratin::c_export
