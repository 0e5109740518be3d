// The layer that all copies of a Layer object mean.
#pragma once

#include <algorithm>
#include <any>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <keratin/core/snapshot.h>
#include <keratin/layers/layer.h>

namespace keratin {

struct Layer::State {
  // What add_weight and track have done in a build.
  struct Building {
    bool joining = false;  // the layer is built; another object is given its parts
    std::size_t weights = 0, fixed_weights = 0, sublayers = 0;  // how many
  };

  std::string name = {};
  std::string class_in_file = {};  // where that is not the name of the registry
  std::uint64_t build = 0;         // a number, 0 while the layer is not built
  Building* building = nullptr;
  bool trainable = true;
  DType dtype = float32;
  Shapes input_shapes = {};
  Shapes tried_shapes = {};  // of the outputs, in the last trial
  Regularizer activity_regularizer = {};
  bool warned = false;                     // of a mask that is lost here
  std::vector<Weight> weights = {};        // follow trainable
  std::vector<Weight> fixed_weights = {};  // never trained: statistics, for example
  std::vector<Weight> shared = {};         // of layers inside, listed before the own ones
  std::vector<AnyLayer> sublayers = {};
  std::vector<std::string> attributes = {};  // of the sublayers
  Building before_build = {};                // weights and sublayers that were made outside build
  std::string prefix = {};                   // of the paths of the weights
  std::optional<Random> noise = {};
  std::vector<Tensor> carried = {};
  std::any learnt = {};

  bool contains(const State& other) const {
    return this == &other || std::ranges::any_of(sublayers, [&](const AnyLayer& layer) {
             return layer->state().contains(other);
           });
  }
  bool owns(const State& other) const {
    return std::ranges::any_of(
        sublayers, [&](const AnyLayer& layer) { return layer->state_.get() == &other; });
  }
  /// Every state from this one on, each once.
  void collect(std::vector<const State*>& found) const {
    if (std::ranges::find(found, this) != found.end()) return;
    found.push_back(this);
    for (const AnyLayer& layer : sublayers) layer->state().collect(found);
  }
  /// Of the layer or of those inside; null where none is made.
  const Weight* first_weight() const;
  /// Undoes what builds from number `since` on have made.
  void undo(std::uint64_t since) {
    for (const AnyLayer& layer : sublayers)
      if (layer->state().build >= since) layer->state().undo(since);
    weights.resize(before_build.weights);
    fixed_weights.resize(before_build.fixed_weights);
    shared.clear();
    sublayers.erase(sublayers.begin() + static_cast<std::ptrdiff_t>(before_build.sublayers),
                    sublayers.end());
    attributes.resize(sublayers.size());
    build = 0;
  }
};

/// Whether it is more than an operation of a graph, or an input.
bool is_layer_of_keras(const Layer& layer);

/// Whether its class is one of the library, and not one of the user or derived from one.
bool is_built_in(const Layer& layer);

/// Whether its class was registered by the user, or a function of the user is among its options.
bool has_own_code(const Layer& layer);

/// A layer's own weights and its parts, as Keras's files know them.
class LayerParts {
 public:
  explicit LayerParts(const Layer& layer);

  std::vector<Weight> weights;                              // those that follow trainable first
  std::vector<std::pair<std::string, const Layer*>> parts;  // each with its path from this layer
};

/// What a call in training changes in a layer and those inside, apart from the weights that the
/// optimizer changes: statistics, and what layers carry from call to call.
class LayerMemory {
 public:
  explicit LayerMemory(const Layer& layer);
  void restore() const;
  /// The same on a device, where the boolean is false.
  void restore_unless(const Tensor& kept) const;

 private:
  std::vector<std::pair<Weight, Tensor>> statistics_;
  std::vector<std::pair<Layer::State*, std::vector<Tensor>>> carried_;
};

/// How far the random generators were that a call of the layer may draw from: those of the layer
/// and of those inside, and this thread's default_random().
class LayerNoise {
 public:
  explicit LayerNoise(const Layer& layer);
  void restore() const;
  /// Calls f with the random numbers of that time; afterwards they go on from where they were.
  void repeat(const std::function<void()>& f) const;
  /// The generators themselves.
  std::vector<Random*> generators() const;

 private:
  std::vector<std::pair<Layer::State*, std::optional<Random>>> own_;
  Random::State default_;
};

/// All that a layer and those inside have: weights, what they carry from call to call, and their
/// random generators. When it is restored, weights of other shapes are refused before anything is
/// changed.
void snapshot_layers(const Layer& layer, Snapshot& s);

/// The layer itself or the first of those inside that does not support graphs; or null.
const Layer* first_without_graph(const Layer& layer);

/// The layer itself or the first of those inside that has not made its weights; or null.
const Layer* first_unbuilt(const Layer& layer);

}  // namespace keratin
