// Layers that are not about windows, time or attention: dense ones, merges, shapes, normalisation,
// preprocessing. Each states what the layer's own file under layers/ does outside of training.

#include <algorithm>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>
#include <keratin/layers/lookup.h>
#include <keratin/layers/registry.h>

namespace keratin::onnx {

Value without_padding(const Value& x, const Value& mask) {
  return mask.defined() ? where(with_rank(mask, x.rank()), x, 0.0) : x;
}

Value one_hot(const Value& ids, std::int64_t depth, Type type) {
  const Value numbers = cast(arange(*ids.writer, depth), ids.type);
  return cast(equal(expand_dims(ids, {ids.rank()}), numbers), type);
}

namespace {

Values same(Call& call) { return call.inputs; }

// --- dense

Value with_bias(Call& call, const Value& x) {
  const Value bias = call.weight("bias");
  return activate(call.option("activation"), bias.defined() ? x + bias : x);
}

Values dense(Call& call) { return {with_bias(call, matmul(call.x(), call.weight("kernel")))}; }

// ONNX has the equation of Keras, the dots included.
Values einsum_dense(Call& call) {
  const Shape shape = Shape::filled(
      const_cast<Layer&>(call.layer).compute_output_shape(call.layer.input_shape()).rank(), None);
  return {with_bias(call, einsum(call.option<std::string>("equation"),
                                 {to_float(call.x()), call.weight("kernel")}, shape))};
}

Values embedding(Call& call) {
  const Value ids = cast(call.x(), Type::int32);
  if (call.flag("mask_zero")) call.set_output_masks({logical_not(equal(ids, 0.0))});
  return {gather(call.weight("embeddings"), ids, 0)};
}

Values masking(Call& call) {
  const double value = call.option<double>("mask_value");
  const Value differs = std::isnan(value) ? compare("Equal", call.x(), call.x())
                                          : logical_not(equal(call.x(), value));
  const Value counts = any(differs, {-1});
  call.set_output_masks({counts});
  return {without_padding(call.x(), counts)};
}

// --- shapes

Values flatten(Call& call) {
  const Value x =
      call.channels_first() && call.x().rank() > 1 ? moveaxis(call.x(), 1, -1) : call.x();
  return {node("Flatten", {x}, {x.shape[0], None}, x.type, {{"axis", std::int64_t{1}}})};
}

Values reshape_layer(Call& call) {
  Sizes sizes{0};
  for (int size : call.option<std::vector<int>>("target_shape")) sizes.emplace_back(size);
  return {reshape(call.x(), sizes)};
}

Values permute(Call& call) {
  std::vector<int> order{0};
  for (int axis : call.option<std::vector<int>>("dims")) order.push_back(axis);
  return {transpose(call.x(), order)};
}

Values repeat_vector(Call& call) {
  const Value x = expand_dims(call.x(), {1});
  return {broadcast_to(x, {1, call.option<int>("n"), 1})};
}

// --- activations

Values activation(Call& call) { return {activate(call.option("activation"), call.x())}; }

Values relu_layer(Call& call) {
  const Value x = to_float(call.x());
  const auto threshold = call.option<double>("threshold"),
             slope = call.option<double>("negative_slope");
  Value y = threshold == 0 ? maximum(x, 0.0) : where(x <= threshold, 0.0, x);
  if (call.has_option("max_value")) y = minimum(y, call.option<double>("max_value"));
  return {slope == 0 ? y : y - maximum(Value(threshold) - x, 0.0) * slope};
}

Values prelu(Call& call) {
  const Value x = to_float(call.x());
  return {maximum(x, 0.0) - call.weight("alpha") * maximum(-x, 0.0)};
}

std::vector<int> axes_of(const Call& call) {
  int one = 0;
  if (from_option(call.option("axis"), one)) return {one};
  return call.option<std::vector<int>>("axis");
}

Values softmax_layer(Call& call) {
  const Value x = to_float(call.x());
  if (!call.mask().defined()) return {softmax(x, axes_of(call))};
  const Value counts = with_rank(call.mask(), x.rank());
  return {where(counts, softmax(where(counts, x, -1e9), axes_of(call)), 0.0)};
}

// --- merges

// With axes of size 1 behind the batch axis.
Value of_rank(int rank, const Value& x) {
  std::vector<int> axes;
  for (int axis = 1; axis <= rank - x.rank(); ++axis) axes.push_back(axis);
  return axes.empty() ? x : expand_dims(x, axes);
}

int common_rank(const Call& call) {
  int rank = 0;
  for (const Value& x : call.inputs) rank = std::max(rank, x.rank());
  return rank;
}

template <class F>
Value fold(const Values& values, int rank, const F& f) {
  Value y = of_rank(rank, values[0]);
  for (std::size_t i = 1; i < values.size(); ++i) y = f(y, of_rank(rank, values[i]));
  return y;
}

// A step counts if it counts in any input.
void merge_masks(Call& call) {
  Value counts;
  int rank = 0;
  for (const Value& mask : call.masks) rank = std::max(rank, mask.rank());
  for (const Value& mask : call.masks) {
    if (!mask.defined()) return call.set_output_masks({});
    const Value m = with_rank(mask, rank);
    counts = counts.defined() ? logical_or(counts, m) : m;
  }
  call.set_output_masks({counts});
}

// Of an input that gets this rank, which numbers count.
Value counts_of(const Call& call, std::size_t input, int rank) {
  const Value& mask = call.masks[input];
  return mask.defined() ? of_rank(rank, with_rank(mask, call.inputs[input].rank())) : mask;
}

Value add(const Value& x, const Value& y) { return x + y; }
Value subtract(const Value& x, const Value& y) { return x - y; }

template <Value (*f)(const Value&, const Value&)>
Values merge(Call& call) {
  merge_masks(call);
  return {fold(call.inputs, common_rank(call), f)};
}

Values average(Call& call) {
  const Values sum = merge<add>(call);
  return {sum[0] / static_cast<double>(call.inputs.size())};
}

// What does not count is a factor of 1, and 0 where nothing does.
Values multiply(Call& call) {
  merge_masks(call);
  const int rank = common_rank(call);
  Values factors, masks;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Value counts = counts_of(call, i, rank);
    const Value x = of_rank(rank, call.inputs[i]);
    factors.push_back(counts.defined() ? where(counts, x, 1.0) : x);
    if (counts.defined()) masks.push_back(counts);
  }
  const Value product = fold(factors, rank, operator*);
  if (masks.size() < factors.size()) return {product};
  return {where(fold(masks, rank, logical_or), product, 0.0)};
}

// What does not count is replaced by what does before the two are compared.
template <Value (*f)(const Value&, const Value&)>
Values extreme(Call& call) {
  merge_masks(call);
  const int rank = common_rank(call);
  Value y = of_rank(rank, call.inputs[0]), y_counts = counts_of(call, 0, rank);
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    Value x = of_rank(rank, call.inputs[i]);
    const Value x_counts = counts_of(call, i, rank);
    if (x_counts.defined()) x = where(x_counts, x, y);
    if (y_counts.defined()) y = where(y_counts, y, x);
    y = f(y, x);
    y_counts = x_counts.defined() && y_counts.defined() ? logical_or(y_counts, x_counts) : Value();
  }
  return {y};
}

Values concatenate_layer(Call& call) {
  const int axis = call.option<int>("axis");
  call.set_output_masks({});
  if (std::ranges::any_of(call.masks, &Value::defined)) {
    Values wide;  // a mask for each number
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      const Value& x = call.inputs[i];
      const Value mask = call.masks[i].defined() ? with_rank(call.masks[i], x.rank())
                                                 : call.writer.number(1, Type::boolean);
      wide.push_back(broadcast_to(mask, sizes_of(x)));
    }
    call.set_output_masks({any(concatenate(wide, axis), {-1})});
  }
  return {concatenate(call.inputs, axis)};
}

Value root_of_squares(const Value& x, const std::vector<int>& axes) {
  return unary("Sqrt", reduce("ReduceSum", x * x, axes, true));
}

// einsum with a letter for each axis, as in layers/merge.cpp.
Values dot_layer(Call& call) {
  call.set_output_masks({});
  Value x = call.inputs[0], y = call.inputs[1];
  int one = 0;
  std::vector<int> axes;
  if (from_option(call.option("axes"), one))
    axes = {one, one};
  else
    axes = call.option<std::vector<int>>("axes");
  const int of_x = normalize_axis(axes[0], x.rank(), "axes"),
            of_y = normalize_axis(axes[1], y.rank(), "axes");
  if (call.flag("normalize")) {
    x = x / maximum(root_of_squares(x, {of_x}), 1e-7);
    y = y / maximum(root_of_squares(y, {of_y}), 1e-7);
  }
  char next = 'b';
  std::string in_x = "a", in_y = "a", out = "a";
  Shape shape{x.shape[0]};
  for (int axis = 1; axis < x.rank(); ++axis) {
    in_x += next++;
    if (axis != of_x) out += in_x.back(), shape.push_back(x.shape[axis]);
  }
  for (int axis = 1; axis < y.rank(); ++axis) {
    in_y += axis == of_y ? in_x[static_cast<std::size_t>(of_x)] : next++;
    if (axis != of_y) out += in_y.back(), shape.push_back(y.shape[axis]);
  }
  const Value product = einsum(in_x + "," + in_y + "->" + out, {x, y}, shape);
  return {shape.rank() == 1 ? expand_dims(product, {1}) : product};
}

// --- normalisation

/// The sorted axes, counted from 0.
std::vector<int> sorted_axes(const Call& call) {
  std::vector<int> axes = axes_of(call);
  for (int& axis : axes) axis = normalize_axis(axis, call.x().rank(), "axis");
  std::ranges::sort(axes);
  return axes;
}

/// A weight of the sizes along the axes, so that it broadcasts to x.
Value along(Call& call, const std::string& name, const std::vector<int>& axes) {
  const auto weight = call.weight_tensor(name);
  if (!weight) return {};
  Shape shape = Shape::filled(call.x().rank(), 1);
  for (std::size_t i = 0; i < axes.size(); ++i)
    shape[axes[i]] = weight->shape()[static_cast<int>(i)];
  return call.constant(name, [&] { return weight->reshape(shape); });
}

Value affine(Call& call, const Value& x, const std::vector<int>& axes) {
  const Value gamma = along(call, "gamma", axes), beta = along(call, "beta", axes);
  const Value scaled = gamma.defined() ? x * gamma : x;
  return beta.defined() ? scaled + beta : scaled;
}

Value standardized(const Value& x, const std::vector<int>& axes, double epsilon) {
  const Value centred = x - reduce("ReduceMean", x, axes, true);
  return centred / unary("Sqrt", reduce("ReduceMean", centred * centred, axes, true) + epsilon);
}

Values batch_normalization(Call& call) {
  const std::vector<int> axes = sorted_axes(call);
  const Value mean = along(call, "moving_mean", axes);
  const auto gamma = call.weight_tensor("gamma");
  Shape shape = Shape::filled(call.x().rank(), 1);
  const Value scale = call.constant("scale", [&] {
    const Tensor variance = *call.weight_tensor("moving_variance");
    shape[axes[0]] = variance.size(0);
    const Tensor factor = rsqrt(variance + call.option<double>("epsilon"));
    return keratin::reshape(gamma ? factor * *gamma : factor, shape);
  });
  const Value y = (call.x() - mean) * scale, beta = along(call, "beta", axes);
  return {beta.defined() ? y + beta : y};
}

Values layer_normalization(Call& call) {
  const std::vector<int> axes = sorted_axes(call);
  return {affine(call, standardized(call.x(), axes, call.option<double>("epsilon")), axes)};
}

// (batch, ..., groups, channels / groups, ...) while the moments are those of a group.
Values group_normalization(Call& call) {
  const Value& x = call.x();
  const int axis = sorted_axes(call)[0];
  const std::int64_t channels = x.shape[axis], given = call.option<int>("groups"),
                     groups = given == -1 ? channels : given;
  Sizes grouped = sizes_of(x), sizes = grouped;
  grouped[0] = sizes[0] = 0;
  grouped[std::size_t(axis)] = channels / groups;
  grouped.insert(grouped.begin() + axis, groups);
  std::vector<int> within;
  for (int a = 1; a <= x.rank(); ++a)
    if (a != axis) within.push_back(a);
  const Value y = standardized(reshape(x, grouped), within, call.option<double>("epsilon"));
  return {affine(call, reshape(y, sizes), {axis})};
}

Values rms_normalization(Call& call) {
  const std::vector<int> axes = sorted_axes(call);
  const Value& x = call.x();
  const Value mean = reduce("ReduceMean", x * x, axes, true) + call.option<double>("epsilon");
  return {x / unary("Sqrt", mean) * along(call, "scale", axes)};
}

Values unit_normalization(Call& call) {
  return {call.x() / maximum(root_of_squares(call.x(), axes_of(call)), 1e-12)};
}

// Outside of training the layer inside has the kernel that was found.
Values wrapped(Call& call) {
  const Layer& inner = *call.layer.sublayers().at(0);
  auto [outputs, masks] = export_layer(call.writer, inner, call.inputs, call.masks);
  return outputs;
}

// A number or nested lists of them.
Tensor numbers_in(const Option& option) {
  auto* list = std::get_if<std::vector<Option>>(&option);
  double number = 0;
  if (list == nullptr) {
    if (!from_option(option, number)) fail("expected numbers, got {}", text_of(option));
    return full({}, number, float64);
  }
  std::vector<Tensor> rows;
  for (const Option& row : *list) rows.push_back(numbers_in(row));
  return stack(rows);
}

Values normalization(Call& call) {
  const DType dtype = call.layer.dtype();
  const Value x = cast(call.x(), type_of(dtype));
  const std::vector<int> axes = [&] {
    return call.has_option("axis") ? sorted_axes(call) : std::vector<int>();
  }();
  auto numbers = [&](const char* name) {
    const auto weight = call.weight_tensor(name);
    const Tensor t = (weight ? *weight : numbers_in(call.option(name))).astype(dtype);
    Shape shape = Shape::filled(x.rank(), 1);
    for (int i = 1; i <= t.rank(); ++i) shape[axes[axes.size() - std::size_t(i)]] = t.size(-i);
    return keratin::reshape(t, shape);
  };
  const Value center = call.constant("mean", [&] { return numbers("mean"); });
  const Value spread =
      call.constant("spread", [&] { return keratin::maximum(sqrt(numbers("variance")), 1e-7); });
  if (call.flag("invert")) return {x * spread + center};
  return {(x - center) / spread};
}

Values rescaling(Call& call) {
  const Value x = cast(call.x(), type_of(call.layer.dtype()));
  auto numbers = [&](const char* name) {
    return call.constant(name,
                         [&] { return numbers_in(call.option(name)).astype(call.layer.dtype()); });
  };
  return {x * numbers("scale") + numbers("offset")};
}

// --- categories

// As in layers/categories.cpp.
Value encoded(Call& call, Value ids, const std::string& mode, std::int64_t depth,
              const Value& weights = {}) {
  const Type type = type_of(call.layer.dtype());
  if (mode == "int") return ids;
  if (mode == "one_hot") {
    if (ids.rank() > 1 && ids.shape[-1] == 1) ids = squeeze(ids, {-1});
    return one_hot(ids, depth, type);
  }
  const Value each = one_hot(ids, depth, type);
  if (mode == "multi_hot") return reduce("ReduceMax", each, {-2});
  return reduce("ReduceSum",
                weights.defined() ? each * expand_dims(weights, {weights.rank()}) : each, {-2});
}

Values discretization(Call& call) {
  const auto boundaries = call.option<std::vector<double>>("bin_boundaries");
  if (boundaries.empty()) fail("the boundaries are not known");
  const Value x = cast(call.x(), type_of(call.layer.dtype()));
  const Value limits = call.constant("bin_boundaries", [&] {
    return numbers_in(call.option("bin_boundaries")).astype(call.layer.dtype());
  });
  const Value above = cast(logical_not(expand_dims(x, {x.rank()}) < limits), Type::int32);
  return {encoded(call, reduce("ReduceSum", above, {-1}), call.option<std::string>("output_mode"),
                  static_cast<std::int64_t>(boundaries.size()) + 1)};
}

Values category_encoding(Call& call) {
  return {encoded(call, cast(call.x(), Type::int32), call.option<std::string>("output_mode"),
                  call.option<int>("num_tokens"),
                  call.inputs.size() > 1 ? call.inputs[1] : Value())};
}

// The place of each number in the vocabulary, behind the mask token and the unknown ones.
Values integer_lookup(Call& call) {
  const auto& layer = static_cast<const IntegerLookup&>(call.layer);
  const int unknown = call.option<int>("num_oov_indices");
  const std::string mode = call.option<std::string>("output_mode");
  if (call.flag("invert")) fail("with the option invert it has no form in ONNX here");
  if (unknown != 1) fail("with num_oov_indices {} it has no form in ONNX here", unknown);
  const std::vector<std::int64_t> known = layer.get_vocabulary(false);
  if (known.empty()) fail("the vocabulary is empty");
  const bool has_mask = call.has_option("mask_token");
  const std::int64_t depth =
      call.flag("pad_to_max_tokens") ? call.option<int>("max_tokens") : layer.vocabulary_size();
  const double of_unknown = has_mask && mode == "int" ? 1 : 0;

  const Value x = cast(call.x(), Type::int64);
  const Value same = equal(expand_dims(x, {x.rank()}), call.writer.integers(known));
  const Value place = cast(node("ArgMax", {cast(same, Type::int32)}, x.shape, Type::int64,
                                {{"axis", std::int64_t{-1}}, {"keepdims", std::int64_t{0}}}),
                           Type::int32);
  Value index = where(any(same, {-1}), place + (of_unknown + 1), of_unknown);
  if (has_mask)
    index = where(equal(x, call.option<double>("mask_token")),
                  mode == "int" ? 0.0 : static_cast<double>(depth), index);
  const Value codes = encoded(call, index, mode == "tf_idf" ? "count" : mode, depth);
  if (mode != "tf_idf") return {codes};
  return {codes * call.constant("idf_weights", [&] {
    auto weights = call.option<std::vector<double>>("idf_weights");
    weights.resize(static_cast<std::size_t>(depth), 0.0);
    return tensor(weights, {depth}, call.layer.dtype());
  })};
}

// --- the same layer at each step

// Batch and time are one axis. A mask of (batch, time) alone is not for the layer inside.
Values time_distributed(Call& call) {
  const Value& x = call.x();
  auto joined = [](const Value& v) {
    Sizes sizes{None};
    for (int axis = 2; axis < v.rank(); ++axis) sizes.push_back(size_of(v, axis));
    return reshape(v, sizes);
  };
  const bool has_inner_mask = call.mask().defined() && call.mask().rank() > 2;
  const Value inner_mask = has_inner_mask ? joined(call.mask()) : Value();
  const Layer& inner = *call.layer.sublayers().at(0);
  const Value y = export_layer(call.writer, inner, {joined(x)}, {inner_mask}).first[0];
  if (has_inner_mask) {
    std::vector<int> inside;
    for (int axis = 2; axis < call.mask().rank(); ++axis) inside.push_back(axis);
    call.set_output_masks({any(call.mask(), inside)});
  }
  Sizes sizes{None, size_of(x, 1)};
  for (int axis = 1; axis < y.rank(); ++axis) sizes.push_back(size_of(y, axis));
  return {reshape(y, sizes)};
}

}  // namespace

const ExportTable& core_exports() {
  static const ExportTable table{
      {"Activation", activation},
      {"ActivityRegularization", same},
      {"Add", merge<add>},
      {"AlphaDropout", same},
      {"Average", average},
      {"BatchNormalization", batch_normalization},
      {"CategoryEncoding", category_encoding},
      {"Concatenate", concatenate_layer},
      {"Dense", dense},
      {"Discretization", discretization},
      {"Dot", dot_layer},
      {"Dropout", same},
      {"ELU", [](Call& call) -> Values { return {elu(call.x(), call.option<double>("alpha"))}; }},
      {"EinsumDense", einsum_dense},
      {"Embedding", embedding},
      {"Flatten", flatten},
      {"GaussianDropout", same},
      {"GaussianNoise", same},
      {"GroupNormalization", group_normalization},
      {"Identity", same},
      {"IntegerLookup", integer_lookup},
      {"LayerNormalization", layer_normalization},
      {"LeakyReLU",
       [](Call& call) -> Values {
         return {leaky_relu(call.x(), call.option<double>("negative_slope"))};
       }},
      {"Masking", masking},
      {"Maximum", extreme<maximum>},
      {"Minimum", extreme<minimum>},
      {"Multiply", multiply},
      {"Normalization", normalization},
      {"PReLU", prelu},
      {"Permute", permute},
      {"RMSNormalization", rms_normalization},
      {"ReLU", relu_layer},
      {"RepeatVector", repeat_vector},
      {"Rescaling", rescaling},
      {"Reshape", reshape_layer},
      {"Softmax", softmax_layer},
      {"SpatialDropout1D", same},
      {"SpatialDropout2D", same},
      {"SpatialDropout3D", same},
      {"SpectralNormalization", wrapped},
      {"Subtract", merge<subtract>},
      {"TimeDistributed", time_distributed},
      {"UnitNormalization", unit_normalization},
  };
  return table;
}

}  // namespace keratin::onnx
