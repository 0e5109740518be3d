// What Keras passes to some layers when they are called, where this library has options or inputs.
#pragma once

#include <string>
#include <vector>

#include <keratin/core/config.h>

namespace keratin {

class CallArguments {
 public:
  virtual ~CallArguments() = default;
  /// Flags such as use_causal_mask. They are false at rest, and no part of the layer's own config.
  virtual std::vector<Field> call_fields() = 0;
  /// The names of the inputs in Keras's call, where each is an argument; the first two have no
  /// keyword there. Empty where the inputs are one list.
  virtual std::vector<std::string> input_arguments() const { return {}; }
};

}  // namespace keratin
