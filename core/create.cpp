#include <cmath>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

// The first element of each level decides the shape; collect() checks the others against it.
Shape shape_of(const NestedList& list) {
  Shape shape;
  for (const NestedList* level = &list; !level->is_number(); level = &level->items().front()) {
    shape.push_back(static_cast<std::int64_t>(level->items().size()));
    if (level->items().empty()) break;
  }
  return shape;
}

void collect(const NestedList& list, const Shape& shape, int axis, std::vector<double>& out) {
  if (list.is_number() && axis == shape.rank()) return out.push_back(list.value());
  if (list.is_number() || axis == shape.rank() ||
      static_cast<std::int64_t>(list.items().size()) != shape[axis])
    fail("tensor: the braces are ragged: not every part fits shape {}", shape);
  for (const NestedList& item : list.items()) collect(item, shape, axis + 1, out);
}

}  // namespace

Tensor tensor(const NestedList& values, DType dtype, Device device) {
  Shape shape = shape_of(values);
  std::vector<double> flat;
  collect(values, shape, 0, flat);
  return tensor(flat, shape, dtype, device);
}

template <class T>
Tensor tensor(const std::vector<T>& values, const Shape& shape, DType dtype, Device device) {
  if (shape.numel() != static_cast<std::int64_t>(values.size()))
    fail("tensor: {} values do not fill shape {}", values.size(), shape);
  Tensor made = empty(shape, dtype_for<T>, Device());
  std::copy(values.begin(), values.end(), raw<T>(made));
  return on_device(cast(made, dtype), device);
}
template Tensor tensor(const std::vector<float>&, const Shape&, DType, Device);
template Tensor tensor(const std::vector<double>&, const Shape&, DType, Device);
template Tensor tensor(const std::vector<std::int32_t>&, const Shape&, DType, Device);
template Tensor tensor(const std::vector<bool>&, const Shape&, DType, Device);

Tensor full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor made = empty(shape, dtype, device);
  kernels_of(made).fill(made, value);
  return made;
}

Tensor zeros(const Shape& shape, DType dtype, Device device) {
  return full(shape, 0, dtype, device);
}
Tensor ones(const Shape& shape, DType dtype, Device device) {
  return full(shape, 1, dtype, device);
}
Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.dtype(), x.device()); }
Tensor ones_like(const Tensor& x) { return ones(x.shape(), x.dtype(), x.device()); }

Tensor arange(double start, double stop, double step, DType dtype, Device device) {
  if (step == 0 || !std::isfinite(start) || !std::isfinite(stop) || !std::isfinite(step))
    fail("arange: expected finite bounds and a step other than 0, got {}, {}, {}", start, stop,
         step);
  double count = std::max(std::ceil((stop - start) / step), 0.0);
  if (count > 2147483647.0) fail("arange: {} values are too many", count);
  double last = start + std::max(count - 1, 0.0) * step;
  if (dtype == int32 && count > 0 &&
      (std::min(start, last) < -2147483648.0 || std::max(start, last) > 2147483647.0))
    fail("arange: values from {} to {} do not fit int32", start, last);
  Tensor made = empty({static_cast<std::int64_t>(count)}, dtype, device);
  kernels_of(made).arange(made, start, step);
  return made;
}

Tensor linspace(double start, double stop, std::int64_t count, DType dtype, Device device) {
  if (count < 0) fail("linspace: expected a count of at least 0, got {}", count);
  std::vector<double> values(static_cast<std::size_t>(count));
  double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = i + 1 == values.size() && count > 1 ? stop : start + static_cast<double>(i) * step;
  return tensor(values, {count}, dtype, device);
}

Tensor eye(std::int64_t rows, std::int64_t columns, DType dtype, Device device) {
  if (columns < 0) columns = rows;
  Tensor made = zeros({rows, columns}, dtype, device);
  std::int64_t n = std::min(rows, columns);
  if (n > 0) {
    Tensor diagonal = make_view(made, {n}, {columns + 1});
    kernels_of(made).fill(diagonal, 1);
  }
  return made;
}

}  // namespace keratin
