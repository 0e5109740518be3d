// A pool of device memory. It keeps freed blocks for the next tensor of about the same size: asking
// CUDA for memory waits for the device, and a captured graph needs the same addresses each time.
// One stream does all work of a device in order, so that a block may be used again at once.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include <keratin/core/memory.h>

namespace keratin::cuda {

/// Blocks by their size.
using Blocks = std::map<std::size_t, std::vector<void*>>;

/// Blocks that graphs keep for themselves: their work finds the same addresses in every run.
struct Reserve {
  Blocks free = {};
  std::set<void*> used = {};
};

class Pool {
 public:
  explicit Pool(int device) : device_(device) {}
  /// 256-byte aligned. Throws OutOfMemory. For a graph the block joins its reserve.
  void* allocate(std::size_t bytes, Reserve* reserve = nullptr);
  /// Returns the reserve that the block belongs to, or null.
  Reserve* free(void* memory, std::size_t bytes) noexcept;
  /// Gives the reserve's blocks back to the pool; those in use when they are freed.
  void dissolve(Reserve& reserve);
  /// Gives the free blocks back to the device, whose work must be done.
  void release_free();

  MemoryStats stats();

 private:
  static std::size_t block_bytes(std::size_t asked);
  void* from_device(std::size_t bytes, bool may_release);
  void release_free_blocks();

  const int device_;
  std::mutex mutex_;
  Blocks free_;
  std::map<void*, Reserve*> reserved_;  // the blocks in use that belong to one
  MemoryStats stats_;
};

}  // namespace keratin::cuda
