// A kind of device beside the processor: its memory, the way there and back, and its kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <keratin/core/device.h>
#include <keratin/core/memory.h>
#include <keratin/core/tensor.h>

namespace keratin {

class Kernels;
class Random;

/// Work of a device that was noted once and is done again by one launch.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  /// Queues the work: it reads what lies now where it read then, and leaves its results where they
  /// lay.
  virtual void run() = 0;
  /// Empty if it may run any number of times; else the reason why once is all: the work has
  /// replaced a tensor that was there before, or has kept one that it did not return.
  virtual const char* only_once() const = 0;
};

/// Thrown where work has replaced or kept tensors and then failed, so that it was noted in part and
/// not done: these tensors have no values.
struct CaptureFailed : std::runtime_error {
  using runtime_error::runtime_error;
};

/// Graphs of one device. They run one after the other and share memory of their own.
class DeviceGraphs {
 public:
  virtual ~DeviceGraphs() = default;
  /// Notes what `work` queues in this thread, and does none of it. `work` returns the tensors that
  /// are wanted after each run, and may draw from `generators`, which every run moves on. Throws
  /// what `work` throws, and std::runtime_error where it waits for the device or takes numbers from
  /// the host's memory: then nothing has happened. Else CaptureFailed.
  virtual std::unique_ptr<DeviceGraph> capture(const std::function<std::vector<Tensor>()>& work,
                                               const std::vector<Random*>& generators) = 0;
};

/// Reads numbers of a device without a wait: as soon as the work queued before is done.
class DeviceReading {
 public:
  virtual ~DeviceReading() = default;
  /// Queues the reading of a tensor with one element of int32.
  virtual void begin(const Tensor& number) = 0;
  /// What has been read. Waits where that is still to come.
  virtual std::int32_t value() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  /// How many devices can be used; where that is none, `why` says the reason.
  virtual int device_count(std::string& why) = 0;
  virtual const Kernels& kernels(int device) = 0;

  /// Memory that is not aligned to less than 256 bytes. Throws OutOfMemory.
  virtual void* allocate(std::size_t bytes, int device) = 0;
  virtual void free(void* memory, std::size_t bytes, int device) noexcept = 0;
  virtual void release_cached_memory() = 0;
  virtual MemoryStats memory_stats(int device) = 0;
  /// Bytes that the device has.
  virtual std::size_t memory_size(int device) = 0;

  /// After what was queued on the device. What lies at `from` may change once the call has
  /// returned.
  virtual void to_device(void* to, const void* from, std::size_t bytes, int device) = 0;
  /// Waits for what was queued on the device. Throws what went wrong there.
  virtual void to_host(void* to, const void* from, std::size_t bytes, int device) = 0;

  virtual std::unique_ptr<DeviceReading> make_reading(int device) = 0;
  /// Null in debug mode, in which each op is waited for.
  virtual std::unique_ptr<DeviceGraphs> make_graphs(int device) = 0;
};

/// The backend of a device that is not the processor. Throws std::invalid_argument when there is no
/// such device, and says why.
Backend& backend_of(Device device);

/// The backend of the device "meta" (core/meta.cpp).
Backend& meta_backend();

/// Thrown where the elements of a tensor on meta are asked for.
struct NoElements : std::runtime_error {
  explicit NoElements(const std::string& who);
};

/// The CUDA backend of this program; null where there is none.
Backend* cuda_backend();
void set_cuda_backend(Backend* backend);

}  // namespace keratin
