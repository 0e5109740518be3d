// An LSTM whose products are convolutions: over sequences of pictures, or of lines or volumes
// (keras/src/layers/rnn/conv_lstm.py; Shi et al., "Convolutional LSTM Network", arXiv:1506.04214,
// without its peepholes).
//
//   ConvLSTM2D(16, 3, {.padding = "same", .return_sequences = true})
#pragma once

#include <optional>
#include <string>

#include <keratin/autograd/ops.h>
#include <keratin/layers/rnn.h>

namespace keratin {

struct ConvLSTMOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"; that of the states is always "same"
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  ActivationFunction activation = "tanh";
  ActivationFunction recurrent_activation = "sigmoid";
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer recurrent_initializer = "orthogonal";
  Initializer bias_initializer = "zeros";
  bool unit_forget_bias = true;  ///< the forget gate's bias begins as ones
  Regularizer kernel_regularizer = {};
  Regularizer recurrent_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint kernel_constraint = {};
  Constraint recurrent_constraint = {};
  Constraint bias_constraint = {};
  double dropout = 0;            ///< of the inputs, a mask for each gate, the same in all steps
  double recurrent_dropout = 0;  ///< of the state h, likewise
  std::optional<std::uint64_t> seed = {};
  bool return_sequences = false;      ///< the outputs of all steps, not of the last alone
  bool return_state = false;          ///< the final states h and c are outputs, too
  bool go_backwards = false;          ///< from the last step to the first; outputs in that order
  bool stateful = false;              ///< each call begins where the one before ended
  bool zero_output_for_mask = false;  ///< zeros where a step is masked, not the output before it
  std::string name = {};
  Shape input_shape = {};
};

/// (batch, time, n..., channels) -> (batch, time, m..., filters), or the last step's (batch, m...,
/// filters); with data_format "channels_first" the channels stand before the axes n. The sizes n
/// must be known. Weights: kernel (size..., channels, 4 filters), recurrent_kernel (size...,
/// filters, 4 filters), bias (4 filters), for the gates i, f, c, o.
class ConvLSTM : public RNN {
 public:
  std::vector<Field> fields() override { return with_cell_fields(); }
  void configured() override;

 protected:
  ConvLSTM(const char* class_name, int axes, int filters, const PerAxis& kernel_size,
           const ConvLSTMOptions& options);
};

class ConvLSTM1D : public ConvLSTM {
 public:
  explicit ConvLSTM1D(int filters, const PerAxis& kernel_size, const ConvLSTMOptions& options = {})
      : ConvLSTM("ConvLSTM1D", 1, filters, kernel_size, options) {}
};
class ConvLSTM2D : public ConvLSTM {
 public:
  explicit ConvLSTM2D(int filters, const PerAxis& kernel_size, const ConvLSTMOptions& options = {})
      : ConvLSTM("ConvLSTM2D", 2, filters, kernel_size, options) {}
};
class ConvLSTM3D : public ConvLSTM {
 public:
  explicit ConvLSTM3D(int filters, const PerAxis& kernel_size, const ConvLSTMOptions& options = {})
      : ConvLSTM("ConvLSTM3D", 3, filters, kernel_size, options) {}
};

}  // namespace keratin
