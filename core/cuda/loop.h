// How kernels walk over elements, and how they are launched for so many of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <keratin/core/cuda/block.h>
#include <keratin/core/cuda/kernels.h>
#include <keratin/core/cuda/runtime.h>
#include <keratin/core/internal/convert.h>

namespace keratin::cuda {

inline unsigned blocks_for(std::int64_t total) {
  return static_cast<unsigned>(std::min<std::int64_t>((total + block_size - 1) / block_size, 8192));
}

/// Launches a kernel whose threads share out `total` elements by for_elements; none for none. A
/// block may have any number of threads, so that `across` is not for these kernels.
template <class... P>
void launch_for(std::int64_t total, void (*kernel)(P...), Stream stream,
                std::type_identity_t<P>... arguments) {
  if (total == 0) return;
  const auto threads = static_cast<unsigned>(std::min<std::int64_t>(total, block_size));
  launch(kernel, blocks_for(total), threads, stream, arguments...);
}

/// Calls step(i) for this thread's share of 0..total-1.
template <class Step>
__device__ void for_elements(std::int64_t total, const Step& step) {
  const auto threads = std::int64_t{gridDim.x} * blockDim.x;
  for (auto i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += threads)
    step(i);
}

struct Division {
  std::int64_t quotient, remainder;
};

/// Of numbers that are not negative; in 32 bits where both fit, which is several times as fast.
__device__ inline Division divide(std::int64_t x, std::int64_t by) {
  if ((x | by) >> 32 == 0) {
    auto narrow = static_cast<std::uint32_t>(x), divisor = static_cast<std::uint32_t>(by);
    std::uint32_t quotient = narrow / divisor;
    return {quotient, narrow - quotient * divisor};
  }
  std::int64_t quotient = x / by;
  return {quotient, x - quotient * by};
}

/// The operands of a loop at one of its elements. N, their number, is a constant, so that the
/// places stay in registers.
template <int N>
struct Place {
  const DeviceLoop& loop;
  std::int64_t at[N] = {};

  __device__ Place(const DeviceLoop& loop, std::int64_t i) : loop(loop) {
    for (int axis = loop.rank - 1; axis > 0; --axis) {
      Division index = divide(i, loop.size[axis]);
      for (int k = 0; k < N; ++k) at[k] += index.remainder * loop.stride[k][axis];
      i = index.quotient;
    }
    for (int k = 0; k < N; ++k) at[k] += i * loop.stride[k][0];
  }

  __device__ bool wanted(int k) const { return loop.data[k] != nullptr; }
  template <class T>
  __device__ T load(int k) const {
    return wanted(k) ? reinterpret_cast<const T*>(loop.data[k])[at[k]] : convert<T>(loop.value[k]);
  }
  template <class T>
  __device__ void store(int k, T element) const {
    if (wanted(k)) reinterpret_cast<T*>(loop.data[k])[at[k]] = element;
  }
};

/// Calls f with a value of the C++ type of `dtype`, which must be among Types.
template <class... Types, class F>
void with_type(DType dtype, const F& f) {
  bool known = ((dtype == dtype_for<Types> && (f(Types{}), true)) || ...);
  if (!known) throw std::logic_error("cuda: there is no kernel for " + std::string(name_of(dtype)));
}

/// The same for each type that a tensor may have.
template <class F>
void with_any_type(DType dtype, const F& f) {
  with_type<bool, std::int32_t, float, double>(dtype, f);
}

}  // namespace keratin::cuda
