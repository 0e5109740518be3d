// A pool of device memory. It keeps freed blocks for the next tensor of about the same size: asking
// CUDA for memory waits for the device, and a captured graph needs the same addresses each time.
// One stream does all work of a device in order, so that a block may be used again at once.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include <keratin/core/memory.h>

namespace keratin::cuda {

class Pool {
 public:
  explicit Pool(int device) : device_(device) {}
  /// 256-byte aligned. Throws OutOfMemory.
  void* allocate(std::size_t bytes);
  void free(void* memory, std::size_t bytes) noexcept;
  /// Gives the free blocks back to the device, whose work must be done.
  void release_free();

  MemoryStats stats();

 private:
  static std::size_t block_bytes(std::size_t asked);
  void release_free_blocks();

  const int device_;
  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;  // by size
  MemoryStats stats_;
};

}  // namespace keratin::cuda
