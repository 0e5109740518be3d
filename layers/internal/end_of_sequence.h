// The end of a recurrent cell's sequence, however it comes.
#pragma once

#include <keratin/layers/rnn_cells.h>

namespace keratin {

/// Calls the cell's end_sequence when the scope ends, also by an error of begin_sequence or a step.
class EndOfSequence {
 public:
  explicit EndOfSequence(RNNCell& cell) : cell_(cell) {}
  ~EndOfSequence() { cell_.end_sequence(); }
  EndOfSequence(const EndOfSequence&) = delete;
  EndOfSequence& operator=(const EndOfSequence&) = delete;

 private:
  RNNCell& cell_;
};

}  // namespace keratin
