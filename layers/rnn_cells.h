// Cells: one time step of a recurrent layer (keras/src/layers/rnn/lstm.py, gru.py, simple_rnn.py,
// stacked_rnn_cells.py).
#pragma once

#include <concepts>
#include <optional>
#include <vector>

#include <keratin/layers/activations.h>
#include <keratin/layers/registry.h>

namespace keratin {

/// One time step. A cell of one's own overrides state_size, build and step.
class RNNCell : public Layer {
 public:
  /// The size of each state.
  virtual std::vector<int> state_size() const = 0;
  /// The size of the output.
  virtual int output_size() const { return state_size()[0]; }
  /// The shapes of the states and of the output without the batch: their sizes, for a cell whose
  /// inputs are (batch, features).
  virtual Shapes state_shapes() const;
  virtual Shape output_shape() const { return {output_size()}; }
  /// How many axes the input of a step has, the batch included.
  virtual int input_rank() const { return 2; }
  /// x (batch, features) and the states (batch, size) -> {output, new states}.
  virtual Tensors step(const Tensor& x, const Tensors& states) = 0;

  /// Called before the first step of a sequence; a cell draws its dropout masks here.
  virtual void begin_sequence(std::int64_t batch);
  /// Called after the last step, also where one has thrown; throws nothing. A cell lets go of its
  /// masks here: a training step that keeps a tensor cannot be repeated as a CUDA graph.
  virtual void end_sequence();
  /// The number of the state that stands in for the output of a masked step.
  virtual int output_state() const { return 0; }

  /// The output of one step from states of zeros.
  Tensor call(const Tensor& x) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  /// States of zeros for so many samples.
  Tensors zero_states(std::int64_t batch, Device device) const;
};

/// The options of LSTM, GRU and SimpleRNN, and of their cells. A cell refuses those that say how
/// the layer runs it: return_sequences, return_state, go_backwards, stateful, zero_output_for_mask.
struct RNNOptions {
  ActivationFunction activation = "tanh";
  ActivationFunction recurrent_activation = "sigmoid";  ///< LSTM, GRU
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer recurrent_initializer = "orthogonal";
  Initializer bias_initializer = "zeros";
  bool unit_forget_bias = true;  ///< LSTM: the forget gate's bias begins as ones
  Regularizer kernel_regularizer = {};
  Regularizer recurrent_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the outputs, divided by the batch size
  Constraint kernel_constraint = {};
  Constraint recurrent_constraint = {};
  Constraint bias_constraint = {};
  bool return_sequences = false;  ///< (batch, time, units) instead of the last (batch, units)
  bool return_state = false;      ///< the final states are outputs, too
  bool go_backwards = false;      ///< from the last step to the first; outputs in that order
  bool stateful = false;          ///< each call begins where the one before ended
  double dropout = 0;             ///< of the inputs, one mask for all steps
  double recurrent_dropout = 0;   ///< of the state h, likewise
  std::optional<std::uint64_t> seed = {};
  bool reset_after = true;            ///< GRU: the reset gate acts after the recurrent product
  bool zero_output_for_mask = false;  ///< zeros where a step is masked, not the output before it
  std::string name = {};
  Shape input_shape = {};
};

/// Where these options are kept, those of the loop left out.
std::vector<Field> cell_fields(int& units, RNNOptions& options);

/// What the library's cells share: a kernel for the inputs, one for the state h, a bias, and
/// dropout. The gates stand side by side in the columns.
class GatedCell : public RNNCell {
 public:
  std::vector<Field> fields() override;
  void build(const Shape& input_shape) override;
  std::vector<int> state_size() const override { return {units_}; }
  void begin_sequence(std::int64_t batch) override;
  void end_sequence() override;

  int units() const { return units_; }
  const RNNOptions& options() const { return options_; }

  /// The dropout masks of a sequence: none, one for all gates, or one for each gate.
  struct DropoutMasks {
    Tensors input, recurrent;
  };

 protected:
  GatedCell(const char* class_name, int units, int gates, const RNNOptions& options);

  /// x . kernel and h . recurrent_kernel (batch, gates * units), with dropout where it is on.
  Tensor times_kernel(const Tensor& x) const;
  Tensor times_recurrent_kernel(const Tensor& h) const;
  /// h . recurrent_kernel for one gate alone.
  Tensor times_recurrent_kernel(const Tensor& h, int gate) const;
  /// z, or z + row `row` of the bias where there is one.
  Tensor add_bias(const Tensor& z, int row = 0) const;

  int units_, gates_;
  RNNOptions options_;
  Weight kernel, recurrent_kernel, bias;

 private:
  friend class FusedSequence;  // layers/rnn.cpp: the same steps as one op
  /// Which of the options the cell has, apart from those that all have.
  virtual bool has_option(const std::string& name) const = 0;
  virtual Shape bias_shape() const { return {gates_ * units_}; }

  DropoutMasks dropout_;
};

/// Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units), for the
/// gates i, f, c, o.
class LSTMCell : public GatedCell {
 public:
  explicit LSTMCell(int units, const RNNOptions& options = {});
  void build(const Shape& input_shape) override;
  std::vector<int> state_size() const override { return {units_, units_}; }  // h, c
  Tensors step(const Tensor& x, const Tensors& states) override;

 private:
  bool has_option(const std::string& name) const override { return name != "reset_after"; }
};

/// Gates z, r, h. With reset_after the bias is (2, 3 units), one row for the input's share and one
/// for the state's.
class GRUCell : public GatedCell {
 public:
  explicit GRUCell(int units, const RNNOptions& options = {});
  Tensors step(const Tensor& x, const Tensors& states) override;

 private:
  bool has_option(const std::string& name) const override { return name != "unit_forget_bias"; }
  Shape bias_shape() const override;
};

class SimpleRNNCell : public GatedCell {
 public:
  explicit SimpleRNNCell(int units, const RNNOptions& options = {});
  Tensors step(const Tensor& x, const Tensors& states) override;

 private:
  bool has_option(const std::string&) const override { return false; }
};

/// Several cells, each fed by the output of the one before. The states are those of all cells, the
/// first cell's first.
class StackedRNNCells : public RNNCell {
 public:
  template <std::derived_from<RNNCell>... C>
  explicit StackedRNNCells(C... cells) : StackedRNNCells({AnyLayer(std::move(cells))...}) {}
  explicit StackedRNNCells(std::vector<AnyLayer> cells);
  std::vector<int> state_size() const override;
  int output_size() const override;
  Shapes state_shapes() const override;
  Shape output_shape() const override;
  int input_rank() const override;
  int output_state() const override;
  void begin_sequence(std::int64_t batch) override;
  void end_sequence() override;
  void build(const Shape& input_shape) override;
  Tensors step(const Tensor& x, const Tensors& states) override;
  std::vector<Field> fields() override;
  void configured() override;

 private:
  std::vector<AnyLayer> cells_;
};

}  // namespace keratin
