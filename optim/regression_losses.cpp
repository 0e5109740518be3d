// Losses between numbers, margins and overlaps (keras/src/losses/losses.py).

#include <cmath>
#include <numbers>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/loss.h>

namespace keratin {

Tensor mean_squared_error(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("mean_squared_error", y_true, y_pred);
  return mean(square(y - p), -1);
}

Tensor mean_absolute_error(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("mean_absolute_error", y_true, y_pred);
  return mean(abs(y - p), -1);
}

Tensor mean_absolute_percentage_error(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("mean_absolute_percentage_error", y_true, y_pred);
  return 100 * mean(abs((y - p) / maximum(abs(y), keras_epsilon)), -1);
}

Tensor mean_squared_logarithmic_error(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("mean_squared_logarithmic_error", y_true, y_pred);
  auto log_of = [](const Tensor& x) { return log(maximum(x, keras_epsilon) + 1); };
  return mean(square(log_of(p) - log_of(y)), -1);
}

Tensor huber(const Tensor& y_true, const Tensor& y_pred, double delta) {
  auto [y, p] = fitted("huber", y_true, y_pred);
  Tensor e = p - y, size = abs(e);
  Tensor far = delta * size - 0.5 * delta * delta;
  return mean(where(size <= delta, 0.5 * square(e), far), -1);
}

Tensor log_cosh(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("log_cosh", y_true, y_pred);
  Tensor e = p - y;
  return mean(e + softplus(-2 * e) - std::numbers::ln2, -1);
}

Tensor cosine_similarity(const Tensor& y_true, const Tensor& y_pred, int axis) {
  auto [y, p] = fitted("cosine_similarity", y_true, y_pred);
  auto scaled = [axis](const Tensor& x) {
    return x * rsqrt(maximum(sum(square(x), axis, true), keras_epsilon * keras_epsilon));
  };
  return -sum(scaled(y) * scaled(p), axis);
}

namespace {

// Labels 0 and 1 become -1 and 1; one label of another value, and all stay as they are.
Tensor signs(const Tensor& y) {
  bool binary = with_elements(contiguous(y), [&](const auto* label) {
    for (std::int64_t i = 0; i < y.numel(); ++i)
      if (label[i] != 0 && label[i] != 1) return false;
    return true;
  });
  return binary ? 2 * y - 1 : y;
}

}  // namespace

Tensor hinge(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("hinge", y_true, y_pred);
  return mean(maximum(1 - signs(y) * p, 0.0), -1);
}

Tensor squared_hinge(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("squared_hinge", y_true, y_pred);
  return mean(square(maximum(1 - signs(y) * p, 0.0)), -1);
}

Tensor categorical_hinge(const Tensor& y_true, const Tensor& y_pred) {
  auto [y, p] = fitted("categorical_hinge", y_true, y_pred);
  Tensor right = sum(y * p, -1), wrong = max((1 - y) * p, -1);
  return maximum(wrong - right + 1, 0.0);
}

Tensor circle(const Tensor& y_true, const Tensor& y_pred, const Tensor& ref_labels,
              const Tensor& ref_embeddings, bool remove_diagonal, double gamma, double margin) {
  const Tensor p = as_float(y_pred);
  const Tensor others = ref_embeddings.defined() ? as_float(ref_embeddings) : p;
  const Tensor other_labels = ref_labels.defined() ? ref_labels : y_true;
  if (p.rank() != 2 || others.rank() != 2 || y_true.numel() != p.size(0) ||
      other_labels.numel() != others.size(0))
    fail("circle: labels of shapes {} and {} do not fit embeddings of shapes {} and {}",
         y_true.shape(), other_labels.shape(), y_pred.shape(), others.shape());
  const Tensor d = maximum(1 - matmul(p, transpose(others)), 0.0);  // (batch, references)
  Tensor alike = equal(y_true.reshape({-1, 1}), other_labels.reshape({1, -1}));
  const Tensor different = logical_not(alike);
  if (remove_diagonal)
    alike = logical_and(alike, logical_not(eye(d.size(0), d.size(1), boolean, d.device())));
  auto of = [](const Tensor& pairs, const Tensor& logits) {
    return logsumexp(where(pairs, logits, -INFINITY), 1);
  };
  return softplus(of(alike, gamma * maximum(d + margin, 0.0) * (d - margin)) +
                  of(different, gamma * maximum(1 + margin - d, 0.0) * (1 - margin - d)));
}

Tensor dice(const Tensor& y_true, const Tensor& y_pred, const Axes& axis) {
  auto [y, p] = fitted("dice", y_true, y_pred);
  return 1 - 2 * sum(y * p, axis) / (sum(y, axis) + sum(p, axis) + keras_epsilon);
}

Tensor tversky(const Tensor& y_true, const Tensor& y_pred, double alpha, double beta,
               const Axes& axis) {
  auto [y, p] = fitted("tversky", y_true, y_pred);
  Tensor both = sum(y * p, axis);
  Tensor missed = sum((1 - p) * y, axis), invented = sum(p * (1 - y), axis);
  return 1 - both / (both + missed * alpha + invented * beta + keras_epsilon);
}

}  // namespace keratin
