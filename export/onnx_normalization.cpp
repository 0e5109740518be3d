// Normalisation, as layers/normalization.cpp states it outside of training.

#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

Value root_of_squares(const Value& x, const std::vector<int>& axes, bool keepdims) {
  return unary("Sqrt", reduce("ReduceSum", x * x, axes, keepdims));
}

namespace {

/// The sorted axes, counted from 0.
std::vector<int> sorted_axes(const Call& call) {
  std::vector<int> axes = call.axes();
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
  return {call.x() / maximum(root_of_squares(call.x(), call.axes(), true), 1e-12)};
}

// Outside of training the layer inside has the kernel that was found.
Values wrapped(Call& call) {
  const Layer& inner = *call.layer.sublayers().at(0);
  auto [outputs, masks] = export_layer(call.writer, inner, call.inputs, call.masks);
  return outputs;
}

}  // namespace

const ExportTable& normalization_exports() {
  static const ExportTable table{
      {"BatchNormalization", batch_normalization}, {"GroupNormalization", group_normalization},
      {"LayerNormalization", layer_normalization}, {"RMSNormalization", rms_normalization},
      {"SpectralNormalization", wrapped},          {"UnitNormalization", unit_normalization},
  };
  return table;
}

}  // namespace keratin::onnx
