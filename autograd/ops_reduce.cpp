// Reductions. A device reduces one axis of a dense array at a time; neighbouring axes are joined
// first. Sum, max and min are kernels, the others are composed.

#include <algorithm>

#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

/// The axes as a set: true where reduced.
std::vector<bool> chosen(const char* who, const Tensor& x, const Axes& axes) {
  std::vector<bool> reduced(static_cast<std::size_t>(x.rank()), axes.all());
  for (int axis : axes.list()) {
    std::size_t a = static_cast<std::size_t>(normalize_axis(axis, x.rank(), who));
    if (reduced[a]) fail("{}: axis {} is named twice", who, axis);
    reduced[a] = true;
  }
  return reduced;
}

// For an op made of others, so that the message has its own name.
void check_axes(const char* who, const Tensor& x, const Axes& axes) { chosen(who, x, axes); }

Shape kept_shape(const Shape& shape, const std::vector<bool>& reduced) {
  Shape kept = shape;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (reduced[axis]) kept[axis] = 1;
  return kept;
}

Shape dropped_shape(const Shape& shape, const std::vector<bool>& reduced) {
  Shape dropped;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (!reduced[axis]) dropped.push_back(shape[axis]);
  return dropped;
}

std::int64_t count_of(const Shape& shape, const std::vector<bool>& reduced) {
  std::int64_t count = 1;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (reduced[axis]) count *= shape[axis];
  return count;
}

// Whether one axis is reduced. As long as the last one is dense, whole rows are then combined one
// after the other, or each row in itself: the order of the other axes in memory does not matter.
bool reduces_one_axis(const Tensor& x, const std::vector<bool>& reduced) {
  int count = 0;
  for (int axis = 0; axis < x.rank(); ++axis) count += reduced[axis] && x.shape()[axis] > 1;
  return count == 1 && x.shape()[-1] > 1;
}

// The values alone, of keepdims shape: one kernel call for each run of neighbouring axes.
Tensor reduce_values(Reduction op, const Tensor& x, const std::vector<bool>& reduced) {
  if (!x.is_contiguous() && reduces_one_axis(x, reduced)) {
    MemoryOrder order = memory_order(x);
    if (order.dense && order.axes.back() == x.rank() - 1) {
      std::vector<bool> reduced_there;
      for (int axis : order.axes) reduced_there.push_back(reduced[axis]);
      return permuted_view(reduce_values(op, permuted_view(x, order.axes), reduced_there),
                           order.position);
    }
  }
  Tensor y = contiguous(x);
  int axis = x.rank() - 1;
  while (axis >= 0) {
    if (!reduced[axis]) {
      --axis;
      continue;
    }
    int last = axis;
    while (axis >= 0 && reduced[axis]) --axis;
    int first = axis + 1;
    Shape joined, result = y.shape();
    std::int64_t n = 1;
    for (int i = 0; i < y.rank(); ++i) {
      if (i < first || i > last) joined.push_back(y.shape()[i]);
      if (i >= first && i <= last) n *= y.shape()[i], result[i] = 1;
      if (i == last) joined.push_back(n);
    }
    Tensor z = empty(result, y.dtype(), y.device());
    kernels_of(y).reduce(op, z, make_view(y, joined, contiguous_strides(joined)), first);
    y = z;
  }
  return y;
}

Tensor drop(const Tensor& kept, const std::vector<bool>& reduced, bool keepdims) {
  return keepdims ? kept : reshape(kept, dropped_shape(kept.shape(), reduced));
}

Tensor as_number(const Tensor& x) { return x.dtype() == boolean ? x.astype(int32) : x; }
Tensor as_real(const Tensor& x) { return is_floating(x.dtype()) ? x : x.astype(floatx()); }

Tensor extremum(const char* name, Reduction op, const Tensor& input, const Axes& axes,
                bool keepdims) {
  Tensor x = as_number(input);
  std::vector<bool> reduced = chosen(name, x, axes);
  if (count_of(x.shape(), reduced) == 0) fail("{}: nothing to reduce in shape {}", name, x.shape());
  Tensor y = reduce_values(op, x, reduced);
  if (y.shape() == x.shape()) y = make_view(y, y.shape(), y.strides());
  // The mask of ties is a constant; what flows through it is linear in g. Where y is NaN,
  // nothing equals y, and the gradient of the NaN entries is NaN.
  Tensor kept = record(name, y, wrt(x, [x = save(x), y = save(y), reduced](const Tensor& g) {
                         Tensor ties = equal(*x, *y), rest = stop_gradient(*x);
                         std::vector<int> list;
                         for (int i = 0; i < static_cast<int>(reduced.size()); ++i)
                           if (reduced[i]) list.push_back(i);
                         return where(ties, g / sum(ties.astype(g.dtype()), list, true),
                                      where(isnan(rest), rest, 0.0));
                       }));
  return drop(kept, reduced, keepdims);
}

// The index of an entry is an int32.
void check_count(const char* name, std::int64_t count) {
  if (count > INT32_MAX) fail("{}: expected at most {} entries, got {}", name, INT32_MAX, count);
}

Tensor arg_reduce(const char* name, bool largest, const Tensor& x, int axis, bool keepdims) {
  int a = normalize_axis(axis, x.rank(), name);
  if (x.shape()[a] == 0) fail("{}: nothing to reduce in shape {}", name, x.shape());
  check_count(name, x.shape()[a]);
  Tensor y = empty(x.shape().with(a, 1), int32, x.device());
  Tensor dense = contiguous(cast(x, x.dtype()));
  kernels_of(x).arg_reduce(largest, y, dense, a);
  return keepdims ? y : reshape(y, y.shape().without(a));
}

Tensor arg_reduce_all(const char* name, bool largest, const Tensor& x, bool keepdims) {
  check_count(name, x.numel());  // before reshape may copy them
  Tensor y = arg_reduce(name, largest, reshape(stop_gradient(x), {-1}), 0, false);
  return keepdims ? reshape(y, Shape::filled(x.rank(), 1)) : y;
}

Tensor running_sum(const Tensor& x, int axis, bool reverse) {
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  kernels_of(x).cumulative_sum(y, contiguous(x), axis, reverse);
  return record("cumsum", y, wrt(x, [axis, reverse](const Tensor& g) {
                  return running_sum(g, axis, !reverse);
                }));
}

// The root of squares. It is taken of 1 where they are 0, so that no gradient flows back from
// there, where it would be inf.
Tensor root(const Tensor& squares) {
  Tensor zero = equal(squares, 0.0);
  return where(zero, 0.0, sqrt(where(zero, 1.0, squares)));
}

}  // namespace

Tensor sum(const Tensor& input, const Axes& axes, bool keepdims) {
  Tensor x = as_number(input);
  std::vector<bool> reduced = chosen("sum", x, axes);
  Tensor y = reduce_values(Reduction::sum, x, reduced);
  Shape kept = y.shape(), shape = kept;
  Strides strides = y.strides();
  for (int axis = x.rank() - 1; axis >= 0 && !keepdims; --axis) {
    if (!reduced[axis]) continue;
    shape.erase(axis);
    strides.erase(axis);
  }
  y = make_view(y, shape, strides);  // a header of its own, also where nothing was reduced
  return record("sum", y, wrt(x, [kept, from = x.shape()](const Tensor& g) {
                  return broadcast_to(reshape(g, kept), from);
                }));
}

Tensor mean(const Tensor& input, const Axes& axes, bool keepdims) {
  Tensor x = as_real(input);
  auto n = count_of(x.shape(), chosen("mean", x, axes));
  return sum(x, axes, keepdims) / static_cast<double>(n);
}

Tensor max(const Tensor& x, const Axes& axes, bool keepdims) {
  return extremum("max", Reduction::max, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) {
  return extremum("min", Reduction::min, x, axes, keepdims);
}

Tensor prod(const Tensor& input, const Axes& axes, bool keepdims) {
  Tensor x = as_number(input);
  std::vector<bool> reduced = chosen("prod", x, axes);
  for (int axis = 0; axis < static_cast<int>(reduced.size()); ++axis) {
    if (!reduced[axis]) continue;
    if (x.size(axis) == 0) x = ones(x.shape().with(axis, 1), x.dtype(), x.device());
    std::vector<Index> before(static_cast<std::size_t>(axis), all);
    auto part = [&](std::int64_t begin, std::int64_t end) {
      std::vector<Index> indices = before;
      indices.push_back(range(begin, end));
      return slice(x, indices);
    };
    for (std::int64_t n = x.size(axis); n > 1; n = x.size(axis)) {
      Tensor halves = part(0, n / 2) * part(n / 2, n / 2 * 2);
      x = n % 2 == 0 ? halves : concatenate({halves, part(n - 1, n)}, axis);
    }
  }
  return drop(x, reduced, keepdims);
}

Tensor var(const Tensor& input, const Axes& axes, bool keepdims) {
  Tensor x = as_real(input);
  check_axes("var", x, axes);
  return mean(square(x - mean(x, axes, true)), axes, keepdims);
}

Tensor std(const Tensor& x, const Axes& axes, bool keepdims) {
  check_axes("std", x, axes);
  return root(var(x, axes, keepdims));
}

Tensor logsumexp(const Tensor& input, const Axes& axes, bool keepdims) {
  Tensor x = as_real(input);
  std::vector<bool> reduced = chosen("logsumexp", x, axes);
  if (count_of(x.shape(), reduced) == 0)
    return full(keepdims ? kept_shape(x.shape(), reduced) : dropped_shape(x.shape(), reduced),
                -INFINITY, x.dtype(), x.device());
  // The shift cancels out, so its own gradient is left out; an infinite one would give inf - inf.
  Tensor top = stop_gradient(max(stop_gradient(x), axes, true));
  top = where(isfinite(top), top, 0.0);
  Tensor total = sum(exp(x - top), axes, true), zero = equal(total, 0.0);
  return drop(where(zero, -INFINITY, log(where(zero, 1.0, total))) + top, reduced, keepdims);
}

Tensor norm(const Tensor& input, const Axes& axes, bool keepdims) {
  Tensor x = as_real(input);
  std::vector<bool> reduced = chosen("norm", x, axes);
  return drop(root(sum(square(x), axes, true)), reduced, keepdims);
}

Tensor global_norm(const std::vector<Tensor>& tensors) {
  if (tensors.empty()) return zeros({}, floatx());
  const DType dtype = common_dtype(tensors, /*real=*/true);
  Tensor squares = zeros({}, dtype, device_of(tensors));
  for (const Tensor& x : tensors) squares = squares + sum(square(x.astype(dtype)));
  return root(squares);
}

Tensor argmax(const Tensor& x, bool keepdims) {
  return arg_reduce_all("argmax", true, x, keepdims);
}
Tensor argmin(const Tensor& x, bool keepdims) {
  return arg_reduce_all("argmin", false, x, keepdims);
}
Tensor argmax(const Tensor& x, int axis, bool keepdims) {
  return arg_reduce("argmax", true, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, int axis, bool keepdims) {
  return arg_reduce("argmin", false, x, axis, keepdims);
}

namespace {

// In float32, whose sums are the fastest: a large count may be off, but is never 0.
Tensor count_true(const Tensor& x, const Axes& axes, bool keepdims) {
  return sum(x.astype(float32), axes, keepdims);
}

}  // namespace

Tensor any(const Tensor& x, const Axes& axes, bool keepdims) {
  check_axes("any", x, axes);
  return not_equal(count_true(x.dtype() == boolean ? x : not_equal(x, 0), axes, keepdims), 0);
}
Tensor All::operator()(const Tensor& x, const Axes& axes, bool keepdims) const {
  check_axes("all", x, axes);
  return equal(count_true(equal(x, 0), axes, keepdims), 0);
}

Tensor cumsum(const Tensor& x, int axis) {
  return running_sum(as_number(x), normalize_axis(axis, x.rank(), "cumsum"), false);
}

Tensor cumprod(const Tensor& input, int axis) {
  Tensor x = as_number(input);
  int a = normalize_axis(axis, x.rank(), "cumprod");
  std::vector<Index> before(static_cast<std::size_t>(a), all);
  auto part = [&](std::int64_t begin, std::int64_t end) {
    std::vector<Index> indices = before;
    indices.push_back(range(begin, end));
    return slice(x, indices);
  };
  // After each round an entry is the product of the last 2, 4, 8, ... factors.
  std::int64_t n = x.size(a);
  for (std::int64_t step = 1; step < n; step *= 2)
    x = concatenate({part(0, step), part(step, n) * part(0, n - step)}, a);
  return x;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes(x.shape(), shape, "sum_to") != x.shape())
    return broadcast_to(x, shape);  // a gradient smaller than its input: constant along some axes
  int missing = x.rank() - shape.rank();
  std::vector<int> axes;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis < missing || (shape[axis - missing] == 1 && x.shape()[axis] != 1))
      axes.push_back(axis);
  return reshape(sum(x, axes, true), shape);
}

}  // namespace keratin
