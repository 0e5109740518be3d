// CUDA's words for the processor, so that a C++ compiler takes the sources of kernels. Included
// through core/cuda/words.h. emulator.cpp runs the kernels, fiber.cpp has the stacks.
//
// A barrier is reached when all threads of the block, or lanes of the warp, that have not ended
// wait at the same place of the source; anything else is an error. Masks of lanes are not looked
// at.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <vector>

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};

namespace emulator {

/// Where in the source a thread waits.
struct Place {
  const char* file;
  int line;
};

struct Lane {
  std::uint64_t word = 0;
  bool given = false;
};

/// What a thread knows of itself.
struct Here {
  dim3 grid, block_size, block, thread;
  unsigned index = 0;     // of the thread in its block
  Lane* lanes = nullptr;  // of the whole block
};
extern constinit thread_local Here here;

void wait_for_block(const Place& place);
void wait_for_warp(const Place& place);
[[noreturn]] void fail_at(const Place& place, const char* what);

/// A kernel with its arguments.
struct Call {
  const void* kernel;
  std::vector<std::vector<std::byte>> arguments;
  std::function<void()> body;  // runs as one thread
};
template <class... P>
Call make_call(void (*kernel)(P...), std::type_identity_t<P>... arguments) {
  auto bytes = [](const auto& x) {
    auto* first = reinterpret_cast<const std::byte*>(&x);
    return std::vector<std::byte>(first, first + sizeof x);
  };
  return {
      reinterpret_cast<const void*>(kernel), {bytes(arguments)...}, [=] { kernel(arguments...); }};
}

/// Throws std::runtime_error where no GPU takes a grid of this size.
void check_grid(dim3 grid, dim3 block);
/// Runs body() as every thread of every block. Throws what a thread threw, and std::runtime_error
/// where threads wait for each other in vain.
void run_grid(dim3 grid, dim3 block, const std::function<void()>& body);

// The value that lane `from` of this thread's warp gave.
template <class T>
T exchange(T x, int from, const Place& place) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8);
  Lane& mine = here.lanes[here.index];
  std::memcpy(&mine.word, &x, sizeof x);
  mine.given = true;
  wait_for_warp(place);
  const Lane& other = here.lanes[here.index / 32 * 32 + static_cast<unsigned>(from)];
  if (!other.given) fail_at(place, "a shuffle reads a lane that takes no part in it");
  std::memcpy(&x, &other.word, sizeof x);
  wait_for_warp(place);
  mine.given = false;
  return x;
}

inline int lane() { return static_cast<int>(here.index % 32); }

template <class T, class... U>
concept one_of = (std::same_as<T, U> || ...);

}  // namespace emulator

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define gridDim (emulator::here.grid)
#define blockDim (emulator::here.block_size)
#define blockIdx (emulator::here.block)
#define threadIdx (emulator::here.thread)

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulator::wait_for_block({file, line});
}
inline void __syncwarp(unsigned = ~0u, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  emulator::wait_for_warp({file, line});
}

// A lane that asks beyond the warp gets its own value.
template <class T>
T __shfl_sync(unsigned, T x, int from, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  return emulator::exchange(x, from & 31, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned, T x, int bits, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  return emulator::exchange(x, (emulator::lane() ^ bits) & 31, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned, T x, unsigned by, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
  int from = emulator::lane() + static_cast<int>(by);
  return emulator::exchange(x, from < 32 ? from : emulator::lane(), {file, line});
}
template <class T>
T __shfl_up_sync(unsigned, T x, unsigned by, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE()) {
  int from = emulator::lane() - static_cast<int>(by);
  return emulator::exchange(x, from >= 0 ? from : emulator::lane(), {file, line});
}

// Atomic operations return the old value, and exist for the types for which CUDA has them.
template <emulator::one_of<int, unsigned, unsigned long long> T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
  __atomic_compare_exchange_n(at, &expected, x, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <emulator::one_of<int, unsigned, unsigned long long, float, double> T>
T atomicAdd(T* at, std::type_identity_t<T> x) {
  T old, sum;
  __atomic_load(at, &old, __ATOMIC_RELAXED);
  do sum = old + x;
  while (!__atomic_compare_exchange(at, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}
template <emulator::one_of<int, unsigned, long long, unsigned long long> T>
T atomicMin(T* at, std::type_identity_t<T> x) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (x < old &&
         !__atomic_compare_exchange_n(at, &old, x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
