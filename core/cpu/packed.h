// Products with a packed second factor. One that is used many times, such as a recurrent kernel, is
// packed once, where BLAS packs it anew at every call; others are packed block by block (gemm.cpp).
// Compiled once for each instruction set; raw pointers and sizes only.
//
// A (k, n) matrix is packed as panels of two batches' width, each (k, width) and contiguous. An
// element of the product is one chain of multiply-adds along k, so that it does not depend on how
// the work is cut.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace keratin::cpu {

struct PackedKernels {
  static constexpr int most_width = 32;
  int width;  // columns of a panel
  /// Whether OpenBLAS multiplies small matrices without copying both factors, which it does only
  /// for AVX-512. Without that, our kernel takes a third to nine tenths of its time.
  bool blas_has_small_products;

  /// Packs panels first..last-1 of b (k, n); missing columns of the last panel become zeros.
  void (*pack)(float* packed, const float* b, std::int64_t row_stride, std::int64_t column_stride,
               std::int64_t k, std::int64_t n, std::int64_t first, std::int64_t last);
  /// c (m, columns) = start + a (m, k) panel; columns <= width. Start may be c itself, or a single
  /// row, whose stride is 0, or null.
  void (*multiply)(float* c, std::int64_t c_stride, const float* start, std::int64_t start_stride,
                   const float* a, std::int64_t a_row_stride, std::int64_t a_column_stride,
                   const float* panel, std::int64_t m, std::int64_t k, std::int64_t columns);
};

template <class Simd>
struct PackedProduct {
  static constexpr std::int64_t lanes = Simd::width;
  static constexpr std::int64_t width = 2 * lanes;
  static_assert(width <= PackedKernels::most_width);
  // Rows at a time: 8 by 2 sums in registers where there are 32 of them. Of 16, 6 by 2 leave room
  // for a row of the panel and a factor; without fused multiply-add, products need some more.
  static constexpr int tile_rows = lanes == 16 ? 8 : lanes == 8 ? 6 : 4;

  static void pack(float* packed, const float* b, std::int64_t row_stride,
                   std::int64_t column_stride, std::int64_t k, std::int64_t n, std::int64_t first,
                   std::int64_t last) {
    constexpr std::int64_t block = 16;  // rows, so that a transposed matrix is read by cache lines
    constexpr std::int64_t group = width < 16 ? 4 : 64 / width;  // panels that share a row's lines
    for (std::int64_t panel = first; panel < last; ++panel) {
      float* to = packed + panel * k * width;
      const float* from = b + panel * width * column_stride;
      std::int64_t columns = n - panel * width < width ? n - panel * width : width;
      if (column_stride == 1 && columns == width) {
        std::int64_t whole = (n - panel * width) / width;
        if (whole > last - panel) whole = last - panel;
        if (whole > group) whole = group;
        for (std::int64_t p = 0; p < k; ++p)
          for (std::int64_t j = 0; j < whole * width; j += width)
            for (std::int64_t l = 0; l < width; l += lanes)
              Simd::load(from + p * row_stride + j + l).store(to + j * k + p * width + l);
        panel += whole - 1;
        continue;
      }
      for (std::int64_t p0 = 0; p0 < k; p0 += block) {
        std::int64_t p1 = p0 + block < k ? p0 + block : k;
        if (row_stride == 1 && columns == width && p1 == p0 + block) {
          for (std::int64_t j = 0; j < width; j += 4)
            for (std::int64_t p = p0; p < p1; p += 4)
              transpose_4_by_4(to + p * width + j, width, from + p + j * column_stride,
                               column_stride);
          continue;
        }
        if (column_stride == 1) {  // the last panel
          for (std::int64_t p = p0; p < p1; ++p) {
            for (std::int64_t l = 0; l < width; l += lanes) Simd(0.0).store(to + p * width + l);
            copy_few(to + p * width, from + p * row_stride, columns);
          }
          continue;
        }
        for (std::int64_t j = 0; j < width; ++j)
          for (std::int64_t p = p0; p < p1; ++p)
            to[p * width + j] = j < columns ? from[p * row_stride + j * column_stride] : 0.0f;
      }
    }
  }

  static void multiply(float* c, std::int64_t c_stride, const float* start,
                       std::int64_t start_stride, const float* a, std::int64_t a_row_stride,
                       std::int64_t a_column_stride, const float* panel, std::int64_t m,
                       std::int64_t k, std::int64_t columns) {
    Rows rows{c, start, a, c_stride, start_stride, a_row_stride, a_column_stride};
    std::int64_t i = 0;  // 8 rows are 4 and 4, not 6 and 2: low tiles wait for their sums
    for (; i + tile_rows <= m && (tile_rows != 6 || m - i != 8); i += tile_rows)
      rows.template from<tile_rows>(i, panel, k, columns);
    for (; i + 4 <= m; i += 4) rows.template from<4>(i, panel, k, columns);
    for (; i + 2 <= m; i += 2) rows.template from<2>(i, panel, k, columns);
    if (i < m) rows.template from<1>(i, panel, k, columns);
  }

 private:
  static void transpose_4_by_4(float* to, std::int64_t to_stride, const float* from,
                               std::int64_t from_stride) {
    using Four = float __attribute__((vector_size(16)));
    Four row[4];
    for (int i = 0; i < 4; ++i) std::memcpy(&row[i], from + i * from_stride, sizeof(Four));
    Four low = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    Four low2 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    Four high = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    Four high2 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    Four column[4] = {__builtin_shufflevector(low, low2, 0, 1, 4, 5),
                      __builtin_shufflevector(low, low2, 2, 3, 6, 7),
                      __builtin_shufflevector(high, high2, 0, 1, 4, 5),
                      __builtin_shufflevector(high, high2, 2, 3, 6, 7)};
    for (int i = 0; i < 4; ++i) std::memcpy(to + i * to_stride, &column[i], sizeof(Four));
  }

  // Fewer than `width` numbers, in pieces that are powers of two: faster than one by one, or than a
  // call of memcpy.
  static void copy_few(float* to, const float* from, std::int64_t n) {
    auto piece = [&]<int size>(std::integral_constant<int, size>) {
      if ((n & size) == 0) return;
      std::memcpy(to, from, size * sizeof(float));
      to += size;
      from += size;
    };
    piece(std::integral_constant<int, 16>{});
    piece(std::integral_constant<int, 8>{});
    piece(std::integral_constant<int, 4>{});
    piece(std::integral_constant<int, 2>{});
    piece(std::integral_constant<int, 1>{});
  }

  struct Rows {
    float* c;
    const float *start, *a;
    std::int64_t c_stride, start_stride, a_row_stride, a_column_stride;

    /// R rows from row i on.
    template <int R>
    void from(std::int64_t i, const float* panel, std::int64_t k, std::int64_t columns) const {
      Rows here{c + i * c_stride,     start == nullptr ? start : start + i * start_stride,
                a + i * a_row_stride, c_stride,
                start_stride,         a_row_stride,
                a_column_stride};
      constexpr auto rows = std::make_integer_sequence<int, R>{};
      if (columns == width) return here.template tile<2>(panel, k, rows);
      float first[R * width] = {}, whole[R * width];
      for (int r = 0; r < R && start != nullptr; ++r)
        copy_few(first + r * width, here.start + r * start_stride, columns);
      const Rows apart{
          whole,          start == nullptr ? start : first, here.a, width, width, a_row_stride,
          a_column_stride};
      columns <= lanes ? apart.template tile<1>(panel, k, rows)
                       : apart.template tile<2>(panel, k, rows);
      for (int r = 0; r < R; ++r) copy_few(here.c + r * c_stride, whole + r * width, columns);
    }

    // One or both batches of the columns. Written out for each row r: a compiler keeps what is
    // indexed by constants in registers.
    template <int batches, int... r>
    void tile(const float* panel, std::int64_t k, std::integer_sequence<int, r...>) const {
      constexpr bool both = batches == 2;
      auto begin = [&](std::int64_t row, std::int64_t column) {
        return start != nullptr ? Simd::load(start + row * start_stride + column) : Simd(0.0);
      };
      Simd left[] = {begin(r, 0)...}, right[] = {both ? begin(r, lanes) : Simd(0.0 * r)...};
      const float* column = a;
      // Less to decode for each multiply-add, on a core that also runs another program's thread.
#pragma GCC unroll 4
      for (std::int64_t p = 0; p < k; ++p, panel += width, column += a_column_stride) {
        Simd b0 = Simd::load(panel), b1 = both ? Simd::load(panel + lanes) : b0;
        ((left[r] = multiply_add(Simd::repeat(column + r * a_row_stride), b0, left[r]),
          both
              ? void(right[r] = multiply_add(Simd::repeat(column + r * a_row_stride), b1, right[r]))
              : void()),
         ...);
      }
      (left[r].store(c + r * c_stride), ...);
      if (both) (right[r].store(c + r * c_stride + lanes), ...);
    }
  };
};

}  // namespace keratin::cpu
