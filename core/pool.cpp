// Blocks come in size classes, four to each power of two. Every thread keeps its own lists of freed
// blocks, and some for parts of its work, so that neither allocation nor release takes a lock; what
// a thread holds goes back to the system when it ends. Sanitizer builds bypass the lists: they must
// see each lifetime.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <deque>
#include <memory>
#include <new>
#include <unordered_set>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/pool.h>
#include <keratin/core/memory.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KERATIN_PLAIN_ALLOCATION 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KERATIN_PLAIN_ALLOCATION 1
#endif
#endif

namespace keratin {
namespace {

#ifdef KERATIN_PLAIN_ALLOCATION
constexpr bool caching = false;
#else
constexpr bool caching = true;
#endif

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

}  // namespace

struct PoolLists {
  std::array<FreeBlock*, class_count> lists{};
  std::size_t bytes = 0;
  const bool lasting;  // its blocks, and no others, stay until it ends:
  std::unordered_set<void*> blocks;
  std::size_t taken = 0;  // of them

  explicit PoolLists(bool lasting) : lasting(lasting) {}
  PoolLists(const PoolLists&) = delete;
  PoolLists& operator=(const PoolLists&) = delete;
  ~PoolLists() { clear(); }

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

namespace {

// The pointers outlive what they point to: tensors in static variables are released after
// thread_local objects of the main thread are gone, and then go straight to the system.
thread_local PoolLists* lists_in_use = nullptr;
thread_local struct ListsOfThread* lists_of_thread = nullptr;
thread_local bool thread_ended = false;

struct ListsOfThread {
  PoolLists own{false};
  std::deque<PoolLists> of_parts;
  ListsOfThread() {
    lists_of_thread = this;
    lists_in_use = &own;
  }
  ~ListsOfThread() {
    lists_of_thread = nullptr;
    lists_in_use = nullptr;
    thread_ended = true;
  }
};

PoolLists* this_thread_lists() {
  if (lists_in_use == nullptr && !thread_ended) {
    static thread_local ListsOfThread owner;
    (void)owner;
  }
  return lists_in_use;
}

// Whether blocks come from these lists and return there.
bool caches(const PoolLists* lists) { return lists != nullptr && (caching || lists->lasting); }

// Whether a freed block goes to these lists.
bool takes(const PoolLists* lists, void* block) {
  if (!caches(lists)) return false;
  return lists->lasting ? lists->blocks.contains(block) : lists->bytes <= cache_limit;
}

// How many bytes a block has that is in no list.
std::size_t block_bytes(std::size_t asked) {
  return caching ? class_bytes(class_of(asked)) : asked;
}

}  // namespace

void* pool_allocate(std::size_t bytes) {
  if (bytes > (std::size_t{1} << 48)) throw OutOfMemory(bytes);
  PoolLists* mine = this_thread_lists();
  if (!caches(mine)) return system_allocate(block_bytes(bytes));
  int c = class_of(bytes);
  if (mine->lasting) ++mine->taken;
  if (mine->lists[c] != nullptr) {
    mine->bytes -= class_bytes(c);
    return std::exchange(mine->lists[c], mine->lists[c]->next);
  }
  void* block = system_allocate(class_bytes(c));
  if (mine->lasting) mine->blocks.insert(block);
  return block;
}

void pool_free(void* block, std::size_t bytes) noexcept {
  PoolLists* mine = this_thread_lists();
  if (!takes(mine, block)) return system_free(block, block_bytes(bytes));
  if (mine->lasting) --mine->taken;
  int c = class_of(bytes);
  mine->lists[c] = new (block) FreeBlock{mine->lists[c]};
  mine->bytes += class_bytes(c);
}

LastingLists::LastingLists() : lists_(std::make_unique<PoolLists>(true)) {}
LastingLists::~LastingLists() = default;
bool LastingLists::complete() const { return lists_->taken == 0; }

PoolLists* lists_for_part(std::size_t part) {
  if (this_thread_lists() == nullptr) return nullptr;
  std::deque<PoolLists>& lists = lists_of_thread->of_parts;
  while (lists.size() <= part) lists.emplace_back(false);
  return &lists[part];
}

WithLists::WithLists(PoolLists* lists) : before_(this_thread_lists()) { lists_in_use = lists; }
WithLists::~WithLists() { lists_in_use = before_; }

Storage* Storage::make(std::size_t bytes) {
  auto* storage = new (pool_allocate(sizeof(Storage) + bytes)) Storage;
  storage->bytes = bytes;
  storage->data = reinterpret_cast<std::byte*>(storage + 1);
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
  std::size_t block = sizeof(Storage) + (external ? 0 : bytes);
  this->~Storage();
  pool_free(this, block);
}

MemoryStats memory_stats() {
  return {system_allocations.load(std::memory_order_relaxed),
          bytes_reserved.load(std::memory_order_relaxed)};
}

void release_cached_memory() {
  PoolLists* mine = this_thread_lists();
  if (mine == nullptr || mine->lasting) return;
  mine->clear();
  // While a part runs, other threads may be using the lists of others.
  if (mine == &lists_of_thread->own)
    for (PoolLists& lists : lists_of_thread->of_parts) lists.clear();
}

OutOfMemory::OutOfMemory(std::size_t bytes)
    : message_(fmt::format("out of memory: {} bytes were asked for", bytes)) {}

}  // namespace keratin
