// The op surface of autograd/ops.h on symbolic tensors: the same names, the same arguments. Each
// call becomes an operation of the graph, which does with tensors what the op does.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/layers/symbolic.h>

namespace keratin {

#define KERATIN_UNARY(op, Functor) SymbolicTensor op(const SymbolicTensor& x);
#define KERATIN_BINARY(op, Functor) SymbolicTensor op(const Operand& x, const Operand& y);
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#include <keratin/core/catalogue.def>

SymbolicTensor add(const Operand& x, const Operand& y);
SymbolicTensor subtract(const Operand& x, const Operand& y);
inline SymbolicTensor mul(const Operand& x, const Operand& y) { return multiply(x, y); }
inline SymbolicTensor operator+(const Operand& x, const Operand& y) { return add(x, y); }
inline SymbolicTensor operator-(const Operand& x, const Operand& y) { return subtract(x, y); }
inline SymbolicTensor operator*(const Operand& x, const Operand& y) { return multiply(x, y); }
inline SymbolicTensor operator/(const Operand& x, const Operand& y) { return divide(x, y); }
inline SymbolicTensor operator-(const SymbolicTensor& x) { return negative(x); }

SymbolicTensor celu(const SymbolicTensor& x, double alpha = 1.0);
SymbolicTensor elu(const SymbolicTensor& x, double alpha = 1.0);
SymbolicTensor leaky_relu(const SymbolicTensor& x, double negative_slope = 0.2);
SymbolicTensor gelu(const SymbolicTensor& x, bool approximate = true);
SymbolicTensor hard_shrink(const SymbolicTensor& x, double threshold = 0.5);
SymbolicTensor soft_shrink(const SymbolicTensor& x, double threshold = 0.5);
SymbolicTensor squareplus(const SymbolicTensor& x, double b = 4.0);
SymbolicTensor threshold(const SymbolicTensor& x, double threshold, double default_value);
SymbolicTensor clip(const SymbolicTensor& x, double low, double high);

SymbolicTensor equal(const Operand& x, const Operand& y);
SymbolicTensor not_equal(const Operand& x, const Operand& y);
SymbolicTensor less(const Operand& x, const Operand& y);
SymbolicTensor less_equal(const Operand& x, const Operand& y);
SymbolicTensor greater(const Operand& x, const Operand& y);
SymbolicTensor greater_equal(const Operand& x, const Operand& y);
inline SymbolicTensor operator<(const Operand& x, const Operand& y) { return less(x, y); }
inline SymbolicTensor operator<=(const Operand& x, const Operand& y) { return less_equal(x, y); }
inline SymbolicTensor operator>(const Operand& x, const Operand& y) { return greater(x, y); }
inline SymbolicTensor operator>=(const Operand& x, const Operand& y) { return greater_equal(x, y); }
SymbolicTensor logical_and(const Operand& x, const Operand& y);
SymbolicTensor logical_or(const Operand& x, const Operand& y);
SymbolicTensor logical_xor(const Operand& x, const Operand& y);
SymbolicTensor logical_not(const SymbolicTensor& x);
SymbolicTensor isnan(const SymbolicTensor& x);
SymbolicTensor isinf(const SymbolicTensor& x);
SymbolicTensor isfinite(const SymbolicTensor& x);
SymbolicTensor where(const Operand& condition, const Operand& x, const Operand& y);

SymbolicTensor sum(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor mean(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor max(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor min(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor prod(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor var(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor std(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor logsumexp(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor norm(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor any(const SymbolicTensor& x, const Axes& axes = {}, bool keepdims = false);
SymbolicTensor argmax(const SymbolicTensor& x, int axis, bool keepdims = false);
SymbolicTensor argmin(const SymbolicTensor& x, int axis, bool keepdims = false);
SymbolicTensor cumsum(const SymbolicTensor& x, int axis);
SymbolicTensor cumprod(const SymbolicTensor& x, int axis);

SymbolicTensor dot(const Operand& x, const Operand& y);
SymbolicTensor matmul(const Operand& x, const Operand& y);
SymbolicTensor einsum(std::string_view equation, const SymbolicTensors& operands);
SymbolicTensor resize(const SymbolicTensor& images, const std::array<std::int64_t, 2>& size,
                      const ResizeOptions& options = {});
SymbolicTensor softmax(const SymbolicTensor& x, int axis = -1);
SymbolicTensor log_softmax(const SymbolicTensor& x, int axis = -1);
SymbolicTensor sparsemax(const SymbolicTensor& x, int axis = -1);
SymbolicTensor glu(const SymbolicTensor& x, int axis = -1);

/// The first size may be -1: as many samples as there are.
SymbolicTensor reshape(const SymbolicTensor& x, const Shape& shape);
SymbolicTensor transpose(const SymbolicTensor& x, std::vector<int> axes = {});
SymbolicTensor swapaxes(const SymbolicTensor& x, int axis1, int axis2);
SymbolicTensor moveaxis(const SymbolicTensor& x, int source, int destination);
SymbolicTensor expand_dims(const SymbolicTensor& x, int axis);
SymbolicTensor squeeze(const SymbolicTensor& x, const Axes& axes = {});
SymbolicTensor flip(const SymbolicTensor& x, const Axes& axes = {});
SymbolicTensor roll(const SymbolicTensor& x, std::int64_t shift);
SymbolicTensor roll(const SymbolicTensor& x, std::int64_t shift, int axis);
SymbolicTensor concatenate(const SymbolicTensors& parts, int axis = -1);
SymbolicTensor stack(const SymbolicTensors& parts, int axis = 0);
/// Equal parts: the outputs of one operation.
SymbolicTensor split(const SymbolicTensor& x, int parts, int axis = 0);
SymbolicTensor repeat(const SymbolicTensor& x, std::int64_t repeats, int axis);
SymbolicTensor pad(const SymbolicTensor& x, const std::vector<std::array<std::int64_t, 2>>& widths,
                   double constant = 0);
SymbolicTensor tile(const SymbolicTensor& x, const std::vector<std::int64_t>& repeats);
SymbolicTensor diagonal(const SymbolicTensor& x, int offset = 0);
SymbolicTensor tril(const SymbolicTensor& x, int k = 0);
SymbolicTensor triu(const SymbolicTensor& x, int k = 0);
SymbolicTensor sliding_window(const SymbolicTensor& x, int axis, std::int64_t size,
                              std::int64_t step = 1);
SymbolicTensor sort(const SymbolicTensor& x, int axis = -1);
SymbolicTensor argsort(const SymbolicTensor& x, int axis = -1);
/// Values and indices: the outputs of one operation.
SymbolicTensor top_k(const SymbolicTensor& x, std::int64_t k, bool sorted = true);
SymbolicTensor searchsorted(const Operand& sorted_sequence, const Operand& values,
                            std::string_view side = "left");
SymbolicTensor astype(const SymbolicTensor& x, DType dtype);
SymbolicTensor slice(const SymbolicTensor& x, const std::vector<Index>& indices);
SymbolicTensor take(const Operand& x, const Operand& indices, int axis);
SymbolicTensor take_along_axis(const Operand& x, const Operand& indices, int axis);
SymbolicTensor one_hot(const SymbolicTensor& indices, std::int64_t classes, DType dtype = float32);
SymbolicTensor stop_gradient(const SymbolicTensor& x);

}  // namespace keratin
