// The data files of the command line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <keratin/training/model.h>

namespace keratin::cli {

struct DataFile {
  Arrays x, y, sample_weight;
  Arrays predictions;  ///< of a .npz file: p, of several outputs p_0, p_1, ...
};

/// Arrays for the model's inputs and, when `targets`, its outputs:
/// - .npz: x and y, of several x_0, x_1, ... or the names of the inputs and outputs; sample_weight;
/// - .npy: x alone;
/// - .csv with a header: a row for each sample; the column y, or else the last one, is the target.
/// Throws std::runtime_error, which begins with the path, for what is missing.
DataFile load_data(const std::string& path, const Model& model, bool targets);

/// Predictions as .npy, .npz (y, or y_0, y_1, ...) or .csv; "-" is CSV on standard output.
void save_predictions(const std::string& path, const Tensors& predictions);

}  // namespace keratin::cli
