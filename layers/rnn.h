// Recurrent layers: LSTM, GRU and SimpleRNN (keras/src/layers/rnn). One loop over time serves all
// three; each adds the four lines of its cell.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <keratin/layers/activations.h>
#include <keratin/layers/layer.h>

namespace keratin {

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
  Constraint kernel_constraint = {};
  Constraint recurrent_constraint = {};
  Constraint bias_constraint = {};
  bool return_sequences = false;  ///< (batch, time, units) instead of the last (batch, units)
  bool return_state = false;      ///< states() gives the final states too
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

class SharedFactor;

/// What all recurrent layers share: inputs (batch, time, features), weights, masks, the loop.
class RNN : public Layer {
 public:
  void build(const Shape& input_shape) override;
  Tensor call(const Tensor& inputs) override;
  Tensor compute_mask(const Tensor& inputs, const Tensor& mask) override;
  Shape compute_output_shape(const Shape& input_shape) override;
  bool splits_batch() const override;
  bool supports_masking() const override { return true; }

  /// The output followed by the final states: {y, h} or, of an LSTM, {y, h, c}. Begins from
  /// `initial_state` when given, else from zeros, or in a stateful layer from where it ended.
  std::vector<Tensor> states(const Tensor& inputs, const std::vector<Tensor>& initial_state = {},
                             const CallOptions& options = {});

  /// Forgets where a stateful layer ended.
  void reset_states() { kept_states_.clear(); }

  const RNNOptions& options() const { return options_; }
  /// Changes an option; only before the layer is built.
  RNNOptions& options();
  int units() const { return units_; }

 protected:
  RNN(const char* class_name, int units, int gates, int state_count, const RNNOptions& options);

  /// Dropout masks of one call: none, one, or one for each gate.
  struct Noise {
    std::vector<Tensor> input, recurrent;
  };

  /// What a cell needs for one step.
  struct Step {
    Tensor z;                           ///< the inputs' share of the gates (batch, gates * units),
                                        ///< to be overwritten at will
    const std::vector<Tensor>& states;  ///< before the step, h first
    bool at_rest;                       ///< the states are zeros
    std::span<const SharedFactor> kernel;  ///< the recurrent kernel, in gates where h is masked
    const Noise& noise;
    Tensor h_share;  ///< GRU with reset_after: the recurrent bias, shaped and free as z
    Tensor place;    ///< (batch, units), where the new h may be written
    std::span<const Tensor> masked;  ///< likewise for h times the mask of each gate
  };

  /// The states after one step, h first.
  virtual std::vector<Tensor> step(const Step& step) const = 0;
  virtual void make_bias();
  /// Whether steps need h_share.
  virtual bool has_h_share() const { return false; }

  /// z + h . recurrent_kernel, gate by gate where each has a mask of its own.
  Tensor add_recurrent_product(const Tensor& z, const Step& step) const;
  /// Columns of one gate, or of several that follow each other.
  Tensor gates_of(const Tensor& z, int first, int count = 1) const;
  bool usual_activations() const;

  int units_, gates_, state_count_;
  RNNOptions options_;
  Weight kernel, recurrent_kernel, bias;

 private:
  std::string weight_scope() const override;
  std::vector<Tensor> run(const Tensor& inputs, const std::vector<Tensor>& initial_state);
  Tensor input_product(const Tensor& inputs, const Noise& noise) const;
  Noise draw_noise(std::int64_t batch, std::int64_t features);

  std::vector<Tensor> kept_states_;
  std::optional<Random> random_;
};

/// Long short-term memory. Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units),
/// bias (4 units), the gates side by side as i, f, c, o.
class LSTM : public RNN {
 public:
  explicit LSTM(int units, const RNNOptions& options = {});

 private:
  std::vector<Tensor> step(const Step& step) const override;
  void make_bias() override;
};

/// Gated recurrent unit. Gates z, r, h; with reset_after the bias is (2, 3 units), one row for the
/// input's share and one for the state's.
class GRU : public RNN {
 public:
  explicit GRU(int units, const RNNOptions& options = {});

 private:
  std::vector<Tensor> step(const Step& step) const override;
  void make_bias() override;
  bool has_h_share() const override { return options_.reset_after; }
};

/// h' = activation(x . kernel + bias + h . recurrent_kernel)
class SimpleRNN : public RNN {
 public:
  explicit SimpleRNN(int units, const RNNOptions& options = {});

 private:
  std::vector<Tensor> step(const Step& step) const override;
};

}  // namespace keratin
