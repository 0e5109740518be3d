// The models that are measured, here and in peers/, on the same sizes.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Workload {
  std::string name;
  std::string what;
  /// Makes the model and its data, warms up, and returns a function that measures for a fraction of
  /// a second and gives milliseconds per step.
  std::function<std::function<double()>()> prepare;
};

const std::vector<Workload>& workloads();

}  // namespace bench
