// Layers around a layer (keras/src/layers/rnn/bidirectional.py, time_distributed.py).
#pragma once

#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include <keratin/layers/rnn.h>

namespace keratin {

struct BidirectionalOptions {
  std::string merge_mode = "concat";  ///< concat, sum, mul or ave
  std::string name = {};
  Shape input_shape = {};
};

/// Two clones of a recurrent layer, one of which runs backwards, their outputs merged.
class Bidirectional : public Layer {
 public:
  template <std::derived_from<RNN> L>
  explicit Bidirectional(const L& layer, const BidirectionalOptions& options = {})
      : Bidirectional(AnyLayer(clone(layer)), AnyLayer(clone(layer)), options) {}

  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  Tensor compute_mask(const Tensor& inputs, const Tensor& mask) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  bool supports_masking() const override { return true; }

  /// The merged output, the forward layer's final states, then the backward layer's. Initial states
  /// are given in the same order.
  std::vector<Tensor> states(const Tensor& inputs, const std::vector<Tensor>& initial_state = {},
                             const CallOptions& options = {});

 private:
  Bidirectional(AnyLayer forward, AnyLayer backward, const BidirectionalOptions& options);
  RNN& forward() const { return static_cast<RNN&>(*forward_); }
  RNN& backward() const { return static_cast<RNN&>(*backward_); }
  bool return_sequences() const { return std::as_const(forward()).options().return_sequences; }
  Tensor merge(const Tensor& forward, const Tensor& backward) const;

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
  bool supports_masking() const override { return true; }

 private:
  AnyLayer layer_;
};

}  // namespace keratin
