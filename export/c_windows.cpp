// Layers whose windows move over one to three axes between the batch and the channels, and those
// that make such axes longer or shorter.

#include <algorithm>

#include <keratin/export/internal/c_windows.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* How windows lie along an axis: element k of window i is at i * stride + k * dilation - before;
   what is not within 0..in-1 is missing. */
typedef struct {
  int in, out;
  int size, stride, dilation, before;
} axis;

/* What is missing before an axis so that windows are as many as strides. */
static int missing(int in, int out, int stride, int reach) {
  const int total = (out - 1) * stride + reach - in;
  return total > 0 ? total / 2 : 0;
}

static int place_of(axis a, int i, int k) {
  const int place = i * a.stride + k * a.dilation - a.before;
  return place < a.in ? place : -1;
}

/* y += the products of one plane of the kernel, (rows, columns, channels / groups, filters), with
   one of x. Each group of filters sees a group of channels. */
static void add_convolution(const float* x, axis r, axis c, int channels, int filters, int groups,
                            const float* kernel, float* y) {
  const int n = channels / groups, m = filters / groups;
  for (int i = 0; i < r.out; ++i)
    for (int j = 0; j < c.out; ++j, y += filters)
      for (int k = 0; k < r.size; ++k)
        for (int l = 0; l < c.size; ++l) {
          const int p = place_of(r, i, k), q = place_of(c, j, l);
          if (p < 0 || q < 0) continue;
          for (int g = 0; g < groups; ++g)
            add_product(x + (p * c.in + q) * channels + g * n, n,
                        kernel + (k * c.size + l) * n * filters + g * m, filters, m, y + g * m);
        }
}

/* Over depths, rows and columns. */
static void convolution(const float* x, axis d, axis r, axis c, int channels, int filters,
                        int groups, const float* kernel, const float* bias, float* y) {
  const int weights = r.size * c.size * (channels / groups) * filters;
  for (int h = 0; h < d.out; ++h, y += r.out * c.out * filters) {
    for (int i = 0; i < r.out * c.out; ++i) set_bias(bias, filters, y + i * filters);
    for (int e = 0; e < d.size; ++e) {
      const int p = place_of(d, h, e);
      if (p >= 0)
        add_convolution(x + p * r.in * c.in * channels, r, c, channels, filters, groups,
                        kernel + e * weights, y);
    }
  }
}

/* Each channel by itself, with m filters: the kernel is (rows, columns, channels, m). */
static void depthwise_convolution(const float* x, axis r, axis c, int channels, int m,
                                  const float* kernel, const float* bias, float* y) {
  for (int i = 0; i < r.out; ++i)
    for (int j = 0; j < c.out; ++j, y += channels * m) {
      set_bias(bias, channels * m, y);
      for (int k = 0; k < r.size; ++k)
        for (int l = 0; l < c.size; ++l) {
          const int p = place_of(r, i, k), q = place_of(c, j, l);
          if (p < 0 || q < 0) continue;
          for (int f = 0; f < channels * m; ++f)
            y[f] += x[(p * c.in + q) * channels + f / m] *
                    kernel[(k * c.size + l) * channels * m + f];
        }
    }
}

/* y += one plane of x, each element of which spreads over a window of y. Here `in` is the size of y
   and `out` that of x, and a plane of the kernel is (rows, columns, filters, channels). */
static void add_transposed(const float* x, axis r, axis c, int channels, int filters,
                           const float* kernel, float* y) {
  for (int i = 0; i < r.out; ++i)
    for (int j = 0; j < c.out; ++j, x += channels)
      for (int k = 0; k < r.size; ++k)
        for (int l = 0; l < c.size; ++l) {
          const int p = place_of(r, i, k), q = place_of(c, j, l);
          const float* weights = kernel + (k * c.size + l) * filters * channels;
          if (p < 0 || q < 0) continue;
          for (int f = 0; f < filters; ++f)
            for (int a = 0; a < channels; ++a)
              y[(p * c.in + q) * filters + f] += x[a] * weights[f * channels + a];
        }
}

static void transposed_convolution(const float* x, axis d, axis r, axis c, int channels,
                                   int filters, const float* kernel, const float* bias, float* y) {
  for (int i = 0; i < d.in * r.in * c.in; ++i) set_bias(bias, filters, y + i * filters);
  for (int h = 0; h < d.out; ++h)
    for (int e = 0; e < d.size; ++e) {
      const int p = place_of(d, h, e);
      if (p >= 0)
        add_transposed(x + h * r.out * c.out * channels, r, c, channels, filters,
                       kernel + e * r.size * c.size * filters * channels,
                       y + p * r.in * c.in * filters);
    }
}

/* y takes in the windows of one plane of x: their sums, or what is larger. */
static void add_pooling(const float* x, axis r, axis c, int channels, int is_mean, float* y) {
  for (int i = 0; i < r.out; ++i)
    for (int j = 0; j < c.out; ++j, y += channels)
      for (int k = 0; k < r.size; ++k)
        for (int l = 0; l < c.size; ++l) {
          const int p = place_of(r, i, k), q = place_of(c, j, l);
          if (p < 0 || q < 0) continue;
          for (int f = 0; f < channels; ++f) {
            const float v = x[(p * c.in + q) * channels + f];
            y[f] = is_mean ? y[f] + v : fmaxf(y[f], v);
          }
        }
}

/* How many elements of window i are there. */
static int elements_in(axis a, int i) {
  int count = 0;
  for (int k = 0; k < a.size; ++k) count += place_of(a, i, k) >= 0;
  return count;
}

/* The largest, or the mean, of each window in each channel; what is missing does not count. */
static void pooling(const float* x, axis d, axis r, axis c, int channels, int is_mean, float* y) {
  for (int h = 0; h < d.out; ++h) {
    fill(is_mean ? 0.0f : -INFINITY, r.out * c.out * channels, y);
    for (int e = 0; e < d.size; ++e) {
      const int p = place_of(d, h, e);
      if (p >= 0) add_pooling(x + p * r.in * c.in * channels, r, c, channels, is_mean, y);
    }
    for (int i = 0; i < r.out; ++i)
      for (int j = 0; j < c.out; ++j, y += channels) {
        const int count = elements_in(d, h) * elements_in(r, i) * elements_in(c, j);
        for (int f = 0; is_mean && f < channels; ++f) y[f] /= (float)count;
      }
  }
}

/* The largest, or the mean, of all places that count; 0 where none does. */
static void global_pooling(const float* x, const unsigned char* mask, int places, int channels,
                           int is_mean, float* y) {
  int count = 0;
  for (int f = 0; f < channels; ++f) y[f] = is_mean ? 0.0f : -INFINITY;
  for (int p = 0; p < places; ++p) {
    if (mask && !mask[p]) continue;
    ++count;
    for (int f = 0; f < channels; ++f) {
      const float v = x[p * channels + f];
      y[f] = is_mean ? y[f] + v : fmaxf(y[f], v);
    }
  }
  for (int f = 0; is_mean && count && f < channels; ++f) y[f] /= (float)count;
}

/* Where entry i comes from, or -1. */
static int source_of(axis a, int i) {
  const int place = i / a.size - a.before;
  return place < a.in ? place : -1;
}

/* Zeros around (before), margins cut off (before, negative), or each entry `size` times. */
static void resize(const float* x, axis d, axis r, axis c, int channels, float* y) {
  for (int h = 0; h < d.out; ++h)
    for (int i = 0; i < r.out; ++i)
      for (int j = 0; j < c.out; ++j, y += channels) {
        const int o = source_of(d, h), p = source_of(r, i), q = source_of(c, j);
        if (o < 0 || p < 0 || q < 0)
          fill(0.0f, channels, y);
        else
          copy(x + ((o * r.in + p) * c.in + q) * channels, channels, y);
      }
}

/* Entry i of `size` times as many lies at this place among the old ones, at most at an end. */
static float place_among(axis a, int i) {
  const float place = ((float)i + 0.5f) / (float)a.size - 0.5f, end = (float)(a.in - 1);
  return place < 0.0f ? 0.0f : place > end ? end : place;
}

/* Each pixel between the four around it. */
static void enlarge(const float* x, axis r, axis c, int channels, float* y) {
  for (int i = 0; i < r.out; ++i)
    for (int j = 0; j < c.out; ++j, y += channels) {
      const float row = place_among(r, i), column = place_among(c, j);
      const int p = (int)row, q = (int)column;
      const float down = row - (float)p, right = column - (float)q;
      const int below = p + 1 < r.in ? c.in * channels : 0, beside = q + 1 < c.in ? channels : 0;
      const float* at = x + (p * c.in + q) * channels;
      for (int k = 0; k < channels; ++k, ++at)
        y[k] = (1.0f - down) * ((1.0f - right) * at[0] + right * at[beside]) +
               down * ((1.0f - right) * at[below] + right * at[below + beside]);
    }
}
)c";

std::size_t axes_in(const Layer& layer) {
  const std::string name = layer.class_name();
  if (name == "CenterCrop") return 2;
  return name.find("3D") != name.npos ? 3 : name.find("2D") != name.npos ? 2 : 1;
}

}  // namespace

std::vector<int> per_axis(const Config& config, const std::string& name, std::size_t axes) {
  std::vector<int> list;
  if (int one = 0; from_option(*find_option(config, name), one))
    list = {one};
  else
    list = option<std::vector<int>>(config, name);
  list.resize(axes, list.at(0));
  return list;
}

Windows::Windows(Writer& w, const Layer& layer, const Array& numbers, const Config& config)
    : w(w), axes(axes_in(layer)), x(numbers) {
  if (const Option* format = find_option(config, "data_format"))
    first = text_of(*format) == text_of(Option("channels_first"));
  if (first) x = axes_last(w, x, {0});
  if (x.shape.size() != axes + 1) fail("expected a sample of rank {}", axes + 1);
}

void Windows::add(int size, int stride, int dilation, const std::string& padding) {
  const Size n = in(out.size());
  const int reach = (size - 1) * dilation + 1;
  const bool valid = padding == "valid";
  const int room = valid ? stride - reach : stride - 1;
  const Size count = w.size("length", {n}, (n.most + room) / stride,
                            fmt::format("({} + {}) / {}", n.text, room, stride));
  std::string before = "0";
  if (padding == "causal") before = std::to_string(reach - 1);
  if (padding == "same")
    before = n.known
                 ? std::to_string(
                       std::max<std::int64_t>((count.most - 1) * stride + reach - n.most, 0) / 2)
                 : fmt::format("missing({}, {}, {}, {})", n.text, count.text, stride, reach);
  add(n, count, fmt::format("{}, {}, {}, {}", size, stride, dilation, before));
  out.push_back(count);
}

void Windows::add(const Size& from, const Size& to, const std::string& rest) {
  texts.push_back(fmt::format("{}, {}, {}", from.text, to.text, rest));
}

std::array<std::string, 3> Windows::names(std::size_t count) {
  static constexpr std::array<const char*, 3> each{"_depths", "_rows", "_columns"};
  std::array<std::string, 3> list;
  while (texts.size() < 3) texts.insert(texts.begin(), "1, 1, 1, 1, 1, 0");
  for (std::size_t i = 3 - count; i < 3; ++i) {
    list[i] = w.unique(identifier(w.path) + each[i]);
    w.line(fmt::format("const axis {} = {{{}}};", list[i], texts[i]));
  }
  return list;
}

Sizes Windows::shape(const Size& filters) const {
  Sizes all = out;
  all.push_back(filters);
  return all;
}

Windows windows_of(Writer& w, const Layer& layer, const Array& x, const Config& config,
                   const std::string& size) {
  Windows windows(w, layer, x, config);
  const auto padding = option<std::string>(config, "padding");
  const std::vector<int> sizes = per_axis(config, size, windows.axes),
                         strides = per_axis(config, "strides", windows.axes);
  std::vector<int> dilation(windows.axes, 1);
  if (find_option(config, "dilation_rate") != nullptr)
    dilation = per_axis(config, "dilation_rate", windows.axes);
  for (std::size_t i = 0; i < windows.axes; ++i)
    windows.add(sizes[i], strides[i], dilation[i], padding);
  return windows;
}

namespace {

/// In the layout of the layer, through its activation.
Values finished(const Windows& windows, const Array& y, const Config& config) {
  Array result = windows.back(y);
  activate(windows.w, result, config);
  return {{result}};
}

Values emit_convolution(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Windows windows = windows_of(w, layer, in[0].numbers, config, "kernel_size");
  const auto filters = option<std::int64_t>(config, "filters");
  const std::string kernel = w.weight(layer, "kernel"), bias = w.weight(layer, "bias");
  const auto [depths, rows, columns] = windows.names();
  const Array y = windows.result(filters);
  w.call("convolution", windows.x, depths, rows, columns, windows.channels(), filters,
         option<int>(config, "groups"), kernel, bias, y);
  return finished(windows, y, config);
}

Values emit_depthwise(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Windows windows = windows_of(w, layer, in[0].numbers, config, "kernel_size");
  const auto m = option<std::int64_t>(config, "depth_multiplier");
  const std::string kernel = w.weight(layer, "kernel"), bias = w.weight(layer, "bias");
  const auto [none, rows, columns] = windows.names(2);
  const Array y = windows.result(windows.channels().most * m);
  w.call("depthwise_convolution", windows.x, rows, columns, windows.channels(), m, kernel, bias, y);
  return finished(windows, y, config);
}

Values emit_separable(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Windows windows = windows_of(w, layer, in[0].numbers, config, "kernel_size");
  const auto m = option<std::int64_t>(config, "depth_multiplier"),
             filters = option<std::int64_t>(config, "filters");
  const std::string depthwise = w.weight(layer, "depthwise_kernel"),
                    pointwise = w.weight(layer, "pointwise_kernel"), bias = w.weight(layer, "bias");
  const auto [none, rows, columns] = windows.names(2);
  const Array each = windows.result(windows.channels().most * m), y = windows.result(filters);
  w.call("depthwise_convolution", windows.x, rows, columns, windows.channels(), m, depthwise, "0",
         each);
  w.call("dense", each, rows_of(each.shape), each.shape.back(), filters, pointwise, bias, y);
  return finished(windows, y, config);
}

// The lengths follow from what Keras cuts off (keras/src/backend/common/backend_utils.py).
Values emit_transposed(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Windows windows(w, layer, in[0].numbers, config);
  const bool same = option<std::string>(config, "padding") == "same";
  const std::vector<int> sizes = per_axis(config, "kernel_size", windows.axes),
                         strides = per_axis(config, "strides", windows.axes),
                         dilation = per_axis(config, "dilation_rate", windows.axes);
  const Option* extra = find_option(config, "output_padding");
  for (std::size_t i = 0; i < windows.axes; ++i) {
    const int reach = (sizes[i] - 1) * dilation[i] + 1;
    int beyond = same ? strides[i] : std::max(reach, strides[i]);
    if (extra != nullptr && !extra->is_none())
      beyond = (same ? reach % 2 : reach) + per_axis(config, "output_padding", windows.axes)[i];
    const int before = same ? reach - 1 - std::min((beyond + reach - 1) / 2, reach - 1) : 0;
    const Size n = windows.in(i);
    const Size length = w.size("length", {n}, (n.most - 1) * strides[i] + beyond,
                               fmt::format("({} - 1) * {} + {}", n.text, strides[i], beyond));
    windows.add(length, n,
                fmt::format("{}, {}, {}, {}", sizes[i], strides[i], dilation[i], before));
    windows.out.push_back(length);
  }
  const auto filters = option<std::int64_t>(config, "filters");
  const std::string kernel = w.weight(layer, "kernel"), bias = w.weight(layer, "bias");
  const auto [depths, rows, columns] = windows.names();
  const Array y = windows.result(filters);
  w.call("transposed_convolution", windows.x, depths, rows, columns, windows.channels(), filters,
         kernel, bias, y);
  return finished(windows, y, config);
}

Values emit_pooling(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Windows windows = windows_of(w, layer, in[0].numbers, config, "pool_size");
  const auto [depths, rows, columns] = windows.names();
  const Array y = windows.result(windows.channels());
  w.call("pooling", windows.x, depths, rows, columns, windows.channels(),
         layer.class_name().starts_with("Average"), y);
  return {{windows.back(y)}};
}

Values emit_global_pooling(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const Windows windows(w, layer, in[0].numbers, config);
  const bool is_mean = layer.class_name().find("Average") != std::string::npos;
  const bool masked = is_mean && windows.axes == 1 && in[0].mask;
  Array y = w.numbers("out", {windows.channels()});
  w.call("global_pooling", windows.x, masked ? mask_of_steps(in[0]) : "0", rows_of(windows.x.shape),
         windows.channels(), is_mean, y);
  if (option<bool>(config, "keepdims"))
    y.shape.insert(windows.first ? y.shape.end() : y.shape.begin(), windows.axes, 1);
  return {{y}};
}

/// What is before and after each axis.
std::vector<std::array<int, 2>> margins(const Config& config, const std::string& name,
                                        std::size_t axes) {
  const Option& given = *find_option(config, name);
  std::vector<std::array<int, 2>> list;
  auto add = [&](const Option& one) {
    std::vector<int> ends;
    if (!from_option(one, ends) || ends.size() != 2)
      fail("the option \"{}\" is not what the export knows", name);
    list.push_back({ends[0], ends[1]});
  };
  if (axes == 1)
    add(given);
  else
    for (const Option& one : std::get<std::vector<Option>>(given)) add(one);
  return list;
}

Emitter emit_margins(const char* name, int sign) {
  return [name, sign](Writer& w, const Layer& layer, const Values& in) -> Values {
    const Config config = layer.get_config();
    Windows windows(w, layer, in[0].numbers, config);
    const auto each = margins(config, name, windows.axes);
    for (std::size_t i = 0; i < windows.axes; ++i) {
      const Size n = windows.in(i);
      const int more = sign * (each[i][0] + each[i][1]);
      const Size length =
          w.size("length", {n}, n.most + more, fmt::format("{} + {}", n.text, more));
      windows.add(n, length, fmt::format("1, 1, 1, {}", sign * each[i][0]));
      windows.out.push_back(length);
    }
    const auto [depths, rows, columns] = windows.names();
    const Array y = windows.result(windows.channels());
    w.call("resize", windows.x, depths, rows, columns, windows.channels(), y);
    return {{windows.back(y)}};
  };
}

Values emit_center_crop(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Windows windows(w, layer, in[0].numbers, config);
  for (const char* name : {"height", "width"}) {
    const Size n = windows.in(windows.out.size());
    const auto to = option<std::int64_t>(config, name);
    if (!n.known || n.most < to) fail("a crop of images that may be smaller is not exported");
    windows.add(n, to, fmt::format("1, 1, 1, {}", -(n.most - to) / 2));
    windows.out.push_back(to);
  }
  const auto [depths, rows, columns] = windows.names();
  const Array y = windows.result(windows.channels());
  w.call("resize", windows.x, depths, rows, columns, windows.channels(), y);
  return {{windows.back(y)}};
}

Values emit_up_sampling(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const Option* how = find_option(config, "interpolation");
  const bool bilinear = how != nullptr && text_of(*how) == text_of(Option("bilinear"));
  Windows windows(w, layer, in[0].numbers, config);
  const std::vector<int> factors = per_axis(config, "size", windows.axes);
  for (std::size_t i = 0; i < windows.axes; ++i) {
    const Size n = windows.in(i);
    const Size length =
        w.size("length", {n}, n.most * factors[i], fmt::format("{} * {}", n.text, factors[i]));
    windows.add(n, length, fmt::format("{}, 1, 1, 0", factors[i]));
    windows.out.push_back(length);
  }
  const auto [depths, rows, columns] = windows.names(bilinear ? 2 : 3);
  const Array y = windows.result(windows.channels());
  if (bilinear)
    w.call("enlarge", windows.x, rows, columns, windows.channels(), y);
  else
    w.call("resize", windows.x, depths, rows, columns, windows.channels(), y);
  return {{windows.back(y)}};
}

}  // namespace

Part window_part() {
  return {functions,
          {{"Conv1D", emit_convolution},
           {"Conv2D", emit_convolution},
           {"Conv3D", emit_convolution},
           {"DepthwiseConv1D", emit_depthwise},
           {"DepthwiseConv2D", emit_depthwise},
           {"SeparableConv1D", emit_separable},
           {"SeparableConv2D", emit_separable},
           {"Conv1DTranspose", emit_transposed},
           {"Conv2DTranspose", emit_transposed},
           {"Conv3DTranspose", emit_transposed},
           {"MaxPooling1D", emit_pooling},
           {"MaxPooling2D", emit_pooling},
           {"MaxPooling3D", emit_pooling},
           {"AveragePooling1D", emit_pooling},
           {"AveragePooling2D", emit_pooling},
           {"AveragePooling3D", emit_pooling},
           {"GlobalMaxPooling1D", emit_global_pooling, true},
           {"GlobalMaxPooling2D", emit_global_pooling, true},
           {"GlobalMaxPooling3D", emit_global_pooling, true},
           {"GlobalAveragePooling1D", emit_global_pooling, true},
           {"GlobalAveragePooling2D", emit_global_pooling, true},
           {"GlobalAveragePooling3D", emit_global_pooling, true},
           {"ZeroPadding1D", emit_margins("padding", 1)},
           {"ZeroPadding2D", emit_margins("padding", 1)},
           {"ZeroPadding3D", emit_margins("padding", 1)},
           {"Cropping1D", emit_margins("cropping", -1)},
           {"Cropping2D", emit_margins("cropping", -1)},
           {"Cropping3D", emit_margins("cropping", -1)},
           {"CenterCrop", emit_center_crop},
           {"UpSampling1D", emit_up_sampling},
           {"UpSampling2D", emit_up_sampling},
           {"UpSampling3D", emit_up_sampling}}};
}

}  // namespace keratin::c_export
