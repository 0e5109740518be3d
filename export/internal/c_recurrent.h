// What layers share that go over the steps of a sequence.
#pragma once

#include <string>
#include <vector>

#include <keratin/export/internal/c_writer.h>

namespace keratin::c_export {

/// What a layer gives, and its final states.
struct Run {
  Array y;
  std::vector<Array> states;
};

/// How one cell goes over the steps.
struct Loop {
  bool backwards, sequences, zero_masked;
};

/// A line for the struct `sequence` in C: its name.
std::string sequence_of(Writer& w, const Array& x, const Size& units, const Loop& loop);
/// The states before the first step, each of this shape: copies of `initial`, or zeros.
std::vector<Array> initial_states(Writer& w, std::size_t count, const Sizes& shape,
                                  const std::vector<Array>& initial);

/// A ConvLSTM over x (time, n..., channels).
Run run_conv_lstm(Writer& w, const Layer& layer, const Array& x, const std::string& mask,
                  const Loop& loop, const std::vector<Array>& initial);

}  // namespace keratin::c_export
