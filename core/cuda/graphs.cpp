// Work that is noted once and done again: CUDA graphs by stream capture, with the memory that they
// keep and the random numbers that they draw.

#include <algorithm>
#include <set>
#include <stdexcept>

#include <keratin/core/cuda/cuda_backend.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/random.h>

namespace keratin::cuda {
namespace {

/// The blocks that graphs share, which go back to the pool with the last graph.
class Memory {
 public:
  explicit Memory(DeviceState& device) : device_(device) {}
  ~Memory() { device_.pool.dissolve(reserve); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  DeviceState& device() const { return device_; }
  Reserve reserve;

 private:
  DeviceState& device_;
};

/// A random generator, and where it was before and after the capture.
struct Drawn {
  Random* generator;
  Random::State before, after = {};
};

class CudaGraph final : public DeviceGraph {
 public:
  CudaGraph(std::shared_ptr<Memory> memory, std::vector<Drawn> drawn)
      : memory_(std::move(memory)),
        drawn_(std::move(drawn)),
        places_(static_cast<GeneratorPlace*>(
            device().pool.allocate(places_bytes(), &memory_->reserve))) {}
  ~CudaGraph() override {
    if (graph_ != nullptr) release(graph_);
    device().pool.free(places_, places_bytes());
  }

  /// Notes the work; see DeviceGraphs::capture.
  void capture(const std::function<std::vector<Tensor>()>& work) {
    Capture capture{nullptr, memory_->reserve, {}, places_};
    for (const Drawn& d : drawn_) capture.generators.push_back(d.generator);
    std::set<void*> known = memory_->reserve.used;
    auto kept = [&] { return !std::ranges::includes(known, memory_->reserve.used); };
    device().while_capturing(capture, [&] {
      begin_capture(capture.stream);
      try {
        const std::vector<Tensor> results = work();
        for (const Tensor& t : results)
          if (t.defined() && !t.device().is_cpu()) known.insert(TensorData::of(t).storage->data);
        if (capture.replaced) only_once_ = "it replaces a tensor that was there before";
        if (kept()) only_once_ = "it keeps a tensor that a later step may look at";
      } catch (const std::exception& error) {
        abandon(capture.stream);
        if (capture.replaced || kept()) throw CaptureFailed(error.what());
        throw;
      }
      graph_ = end_capture(capture.stream);
    });
    for (Drawn& d : drawn_) {
      d.after = d.generator->state();
      d.generator->set_state(d.before);
    }
    draws_ = capture.drawn;
  }

  const char* only_once() const override { return only_once_; }

  void run() override {
    if (draws_) {
      std::vector<GeneratorPlace> places;
      for (const Drawn& d : drawn_) {
        const Random::State now = d.generator->state();
        places.push_back({now.seed, now.counter - d.before.counter});
        d.generator->set_state({now.seed, now.counter + (d.after.counter - d.before.counter)});
      }
      copy(places_, places.data(), places_bytes(), device().stream());
    }
    cuda::run(graph_, device().stream());
  }

 private:
  DeviceState& device() const { return memory_->device(); }
  std::size_t places_bytes() const { return drawn_.size() * sizeof(GeneratorPlace); }

  // After an error the stream must be free for the next capture.
  static void abandon(Stream stream) {
    try {
      release(end_capture(stream));
    } catch (const std::runtime_error&) {
    }
  }

  std::shared_ptr<Memory> memory_;
  std::vector<Drawn> drawn_;
  GeneratorPlace* places_;
  bool draws_ = false;
  const char* only_once_ = "";
  Graph graph_ = nullptr;
};

class CudaGraphs final : public DeviceGraphs {
 public:
  explicit CudaGraphs(DeviceState& device) : memory_(std::make_shared<Memory>(device)) {}

  std::unique_ptr<DeviceGraph> capture(const std::function<std::vector<Tensor>()>& work,
                                       const std::vector<Random*>& generators) override {
    std::vector<Drawn> drawn;
    for (Random* generator : generators) drawn.push_back({generator, generator->state()});
    auto graph = std::make_unique<CudaGraph>(memory_, drawn);
    try {
      graph->capture(work);
    } catch (...) {
      for (const Drawn& d : drawn) d.generator->set_state(d.before);
      throw;
    }
    return graph;
  }

 private:
  std::shared_ptr<Memory> memory_;
};

}  // namespace

std::unique_ptr<DeviceGraphs> make_graphs(DeviceState& device) {
  return std::make_unique<CudaGraphs>(device);
}

}  // namespace keratin::cuda
