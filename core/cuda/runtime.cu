// CUDA and cuBLAS behind runtime.h. cuBLAS is opened when the first stream is made, so that a
// program that asks for no GPU neither needs it nor waits for it.
#include <dlfcn.h>

#include <cublas_v2.h>

#include <stdexcept>

#include <keratin/core/cuda/runtime.h>

namespace keratin::cuda {
namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a kernel's fault stays, a call's mistake does not
  throw std::runtime_error(std::string("cuda: ") + what + ": " + cudaGetErrorString(error));
}

/// The functions of cuBLAS that are used.
struct Cublas {
  decltype(&cublasCreate_v2) create;
  decltype(&cublasSetStream_v2) set_stream;
  decltype(&cublasSetWorkspace_v2) set_workspace;
  decltype(&cublasSetMathMode) set_math_mode;
  decltype(&cublasSgemmStridedBatched) sgemm;
  decltype(&cublasDgemmStridedBatched) dgemm;
  decltype(&cublasGetStatusString) text;

  Cublas() {
    void* library = nullptr;
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
      if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* reason = dlerror();
      throw std::runtime_error(std::string("cuda: cuBLAS cannot be opened: ") +
                               (reason == nullptr ? "not found" : reason));
    }
    find(library, "cublasCreate_v2", create);
    find(library, "cublasSetStream_v2", set_stream);
    find(library, "cublasSetWorkspace_v2", set_workspace);
    find(library, "cublasSetMathMode", set_math_mode);
    find(library, "cublasSgemmStridedBatched", sgemm);
    find(library, "cublasDgemmStridedBatched", dgemm);
    find(library, "cublasGetStatusString", text);
  }
  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw std::runtime_error(std::string("cuda: ") + what + ": " + text(status));
  }

 private:
  template <class F>
  static void find(void* library, const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library, name));
    if (function == nullptr)
      throw std::runtime_error(std::string("cuda: this cuBLAS has no ") + name);
  }
};

const Cublas& cublas() {
  static const Cublas functions;
  return functions;
}

/// Calls of this thread go to the device while the scope lives.
class On {
 public:
  explicit On(int device) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ != device) check(cudaSetDevice(device), "cudaSetDevice");
    changed_ = before_ != device;
  }
  ~On() {
    if (changed_) cudaSetDevice(before_);
  }

 private:
  int before_ = 0;
  bool changed_ = false;
};

cudaDeviceProp properties_of(int device) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties;
}

constexpr std::size_t workspace_bytes = 32 << 20;

}  // namespace

struct StreamState {
  int device;
  cudaStream_t stream;
  cublasHandle_t blas;
  cublasMath_t math = CUBLAS_PEDANTIC_MATH;
};
struct EventState {
  cudaEvent_t event;
};
struct GraphState {
  cudaGraphExec_t exec;
};

int device_count(std::string& why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) {
    for (int device = 0; device < count; ++device) {
      const cudaDeviceProp properties = properties_of(device);
      if (properties.major >= 8) continue;
      why = std::string(properties.name) + " is too old: compute capability 8.0 is needed";
      return device;
    }
    return count;
  }
  why = error == cudaSuccess ? "the driver finds none" : cudaGetErrorString(error);
  return 0;
}

std::size_t memory_size(int device) { return properties_of(device).totalGlobalMem; }

void* allocate(std::size_t bytes, int device) {
  On there(device);
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(error, "cudaMalloc");
  return memory;
}
void release(void* memory, int device) {
  On there(device);
  check(cudaFree(memory), "cudaFree");
}

void* allocate_host(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable), "cudaHostAlloc");
  return memory;
}
void release_host(void* memory) { check(cudaFreeHost(memory), "cudaFreeHost"); }

Stream make_stream(int device) {
  On there(device);
  auto* made = new StreamState{device, nullptr, nullptr};
  check(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "cudaStreamCreate");
  cublas().check(cublas().create(&made->blas), "cublasCreate");
  cublas().check(cublas().set_stream(made->blas, made->stream), "cublasSetStream");
  // A workspace of our own: the same bits in every run, also in a captured graph.
  void* workspace = allocate(workspace_bytes, device);
  cublas().check(cublas().set_workspace(made->blas, workspace, workspace_bytes),
                 "cublasSetWorkspace");
  cublas().check(cublas().set_math_mode(made->blas, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
  return made;
}

void copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream->stream), "cudaMemcpyAsync");
}
void synchronize(Stream stream) {
  check(cudaStreamSynchronize(stream->stream), "cudaStreamSynchronize");
}

Event make_event() {
  auto* made = new EventState;
  check(cudaEventCreateWithFlags(&made->event, cudaEventDisableTiming), "cudaEventCreate");
  return made;
}
void release(Event event) {
  check(cudaEventDestroy(event->event), "cudaEventDestroy");
  delete event;
}
void record(Event event, Stream stream) {
  check(cudaEventRecord(event->event, stream->stream), "cudaEventRecord");
}
bool is_done(Event event) {
  const cudaError_t state = cudaEventQuery(event->event);
  if (state == cudaErrorNotReady) return false;
  check(state, "cudaEventQuery");
  return true;
}
void wait(Event event) { check(cudaEventSynchronize(event->event), "cudaEventSynchronize"); }

void begin_capture(Stream stream) {
  check(cudaStreamBeginCapture(stream->stream, cudaStreamCaptureModeRelaxed),
        "cudaStreamBeginCapture");
}
Graph end_capture(Stream stream) {
  cudaGraph_t noted = nullptr;
  check(cudaStreamEndCapture(stream->stream, &noted), "cudaStreamEndCapture");
  auto* made = new GraphState;
  const cudaError_t error = cudaGraphInstantiate(&made->exec, noted, 0);
  cudaGraphDestroy(noted);
  check(error, "cudaGraphInstantiate");
  return made;
}
void run(Graph graph, Stream stream) {
  check(cudaGraphLaunch(graph->exec, stream->stream), "cudaGraphLaunch");
}
void release(Graph graph) {
  check(cudaGraphExecDestroy(graph->exec), "cudaGraphExecDestroy");
  delete graph;
}

void gemm(const Gemm& p, Stream stream) {
  const cublasOperation_t a = p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t b = p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  auto multiply = [&]<class T>(auto function, T) {
    const T one = 1, beta = p.accumulate ? T(1) : T(0);
    return function(stream->blas, a, b, p.m, p.n, p.k, &one, static_cast<const T*>(p.a), p.lda,
                    p.stride_a, static_cast<const T*>(p.b), p.ldb, p.stride_b, &beta,
                    static_cast<T*>(p.c), p.ldc, p.stride_c, p.batch);
  };
  const cublasMath_t math = p.tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH;
  if (stream->math != math) {
    cublas().check(cublas().set_math_mode(stream->blas, math), "cublasSetMathMode");
    stream->math = math;
  }
  if (p.dtype == float32)
    cublas().check(multiply(cublas().sgemm, float{}), "cublasSgemmStridedBatched");
  else
    cublas().check(multiply(cublas().dgemm, double{}), "cublasDgemmStridedBatched");
}

void launch_kernel(const void* kernel, dim3 grid, dim3 block, Stream stream, void** arguments) {
  On there(stream->device);
  check(cudaLaunchKernel(kernel, grid, block, arguments, 0, stream->stream), "cudaLaunchKernel");
}

}  // namespace keratin::cuda
