// Layer: the base of everything with weights. A layer of one's own overrides call, and build when
// it has weights:
//
//   class Scale : public Layer {
//    public:
//     void build(const Shape& input_shape) override {
//       s = add_weight("s", {input_shape[-1]}, "ones");
//     }
//     Tensor call(const Tensor& x) override { return x * s; }
//
//    private:
//     Weight s;
//   };
//
// A layer of several inputs or outputs overrides the forms that take lists:
//
//   class Product : public Layer {
//    public:
//     Tensors call(const Tensors& inputs) override { return {inputs[0] * inputs[1]}; }
//   };
//   Tensor z = Product()({x, y});
//
// A layer is a reference, as in Keras: a copy means the same layer, with the same name and the same
// weights, whether it was made before or after the layer was built. clone() makes another layer.
#pragma once

#include <any>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <keratin/autograd/weight.h>
#include <keratin/core/config.h>
#include <keratin/core/random.h>
#include <keratin/core/snapshot.h>
#include <keratin/core/tensor.h>
#include <keratin/layers/initializers.h>
#include <keratin/layers/outputs.h>
#include <keratin/layers/regularizers.h>

namespace keratin {

struct CallOptions {
  bool training = false;
  Tensor mask = {};    ///< (batch, time) boolean: false where a step is padding
  Tensors masks = {};  ///< of several inputs, one each; undefined where there is none
};

/// A mistake found inside a layer; the message begins with the layer's name.
class LayerError : public std::invalid_argument {
  using invalid_argument::invalid_argument;
};

class AnyLayer;
class SymbolicTensor;

class Layer {
 public:
  Layer();
  Layer(const Layer& other);
  Layer(Layer&&) noexcept = default;
  Layer& operator=(const Layer&) = default;
  Layer& operator=(Layer&&) noexcept = default;
  virtual ~Layer();

  // --- to override; of each pair one, that for one input or that for a list of them

  /// Makes the weights, by add_weight. Called before the first call, once for each copy in use: to
  /// those after the first, add_weight gives the weights that are there, and what build assigns to
  /// them has no effect. Axis 0 of a shape is None; an input left out has rank 0. By default a list
  /// is as good as its first shape.
  virtual void build(const Shape& input_shape);
  virtual void build(const Shapes& input_shapes);
  /// The outputs for a batch of inputs. Inputs at the end of a list may be left out; one left out
  /// before them is an undefined tensor.
  virtual Tensor call(const Tensor& inputs);
  virtual Tensors call(const Tensors& inputs);
  /// The masks of the outputs, given those of the inputs (any may be undefined). By default they
  /// are passed on, when supports_masking() says so.
  virtual Tensor compute_mask(const Tensor& inputs, const Tensor& mask);
  virtual Tensors compute_mask(const Tensors& inputs, const Tensors& masks);
  virtual bool supports_masking() const { return false; }
  /// Whether call does the same ops in each step of training, as long as shapes stay the same, and
  /// decides nothing by values or by what happened before: then a GPU may note a step once and
  /// repeat it as a CUDA graph. By default so for the library's classes, without functions of one's
  /// own among their options.
  virtual bool supports_graph() const;
  /// None where the size depends on the input's. By default the layer is called with zeros of two
  /// sizes in place of None; if it supports graphs, they are on meta (core/device.h).
  virtual Shape compute_output_shape(const Shape& input_shape);
  virtual Shapes compute_output_shape(const Shapes& input_shapes);

  /// Where the options of the class are kept, in Keras's order. The constructor checks them with
  /// check_fields; get_config writes them, and layer_from_config reads them.
  virtual std::vector<Field> fields();
  /// Called when the options have been read from a config.
  virtual void configured() {}

  // --- to use

  /// Keras's get_config: name, trainable and dtype, then the options of the class.
  virtual Config get_config() const;

  /// Builds the layer if it is not built yet, and calls it. Errors begin with the layer's name.
  Outputs operator()(const Tensor& inputs, const CallOptions& options = {});
  Outputs operator()(const Tensors& inputs, const CallOptions& options = {});
  Outputs operator()(const Outputs& inputs, const CallOptions& options = {});
  /// The same, with the mask that goes with each output (undefined when there is none).
  std::pair<Tensor, Tensor> call_with_mask(const Tensor& inputs, const CallOptions& options = {});
  std::pair<Tensors, Tensors> call_with_mask(const Tensors& inputs,
                                             const CallOptions& options = {});
  /// In the functional API: this layer on the outputs of others (layers/symbolic.h).
  SymbolicTensor operator()(const SymbolicTensor& inputs);
  SymbolicTensor operator()(const std::vector<SymbolicTensor>& inputs);
  /// Makes the weights for inputs of this shape, or of these shapes, now.
  void ensure_built(const Shape& input_shape);
  void ensure_built(const Shapes& input_shapes);
  bool built() const;
  /// Whether both are the same layer.
  bool is(const Layer& other) const { return state_ == other.state_; }

  /// "dense_2": given, or made from the class's name and a count when first asked for.
  const std::string& name() const;
  void set_name(std::string name);
  /// "Dense"
  virtual std::string class_name() const;
  /// Of the first input. Axis 0 is None; of rank 0 while not known.
  const Shape& input_shape() const;
  const Shapes& input_shapes() const;
  void set_input_shape(const Shape& shape);

  /// Own weights in the order they were made, then those of the layers inside; each once.
  std::vector<Weight> weights() const;
  std::vector<Weight> trainable_weights() const;
  std::vector<Weight> non_trainable_weights() const;
  /// Values, copied.
  std::vector<Tensor> get_weights() const;
  /// Throws std::invalid_argument when number or shapes differ; then nothing has changed.
  void set_weights(const std::vector<Tensor>& values);
  std::int64_t count_params() const;

  /// Forgets what this layer and those inside carry from call to call, as a stateful RNN does.
  void reset_states();

  bool trainable() const;
  /// Also of the layers inside.
  void set_trainable(bool trainable);

  /// The float type of the weights and of what the layer computes: floatx() when it was made.
  DType dtype() const;
  /// Where its weights are; where it has none yet, default_device().
  Device device() const;
  /// Moves the weights of the layer and of those inside it; optimizers follow at their next step.
  void to(Device device);
  void set_dtype(DType dtype);

  /// What the outputs cost: the regularizer's value, divided by the batch size, is part of the
  /// loss.
  void set_activity_regularizer(const Regularizer& regularizer);

  /// The layers inside this one.
  const std::vector<AnyLayer>& sublayers() const;
  /// Gives the weights their full names, "sequential/dense/kernel".
  void set_weight_paths(const std::string& prefix);

 protected:
  Weight add_weight(const std::string& name, const Shape& shape,
                    const Initializer& initializer = "glorot_uniform",
                    const Regularizer& regularizer = {}, const Constraint& constraint = {},
                    bool trainable = true);
  /// Makes a layer part of this one, which then owns it; in the constructor or in build. A layer
  /// that is called without being part of its caller is an error if it has weights. `attribute` is
  /// the name of the member in Python, by which Keras's files know the part; "blocks/" stands for a
  /// list of them. By default it is that of the layer's class: dense, dense_1, ...
  template <std::derived_from<Layer> L>
  void track(L& layer, const std::string& attribute = "");
  void track(const AnyLayer& layer, const std::string& attribute = "");
  /// Lists a weight of a layer inside among this one's own, as in Keras where a wrapper keeps it.
  void share_weight(const Weight& weight);
  /// Puts other layers in the place of all that were tracked, under the same attributes.
  void replace_sublayers(const std::vector<AnyLayer>& layers);
  /// Takes the last tracked layer out again.
  void untrack_last();
  /// Whether build was called by ensure_built, and not by a user.
  bool being_built() const;
  /// Whether this call is part of training.
  bool training() const;
  /// The mask of the current input with this number, (batch, time) boolean, or undefined.
  const Tensor& mask(std::size_t input = 0) const;
  /// The masks of the outputs, for a call that knows better than compute_mask.
  void set_output_mask(const Tensor& mask) const { set_output_masks({mask}); }
  void set_output_masks(const Tensors& masks) const;
  Regularizer& activity_regularizer() const;
  /// Adds a scalar to the loss that the call in progress is part of.
  void add_loss(const Tensor& loss) const;
  /// Names a value in passing, for Model::capture; costs nothing when nobody looks.
  Tensor name(std::string_view label, const Tensor& value) const;
  /// Whether somebody looks: a layer may take another way to its result where nobody does.
  bool is_captured() const;
  /// Where to draw random numbers from: default_random(), or with a seed the layer's own generator.
  Random& random(std::optional<std::uint64_t> seed = {}) const;
  /// Tensors that the layer carries from one call to the next, as a stateful RNN its states.
  std::vector<Tensor>& carried() const;
  /// What adapt has found in data and no weight can hold, such as a vocabulary. A clone has it,
  /// too.
  std::any& learnt() const;

  // What the forms with lists do by default. A functional model has a graph for it.
  virtual void default_build(const Shapes& input_shapes);
  virtual Tensors default_call(const Tensors& inputs);
  virtual Shapes tried_shapes(const Shapes& input_shapes);

 private:
  friend class Cloning;
  friend class LayerParts;
  friend AnyLayer layer_from_config(const std::string& class_name, const Config& config);
  friend Option to_option(const AnyLayer& layer);
  friend class LayerMemory;
  friend class LayerNoise;
  friend void snapshot_layers(const Layer& layer, Snapshot& s);
  struct State;
  State& state() const;
  void warn_of_lost_mask(const Tensors& output_masks) const;
  void keep_outputs(const Tensors& outputs) const;
  void make(const Shapes& input_shapes);
  void join();
  void check_owner() const;
  void take_place(Layer& layer);

  std::shared_ptr<State> state_;
  std::uint64_t built_as_ = 0;  // the build that this object's members come from
};

/// Runs f. Copies of layers that it makes are new layers, unbuilt, with the names and options of
/// the originals; copies of the same layer are the same.
void while_cloning(const std::function<void()>& f);

/// A layer of the same class, name and options with weights of its own, which it makes when it is
/// built.
template <std::derived_from<Layer> L>
L clone(const L& layer) {
  std::optional<L> copy;
  while_cloning([&] { copy.emplace(layer); });
  return std::move(*copy);
}

/// Any layer, held by pointer: what lists of layers are made of.
class AnyLayer {
 public:
  template <std::derived_from<Layer> L>
  AnyLayer(L layer) : layer_(std::make_shared<L>(std::move(layer))), copy_(copy_of<L>()) {}
  template <std::derived_from<Layer> L>
  AnyLayer(std::shared_ptr<L> layer) : layer_(std::move(layer)), copy_(copy_of<L>()) {
    if (layer_ == nullptr) throw std::invalid_argument("layer: the pointer is null");
  }
  AnyLayer(const AnyLayer& other);
  AnyLayer(AnyLayer&&) noexcept = default;
  AnyLayer& operator=(AnyLayer other) noexcept {
    layer_.swap(other.layer_);
    copy_ = other.copy_;
    return *this;
  }

  Outputs operator()(const Tensor& inputs, const CallOptions& options = {}) const {
    return (*layer_)(inputs, options);
  }
  Outputs operator()(const Tensors& inputs, const CallOptions& options = {}) const {
    return (*layer_)(inputs, options);
  }
  Outputs operator()(const Outputs& inputs, const CallOptions& options = {}) const {
    return (*layer_)(inputs, options);
  }
  SymbolicTensor operator()(const SymbolicTensor& inputs) const;
  SymbolicTensor operator()(const std::vector<SymbolicTensor>& inputs) const;

  Layer& operator*() const { return *layer_; }
  Layer* operator->() const { return layer_.get(); }
  const std::shared_ptr<Layer>& pointer() const { return layer_; }

 private:
  using Copy = std::shared_ptr<Layer> (*)(const Layer&);
  template <class L>
  static Copy copy_of() {
    if constexpr (std::copy_constructible<L>)
      return [](const Layer& other) -> std::shared_ptr<Layer> {
        if (typeid(other) != typeid(L)) return nullptr;  // would lose what makes it special
        return std::make_shared<L>(static_cast<const L&>(other));
      };
    return nullptr;
  }

  std::shared_ptr<Layer> layer_;
  Copy copy_;
};

template <std::derived_from<Layer> L>
void Layer::track(L& layer, const std::string& attribute) {
  static_assert(std::copy_constructible<L>, "a part must be copyable, or an AnyLayer");
  take_place(layer);
  track(AnyLayer(layer), attribute);
}

/// While it lives, the outputs of layers inside the layers that are called in this thread are kept,
/// as "layer" or "inner_model/layer", and what layers name in passing, as "layer/label".
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  const std::map<std::string, Tensor>& values() const { return values_; }

 private:
  std::map<std::string, Tensor> values_;
  std::unique_ptr<struct CallContext> scope_;
};

/// While it lives, what layers called in this thread add to the loss is kept.
class LayerLosses {
 public:
  LayerLosses();
  ~LayerLosses();
  LayerLosses(const LayerLosses&) = delete;
  LayerLosses& operator=(const LayerLosses&) = delete;
  const Tensors& values() const { return values_; }

 private:
  Tensors values_;
  std::unique_ptr<struct CallContext> scope_;
};

/// Starts the numbering of layers' names anew.
void clear_session();

/// "AttentionLayer" -> "attention_layer", by Keras' rule.
std::string to_snake_case(const std::string& class_name);

/// "sequential", "sequential_1", ... : the next free name of this kind.
std::string unique_name(const std::string& base);

}  // namespace keratin
