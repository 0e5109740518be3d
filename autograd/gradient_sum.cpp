// Gradients while they are summed up: products wait as their two factors, and are joined with those
// beside them in memory.

#include <keratin/autograd/internal/in_place.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/kernels.h>

namespace keratin {

bool GradientSum::exclusive() const {
  return sum_.defined() && (given_ || (is_unique(sum_) && sum_.is_contiguous()));
}

const Tensor& GradientSum::value() {
  settle();
  return sum_;
}

void GradientSum::add(const Tensor& gradient) {
  settle();
  if (!sum_.defined()) {
    sum_ = gradient;
  } else if (recording == nullptr && exclusive()) {
    fn::Add add;
    Tensor terms[] = {sum_, gradient};
    kernels_of(sum_).pointwise(Pointwise::Add, &add, {&sum_, 1}, terms);
  } else {
    sum_ = sum_ + gradient;
    given_ = false;
  }
}

void GradientSum::give(const Tensor& gradient) {
  bool first = !defined();
  add(gradient);
  if (first) given_ = true;
}

namespace {

// x followed by y along an axis.
Tensor extended(const Tensor& x, const Tensor& y, int axis) {
  return make_view(x, x.shape().with(axis, x.shape()[axis] + y.shape()[axis]), x.strides());
}

}  // namespace

void GradientSum::add_product(const Tensor& a, const Tensor& b) {
  if (recording != nullptr) return add(matmul(a, b));
  if (a_.defined()) {
    bool behind = continues(a_, a, 1) && continues(b_, b, 0);
    bool before = !behind && continues(a, a_, 1) && continues(b, b_, 0);
    if (behind || before) {
      Tensor joined_a = behind ? extended(a_, a, 1) : extended(a, a_, 1);
      Tensor joined_b = behind ? extended(b_, b, 0) : extended(b, b_, 0);
      if (is_blas_matrix(joined_a) && is_blas_matrix(joined_b)) {
        a_ = joined_a;
        b_ = joined_b;
        return;
      }
    }
    settle();
  }
  a_ = a;
  b_ = b;
}

void GradientSum::settle() {
  if (!a_.defined()) return;
  Tensor a = std::move(a_), b = std::move(b_);
  add_in_place(a.size(0), b.size(1), a.dtype(),
               [&](const Tensor& sum, bool accumulate) { product_into(sum, a, b, accumulate); });
}

// Makes sum_ a matrix with dense rows that may be written; true where it holds nothing yet.
bool GradientSum::make_room(std::int64_t rows, std::int64_t columns, DType dtype) {
  settle();
  bool first = !sum_.defined();
  bool fits = place_.defined() && place_.shape() == Shape{rows, columns} &&
              place_.dtype() == dtype && is_blas_matrix(place_) && place_.strides()[1] == 1;
  if (first && fits) {
    sum_ = place_;
    given_ = true;
  } else if (first || !exclusive() || sum_.strides()[1] != 1 || !is_blas_matrix(sum_)) {
    Tensor sum = empty({rows, columns}, dtype);
    if (!first) kernels_of(sum).copy(sum, sum_);
    sum_ = sum;
    given_ = false;
  }
  return first;
}

}  // namespace keratin
