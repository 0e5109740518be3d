// Ops that put tensors together or take them apart.

#include <algorithm>

#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

void check_same_rank(const char* who, const Tensor& a, const Tensor& b) {
  if (a.rank() != b.rank()) fail("{}: shapes {} and {} differ in rank", who, a.shape(), b.shape());
}

// The dtype of tensors that are joined: that in which they would be added, but booleans stay so.
DType dtype_of_all(const char* who, const std::vector<Tensor>& parts) {
  if (parts.empty()) fail("{}: expected at least one tensor", who);
  bool all_boolean =
      std::ranges::all_of(parts, [](const Tensor& x) { return x.dtype() == boolean; });
  return all_boolean ? boolean : common_dtype(parts, /*real=*/false);
}

}  // namespace

namespace {

Tensor record_concatenation(const Tensor& y, const std::vector<Tensor>& parts, int a) {
  if (!follows(parts)) return y;
  std::vector<std::int64_t> extents;
  for (const Tensor& part : parts) extents.push_back(part.shape()[a]);
  record_node("concatenate", parts, {&y, 1}, [extents, a](Backward& backward) {
    const Tensor& g = backward.output_gradient(0);
    std::int64_t begin = 0;
    for (std::uint32_t i = 0; i < extents.size(); begin += extents[i++]) {
      if (!backward.wants(i)) continue;
      std::vector<Index> indices(static_cast<std::size_t>(a), all);
      indices.push_back(range(begin, begin + extents[i]));
      backward.add(i, slice(g, indices));
    }
  });
  return y;
}

}  // namespace

Tensor concatenate(const std::vector<Tensor>& parts, int axis) {
  DType dtype = dtype_of_all("concatenate", parts);
  int a = normalize_axis(axis, parts[0].rank(), "concatenate");
  Shape shape = parts[0].shape();
  shape[a] = 0;
  for (const Tensor& part : parts) {
    check_same_rank("concatenate", parts[0], part);
    if (part.shape().with(a, 0) != parts[0].shape().with(a, 0))
      fail("concatenate: shapes {} and {} differ beside axis {}", parts[0].shape(), part.shape(),
           a);
    shape[a] += part.shape()[a];
  }
  Tensor y = empty(shape, dtype, device_of(parts));
  std::int64_t at = 0;
  for (const Tensor& part : parts) {
    kernels_of(y).copy(make_view(y, part.shape(), y.strides(), at * y.strides()[a]), part);
    at += part.shape()[a];
  }
  return record_concatenation(y, parts, a);
}

namespace {

Tensor record_stack(const Tensor& y, const std::vector<Tensor>& parts, int a) {
  if (!follows(parts)) return y;
  auto count = static_cast<std::uint32_t>(parts.size());
  record_node("stack", parts, {&y, 1}, [a, count](Backward& backward) {
    std::vector<Tensor> gradients = unstack(backward.output_gradient(0), a);
    for (std::uint32_t i = 0; i < count; ++i) backward.add(i, gradients[i]);
  });
  return y;
}

}  // namespace

Tensor stack(const std::vector<Tensor>& parts, int axis) {
  DType dtype = dtype_of_all("stack", parts);
  int a = normalize_axis(axis, parts[0].rank() + 1, "stack");
  for (const Tensor& part : parts)
    if (part.shape() != parts[0].shape())
      fail("stack: shapes {} and {} differ", parts[0].shape(), part.shape());
  auto count = static_cast<std::int64_t>(parts.size());
  Tensor y = empty(parts[0].shape().inserted(a, count), dtype, device_of(parts));
  Strides strides = y.strides();
  strides.erase(a);
  for (std::int64_t i = 0; i < count; ++i)
    kernels_of(y).copy(make_view(y, parts[0].shape(), strides, i * y.strides()[a]), parts[i]);
  return record_stack(y, parts, a);
}

std::vector<Tensor> unstack(const Tensor& x, int axis) {
  int a = normalize_axis(axis, x.rank(), "unstack");
  std::int64_t count = x.shape()[a];
  Shape shape = x.shape().without(a);
  Strides strides = x.strides();
  strides.erase(a);
  std::vector<Tensor> y;
  for (std::int64_t i = 0; i < count; ++i)
    y.push_back(make_view(x, shape, strides, i * x.strides()[a]));
  if (!follows({&x, 1})) return y;
  record_node("unstack", {&x, 1}, y, [a, count](Backward& backward) {
    std::vector<Tensor> g;
    for (std::uint32_t i = 0; i < count; ++i) g.push_back(backward.output_gradient_or_zeros(i));
    backward.add(0, stack(g, a));
  });
  return y;
}

std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& indices, int axis) {
  int a = normalize_axis(axis, x.rank(), "split");
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i <= indices.size(); ++i) {
    std::int64_t end = i < indices.size() ? indices[i] : x.shape()[a];
    if (end < begin || end > x.shape()[a])
      fail("split: cut {} is out of order for axis {} of shape {}", end, axis, x.shape());
    std::vector<Index> where(static_cast<std::size_t>(a), all);
    where.push_back(range(begin, end));
    parts.push_back(slice(x, where));
    begin = end;
  }
  return parts;
}

std::vector<Tensor> split(const Tensor& x, int parts, int axis) {
  std::int64_t extent = x.shape()[normalize_axis(axis, x.rank(), "split")];
  if (parts < 1 || extent % parts != 0)
    fail("split: axis {} of shape {} is not divisible into {} parts", axis, x.shape(), parts);
  std::vector<std::int64_t> cuts;
  for (int i = 1; i < parts; ++i) cuts.push_back(extent / parts * i);
  return split(x, cuts, axis);
}

Tensor roll(const Tensor& x, std::int64_t shift) {
  return reshape(roll(reshape(x, {-1}), shift, 0), x.shape());
}

Tensor roll(const Tensor& x, std::int64_t shift, int axis) {
  const int a = normalize_axis(axis, x.rank(), "roll");
  const std::int64_t n = std::max<std::int64_t>(x.shape()[a], 1);
  const std::vector<std::int64_t> cut{(n - shift % n) % n};
  const std::vector<Tensor> parts = split(x, cut, a);
  return concatenate({parts[1], parts[0]}, a);
}

Tensor repeat(const Tensor& x, std::int64_t repeats, int axis) {
  int a = normalize_axis(axis, x.rank(), "repeat");
  if (repeats < 0) fail("repeat: expected a count of at least 0, got {}", repeats);
  // The broadcast checks that the sizes are no more than can be multiplied.
  const Tensor y = broadcast_to(expand_dims(x, a + 1), x.shape().inserted(a + 1, repeats));
  return reshape(y, x.shape().with(a, x.shape()[a] * repeats));
}

Tensor tile(const Tensor& x, const std::vector<std::int64_t>& repeats) {
  const int rank = std::max(x.rank(), static_cast<int>(repeats.size()));
  auto extent = [&](int axis) { return -axis <= x.rank() ? x.shape()[axis] : 1; };
  auto times = [&](int axis) {
    const auto place = static_cast<std::int64_t>(repeats.size()) + axis;
    return place >= 0 ? repeats[static_cast<std::size_t>(place)] : 1;
  };
  Shape once, repeated;
  for (int axis = -rank; axis < 0; ++axis) {
    if (times(axis) < 0) fail("tile: expected counts of at least 0, got {}", times(axis));
    if (times(axis) != 1) {  // an axis of its own for each repetition
      once.push_back(1);
      repeated.push_back(times(axis));
    }
    once.push_back(extent(axis));
    repeated.push_back(extent(axis));
  }
  // The broadcast checks that the sizes are no more than can be multiplied.
  const Tensor y = broadcast_to(reshape(x, once), repeated);
  Shape shape;
  for (int axis = -rank; axis < 0; ++axis) shape.push_back(extent(axis) * times(axis));
  return reshape(y, shape);
}

Tensor pad(const Tensor& x, const std::vector<std::array<std::int64_t, 2>>& widths,
           double constant) {
  if (static_cast<int>(widths.size()) != x.rank())
    fail("pad: {} widths for shape {}", widths.size(), x.shape());
  Shape shape = x.shape();
  std::vector<Index> inside;
  for (int axis = 0; axis < x.rank(); ++axis) {
    auto [before, after] = widths[static_cast<std::size_t>(axis)];
    if (before < 0 || after < 0) fail("pad: a width is negative on axis {}", axis);
    shape[axis] += before + after;
    inside.push_back(range(before, before + x.shape()[axis]));
  }
  Tensor y = full(shape, constant, x.dtype(), x.device());
  {
    NoGradient scope;
    kernels_of(y).copy(slice(y, inside), x);
  }
  return record("pad", y, wrt(x, [inside](const Tensor& g) { return slice(g, inside); }));
}

Tensor slice_update(const Tensor& x, const std::vector<std::int64_t>& start, const Tensor& update) {
  check_same_rank("slice_update", x, update);
  if (static_cast<int>(start.size()) != x.rank())
    fail("slice_update: {} start indices for shape {}", start.size(), x.shape());
  std::vector<Index> block;
  std::vector<std::array<std::int64_t, 2>> around;
  for (int axis = 0; axis < x.rank(); ++axis) {
    std::int64_t begin = start[static_cast<std::size_t>(axis)], end = begin + update.shape()[axis];
    if (begin < 0 || end > x.shape()[axis])
      fail("slice_update: an update of shape {} at {} does not fit axis {} of {}", update.shape(),
           begin, axis, x.shape());
    block.push_back(range(begin, end));
    around.push_back({begin, x.shape()[axis] - end});
  }
  Tensor inside = pad(ones(update.shape(), boolean, x.device()), around);
  return where(inside, pad(update.astype(x.dtype()), around), x);
}

}  // namespace keratin
