// Ops as layers of a graph, with Keras's names for them and for what they are told besides tensors.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/layers/symbolic.h>

namespace keratin {

class Attributes;

/// A function of tensors whose attributes (axis, keepdims, ...) are chosen.
using OpFunction = std::function<Tensors(const Tensors&)>;

/// One op of autograd/ops.h.
struct OpClass {
  std::string name;        ///< "softmax"
  std::string class_name;  ///< Keras's: "Softmax"
  std::string module;      ///< of Keras's ops: "nn"; empty where Keras has no such class
  OpFunction (*choose)(const Attributes&);
  enum class Call { one_by_one, as_list, with_key, with_keyword } call = Call::one_by_one;
  std::string in_call = {};  ///< the attribute that Keras passes in the call: its key or keyword
};

/// The op of this name, or of this class of Keras. Throws std::invalid_argument when there is none.
const OpClass& op_named(std::string_view name);
const OpClass& op_of_class(const std::string& class_name);

/// A function of tensors as a layer.
class Operation : public Layer {
 public:
  /// Of the operands, constants are defined; the others are the layer's inputs.
  Operation(std::string_view name, const OpClass* op, Config attributes, Tensors constants,
            OpFunction function);
  std::string class_name() const override { return class_name_; }
  bool supports_graph() const override { return op_ != nullptr; }
  Tensors call(const Tensors& inputs) override;
  /// Throws std::invalid_argument for a function of one's own.
  Config get_config() const override;

  /// Null for a function of one's own.
  const OpClass* op() const { return op_; }
  const Config& attributes() const { return attributes_; }
  const Tensors& constants() const { return constants_; }

 private:
  std::string class_name_;
  const OpClass* op_;
  Config attributes_;
  Tensors constants_;
  OpFunction function_;
};

/// The indices that a config has as the key of a slice, or nothing where it has something else.
std::optional<std::vector<Index>> indices_of(const Option& key);

/// Whether Keras passes the inputs after the first as initial_state.
bool takes_states(const Layer& layer);

/// The op on these operands; its layer gets the name, or one by its class.
SymbolicTensor operation(const OpClass& op, const Config& attributes,
                         const std::vector<Operand>& operands, const std::string& name = "");

}  // namespace keratin
