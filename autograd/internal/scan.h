// A recurrent layer over all its time steps as one op. layers/rnn.cpp states the same computation
// as a loop of the cell's formula; that loop is the definition, and the tests hold the two against
// each other. What makes the scan fast is described in scan.cpp and stays there.
#pragma once

#include <functional>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// The cells that have kernels, with the activations tanh and sigmoid.
enum class FusedCell { simple_rnn, lstm, gru, gru_reset_before };

/// What goes into the scan. The gates stand side by side in the columns of the kernels.
struct ScanInputs {
  FusedCell cell;
  Tensor x;                 ///< (batch, time, features)
  Tensor kernel;            ///< (features, gates * units)
  Tensor recurrent_kernel;  ///< (units, gates * units)
  Tensor bias;              ///< (gates * units), for gru (2, gates * units); or undefined
  std::vector<Tensor> initial_states;     ///< each (batch, units), h first; empty for zeros
  Tensor mask;                            ///< (batch, time) boolean, or undefined
  std::vector<Tensor> input_dropout;      ///< no mask, one (batch, features), or one for each gate
  std::vector<Tensor> recurrent_dropout;  ///< no mask, or one (batch, units) for each gate
  bool return_sequences = false;          ///< all outputs, otherwise the last one
};

/// The same computation, written with ops: {outputs, final states}.
using ScanDefinition = std::function<std::vector<Tensor>(const ScanInputs& inputs)>;

/// {outputs (batch, time, units) or (batch, units), final states}. A masked step leaves the states
/// as they were and gives the output of the step before. All tensors have one float dtype and
/// shapes that fit; there is at least one step. `definition` serves a tape that records the
/// backward pass.
std::vector<Tensor> run_scan(ScanInputs inputs, ScanDefinition definition);

}  // namespace keratin
