// Ops that rearrange. Most make views; the gradient of a view is the inverse view, or a tensor of
// zeros into which the gradient is added through the same view.

#include <algorithm>
#include <numeric>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/internal/walk.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

/// Strides and offset by which a view looks into a dense tensor.
struct Window {
  Shape shape;
  Strides strides;
  std::int64_t offset = 0;
};

Tensor look(const char* name, const Tensor& dense, const Window& window);

// Zeros of `shape` with x added through the window: the adjoint of look().
Tensor scatter(const char* name, const Tensor& x, const Shape& shape, const Window& window) {
  Tensor y = zeros(shape, x.dtype(), x.device());
  kernels_of(y).accumulate(make_view(y, window.shape, window.strides, window.offset), x);
  return record(name, y, wrt(x, [name, window](const Tensor& g) { return look(name, g, window); }));
}

// A view of x whose window is given for x's own strides.
Tensor view_op(const char* name, const Tensor& x, const Window& own, const Window& dense) {
  Tensor y = make_view(x, own.shape, own.strides, own.offset);
  return record(name, y, wrt(x, [name, shape = x.shape(), dense](const Tensor& g) {
                  return scatter(name, g, shape, dense);
                }));
}

Tensor look(const char* name, const Tensor& x, const Window& window) {
  Tensor dense = x.is_contiguous() ? x : x.copy();
  return view_op(name, dense, window, window);
}

// Builds the same window twice: for x's strides and for those of a dense tensor of its shape.
template <class Build>
Tensor windowed(const char* name, const Tensor& x, const Build& build) {
  return view_op(name, x, build(x.strides()), build(contiguous_strides(x.shape())));
}

}  // namespace

// --- one tensor, one view

Tensor reshape(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  int open = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] < -1) fail("reshape: a size is negative in {}", wanted);
    if (shape[axis] == -1 && std::exchange(open, axis) != -1)
      fail("reshape: only one size may be -1, got {}", wanted);
  }
  if (open != -1) {
    shape[open] = 1;
    std::int64_t known = shape.numel();
    shape[open] = known == 0 ? 0 : x.numel() / known;
  }
  if (shape.numel() != x.numel()) fail("reshape: {} does not fit into {}", x.shape(), wanted);

  auto back = [from = x.shape()](const Tensor& g) { return reshape(g, from); };
  if (x.is_contiguous())
    return record("reshape", make_view(x, shape, contiguous_strides(shape)), wrt(x, back));

  // Match groups of axes with the same number of elements; inside one, x's must follow each other
  // in memory for the new axes to be a view.
  Strides strides = Strides::filled(shape.rank(), 0);
  int i = 0, j = 0;
  bool possible = x.numel() > 0;
  while (possible && (i < x.rank() || j < shape.rank())) {
    int i0 = i, j0 = j;
    std::int64_t m = i < x.rank() ? x.shape()[i++] : 1, n = j < shape.rank() ? shape[j++] : 1;
    while (m != n) m < n ? m *= x.shape()[i++] : n *= shape[j++];
    while (i < x.rank() && x.shape()[i] == 1) ++i;
    while (j < shape.rank() && shape[j] == 1) ++j;
    std::int64_t stride = 1, next = 0;
    bool innermost = true;
    for (int axis = i - 1; axis >= i0; --axis) {
      if (x.shape()[axis] == 1) continue;
      if (std::exchange(innermost, false))
        stride = x.strides()[axis];
      else
        possible &= x.strides()[axis] == next;
      next = x.strides()[axis] * x.shape()[axis];
    }
    for (int axis = j - 1; axis >= j0; --axis) {
      strides[axis] = stride;
      stride *= shape[axis];
    }
  }
  if (!possible) return reshape(x.copy(), shape);
  return record("reshape", make_view(x, shape, strides), wrt(x, back));
}

Tensor transpose(const Tensor& x, std::vector<int> axes) {
  int rank = x.rank();
  if (axes.empty()) {
    axes.resize(static_cast<std::size_t>(rank));
    for (int i = 0; i < rank; ++i) axes[i] = rank - 1 - i;
  }
  if (static_cast<int>(axes.size()) != rank)
    fail("transpose: {} axes given for shape {}", axes.size(), x.shape());
  std::vector<int> inverse(axes.size(), -1);
  Shape shape;
  Strides strides;
  for (int i = 0; i < rank; ++i) {
    axes[i] = normalize_axis(axes[i], rank, "transpose");
    if (inverse[axes[i]] != -1) fail("transpose: axis {} is named twice", axes[i]);
    inverse[axes[i]] = i;
    shape.push_back(x.shape()[axes[i]]);
    strides.push_back(x.strides()[axes[i]]);
  }
  return record("transpose", make_view(x, shape, strides),
                wrt(x, [inverse](const Tensor& g) { return transpose(g, inverse); }));
}

Tensor swapaxes(const Tensor& x, int axis1, int axis2) {
  int a = normalize_axis(axis1, x.rank(), "swapaxes");
  int b = normalize_axis(axis2, x.rank(), "swapaxes");
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  return record("swapaxes", make_view(x, shape, strides),
                wrt(x, [a, b](const Tensor& g) { return swapaxes(g, a, b); }));
}

Tensor moveaxis(const Tensor& x, int source, int destination) {
  std::vector<int> axes(static_cast<std::size_t>(x.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  int from = normalize_axis(source, x.rank(), "moveaxis");
  axes.erase(axes.begin() + from);
  axes.insert(axes.begin() + normalize_axis(destination, x.rank(), "moveaxis"), from);
  return transpose(x, axes);
}

Tensor expand_dims(const Tensor& x, int axis) {
  return reshape(x, x.shape().inserted(normalize_axis(axis, x.rank() + 1, "expand_dims"), 1));
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  Shape shape;
  std::vector<bool> named(static_cast<std::size_t>(x.rank()), axes.all());
  for (int axis : axes.list()) {
    int a = normalize_axis(axis, x.rank(), "squeeze");
    if (x.shape()[a] != 1) fail("squeeze: axis {} of shape {} is not of size 1", axis, x.shape());
    named[a] = true;
  }
  for (int axis = 0; axis < x.rank(); ++axis)
    if (x.shape()[axis] != 1 || !named[axis]) shape.push_back(x.shape()[axis]);
  return reshape(x, shape);
}

Tensor flip(const Tensor& x, const Axes& axes) {
  std::vector<bool> named(static_cast<std::size_t>(x.rank()), axes.all());
  for (int axis : axes.list()) named[normalize_axis(axis, x.rank(), "flip")] = true;
  Strides strides = x.strides();
  std::int64_t offset = 0;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!named[axis] || x.shape()[axis] == 0) continue;
    offset += (x.shape()[axis] - 1) * strides[axis];
    strides[axis] = -strides[axis];
  }
  return record("flip", make_view(x, x.shape(), strides, offset),
                wrt(x, [axes](const Tensor& g) { return flip(g, axes); }));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (broadcast_shapes(x.shape(), shape, "broadcast_to") != shape)
    fail("broadcast_to: {} does not broadcast to {}", x.shape(), shape);
  if (x.shape() == shape) return x;
  return record("broadcast_to", expand_view(x, shape), wrt(x, [](const Tensor& g) { return g; }));
}

Tensor diagonal(const Tensor& x, int offset) {
  if (x.rank() < 2) fail("diagonal: expected rank 2 or more, got {}", x.shape());
  std::int64_t rows = x.size(-2), columns = x.size(-1);
  std::int64_t down = std::max(-offset, 0), right = std::max(offset, 0);
  std::int64_t n = std::max<std::int64_t>(std::min(rows - down, columns - right), 0);
  return windowed("diagonal", x, [&](const Strides& strides) {
    Window window{x.shape(), strides, n == 0 ? 0 : down * strides[-2] + right * strides[-1]};
    std::int64_t along = strides[-2] + strides[-1];
    for (int i = 0; i < 2; ++i) {
      window.shape.erase(window.shape.rank() - 1);
      window.strides.erase(window.strides.rank() - 1);
    }
    window.shape.push_back(n);
    window.strides.push_back(along);
    return window;
  });
}

Tensor sliding_window(const Tensor& x, int axis, std::int64_t size, std::int64_t step) {
  int a = normalize_axis(axis, x.rank(), "sliding_window");
  if (size < 1 || step < 1 || size > x.shape()[a])
    fail("sliding_window: a window of {} with step {} does not fit axis {} of {}", size, step, axis,
         x.shape());
  return windowed("sliding_window", x, [&](const Strides& strides) {
    Window window{x.shape(), strides, 0};
    window.shape[a] = (x.shape()[a] - size) / step + 1;
    window.strides[a] = strides[a] * step;
    window.shape.push_back(size);
    window.strides.push_back(strides[a]);
    return window;
  });
}

Tensor slice(const Tensor& x, const std::vector<Index>& indices) {
  if (static_cast<int>(indices.size()) > x.rank())
    fail("slice: {} indices for shape {}", indices.size(), x.shape());
  return windowed("slice", x, [&](const Strides& strides) {
    Window window;
    for (int axis = 0; axis < x.rank(); ++axis) {
      std::int64_t extent = x.shape()[axis];
      Index index = axis < static_cast<int>(indices.size()) ? indices[axis] : Index(all);
      if (index.is_single()) {
        std::int64_t i = index.range().start;
        if (i < -extent || i >= extent)
          fail("slice: index {} is out of range for axis {} of shape {}", i, axis, x.shape());
        window.offset += (i < 0 ? i + extent : i) * strides[axis];
        continue;
      }
      const Walk walk = walk_of(index.range(), extent);
      if (walk.count > 0) window.offset += walk.start * strides[axis];
      window.shape.push_back(walk.count);
      window.strides.push_back(strides[axis] * walk.step);
    }
    if (window.shape.numel() == 0) window.offset = 0;
    return window;
  });
}

Tensor astype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype && !TensorData::of(x).weak) return x;
  Tensor y = cast(x, dtype);
  if (!is_floating(dtype) || !is_floating(x.dtype())) return y;
  return record("astype", y,
                wrt(x, [from = x.dtype()](const Tensor& g) { return astype(g, from); }));
}

// --- members of Tensor that are ops

Tensor Tensor::astype(DType dtype) const { return keratin::astype(*this, dtype); }
Tensor Tensor::reshape(const Shape& shape) const { return keratin::reshape(*this, shape); }
Tensor Tensor::transpose(std::vector<int> axes) const {
  return keratin::transpose(*this, std::move(axes));
}
Tensor Tensor::operator[](std::int64_t index) const {
  if (rank() == 0) fail("[]: a tensor of rank 0 has no axis to index");
  return slice(*this, {Index(index)});
}
Tensor Tensor::to(Device device) const {
  const Device from = this->device();
  if (from == device) return *this;
  return record("to", on_device(*this, device),
                wrt(*this, [from](const Tensor& g) { return g.to(from); }));
}
Tensor Tensor::copy() const {
  Tensor y = empty(shape(), dtype(), device());
  kernels_of(y).copy(y, *this);
  return record("copy", y, wrt(*this, [](const Tensor& g) { return g; }));
}

}  // namespace keratin
