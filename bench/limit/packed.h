// Products with a matrix that is used many times, as a recurrent kernel is: packed once, while BLAS
// packs it anew at every call. One thread; the caller cuts the work.
#pragma once

#include <algorithm>
#include <vector>

#include <xsimd/xsimd.hpp>

namespace limit {

template <class T>
using Buffer = std::vector<T, xsimd::aligned_allocator<T, 64>>;
template <class T>
using Vec = xsimd::batch<T>;
template <class T>
constexpr int lanes = static_cast<int>(Vec<T>::size);

/// A (rows, columns) matrix in panels of a tile's width, each of them contiguous.
template <class T>
struct Packed {
  static constexpr int width = 2 * lanes<T>;

  int rows, columns;
  Buffer<T> data;

  Packed(int rows, int columns)
      : rows(rows), columns(columns), data(static_cast<std::size_t>(rows) * columns) {}

  /// Takes over panels number `first` up to `last` of b.
  void pack(const T* b, int row_stride, int column_stride, int first, int last) {
    for (int j = first * width; j < last * width; j += width)
      for (int p = 0; p < rows; ++p) {
        const T* from = b + p * row_stride + j * column_stride;
        T* to = &data[j * rows + p * width];
        if (column_stride == 1)
          std::copy_n(from, width, to);
        else
          for (int i = 0; i < width; ++i) to[i] = from[i * column_stride];
      }
  }
};

// R rows by two vectors of c, held in registers: 8 by 2 of the 32 of AVX-512, 4 by 2 of 16.
template <int R, class T>
void tile(int k, const T* a, int lda, const T* panel, bool accumulate, T* c, int ldc) {
  using V = Vec<T>;
  V sum[R][2];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < 2; ++j)
      sum[r][j] = accumulate ? V::load_unaligned(c + r * ldc + j * lanes<T>) : V(T(0));
  for (int p = 0; p < k; ++p) {
    V b0 = V::load_aligned(panel), b1 = V::load_aligned(panel + lanes<T>);
    panel += Packed<T>::width;
    for (int r = 0; r < R; ++r) {
      V x(a[r * lda + p]);
      sum[r][0] = xsimd::fma(x, b0, sum[r][0]);
      sum[r][1] = xsimd::fma(x, b1, sum[r][1]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < 2; ++j) sum[r][j].store_unaligned(c + r * ldc + j * lanes<T>);
}

/// c = a·b, or c += a·b, where a is (m, b.rows - skip) and the first `skip` rows of b are left out.
template <class T>
void multiply(int m, const T* a, int lda, const Packed<T>& b, int skip, bool accumulate, T* c,
              int ldc) {
  constexpr int R = lanes<T> * sizeof(T) == 64 ? 8 : 4;
  for (int j = 0; j < b.columns; j += Packed<T>::width) {
    const T* panel = &b.data[j * b.rows + skip * Packed<T>::width];
    int i = 0;
    for (; i + R <= m; i += R)
      tile<R>(b.rows - skip, a + i * lda, lda, panel, accumulate, c + i * ldc + j, ldc);
    for (; i < m; ++i)
      tile<1>(b.rows - skip, a + i * lda, lda, panel, accumulate, c + i * ldc + j, ldc);
  }
}

}  // namespace limit
