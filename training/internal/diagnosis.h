// When the loss is no longer a number: where that began.
#pragma once

#include <keratin/core/tensor.h>

namespace keratin {

class Model;

/// Runs the batch forward again, watching every op, and throws std::runtime_error that names the
/// layer and op which first gave something infinite or NaN. Epochs and batches count from 0;
/// negative when there are none.
[[noreturn]] void fail_not_finite(Model& model, const Tensor& x, const Tensor& y, double loss,
                                  int epoch, int batch);

}  // namespace keratin
