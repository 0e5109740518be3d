// The kernels' entry points: each queues its work on a stream. Pointers are to device memory and
// sizes fit; see core/kernels.h for what each computes. Plain C++, without nvcc's words.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include <keratin/core/catalogue.h>
#include <keratin/core/dtype.h>
#include <keratin/core/internal/loop.h>
#include <keratin/core/reduction.h>
#include <keratin/core/windows.h>

namespace keratin {
enum class Comparison;
struct Draw;

namespace cuda {

using Stream = struct StreamState*;

/// What a kernel needs to know of a loop. Null data: an output nobody wants, or an input that is a
/// number.
struct DeviceLoop : Loop {
  std::int64_t total = 1;           // elements
  double value[max_operands] = {};  // of the inputs that are numbers
};

/// The elements of a dense tensor. They convert to a pointer to their type, which is null where the
/// tensor is undefined. Indices, keys, places and counts are int32.
struct Elements {
  DType dtype;
  void* data;

  Elements(DType dtype, void* data) : dtype(dtype), data(data) {}
  Elements(const Tensor& tensor);
  template <class T>
  operator T*() const {
    if (data != nullptr && dtype != dtype_for<std::remove_const_t<T>>)
      throw std::logic_error("cuda: elements of another type");
    return static_cast<T*>(data);
  }
};

/// What a kernel found wrong with indices, in memory that the host can read after a wait.
struct IndexFault {
  std::int32_t found = 0;  // 1: there is one
  std::int32_t index = 0;
  std::int64_t position = 0, extent = 0;
  const char* who = nullptr;  // the op that looked up; text of the host
};

/// Dense arrays in groups, all of which one launch walks: each group by blocks of its own.
struct Groups {
  static constexpr int max_groups = 64;
  static constexpr int max_arrays = 5;  // in a group, of one size

  int count = 0;
  std::int64_t size[max_groups];
  void* data[max_groups][max_arrays];
};

/// Windows over x (batch, n, n, n, channels), m of them along each axis.
struct Pooling {
  Windows windows;
  std::int64_t batch, n[3], m[3], channels;
};

// --- pointwise; the dtype is that of all operands: float32, float64 or int32
void pointwise(Pointwise op, const void* functor, DType dtype, const DeviceLoop& loop,
               Stream stream);
void pointwise_gradient(Pointwise op, const void* functor, DType dtype, const DeviceLoop& loop,
                        Stream stream);
/// The functor on each group in place: all of its arrays are read, all but the last written.
/// Nothing happens where `allowed`, a boolean that may be undefined, is false.
void step(Pointwise op, const void* functor, DType dtype, const Groups& groups, Elements allowed,
          Stream stream);
/// For each group of one array: sums[group * finite_blocks + block] = 0, or NaN where what that
/// block has seen is not finite; float32 or float64.
inline constexpr int finite_blocks = 16;
void find_not_finite(Elements sums, const Groups& arrays, Stream stream);
/// finite = finite, and the `count` sums are 0, and no index was at fault.
void keep_where_zero(Elements finite, Elements sums, int count, const IndexFault* fault,
                     Stream stream);
/// Operands y (boolean), a and b of `dtype`.
void compare(Comparison op, DType dtype, const DeviceLoop& loop, Stream stream);
/// Operands y, condition (boolean), a, b.
void select(DType dtype, const DeviceLoop& loop, Stream stream);
/// Operands y of dtype `to`, x of dtype `from`; x may be a number.
void copy(DType to, DType from, const DeviceLoop& loop, Stream stream);
/// y += x
void accumulate(DType dtype, const DeviceLoop& loop, Stream stream);
/// y[i] = start + i step, computed in float64; dense.
void arange(Elements y, std::int64_t n, double start, double step, Stream stream);
/// y[i] = number i of the draw; float32 or float64, dense.
void random(const Draw& draw, Elements y, std::int64_t n, Stream stream);

// --- along the middle axis
void reduce(Reduction op, Elements y, Elements x, const Middle& size, Stream stream);
void arg_reduce(bool largest, Elements y, Elements x, const Middle& size, Stream stream);
void cumulative_sum(Elements y, Elements x, const Middle& size, bool reverse, Stream stream);
void softmax(Elements y, Elements x, const Middle& size, bool log, Stream stream);
void softmax_gradient(Elements gx, Elements y, Elements gy, const Middle& size, bool log,
                      Stream stream);

// --- indexing
/// y[i] = indices[i], plus extent where it is negative. An index that is not in lowest..extent-1
/// becomes 0; the fault tells the first of them, unless it tells of an earlier one already.
void check_indices(const char* who, Elements y, Elements indices, std::int64_t count,
                   std::int64_t lowest, std::int64_t extent, IndexFault* fault, Stream stream);
/// y[o, j, i] = x[o, indices[j], i]; `size` is that of x.
void take(Elements y, Elements x, Elements indices, std::int64_t count, const Middle& size,
          Stream stream);
/// y[o, indices[j], i] += x[o, j, i], j in order; `size` is that of y.
void scatter_add(Elements y, Elements x, Elements indices, std::int64_t count, const Middle& size,
                 Stream stream);
/// The same from indices that are sorted: keys in order, and the place j that each had.
void scatter_add_sorted(Elements y, Elements x, Elements keys, Elements places, std::int64_t count,
                        const Middle& size, Stream stream);

/// One pass of a stable radix sort, by the digit of `digit_bits` bits from bit `shift` on. First
/// counts[d * threads + t], how often thread t, of sort_threads(count), has digit d; the caller
/// makes running sums of these; then keys and places move to where the sums say. The places are
/// 0..count-1 where `places` are undefined.
inline constexpr int digit_bits = 4;
std::int64_t sort_threads(std::int64_t count);
void count_digits(Elements counts, Elements keys, std::int64_t count, int shift, Stream stream);
void move_by_digit(Elements keys_out, Elements places_out, Elements keys, Elements places,
                   Elements sums, std::int64_t count, int shift, Stream stream);

/// y and index (batch, m, m, m, channels): the first largest element of x (batch, n, n, n,
/// channels) that each window sees, and where it lies; float32 or float64. index may be undefined.
void max_pool(Elements y, Elements index, Elements x, const Pooling& pooling, Stream stream);

/// A step of an LSTM on some rows of a batch; float32. Gates stand side by side, i f g o. All is
/// dense, but for rows of gy.
struct LstmStep {
  int rows, units;
  const float* recurrent;  // (units, 4 units)
  const float* c0;         // (rows, units): before the step
  float* tanh_c;           // (rows, units): of the cell state after the step
  float* z;                // (rows, 4 units): the gates
  // forward
  const float* h0;  // (rows, units)
  float *h1, *c1;   // (rows, units)
  // backward
  const float* next_gz;    // (rows, 4 units): gradient of the gates of the step after this one
  const float* gy;         // (rows, units): gradient of the output, or null
  std::int64_t gy_stride;  // from one row of it to the next
  float* gc;               // (rows, units): gradient of c1, then of c0
  float* gz;               // (rows, 4 units)
};
/// z = z + h0 recurrent, activated; then h1, c1 and tanh_c.
void lstm_step(const LstmStep& step, Stream stream);
/// The gradient of h1 is next_gz recurrent^T + gy; then gz, and gc in place.
void lstm_step_back(const LstmStep& step, Stream stream);

}  // namespace cuda
}  // namespace keratin
