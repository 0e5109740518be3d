// Convolutions and poolings. Three functions make up a convolution: y of x and the kernel, gx of gy
// and the kernel, and gk of x and gy. Each is linear in both of its arguments, and the derivatives
// of each are the other two.

#include <algorithm>

#include <keratin/autograd/internal/conv_relu.h>
#include <keratin/autograd/internal/indices.h>
#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/internal/window_options.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

/// A convolution between tensors of these shapes, which lack the kernels' axes of size 1.
struct Plan {
  Windows windows;
  Shape x, kernel, y;
};

// With axes of size 1 in front of those that windows move over: `channels` axes end the shape.
Tensor wide(const Tensor& t, int begin, int channels) {
  Shape shape = t.shape();
  while (shape.rank() < begin + 3 + channels) shape.insert(begin, 1);
  return make_view(t, shape, contiguous_strides(shape));
}
Tensor wide_x(const Tensor& x) { return wide(x, 1, 1); }
Tensor wide_kernel(const Tensor& kernel) { return wide(kernel, 0, 2); }

Tensor forward(const Plan& plan, const Tensor& x, const Tensor& kernel, const Tensor& bias = {},
               bool relu = false);
Tensor input_gradient(const Plan& plan, const Tensor& gy, const Tensor& kernel);

Tensor kernel_gradient(const Plan& plan, const Tensor& a, const Tensor& b) {
  const Tensor x = contiguous(a), gy = contiguous(b);
  Tensor gk = empty(plan.kernel, x.dtype(), device_of({x, gy}));
  kernels_of(gk).conv_kernel_gradient(wide_kernel(gk), wide_x(x), wide_x(gy), plan.windows);
  return record(
      "conv_kernel_gradient", gk,
      wrt(a, [plan, gy = save(b)](const Tensor& h) { return input_gradient(plan, *gy, h); }),
      wrt(b, [plan, x = save(a)](const Tensor& h) { return forward(plan, *x, h); }));
}

Tensor input_gradient(const Plan& plan, const Tensor& a, const Tensor& b) {
  const Tensor gy = contiguous(a), kernel = contiguous(b);
  Tensor gx = empty(plan.x, gy.dtype(), device_of({gy, kernel}));
  kernels_of(gx).conv_input_gradient(wide_x(gx), wide_x(gy), wide_kernel(kernel), plan.windows);
  return record(
      "conv_transpose", gx,
      wrt(a, [plan, kernel = save(b)](const Tensor& h) { return forward(plan, h, *kernel); }),
      wrt(b, [plan, gy = save(a)](const Tensor& h) { return kernel_gradient(plan, h, *gy); }));
}

Tensor sum_over_rows(const Tensor& g) { return sum(reshape(g, {-1, g.size(-1)}), 0); }

// The gradient before relu is computed once for all that need it.
struct ConvReluVjp {
  Plan plan;
  Saved x, kernel, y;

  void operator()(Backward& backward) const {
    const Tensor g = before_relu(backward.output_gradient(0));
    if (backward.wants(0)) backward.add(0, input_gradient(plan, g, *kernel));
    if (backward.wants(1)) backward.add(1, kernel_gradient(plan, *x, g));
    if (backward.wants(2)) backward.add(2, sum_over_rows(g));
  }

  Tensor before_relu(const Tensor& g) const {
    if (recording != nullptr) return fn::Relu::vjp(*y, g);
    const fn::Relu relu;
    Tensor result = empty(g.shape(), g.dtype(), g.device());
    kernels_of(g).pointwise_gradient(Pointwise::Relu, &relu, {&result, 1}, {&*y, 1}, {&g, 1});
    return result;
  }
};

Tensor forward(const Plan& plan, const Tensor& a, const Tensor& b, const Tensor& bias, bool relu) {
  const Tensor x = contiguous(a), kernel = contiguous(b);
  Tensor y = empty(plan.y, x.dtype(), device_of({x, kernel, bias}));
  kernels_of(y).conv(wide_x(y), wide_x(x), wide_kernel(kernel),
                     bias.defined() ? contiguous(bias) : bias, plan.windows, relu);
  if (relu) {
    const Tensor inputs[] = {a, b, bias};
    if (follows(inputs))
      record_node("conv_relu", inputs, {&y, 1}, ConvReluVjp{plan, save(a), save(b), save(y)});
    return y;
  }
  auto of_x = [plan, kernel = save(b)](const Tensor& g) {
    return input_gradient(plan, g, *kernel);
  };
  auto of_kernel = [plan, x = save(a)](const Tensor& g) { return kernel_gradient(plan, *x, g); };
  if (!bias.defined()) return record("conv", y, wrt(a, of_x), wrt(b, of_kernel));
  return record("conv", y, wrt(a, of_x), wrt(b, of_kernel), wrt(bias, sum_over_rows));
}

int window_axes(const char* who, const Tensor& x) {
  if (x.rank() < 3 || x.rank() > 5)
    fail("{}: expected x (batch, ..., channels) with one to three axes between, got {}", who,
         x.shape());
  return x.rank() - 2;
}

PerAxis kernel_sizes(const Tensor& kernel, int axes) {
  PerAxis sizes;
  for (int i = 0; i < axes; ++i) sizes.push_back(kernel.size(i));
  return sizes;
}

// The shape of x with other extents and channels.
Shape with_extents(const Shape& x, const std::vector<std::int64_t>& extents, std::int64_t last) {
  Shape shape{x[0]};
  for (std::int64_t extent : extents) shape.push_back(extent);
  shape.push_back(last);
  return shape;
}

void check_kernel(const char* who, const Tensor& x, const Tensor& kernel) {
  if (kernel.rank() != x.rank())
    fail("{}: expected a kernel of rank {} for x {}, got {}", who, x.rank(), x.shape(),
         kernel.shape());
}

Tensor checked_conv(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                    const ConvOptions& options, bool relu) {
  const int axes = window_axes("conv", x);
  check_kernel("conv", x, kernel);
  check_padding("conv", options.padding, axes == 1);
  const std::int64_t channels = x.size(-1), width = kernel.size(-2), filters = kernel.size(-1);
  const std::int64_t groups = width == 0 ? 0 : channels / width;
  if (groups == 0 || groups * width != channels || filters % groups != 0)
    fail("conv: a kernel {} does not fit x {}: its last two axes are channels / groups and filters",
         kernel.shape(), x.shape());
  if (bias.defined() && bias.shape() != Shape{filters})
    fail("conv: expected a bias of shape {}, got {}", Shape{filters}, bias.shape());
  Plan plan{
      windows_of("conv", kernel_sizes(kernel, axes), options.strides, options.dilation_rate, axes),
      x.shape(),
      kernel.shape(),
      {}};
  std::vector<std::int64_t> extents;
  for (int i = 0; i < axes; ++i)
    extents.push_back(
        pad_axis("conv", options.padding, plan.windows.axis[3 - axes + i], x.size(i + 1)));
  plan.y = with_extents(x.shape(), extents, filters);
  std::vector<Tensor> operands{x, kernel};
  if (bias.defined()) operands.push_back(bias);
  const DType dtype = common_dtype(operands, /*real=*/true);
  return forward(plan, x.astype(dtype), kernel.astype(dtype),
                 bias.defined() ? bias.astype(dtype) : bias, relu);
}

}  // namespace

Tensor conv(const Tensor& x, const Tensor& kernel, const ConvOptions& options) {
  return conv(x, kernel, Tensor(), options);
}

Tensor conv(const Tensor& x, const Tensor& kernel, const Tensor& bias, const ConvOptions& options) {
  return checked_conv(x, kernel, bias, options, /*relu=*/false);
}

Tensor conv_relu(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                 const ConvOptions& options) {
  return checked_conv(x, kernel, bias, options, /*relu=*/true);
}

Tensor depthwise_conv(const Tensor& x, const Tensor& kernel, const ConvOptions& options) {
  window_axes("depthwise_conv", x);
  check_kernel("depthwise_conv", x, kernel);
  if (kernel.size(-2) != x.size(-1))
    fail(
        "depthwise_conv: a kernel {} does not fit x {}: its last two axes are channels and their "
        "multiplier",
        kernel.shape(), x.shape());
  const std::int64_t multiplier = kernel.size(-1);
  Shape shape = kernel.shape();
  shape[-1] *= shape[-2];
  shape[-2] = 1;
  // The processor has a kernel for groups of one channel and one filter.
  const bool apart = multiplier > 1 && x.size(-1) > 1 && x.device().is_cpu();
  return conv(apart ? repeat(x, multiplier, -1) : x, reshape(kernel, shape), options);
}

Tensor conv_transpose(const Tensor& x, const Tensor& kernel, const ConvOptions& options,
                      const std::optional<PerAxis>& output_padding) {
  const char* who = "conv_transpose";
  const int axes = window_axes(who, x);
  check_kernel(who, x, kernel);
  check_padding(who, options.padding, false);
  if (kernel.size(-1) != x.size(-1))
    fail("{}: a kernel {} does not fit x {}: its last two axes are filters and channels", who,
         kernel.shape(), x.shape());
  Plan plan{
      windows_of(who, kernel_sizes(kernel, axes), options.strides, options.dilation_rate, axes),
      {},
      kernel.shape(),
      x.shape()};
  std::vector<std::int64_t> extents;
  for (int i = 0; i < axes; ++i) {
    Windows::Axis& axis = plan.windows.axis[3 - axes + i];
    const std::optional<std::int64_t> extra =
        output_padding ? std::optional(for_axis(who, "output_padding", *output_padding, axes, i, 0))
                       : std::nullopt;
    extents.push_back(transposed_extent(options.padding, axis, x.size(i + 1), extra));
  }
  plan.x = with_extents(x.shape(), extents, kernel.size(-2));
  const DType dtype = common_dtype(std::vector<Tensor>{x, kernel}, /*real=*/true);
  return input_gradient(plan, x.astype(dtype), kernel.astype(dtype));
}

// --- pooling

namespace {

/// Windows over x and how many there are.
struct Pooling {
  Windows windows;
  std::vector<std::int64_t> counts;
};

Pooling pooling_of(const char* who, const Tensor& x, const PerAxis& size,
                   const PoolOptions& options) {
  const int axes = window_axes(who, x);
  check_padding(who, options.padding, false);
  Pooling pooling{windows_of(who, size, options.strides.empty() ? size : options.strides, 1, axes),
                  {}};
  for (int i = 0; i < axes; ++i)
    pooling.counts.push_back(
        pad_axis(who, options.padding, pooling.windows.axis[3 - axes + i], x.size(i + 1)));
  return pooling;
}

// The sum of what each window sees: a sum of slices of x, one for each element of a window.
Tensor window_sum(const Tensor& x, const Pooling& pooling) {
  const int axes = static_cast<int>(pooling.counts.size());
  const Windows::Axis* axis = pooling.windows.axis + 3 - axes;
  std::vector<std::array<std::int64_t, 2>> widths(static_cast<std::size_t>(x.rank()), {0, 0});
  for (int i = 0; i < axes; ++i) widths[i + 1] = {axis[i].before, axis[i].after};
  const Tensor padded = pad(x, widths);
  std::vector<std::int64_t> offset(static_cast<std::size_t>(axes), 0);
  Tensor total;
  for (std::int64_t k = 0; k < pooling.windows.size(); ++k) {
    std::vector<Index> part{all};
    std::int64_t rest = k;
    for (int i = axes - 1; i >= 0; --i) {
      offset[i] = rest % axis[i].size;
      rest /= axis[i].size;
    }
    for (int i = 0; i < axes; ++i)
      part.push_back(range(offset[i], offset[i] + (pooling.counts[i] - 1) * axis[i].stride + 1,
                           axis[i].stride));
    const Tensor seen = slice(padded, part);
    total = total.defined() ? total + seen : seen;
  }
  return total;
}

}  // namespace

Tensor max_pool(const Tensor& x, const PerAxis& pool_size, const PoolOptions& options) {
  const Pooling pooling = pooling_of("max_pool", x, pool_size, options);
  if (x.numel() > INT32_MAX)
    fail("max_pool: expected at most {} elements, got {}", INT32_MAX, x.shape());
  constexpr std::int64_t most = 1 << 24;  // the kernel numbers them in float32
  if (pooling.windows.size() > most)
    fail("max_pool: expected windows of at most {} elements, got {}", most, pooling.windows.size());
  const Tensor values = is_floating(x.dtype()) ? x : x.astype(floatx());
  const Tensor dense = values.is_contiguous() ? values : values.copy();
  const Shape shape = with_extents(x.shape(), pooling.counts, x.size(-1));
  const Tensor y = empty(shape, dense.dtype(), x.device());
  Tensor index;  // which only a gradient needs
  if (follows({&dense, 1})) index = empty(shape, int32, x.device());
  kernels_of(x).max_pool(wide_x(y), index.defined() ? wide_x(index) : index, wide_x(dense),
                         pooling.windows);
  return record("max_pool", y, wrt(dense, [index, from = dense.shape()](const Tensor& g) {
                  return reshape(scatter(reshape(g, {1, -1, 1}), index, from.numel()), from);
                }));
}

Tensor average_pool(const Tensor& x, const PerAxis& pool_size, const PoolOptions& options) {
  const Pooling pooling = pooling_of("average_pool", x, pool_size, options);
  const Tensor values = is_floating(x.dtype()) ? x : x.astype(floatx());
  const Tensor total = window_sum(values, pooling);
  if (options.padding == "valid") return total / static_cast<double>(pooling.windows.size());
  Shape one = x.shape();
  one[0] = one[-1] = 1;
  return total / window_sum(ones(one, values.dtype(), x.device()), pooling);
}

}  // namespace keratin
