// The ops on symbolic tensors: each states its attributes by Keras's names; layers/operations.cpp
// makes the op of them.

#include <keratin/layers/internal/operation.h>
#include <keratin/layers/symbolic_ops.h>

namespace keratin {
namespace {

SymbolicTensor call(const char* op, const Config& attributes,
                    const std::vector<Operand>& operands) {
  return operation(op_named(op), attributes, operands);
}

Option to_option(const Axes& axes) {
  if (axes.all()) return {};
  if (axes.list().size() == 1) return axes.list()[0];
  return keratin::to_option(axes.list());
}
Option list_of(const auto& numbers) {
  std::vector<Option> list;
  for (auto number : numbers) list.push_back(static_cast<std::int64_t>(number));
  return list;
}
Option to_option(const Index& index) {
  const Range range = index.range();
  if (index.is_single()) return range.start;
  auto limit = [](std::int64_t value) { return value == Range::open ? Option() : Option(value); };
  return Config{{"class_name", "__slice__"},
                {"config", Config{{"start", limit(range.start)},
                                  {"stop", limit(range.stop)},
                                  {"step", range.step == 1 ? Option() : Option(range.step)}}}};
}

}  // namespace

#define KERATIN_UNARY(op, Functor) \
  SymbolicTensor op(const SymbolicTensor& x) { return call(#op, {}, {x}); }
#define KERATIN_BINARY(op, Functor) \
  SymbolicTensor op(const Operand& x, const Operand& y) { return call(#op, {}, {x, y}); }
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#include <keratin/core/catalogue.def>

SymbolicTensor add(const Operand& x, const Operand& y) { return call("add", {}, {x, y}); }
SymbolicTensor subtract(const Operand& x, const Operand& y) { return call("subtract", {}, {x, y}); }
SymbolicTensor dot(const Operand& x, const Operand& y) { return call("dot", {}, {x, y}); }
SymbolicTensor matmul(const Operand& x, const Operand& y) { return call("matmul", {}, {x, y}); }
SymbolicTensor equal(const Operand& x, const Operand& y) { return call("equal", {}, {x, y}); }
SymbolicTensor not_equal(const Operand& x, const Operand& y) {
  return call("not_equal", {}, {x, y});
}
SymbolicTensor less(const Operand& x, const Operand& y) { return call("less", {}, {x, y}); }
SymbolicTensor less_equal(const Operand& x, const Operand& y) {
  return call("less_equal", {}, {x, y});
}
SymbolicTensor greater(const Operand& x, const Operand& y) { return call("greater", {}, {x, y}); }
SymbolicTensor greater_equal(const Operand& x, const Operand& y) {
  return call("greater_equal", {}, {x, y});
}
SymbolicTensor logical_and(const Operand& x, const Operand& y) {
  return call("logical_and", {}, {x, y});
}
SymbolicTensor logical_or(const Operand& x, const Operand& y) {
  return call("logical_or", {}, {x, y});
}
SymbolicTensor logical_xor(const Operand& x, const Operand& y) {
  return call("logical_xor", {}, {x, y});
}
SymbolicTensor logical_not(const SymbolicTensor& x) { return call("logical_not", {}, {x}); }
SymbolicTensor isnan(const SymbolicTensor& x) { return call("isnan", {}, {x}); }
SymbolicTensor isinf(const SymbolicTensor& x) { return call("isinf", {}, {x}); }
SymbolicTensor isfinite(const SymbolicTensor& x) { return call("isfinite", {}, {x}); }
SymbolicTensor stop_gradient(const SymbolicTensor& x) { return call("stop_gradient", {}, {x}); }
SymbolicTensor sum(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("sum", {{"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor mean(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("mean", {{"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor max(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("max", {{"axis", to_option(axes)}, {"keepdims", keepdims}, {"initial", {}}}, {x});
}
SymbolicTensor min(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("min", {{"axis", to_option(axes)}, {"keepdims", keepdims}, {"initial", {}}}, {x});
}
SymbolicTensor prod(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("prod", {{"axis", to_option(axes)}, {"keepdims", keepdims}, {"dtype", {}}}, {x});
}
SymbolicTensor var(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("var", {{"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor std(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("std", {{"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor logsumexp(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("logsumexp", {{"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor any(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("any", {{"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor norm(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return call("norm", {{"ord", {}}, {"axis", to_option(axes)}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor argmax(const SymbolicTensor& x, int axis, bool keepdims) {
  return call("argmax", {{"axis", axis}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor argmin(const SymbolicTensor& x, int axis, bool keepdims) {
  return call("argmin", {{"axis", axis}, {"keepdims", keepdims}}, {x});
}
SymbolicTensor cumsum(const SymbolicTensor& x, int axis) {
  return call("cumsum", {{"axis", axis}, {"dtype", {}}}, {x});
}
SymbolicTensor cumprod(const SymbolicTensor& x, int axis) {
  return call("cumprod", {{"axis", axis}, {"dtype", {}}}, {x});
}
SymbolicTensor resize(const SymbolicTensor& images, const std::array<std::int64_t, 2>& size,
                      const ResizeOptions& o) {
  return call("resize",
              {{"size", list_of(size)},
               {"interpolation", o.interpolation},
               {"antialias", o.antialias},
               {"crop_to_aspect_ratio", o.crop_to_aspect_ratio},
               {"pad_to_aspect_ratio", o.pad_to_aspect_ratio},
               {"fill_mode", "constant"},
               {"fill_value", o.fill_value},
               {"data_format", o.data_format}},
              {images});
}
SymbolicTensor softmax(const SymbolicTensor& x, int axis) {
  return call("softmax", {{"axis", axis}}, {x});
}
SymbolicTensor log_softmax(const SymbolicTensor& x, int axis) {
  return call("log_softmax", {{"axis", axis}}, {x});
}
SymbolicTensor sparsemax(const SymbolicTensor& x, int axis) {
  return call("sparsemax", {{"axis", axis}}, {x});
}
SymbolicTensor glu(const SymbolicTensor& x, int axis) { return call("glu", {{"axis", axis}}, {x}); }
SymbolicTensor expand_dims(const SymbolicTensor& x, int axis) {
  return call("expand_dims", {{"axis", axis}}, {x});
}
SymbolicTensor sort(const SymbolicTensor& x, int axis) {
  return call("sort", {{"axis", axis}}, {x});
}
SymbolicTensor argsort(const SymbolicTensor& x, int axis) {
  return call("argsort", {{"axis", axis}}, {x});
}
SymbolicTensor celu(const SymbolicTensor& x, double alpha) {
  return call("celu", {{"alpha", alpha}}, {x});
}
SymbolicTensor elu(const SymbolicTensor& x, double alpha) {
  return call("elu", {{"alpha", alpha}}, {x});
}
SymbolicTensor leaky_relu(const SymbolicTensor& x, double negative_slope) {
  return call("leaky_relu", {{"negative_slope", negative_slope}}, {x});
}
SymbolicTensor squareplus(const SymbolicTensor& x, double b) {
  return call("squareplus", {{"b", b}}, {x});
}
SymbolicTensor hard_shrink(const SymbolicTensor& x, double threshold) {
  return call("hard_shrink", {{"threshold", threshold}}, {x});
}
SymbolicTensor soft_shrink(const SymbolicTensor& x, double threshold) {
  return call("soft_shrink", {{"threshold", threshold}}, {x});
}
SymbolicTensor gelu(const SymbolicTensor& x, bool approximate) {
  return call("gelu", {{"approximate", approximate}}, {x});
}
SymbolicTensor threshold(const SymbolicTensor& x, double threshold, double default_value) {
  return call("threshold", {{"threshold", threshold}, {"default_value", default_value}}, {x});
}
SymbolicTensor clip(const SymbolicTensor& x, double low, double high) {
  return call("clip", {{"x_min", low}, {"x_max", high}}, {x});
}
SymbolicTensor where(const Operand& condition, const Operand& x, const Operand& y) {
  return call("where", {}, {condition, x, y});
}
SymbolicTensor einsum(std::string_view equation, const SymbolicTensors& operands) {
  return call("einsum", {{"subscripts", std::string(equation)}},
              {operands.begin(), operands.end()});
}
SymbolicTensor reshape(const SymbolicTensor& x, const Shape& shape) {
  return call("reshape", {{"newshape", list_of(shape)}}, {x});
}
SymbolicTensor transpose(const SymbolicTensor& x, std::vector<int> axes) {
  return call("transpose", {{"axes", keratin::to_option(axes)}}, {x});
}
SymbolicTensor swapaxes(const SymbolicTensor& x, int axis1, int axis2) {
  return call("swapaxes", {{"axis1", axis1}, {"axis2", axis2}}, {x});
}
SymbolicTensor moveaxis(const SymbolicTensor& x, int source, int destination) {
  return call("moveaxis", {{"source", source}, {"destination", destination}}, {x});
}
SymbolicTensor squeeze(const SymbolicTensor& x, const Axes& axes) {
  return call("squeeze", {{"axis", to_option(axes)}}, {x});
}
SymbolicTensor flip(const SymbolicTensor& x, const Axes& axes) {
  return call("flip", {{"axis", to_option(axes)}}, {x});
}
SymbolicTensor roll(const SymbolicTensor& x, std::int64_t shift) {
  return call("roll", {{"shift", shift}, {"axis", {}}}, {x});
}
SymbolicTensor roll(const SymbolicTensor& x, std::int64_t shift, int axis) {
  return call("roll", {{"shift", shift}, {"axis", axis}}, {x});
}
SymbolicTensor concatenate(const SymbolicTensors& parts, int axis) {
  return call("concatenate", {{"axis", axis}}, {parts.begin(), parts.end()});
}
SymbolicTensor stack(const SymbolicTensors& parts, int axis) {
  return call("stack", {{"axis", axis}}, {parts.begin(), parts.end()});
}
SymbolicTensor split(const SymbolicTensor& x, int parts, int axis) {
  return call("split", {{"indices_or_sections", parts}, {"axis", axis}}, {x});
}
SymbolicTensor repeat(const SymbolicTensor& x, std::int64_t repeats, int axis) {
  return call("repeat", {{"repeats", repeats}, {"axis", axis}}, {x});
}
SymbolicTensor pad(const SymbolicTensor& x, const std::vector<std::array<std::int64_t, 2>>& widths,
                   double constant) {
  std::vector<Option> pairs;
  for (const auto& pair : widths) pairs.push_back(list_of(pair));
  return call("pad",
              {{"pad_width", pairs},
               {"mode", "constant"},
               {"constant_values", constant == 0 ? Option() : Option(constant)}},
              {x});
}
SymbolicTensor tile(const SymbolicTensor& x, const std::vector<std::int64_t>& repeats) {
  return call("tile", {{"repeats", list_of(repeats)}}, {x});
}
SymbolicTensor diagonal(const SymbolicTensor& x, int offset) {
  return call("diagonal", {{"offset", offset}, {"axis1", -2}, {"axis2", -1}}, {x});
}
SymbolicTensor tril(const SymbolicTensor& x, int k) { return call("tril", {{"k", k}}, {x}); }
SymbolicTensor triu(const SymbolicTensor& x, int k) { return call("triu", {{"k", k}}, {x}); }
SymbolicTensor sliding_window(const SymbolicTensor& x, int axis, std::int64_t size,
                              std::int64_t step) {
  return call("sliding_window", {{"axis", axis}, {"size", size}, {"step", step}}, {x});
}
SymbolicTensor top_k(const SymbolicTensor& x, std::int64_t k, bool sorted) {
  return call("top_k", {{"k", k}, {"sorted", sorted}}, {x});
}
SymbolicTensor searchsorted(const Operand& sorted_sequence, const Operand& values,
                            std::string_view side) {
  return call("searchsorted", {{"side", std::string(side)}}, {sorted_sequence, values});
}
SymbolicTensor astype(const SymbolicTensor& x, DType dtype) {
  return call("astype", {{"dtype", std::string(name_of(dtype))}}, {x});
}
SymbolicTensor slice(const SymbolicTensor& x, const std::vector<Index>& indices) {
  std::vector<Option> key;
  for (const Index& index : indices) key.push_back(to_option(index));
  return call("slice", {{"key", key}}, {x});
}
SymbolicTensor take(const Operand& x, const Operand& indices, int axis) {
  return call("take", {{"axis", axis}}, {x, indices});
}
SymbolicTensor take_along_axis(const Operand& x, const Operand& indices, int axis) {
  return call("take_along_axis", {{"axis", axis}}, {x, indices});
}
SymbolicTensor one_hot(const SymbolicTensor& indices, std::int64_t classes, DType dtype) {
  return call("one_hot",
              {{"num_classes", classes},
               {"axis", -1},
               {"dtype", std::string(name_of(dtype))},
               {"sparse", false}},
              {indices});
}

}  // namespace keratin
