// What a test may ask of the emulated CUDA devices, and set while no work is under way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <emulator.h>

namespace emulation {

/// The order in which the threads of a block run between two barriers.
enum class Order { forward, backward, shuffled };
extern Order order;

/// Work runs when it is queued, and fails there, instead of when somebody waits.
extern bool eager;

/// The kernel that is queued next will fail.
extern bool next_kernel_fails;

/// What runs a kernel in the emulator's place, if not null.
extern void (*run_instead)(dim3 grid, dim3 block, const emulator::Call& call);
/// The block of device memory, or of allocate_host, that holds the address; empty where there is
/// none. Only for run_instead, while which all of this is locked.
std::span<std::byte> block_around(const void* address);

/// Bytes that a device has; allocations beyond them return null.
extern std::size_t memory_limit;
std::size_t memory_in_use(int device);

/// What the host asked for since the program began. What a graph does counts as one graph.
struct Counts {
  std::int64_t kernels = 0, products = 0, copies = 0, graphs = 0;
  std::int64_t waits = 0;  // for a stream or an event
};
Counts counts();

}  // namespace emulation
