#include <cstring>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/training/internal/step_graphs.h>
#include <keratin/training/model.h>

namespace keratin {
namespace {

// Graphs keep the memory of their batches and gradients.
constexpr std::size_t most_kinds = 16;

void add_flags(std::vector<std::uint64_t>& key, const Layer& layer) {
  key.push_back(layer.trainable());
  for (const AnyLayer& inside : layer.sublayers()) add_flags(key, *inside);
}

// A tensor in which the batch's numbers can be put, in the same order in memory.
Tensors places_for(const Tensors& tensors) {
  Tensors places;
  for (const Tensor& t : tensors)
    places.push_back(t.defined() ? empty_in_order(t.shape(), t.dtype(), {&t, 1}) : t);
  return places;
}

void put(const Tensors& places, const Tensors& tensors) {
  for (std::size_t i = 0; i < places.size(); ++i)
    if (places[i].defined()) Tensor(places[i]).assign(tensors[i]);
}

}  // namespace

StepGraphs::Key StepGraphs::key_of(const Batch& batch) const {
  Key key{tf32()};
  for (const Tensors* list : {&batch.x, &batch.y, &batch.sample_weight}) {
    key.push_back(list->size());
    for (const Tensor& t : *list) {
      key.push_back(t.defined() ? static_cast<std::uint64_t>(t.dtype()) : 0xff);
      if (!t.defined()) continue;
      key.push_back(static_cast<std::uint64_t>(t.rank()));
      for (int axis = 0; axis < t.rank(); ++axis) {
        key.push_back(static_cast<std::uint64_t>(t.size(axis)));
        key.push_back(static_cast<std::uint64_t>(t.strides()[axis]));
      }
    }
  }
  add_flags(key, model_);
  for (const Weight& weight : model_.weights()) {
    key.push_back(reinterpret_cast<std::uintptr_t>(raw<void>(weight)));
    key.push_back(static_cast<std::uint64_t>(weight.value().dtype()) << 1 | weight.trainable());
  }
  return key;
}

Step StepGraphs::run(const Batch& batch, const Work& work) {
  if (stopped_) return work(batch);
  if (graphs_ == nullptr || model_.device() != device_) {
    stop();
    device_ = model_.device();
    if (promised_ || first_without_graph(model_) == nullptr)
      graphs_ = backend_of(device_).make_graphs(device_.index);
    stopped_ = graphs_ == nullptr;
    if (stopped_) return work(batch);
  }
  auto [place, is_new] = kinds_.try_emplace(key_of(batch));
  Kind& kind = place->second;
  if (is_new) {
    if (kinds_.size() > most_kinds) kinds_.erase(place);
    return work(batch);
  }
  if (kind.graph == nullptr && !capture(kind, batch, work)) return work(batch);
  put(kind.batch.x, batch.x);
  put(kind.batch.y, batch.y);
  put(kind.batch.sample_weight, batch.sample_weight);
  kind.graph->run();
  Step step = kind.step;
  if (const std::string why = kind.graph->only_once(); !why.empty()) give_up(why);
  return step;
}

bool StepGraphs::capture(Kind& kind, const Batch& batch, const Work& work) {
  try {
    kind.batch = {places_for(batch.x), places_for(batch.y), places_for(batch.sample_weight)};
    kind.graph = graphs_->capture(
        [&] {
          kind.step = work(kind.batch);
          return kind.step.tensors();
        },
        LayerNoise(model_).generators());
    return true;
  } catch (const CaptureFailed& error) {
    throw std::runtime_error(
        fmt::format("{} ({}): fit: a step cannot become a CUDA graph, though its layers support "
                    "graphs: {}; compile it with run_eagerly = true",
                    model_.name(), model_.class_name(), error.what()));
  } catch (const std::exception& error) {
    give_up(error.what());  // if the step itself is wrong, it fails again, op by op
    return false;
  }
}

void StepGraphs::give_up(const std::string& why) {
  if (promised_)
    warn("{} ({}): fit: a step does not become a CUDA graph: {}", model_.name(),
         model_.class_name(), why);
  stop();
}

void StepGraphs::stop() {
  stopped_ = true;
  kinds_.clear();
  graphs_.reset();
}

}  // namespace keratin
