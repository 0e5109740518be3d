// The functional API (keras/src/models/functional.py): layers and ops are called on tensors that
// have a shape and no values yet, and Model(inputs, outputs) is made of what was called.
//
//   auto x = Input({10, 32});
//   auto h = LSTM(64, {.return_sequences = true})(x);
//   auto a = layer<AttentionLayer>(32)(h);          // a class of one's own
//   auto y = Dense(3)(tanh(a) * 2);
//   Model model({x}, {y, a});
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>
#include <keratin/layers/layer.h>

namespace keratin {

/// A tensor that a layer will give: its shape, in which None is not known yet, and its type.
class SymbolicTensor {
 public:
  const Shape& shape() const;
  DType dtype() const;
  int rank() const { return shape().rank(); }
  /// The name of the layer that gives it.
  const std::string& name() const;

  /// A layer's several outputs are one symbolic tensor, too: how many there are, and the one with
  /// this number. Their shapes are those of its members.
  std::size_t count() const { return output_ == all_outputs ? several() : 1; }
  SymbolicTensor operator[](int output) const;
  /// A list of its own.
  operator std::vector<SymbolicTensor>() const { return {*this}; }

 private:
  friend struct GraphNode;
  static constexpr std::size_t all_outputs = SIZE_MAX;
  SymbolicTensor() = default;
  std::size_t one_output() const;
  std::size_t several() const;

  std::shared_ptr<const struct GraphNode> node_;
  std::size_t output_ = 0;
};

using SymbolicTensors = std::vector<SymbolicTensor>;

/// The members of all lists of outputs among the tensors.
SymbolicTensors flat(const SymbolicTensors& tensors);

struct InputOptions {
  std::int64_t batch_size = None;
  DType dtype = floatx();
  std::string name = {};  ///< by default "input_layer", counted
};

/// Where a graph begins: the shape of one sample, without the batch axis.
SymbolicTensor Input(const Shape& shape, const InputOptions& options = {});

/// A layer of any class for a graph; one of the library needs no such form: Dense(3)(x).
template <std::derived_from<Layer> L, class... Args>
AnyLayer layer(Args&&... args) {
  return AnyLayer(std::make_shared<L>(std::forward<Args>(args)...));
}

/// What an operation is done on: a symbolic tensor, or a constant that meets one.
class Operand {
 public:
  Operand(SymbolicTensor tensor) : symbolic(std::move(tensor)) {}
  Operand(Tensor tensor) : constant(std::move(tensor)) {}
  template <class T>
  requires std::is_arithmetic_v<T> Operand(T number) : constant(number) {}

  std::optional<SymbolicTensor> symbolic;
  Tensor constant;
};

/// Any function of tensors as an operation of a graph; its outputs' shapes are found by trying.
/// Errors begin with the name, which is also the base of the operation's.
SymbolicTensor operation(std::string_view name, std::function<Tensors(const Tensors&)> function,
                         const std::vector<Operand>& operands);

}  // namespace keratin
