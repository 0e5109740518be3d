// Models as ONNX files, which ONNX Runtime and other programs run:
//
//   export_onnx(model, "model.onnx");
//
// The file computes what predict does: dropout and noise are left out, and masks act inside as they
// do here. Format: https://github.com/onnx/onnx/blob/main/docs/IR.md, IR version 8, with the
// operators of opset 18, which ONNX Runtime knows from version 1.14 on.
#pragma once

#include <string>

#include <keratin/training/model.h>

namespace keratin {

struct OnnxOptions {
  /// How the axis of the samples is called in the file. Its size may differ from run to run, as may
  /// those of other axes that the model leaves open.
  std::string batch_axis = "batch";
};

/// Whether the library was built with Protocol Buffers, which ONNX files need.
bool has_onnx();

/// Writes what leads from the model's inputs to its outputs, which keep their names, with the
/// weights. Throws std::invalid_argument with a line for each layer that ONNX cannot hold: those of
/// one's own, Lambda, ConditionalRandomField, layers of strings, stateful layers, and the few that
/// docs/export.md lists; and std::runtime_error when the file cannot be written, or in a build
/// without Protocol Buffers. Then a file that was there stays as it was.
void export_onnx(const Model& model, const std::string& path, const OnnxOptions& options = {});

}  // namespace keratin
