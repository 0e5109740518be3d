// Matrix products, through CBLAS or by our own kernel (packed.h). The one header behind which the
// BLAS library hides, and the one place that decides which kernel multiplies two matrices.
#pragma once

#include <cstdint>

namespace keratin::cpu {

template <class T>
struct Matrix {
  T* data;
  std::int64_t row_stride, column_stride;  // at least one of them is 1
};

template <class T>
Matrix<T> transposed(const Matrix<T>& x) {
  return {x.data, x.column_stride, x.row_stride};
}

enum class ProductKernel { blas, packed };

/// The faster kernel for a float32 product (m, k) (k, n), by measurement; bench/products.cpp prints
/// the rule with the time of each choice. BLAS takes all float64 products.
ProductKernel choose_product(std::int64_t m, std::int64_t n, std::int64_t k, bool a_by_rows,
                             bool b_by_rows);

/// Whether a float32 matrix is packed for so many products with `rows` rows each.
bool packing_pays(std::int64_t rows, std::int64_t products);

/// c (m, n) = a (m, k) b (k, n) + bias, or c += a b. The bias (n) may be null; there is none where
/// c accumulates. Large products are cut for the threads in a way that the result does not depend
/// on.
template <class T>
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
          Matrix<const T> b, const T* bias, bool accumulate);

/// The same by a given kernel; by BLAS where the other cannot do it.
template <class T>
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
          Matrix<const T> b, const T* bias, bool accumulate, ProductKernel kernel);

}  // namespace keratin::cpu
