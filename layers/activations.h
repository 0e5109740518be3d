// Activations by name (keras/src/activations/activations.py), or any function of one tensor.
#pragma once

#include <functional>
#include <string>
#include <type_traits>

#include <keratin/core/config.h>
#include <keratin/core/tensor.h>

namespace keratin {

class ActivationFunction {
 public:
  /// Linear: what comes in goes out.
  ActivationFunction() = default;
  /// By Keras' name: "relu", "tanh", "softmax", ... Throws std::invalid_argument for others.
  ActivationFunction(const std::string& name);
  ActivationFunction(const char* name) : ActivationFunction(std::string(name)) {}
  template <class F>
  requires std::is_invocable_r_v<Tensor, F, const Tensor&> ActivationFunction(F function)
      : function_(std::move(function)), name_("custom") {}

  Tensor operator()(const Tensor& x) const { return function_ ? function_(x) : x; }
  /// "linear" for none, "custom" for a function.
  const std::string& name() const { return name_; }

 private:
  friend Option to_option(const ActivationFunction& activation);
  friend bool from_option(const Option& option, ActivationFunction& activation);
  std::function<Tensor(const Tensor&)> function_;
  std::string name_ = "linear";
  Option layer_ = {};  // a layer that serves as activation, as LeakyReLU does in Keras
};

/// A function of one's own gets the name "package>name", by which strings and configs know it. The
/// call says what kind of function it is: register_keras_serializable("mine", "half",
/// ActivationFunction(half)).
void register_keras_serializable(const std::string& package, const std::string& name,
                                 const ActivationFunction& function);

/// By its name. Throws std::invalid_argument for a function of one's own, which has none.
Option to_option(const ActivationFunction& activation);
bool from_option(const Option& option, ActivationFunction& activation);

}  // namespace keratin
