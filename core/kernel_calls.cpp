#include <cstring>
#include <type_traits>

#include <keratin/core/cpu/kernels.h>
#include <keratin/core/internal/kernel_calls.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {
namespace {

constinit thread_local KernelCalls* noting = nullptr;

// An argument as it is kept for later: without a share in the memory, as whether an op may write in
// place depends on who else has one.
std::vector<Tensor> kept(std::span<const Tensor> tensors) {
  std::vector<Tensor> all;
  for (const Tensor& x : tensors) all.push_back(unowned(x));
  return all;
}
Tensor kept(const Tensor& x) { return unowned(x); }
template <class T>
requires std::is_arithmetic_v<T> || std::is_enum_v<T> T kept(T value) { return value; }

/// A copy of a pointwise op's functor.
class Functor {
 public:
  Functor(Pointwise op, const void* functor) : words_((bytes_of(op) + 7) / 8) {
    std::memcpy(words_.data(), functor, bytes_of(op));
  }
  const void* get() const { return words_.data(); }

 private:
  template <class F>
  static std::size_t bytes() {
    static_assert(std::is_trivially_copyable_v<F> && alignof(F) <= alignof(double));
    return sizeof(F);
  }
  static std::size_t bytes_of(Pointwise op) {
    switch (op) {
#define KERATIN_FUNCTOR(Functor) \
  case Pointwise::Functor:       \
    return bytes<fn::Functor>();
#define KERATIN_UNARY(name, Functor) KERATIN_FUNCTOR(Functor)
#define KERATIN_BINARY(name, Functor) KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor) KERATIN_FUNCTOR(Functor)
#include <keratin/core/catalogue.def>
      case Pointwise::count:
        break;
    }
    return 0;
  }

  std::vector<double> words_;
};

}  // namespace

/// Makes every call, and notes it.
class NotingKernels final : public Kernels {
 public:
  explicit NotingKernels(const Kernels& kernels) : kernels_(kernels) {}

  void fill(const Tensor& y, double value) const override { call(&Kernels::fill, y, value); }
  void copy(const Tensor& y, const Tensor& x) const override { call(&Kernels::copy, y, x); }
  void accumulate(const Tensor& y, const Tensor& x) const override {
    call(&Kernels::accumulate, y, x);
  }
  void pointwise(Pointwise op, const void* functor, Tensors y, Tensors x) const override {
    kernels_.pointwise(op, functor, y, x);
    note([&kernels = kernels_, op, f = Functor(op, functor), y = kept(y), x = kept(x)] {
      kernels.pointwise(op, f.get(), y, x);
    });
  }
  void pointwise_gradient(Pointwise op, const void* functor, Tensors gx, Tensors x,
                          Tensors gy) const override {
    kernels_.pointwise_gradient(op, functor, gx, x, gy);
    note([&kernels = kernels_, op, f = Functor(op, functor), gx = kept(gx), x = kept(x),
          gy = kept(gy)] { kernels.pointwise_gradient(op, f.get(), gx, x, gy); });
  }
  void compare(Comparison op, const Tensor& y, const Tensor& a, const Tensor& b) const override {
    call(&Kernels::compare, op, y, a, b);
  }
  void select(const Tensor& y, const Tensor& condition, const Tensor& a,
              const Tensor& b) const override {
    call(&Kernels::select, y, condition, a, b);
  }
  void reduce(Reduction op, const Tensor& y, const Tensor& x, int axis) const override {
    call(&Kernels::reduce, op, y, x, axis);
  }
  void arg_reduce(bool largest, const Tensor& y, const Tensor& x, int axis) const override {
    call(&Kernels::arg_reduce, largest, y, x, axis);
  }
  void cumulative_sum(const Tensor& y, const Tensor& x, int axis, bool reverse) const override {
    call(&Kernels::cumulative_sum, y, x, axis, reverse);
  }
  void softmax(const Tensor& y, const Tensor& x, int axis, bool log) const override {
    call(&Kernels::softmax, y, x, axis, log);
  }
  void softmax_gradient(const Tensor& gx, const Tensor& y, const Tensor& gy, int axis,
                        bool log) const override {
    call(&Kernels::softmax_gradient, gx, y, gy, axis, log);
  }
  void take(const Tensor& y, const Tensor& x, const Tensor& indices) const override {
    call(&Kernels::take, y, x, indices);
  }
  void scatter_add(const Tensor& y, const Tensor& x, const Tensor& indices) const override {
    call(&Kernels::scatter_add, y, x, indices);
  }
  void gemm(const Tensor& c, const Tensor& a, const Tensor& b, bool accumulate) const override {
    call(&Kernels::gemm, c, a, b, accumulate);
  }
  Shape packed_shape(const Tensor& b) const override { return kernels_.packed_shape(b); }
  void pack(const Tensor& packed, const Tensor& b) const override {
    call(&Kernels::pack, packed, b);
  }
  void packed_gemm(const Tensor& c, const Tensor& a, const Tensor& packed, const Tensor& bias,
                   bool accumulate) const override {
    call(&Kernels::packed_gemm, c, a, packed, bias, accumulate);
  }
  void batched_gemm(const Tensor& c, const Tensor& a, const Tensor& b) const override {
    call(&Kernels::batched_gemm, c, a, b);
  }

 private:
  template <class... Parameters, class... Arguments>
  void call(void (Kernels::*method)(Parameters...) const, const Arguments&... arguments) const {
    (kernels_.*method)(arguments...);
    note([&kernels = kernels_, method, ... kept_arguments = kept(arguments)] {
      (kernels.*method)(kept_arguments...);
    });
  }

  static void note(std::function<void()> call) { noting->calls_.push_back(std::move(call)); }

  const Kernels& kernels_;
};

Tensor unowned(const Tensor& x) {
  if (!x.defined()) return x;
  const TensorData& data = TensorData::of(x);
  WithLists none(nullptr);  // the header outlives what is computed now
  auto* storage = Storage::wrap(data.storage->data, data.storage->bytes, /*read_only=*/false);
  storage->device = data.storage->device;
  return TensorData::adopt(
      TensorData::make(storage, data.data, data.dtype, data.shape, data.numel, data.strides));
}

KernelCalls::Noting::Noting(KernelCalls* calls) : before_(std::exchange(noting, calls)) {}
KernelCalls::Noting::~Noting() { noting = before_; }

void KernelCalls::run() const {
  for (const auto& call : calls_) call();
}

void touch_elements() {
  if (noting != nullptr) noting->complete_ = false;
}

const Kernels& kernels_of(Device device) {
  static const NotingKernels noting_processor(cpu::kernels());
  if (device.type != Device::Type::cpu) fail("device: this build has no kernels for CUDA");
  if (noting != nullptr) return noting_processor;
  return cpu::kernels();
}

}  // namespace keratin
