// Models as layers: copies, the layers inside, and what they give in passing.

#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/context.h>
#include <keratin/training/internal/graph.h>
#include <keratin/training/internal/trainer.h>

namespace keratin {

Model::Model() : compiled_(std::make_shared<Compiled>()), graph_(std::make_shared<ModelGraph>()) {}
Model::Model(const Model& other)
    : Layer(other),
      compiled_(cloning() ? std::make_shared<Compiled>() : other.compiled_),
      graph_(other.graph_) {}
Model::~Model() = default;

Model::Compiled& Model::compilation() const {
  if (compiled_ == nullptr) name();  // throws: the object was moved from
  return *compiled_;
}

bool Model::compiled() const { return compilation().optimizer.has_value(); }

Optimizer& Model::optimizer() const {
  if (!compiled()) fail("{} ({}): call compile first", name(), class_name());
  return **compilation().optimizer;
}

// --- looking inside

std::map<std::string, Tensor> Model::capture(const Arrays& x) {
  Capture scope;
  predict_on_batch(x);
  return scope.values();
}

std::vector<Layer*> Model::layers() const {
  std::vector<Layer*> list;
  for (const AnyLayer& layer : sublayers()) list.push_back(&*layer);
  return list;
}

Layer& Model::get_layer(const std::string& wanted) const {
  std::vector<std::string> known;
  for (Layer* layer : layers()) {
    if (layer->name() == wanted) return *layer;
    known.push_back(layer->name());
  }
  fail("{} ({}): there is no layer \"{}\". Layers: {}", name(), class_name(), wanted,
       fmt::join(known, ", "));
}

Layer& Model::get_layer(int index) const {
  std::vector<Layer*> list = layers();
  int count = static_cast<int>(list.size());
  if (index < -count || index >= count)
    fail("{} ({}): layer {} of {} was asked for", name(), class_name(), index, count);
  return *list[static_cast<std::size_t>(index < 0 ? index + count : index)];
}

}  // namespace keratin
