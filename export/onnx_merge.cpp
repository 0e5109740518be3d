// Layers that make one tensor of several, as layers/merge.cpp states them.

#include <algorithm>

#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

namespace {

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
    x = x / maximum(root_of_squares(x, {of_x}, true), 1e-7);
    y = y / maximum(root_of_squares(y, {of_y}, true), 1e-7);
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

}  // namespace

const ExportTable& merge_exports() {
  static const ExportTable table{
      {"Add", merge<add>},    {"Average", average},          {"Concatenate", concatenate_layer},
      {"Dot", dot_layer},     {"Maximum", extreme<maximum>}, {"Minimum", extreme<minimum>},
      {"Multiply", multiply}, {"Subtract", merge<subtract>},
  };
  return table;
}

}  // namespace keratin::onnx
