// What one step of training finds.
#pragma once

#include <vector>

#include <keratin/autograd/weight.h>
#include <keratin/core/tensor.h>

namespace keratin {

/// What a model gave for a batch.
struct Predictions {
  std::vector<Tensor> values, masks;
  std::vector<Tensor> added;  // what layers added to the loss
};

/// A step before the optimizer's part.
struct Step {
  Predictions predicted = {};
  std::vector<Tensor> y = {}, weight = {};  // what the outputs are compared with
  std::vector<Tensor> losses = {};          // of each output, where there are several
  Tensor loss = {};
  std::vector<Weight> weights = {};  // those that are trained
  std::vector<Tensor> gradients = {};

  /// All tensors but the weights.
  std::vector<Tensor> tensors() const {
    std::vector<Tensor> all{loss};
    for (const auto* list :
         {&predicted.values, &predicted.masks, &predicted.added, &y, &weight, &losses, &gradients})
      all.insert(all.end(), list->begin(), list->end());
    return all;
  }
};

}  // namespace keratin
