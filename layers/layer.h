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
// A layer is a value until it is added to a model: copy it, pass it on. Once built it owns weights,
// and copies share them.
#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <keratin/autograd/weight.h>
#include <keratin/core/random.h>
#include <keratin/core/tensor.h>
#include <keratin/layers/initializers.h>
#include <keratin/layers/regularizers.h>

namespace keratin {

struct CallOptions {
  bool training = false;
  Tensor mask = {};  ///< (batch, time) boolean: false where a step is padding
};

/// A mistake found inside a layer; the message begins with the layer's name.
class LayerError : public std::invalid_argument {
  using invalid_argument::invalid_argument;
};

class Layer {
 public:
  Layer();
  virtual ~Layer() = default;

  // --- to override

  /// Makes the weights. Called once, before the first call; axis 0 of the shape is None.
  virtual void build(const Shape& input_shape);
  /// The outputs for a batch of inputs.
  virtual Tensor call(const Tensor& inputs) = 0;
  /// The mask of the outputs, given that of the inputs (either may be undefined). By default it is
  /// passed on, when supports_masking() says so.
  virtual Tensor compute_mask(const Tensor& inputs, const Tensor& mask);
  virtual bool supports_masking() const { return false; }
  /// None where the size depends on the input's. By default the layer is run on two sizes.
  virtual Shape compute_output_shape(const Shape& input_shape);

  // --- to use

  /// Builds the layer if it is not built yet, and calls it. Errors begin with the layer's name.
  Tensor operator()(const Tensor& inputs, const CallOptions& options = {});
  /// The same, with the mask that goes with the output (undefined when there is none).
  std::pair<Tensor, Tensor> call_with_mask(const Tensor& inputs, const CallOptions& options = {});
  /// Makes the weights for inputs of this shape now.
  void ensure_built(const Shape& input_shape);
  bool built() const { return built_; }

  /// "dense_2": given, or made from the class's name and a count when first asked for.
  const std::string& name() const;
  void set_name(std::string name) { name_ = std::move(name); }
  /// "Dense"
  virtual std::string class_name() const;
  /// Axis 0 is None. Of rank 0 while not known.
  const Shape& input_shape() const { return input_shape_; }
  void set_input_shape(const Shape& shape) { input_shape_ = shape; }

  /// Own weights in the order they were made, then those of the layers inside.
  std::vector<Weight> weights() const;
  std::vector<Weight> trainable_weights() const;
  std::vector<Weight> non_trainable_weights() const;
  /// Values, copied.
  std::vector<Tensor> get_weights() const;
  /// Throws std::invalid_argument when number or shapes differ; then nothing has changed.
  void set_weights(const std::vector<Tensor>& values);
  std::int64_t count_params() const;

  bool trainable() const { return trainable_; }
  virtual void set_trainable(bool trainable);

  /// The float type of the weights and of what the layer computes: floatx() when it was made.
  DType dtype() const { return dtype_; }
  virtual void set_dtype(DType dtype);

  /// Layers inside this one.
  const std::vector<Layer*>& sublayers() const { return sublayers_; }
  /// Gives the weights their full names, "sequential/dense/kernel".
  void set_weight_paths(const std::string& prefix);

 protected:
  Weight add_weight(const std::string& name, const Shape& shape,
                    const Initializer& initializer = "glorot_uniform",
                    const Regularizer& regularizer = {}, const Constraint& constraint = {},
                    bool trainable = true);
  /// Makes a member that is itself a layer part of this one; to be called in build.
  void track(Layer& layer);
  /// Whether build was called by ensure_built, and not by a user.
  bool being_built() const { return being_built_; }
  /// Takes the last tracked layer out again.
  void untrack_last() { sublayers_.pop_back(); }
  /// Puts a layer's output into the capture, if there is one, under the layer's name.
  static void name_output(const Layer& layer, const Tensor& output);
  /// Whether this call is part of training.
  bool training() const;
  /// The mask of the current inputs, (batch, time) boolean, or undefined.
  const Tensor& mask() const;
  /// The mask of the outputs, for a call that knows better than compute_mask.
  void set_output_mask(const Tensor& mask) const;
  /// Names a value in passing, for Model::capture; costs nothing when nobody looks.
  Tensor name(std::string_view label, const Tensor& value) const;
  /// Where to draw random numbers from; `seeded` is the layer's own generator, if it has one.
  Random& random(Random* seeded = nullptr) const;

 private:
  mutable std::string name_;
  bool built_ = false;
  bool being_built_ = false;
  bool trainable_ = true;
  DType dtype_;
  Shape input_shape_;
  std::vector<Weight> weights_;        // follow trainable()
  std::vector<Weight> fixed_weights_;  // never trained: statistics, for example
  std::vector<Layer*> sublayers_;
};

/// Any layer, held by pointer: what lists of layers are made of.
class AnyLayer {
 public:
  template <std::derived_from<Layer> L>
  AnyLayer(L layer) : layer_(std::make_shared<L>(std::move(layer))) {
    if constexpr (std::copy_constructible<L>)
      copy_ = [](const Layer& other) -> std::shared_ptr<Layer> {
        return std::make_shared<L>(static_cast<const L&>(other));
      };
  }
  template <std::derived_from<Layer> L>
  AnyLayer(std::shared_ptr<L> layer) : layer_(std::move(layer)) {
    if (layer_ == nullptr) throw std::invalid_argument("layer: the pointer is null");
  }

  Layer& operator*() const { return *layer_; }
  Layer* operator->() const { return layer_.get(); }
  const std::shared_ptr<Layer>& pointer() const { return layer_; }
  /// A copy of the layer; the layer itself when it was given as a pointer or cannot be copied.
  AnyLayer copy() const {
    AnyLayer other = *this;
    if (copy_ != nullptr) other.layer_ = copy_(*layer_);
    return other;
  }

 private:
  std::shared_ptr<Layer> layer_;
  std::shared_ptr<Layer> (*copy_)(const Layer&) = nullptr;
};

/// While it lives, the values that layers name in this thread are kept, as "layer/label".
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  const std::map<std::string, Tensor>& values() const { return values_; }
  void put(const std::string& name, const Tensor& value) { values_[name] = value; }

 private:
  std::map<std::string, Tensor> values_;
  Capture* outer_;
};

/// Starts the numbering of layers' names anew.
void clear_session();

/// "AttentionLayer" -> "attention_layer", by Keras' rule.
std::string to_snake_case(const std::string& class_name);

/// "sequential", "sequential_1", ... : the next free name of this kind.
std::string unique_name(const std::string& base);

}  // namespace keratin
