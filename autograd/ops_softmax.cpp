// Softmax, its kin, and the gated linear unit: activations that need a whole axis.

#include <cmath>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

Tensor real(const Tensor& x) {
  return is_floating(x.dtype()) && !TensorData::of(x).weak ? x : x.astype(floatx());
}

// The gradient is written with ops when somebody records it, and is one kernel otherwise.
Tensor softmax_op(const char* name, const Tensor& input, int axis, bool log_form) {
  Tensor x = real(input);
  int a = normalize_axis(axis, x.rank(), name);
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  kernels_of(x).softmax(y, contiguous(x), a, log_form);
  return record(name, y, wrt(x, [y = save(y), a, log_form](const Tensor& g) {
                  if (recording == nullptr) {
                    Tensor gx = empty(g.shape(), g.dtype(), g.device());
                    kernels_of(g).softmax_gradient(gx, *y, contiguous(g), a, log_form);
                    return gx;
                  }
                  if (log_form) {
                    Tensor p = exp(*y), total = sum(stop_gradient(p), a, true);
                    return where(equal(total, 0.0), 0.0, g - p * sum(g, a, true));
                  }
                  return *y * (g - sum(g * *y, a, true));
                }));
}

// Where sparsemax is above 0. In descending order these are the first k entries z_1.. z_k, k the
// largest for which 1 + k z_k > z_1 + ... + z_k. In float64, so that long sums do not blur which.
// Entries that are NaN count, so that they show in the whole row.
Tensor support_of_sparsemax(const Tensor& z, int a) {
  NoGradient scope;
  Tensor down = sort(-z.astype(float64), a);
  Tensor k = arange(1, static_cast<double>(z.size(a) + 1), 1, float64, z.device())
                 .reshape(Shape::filled(z.rank(), 1).with(a, z.size(a)));
  Tensor first = cumsum(down, a) + 1.0 > k * down;
  return logical_not(-z > max(where(first, down, 0.0), a, true));
}

}  // namespace

Tensor softmax(const Tensor& x, int axis) { return softmax_op("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int axis) { return softmax_op("log_softmax", x, axis, true); }

Tensor sparsemax(const Tensor& input, int axis) {
  Tensor x = real(input);
  int a = normalize_axis(axis, x.rank(), "sparsemax");
  if (x.size(a) == 0) return relu(x);
  // A shift of the row changes nothing; this one lets sums of large numbers keep their digits.
  Tensor peak = max(stop_gradient(x), a, true);
  Tensor z = x - where(equal(peak, -INFINITY), 0.0, peak);
  Tensor support = support_of_sparsemax(z, a);
  Tensor count = maximum(sum(support.astype(x.dtype()), a, true), 1.0);
  Tensor tau = (sum(where(support, z, 0.0), a, true) - 1.0) / count;
  return relu(z - tau);
}

Tensor glu(const Tensor& x, int axis) {
  int a = normalize_axis(axis, x.rank(), "glu");
  if (x.size(a) % 2 != 0)
    fail("glu: expected an even size to halve along axis {}, got shape {}", axis, x.shape());
  std::vector<Tensor> halves = split(x, 2, a);
  return halves[0] * sigmoid(halves[1]);
}

}  // namespace keratin
