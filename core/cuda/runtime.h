// All that the backend asks of CUDA and cuBLAS. runtime.cu answers with a GPU, and
// tests/cuda/emulator/emulated_runtime.cpp without one.
//
// Work is queued on a stream and done in order; a call returns before the work is done. Whatever
// fails throws std::runtime_error, also for work that was queued earlier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <keratin/core/cuda/words.h>
#include <keratin/core/dtype.h>

namespace keratin::cuda {

using Stream = struct StreamState*;
using Event = struct EventState*;
using Graph = struct GraphState*;  // launches and copies that a capture noted

/// How many devices can be used; where that is none, `why` says the reason.
int device_count(std::string& why);
/// Bytes of memory that a device has.
std::size_t memory_size(int device);

/// Memory of a device; null where none is left.
void* allocate(std::size_t bytes, int device);
void release(void* memory, int device);
/// Memory of the host from which copies need not wait.
void* allocate_host(std::size_t bytes);
void release_host(void* memory);

Stream make_stream(int device);
/// Between host and device, or within a device.
void copy(void* to, const void* from, std::size_t bytes, Stream stream);
/// Waits until all that was queued is done.
void synchronize(Stream stream);

Event make_event();
void release(Event event);
void record(Event event, Stream stream);
bool is_done(Event event);
void wait(Event event);

/// From here on what is queued is noted, and nothing is done.
void begin_capture(Stream stream);
Graph end_capture(Stream stream);
void run(Graph graph, Stream stream);
void release(Graph graph);

/// c = a b, or c += a b, for each matrix of a batch: cublas<t>gemmStridedBatched with float32
/// products in full precision, or from factors in TF32. Matrices are stored by columns, as in
/// Fortran: c (m, n), a (m, k) or transposed (k, m), b (k, n) or transposed (n, k); a column begins
/// every `lda` (...) elements.
struct Gemm {
  DType dtype = float32;  // or float64
  bool transpose_a = false, transpose_b = false, accumulate = false, tf32 = false;
  int m = 0, n = 0, k = 0, batch = 1;
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  int lda = 0, ldb = 0, ldc = 0;
  std::int64_t stride_a = 0, stride_b = 0,
               stride_c = 0;  // from one matrix to the next, in elements
};
/// One thread at a time.
void gemm(const Gemm& product, Stream stream);

// launch(kernel, grid, block, stream, arguments...) queues a kernel.
#ifdef KERATIN_CUDA
void launch_kernel(const void* kernel, dim3 grid, dim3 block, Stream stream, void** arguments);

template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, Stream stream,
            std::type_identity_t<P>... arguments) {
  void* pointers[] = {&arguments...};
  launch_kernel(reinterpret_cast<const void*>(kernel), grid, block, stream, pointers);
}
#else
void launch_call(dim3 grid, dim3 block, Stream stream, emulator::Call call);

template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, Stream stream,
            std::type_identity_t<P>... arguments) {
  static_assert((std::is_trivially_copyable_v<std::remove_const_t<P>> && ...));
  static_assert((sizeof(P) + ... + 0) <= 4096, "more parameters than every GPU takes");
  launch_call(grid, block, stream, emulator::make_call(kernel, arguments...));
}
#endif

}  // namespace keratin::cuda
