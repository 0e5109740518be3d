#include <keratin/autograd/internal/gradient_sum.h>
#include <keratin/autograd/internal/recording.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/kernels.h>

namespace keratin {

// Whether only the sum holds its memory, and no tape wants to know how it came about.
bool GradientSum::may_be_overwritten() const {
  return recording == nullptr && sum_.defined() && is_unique(sum_) &&
         (sum_.is_contiguous() || memory_order(sum_).dense);
}

void GradientSum::add(const Tensor& gradient) {
  if (!sum_.defined()) {
    sum_ = gradient;
  } else if (may_be_overwritten()) {
    fn::Add add;
    Tensor terms[] = {sum_, gradient};
    kernels_of(sum_).pointwise(Pointwise::Add, &add, {&sum_, 1}, terms);
  } else {
    sum_ = sum_ + gradient;
  }
}

}  // namespace keratin
