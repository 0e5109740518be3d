#include <keratin/layers/symbolic_ops.h>

namespace keratin {
namespace {

SymbolicTensor unary(const char* name, const SymbolicTensor& x, auto f) {
  return operation(name, [f](const Tensors& in) -> Tensors { return {f(in[0])}; }, {x});
}
SymbolicTensor binary(const char* name, const Operand& x, const Operand& y, auto f) {
  return operation(name, [f](const Tensors& in) -> Tensors { return {f(in[0], in[1])}; }, {x, y});
}

}  // namespace

#define KERATIN_UNARY(op, Functor)                               \
  SymbolicTensor op(const SymbolicTensor& x) {                   \
    return unary(#op, x, [](const Tensor& t) { return op(t); }); \
  }
#define KERATIN_BINARY(op, Functor)                                                      \
  SymbolicTensor op(const Operand& x, const Operand& y) {                                \
    return binary(#op, x, y, [](const Tensor& a, const Tensor& b) { return op(a, b); }); \
  }
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#include <keratin/core/catalogue.def>

SymbolicTensor add(const Operand& x, const Operand& y) {
  return binary("add", x, y, [](const Tensor& a, const Tensor& b) { return add(a, b); });
}
SymbolicTensor subtract(const Operand& x, const Operand& y) {
  return binary("subtract", x, y, [](const Tensor& a, const Tensor& b) { return subtract(a, b); });
}
SymbolicTensor celu(const SymbolicTensor& x, double alpha) {
  return unary("celu", x, [=](const Tensor& t) { return celu(t, alpha); });
}
SymbolicTensor elu(const SymbolicTensor& x, double alpha) {
  return unary("elu", x, [=](const Tensor& t) { return elu(t, alpha); });
}
SymbolicTensor leaky_relu(const SymbolicTensor& x, double negative_slope) {
  return unary("leaky_relu", x, [=](const Tensor& t) { return leaky_relu(t, negative_slope); });
}
SymbolicTensor gelu(const SymbolicTensor& x, bool approximate) {
  return unary("gelu", x, [=](const Tensor& t) { return gelu(t, approximate); });
}
SymbolicTensor hard_shrink(const SymbolicTensor& x, double threshold) {
  return unary("hard_shrink", x, [=](const Tensor& t) { return hard_shrink(t, threshold); });
}
SymbolicTensor soft_shrink(const SymbolicTensor& x, double threshold) {
  return unary("soft_shrink", x, [=](const Tensor& t) { return soft_shrink(t, threshold); });
}
SymbolicTensor squareplus(const SymbolicTensor& x, double b) {
  return unary("squareplus", x, [=](const Tensor& t) { return squareplus(t, b); });
}
SymbolicTensor threshold(const SymbolicTensor& x, double threshold, double default_value) {
  return unary("threshold", x,
               [=](const Tensor& t) { return keratin::threshold(t, threshold, default_value); });
}
SymbolicTensor clip(const SymbolicTensor& x, double low, double high) {
  return unary("clip", x, [=](const Tensor& t) { return clip(t, low, high); });
}
SymbolicTensor equal(const Operand& x, const Operand& y) {
  return binary("equal", x, y, [](const Tensor& a, const Tensor& b) { return equal(a, b); });
}
SymbolicTensor not_equal(const Operand& x, const Operand& y) {
  return binary("not_equal", x, y,
                [](const Tensor& a, const Tensor& b) { return not_equal(a, b); });
}
SymbolicTensor less(const Operand& x, const Operand& y) {
  return binary("less", x, y, [](const Tensor& a, const Tensor& b) { return less(a, b); });
}
SymbolicTensor less_equal(const Operand& x, const Operand& y) {
  return binary("less_equal", x, y,
                [](const Tensor& a, const Tensor& b) { return less_equal(a, b); });
}
SymbolicTensor greater(const Operand& x, const Operand& y) {
  return binary("greater", x, y, [](const Tensor& a, const Tensor& b) { return greater(a, b); });
}
SymbolicTensor greater_equal(const Operand& x, const Operand& y) {
  return binary("greater_equal", x, y,
                [](const Tensor& a, const Tensor& b) { return greater_equal(a, b); });
}
SymbolicTensor logical_and(const Operand& x, const Operand& y) {
  return binary("logical_and", x, y,
                [](const Tensor& a, const Tensor& b) { return logical_and(a, b); });
}
SymbolicTensor logical_or(const Operand& x, const Operand& y) {
  return binary("logical_or", x, y,
                [](const Tensor& a, const Tensor& b) { return logical_or(a, b); });
}
SymbolicTensor logical_xor(const Operand& x, const Operand& y) {
  return binary("logical_xor", x, y,
                [](const Tensor& a, const Tensor& b) { return logical_xor(a, b); });
}
SymbolicTensor logical_not(const SymbolicTensor& x) {
  return unary("logical_not", x, [](const Tensor& t) { return logical_not(t); });
}
SymbolicTensor isnan(const SymbolicTensor& x) {
  return unary("isnan", x, [](const Tensor& t) { return isnan(t); });
}
SymbolicTensor isinf(const SymbolicTensor& x) {
  return unary("isinf", x, [](const Tensor& t) { return isinf(t); });
}
SymbolicTensor isfinite(const SymbolicTensor& x) {
  return unary("isfinite", x, [](const Tensor& t) { return isfinite(t); });
}
SymbolicTensor where(const Operand& condition, const Operand& x, const Operand& y) {
  return operation("where",
                   [](const Tensors& in) -> Tensors { return {where(in[0], in[1], in[2])}; },
                   {condition, x, y});
}
SymbolicTensor sum(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("sum", x, [=](const Tensor& t) { return sum(t, axes, keepdims); });
}
SymbolicTensor mean(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("mean", x, [=](const Tensor& t) { return mean(t, axes, keepdims); });
}
SymbolicTensor max(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("max", x, [=](const Tensor& t) { return max(t, axes, keepdims); });
}
SymbolicTensor min(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("min", x, [=](const Tensor& t) { return min(t, axes, keepdims); });
}
SymbolicTensor prod(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("prod", x, [=](const Tensor& t) { return prod(t, axes, keepdims); });
}
SymbolicTensor var(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("var", x, [=](const Tensor& t) { return var(t, axes, keepdims); });
}
SymbolicTensor std(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("std", x, [=](const Tensor& t) { return std(t, axes, keepdims); });
}
SymbolicTensor logsumexp(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("logsumexp", x, [=](const Tensor& t) { return logsumexp(t, axes, keepdims); });
}
SymbolicTensor norm(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("norm", x, [=](const Tensor& t) { return norm(t, axes, keepdims); });
}
SymbolicTensor any(const SymbolicTensor& x, const Axes& axes, bool keepdims) {
  return unary("any", x, [=](const Tensor& t) { return any(t, axes, keepdims); });
}
SymbolicTensor argmax(const SymbolicTensor& x, int axis, bool keepdims) {
  return unary("argmax", x, [=](const Tensor& t) { return argmax(t, axis, keepdims); });
}
SymbolicTensor argmin(const SymbolicTensor& x, int axis, bool keepdims) {
  return unary("argmin", x, [=](const Tensor& t) { return argmin(t, axis, keepdims); });
}
SymbolicTensor cumsum(const SymbolicTensor& x, int axis) {
  return unary("cumsum", x, [=](const Tensor& t) { return cumsum(t, axis); });
}
SymbolicTensor cumprod(const SymbolicTensor& x, int axis) {
  return unary("cumprod", x, [=](const Tensor& t) { return cumprod(t, axis); });
}
SymbolicTensor dot(const Operand& x, const Operand& y) {
  return binary("dot", x, y, [](const Tensor& a, const Tensor& b) { return dot(a, b); });
}
SymbolicTensor matmul(const Operand& x, const Operand& y) {
  return binary("matmul", x, y, [](const Tensor& a, const Tensor& b) { return matmul(a, b); });
}
SymbolicTensor einsum(std::string_view equation, const SymbolicTensors& operands) {
  const std::string text(equation);
  return operation("einsum", [text](const Tensors& in) -> Tensors { return {einsum(text, in)}; },
                   {operands.begin(), operands.end()});
}
SymbolicTensor softmax(const SymbolicTensor& x, int axis) {
  return unary("softmax", x, [=](const Tensor& t) { return softmax(t, axis); });
}
SymbolicTensor log_softmax(const SymbolicTensor& x, int axis) {
  return unary("log_softmax", x, [=](const Tensor& t) { return log_softmax(t, axis); });
}
SymbolicTensor sparsemax(const SymbolicTensor& x, int axis) {
  return unary("sparsemax", x, [=](const Tensor& t) { return sparsemax(t, axis); });
}
SymbolicTensor glu(const SymbolicTensor& x, int axis) {
  return unary("glu", x, [=](const Tensor& t) { return glu(t, axis); });
}
SymbolicTensor reshape(const SymbolicTensor& x, const Shape& shape) {
  return unary("reshape", x, [=](const Tensor& t) { return reshape(t, shape); });
}
SymbolicTensor transpose(const SymbolicTensor& x, std::vector<int> axes) {
  return unary("transpose", x, [=](const Tensor& t) { return transpose(t, axes); });
}
SymbolicTensor swapaxes(const SymbolicTensor& x, int axis1, int axis2) {
  return unary("swapaxes", x, [=](const Tensor& t) { return swapaxes(t, axis1, axis2); });
}
SymbolicTensor moveaxis(const SymbolicTensor& x, int source, int destination) {
  return unary("moveaxis", x, [=](const Tensor& t) { return moveaxis(t, source, destination); });
}
SymbolicTensor expand_dims(const SymbolicTensor& x, int axis) {
  return unary("expand_dims", x, [=](const Tensor& t) { return expand_dims(t, axis); });
}
SymbolicTensor squeeze(const SymbolicTensor& x, const Axes& axes) {
  return unary("squeeze", x, [=](const Tensor& t) { return squeeze(t, axes); });
}
SymbolicTensor flip(const SymbolicTensor& x, const Axes& axes) {
  return unary("flip", x, [=](const Tensor& t) { return flip(t, axes); });
}
SymbolicTensor concatenate(const SymbolicTensors& parts, int axis) {
  return operation("concatenate",
                   [=](const Tensors& in) -> Tensors { return {concatenate(in, axis)}; },
                   {parts.begin(), parts.end()});
}
SymbolicTensor stack(const SymbolicTensors& parts, int axis) {
  return operation("stack", [=](const Tensors& in) -> Tensors { return {stack(in, axis)}; },
                   {parts.begin(), parts.end()});
}
SymbolicTensor split(const SymbolicTensor& x, int parts, int axis) {
  return operation("split", [=](const Tensors& in) { return split(in[0], parts, axis); }, {x});
}
SymbolicTensor repeat(const SymbolicTensor& x, std::int64_t repeats, int axis) {
  return unary("repeat", x, [=](const Tensor& t) { return repeat(t, repeats, axis); });
}
SymbolicTensor pad(const SymbolicTensor& x, const std::vector<std::array<std::int64_t, 2>>& widths,
                   double constant) {
  return unary("pad", x, [=](const Tensor& t) { return pad(t, widths, constant); });
}
SymbolicTensor tile(const SymbolicTensor& x, const std::vector<std::int64_t>& repeats) {
  return unary("tile", x, [=](const Tensor& t) { return tile(t, repeats); });
}
SymbolicTensor diagonal(const SymbolicTensor& x, int offset) {
  return unary("diagonal", x, [=](const Tensor& t) { return diagonal(t, offset); });
}
SymbolicTensor sliding_window(const SymbolicTensor& x, int axis, std::int64_t size,
                              std::int64_t step) {
  return unary("sliding_window", x,
               [=](const Tensor& t) { return sliding_window(t, axis, size, step); });
}
SymbolicTensor sort(const SymbolicTensor& x, int axis) {
  return unary("sort", x, [=](const Tensor& t) { return sort(t, axis); });
}
SymbolicTensor argsort(const SymbolicTensor& x, int axis) {
  return unary("argsort", x, [=](const Tensor& t) { return argsort(t, axis); });
}
SymbolicTensor astype(const SymbolicTensor& x, DType dtype) {
  return unary("astype", x, [=](const Tensor& t) { return astype(t, dtype); });
}
SymbolicTensor slice(const SymbolicTensor& x, const std::vector<Index>& indices) {
  return unary("slice", x, [=](const Tensor& t) { return slice(t, indices); });
}
SymbolicTensor take(const Operand& x, const Operand& indices, int axis) {
  return binary("take", x, indices,
                [=](const Tensor& a, const Tensor& b) { return take(a, b, axis); });
}
SymbolicTensor take_along_axis(const Operand& x, const Operand& indices, int axis) {
  return binary("take_along_axis", x, indices,
                [=](const Tensor& a, const Tensor& b) { return take_along_axis(a, b, axis); });
}
SymbolicTensor one_hot(const SymbolicTensor& indices, std::int64_t classes, DType dtype) {
  return unary("one_hot", indices, [=](const Tensor& t) { return one_hot(t, classes, dtype); });
}
SymbolicTensor stop_gradient(const SymbolicTensor& x) {
  return unary("stop_gradient", x, [](const Tensor& t) { return stop_gradient(t); });
}

}  // namespace keratin
