// What weights cost and what they are held to (keras/src/regularizers, keras/src/constraints).
#pragma once

#include <functional>
#include <string>
#include <type_traits>

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

  const std::function<Tensor(const Tensor&)>& function() const { return function_; }

 private:
  std::function<Tensor(const Tensor&)> function_;
};

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

  const std::function<Tensor(const Tensor&)>& function() const { return function_; }

 private:
  std::function<Tensor(const Tensor&)> function_;
};

Constraint NonNeg();                                     ///< max(w, 0)
Constraint MaxNorm(double max_value = 2, int axis = 0);  ///< columns no longer than max_value
Constraint UnitNorm(int axis = 0);                       ///< columns of length 1
/// Columns at least min_value and at most max_value long; a step goes `rate` of the way.
Constraint MinMaxNorm(double min_value = 0, double max_value = 1, double rate = 1, int axis = 0);

}  // namespace keratin
