#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <limits>
#include <utility>

#include <keratin/core/cpu/gemm.h>
#include <keratin/core/cpu/kernel_table.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>

namespace keratin::cpu {
namespace {

// OpenBLAS starts threads of its own for a large product, and its threads get in each other's way
// when the machine is busy. It does not when OpenMP would give it only one.
class SerialBlas {
 public:
  SerialBlas() : saved_(omp_get_max_threads()) {
    if (saved_ != 1) omp_set_num_threads(1);
  }
  ~SerialBlas() {
    if (saved_ != 1) omp_set_num_threads(saved_);
  }

 private:
  int saved_;
};

void call_blas(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
               const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void call_blas(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a,
               int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

// y += a x, or y += a' x, with the rows and columns that a has in memory.
void call_blas(CBLAS_TRANSPOSE ta, int rows, int columns, const float* a, int lda, const float* x,
               int x_stride, float* y, int y_stride) {
  cblas_sgemv(CblasRowMajor, ta, rows, columns, 1, a, lda, x, x_stride, 1, y, y_stride);
}
void call_blas(CBLAS_TRANSPOSE ta, int rows, int columns, const double* a, int lda, const double* x,
               int x_stride, double* y, int y_stride) {
  cblas_dgemv(CblasRowMajor, ta, rows, columns, 1, a, lda, x, x_stride, 1, y, y_stride);
}

int blas_int(std::int64_t value) {
  if (value > std::numeric_limits<int>::max())
    fail("dot: a matrix axis or stride of {} is beyond what BLAS takes", value);
  return static_cast<int>(value);
}

struct Layout {
  CBLAS_TRANSPOSE transpose;
  int leading;
};

template <class T>
Layout layout_of(const Matrix<T>& x, std::int64_t rows, std::int64_t columns) {
  bool row_major = x.column_stride == 1 || columns == 1;
  std::int64_t stride =
      row_major ? (rows == 1 ? columns : x.row_stride) : (columns == 1 ? rows : x.column_stride);
  std::int64_t least = row_major ? columns : rows;
  return {row_major ? CblasNoTrans : CblasTrans,
          blas_int(std::max({stride, least, std::int64_t{1}}))};
}

// A matrix (m, k) times a vector. BLAS refuses a stride of 0, which a vector of one element may
// have. y is cleared here, because BLAS versions differ in whether 0 times NaN is 0.
template <class T>
void matrix_by_vector(std::int64_t m, std::int64_t k, T* y, std::int64_t y_stride,
                      Matrix<const T> a, const T* x, std::int64_t x_stride, bool accumulate) {
  if (!accumulate)
    for (std::int64_t i = 0; i < m; ++i) y[i * y_stride] = 0;
  Layout la = layout_of(a, m, k);
  bool by_rows = la.transpose == CblasNoTrans;
  call_blas(la.transpose, blas_int(by_rows ? m : k), blas_int(by_rows ? k : m), a.data, la.leading,
            x, k == 1 ? 1 : blas_int(x_stride), y, m == 1 ? 1 : blas_int(y_stride));
}

template <class T>
void block(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
           Matrix<const T> b, bool accumulate) {
  if (n == 1)
    return matrix_by_vector(m, k, c.data, c.row_stride, a, b.data, b.row_stride, accumulate);
  if (m == 1)
    return matrix_by_vector(n, k, c.data, c.column_stride, {b.data, b.column_stride, b.row_stride},
                            a.data, a.column_stride, accumulate);
  Layout la = layout_of(a, m, k), lb = layout_of(b, k, n), lc = layout_of(c, m, n);
  call_blas(la.transpose, lb.transpose, blas_int(m), blas_int(n), blas_int(k), a.data, la.leading,
            b.data, lb.leading, accumulate ? T(1) : T(0), c.data, lc.leading);
}

// c = a b + bias by our own kernel, for a c that lies by rows. b is packed `depth` rows and
// `most_width` columns at a time, which stay in the cache. Each element is one chain of sums, so it
// does not depend on how the work is cut.
void packed_product(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<float> c,
                    Matrix<const float> a, Matrix<const float> b, const float* bias,
                    bool accumulate) {
  constexpr std::int64_t depth = 256, most_width = PackedKernels::most_width;  // of b at a time
  const PackedKernels& kernels = float32_table().packed;
  const std::int64_t groups = (n + most_width - 1) / most_width;
  const std::int64_t worth = m * n * k / products_per_thread;
  // Few groups for many threads are also cut by rows of c, sixteen at a time; each part packs b.
  const std::int64_t threads = threads_for(groups * ((m + 15) / 16), worth);
  std::int64_t parts =
      threads == 1 ? 1 : std::clamp<std::int64_t>(2 * threads / groups, 1, (m + 15) / 16);
  const std::int64_t height = (m + 16 * parts - 1) / (16 * parts) * 16;
  parts = (m + height - 1) / height;
  parallel_for(groups * parts, worth, [&](std::int64_t first, std::int64_t last) {
    alignas(64) float panels[depth * most_width];
    for (std::int64_t i = first; i < last; ++i) {
      std::int64_t column = i / parts * most_width, row = i % parts * height;
      std::int64_t columns = std::min(most_width, n - column);
      for (std::int64_t p = 0; p < k; p += depth) {
        std::int64_t length = std::min(depth, k - p);
        kernels.pack(panels, b.data + p * b.row_stride + column * b.column_stride, b.row_stride,
                     b.column_stride, length, columns, 0,
                     (columns + kernels.width - 1) / kernels.width);
        for (std::int64_t j = 0; j < columns; j += kernels.width) {
          float* to = c.data + row * c.row_stride + column + j;
          const bool goes_on = p > 0 || accumulate;
          const float* start = goes_on ? to : bias == nullptr ? nullptr : bias + column + j;
          kernels.multiply(to, c.row_stride, start, goes_on ? c.row_stride : 0,
                           a.data + row * a.row_stride + p * a.column_stride, a.row_stride,
                           a.column_stride, panels + j * length, std::min(height, m - row), length,
                           std::min<std::int64_t>(kernels.width, columns - j));
        }
      }
    }
  });
}

// c = a b by BLAS, cut into blocks by size alone, each done by one thread. Each block packs the
// whole of the other factor, so tall products are cut into blocks of rows, the others of columns.
// Four blocks were fastest for two threads at nearly all sizes; large products leave more for more
// threads.
template <class T>
void blas_product(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
                  Matrix<const T> b, bool accumulate) {
  const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  constexpr double least_work = 1e6;  // worth cutting: some 20 us of one core
  bool by_rows = m >= n || (k <= 16 && m >= 64);
  std::int64_t length = by_rows ? m : n;
  std::int64_t blocks = work < least_work ? 1 : work < 2e8 ? 4 : 8;
  while (blocks > 1 && blocks * 16 > length) blocks /= 2;
  std::int64_t units = (length + 15) / 16;
  parallel_for(blocks, m * n * k / products_per_thread, [&](std::int64_t first, std::int64_t last) {
    SerialBlas serial;
    for (std::int64_t i = first; i < last; ++i) {
      std::int64_t begin = units * i / blocks * 16;
      std::int64_t end = std::min(units * (i + 1) / blocks * 16, length);
      if (by_rows)
        block<T>(end - begin, n, k, {c.data + begin * c.row_stride, c.row_stride, c.column_stride},
                 {a.data + begin * a.row_stride, a.row_stride, a.column_stride}, b, accumulate);
      else
        block<T>(m, end - begin, k,
                 {c.data + begin * c.column_stride, c.row_stride, c.column_stride}, a,
                 {b.data + begin * b.column_stride, b.row_stride, b.column_stride}, accumulate);
    }
  });
}

}  // namespace

ProductKernel choose_product(std::int64_t m, std::int64_t n, std::int64_t k, bool a_by_rows,
                             bool b_by_rows) {
  if (m < 2 || n < 8) return ProductKernel::blas;
  // BLAS packs a as well. That pays if a is stored by long columns, because a tile's elements then
  // lie far apart, and if b is larger than the cache.
  if (!float32_table().packed.blas_has_small_products)
    return n * k < 1 << 20 && (a_by_rows || m <= 1024) ? ProductKernel::packed
                                                       : ProductKernel::blas;
  // Where BLAS has kernels for small products, these are faster if ours has to compute many columns
  // that there are not, to fill its vectors. Otherwise ours is faster for tall products and for the
  // gradients of weights, which are summed over many rows.
  constexpr std::int64_t small = 3'000'000, lanes = 16;
  const std::int64_t computed = (n + lanes - 1) / lanes * lanes;
  if (5 * computed >= 6 * n && m * n * k <= small) return ProductKernel::blas;
  // A tile of rows reads a cache line of each column; the lines of a few columns stay in the cache.
  bool stays_cached = a_by_rows || k <= 32;
  bool tall = stays_cached && m >= 64 && k >= 8;
  bool gradient = !a_by_rows && b_by_rows && m >= 16 && k >= 64;
  return tall || gradient ? ProductKernel::packed : ProductKernel::blas;
}

bool packing_pays(std::int64_t rows, std::int64_t products) {
  return rows >= 2 && rows * products >= 16;
}

template <class T>
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
          Matrix<const T> b, const T* bias, bool accumulate, ProductKernel kernel) {
  if (m == 0 || n == 0) return;
  blas_int(std::max({m, n, k, c.row_stride, c.column_stride, a.row_stride, a.column_stride,
                     b.row_stride, b.column_stride}));  // throws here, outside any thread
  FlushDenormals guard;
  const bool packed =
      std::is_same_v<T, float> && kernel == ProductKernel::packed && c.column_stride == 1 && k > 0;
  if (!packed && !accumulate && (bias != nullptr || k == 0)) {
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        c.data[i * c.row_stride + j * c.column_stride] = bias == nullptr ? T(0) : bias[j];
    accumulate = true;
  }
  if (k == 0) return;
  if constexpr (std::is_same_v<T, float>)
    if (packed) return packed_product(m, n, k, c, a, b, bias, accumulate);
  if (c.column_stride != 1 && n > 1)  // BLAS writes rows: compute the transposed product
    return blas_product<T>(n, m, k, transposed(c), transposed(b), transposed(a), accumulate);
  blas_product<T>(m, n, k, c, a, b, accumulate);
}

template <class T>
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> c, Matrix<const T> a,
          Matrix<const T> b, const T* bias, bool accumulate) {
  if (c.column_stride != 1 && n > 1 && bias == nullptr)  // our kernel writes rows, too
    return gemm<T>(n, m, k, transposed(c), transposed(b), transposed(a), nullptr, accumulate);
  bool a_by_rows = a.column_stride == 1 && a.row_stride != 1;
  gemm<T>(m, n, k, c, a, b, bias, accumulate,
          choose_product(m, n, k, a_by_rows, b.column_stride == 1));
}

template void gemm<float>(std::int64_t, std::int64_t, std::int64_t, Matrix<float>,
                          Matrix<const float>, Matrix<const float>, const float*, bool);
template void gemm<double>(std::int64_t, std::int64_t, std::int64_t, Matrix<double>,
                           Matrix<const double>, Matrix<const double>, const double*, bool);
template void gemm<float>(std::int64_t, std::int64_t, std::int64_t, Matrix<float>,
                          Matrix<const float>, Matrix<const float>, const float*, bool,
                          ProductKernel);

}  // namespace keratin::cpu
