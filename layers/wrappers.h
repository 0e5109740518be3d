// Layers around a layer (keras/src/layers/rnn/bidirectional.py, time_distributed.py).
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keratin/layers/registry.h>
#include <keratin/layers/rnn.h>

namespace keratin {

struct BidirectionalOptions {
  std::string merge_mode = "concat";            ///< concat, sum, mul, ave, or none: both outputs
  std::optional<AnyLayer> backward_layer = {};  ///< an RNN; by default a clone of the first
  std::string name = {};
  Shape input_shape = {};
};

/// A clone of a recurrent layer, and another one which runs backwards, their outputs merged. With
/// return_state the forward layer's final states follow, then the backward layer's. Initial states
/// are given after x in the same order.
class Bidirectional : public Layer {
 public:
  template <std::derived_from<RNN> L>
  explicit Bidirectional(const L& layer, const BidirectionalOptions& options = {})
      : Bidirectional(AnyLayer(clone(layer)),
                      options.backward_layer.value_or(AnyLayer(clone(layer))), options) {}

  void build(const Shape& input_shape) override;
  Tensors call(const Tensors& inputs) override;
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  bool supports_masking() const override { return true; }
  std::vector<Field> fields() override;
  void configured() override { replace_sublayers({forward_, backward_}); }

 private:
  Bidirectional(AnyLayer forward, AnyLayer backward, const BidirectionalOptions& options);
  RNN& forward() const { return static_cast<RNN&>(*forward_); }
  RNN& backward() const { return static_cast<RNN&>(*backward_); }
  const RNNLoopOptions& common() const { return std::as_const(forward()).options(); }
  Tensors merge(const Tensor& forward, const Tensor& backward) const;

  AnyLayer forward_, backward_;
  std::string merge_mode_;
};

struct WrapperOptions {
  std::string name = {};
  Shape input_shape = {};
};

/// The same layer on every time step: (batch, time, ...) -> (batch, time, ...).
class TimeDistributed : public Layer {
 public:
  explicit TimeDistributed(AnyLayer layer, const WrapperOptions& options = {});
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  Tensor compute_mask(const Tensor& inputs, const Tensor& mask) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  bool supports_masking() const override { return true; }
  std::vector<Field> fields() override;
  void configured() override;

 private:
  AnyLayer layer_;
};

}  // namespace keratin
