// core/cuda/runtime.h without a GPU: two devices whose memory the host cannot touch, and streams
// that do their work as late as CUDA allows, when somebody waits for it. What a program forgets to
// copy, or to wait for, so shows at once.
//
// One lock guards all. Nothing here is destroyed at the end of the program, because static tensors
// may still release their memory then; what is queued by that time is dropped.

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <keratin/core/cuda/runtime.h>

#include "emulation.h"
#include "sanitizers.h"

namespace emulation {
bool eager = false;
bool next_kernel_fails = false;
void (*run_instead)(dim3 grid, dim3 block, const emulator::Call& call) = nullptr;
std::size_t memory_limit = std::size_t{1} << 30;
}  // namespace emulation

namespace keratin::cuda {

using Work = std::function<void()>;

struct StreamState {
  int device = 0;
  std::deque<Work> queue;
  std::int64_t done = 0;                      // pieces of work
  std::optional<std::vector<Work>> captured;  // while a capture is under way
  bool capture_failed = false;
  std::atomic<bool> multiplying = false;  // a thread is in gemm

  std::int64_t queued() const { return done + static_cast<std::int64_t>(queue.size()); }
};
struct EventState {
  Stream stream = nullptr;  // null: never recorded
  std::int64_t after = 0;   // so much of the stream's work

  bool is_done() const { return stream == nullptr || stream->done >= after; }
};
struct GraphState {
  int device = 0;
  std::shared_ptr<const std::vector<Work>> work;
};

namespace {

constexpr int devices = 2;
constexpr std::size_t most_queued = 1000;  // pieces of work in a stream

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("emulated CUDA: " + what);
}

/// The length of each block, by its address.
class Extents : public std::map<const std::byte*, std::size_t> {
 public:
  /// The block that holds the address; end() where there is none.
  const_iterator find_around(const void* address) const {
    auto* p = static_cast<const std::byte*>(address);
    auto next = upper_bound(p);
    return next != begin() && p < std::prev(next)->first + std::prev(next)->second ? std::prev(next)
                                                                                   : end();
  }
};

/// A device's memory: a range of addresses that faults unless it is open.
class Memory {
 public:
  Memory() {
    void* range = mmap(nullptr, range_bytes + page, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    auto address = reinterpret_cast<std::uintptr_t>(range);
    base_ = static_cast<std::byte*>(range) + (page - address % page) % page;
    madvise(base_, range_bytes, MADV_HUGEPAGE);
  }

  /// In the first gap that is large enough; null where there is none. The gap that is left between
  /// two blocks is poison, so that AddressSanitizer sees what goes beyond one.
  void* allocate(std::size_t bytes) {
    if (in_use_ + bytes > emulation::memory_limit || bytes > range_bytes) return nullptr;
    std::byte* place = base_;
    for (auto [block, length] : blocks_) {
      if (place + whole(bytes) <= block) break;
      place = base_ + (block - base_) + whole(length);
    }
    if (place + whole(bytes) > base_ + range_bytes) return nullptr;
    blocks_[place] = bytes;
    in_use_ += bytes;
    open_bytes_ = std::max<std::size_t>(open_bytes_, place + whole(bytes) - base_);
    open_bytes_ = (open_bytes_ + page - 1) / page * page;
    emulator::sanitizer::unpoison(place, bytes);
    open();
    std::memset(place, 0xff, bytes);  // NaN: nobody has written anything yet
    close();
    emulator::sanitizer::poison(place + bytes, whole(bytes) - bytes);
    return place;
  }

  void release(const void* memory) {
    auto block = blocks_.find(static_cast<const std::byte*>(memory));
    if (block == blocks_.end()) fail("a release of what is not a block of this device");
    emulator::sanitizer::poison(memory, block->second);
    in_use_ -= block->second;
    blocks_.erase(block);
  }

  void open() {
    if (users_++ == 0 && mprotect(base_, open_bytes_, PROT_READ | PROT_WRITE) != 0)
      fail("the system does not open device memory");
  }
  void close() {
    if (--users_ == 0) mprotect(base_, open_bytes_, PROT_NONE);
  }

  bool has(const void* address) const {
    auto* p = static_cast<const std::byte*>(address);
    return p >= base_ && p < base_ + range_bytes;
  }
  const Extents& blocks() const { return blocks_; }
  std::size_t in_use() const { return in_use_; }

 private:
  static constexpr std::size_t range_bytes = std::size_t{4} << 30;
  static constexpr std::size_t page = 2 << 20;  // huge pages change their rights fast

  // What a block takes up with the gap behind it; blocks begin at multiples of 256, as CUDA's do.
  static std::size_t whole(std::size_t bytes) { return bytes / 256 * 256 + 512; }

  std::byte* base_ = nullptr;
  std::size_t open_bytes_ = 0;  // as far as blocks have ever reached
  std::size_t in_use_ = 0;
  int users_ = 0;
  Extents blocks_;
};

struct Runtime {
  Runtime();
  std::mutex mutex;
  std::array<Memory, devices> memory;
  std::array<std::exception_ptr, devices> errors;  // that nobody has been told of
  std::vector<std::unique_ptr<StreamState>> streams;
  Extents host_blocks;
  emulation::Counts counts;
  bool ended = false;  // the program has left main
};

Runtime& runtime() {
  static Runtime& instance = *new Runtime;
  return instance;
}

std::unique_lock<std::mutex> locked() { return std::unique_lock(runtime().mutex); }

Runtime::Runtime() {
  std::atexit([] {
    auto lock = locked();
    runtime().ended = true;
  });
}

Memory& memory_of(int device) {
  if (device < 0 || device >= devices) fail("there is no device " + std::to_string(device));
  return runtime().memory[static_cast<std::size_t>(device)];
}
std::exception_ptr& error_of(int device) {
  return runtime().errors[static_cast<std::size_t>(device)];
}

// The functions from here to the public ones are called with the lock held.

void throw_error_of(int device) {
  if (error_of(device)) std::rethrow_exception(std::exchange(error_of(device), nullptr));
}

// Does the stream's work until `count` pieces of it are done. After an error nothing of what was
// queued is done any more.
void advance(Stream stream, std::int64_t count) {
  if (runtime().ended) stream->queue.clear();
  if (stream->done >= count || stream->queue.empty()) return;
  Memory& memory = memory_of(stream->device);
  memory.open();
  while (stream->done < count && !stream->queue.empty()) {
    Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    try {
      work();
    } catch (...) {
      if (!error_of(stream->device)) error_of(stream->device) = std::current_exception();
      stream->done = stream->queued();
      stream->queue.clear();
    }
    ++stream->done;
  }
  memory.close();
}

void advance_all() {
  for (auto& stream : runtime().streams) advance(stream.get(), stream->queued());
}

void push(Stream stream, Work work) {
  if (stream->captured) return stream->captured->push_back(std::move(work));
  stream->queue.push_back(std::move(work));
  if (emulation::eager || stream->queue.size() > most_queued) advance(stream, stream->queued());
  if (emulation::eager) throw_error_of(stream->device);
}

// What cannot be part of a graph also spoils the capture, as with CUDA.
void refuse_in_capture(Stream stream, const std::string& what) {
  if (!stream->captured) return;
  stream->capture_failed = true;
  fail(what + " while the stream is captured");
}

// Whether the bytes are the device's. Throws where they are another one's, or not in one block.
bool is_on_device(const void* data, std::size_t bytes, int device) {
  for (int other = 0; other < devices; ++other) {
    if (!memory_of(other).has(data)) continue;
    if (other != device)
      fail("memory of device " + std::to_string(other) + " in a stream of device " +
           std::to_string(device));
    const Extents& blocks = memory_of(device).blocks();
    auto block = blocks.find_around(data);
    auto* end = static_cast<const std::byte*>(data) + bytes;
    if (block == blocks.end() || end > block->first + block->second)
      fail("device memory that is not, or not all, allocated");
    return true;
  }
  return false;
}

bool is_pinned(const void* data) {
  const Extents& blocks = runtime().host_blocks;
  return blocks.find_around(data) != blocks.end();
}

// A matrix of a product, as it is stored: (rows, columns) by columns.
struct Matrix {
  const char* name;
  const void* data;
  std::int64_t rows, columns, leading, stride;
};

void check(const Matrix& x, const Gemm& g, int device) {
  std::string name = std::string("gemm: ") + x.name;
  if (x.leading < std::max<std::int64_t>(1, x.rows))
    fail(name + " has " + std::to_string(x.rows) + " rows and a leading dimension of " +
         std::to_string(x.leading));
  if (x.rows == 0 || x.columns == 0) return;
  std::int64_t matrix = (x.columns - 1) * x.leading + x.rows;
  if (x.stride < 0 || (x.data == g.c && g.batch > 1 && x.stride < matrix))
    fail(name + " has " + std::to_string(matrix) + " elements and a stride of " +
         std::to_string(x.stride));
  std::size_t elements = static_cast<std::size_t>((g.batch - 1) * x.stride + matrix);
  if (!is_on_device(x.data, elements * size_of(g.dtype), device))
    fail(name + " is not in device memory");
}

/// The nearest number of 11 significant bits.
double tf32(float x) {
  if (x != x) return x;
  auto bits = std::bit_cast<std::uint32_t>(x);
  bits += 0xfff + (bits >> 13 & 1);
  return std::bit_cast<float>(bits & ~0x1fffu);
}

template <class T>
void multiply(const Gemm& g) {
  auto factor = [&](T x) {
    return sizeof(T) == 4 && g.tf32 ? tf32(static_cast<float>(x)) : static_cast<double>(x);
  };
  const std::int64_t work = std::int64_t{g.batch} * g.m * g.n * std::max(g.k, 1);
#pragma omp parallel for collapse(2) if (work > 100'000)
  for (int p = 0; p < g.batch; ++p)
    for (int j = 0; j < g.n; ++j) {
      auto* a = static_cast<const T*>(g.a) + p * g.stride_a;
      auto* b = static_cast<const T*>(g.b) + p * g.stride_b;
      T* c = static_cast<T*>(g.c) + p * g.stride_c + std::int64_t{j} * g.ldc;
      for (std::int64_t i = 0; i < g.m; ++i) {
        double sum = 0;  // a GPU adds up in several parts, which errs about as little
        for (std::int64_t q = 0; q < g.k; ++q)
          sum += factor(g.transpose_a ? a[i * g.lda + q] : a[q * g.lda + i]) *
                 factor(g.transpose_b ? b[q * g.ldb + j] : b[j * std::int64_t{g.ldb} + q]);
        c[i] = static_cast<T>(g.accumulate ? c[i] + sum : sum);
      }
    }
}

}  // namespace

// --- devices and memory

int device_count(std::string&) { return devices; }

std::size_t memory_size(int device) {
  memory_of(device);
  return emulation::memory_limit;
}

void* allocate(std::size_t bytes, int device) {
  auto lock = locked();
  return memory_of(device).allocate(bytes);
}

void release(void* memory, int device) {
  if (memory == nullptr) return;
  auto lock = locked();
  advance_all();  // cudaFree waits
  memory_of(device).release(memory);
}

void* allocate_host(std::size_t bytes) {
  auto lock = locked();
  auto* memory = static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1)));
  runtime().host_blocks[memory] = std::max<std::size_t>(bytes, 1);
  return memory;
}

void release_host(void* memory) {
  if (memory == nullptr) return;
  auto lock = locked();
  advance_all();  // as cudaFreeHost does
  if (runtime().host_blocks.erase(static_cast<std::byte*>(memory)) == 0)
    fail("a release of what is not from allocate_host");
  ::operator delete(memory);
}

// --- streams

Stream make_stream(int device) {
  auto lock = locked();
  memory_of(device);
  auto& streams = runtime().streams;
  streams.push_back(std::make_unique<StreamState>());
  streams.back()->device = device;
  return streams.back().get();
}

void copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  if (bytes == 0) return;
  auto lock = locked();
  const bool to_device = is_on_device(to, bytes, stream->device);
  const bool from_device = is_on_device(from, bytes, stream->device);
  if (!to_device && !from_device) fail("a copy from host to host");
  const void* host = to_device ? from : to;
  const bool pageable = to_device != from_device && !is_pinned(host);
  if (pageable) refuse_in_capture(stream, "a copy of host memory not from allocate_host");
  if (!stream->captured) ++runtime().counts.copies;

  if (pageable && to_device) {  // CUDA reads such memory before it returns
    auto* first = static_cast<const std::byte*>(from);
    push(stream, [to, kept = std::vector<std::byte>(first, first + bytes)] {
      std::memcpy(to, kept.data(), kept.size());
    });
  } else {
    push(stream, [=] { std::memcpy(to, from, bytes); });
  }
}

void launch_call(dim3 grid, dim3 block, Stream stream, emulator::Call call) {
  emulator::check_grid(grid, block);
  auto lock = locked();
  if (!stream->captured) ++runtime().counts.kernels;
  if (std::exchange(emulation::next_kernel_fails, false))
    return push(stream, [] { throw std::runtime_error("an emulated fault"); });
  push(stream, [=, call = std::move(call)] {
    if (emulation::run_instead != nullptr)
      emulation::run_instead(grid, block, call);
    else
      emulator::run_grid(grid, block, call.body);
  });
}

void gemm(const Gemm& g, Stream stream) {
  if (stream->multiplying.exchange(true)) fail("gemm: two threads use cuBLAS at the same time");
  struct End {
    std::atomic<bool>& multiplying;
    ~End() { multiplying = false; }
  } end{stream->multiplying};
  auto lock = locked();
  if (!is_floating(g.dtype)) fail("gemm: float32 or float64");
  if (g.m < 0 || g.n < 0 || g.k < 0 || g.batch < 0) fail("gemm: a negative size");
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  auto check_operand = [&](const char* name, const void* data, bool transposed, int rows,
                           int columns, int leading, std::int64_t stride) {
    if (transposed) std::swap(rows, columns);
    check({name, data, rows, columns, leading, stride}, g, stream->device);
  };
  check_operand("a", g.a, g.transpose_a, g.m, g.k, g.lda, g.stride_a);
  check_operand("b", g.b, g.transpose_b, g.k, g.n, g.ldb, g.stride_b);
  check_operand("c", g.c, false, g.m, g.n, g.ldc, g.stride_c);
  if (!stream->captured) ++runtime().counts.products;
  push(stream, [=] { g.dtype == float32 ? multiply<float>(g) : multiply<double>(g); });
}

void synchronize(Stream stream) {
  auto lock = locked();
  refuse_in_capture(stream, "a wait");
  ++runtime().counts.waits;
  advance(stream, stream->queued());
  throw_error_of(stream->device);
}

// --- events

Event make_event() { return new EventState; }
void release(Event event) { delete event; }

void record(Event event, Stream stream) {
  auto lock = locked();
  refuse_in_capture(stream, "an event is recorded");
  *event = {stream, stream->queued()};
}

// Each question is answered first and then brings the stream one step on, so that whoever goes on
// asking sees the end.
bool is_done(Event event) {
  auto lock = locked();
  if (event->is_done()) return true;
  advance(event->stream, event->stream->done + 1);
  throw_error_of(event->stream->device);
  return false;
}

void wait(Event event) {
  auto lock = locked();
  ++runtime().counts.waits;
  if (event->stream == nullptr) return;
  advance(event->stream, event->after);
  throw_error_of(event->stream->device);
}

// --- graphs

void begin_capture(Stream stream) {
  auto lock = locked();
  if (stream->captured) fail("a second capture of a stream");
  stream->captured.emplace();
  stream->capture_failed = false;
}

Graph end_capture(Stream stream) {
  auto lock = locked();
  if (!stream->captured) fail("the end of a capture that did not begin");
  auto work = std::make_shared<const std::vector<Work>>(std::move(*stream->captured));
  stream->captured.reset();
  if (stream->capture_failed) fail("the capture failed: it met what cannot be part of a graph");
  return new GraphState{stream->device, std::move(work)};
}

void run(Graph graph, Stream stream) {
  auto lock = locked();
  refuse_in_capture(stream, "a graph is run");
  if (graph->device != stream->device) fail("a graph in a stream of another device");
  ++runtime().counts.graphs;
  push(stream, [work = graph->work] {
    for (const Work& piece : *work) piece();
  });
}

void release(Graph graph) { delete graph; }

}  // namespace keratin::cuda

// --- what tests ask

namespace emulation {

std::size_t memory_in_use(int device) {
  auto lock = keratin::cuda::locked();
  return keratin::cuda::memory_of(device).in_use();
}

Counts counts() {
  auto lock = keratin::cuda::locked();
  return keratin::cuda::runtime().counts;
}

std::span<std::byte> block_around(const void* address) {
  auto& runtime = keratin::cuda::runtime();
  for (auto* blocks : {&runtime.memory[0].blocks(), &runtime.memory[1].blocks(),
                       &std::as_const(runtime.host_blocks)})
    if (auto found = blocks->find_around(address); found != blocks->end())
      return {const_cast<std::byte*>(found->first), found->second};
  return {};
}

}  // namespace emulation
