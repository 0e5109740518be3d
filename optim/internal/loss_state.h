// What a Loss holds.
#pragma once

#include <optional>
#include <string>

#include <keratin/optim/loss.h>

namespace keratin {

enum class LossReduction { sum_over_batch_size, sum, none, mean_with_sample_weight };

struct Loss::State {
  std::string name, identifier, class_name;
  Config config;
  LossReduction reduction = LossReduction::sum_over_batch_size;
  Function function;
  std::optional<int> ignore_class;
};

}  // namespace keratin
