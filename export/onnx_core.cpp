// Layers that are not about windows, time or attention, and no merges: dense ones, shapes,
// activations. Each states what the layer's own file under layers/ does outside of training.

#include <cmath>

#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

Value without_padding(const Value& x, const Value& mask) {
  return mask.defined() ? where(with_rank(mask, x.rank()), x, 0.0) : x;
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

Values softmax_layer(Call& call) {
  const Value x = to_float(call.x());
  if (!call.mask().defined()) return {softmax(x, call.axes())};
  const Value counts = with_rank(call.mask(), x.rank());
  return {where(counts, softmax(where(counts, x, -1e9), call.axes()), 0.0)};
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
      {"AlphaDropout", same},
      {"Dense", dense},
      {"Dropout", same},
      {"ELU", [](Call& call) -> Values { return {elu(call.x(), call.option<double>("alpha"))}; }},
      {"EinsumDense", einsum_dense},
      {"Embedding", embedding},
      {"Flatten", flatten},
      {"GaussianDropout", same},
      {"GaussianNoise", same},
      {"Identity", same},
      {"LeakyReLU",
       [](Call& call) -> Values {
         return {leaky_relu(call.x(), call.option<double>("negative_slope"))};
       }},
      {"Masking", masking},
      {"PReLU", prelu},
      {"Permute", permute},
      {"ReLU", relu_layer},
      {"RepeatVector", repeat_vector},
      {"Reshape", reshape_layer},
      {"Softmax", softmax_layer},
      {"SpatialDropout1D", same},
      {"SpatialDropout2D", same},
      {"SpatialDropout3D", same},
      {"TimeDistributed", time_distributed},
  };
  return table;
}

}  // namespace keratin::onnx
