// Kernels made of other kernels, for devices that have none of their own.

#include <stdexcept>

#include <keratin/core/functions.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

// A view of what each window sees of a group of channels, (batch, m, m, m, size, size, size,
// width); x has elements in the place of those that are missing.
Tensor seen(const Tensor& x, const Windows& windows, const Shape& y, std::int64_t channel,
            std::int64_t width) {
  Shape shape{x.size(0)};
  Strides strides{x.strides()[0]};
  for (int i = 0; i < 3; ++i) {
    shape.push_back(y[i + 1]);
    strides.push_back(x.strides()[i + 1] * windows.axis[i].stride);
  }
  for (int i = 0; i < 3; ++i) {
    shape.push_back(windows.axis[i].size);
    strides.push_back(x.strides()[i + 1] * windows.axis[i].dilation);
  }
  shape.push_back(width);
  strides.push_back(1);
  return make_view(x, shape, strides, shape.numel() == 0 ? 0 : channel);
}

Tensor with_missing(const Tensor& x, const Windows& windows) {
  Shape shape = x.shape();
  for (int i = 0; i < 3; ++i) shape[i + 1] += windows.axis[i].before + windows.axis[i].after;
  return empty(shape, x.dtype(), x.device());
}

// The part of it that is x.
Tensor without_missing(const Tensor& padded, const Windows& windows, const Shape& x) {
  std::int64_t offset = 0;
  for (int i = 0; i < 3; ++i) offset += windows.axis[i].before * padded.strides()[i + 1];
  return make_view(padded, x, padded.strides(), x.numel() == 0 ? 0 : offset);
}

Tensor padded(const Kernels& kernels, const Tensor& x, const Windows& windows) {
  const Tensor wide = with_missing(x, windows);
  if (wide.shape() == x.shape()) return x;
  kernels.fill(wide, 0);
  kernels.copy(without_missing(wide, windows, x.shape()), x);
  return wide;
}

Tensor columns(const Tensor& matrix, std::int64_t first, std::int64_t count) {
  return make_view(matrix, {matrix.size(0), count}, matrix.strides(), first);
}
Tensor as_matrix(const Tensor& x) {
  const std::int64_t last = x.size(-1), rows = last == 0 ? 0 : x.numel() / last;
  return make_view(x, {rows, last}, {last, 1});
}
Tensor transposed(const Tensor& matrix) {
  return make_view(matrix, {matrix.size(1), matrix.size(0)},
                   {matrix.strides()[1], matrix.strides()[0]});
}

[[noreturn]] void offers_no_packing() {
  throw std::logic_error("kernels: packed_shape offers no packing");
}

/// The matrices of one group of channels and filters.
struct Group {
  std::int64_t channel, channels, filter, filters, depth, rows;
};
template <class F>
void for_groups(const Tensor& x, const Tensor& y, const Tensor& kernel, const F& f) {
  const std::int64_t channels = kernel.size(3), filters = kernel.size(4);
  const std::int64_t groups = x.size(4) / channels;
  for (std::int64_t g = 0; g < groups; ++g)
    f(Group{g * channels, channels, g * filters / groups, filters / groups,
            kernel.numel() / filters, y.numel() / filters});
}

}  // namespace

Shape Kernels::packed_shape(const Tensor&, std::int64_t, std::int64_t) const { return {}; }
void Kernels::pack(const Tensor&, const Tensor&) const { offers_no_packing(); }
void Kernels::packed_gemm(const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool) const {
  offers_no_packing();
}

bool Kernels::lstm_step(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                        const Tensor&, const Tensor&) const {
  return false;
}
bool Kernels::lstm_step_back(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                             const Tensor&, const Tensor&, const Tensor&, const Tensor&) const {
  return false;
}

void Kernels::conv(const Tensor& y, const Tensor& x, const Tensor& kernel, const Tensor& bias,
                   const Windows& windows, bool relu) const {
  const Tensor wide = padded(*this, x, windows);
  for_groups(x, y, kernel, [&](const Group& g) {
    const Tensor patches = contiguous(seen(wide, windows, y.shape(), g.channel, g.channels));
    gemm(columns(as_matrix(y), g.filter, g.filters),
         make_view(patches, {g.rows, g.depth}, {g.depth, 1}),
         columns(as_matrix(kernel), g.filter, g.filters),
         bias.defined() ? make_view(bias, {g.filters}, {1}, g.filter) : bias, false);
  });
  const fn::Relu functor;
  if (relu) pointwise(Pointwise::Relu, &functor, {&y, 1}, {&y, 1});
}

void Kernels::conv_input_gradient(const Tensor& gx, const Tensor& gy, const Tensor& kernel,
                                  const Windows& windows) const {
  const Tensor wide = with_missing(gx, windows);
  fill(wide, 0);
  for_groups(gx, gy, kernel, [&](const Group& g) {
    const Tensor patches = empty({g.rows, g.depth}, gx.dtype(), gx.device());
    gemm(patches, columns(as_matrix(gy), g.filter, g.filters),
         transposed(columns(as_matrix(kernel), g.filter, g.filters)), Tensor(), false);
    const Tensor to = seen(wide, windows, gy.shape(), g.channel, g.channels);
    accumulate(to, make_view(patches, to.shape(), contiguous_strides(to.shape())));
  });
  copy(gx, without_missing(wide, windows, gx.shape()));
}

void Kernels::conv_kernel_gradient(const Tensor& gk, const Tensor& x, const Tensor& gy,
                                   const Windows& windows) const {
  const Tensor wide = padded(*this, x, windows);
  for_groups(x, gy, gk, [&](const Group& g) {
    const Tensor patches = contiguous(seen(wide, windows, gy.shape(), g.channel, g.channels));
    gemm(columns(as_matrix(gk), g.filter, g.filters),
         transposed(make_view(patches, {g.rows, g.depth}, {g.depth, 1})),
         columns(as_matrix(gy), g.filter, g.filters), Tensor(), false);
  });
}

}  // namespace keratin
