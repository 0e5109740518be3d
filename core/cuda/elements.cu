// Comparison, selection, conversion, and what is made of nothing. Compiled without contraction of
// products and sums (-fmad=false), so that arange and uniform numbers have the CPU's bits.

#include <keratin/core/cuda/block.h>
#include <keratin/core/cuda/loop.h>
#include <keratin/core/internal/comparison.h>
#include <keratin/core/internal/draw.h>

namespace keratin::cuda {
namespace {

template <class T>
__device__ bool holds(Comparison op, T a, T b) {
  bool result = false;
  with_comparison(op, [&](auto compare) { result = compare(a, b); });
  return result;
}

template <class T>
__global__ void compare_elements(const DeviceLoop loop, Comparison op) {
  for_elements(loop.total, [&](std::int64_t i) {
    Place<3> place(loop, i);
    place.store(0, holds(op, place.load<T>(1), place.load<T>(2)));
  });
}

template <class T>
__global__ void select_elements(const DeviceLoop loop) {
  for_elements(loop.total, [&](std::int64_t i) {
    Place<4> place(loop, i);
    place.store(0, place.load<bool>(1) ? place.load<T>(2) : place.load<T>(3));
  });
}

template <class To, class From>
__global__ void copy_elements(const DeviceLoop loop) {
  for_elements(loop.total, [&](std::int64_t i) {
    Place<2> place(loop, i);
    place.store(0, convert<To>(place.load<From>(1)));
  });
}

template <class T>
__global__ void accumulate_elements(const DeviceLoop loop) {
  for_elements(loop.total, [&](std::int64_t i) {
    Place<2> place(loop, i);
    place.store(0, static_cast<T>(place.load<T>(0) + place.load<T>(1)));
  });
}

/// The sum of x over the threads of a block, for all of them.
template <class T>
__device__ T sum_of_block(T x) {
  return across(whole_block(), x, [](T a, T b) { return a + b; });
}

// x - x is 0 for all numbers but infinity and NaN. A block without elements has nothing to add up.
template <class T>
__global__ void sum_differences(const Groups arrays, T* sums) {
  const auto array = blockIdx.y;
  const auto* x = static_cast<const T*>(arrays.data[array][0]);
  T sum(0);
  for_elements(arrays.size[array], [&](std::int64_t i) { sum += x[i] - x[i]; });
  if (blockIdx.x * blockDim.x < arrays.size[array]) sum = sum_of_block(sum);
  if (threadIdx.x == 0) sums[array * gridDim.x + blockIdx.x] = sum;
}

template <class T>
__global__ void keep_if_zero(bool* finite, const T* sums, int count, const IndexFault* fault) {
  T sum(0);
  for_elements(count, [&](std::int64_t i) { sum += sums[i]; });
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) *finite = *finite && sum == T(0) && fault->found == 0;
}

template <class T>
__global__ void count_up(T* y, std::int64_t n, double start, double step) {
  for_elements(n,
               [&](std::int64_t i) { y[i] = convert<T>(start + static_cast<double>(i) * step); });
}

template <class T, Draw::Kind kind>
__global__ void draw_numbers(T* y, std::int64_t n, const Draw draw) {
  const Draw now = draw.placed();
  for_elements(n, [&](std::int64_t i) {
    y[i] = static_cast<T>(number_of<kind>(now, static_cast<std::uint64_t>(i)));
  });
}

}  // namespace

void compare(Comparison op, DType dtype, const DeviceLoop& loop, Stream stream) {
  with_any_type(dtype, [&](auto type) {
    launch_for(loop.total, compare_elements<decltype(type)>, stream, loop, op);
  });
}

void select(DType dtype, const DeviceLoop& loop, Stream stream) {
  with_any_type(dtype, [&](auto type) {
    launch_for(loop.total, select_elements<decltype(type)>, stream, loop);
  });
}

void copy(DType to, DType from, const DeviceLoop& loop, Stream stream) {
  with_any_type(to, [&](auto t) {
    with_any_type(from, [&](auto f) {
      launch_for(loop.total, copy_elements<decltype(t), decltype(f)>, stream, loop);
    });
  });
}

void accumulate(DType dtype, const DeviceLoop& loop, Stream stream) {
  with_any_type(dtype, [&](auto type) {
    launch_for(loop.total, accumulate_elements<decltype(type)>, stream, loop);
  });
}

void find_not_finite(Elements sums, const Groups& arrays, Stream stream) {
  with_type<float, double>(sums.dtype, [&](auto type) {
    launch(sum_differences<decltype(type)>, {finite_blocks, static_cast<unsigned>(arrays.count)},
           block_size, stream, arrays, sums);
  });
}

void keep_where_zero(Elements finite, Elements sums, int count, const IndexFault* fault,
                     Stream stream) {
  with_type<float, double>(sums.dtype, [&](auto type) {
    launch(keep_if_zero<decltype(type)>, 1, block_size, stream, finite, sums, count, fault);
  });
}

void arange(Elements y, std::int64_t n, double start, double step, Stream stream) {
  with_any_type(y.dtype, [&](auto type) {
    launch_for(n, count_up<decltype(type)>, stream, y, n, start, step);
  });
}

void random(const Draw& draw, Elements y, std::int64_t n, Stream stream) {
  with_type<float, double>(y.dtype, [&](auto type) {
    with_kind(draw.kind, [&](auto kind) {
      using T = decltype(type);
      launch_for(n, draw_numbers<T, decltype(kind)::value>, stream, y, n, draw);
    });
  });
}

}  // namespace keratin::cuda
