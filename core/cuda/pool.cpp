#include <algorithm>
#include <bit>

#include <keratin/core/cuda/pool.h>
#include <keratin/core/cuda/runtime.h>
#include <keratin/core/internal/sanitized.h>

namespace keratin::cuda {

// Quarters of a power of two, at least 256 bytes: 256, 320, 384, 448, 512, 640, ...
std::size_t Pool::block_bytes(std::size_t asked) {
  if (sanitized) return std::max<std::size_t>(asked, 1);
  const std::size_t bytes = std::max<std::size_t>(asked, 256);
  const std::size_t step = std::bit_floor(bytes) / 4;
  return (bytes + step - 1) / step * step;
}

namespace {

// A block of that size, or null.
void* taken_from(Blocks& free, std::size_t size) {
  std::vector<void*>& blocks = free[size];
  if (blocks.empty()) return nullptr;
  void* block = blocks.back();
  blocks.pop_back();
  return block;
}

}  // namespace

void* Pool::allocate(std::size_t bytes, Reserve* reserve) {
  std::lock_guard lock(mutex_);
  const std::size_t size = block_bytes(bytes);
  void* block = reserve == nullptr ? nullptr : taken_from(reserve->free, size);
  if (block == nullptr) block = taken_from(free_, size);
  if (block == nullptr) block = from_device(bytes, reserve == nullptr);
  if (reserve != nullptr) {
    reserve->used.insert(block);
    reserved_[block] = reserve;
  }
  return block;
}

void* Pool::from_device(std::size_t bytes, bool may_release) {
  const std::size_t size = block_bytes(bytes);
  void* block = cuda::allocate(size, device_);
  if (block == nullptr && may_release) {
    release_free_blocks();
    block = cuda::allocate(size, device_);
  }
  if (block == nullptr) throw OutOfMemory(bytes, "cuda:" + std::to_string(device_));
  ++stats_.system_allocations;
  stats_.bytes_reserved += static_cast<std::int64_t>(size);
  return block;
}

Reserve* Pool::free(void* memory, std::size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  auto found = reserved_.find(memory);
  Reserve* reserve = found == reserved_.end() ? nullptr : found->second;
  if (reserve != nullptr) {
    reserved_.erase(found);
    reserve->used.erase(memory);
  }
  (reserve != nullptr ? reserve->free : free_)[block_bytes(bytes)].push_back(memory);
  return reserve;
}

void Pool::dissolve(Reserve& reserve) {
  std::lock_guard lock(mutex_);
  for (auto& [size, blocks] : reserve.free)
    free_[size].insert(free_[size].end(), blocks.begin(), blocks.end());
  reserve.free.clear();
  for (void* block : reserve.used) reserved_.erase(block);
  reserve.used.clear();
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
