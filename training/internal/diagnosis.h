// When the loss or a gradient is no longer a number: where that began.
#pragma once

#include <cstdint>
#include <string>

#include <keratin/layers/outputs.h>

namespace keratin {

class Model;

/// Whether all elements are finite numbers. An undefined tensor has none.
bool is_finite(const Tensor& t);

/// A training step that had to be undone.
struct FailedStep {
  Tensors x, y;
  double loss = 0;
  std::string gradient = {};   ///< with a finite loss: the path of a weight whose gradient is not
  int epoch = -1, batch = -1;  ///< from 0; negative when there are none
  std::int64_t first = 0;      ///< the number of the batch's first sample
  Tensor order = {};           ///< where the samples were shuffled: their numbers
};

/// Runs the batch forward again, watching every op, and throws std::runtime_error that names the
/// layer and op which first gave something infinite or NaN. The model stays as it is.
[[noreturn]] void fail_not_finite(Model& model, const FailedStep& step);

}  // namespace keratin
