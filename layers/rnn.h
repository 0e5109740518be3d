// Recurrent layers (keras/src/layers/rnn). A cell states what happens in one time step; RNN runs a
// cell over time. LSTM, GRU and SimpleRNN are RNNs with the cells of layers/rnn_cells.h.
//
//   class MinimalCell : public RNNCell {
//    public:
//     explicit MinimalCell(int units) : units_(units) {}
//     std::vector<int> state_size() const override { return {units_}; }
//     void build(const Shape& input_shape) override {
//       W = add_weight("W", {input_shape[-1], units_});
//       U = add_weight("U", {units_, units_}, "orthogonal");
//     }
//     Tensors step(const Tensor& x, const Tensors& states) override {
//       auto h = tanh(dot(x, W) + dot(states[0], U));   // (batch, units)
//       return {h, h};                                  // the output, then the states
//     }
//
//    private:
//     int units_;
//     Weight W, U;
//   };
//   model.add(RNN(MinimalCell(64), {.return_sequences = true}));
#pragma once

#include <concepts>
#include <utility>
#include <vector>

#include <keratin/layers/registry.h>
#include <keratin/layers/rnn_cells.h>

namespace keratin {

/// What RNN does with any cell.
struct RNNLoopOptions {
  bool return_sequences = false;      ///< (batch, time, units) instead of the last (batch, units)
  bool return_state = false;          ///< the final states are outputs, too
  bool go_backwards = false;          ///< from the last step to the first; outputs in that order
  bool stateful = false;              ///< each call begins where the one before ended
  bool zero_output_for_mask = false;  ///< zeros where a step is masked, not the output before it
  std::string name = {};
  Shape input_shape = {};
};

/// Runs a cell over time: (batch, time, features) -> (batch, time, units) or the last step's
/// (batch, units); with return_state the list of that and the final states. A masked step leaves
/// the states as they were; its output is the one before. Begins from zeros, in a stateful layer
/// from where it ended, or from the states that follow x in a list:
///
///   auto [y, h, c] = LSTM(64, {.return_state = true})(x).unpack<3>();
///   Tensor z = LSTM(64)({x, h, c});
class RNN : public Layer {
 public:
  template <std::derived_from<RNNCell> C>
  explicit RNN(C cell, const RNNLoopOptions& options = {})
      : RNN(AnyLayer(std::move(cell)), options) {}

  void build(const Shape& input_shape) override;
  Tensors call(const Tensors& inputs) override;
  Tensors compute_mask(const Tensors& inputs, const Tensors& masks) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  Shapes compute_output_shape(const Shapes& input_shapes) override;
  bool supports_masking() const override { return true; }
  bool supports_graph() const override { return !options_.stateful && Layer::supports_graph(); }
  std::vector<Field> fields() override;
  void configured() override { replace_sublayers({cell_}); }

  RNNCell& cell() const;
  const RNNLoopOptions& options() const { return options_; }
  /// Changes an option; only before the layer is built.
  RNNLoopOptions& options();

 protected:
  std::vector<Field> loop_fields();
  /// The options of the loop and of a cell of the library, as those of one layer.
  std::vector<Field> with_cell_fields();

 private:
  RNN(AnyLayer cell, const RNNLoopOptions& options);
  Tensors run(const Tensor& inputs, const Tensors& initial_state);
  Tensors first_states(const Tensors& initial_state, std::int64_t batch) const;

  AnyLayer cell_;
  RNNLoopOptions options_;
};

/// Long short-term memory.
class LSTM : public RNN {
 public:
  std::vector<Field> fields() override { return with_cell_fields(); }
  explicit LSTM(int units, const RNNOptions& options = {});
};

/// Gated recurrent unit.
class GRU : public RNN {
 public:
  std::vector<Field> fields() override { return with_cell_fields(); }
  explicit GRU(int units, const RNNOptions& options = {});
};

/// h' = activation(x . kernel + bias + h . recurrent_kernel)
class SimpleRNN : public RNN {
 public:
  std::vector<Field> fields() override;
  explicit SimpleRNN(int units, const RNNOptions& options = {});
};

}  // namespace keratin
