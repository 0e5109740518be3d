// Layers around a layer (keras/src/layers/rnn/bidirectional.py, time_distributed.py).
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include <keratin/layers/rnn.h>

namespace keratin {

struct BidirectionalOptions {
  std::string merge_mode = "concat";  ///< concat, sum, mul or ave
  std::string name = {};
  Shape input_shape = {};
};

/// A recurrent layer and a copy of it that runs backwards, their outputs merged.
class Bidirectional : public Layer {
 public:
  template <std::derived_from<RNN> L>
  explicit Bidirectional(const L& layer, const BidirectionalOptions& options = {})
      : Bidirectional(std::make_shared<L>(layer), std::make_shared<L>(layer), options) {
    copy_ = [](const RNN& other) -> std::shared_ptr<RNN> {
      return std::make_shared<L>(static_cast<const L&>(other));
    };
  }
  /// A copy has layers of its own; copies of a built one share them.
  Bidirectional(const Bidirectional& other);
  Bidirectional(Bidirectional&&) = default;

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
  Bidirectional(std::shared_ptr<RNN> forward, std::shared_ptr<RNN> backward,
                const BidirectionalOptions& options);
  Tensor merge(const Tensor& forward, const Tensor& backward) const;

  std::shared_ptr<RNN> forward_, backward_;
  std::shared_ptr<RNN> (*copy_)(const RNN&) = nullptr;
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
  /// A copy has a layer of its own; copies of a built one share it.
  TimeDistributed(const TimeDistributed& other);
  TimeDistributed(TimeDistributed&&) = default;
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  bool supports_masking() const override { return true; }

 private:
  AnyLayer layer_;
};

}  // namespace keratin
