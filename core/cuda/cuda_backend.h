// CUDA devices behind the library's contracts: core/internal/backend.h and core/kernels.h.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <keratin/core/cuda/kernels.h>
#include <keratin/core/cuda/pool.h>
#include <keratin/core/cuda/runtime.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/kernels.h>

namespace keratin::cuda {

/// One device: its stream, its memory, and what its kernels found wrong.
struct DeviceState {
  explicit DeviceState(int index);

  const int index;
  const Stream stream;
  Pool pool;
  /// In memory that kernels write and the host reads after a wait.
  IndexFault* const fault;

  /// Waits for the device. Throws std::invalid_argument where an index was out of range.
  void synchronize();
  /// Work of the op `who` comes next. In debug mode (KERATIN_CUDA_DEBUG is set) the work before it
  /// is waited for, so that an error names its op.
  void begin(const char* who);

 private:
  const bool debug_;
  const char* who_ = nullptr;  // the op whose work was queued last
};

/// The kernels of one device (cuda_kernels.cpp).
std::unique_ptr<const Kernels> make_kernels(DeviceState& device);

/// The backend of all CUDA devices.
Backend& backend();

}  // namespace keratin::cuda
