// What scan.cpp is made of: memory that is walked step by step, and the kernels by which the rows
// of each step are multiplied.
#pragma once

#include <cstdint>
#include <vector>

#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>

namespace keratin::scan_parts {

using Tensors = std::vector<Tensor>;

/// Columns begin..begin + count - 1 of a matrix, and likewise rows: views.
inline Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t count) {
  return make_view(x, {x.size(0), count}, x.strides(), begin * x.strides()[1]);
}
inline Tensor rows(const Tensor& x, std::int64_t begin, std::int64_t count) {
  return make_view(x, {count, x.size(1)}, x.strides(), begin * x.strides()[0]);
}

/// Runs the functor F over its operands.
template <class F>
void run(std::initializer_list<Tensor> y, std::initializer_list<Tensor> x) {
  F f;
  kernels_of(*x.begin())
      .pointwise(pointwise_id<F>, &f, {y.begin(), y.size()}, {x.begin(), x.size()});
}

/// One matrix for each time step. at(t) moves one of two headers instead of making a new one, so
/// that a loop over time allocates nothing: the view is valid until step t - 2 or t + 2 is asked
/// for.
class Steps {
 public:
  Steps() = default;
  /// Memory for `slots` steps of `count` rows; step t takes slot t % slots.
  Steps(std::int64_t slots, std::int64_t count, std::int64_t columns, DType dtype)
      : Steps(empty({slots * count, columns}, dtype), count) {}
  /// The steps of a matrix, each with `count` rows.
  Steps(const Tensor& all, std::int64_t count)
      : Steps(all, rows(all, 0, count), count * all.strides()[0]) {
    if (count > 0) slots_ = all.size(0) / count;
  }
  /// The steps of x (time, rows, columns).
  explicit Steps(const Tensor& x)
      : Steps(x, make_view(x, {x.size(1), x.size(2)}, {x.strides()[1], x.strides()[2]}),
              x.strides()[0]) {}

  bool defined() const { return all_.defined(); }
  /// The steps in their memory: (slots * rows, columns).
  const Tensor& all() const { return all_; }
  const Tensor& at(std::int64_t t) const {
    const Tensor& view = views_[t & 1];
    TensorData::of(view).data = data_ + t % slots_ * bytes_;
    return view;
  }

 private:
  Steps(const Tensor& all, const Tensor& first, std::int64_t distance)
      : all_(all),
        views_{first, make_view(first, first.shape(), first.strides())},
        data_(TensorData::of(first).data),
        bytes_(distance * static_cast<std::int64_t>(size_of(all.dtype()))) {}

  Tensor all_, views_[2];
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0, slots_ = INT64_MAX;
};

/// A matrix M by which many matrices are multiplied: packed once where the device has a use for
/// that. With dropout its columns are cut into as many pieces as there are masks; mask i (rows of a
/// step, rows of M) scales the other factor before that meets piece i.
class Factor {
 public:
  Factor() = default;
  /// Of `products` products with `rows` rows each: a M, or g M^T with `transposed`.
  Factor(const Tensor& matrix, std::size_t masks, std::int64_t rows, std::int64_t products,
         bool transposed);

  /// c = a M + bias, or c += a M.
  void multiply(const Tensor& c, const Tensor& a, const Tensor& bias, bool accumulate,
                const Tensors& masks) const;
  /// c = g M^T, or c += g M^T.
  void multiply_transposed(const Tensor& c, const Tensor& g, bool accumulate,
                           const Tensors& masks) const;

 private:
  struct Piece {
    Tensor matrix, packed;
    void multiply(const Tensor& c, const Tensor& a, const Tensor& bias, bool accumulate) const;
  };
  std::vector<Piece> pieces_;
  std::int64_t width_ = 0;  // columns of a piece
};

/// gm = a^T g: the gradient of M, given that of a M.
void factor_gradient(const Tensor& gm, const Tensor& a, const Tensor& g, const Tensors& masks);

}  // namespace keratin::scan_parts
