// When the loss or a gradient is no longer a number: where that began.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <keratin/layers/internal/layer_state.h>
#include <keratin/optim/internal/finite.h>
#include <keratin/training/dataset.h>

namespace keratin {

class Model;

/// A training step: what it was given, and where in fit it stands.
struct StepRecord {
  Batch batch = {};
  int epoch = -1, number = -1;           ///< from 0; negative when there are none
  std::int64_t first = 0;                ///< the number of the batch's first sample
  Tensor order = {};                     ///< where the samples were shuffled: their numbers
  std::optional<LayerNoise> noise = {};  ///< before the step
};

/// One that had to be undone.
struct FailedStep : StepRecord {
  double loss = 0;
  std::string gradient = {};  ///< with a finite loss: the path of a weight whose gradient is not
};

/// Runs the batch forward again, with the random numbers that it had, watching every op, and throws
/// std::runtime_error that names the layer and op which first gave something infinite or NaN. The
/// model stays as it is.
[[noreturn]] void fail_not_finite(Model& model, const FailedStep& step);

}  // namespace keratin
