// The equation of EinsumDense, for the layer and for exports.
#pragma once

#include <string>

namespace keratin {

/// The letters of "input,kernel->output". Where there is "...", letters of its own stand for it.
struct EinsumEquation {
  std::string input, kernel, output;
  std::string given;  ///< the letters of the output that the output shape is about
  std::string text() const { return input + "," + kernel + "->" + output; }

  /// For an input of this rank, the batch counted; 0: for any. Throws std::invalid_argument.
  static EinsumEquation parsed(const std::string& text, int rank);
};

}  // namespace keratin
