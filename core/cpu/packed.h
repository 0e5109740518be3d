// Products with a matrix that is used many times, such as a recurrent kernel: packed once, where
// BLAS packs it anew at every call. Compiled once for each instruction set; raw pointers and sizes
// only.
//
// A (k, n) matrix is packed as panels of two batches' width, each (k, width) and contiguous. An
// element of the product is one chain of multiply-adds along k, so that it does not depend on how
// the work is cut.
#pragma once

#include <cstdint>
#include <utility>

namespace keratin::cpu {

struct PackedKernels {
  int width;  // columns of a panel

  /// Packs panels first..last-1 of b (k, n); missing columns of the last panel become zeros.
  void (*pack)(float* packed, const float* b, std::int64_t row_stride, std::int64_t column_stride,
               std::int64_t k, std::int64_t n, std::int64_t first, std::int64_t last);
  /// c (m, columns) = a (m, k) panel, or c += a panel; columns <= width.
  void (*multiply)(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                   const float* panel, std::int64_t m, std::int64_t k, std::int64_t columns,
                   bool accumulate);
};

template <class Simd>
struct PackedProduct {
  static constexpr std::int64_t lanes = Simd::width;
  static constexpr std::int64_t width = 2 * lanes;
  // Rows at a time: 8 by 2 sums in registers where there are 32 of them, 4 by 2 of 16.
  static constexpr int tile_rows = lanes == 16 ? 8 : 4;

  static void pack(float* packed, const float* b, std::int64_t row_stride,
                   std::int64_t column_stride, std::int64_t k, std::int64_t n, std::int64_t first,
                   std::int64_t last) {
    constexpr std::int64_t block = 16;  // rows, so that a transposed matrix is read by cache lines
    for (std::int64_t panel = first; panel < last; ++panel) {
      float* to = packed + panel * k * width;
      const float* from = b + panel * width * column_stride;
      std::int64_t columns = n - panel * width < width ? n - panel * width : width;
      for (std::int64_t p0 = 0; p0 < k; p0 += block) {
        std::int64_t p1 = p0 + block < k ? p0 + block : k;
        for (std::int64_t j = 0; j < width; ++j)
          for (std::int64_t p = p0; p < p1; ++p)
            to[p * width + j] = j < columns ? from[p * row_stride + j * column_stride] : 0.0f;
      }
    }
  }

  static void multiply(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                       const float* panel, std::int64_t m, std::int64_t k, std::int64_t columns,
                       bool accumulate) {
    std::int64_t i = 0;
    for (; i + tile_rows <= m; i += tile_rows)
      rows<tile_rows>(c + i * c_stride, c_stride, a + i * a_stride, a_stride, panel, k, columns,
                      accumulate);
    for (; i + 2 <= m; i += 2)
      rows<2>(c + i * c_stride, c_stride, a + i * a_stride, a_stride, panel, k, columns,
              accumulate);
    if (i < m)
      rows<1>(c + i * c_stride, c_stride, a + i * a_stride, a_stride, panel, k, columns,
              accumulate);
  }

 private:
  template <int R>
  static void rows(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                   const float* panel, std::int64_t k, std::int64_t columns, bool accumulate) {
    if (columns == width) return tile<R>(c, c_stride, a, a_stride, panel, k, accumulate);
    float whole[R * width];
    for (int r = 0; r < R; ++r)
      for (std::int64_t j = 0; j < width; ++j)
        whole[r * width + j] = accumulate && j < columns ? c[r * c_stride + j] : 0.0f;
    tile<R>(whole, width, a, a_stride, panel, k, true);
    for (int r = 0; r < R; ++r)
      for (std::int64_t j = 0; j < columns; ++j) c[r * c_stride + j] = whole[r * width + j];
  }

  template <int R>
  static void tile(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                   const float* panel, std::int64_t k, bool accumulate) {
    tile(c, c_stride, a, a_stride, panel, k, accumulate, std::make_integer_sequence<int, R>{});
  }

  // Written out for each row r: a compiler keeps what is indexed by constants in registers.
  template <int... r>
  static void tile(float* c, std::int64_t c_stride, const float* a, std::int64_t a_stride,
                   const float* panel, std::int64_t k, bool accumulate,
                   std::integer_sequence<int, r...>) {
    Simd left[] = {(accumulate ? Simd::load(c + r * c_stride) : Simd(0.0))...};
    Simd right[] = {(accumulate ? Simd::load(c + r * c_stride + lanes) : Simd(0.0))...};
    for (std::int64_t p = 0; p < k; ++p, panel += width) {
      Simd b0 = Simd::load(panel), b1 = Simd::load(panel + lanes);
      ((left[r] = multiply_add(Simd::repeat(a + r * a_stride + p), b0, left[r]),
        right[r] = multiply_add(Simd::repeat(a + r * a_stride + p), b1, right[r])),
       ...);
    }
    (left[r].store(c + r * c_stride), ...);
    (right[r].store(c + r * c_stride + lanes), ...);
  }
};

}  // namespace keratin::cpu
