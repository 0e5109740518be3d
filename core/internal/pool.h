// The caching pool (core/memory.h) and the reference-counted things that live in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <keratin/core/device.h>

namespace keratin {

/// A 64-byte aligned block of at least `bytes`. Throws OutOfMemory.
void* pool_allocate(std::size_t bytes);

/// Returns a block; `bytes` as asked for.
void pool_free(void* block, std::size_t bytes) noexcept;

/// Memory that tensors share: its own block behind this header, a device's, or the user's memory.
struct alignas(64) Storage {
  std::atomic<std::int32_t> refs{1};
  std::atomic<std::uint32_t> version{0};  // counts writes in place, so that a tape can tell
  std::size_t bytes = 0;
  std::byte* data = nullptr;
  Device device;
  bool external = false;
  bool read_only = false;

  static Storage* make(std::size_t bytes, Device device);
  static Storage* wrap(void* data, std::size_t bytes, bool read_only);

  void retain() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  static Storage* make_on(std::size_t bytes, Device device);
  void destroy() noexcept;
};

}  // namespace keratin
