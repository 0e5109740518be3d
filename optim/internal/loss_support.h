// What losses and metrics share: Keras' rules for shapes and weights, and plain access to elements.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/tensor.h>

namespace keratin {

/// keras.config.epsilon()
inline constexpr double keras_epsilon = 1e-7;

struct Pair {
  Tensor a, b;
};

/// When ranks differ by one and the longer shape ends in 1, drops that axis; or, when the other has
/// rank 1, gives it one (keras/src/losses/loss.py, squeeze_or_expand_to_same_rank).
Pair squeeze_or_expand(const Tensor& a, const Tensor& b);

/// A float as it is, others as floatx().
Tensor as_float(const Tensor& x);

/// y_true and y_pred after that rule. Throws std::invalid_argument naming `who` when their shapes
/// still differ.
Pair same_shape(const char* who, const Tensor& y_true, const Tensor& y_pred);

/// y_true and y_pred in one shape and in y_pred's dtype. Throws std::invalid_argument naming `who`
/// when their shapes do not fit.
Pair fitted(const char* who, const Tensor& y_true, const Tensor& y_pred);

/// Weights that broadcast to `values`, which may change its rank by an axis of 1. Weights that lack
/// the last axes get them: one number for each sample counts for all of its time steps.
Pair with_weights(const char* who, const Tensor& values, const Tensor& weights);

/// mask, as 0 and 1, times the weights; either may be undefined. Where the mask is false it is 0,
/// whatever the weight.
Tensor masked_weights(const char* who, const Tensor& weights, const Tensor& mask, DType dtype);

/// What counts, with as many axes as x, so that it broadcasts to x; undefined when it does not fit.
Tensor counts_for(const Tensor& x, const Tensor& counts);

/// Calls f(const T*) with the elements in row-major order, in the tensor's own type.
template <class F>
decltype(auto) with_elements(const Tensor& x, const F& f) {
  const Tensor dense = on_host(x);
  switch (dense.dtype()) {
    case float64:
      return f(dense.data<double>());
    case int32:
      return f(dense.data<std::int32_t>());
    case boolean:
      return f(dense.data<bool>());
    default:
      return f(dense.data<float>());
  }
}

/// Whether Loss(name) takes this name, other than "crossentropy".
bool is_loss_name(const std::string& name);
/// The names to suggest.
std::vector<std::string> loss_names();

class AnyMetric;
/// The metric that the name "accuracy" stands for: it chooses on its first batch.
AnyMetric accuracy_by_shape(const std::string& name);

}  // namespace keratin
