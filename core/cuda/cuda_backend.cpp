#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#include <keratin/core/cuda/cuda_backend.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin::cuda {

DeviceState::DeviceState(int index)
    : index(index),
      pool(index),
      fault(new (allocate_host(sizeof(IndexFault))) IndexFault),
      stream_(make_stream(index)),
      debug_(std::getenv("KERATIN_CUDA_DEBUG") != nullptr) {}

void DeviceState::begin(const char* who) {
  if (!debug_) return;
  synchronize();
  who_ = who;
}

Capture* DeviceState::capture() const {
  return capturing_thread_.load() == std::this_thread::get_id() ? capture_ : nullptr;
}

Stream DeviceState::stream() const {
  const Capture* here = capture();
  return here == nullptr ? stream_ : here->stream;
}

Stream DeviceState::capture_stream() {
  if (capture_stream_ == nullptr) capture_stream_ = make_stream(index);
  return capture_stream_;
}

void DeviceState::while_capturing(Capture& capture, const std::function<void()>& f) {
  std::lock_guard lock(capturing_);
  capture.stream = capture_stream();
  capture_ = &capture;
  capturing_thread_ = std::this_thread::get_id();
  struct End {
    DeviceState& device;
    ~End() {
      device.capturing_thread_ = std::thread::id();
      device.capture_ = nullptr;
    }
  } end{*this};
  f();
}

void Feeder::copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  if (bytes <= small) return cuda::copy(to, from, bytes, stream);  // the driver has buffers for it
  std::lock_guard lock(mutex_);
  auto* target = static_cast<std::byte*>(to);
  for (auto* source = static_cast<const std::byte*>(from); bytes > 0;) {
    Buffer& buffer = buffers_[next_];
    next_ = (next_ + 1) % buffers_.size();
    if (buffer.memory == nullptr) {
      buffer.memory = allocate_host(large);
      buffer.taken = make_event();
    } else if (!is_done(buffer.taken)) {
      wait(buffer.taken);
    }
    const std::size_t part = std::min(bytes, large);
    std::memcpy(buffer.memory, source, part);
    cuda::copy(target, buffer.memory, part, stream);
    record(buffer.taken, stream);
    source += part;
    target += part;
    bytes -= part;
  }
}

void DeviceState::synchronize() {
  if (capture() != nullptr) throw std::runtime_error("a graph cannot wait for its device");
  try {
    cuda::synchronize(stream_);
  } catch (const std::runtime_error& error) {
    const char* where = who_ != nullptr ? who_ : "an op before (KERATIN_CUDA_DEBUG=1 names it)";
    throw std::runtime_error(fmt::format("cuda:{}: {}: {}", index, where, error.what()));
  }
  if (fault->found == 0) return;
  const IndexFault found = *fault;
  *fault = {};
  fail("{}: index {} at position {} is out of range for an axis of {}", found.who, found.index,
       found.position, found.extent);
}

namespace {

std::atomic<bool> forked = false;

class CudaReading final : public DeviceReading {
 public:
  explicit CudaReading(DeviceState& device)
      : device_(device),
        value_(static_cast<std::int32_t*>(allocate_host(sizeof(std::int32_t)))),
        done_(make_event()) {}
  ~CudaReading() override {
    release(done_);
    release_host(value_);
  }
  void begin(const Tensor& number) override {
    cuda::copy(value_, raw<void>(number), sizeof(std::int32_t), device_.stream());
    record(done_, device_.stream());
  }
  std::int32_t value() override {
    if (!is_done(done_)) wait(done_);
    return *value_;
  }

 private:
  DeviceState& device_;
  std::int32_t* const value_;
  const Event done_;
};

class CudaBackend final : public Backend {
 public:
  int device_count(std::string& why) override {
    std::call_once(counted_, [this] { count_ = cuda::device_count(why_); });
    why = why_;
    return count_;
  }

  const Kernels& kernels(int device) override { return *entry(device).kernels; }

  void* allocate(std::size_t bytes, int device) override {
    DeviceState& state = entry(device).state;
    Capture* capture = state.capture();
    return state.pool.allocate(bytes, capture == nullptr ? nullptr : &capture->reserve);
  }
  void free(void* memory, std::size_t bytes, int device) noexcept override {
    if (forked) return;
    DeviceState& state = entry(device).state;
    const Reserve* reserve = state.pool.free(memory, bytes);
    if (Capture* capture = state.capture()) capture->replaced |= reserve != &capture->reserve;
  }
  void release_cached_memory() override {
    std::lock_guard lock(mutex_);
    for (auto& entry : entries_) {
      if (entry == nullptr) continue;
      entry->state.synchronize();
      entry->state.pool.release_free();
    }
  }

  MemoryStats memory_stats(int device) override { return entry(device).state.pool.stats(); }

  std::size_t memory_size(int device) override { return cuda::memory_size(device); }

  void to_device(void* to, const void* from, std::size_t bytes, int device) override {
    DeviceState& state = entry(device).state;
    if (state.capture() != nullptr)
      throw std::runtime_error("a graph cannot take numbers from the processor's memory");
    state.begin("a copy to the device");
    state.feeder.copy(to, from, bytes, state.stream());
  }
  void to_host(void* to, const void* from, std::size_t bytes, int device) override {
    DeviceState& state = entry(device).state;
    if (state.capture() != nullptr) state.synchronize();  // which refuses
    state.begin("a copy from the device");
    copy(to, from, bytes, state.stream());
    state.synchronize();
  }

  std::unique_ptr<DeviceReading> make_reading(int device) override {
    return std::make_unique<CudaReading>(entry(device).state);
  }
  std::unique_ptr<DeviceGraphs> make_graphs(int device) override {
    DeviceState& state = entry(device).state;
    return state.debug() ? nullptr : cuda::make_graphs(state);
  }

 private:
  struct Entry {
    explicit Entry(int index) : state(index), kernels(make_kernels(state)) {}
    DeviceState state;
    std::unique_ptr<const Kernels> kernels;
  };

  // A device is set up when it is first used. CUDA does not outlive a fork.
  Entry& entry(int device) {
    if (forked) fail("device: cuda:{}: a forked process cannot use its parent's devices", device);
    std::lock_guard lock(mutex_);
    if (entries_.empty()) ::pthread_atfork(nullptr, nullptr, [] { forked = true; });
    const auto place = static_cast<std::size_t>(device);
    if (entries_.size() <= place) entries_.resize(place + 1);
    if (entries_[place] == nullptr) entries_[place] = std::make_unique<Entry>(device);
    return *entries_[place];
  }

  std::once_flag counted_;
  int count_ = 0;
  std::string why_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace

// Never destroyed: tensors in static variables may outlive it.
Backend& backend() {
  static auto* all = new CudaBackend;
  return *all;
}

}  // namespace keratin::cuda
