// Layers whose windows move over the axes between batch and channels. ONNX has the channels before
// those axes, and kernels with the filters first.

#include <algorithm>
#include <limits>

#include <keratin/autograd/internal/window_options.h>
#include <keratin/autograd/ops.h>
#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

namespace {

using Numbers = std::vector<std::int64_t>;
Numbers numbers(const std::vector<int>& list) { return {list.begin(), list.end()}; }

Value channels_to_front(const Call& call, const Value& x) {
  return call.channels_first() ? x : moveaxis(x, -1, 1);
}
Value channels_to_place(const Call& call, const Value& x) {
  return call.channels_first() ? x : moveaxis(x, 1, -1);
}

// The attributes of the windows, and the sizes of what they give. What "same" adds depends on the
// size of the input where windows jump; if that is not known, ONNX computes it.
Attributes window_attributes(const WindowOptions& o, Shape& shape) {
  Numbers before, after;
  bool by_reader = false;
  for (std::size_t i = 0; i < o.size.size(); ++i) {
    std::int64_t& n = shape[static_cast<int>(i) + 2];
    Windows::Axis axis{o.size[i], o.strides[i], o.dilation[i]};
    by_reader = by_reader || (o.padding == "same" && axis.stride > 1 && n == None);
    const std::int64_t count = pad_axis("windows", o.padding, axis, n == None ? axis.reach() : n);
    before.push_back(axis.before);
    after.push_back(axis.after);
    if (n != None) n = count;
  }
  Attributes attributes{{"kernel_shape", numbers(o.size)}, {"strides", numbers(o.strides)}};
  if (std::ranges::max(o.dilation) > 1) attributes.emplace_back("dilations", numbers(o.dilation));
  before.insert(before.end(), after.begin(), after.end());
  if (by_reader)
    attributes.emplace_back("auto_pad", "SAME_UPPER");
  else
    attributes.emplace_back("pads", before);
  return attributes;
}

WindowOptions windows_of(const Call& call) {
  return {call.option<std::vector<int>>("kernel_size"), call.option<std::vector<int>>("strides"),
          call.option<std::vector<int>>("dilation_rate"), call.option<std::string>("padding")};
}

// (size..., a, b) -> (b, a, size...)
Tensor filters_first(const Tensor& kernel) {
  const int axes = kernel.rank() - 2;
  std::vector<int> order{axes + 1, axes};
  for (int axis = 0; axis < axes; ++axis) order.push_back(axis);
  return kernel.transpose(order);
}

// The bias and the activation of a layer, for channels in the second axis before they move.
Values finished(Call& call, const Value& x) {
  const Value y = channels_to_place(call, x);
  Value bias = call.weight("bias");
  if (bias.defined() && call.channels_first()) bias = with_rank(bias, x.rank() - 1);
  return {activate(call.option("activation"), bias.defined() ? y + bias : y)};
}

Value convolved(const Value& x, const Value& kernel, const WindowOptions& windows,
                std::int64_t groups) {
  Shape shape = x.shape.with(1, kernel.shape[0]);
  Attributes attributes = window_attributes(windows, shape);
  if (groups > 1) attributes.emplace_back("group", groups);
  return node("Conv", {x, kernel}, shape, x.type, attributes);
}

Values convolution(Call& call) {
  const Value kernel =
      call.constant("kernel", [&] { return filters_first(*call.weight_tensor("kernel")); });
  return finished(call, convolved(channels_to_front(call, to_float(call.x())), kernel,
                                  windows_of(call), call.option<int>("groups")));
}

// Each channel by itself: (size..., channels, multiplier) -> (channels * multiplier, 1, size...)
Value depthwise(Call& call, const std::string& name) {
  const Value x = channels_to_front(call, to_float(call.x()));
  const Value kernel = call.constant(name, [&] {
    const Tensor given = *call.weight_tensor(name);
    const Tensor first = filters_first(given).transpose([&] {
      std::vector<int> order{1, 0};
      for (int axis = 2; axis < given.rank(); ++axis) order.push_back(axis);
      return order;
    }());
    return keratin::reshape(
        first, first.shape().without(0).with(0, 1).inserted(0, first.size(0) * first.size(1)));
  });
  return convolved(x, kernel, windows_of(call), x.shape[1]);
}

Values depthwise_convolution(Call& call) { return finished(call, depthwise(call, "kernel")); }

Values separable_convolution(Call& call) {
  const Value each = depthwise(call, "depthwise_kernel");
  const Value kernel = call.constant(
      "pointwise_kernel", [&] { return filters_first(*call.weight_tensor("pointwise_kernel")); });
  const std::vector<int> ones(std::size_t(each.rank() - 2), 1);
  return finished(call, convolved(each, kernel, {ones, ones, ones, "valid"}, 1));
}

// What is beyond the last window is output_padding in ONNX, what is cut off there the second of
// the pads; neither depends on the size of the input.
Values transposed_convolution(Call& call) {
  const WindowOptions o = windows_of(call);
  const Value x = channels_to_front(call, to_float(call.x()));
  const Value kernel =
      call.constant("kernel", [&] { return filters_first(*call.weight_tensor("kernel")); });
  std::vector<int> extra;
  if (call.has_option("output_padding")) extra = call.option<std::vector<int>>("output_padding");
  Shape shape = x.shape.with(1, kernel.shape[1]);
  Numbers before, after, beyond;
  for (std::size_t i = 0; i < o.size.size(); ++i) {
    std::int64_t& n = shape[static_cast<int>(i) + 2];
    Windows::Axis axis{o.size[i], o.strides[i], o.dilation[i]};
    std::optional<std::int64_t> given;
    if (!extra.empty()) given = extra[i];
    const std::int64_t extent = transposed_extent(o.padding, axis, n == None ? 1 : n, given);
    const std::int64_t whole = ((n == None ? 1 : n) - 1) * axis.stride + axis.reach(),
                       surplus = whole - axis.before - extent;
    before.push_back(axis.before);
    after.push_back(std::max<std::int64_t>(surplus, 0));
    beyond.push_back(std::max<std::int64_t>(-surplus, 0));
    if (n != None) n = extent;
  }
  before.insert(before.end(), after.begin(), after.end());
  return finished(call, node("ConvTranspose", {x, kernel}, shape, x.type,
                             {{"kernel_shape", numbers(o.size)},
                              {"strides", numbers(o.strides)},
                              {"dilations", numbers(o.dilation)},
                              {"pads", before},
                              {"output_padding", beyond}}));
}

// --- pooling

template <bool mean>
Values pooling(Call& call) {
  const Value x = channels_to_front(call, to_float(call.x()));
  const auto size = call.option<std::vector<int>>("pool_size");
  Shape shape = x.shape;
  Attributes attributes =
      window_attributes({size, call.option<std::vector<int>>("strides"),
                         std::vector<int>(size.size(), 1), call.option<std::string>("padding")},
                        shape);
  if (mean) attributes.emplace_back("count_include_pad", std::int64_t{0});
  return {channels_to_place(
      call, node(mean ? "AveragePool" : "MaxPool", {x}, shape, x.type, attributes))};
}

template <bool mean>
Values global_pooling(Call& call) {
  call.set_output_masks({});
  const Value& x = call.x();
  const bool first = call.channels_first(), keepdims = call.flag("keepdims");
  std::vector<int> axes;
  for (int axis = 0; axis < x.rank() - 2; ++axis) axes.push_back(axis + (first ? 2 : 1));
  if (!mean) return {reduce("ReduceMax", x, axes, keepdims)};
  if (axes.size() > 1 || !call.mask().defined())
    return {reduce("ReduceMean", to_float(x), axes, keepdims)};
  const Value valid = expand_dims(call.mask(), {first ? 1 : 2});
  const Value count = reduce("ReduceSum", cast(valid, x.type), axes, keepdims);
  return {reduce("ReduceSum", where(valid, x, 0.0), axes, keepdims) / maximum(count, 1.0)};
}

// --- longer and shorter axes

// A pair for each axis between batch and channels.
std::vector<std::pair<int, int>> margins(const Call& call, const char* name) {
  std::vector<std::pair<int, int>> all;
  std::vector<int> ends;
  auto pair = [](const std::vector<int>& two) { return std::pair{two.front(), two.back()}; };
  if (call.x().rank() == 3) return {pair(call.option<std::vector<int>>(name))};
  for (const Option& one : std::get<std::vector<Option>>(call.option(name))) {
    if (!from_option(one, ends) || ends.empty()) fail("option {} has an unexpected value", name);
    all.push_back(pair(ends));
  }
  return all;
}

Values zero_padding(Call& call) {
  std::vector<std::pair<std::int64_t, std::int64_t>> widths(std::size_t(call.x().rank()));
  std::size_t axis = call.channels_first() ? 2 : 1;
  for (const auto& margin : margins(call, "padding")) widths[axis++] = margin;
  return {pad(call.x(), widths)};
}

Values cropping(Call& call) {
  Value y = call.x();
  int axis = call.channels_first() ? 2 : 1;
  for (const auto& [before, after] : margins(call, "cropping"))
    y = slice(y, axis++, before, after == 0 ? std::numeric_limits<std::int64_t>::max() : -after);
  return {y};
}

Values up_sampling(Call& call) {
  const Value& x = call.x();
  int one = 0;
  std::vector<int> size;
  if (from_option(call.option("size"), one))
    size = std::vector<int>(std::size_t(x.rank() - 2), one);
  else
    size = call.option<std::vector<int>>("size");
  if (call.has_option("interpolation") && call.option<std::string>("interpolation") == "bilinear") {
    const Value in = channels_to_front(call, to_float(x));
    Shape shape = in.shape;
    for (int axis = 2; axis < 4; ++axis)
      if (shape[axis] != None) shape[axis] *= size[std::size_t(axis - 2)];
    const Value scales = call.constant("scales", [&] {
      return stack({Tensor(1.0), Tensor(1.0), Tensor(size[0]), Tensor(size[1])}).astype(float32);
    });
    return {channels_to_place(
        call, node("Resize", {in, Value(), scales}, shape, in.type, {{"mode", "linear"}}))};
  }
  Value y = x;
  int axis = call.channels_first() ? 2 : 1;
  for (int n : size) y = repeat(y, n, axis++);
  return {y};
}

}  // namespace

Value repeat(const Value& x, std::int64_t n, int axis) {
  if (n == 1) return x;
  axis = normalize_axis(axis, x.rank(), "axis");
  Sizes wide(std::size_t(x.rank()) + 1, 1), sizes;
  wide[std::size_t(axis) + 1] = n;
  for (int a = 0; a < x.rank(); ++a)
    sizes.push_back(a < axis ? Size(0) : a == axis ? Size(None) : size_of(x, a));
  Value many = broadcast_to(expand_dims(x, {axis + 1}), wide);
  many.shape = x.shape.inserted(axis + 1, n);
  return reshape(many, sizes);
}

Value convolve(const Value& x, const Value& kernel, const WindowOptions& windows, int groups) {
  std::vector<int> order{kernel.rank() - 1, kernel.rank() - 2};
  for (int axis = 0; axis < kernel.rank() - 2; ++axis) order.push_back(axis);
  return convolved(x, transpose(kernel, order), windows, groups);
}

const ExportTable& convolution_exports() {
  static const ExportTable table{
      {"AveragePooling1D", pooling<true>},
      {"AveragePooling2D", pooling<true>},
      {"AveragePooling3D", pooling<true>},
      {"Conv1D", convolution},
      {"Conv1DTranspose", transposed_convolution},
      {"Conv2D", convolution},
      {"Conv2DTranspose", transposed_convolution},
      {"Conv3D", convolution},
      {"Conv3DTranspose", transposed_convolution},
      {"Cropping1D", cropping},
      {"Cropping2D", cropping},
      {"Cropping3D", cropping},
      {"DepthwiseConv1D", depthwise_convolution},
      {"DepthwiseConv2D", depthwise_convolution},
      {"GlobalAveragePooling1D", global_pooling<true>},
      {"GlobalAveragePooling2D", global_pooling<true>},
      {"GlobalAveragePooling3D", global_pooling<true>},
      {"GlobalMaxPooling1D", global_pooling<false>},
      {"GlobalMaxPooling2D", global_pooling<false>},
      {"GlobalMaxPooling3D", global_pooling<false>},
      {"MaxPooling1D", pooling<false>},
      {"MaxPooling2D", pooling<false>},
      {"MaxPooling3D", pooling<false>},
      {"SeparableConv1D", separable_convolution},
      {"SeparableConv2D", separable_convolution},
      {"UpSampling1D", up_sampling},
      {"UpSampling2D", up_sampling},
      {"UpSampling3D", up_sampling},
      {"ZeroPadding1D", zero_padding},
      {"ZeroPadding2D", zero_padding},
      {"ZeroPadding3D", zero_padding},
  };
  return table;
}

}  // namespace keratin::onnx
