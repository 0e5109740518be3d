// Layers that normalize.

#include <algorithm>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/export/internal/c_writer.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* Each channel by the mean and variance that training has found. A channel is `inner` numbers, and
   there are `outer` times all n of them. */
static void batch_normalization(const float* x, int outer, int n, int inner, const float* gamma,
                                const float* beta, const float* mean, const float* variance,
                                float epsilon, float* y) {
  for (int i = 0; i < outer * n * inner; ++i) {
    const int c = i / inner % n;
    y[i] = (x[i] - mean[c]) / sqrtf(variance[c] + epsilon);
    y[i] = y[i] * (gamma ? gamma[c] : 1.0f) + (beta ? beta[c] : 0.0f);
  }
}

/* Each row to mean 0 and variance 1. */
static void layer_normalization(const float* x, int rows, int n, const float* gamma,
                                const float* beta, float epsilon, float* y) {
  for (int r = 0; r < rows; ++r, x += n, y += n) {
    float mean = 0.0f, variance = 0.0f;
    for (int i = 0; i < n; ++i) mean += x[i];
    mean /= (float)n;
    for (int i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
    variance /= (float)n;
    for (int i = 0; i < n; ++i) {
      y[i] = (x[i] - mean) / sqrtf(variance + epsilon);
      y[i] = y[i] * (gamma ? gamma[i] : 1.0f) + (beta ? beta[i] : 0.0f);
    }
  }
}

/* All numbers of the channels in a group to mean 0 and variance 1. */
static void group_normalization(const float* x, int outer, int n, int inner, int groups,
                                const float* gamma, const float* beta, float epsilon, float* y) {
  const int size = n / groups;
  for (int g = 0; g < groups; ++g) {
    float mean = 0.0f, variance = 0.0f;
    for (int pass = 0; pass < 3; ++pass) {
      for (int o = 0; o < outer; ++o)
        for (int i = (o * n + g * size) * inner; i < (o * n + (g + 1) * size) * inner; ++i) {
          const int c = i / inner % n;
          if (pass == 0) mean += x[i];
          if (pass == 1) variance += (x[i] - mean) * (x[i] - mean);
          if (pass == 2)
            y[i] = (x[i] - mean) / sqrtf(variance + epsilon) * (gamma ? gamma[c] : 1.0f) +
                   (beta ? beta[c] : 0.0f);
        }
      if (pass == 0) mean /= (float)(outer * size * inner);
      if (pass == 1) variance /= (float)(outer * size * inner);
    }
  }
}

static void rms_normalization(const float* x, int rows, int n, const float* scale, float epsilon,
                              float* y) {
  for (int r = 0; r < rows; ++r, x += n, y += n) {
    float squares = 0.0f;
    for (int i = 0; i < n; ++i) squares += x[i] * x[i];
    for (int i = 0; i < n; ++i) y[i] = x[i] / sqrtf(squares / (float)n + epsilon) * scale[i];
  }
}

/* (x - center) / spread, or back from there; the n numbers of both serve each row. */
static void standardize(const float* x, int rows, int n, const float* center, const float* spread,
                        int invert, float* y) {
  for (int i = 0; i < rows * n; ++i) {
    const float c = center[i % n], s = spread[i % n];
    y[i] = invert ? x[i] * s + c : (x[i] - c) / s;
  }
}
)c";

std::vector<int> axes_of(const Config& config) {
  std::vector<int> axes;
  int one = 0;
  const Option* given = find_option(config, "axis");
  if (given == nullptr || given->is_none()) return {};
  if (from_option(*given, one)) return {one};
  return option<std::vector<int>>(config, "axis");
}

Values emit_batch(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const Config config = layer.get_config();
  const std::size_t axis = sample_axes({option<int>(config, "axis")}, x.shape.size())[0];
  const std::string gamma = w.weight(layer, "gamma"), beta = w.weight(layer, "beta"),
                    mean = w.weight(layer, "moving_mean"),
                    variance = w.weight(layer, "moving_variance");
  Array y = w.numbers("out", x.shape);
  w.call("batch_normalization", x, product(x.shape, 0, axis), x.shape[axis],
         product(x.shape, axis + 1, x.shape.size()), gamma, beta, mean, variance,
         w.literal(option<double>(config, "epsilon")), y);
  return {{y}};
}

/// With the axes of the normalization last: the numbers of a row, after all rows.
struct Rows {
  Rows(Writer& w, const Array& array, const Config& config)
      : axes(sample_axes(axes_of(config), array.shape.size())), x(axes_last(w, array, axes)) {}
  std::size_t rank() const { return x.shape.size(); }
  Size count() const { return product(x.shape, 0, rank() - axes.size()); }
  Size size() const { return product(x.shape, rank() - axes.size(), rank()); }

  std::vector<std::size_t> axes;
  Array x;
};

Values emit_layer_normalization(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const std::string gamma = w.weight(layer, "gamma"), beta = w.weight(layer, "beta");
  const Rows rows(w, in[0].numbers, config);
  Array y = w.numbers("out", rows.x.shape);
  w.call("layer_normalization", rows.x, rows.count(), rows.size(), gamma, beta,
         w.literal(option<double>(config, "epsilon")), y);
  return {{axes_back(w, y, rows.axes)}};
}

Values emit_rms(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const std::string scale = w.weight(layer, "scale");
  const Rows rows(w, in[0].numbers, config);
  Array y = w.numbers("out", rows.x.shape);
  w.call("rms_normalization", rows.x, rows.count(), rows.size(), scale,
         w.literal(option<double>(config, "epsilon")), y);
  return {{axes_back(w, y, rows.axes)}};
}

Values emit_unit(Writer& w, const Layer& layer, const Values& in) {
  const Rows rows(w, in[0].numbers, layer.get_config());
  Array y = copied(w, rows.x, "out");
  w.call("unit_rows", rows.count(), rows.size(), w.literal(1e-12), y);
  return {{axes_back(w, y, rows.axes)}};
}

Values emit_group(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const Config config = layer.get_config();
  const std::size_t axis = sample_axes({option<int>(config, "axis")}, x.shape.size())[0];
  const int groups = option<int>(config, "groups");
  const std::string gamma = w.weight(layer, "gamma"), beta = w.weight(layer, "beta");
  Array y = w.numbers("out", x.shape);
  w.call("group_normalization", x, product(x.shape, 0, axis), x.shape[axis],
         product(x.shape, axis + 1, x.shape.size()), groups == -1 ? x.shape[axis] : Size(groups),
         gamma, beta, w.literal(option<double>(config, "epsilon")), y);
  return {{y}};
}

/// A number, or a list of lists of them, row by row.
void collect(const Option& given, std::vector<double>& numbers) {
  double one = 0;
  if (const auto* list = std::get_if<std::vector<Option>>(&given))
    for (const Option& part : *list) collect(part, numbers);
  else if (from_option(given, one))
    numbers.push_back(one);
  else
    fail("mean and variance are not what the export knows");
}

// The numbers of mean and variance for all axes from the first of theirs to the last of the sample.
Values emit_normalization(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const Config config = layer.get_config();
  const std::vector<std::size_t> axes = sample_axes(axes_of(config), x.shape.size());
  const std::size_t first = axes.empty() ? x.shape.size() : axes[0];
  Shape kept, block;
  for (std::size_t axis = first; axis < x.shape.size(); ++axis) {
    if (!x.shape[axis].known) fail("the size of axis {} must be fixed", axis + 1);
    block.push_back(x.shape[axis].most);
    kept.push_back(std::ranges::find(axes, axis) == axes.end() ? 1 : x.shape[axis].most);
  }
  auto numbers = [&](const char* name) {
    const Option* given = find_option(config, name);
    Tensor values;
    if (given == nullptr || given->is_none()) {
      for (const Weight& weight : layer.weights())
        if (weight.name() == name) values = weight.value();
    } else {
      std::vector<double> list;
      collect(*given, list);
      if (list.size() != 1 && static_cast<std::int64_t>(list.size()) != kept.numel())
        fail("{}: {} numbers that broadcast to {} are not exported", name, list.size(), kept);
      values = Tensor::view(list.data(), {static_cast<std::int64_t>(list.size())}).copy();
    }
    values = values.to(Device()).astype(w.real());
    return broadcast_to(values.numel() == 1 ? reshape(values, {}) : reshape(values, kept), block);
  };
  const Tensor spread = maximum(sqrt(numbers("variance")), 1e-7);
  const std::string center = w.constant("mean", numbers("mean")),
                    deviation = w.constant("deviation", spread);
  Array y = w.numbers("out", x.shape);
  w.call("standardize", x, product(x.shape, 0, first), block.numel(), center, deviation,
         option<bool>(config, "invert"), y);
  return {{y}};
}

}  // namespace

Part normalization_part() {
  return {functions,
          {{"BatchNormalization", emit_batch},
           {"LayerNormalization", emit_layer_normalization},
           {"GroupNormalization", emit_group},
           {"RMSNormalization", emit_rms},
           {"UnitNormalization", emit_unit},
           {"Normalization", emit_normalization}}};
}

}  // namespace keratin::c_export
