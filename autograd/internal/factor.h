// What scan.cpp is made of: memory that is walked step by step, and the kernels by which the rows
// of each step are multiplied.
#pragma once

#include <cstdint>
#include <vector>

#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>

namespace keratin::scan {

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

}  // namespace keratin::scan
