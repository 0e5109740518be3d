// A kind of device beside the processor: its memory, the way there and back, and its kernels.
#pragma once

#include <cstddef>
#include <string>

#include <keratin/core/device.h>
#include <keratin/core/memory.h>

namespace keratin {

class Kernels;

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
};

/// The backend of a device that is not the processor. Throws std::invalid_argument when there is no
/// such device, and says why.
Backend& backend_of(Device device);

/// The CUDA backend of this program; null where there is none.
Backend* cuda_backend();
void set_cuda_backend(Backend* backend);

}  // namespace keratin
