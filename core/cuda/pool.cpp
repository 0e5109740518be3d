#include <algorithm>
#include <bit>

#include <keratin/core/cuda/pool.h>
#include <keratin/core/cuda/runtime.h>

namespace keratin::cuda {

// Quarters of a power of two, at least 256 bytes: 256, 320, 384, 448, 512, 640, ...
std::size_t Pool::block_bytes(std::size_t asked) {
  const std::size_t bytes = std::max<std::size_t>(asked, 256);
  const std::size_t step = std::bit_floor(bytes) / 4;
  return (bytes + step - 1) / step * step;
}

void* Pool::allocate(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  const std::size_t size = block_bytes(bytes);
  std::vector<void*>& blocks = free_[size];
  if (!blocks.empty()) {
    void* block = blocks.back();
    blocks.pop_back();
    return block;
  }
  void* block = cuda::allocate(size, device_);
  if (block == nullptr) {
    release_free_blocks();
    block = cuda::allocate(size, device_);
  }
  if (block == nullptr) throw OutOfMemory(bytes, "cuda:" + std::to_string(device_));
  ++stats_.system_allocations;
  stats_.bytes_reserved += static_cast<std::int64_t>(size);
  return block;
}

void Pool::free(void* memory, std::size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  free_[block_bytes(bytes)].push_back(memory);
}

MemoryStats Pool::stats() {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Pool::release_free() {
  std::lock_guard lock(mutex_);
  release_free_blocks();
}

void Pool::release_free_blocks() {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) release(block, device_);
    stats_.bytes_reserved -= static_cast<std::int64_t>(size * blocks.size());
    blocks.clear();
  }
}

}  // namespace keratin::cuda
