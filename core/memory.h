// Where tensors' memory comes from: a pool that keeps freed blocks for the next tensor of about the
// same size, so that a training loop stops asking the system after its first step.
#pragma once

#include <cstdint>
#include <new>
#include <string>

#include <keratin/core/device.h>

namespace keratin {

struct MemoryStats {
  std::int64_t system_allocations = 0;  ///< blocks ever asked of the system, or of the device
  std::int64_t bytes_reserved = 0;      ///< bytes held now, in use or kept for reuse
};

/// Counts over all threads. Throws std::invalid_argument when there is no such device.
MemoryStats memory_stats(Device device = {});

/// Gives the calling thread's unused blocks back to the system, and those of all devices.
void release_cached_memory();

/// Thrown when the system has no memory left; says how much was asked for.
class OutOfMemory : public std::bad_alloc {
 public:
  /// `device`: whose memory it is; empty for the processor's.
  explicit OutOfMemory(std::size_t bytes, const std::string& device = "");
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

}  // namespace keratin
