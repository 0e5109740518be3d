// How optimizers take their options.
#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

#include <keratin/optim/optimizers.h>

namespace keratin {

template <class Options>
OptimizerOptions common(const Options& o, const char* name) {
  return {o.learning_rate,
          o.weight_decay,
          o.clipnorm,
          o.clipvalue,
          o.global_clipnorm,
          o.use_ema,
          o.ema_momentum,
          o.ema_overwrite_frequency,
          o.gradient_accumulation_steps,
          o.name.empty() ? name : o.name,
          std::nullopt};
}

template <class Options>
Options with_rate(LearningRate learning_rate) {
  Options options;
  options.learning_rate = std::move(learning_rate);
  return options;
}

inline std::vector<Field> join(std::vector<Field> fields, std::initializer_list<Field> more) {
  fields.insert(fields.end(), more);
  return fields;
}

}  // namespace keratin
