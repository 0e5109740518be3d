// Dense, Embedding, Masking, and layers that only move numbers or pass them on.

#include <algorithm>

#include <keratin/export/internal/c_writer.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
static void copy(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = x[i];
}

static void from_ints(const int* x, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = (float)x[i];
}

static void fill(float value, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = value;
}

/* y[i] is x at the sum of the steps along each axis: a transposition, or a broadcast. */
static void gather(const float* x, int rank, const int* sizes, const int* steps, float* y) {
  int index[8] = {0, 0, 0, 0, 0, 0, 0, 0}, n = 1, place = 0;
  for (int a = 0; a < rank; ++a) n *= sizes[a];
  for (int i = 0; i < n; ++i) {
    y[i] = x[place];
    for (int a = rank - 1; a >= 0; --a) {
      place += steps[a];
      if (++index[a] < sizes[a]) break;
      place -= index[a] * steps[a];
      index[a] = 0;
    }
  }
}

/* Rows of n numbers, each `step` behind the one before in y. */
static void copy_rows(const float* x, int rows, int n, int step, float* y) {
  for (int r = 0; r < rows; ++r) copy(x + r * n, n, y + r * step);
}

/* y += x kernel: `in` rows of the kernel, `out` numbers of each, which are `step` apart. */
static void add_product(const float* x, int in, const float* kernel, int step, int out, float* y) {
  for (int i = 0; i < in; ++i)
    for (int j = 0; j < out; ++j) y[j] += x[i] * kernel[i * step + j];
}

static void set_bias(const float* bias, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = bias ? bias[i] : 0.0f;
}

/* y = x kernel + bias for each row of x. */
static void dense(const float* x, int rows, int in, int out, const float* kernel, const float* bias,
                  float* y) {
  for (int r = 0; r < rows; ++r) {
    set_bias(bias, out, y + r * out);
    add_product(x + r * in, in, kernel, out, out, y + r * out);
  }
}

/* The row of the table for each id; 1 where there is no such row. */
static int embedding(const float* ids, int n, int rows, int width, const float* table, float* y) {
  for (int i = 0; i < n; ++i) {
    if (!(ids[i] >= 0.0f && ids[i] < (float)rows) || ids[i] != (float)(int)ids[i]) return 1;
    copy(table + (int)ids[i] * width, width, y + i * width);
  }
  return 0;
}

static void mask_of_ids(const float* ids, int n, unsigned char* mask) {
  for (int i = 0; i < n; ++i) mask[i] = ids[i] != 0.0f;
}

/* A row counts if any number in it differs from the value; else it becomes 0. */
static void masking(const float* x, int rows, int n, float value, unsigned char* mask, float* y) {
  for (int r = 0; r < rows; ++r) {
    mask[r] = 0;
    for (int i = r * n; i < (r + 1) * n; ++i)
      if (value == value ? x[i] != value : x[i] == x[i]) mask[r] = 1;
    for (int i = r * n; i < (r + 1) * n; ++i) y[i] = mask[r] ? x[i] : 0.0f;
  }
}

static void repeat(const float* x, int times, int n, float* y) {
  for (int t = 0; t < times; ++t) copy(x, n, y + t * n);
}

/* y = x scale + offset; the n numbers of both serve each row. */
static void rescale(const float* x, int rows, int n, const float* scale, const float* offset,
                    float* y) {
  for (int i = 0; i < rows * n; ++i) y[i] = x[i] * scale[i % n] + offset[i % n];
}
)c";

Config of(const Layer& layer) { return layer.get_config(); }

Values emit_dense(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const Config config = of(layer);
  Sizes shape = x.shape;
  shape.back() = option<std::int64_t>(config, "units");
  const std::string kernel = w.weight(layer, "kernel"), bias = w.weight(layer, "bias");
  Array y = w.numbers("out", shape);
  w.call("dense", x, rows_of(x.shape), x.shape.back(), shape.back(), kernel, bias, y);
  activate(w, y, config);
  return {{y}};
}

Values emit_embedding(Writer& w, const Layer& layer, const Values& in) {
  const Array& ids = in[0].numbers;
  const Config config = of(layer);
  const auto width = option<std::int64_t>(config, "output_dim");
  Sizes shape = ids.shape;
  shape.push_back(width);
  Array y = w.numbers("out", shape);
  w.checked_call("embedding", ids, product(ids.shape), option<std::int64_t>(config, "input_dim"),
                 width, w.weight(layer, "embeddings"), y);
  if (!option<bool>(config, "mask_zero")) return {{y}};
  Array mask = w.flags("mask", ids.shape);
  w.call("mask_of_ids", ids, product(ids.shape), mask);
  return {{y, mask}};
}

Values emit_masking(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  Sizes steps = x.shape;
  steps.pop_back();
  Array y = w.numbers("out", x.shape), mask = w.flags("mask", steps);
  w.call("masking", x, product(steps), x.shape.back(),
         w.literal(option<double>(of(layer), "mask_value")), mask, y);
  return {{y, mask}};
}

// --- what moves numbers, or does nothing

Values emit_same(Writer&, const Layer&, const Values& in) { return {{in[0].numbers}}; }

/// The same numbers in another shape.
Array reshaped(const Array& x, const Sizes& shape) {
  Array y = x;
  y.shape = shape;
  return y;
}

Values emit_flatten(Writer& w, const Layer& layer, const Values& in) {
  Array x = in[0].numbers;
  if (option<std::string>(of(layer), "data_format") == "channels_first" && !x.shape.empty())
    x = axes_last(w, x, {0});
  return {{reshaped(x, {product(x.shape)})}};
}

Values emit_reshape(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  Sizes shape;
  std::int64_t known = 1;
  const auto target = option<std::vector<int>>(of(layer), "target_shape");
  for (int size : target) known *= size == -1 ? 1 : size;
  const Size all = product(x.shape);
  for (int size : target)
    if (size != -1)
      shape.push_back(size);
    else
      shape.push_back(w.size("size", {all}, all.most / std::max<std::int64_t>(known, 1),
                             fmt::format("{} / {}", all.text, known)));
  if (product(shape).most != all.most || product(shape).known != all.known)
    fail("{} numbers do not fit the new shape", all.text);
  if (!all.known) w.must_equal(product(shape), all);
  return {{reshaped(x, shape)}};
}

Values emit_permute(Writer& w, const Layer& layer, const Values& in) {
  std::vector<std::size_t> order;
  for (int axis : option<std::vector<int>>(of(layer), "dims"))
    order.push_back(static_cast<std::size_t>(axis - 1));
  return {{permuted(w, in[0].numbers, order)}};
}

Values emit_repeat(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const auto times = option<std::int64_t>(of(layer), "n");
  Array y = w.numbers("out", {times, x.shape[0]});
  w.call("repeat", x, times, x.shape[0], y);
  return {{y}};
}

Values emit_rescaling(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  auto numbers = [&](const char* name) {
    const Config config = of(layer);
    const Option* given = find_option(config, name);
    std::vector<double> list;
    if (double one = 0; from_option(*given, one))
      list = {one};
    else if (!from_option(*given, list))
      fail("the option \"{}\" is not what the export knows", name);
    return list;
  };
  std::vector<double> scale = numbers("scale"), offset = numbers("offset");
  const std::size_t n = std::max(scale.size(), offset.size());
  if (scale.size() == 1) scale.resize(n, scale[0]);
  if (offset.size() == 1) offset.resize(n, offset[0]);
  auto array = [&](const char* name, const std::vector<double>& list) {
    return w.constant(name, Tensor::view(list.data(), {static_cast<std::int64_t>(n)}));
  };
  Array y = w.numbers("out", x.shape);
  const Size rows = n == 1 ? product(x.shape) : rows_of(x.shape);
  const std::string factors = array("scale", scale), terms = array("offset", offset);
  w.call("rescale", x, rows, n, factors, terms, y);
  return {{y}};
}

// --- a layer on each step

Values emit_time_distributed(Writer& w, const Layer& layer, const Values& in) {
  const Array& x = in[0].numbers;
  const Layer& inner = *layer.sublayers().at(0);
  if (in[0].mask && in[0].mask->shape.size() > 1)
    fail("a mask of more than the steps is not exported");
  const Size steps = x.shape[0], n = product(x.shape, 1, x.shape.size());
  // The memory of y is taken before the loop, so that no step's own results lie there.
  const std::string path = w.path;
  Shape step_shape{None};
  for (std::size_t i = 1; i < x.shape.size(); ++i) {
    if (!x.shape[i].known) fail("the size of an axis inside a step must be fixed");
    step_shape.push_back(x.shape[i].most);
  }
  const Shape made = const_cast<Layer&>(inner).compute_output_shape(step_shape);
  Sizes shape{steps};
  for (int axis = 1; axis < made.rank(); ++axis) shape.push_back(made[axis]);
  Array y = w.numbers("out", shape);
  const std::string t = w.unique("t");
  w.open(fmt::format("for (int {0} = 0; {0} < {1}; ++{0}) {{", t, steps.text));
  Array step{fmt::format("({} + {} * {})", x.text, t, n.text),
             {x.shape.begin() + 1, x.shape.end()},
             x.memory};
  w.path = path + "/" + inner.name();
  const Array result = emit_layer(w, inner, {{step}}).at(0).numbers;
  w.path = path;
  const Size size = product(result.shape);
  w.call("copy", result, size, fmt::format("{} + {} * {}", y.text, t, size.text));
  w.close();
  return {{y, in[0].mask}};
}

// In use, the layer inside with the kernel as it is.
Values emit_spectral(Writer& w, const Layer& layer, const Values& in) {
  Values out = emit_layer(w, *layer.sublayers().at(0), in);
  for (Value& value : out) value.mask.reset();
  return out;
}

}  // namespace

Part core_part() {
  std::vector<LayerKind> kinds{{"Dense", emit_dense},
                               {"Embedding", emit_embedding, true},
                               {"Masking", emit_masking, true},
                               {"Flatten", emit_flatten},
                               {"Reshape", emit_reshape},
                               {"Permute", emit_permute},
                               {"RepeatVector", emit_repeat},
                               {"Rescaling", emit_rescaling},
                               {"TimeDistributed", emit_time_distributed, true},
                               {"SpectralNormalization", emit_spectral, true}};
  for (const char* name :
       {"InputLayer", "Identity", "ActivityRegularization", "Dropout", "AlphaDropout",
        "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D", "RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation",
        "RandomTranslation", "RandomZoom"})
    kinds.push_back({name, emit_same});
  return {functions, kinds};
}

}  // namespace keratin::c_export
