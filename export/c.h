// A trained model as one file of C99 that needs nothing but a compiler and libm: for devices and
// programs where no library is wanted. The file says at its head how it is used.
//
//   export_c(model, "gestures.c", {.max_steps = 200});
//
//   cc -O3 -c gestures.c
//   cc -DGESTURES_TEST gestures.c -lm -o test && ./test    // compares with what Keratin predicts
#pragma once

#include <cstdint>
#include <string>

#include <keratin/training/model.h>

namespace keratin {

struct COptions {
  std::string name =
      {};             ///< that names in the file begin with; by default the file's, up to its dot
  int max_steps = 0;  ///< where the size of an axis is not fixed: the largest it may have
  int test_samples = 4;  ///< how many random ones the test in the file is made of
  std::uint64_t seed = 1;
  Arrays samples = {};      ///< for the test, in place of random ones: inputs as for predict
  Arrays predictions = {};  ///< what the model makes of these; by default what it predicts
};

/// Writes the model as C: its layers, its weights bit for bit, and a test of some samples. A
/// float64 model computes in double, any other in float. Inputs whose type is int32 or bool are
/// arrays of int. Each axis whose size is None becomes an argument of the C function.
///
/// Throws std::invalid_argument, which names the layer and its class, for a layer or an option that
/// the export does not know, and for an axis of unknown size without max_steps;
/// std::runtime_error for what the system reports. Then a file that was there stays as it was.
void export_c(const Model& model, const std::string& path, const COptions& options = {});

}  // namespace keratin
