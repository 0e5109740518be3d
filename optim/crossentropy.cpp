// Losses between probabilities (keras/src/losses/losses.py, keras/src/backend/jax/nn.py).

#include <cmath>

#include <keratin/autograd/internal/cross_entropy.h>
#include <keratin/autograd/internal/indices.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/loss.h>

namespace keratin {
namespace {

// Away from 0 and 1, where the logarithm or its derivative would be infinite.
Tensor clipped(const Tensor& p) { return clip(p, keras_epsilon, 1 - keras_epsilon); }

Tensor normalized(const Tensor& p, int axis) { return p / sum(p, axis, true); }

Tensor smoothed(const Tensor& y, double label_smoothing, std::int64_t classes) {
  if (label_smoothing == 0) return y;
  return y * (1 - label_smoothing) + label_smoothing / static_cast<double>(classes);
}

// The tuple of an element's index from its place in row-major order.
std::string index_string(const Shape& shape, std::int64_t place) {
  Shape index = shape;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[axis] = place % shape[axis];
    place /= shape[axis];
  }
  return index.str();
}

struct Labels {
  Tensor places;  // int32: of each label's entry in the flattened (..., classes)
  Tensor valid;   // boolean: is not the class to ignore
};

// On a device: a label that does not fit is found when somebody waits. What is no whole number
// becomes a class that there is not.
Labels queued_labels(const char* who, const Tensor& labels, std::int64_t classes,
                     std::optional<int> ignore_class) {
  const Tensor valid = ignore_class ? not_equal(labels, *ignore_class)
                                    : full(labels.shape(), 1, boolean, labels.device());
  Tensor numbers = labels.astype(int32);
  if (is_floating(labels.dtype())) numbers = where(equal(numbers, labels), numbers, -1);
  numbers = checked_indices(who, where(valid, numbers, 0), 0, classes, labels.device());
  const auto step = static_cast<double>(classes);
  const auto end = static_cast<double>(labels.numel()) * step;
  return {arange(0, end, step, int32, labels.device()).reshape(labels.shape()) + numbers, valid};
}

Labels checked_labels(const char* who, const Tensor& labels, std::int64_t classes,
                      std::optional<int> ignore_class, Device device) {
  if (labels.numel() * classes > INT32_MAX)
    fail("{}: {} labels times {} classes are too many", who, labels.numel(), classes);
  if (!labels.device().is_cpu()) return queued_labels(who, labels, classes, ignore_class);
  Labels checked{empty(labels.shape(), int32, Device()), empty(labels.shape(), boolean, Device())};
  auto* place = raw<std::int32_t>(checked.places);
  auto* valid = raw<bool>(checked.valid);
  with_elements(contiguous(labels), [&](const auto* label) {
    for (std::int64_t i = 0; i < labels.numel(); ++i) {
      auto value = static_cast<double>(label[i]);
      valid[i] = !(ignore_class && value == *ignore_class);
      place[i] = static_cast<std::int32_t>(i * classes);
      if (!valid[i]) continue;
      if (!(value >= 0 && value < static_cast<double>(classes)))
        fail("{}: label {} at index {} is not in 0..{}", who, value,
             index_string(labels.shape(), i), classes - 1);
      if (value != std::floor(value))
        fail("{}: label {} at index {} is not a whole number", who, value,
             index_string(labels.shape(), i));
      place[i] += static_cast<std::int32_t>(value);
    }
  });
  return {on_device(checked.places, device), on_device(checked.valid, device)};
}

}  // namespace

Tensor categorical_crossentropy(const Tensor& y_true, const Tensor& y_pred, bool from_logits,
                                double label_smoothing, int axis) {
  auto [y, p] = fitted("categorical_crossentropy", y_true, y_pred);
  y = smoothed(y, label_smoothing, p.size(axis));
  if (from_logits) return -sum(y * log_softmax(p, axis), axis);
  return sum(cross_entropy(y, p, sum(p, axis, true)), axis);
}

Tensor sparse_categorical_crossentropy(const Tensor& y_true, const Tensor& y_pred, bool from_logits,
                                       std::optional<int> ignore_class, int axis) {
  const char* who = "sparse_categorical_crossentropy";
  Tensor p = as_float(y_pred), labels = y_true;
  int a = normalize_axis(axis, p.rank(), who);
  if (labels.rank() == p.rank() && labels.shape()[a] == 1)
    labels = labels.reshape(labels.shape().without(a));
  if (labels.shape() != p.shape().without(a))
    fail("{}: y_true has shape {}, expected {} for y_pred of shape {}", who, y_true.shape(),
         p.shape().without(a), y_pred.shape());
  if (a != p.rank() - 1) p = moveaxis(p, a, -1);
  Labels checked = checked_labels(who, labels, p.shape()[-1], ignore_class, p.device());
  // Whatever stands at an ignored position, NaN even, reaches neither values nor gradients.
  if (ignore_class) p = where(expand_dims(checked.valid, -1), p, 1.0);
  // Only the entry of the right class is needed: of p before its logarithm.
  auto right = [&](const Tensor& x) { return take(reshape(x, {-1}), checked.places, 0); };
  Tensor values = from_logits ? -right(log_softmax(p)) : cross_entropy(1, right(p), sum(p, -1));
  return ignore_class ? where(checked.valid, values, 0.0) : values;
}

Tensor categorical_generalized_cross_entropy(const Tensor& y_true, const Tensor& y_pred, double q) {
  const char* who = "categorical_generalized_cross_entropy";
  const Tensor p = as_float(y_pred);
  const Shape shape = p.rank() == 0 ? Shape{} : p.shape().without(-1);
  if (p.rank() == 0 || y_true.numel() != shape.numel())
    fail("{}: y_true has shape {}, expected {} for y_pred of shape {}", who, y_true.shape(), shape,
         y_pred.shape());
  const Labels labels =
      checked_labels(who, y_true.reshape(shape), p.size(-1), std::nullopt, p.device());
  return (1 - power(take(reshape(p, {-1}), labels.places, 0), q)) / q;
}

Tensor binary_crossentropy(const Tensor& y_true, const Tensor& y_pred, bool from_logits,
                           double label_smoothing, int axis) {
  auto [y, p] = fitted("binary_crossentropy", y_true, y_pred);
  y = smoothed(y, label_smoothing, 2);
  if (from_logits) return -mean(y * log_sigmoid(p) + (1 - y) * log_sigmoid(-p), axis);
  p = clipped(p);
  return -mean(y * log(p) + (1 - y) * log(1 - p), axis);
}

Tensor binary_focal_crossentropy(const Tensor& y_true, const Tensor& y_pred,
                                 bool apply_class_balancing, double alpha, double gamma,
                                 bool from_logits, double label_smoothing, int axis) {
  auto [y, p] = fitted("binary_focal_crossentropy", y_true, y_pred);
  y = smoothed(y, label_smoothing, 2);
  if (from_logits) p = sigmoid(p);
  Tensor q = clipped(p);
  Tensor bce = -(y * log(q) + (1 - y) * log(1 - q));
  Tensor p_t = y * p + (1 - y) * (1 - p);
  Tensor focal = power(1 - p_t, gamma) * bce;
  if (apply_class_balancing) focal = (y * alpha + (1 - y) * (1 - alpha)) * focal;
  return mean(focal, axis);
}

Tensor categorical_focal_crossentropy(const Tensor& y_true, const Tensor& y_pred, double alpha,
                                      double gamma, bool from_logits, double label_smoothing,
                                      int axis) {
  auto [y, p] = fitted("categorical_focal_crossentropy", y_true, y_pred);
  y = smoothed(y, label_smoothing, p.size(axis));
  if (from_logits) p = softmax(p, axis);
  p = clipped(normalized(p, axis));
  return -sum(alpha * power(1 - p, gamma) * y * log(p), axis);
}

Tensor kl_divergence(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("kl_divergence", y_true, y_pred);
  y = clip(y, keras_epsilon, 1);
  p = clip(p, keras_epsilon, 1);
  return sum(y * log(y / p), -1);
}

Tensor poisson(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("poisson", y_true, y_pred);
  return mean(p - y * log(p + keras_epsilon), -1);
}

}  // namespace keratin
