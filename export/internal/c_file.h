// The parts of a C file: which functions it needs, and the test at its end.
#pragma once

#include <string>
#include <vector>

#include <keratin/export/c.h>
#include <keratin/export/internal/c_writer.h>
#include <keratin/training/internal/plan.h>

namespace keratin::c_export {

const std::vector<Part>& parts();

/// Writes the calls of a model, and gives its outputs.
Values emit_plan(Writer& writer, const ModelPlan& plan, const Values& inputs);

/// Those of the C functions that the code needs, in the order of the parts.
std::string functions_for(const std::string& code);
/// Of all C functions and types.
std::vector<std::string> function_names();

/// Code for float as code for double.
std::string in_double(const std::string& code);

/// Text as it may stand in a comment.
std::string comment(const std::string& text);

/// One argument of the predict function.
struct Argument {
  std::string name;  ///< in C
  std::string text;  ///< of the model's input or output
  Sizes shape;
  bool of_ints = false;
};

/// What the C function takes and gives.
struct Interface {
  std::string name;   ///< "gestures"
  std::string macro;  ///< "GESTURES"
  DType real;
  std::vector<Argument> inputs, outputs;
  std::vector<std::string> steps;                    ///< the arguments that are sizes
  std::vector<std::pair<std::size_t, int>> step_of;  ///< of each: input and axis of the sample
  int max_steps = 0;

  const char* real_name() const { return real == float64 ? "double" : "float"; }
  std::string size_macro(const Argument& argument) const;
};

/// The program at the end of the file that compares predictions.
std::string test_program(const Interface& interface, const Model& model, const ModelPlan& plan,
                         const COptions& options);

}  // namespace keratin::c_export
