// What a Loss holds.
#pragma once

#include <string>

#include <keratin/optim/loss.h>

namespace keratin {

enum class LossReduction { sum_over_batch_size, sum, none, mean_with_sample_weight };

struct Loss::State {
  std::string name, identifier, class_name;
  Config config;
  LossReduction reduction = LossReduction::sum_over_batch_size;
  Function function;
  Function counted;  // of y_true and the values: which of these count; empty: all
};

}  // namespace keratin
