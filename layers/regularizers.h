// What weights cost and what they are held to (keras/src/regularizers, keras/src/constraints).
#pragma once

#include <functional>
#include <string>
#include <type_traits>

#include <keratin/core/config.h>
#include <keratin/core/tensor.h>

namespace keratin {

/// A function from a weight to its share of the loss: by name ("l1", "l2", "l1l2"), one of the
/// objects below, or any function that returns a scalar.
class Regularizer {
 public:
  Regularizer() = default;
  Regularizer(const std::string& name);
  Regularizer(const char* name) : Regularizer(std::string(name)) {}
  template <class F>
  requires std::is_invocable_r_v<Tensor, F, const Tensor&> Regularizer(F function)
      : function_(std::move(function)) {}
  /// A function that Keras knows as this class and config.
  Regularizer(std::string class_name, Config config, std::function<Tensor(const Tensor&)> function)
      : function_(std::move(function)),
        class_name_(std::move(class_name)),
        config_(std::move(config)) {}
  static Regularizer from_config(const std::string& class_name, const Config& config);

  const std::function<Tensor(const Tensor&)>& function() const { return function_; }
  /// Empty for a function of one's own.
  const std::string& class_name() const { return class_name_; }
  const Config& config() const { return config_; }

 private:
  std::function<Tensor(const Tensor&)> function_;
  std::string class_name_;
  Config config_;
};

/// As an object; none stays none. Throws std::invalid_argument for a function of one's own.
Option to_option(const Regularizer& value);
bool from_option(const Option& option, Regularizer& value);

/// A function of one's own gets the name "package>name", by which strings and configs know it.
void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Regularizer& function);

Regularizer L1(double l1 = 0.01);                ///< l1 * sum |w|
Regularizer L2(double l2 = 0.01);                ///< l2 * sum w^2
Regularizer L1L2(double l1 = 0, double l2 = 0);  ///< both
/// Rows (or columns) of a matrix towards right angles: the mean |cos| of their pairs, times
/// factor / 2.
Regularizer OrthogonalRegularizer(double factor = 0.01, const std::string& mode = "rows");

/// A function from a weight to what it becomes after each step: by name ("non_neg", "max_norm",
/// "min_max_norm", "unit_norm"), one of the objects below, or any function.
class Constraint {
 public:
  Constraint() = default;
  Constraint(const std::string& name);
  Constraint(const char* name) : Constraint(std::string(name)) {}
  template <class F>
  requires std::is_invocable_r_v<Tensor, F, const Tensor&> Constraint(F function)
      : function_(std::move(function)) {}
  /// A function that Keras knows as this class and config.
  Constraint(std::string class_name, Config config, std::function<Tensor(const Tensor&)> function)
      : function_(std::move(function)),
        class_name_(std::move(class_name)),
        config_(std::move(config)) {}
  static Constraint from_config(const std::string& class_name, const Config& config);

  const std::function<Tensor(const Tensor&)>& function() const { return function_; }
  /// Empty for a function of one's own.
  const std::string& class_name() const { return class_name_; }
  const Config& config() const { return config_; }

 private:
  std::function<Tensor(const Tensor&)> function_;
  std::string class_name_;
  Config config_;
};

/// As an object; none stays none. Throws std::invalid_argument for a function of one's own.
Option to_option(const Constraint& value);
bool from_option(const Option& option, Constraint& value);

void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Constraint& function);

Constraint NonNeg();                                     ///< max(w, 0)
Constraint MaxNorm(double max_value = 2, int axis = 0);  ///< columns no longer than max_value
Constraint UnitNorm(int axis = 0);                       ///< columns of length 1
/// Columns at least min_value and at most max_value long; a step goes `rate` of the way.
Constraint MinMaxNorm(double min_value = 0, double max_value = 1, double rate = 1, int axis = 0);

}  // namespace keratin
