// Matrix products through CBLAS. The one header behind which the BLAS library hides.
#pragma once

#include <cstdint>

namespace keratin::cpu {

template <class T>
struct Matrix {
  T* data;
  std::int64_t row_stride, column_stride;  // at least one of them is 1
};

/// c (m, n) = a (m, k) b (k, n), or c += a b. Large products are cut into blocks for the threads,
/// in a way that the result does not depend on.
template <class T>
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
          Matrix<const T> b, bool accumulate);

}  // namespace keratin::cpu
