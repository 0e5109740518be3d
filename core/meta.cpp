// The device "meta": tensors without elements. It fulfils the kernels' contract by doing nothing,
// which leaves what the ops themselves do: they check their operands and make a result of the right
// shape and type. So output shapes are found (layers/shape_trial.cpp), and models are loaded before
// their weights are seen to be in the file (training/saving.cpp).

#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>

namespace keratin {

NoElements::NoElements(const std::string& who)
    : std::runtime_error(who + ": a tensor on meta has a shape and a type, and no elements") {}

namespace {

class MetaKernels final : public Kernels {
 public:
  void fill(const Tensor&, double) const override {}
  void arange(const Tensor&, double, double) const override {}
  void random(const Tensor&, const Draw&) const override {}
  void copy(const Tensor&, const Tensor&) const override {}
  void accumulate(const Tensor&, const Tensor&) const override {}

  void pointwise(Pointwise, const void*, Tensors, Tensors) const override {}
  void pointwise_gradient(Pointwise, const void*, Tensors, Tensors, Tensors) const override {}
  void step(Pointwise, const void*, std::span<const std::vector<Tensor>>,
            const Tensor&) const override {}
  void check_finite(const Tensor&, Tensors) const override {}
  void compare(Comparison, const Tensor&, const Tensor&, const Tensor&) const override {}
  void select(const Tensor&, const Tensor&, const Tensor&, const Tensor&) const override {}

  void reduce(Reduction, const Tensor&, const Tensor&, int) const override {}
  void arg_reduce(bool, const Tensor&, const Tensor&, int) const override {}
  void cumulative_sum(const Tensor&, const Tensor&, int, bool) const override {}
  void softmax(const Tensor&, const Tensor&, int, bool) const override {}
  void softmax_gradient(const Tensor&, const Tensor&, const Tensor&, int, bool) const override {}

  void check_indices(const char*, const Tensor&, const Tensor&, std::int64_t,
                     std::int64_t) const override {}
  void take(const Tensor&, const Tensor&, const Tensor&) const override {}
  void scatter_add(const Tensor&, const Tensor&, const Tensor&) const override {}

  void gemm(const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool) const override {}
  void batched_gemm(const Tensor&, const Tensor&, const Tensor&) const override {}

  void conv(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Windows&,
            bool) const override {}
  void conv_input_gradient(const Tensor&, const Tensor&, const Tensor&,
                           const Windows&) const override {}
  void conv_kernel_gradient(const Tensor&, const Tensor&, const Tensor&,
                            const Windows&) const override {}
  void max_pool(const Tensor&, const Tensor&, const Tensor&, const Windows&) const override {}
};

class MetaBackend final : public Backend {
 public:
  int device_count(std::string&) override { return 1; }
  const Kernels& kernels(int) override { return kernels_; }

  // An address that no program has, and nor are those near it, where views begin: code that looks
  // there ends at once.
  void* allocate(std::size_t, int) override {
    return reinterpret_cast<void*>(std::uintptr_t{1} << 62);
  }
  void free(void*, std::size_t, int) noexcept override {}
  void release_cached_memory() override {}
  MemoryStats memory_stats(int) override { return {}; }
  std::size_t memory_size(int) override { return 0; }

  void to_device(void*, const void*, std::size_t, int) override {}
  void to_host(void*, const void*, std::size_t, int) override { throw NoElements("copy"); }

  std::unique_ptr<DeviceReading> make_reading(int) override { throw NoElements("reading"); }
  std::unique_ptr<DeviceGraphs> make_graphs(int) override { return nullptr; }

 private:
  MetaKernels kernels_;
};

}  // namespace

// Never destroyed: tensors in static variables may outlive it.
Backend& meta_backend() {
  static auto* backend = new MetaBackend;
  return *backend;
}

}  // namespace keratin
