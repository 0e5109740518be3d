// What the kernels that nvcc made have done so far in this program; see translated.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ptx {

struct Report {
  int kernels = 0, run = 0;
  std::int64_t launches = 0;
  double float32 = 0, float64 = 0;   // the largest differences that were tolerated
  std::vector<std::string> not_run;  // their names
};
Report report();

}  // namespace ptx
