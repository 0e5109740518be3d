// A model as a picture: a box for each call of a layer, from the inputs at the top to the outputs
// (keras/src/utils/model_visualization.py).
//
//   plot_model(model, "model.svg", {.show_shapes = true});
#pragma once

#include <string>

#include <keratin/training/model.h>

namespace keratin {

/// Keras's names; models inside are always opened ("encoder/dense").
struct PlotOptions {
  bool show_shapes = true;  ///< of the outputs
  bool show_dtype = false;
  bool show_layer_names = true;
};

/// A complete SVG document. Throws std::invalid_argument for a model that is not built, or whose
/// layers are not known because it is of a class of one's own.
std::string model_svg(const Model& model, const PlotOptions& options = {});

/// Writes model_svg to a file. Throws std::invalid_argument for a path that does not end in .svg,
/// and std::runtime_error as write_file does.
void plot_model(const Model& model, const std::string& to_file = "model.svg",
                const PlotOptions& options = {});

}  // namespace keratin
