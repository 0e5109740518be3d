// Looking up by index; sorting, which is looking up in order; and what is kept or set by its index.
// take and the scatter that is its adjoint are each other's gradient.

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include <keratin/autograd/internal/indices.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {

namespace {

/// Gives x itself, or x on meta if the indices are there.
Tensor on_meta_with(const Tensor& indices, const Tensor& x) {
  return indices.device().is_meta() ? x.to(indices.device()) : x;
}

/// Throws where an index into so many entries need not fit int32.
void check_extent(const char* who, std::int64_t extent) {
  if (extent > INT32_MAX) fail("{}: expected at most {} entries, got {}", who, INT32_MAX, extent);
}

}  // namespace

Tensor checked_indices(const char* who, const Tensor& indices, std::int64_t lowest,
                       std::int64_t extent, Device device) {
  if (is_floating(indices.dtype()))
    fail("{}: expected integer indices, got {}", who, indices.dtype());
  check_extent(who, extent);
  const Tensor given = on_device(contiguous(cast(indices, int32)), device);
  Tensor dense = empty(indices.shape(), int32, device);
  kernels_of(dense).check_indices(who, dense, given, lowest, extent);
  return dense;
}

namespace {

/// Those that an op takes: a negative one counts from the end.
Tensor checked_indices(const char* who, const Tensor& indices, std::int64_t extent, Device device) {
  return checked_indices(who, indices, -extent, extent, device);
}

// y (outer, count, inner) = the entries of x (outer, n, inner) at the indices.
Tensor gather(const Tensor& x, const Tensor& indices) {
  Tensor y = empty({x.size(0), indices.numel(), x.size(2)}, x.dtype(), x.device());
  kernels_of(x).take(y, contiguous(x), indices);
  return record("take", y, wrt(x, [indices, n = x.size(1)](const Tensor& g) {
                  return scatter(g, indices, n);
                }));
}

}  // namespace

Tensor scatter(const Tensor& x, const Tensor& indices, std::int64_t n) {
  Tensor y = zeros({x.size(0), n, x.size(2)}, x.dtype(), x.device());
  kernels_of(x).scatter_add(y, contiguous(x), indices);
  return record("scatter", y, wrt(x, [indices](const Tensor& g) { return gather(g, indices); }));
}

Tensor take(const Tensor& x, const Tensor& indices) {
  check_extent("take", x.numel());  // before reshape may copy them
  return take(reshape(x, {-1}), indices, 0);
}

Tensor take(const Tensor& given, const Tensor& indices, int axis) {
  const Tensor x = on_meta_with(indices, given);
  int a = normalize_axis(axis, x.rank(), "take");
  Tensor dense = checked_indices("take", indices, x.shape()[a], x.device());
  std::int64_t outer = 1, inner = 1;
  Shape shape;
  for (int i = 0; i < a; ++i) outer *= x.shape()[i], shape.push_back(x.shape()[i]);
  for (std::int64_t extent : indices.shape()) shape.push_back(extent);
  for (int i = a + 1; i < x.rank(); ++i) inner *= x.shape()[i], shape.push_back(x.shape()[i]);
  return reshape(gather(reshape(x, {outer, x.shape()[a], inner}), dense), shape);
}

Tensor take_along_axis(const Tensor& given, const Tensor& indices, int axis) {
  const Tensor x = on_meta_with(indices, given);
  int a = normalize_axis(axis, x.rank(), "take_along_axis");
  if (indices.rank() != x.rank())
    fail("take_along_axis: indices of shape {} for shape {}", indices.shape(), x.shape());
  Shape shape = broadcast_shapes(x.shape().with(a, 1), indices.shape(), "take_along_axis");
  Tensor source = broadcast_to(x, shape.with(a, x.shape()[a]));
  check_extent("take_along_axis", source.numel());
  Tensor index =
      broadcast_to(checked_indices("take_along_axis", indices, x.shape()[a], x.device()), shape);
  // Position in the flattened source: along the axis by index, along the others where it stands.
  Strides strides = contiguous_strides(source.shape());
  Tensor flat = index * strides[a];
  for (int i = 0; i < shape.rank(); ++i) {
    if (i == a) continue;
    Shape along = Shape::filled(shape.rank(), 1).with(i, shape[i]);
    flat = flat + (arange(shape[i], int32, x.device()) * strides[i]).reshape(along);
  }
  return take(source, flat);
}

Tensor sort(const Tensor& x, int axis) {
  normalize_axis(axis, x.rank(), "sort");
  return take_along_axis(x, argsort(x, axis), axis);
}

Tensor argsort(const Tensor& x, int axis) {
  int a = normalize_axis(axis, x.rank(), "argsort");
  const std::int64_t n = x.shape()[a];
  check_extent("argsort", n);
  if (x.device().is_meta()) return empty(x.shape(), int32, x.device());
  Tensor y = empty(x.shape(), int32, Device());              // sorted by the processor
  const std::vector<double> values = x.to_vector<double>();  // which holds every dtype exactly
  auto* out = raw<std::int32_t>(y);
  std::int64_t inner = contiguous_strides(x.shape())[a];
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  for (std::int64_t first = 0; first < x.numel(); ++first) {
    if (first / inner % n != 0) continue;
    auto at = [&](std::int32_t i) { return values[static_cast<std::size_t>(first + i * inner)]; };
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](std::int32_t i, std::int32_t j) {
      return at(i) < at(j) || (std::isnan(at(j)) && !std::isnan(at(i)));
    });
    for (std::int64_t i = 0; i < n; ++i)
      out[first + i * inner] = order[static_cast<std::size_t>(i)];
  }
  return on_device(y, x.device());
}

std::array<Tensor, 2> top_k(const Tensor& x, std::int64_t k, bool /*sorted*/) {
  const std::int64_t n = x.shape()[normalize_axis(-1, x.rank(), "top_k")];
  if (k < 0 || k > n) fail("top_k: expected k in 0..{} for shape {}, got {}", n, x.shape(), k);
  // Sorted backwards, so that of equal entries the first is the last, and read from the end.
  const Tensor ascending = argsort(flip(x, -1), -1);
  const std::vector<Tensor> parts = split(flip(ascending, -1), std::vector<std::int64_t>{k}, -1);
  const Tensor indices = static_cast<int>(n - 1) - parts[0];
  return {take_along_axis(x, indices, -1), indices};
}

Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& values, std::string_view side) {
  if (sorted_sequence.rank() != 1)
    fail("searchsorted: expected a sequence of rank 1, got {}", sorted_sequence.shape());
  if (side != "left" && side != "right")
    fail("searchsorted: expected side \"left\" or \"right\", got \"{}\"", side);
  const auto n = sorted_sequence.numel();
  check_extent("searchsorted", n);
  auto less_than = [](const Tensor& a, const Tensor& b) {
    return logical_or(a < b, logical_and(isnan(b), logical_not(isnan(a))));
  };
  // How many entries come before a value, bit by bit from the highest: another 2^i do, if the last
  // of them does.
  Tensor count = zeros(values.shape(), int32, device_of({sorted_sequence, values}));
  for (auto step = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(n)));
       step > 0; step /= 2) {
    const Tensor more = count + static_cast<int>(step), limit(static_cast<int>(n));
    const Tensor last = take(sorted_sequence, minimum(more, limit) - 1, 0);
    const Tensor before =
        side == "left" ? less_than(last, values) : logical_not(less_than(values, last));
    count = where(logical_and(more <= limit, before), more, count);
  }
  return count;
}

namespace {

/// How far to the right of its row's diagonal each entry of the last two axes lies.
Tensor past_diagonal(const char* who, const Tensor& x) {
  if (x.rank() < 2) fail("{}: expected rank 2 or more, got {}", who, x.shape());
  const Tensor row = arange(x.size(-2), int32, x.device());
  return arange(x.size(-1), int32, x.device()) - reshape(row, {-1, 1});
}

}  // namespace

Tensor tril(const Tensor& x, int k) {
  return where(past_diagonal("tril", x) <= k, x, 0).astype(x.dtype());  // bools stay so
}
Tensor triu(const Tensor& x, int k) {
  return where(past_diagonal("triu", x) >= k, x, 0).astype(x.dtype());
}

Tensor one_hot(const Tensor& indices, std::int64_t classes, DType dtype) {
  if (is_floating(indices.dtype()))
    fail("one_hot: expected integer indices, got {}", indices.dtype());
  if (classes < 0 || classes > INT32_MAX)
    fail("one_hot: expected 0 or more classes, got {}", classes);
  // What is made of a plain number is made where new tensors are.
  const Device device = TensorData::of(indices).weak ? default_device() : indices.device();
  Tensor wide = reshape(indices.to(device), indices.shape().inserted(indices.rank(), 1));
  return equal(wide, arange(classes, int32, device)).astype(dtype);
}

}  // namespace keratin
