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

/// Freed blocks are kept in lists for the next who asks. Each thread has its own, but work that one
/// thread after the other goes on with must bring lists along: memory taken by one and freed by
/// another would gather there.
struct PoolLists;
/// Of this thread and kept until it ends: lists for the parts of its work, counted from 0.
PoolLists* lists_for_part(std::size_t part);
/// While it lives, this thread takes blocks from these lists and returns them there; with null,
/// from and to the system.
class WithLists {
 public:
  explicit WithLists(PoolLists* lists);
  ~WithLists();
  WithLists(const WithLists&) = delete;
  WithLists& operator=(const WithLists&) = delete;

 private:
  PoolLists* before_;
};

/// Lists whose blocks stay as long as they themselves, even where others give blocks back at once:
/// who knows the addresses may use them while all blocks are in the lists.
class LastingLists {
 public:
  LastingLists();
  ~LastingLists();
  LastingLists(const LastingLists&) = delete;
  LastingLists& operator=(const LastingLists&) = delete;

  PoolLists* get() { return lists_.get(); }
  /// Whether all blocks that were taken are back.
  bool complete() const;

 private:
  std::unique_ptr<PoolLists> lists_;
};

/// Memory that tensors share: its own block behind this header, or the user's memory.
struct alignas(64) Storage {
  std::atomic<std::int32_t> refs{1};
  std::atomic<std::uint32_t> version{0};  // counts writes in place, so that a tape can tell
  std::size_t bytes = 0;
  std::byte* data = nullptr;
  Device device;
  bool external = false;
  bool read_only = false;

  static Storage* make(std::size_t bytes);
  static Storage* wrap(void* data, std::size_t bytes, bool read_only);

  void retain() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  void destroy() noexcept;
};

}  // namespace keratin
