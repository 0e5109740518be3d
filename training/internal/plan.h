// A model as a list of calls of layers, with the models inside it opened: what an export walks
// over.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <keratin/training/model.h>

namespace keratin {

struct ModelPlan {
  /// What one call gives and others read. Axis 0 of its shape is None.
  struct Value {
    std::string name;  ///< of the layer that gives it
    Shape shape;
    DType dtype;
  };
  /// One call of a layer that is no model. Values are numbers in `values`.
  struct Call {
    const Layer* layer;
    std::string path;  ///< "encoder/dense": the layer's name, after those of the models around it
    std::vector<std::size_t> inputs = {}, outputs = {};
    std::optional<std::size_t> mask = {};  ///< given in the call, in place of the input's own
  };

  std::vector<Value> values;
  std::vector<Call> calls;  ///< each after those whose outputs it reads
  std::vector<std::size_t> inputs, outputs;
  std::vector<std::string> input_names, output_names;
};

/// The plan refers to the model's layers. Throws std::invalid_argument, which `who` begins, for a
/// model without weights yet, and for one inside or outside that is no Sequential and not made of
/// symbolic tensors.
ModelPlan plan_of(const char* who, const Model& model);

/// The same for an export. It throws for a class of the user's, too, inside or outside: such a
/// model may do more than call its layers.
ModelPlan plan_to_export(const char* who, const Model& model);

}  // namespace keratin
