// Gradients while they are summed up: products wait as their two factors, and are joined with those
// beside them in memory.

#include <keratin/autograd/internal/in_place.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/kernels.h>

namespace keratin {

bool GradientSum::exclusive() const {
  if (!sum_.defined()) return false;
  return given_ || (is_unique(sum_) && (sum_.is_contiguous() || memory_order(sum_).dense));
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

// Whether the matrix b lies `distance` elements behind a and has its strides, and its size along
// one axis.
bool lies_behind(const Tensor& a, const Tensor& b, std::int64_t distance, int same_axis) {
  const TensorData &x = TensorData::of(a), &y = TensorData::of(b);
  return x.storage == y.storage && x.dtype == y.dtype && x.strides == y.strides &&
         x.shape[same_axis] == y.shape[same_axis] &&
         y.data == x.data + distance * static_cast<std::int64_t>(size_of(x.dtype));
}

}  // namespace

bool GradientSum::Product::joins(const Product& next) {
  auto before = [](const Product& first, const Product& second) {
    return lies_behind(first.a, second.a, first.depth * first.a.strides()[1], 0) &&
           lies_behind(first.b, second.b, first.depth * first.b.strides()[0], 1);
  };
  const bool behind = before(*this, next);
  if (!behind && !before(next, *this)) return false;
  std::int64_t both = depth + next.depth;
  if (!is_blas_matrix(a.size(0), both, a.strides()) ||
      !is_blas_matrix(both, b.size(1), b.strides()))
    return false;
  if (!behind) *this = next;
  depth = both;
  return true;
}

void GradientSum::add_product(const Tensor& a, const Tensor& b) {
  if (recording != nullptr) return add(matmul(a, b));
  Product next{a, b, a.size(1)};
  if (waiting_.depth > 0 && waiting_.joins(next)) return;
  settle();
  waiting_ = std::move(next);
}

void GradientSum::write_into(const Tensor& place) {
  const Tensor& sum = value();
  if (!sum.defined())
    Tensor(place).assign(0.0);
  else if (!begin_together(sum, place))
    Tensor(place).assign(sum);
}

// The factors stay, to be released by whom they belong to: another thread may be computing this.
void GradientSum::settle() {
  const std::int64_t depth = std::exchange(waiting_.depth, 0);
  if (depth == 0) return;
  Tensor a = make_view(waiting_.a, {waiting_.a.size(0), depth}, waiting_.a.strides());
  Tensor b = make_view(waiting_.b, {depth, waiting_.b.size(1)}, waiting_.b.strides());
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
