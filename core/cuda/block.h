// What the threads of a block find out together, by way of the memory that they share.
#pragma once

#include <keratin/core/cuda/words.h>

namespace keratin::cuda {

inline constexpr unsigned block_size = 256;

/// The place of a thread among those that combine what they have. A block may have several such
/// groups of threads.
struct Lanes {
  int lanes;  // of the group: a power of two
  int lane;   // this one
  int apart;  // threads from one lane to the next
};

/// All threads of the block as one group.
__device__ inline Lanes whole_block() {
  return {static_cast<int>(blockDim.x), static_cast<int>(threadIdx.x), 1};
}

/// What the lanes of a group hold, combined in a fixed tree; all of them get the result. All
/// threads of the block, `threads` at most, must call it.
template <unsigned threads = block_size, class T, class Combine>
__device__ T across(const Lanes& place, const T& x, const Combine& combine) {
  __shared__ T part[threads];
  const int thread = static_cast<int>(threadIdx.x);
  part[thread] = x;
  __syncthreads();
  for (int half = place.lanes / 2; half > 0; half /= 2) {
    if (place.lane < half) part[thread] = combine(part[thread], part[thread + half * place.apart]);
    __syncthreads();
  }
  T result = part[thread - place.lane * place.apart];
  __syncthreads();
  return result;
}

}  // namespace keratin::cuda
