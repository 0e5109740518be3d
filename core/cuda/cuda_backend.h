// CUDA devices behind the library's contracts: core/internal/backend.h and core/kernels.h.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <keratin/core/cuda/kernels.h>
#include <keratin/core/cuda/pool.h>
#include <keratin/core/cuda/runtime.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/draw.h>
#include <keratin/core/kernels.h>

namespace keratin::cuda {

/// A capture under way.
struct Capture {
  Stream stream;
  Reserve& reserve;  // where its tensors are
  std::vector<Random*> generators;
  GeneratorPlace* places;  // one each, on the device
  bool drawn = false;      // from any of them
  bool replaced = false;   // a tensor that was there before is gone
};

/// Copies to a device through two buffers that it reads by itself: the host fills one of them while
/// the device takes what is in the other. They live as long as the program.
class Feeder {
 public:
  void copy(void* to, const void* from, std::size_t bytes, Stream stream);

 private:
  static constexpr std::size_t small = 64 << 10, large = 4 << 20;  // bytes
  struct Buffer {
    void* memory = nullptr;
    Event taken = nullptr;
  };
  std::mutex mutex_;
  std::array<Buffer, 2> buffers_;
  std::size_t next_ = 0;
};

/// One device: its stream, its memory, and what its kernels found wrong.
struct DeviceState {
  explicit DeviceState(int index);

  const int index;
  Pool pool;
  Feeder feeder;
  /// In memory that kernels write and the host reads after a wait.
  IndexFault* const fault;
  /// Held while a product is queued: cuBLAS, with its workspace, serves one thread at a time.
  std::mutex multiplying;

  /// Where work of this thread is queued: in the device's stream, or in that of its capture.
  Stream stream() const;
  /// That of this thread, or null.
  Capture* capture() const;
  /// While f runs, this thread's work is captured. Only one thread can do so at a time.
  void while_capturing(Capture& capture, const std::function<void()>& f);
  /// A stream for captures, where other threads do not queue their work.
  Stream capture_stream();

  /// Waits for the device. Throws std::invalid_argument where an index was out of range.
  void synchronize();
  /// Work of the op `who` comes next. In debug mode (KERATIN_CUDA_DEBUG is set) the work before it
  /// is waited for, so that an error names its op.
  void begin(const char* who);
  bool debug() const { return debug_; }

 private:
  const Stream stream_;
  Stream capture_stream_ = nullptr;
  std::mutex capturing_;
  std::atomic<std::thread::id> capturing_thread_;
  Capture* capture_ = nullptr;  // only that thread looks at it
  const bool debug_;
  const char* who_ = nullptr;  // the op whose work was queued last
};

/// The kernels of one device (cuda_kernels.cpp).
std::unique_ptr<const Kernels> make_kernels(DeviceState& device);

/// Graphs of one device (graphs.cpp).
std::unique_ptr<DeviceGraphs> make_graphs(DeviceState& device);

/// The backend of all CUDA devices.
Backend& backend();

}  // namespace keratin::cuda
