#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {
namespace {

// The gradient is written with ops when somebody records it, and is one kernel otherwise.
Tensor softmax_op(const char* name, const Tensor& input, int axis, bool log_form) {
  Tensor x =
      is_floating(input.dtype()) && !TensorData::of(input).weak ? input : input.astype(floatx());
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

}  // namespace

Tensor softmax(const Tensor& x, int axis) { return softmax_op("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int axis) { return softmax_op("log_softmax", x, axis, true); }

}  // namespace keratin
