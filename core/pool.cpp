// Blocks come in size classes, four to each power of two. Every thread keeps its own lists of freed
// blocks, so that neither allocation nor release takes a lock; what a thread holds goes back to the
// system when it ends. Sanitizer builds bypass the lists: they must see each lifetime.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <memory>
#include <new>

#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/pool.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/core/memory.h>

namespace keratin {
namespace {

constexpr bool caching = !sanitized;

constexpr std::size_t alignment = 64;
constexpr int class_count = 4 * 44;                        // up to 2^50 bytes
constexpr std::size_t cache_limit = std::size_t{1} << 31;  // bytes that lists keep at most

std::atomic<std::int64_t> system_allocations{0};
std::atomic<std::int64_t> bytes_reserved{0};

// Class c holds blocks of (4 + c % 4) * 2^(c / 4 + 4) bytes: 64, 80, 96, 112, 128, 160, ...
int class_of(std::size_t bytes) {
  bytes = std::max(bytes, alignment);
  int exponent = std::bit_width(bytes - 1);  // 2^(exponent - 1) < bytes <= 2^exponent
  auto quarters = static_cast<int>(((bytes - 1) >> (exponent - 3)) + 1);  // 5..8 of them
  return 4 * (exponent - 7) + quarters - 4;
}

std::size_t class_bytes(int c) { return (4 + std::size_t(c % 4)) << (c / 4 + 4); }

void* system_allocate(std::size_t bytes) {
  std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* block = std::aligned_alloc(alignment, rounded);
  if (block == nullptr) {
    release_cached_memory();
    block = std::aligned_alloc(alignment, rounded);
  }
  if (block == nullptr) throw OutOfMemory(bytes);
  system_allocations.fetch_add(1, std::memory_order_relaxed);
  bytes_reserved.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  return block;
}

void system_free(void* block, std::size_t bytes) {
  bytes_reserved.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  std::free(block);
}

struct FreeBlock {
  FreeBlock* next;
};

/// The freed blocks of one thread, by size class.
struct PoolLists {
  std::array<FreeBlock*, class_count> lists{};
  std::size_t bytes = 0;

  PoolLists() = default;
  PoolLists(const PoolLists&) = delete;
  PoolLists& operator=(const PoolLists&) = delete;
  ~PoolLists();

  void clear() {
    for (int c = 0; c < class_count; ++c) {
      while (lists[c] != nullptr) {
        FreeBlock* block = std::exchange(lists[c], lists[c]->next);
        system_free(block, class_bytes(c));
      }
    }
    bytes = 0;
  }
};

// Null before the first use, and `ended` after the thread's objects are gone: tensors in static
// variables are released later than that, and then go straight to the system.
constinit thread_local PoolLists* lists_of_thread = nullptr;
PoolLists* const ended = reinterpret_cast<PoolLists*>(-1);

PoolLists::~PoolLists() {
  clear();
  lists_of_thread = ended;
}

/// Null where blocks are not kept.
PoolLists* this_thread_lists() {
  if (!caching || lists_of_thread == ended) return nullptr;
  if (lists_of_thread == nullptr) {
    static thread_local PoolLists lists;
    lists_of_thread = &lists;
  }
  return lists_of_thread;
}

// The size of the block allocated for `asked` bytes.
std::size_t block_bytes(std::size_t asked) {
  return caching ? class_bytes(class_of(asked)) : asked;
}

}  // namespace

void* pool_allocate(std::size_t bytes) {
  if (bytes > (std::size_t{1} << 48)) throw OutOfMemory(bytes);
  PoolLists* mine = this_thread_lists();
  int c = class_of(bytes);
  if (mine == nullptr || mine->lists[c] == nullptr) return system_allocate(block_bytes(bytes));
  mine->bytes -= class_bytes(c);
  return std::exchange(mine->lists[c], mine->lists[c]->next);
}

void pool_free(void* block, std::size_t bytes) noexcept {
  PoolLists* mine = this_thread_lists();
  if (mine == nullptr || mine->bytes > cache_limit) return system_free(block, block_bytes(bytes));
  int c = class_of(bytes);
  mine->lists[c] = new (block) FreeBlock{mine->lists[c]};
  mine->bytes += class_bytes(c);
}

Storage* Storage::make(std::size_t bytes, Device device) {
  if (!device.is_cpu()) return make_on(bytes, device);
  auto* storage = new (pool_allocate(sizeof(Storage) + bytes)) Storage;
  storage->bytes = bytes;
  storage->data = reinterpret_cast<std::byte*>(storage + 1);
  return storage;
}

Storage* Storage::make_on(std::size_t bytes, Device device) {
  void* data = backend_of(device).allocate(bytes, device.index);
  auto* storage = new (pool_allocate(sizeof(Storage))) Storage;
  storage->bytes = bytes;
  storage->data = static_cast<std::byte*>(data);
  storage->device = device;
  return storage;
}

Storage* Storage::wrap(void* data, std::size_t bytes, bool read_only) {
  auto* storage = new (pool_allocate(sizeof(Storage))) Storage;
  storage->bytes = bytes;
  storage->data = static_cast<std::byte*>(data);
  storage->external = true;
  storage->read_only = read_only;
  return storage;
}

void Storage::destroy() noexcept {
  const bool on_device = !device.is_cpu();
  if (on_device) backend_of(device).free(data, bytes, device.index);
  std::size_t block = sizeof(Storage) + (external || on_device ? 0 : bytes);
  this->~Storage();
  pool_free(this, block);
}

MemoryStats memory_stats(Device device) {
  if (!device.is_cpu()) return backend_of(device).memory_stats(device.index);
  return {system_allocations.load(std::memory_order_relaxed),
          bytes_reserved.load(std::memory_order_relaxed)};
}

void release_cached_memory() {
  if (PoolLists* mine = this_thread_lists()) mine->clear();
  if (Backend* backend = cuda_backend()) backend->release_cached_memory();
}

OutOfMemory::OutOfMemory(std::size_t bytes, const std::string& device)
    : message_(fmt::format("out of memory: {} bytes were asked for{}", bytes,
                           device.empty() ? "" : " on " + device)) {}

}  // namespace keratin
