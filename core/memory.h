// Where tensors' memory comes from: a pool that keeps freed blocks for the next tensor of about the
// same size, so that a training loop stops asking the system after its first step.
#pragma once

#include <cstdint>
#include <new>
#include <string>

namespace keratin {

struct MemoryStats {
  std::int64_t system_allocations = 0;  ///< blocks ever asked of the system
  std::int64_t bytes_reserved = 0;      ///< bytes held now, in use or kept for reuse
};

/// Counts over all threads.
MemoryStats memory_stats();

/// Gives the calling thread's unused blocks back to the system.
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
