#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/regularizers.h>

namespace keratin {
namespace {

constexpr double epsilon = 1e-7;  // keras.config.epsilon()

}  // namespace

Regularizer L1L2(double l1, double l2) {
  if (!(l1 >= 0) || !(l2 >= 0)) fail("L1L2: expected factors of at least 0, got {} and {}", l1, l2);
  return [=](const Tensor& w) -> Tensor {
    if (l2 == 0) return l1 * sum(abs(w));
    if (l1 == 0) return l2 * sum(square(w));
    return l1 * sum(abs(w)) + l2 * sum(square(w));
  };
}
// Keras: 0.5 factor sum |w_i . w_j| / pairs over all pairs of rows or columns, each of length 1.
Regularizer OrthogonalRegularizer(double factor, const std::string& mode) {
  if (mode != "rows" && mode != "columns")
    fail("OrthogonalRegularizer: expected mode rows or columns, got \"{}\"", mode);
  return [=](const Tensor& w) -> Tensor {
    if (w.rank() != 2)
      fail("OrthogonalRegularizer: expected a weight of rank 2, got {}", w.shape());
    Tensor rows = mode == "rows" ? w : w.transpose();
    rows = rows / maximum(norm(rows, 1, /*keepdims=*/true), 1e-12);
    const auto size = static_cast<double>(rows.size(0));
    Tensor others = dot(rows, transpose(rows)) * (1 - eye(rows.size(0), rows.size(0), w.dtype()));
    return factor * 0.5 * sum(abs(others)) / (size * (size - 1) / 2);
  };
}
Regularizer L1(double l1) { return L1L2(l1, 0); }
Regularizer L2(double l2) { return L1L2(0, l2); }

Regularizer::Regularizer(const std::string& name) {
  static const std::map<std::string, Regularizer (*)()> table{
      {"l1", [] { return L1(); }},
      {"L1", [] { return L1(); }},
      {"l2", [] { return L2(); }},
      {"L2", [] { return L2(); }},
      {"l1l2", [] { return L1L2(0, 0); }},
      {"L1L2", [] { return L1L2(0, 0); }},
      {"orthogonal_regularizer", [] { return OrthogonalRegularizer(); }},
      {"OrthogonalRegularizer", [] { return OrthogonalRegularizer(); }},
  };
  auto found = table.find(name);
  if (found == table.end()) fail_unknown("unknown regularizer", name, table);
  *this = found->second();
}

Constraint NonNeg() {
  return [](const Tensor& w) { return maximum(w, 0.0); };
}
Constraint MaxNorm(double max_value, int axis) {
  if (!(max_value >= 0)) fail("MaxNorm: expected max_value of at least 0, got {}", max_value);
  return [=](const Tensor& w) {
    Tensor n = norm(w, axis, true);
    return w * (clip(n, 0.0, max_value) / (n + epsilon));
  };
}
Constraint UnitNorm(int axis) {
  return [=](const Tensor& w) { return w / (norm(w, axis, true) + epsilon); };
}

Constraint MinMaxNorm(double min_value, double max_value, double rate, int axis) {
  if (!(min_value >= 0 && max_value >= min_value))
    fail("MinMaxNorm: expected 0 <= min_value <= max_value, got {} and {}", min_value, max_value);
  return [=](const Tensor& w) {
    Tensor n = norm(w, axis, true);
    return w * ((rate * clip(n, min_value, max_value) + (1 - rate) * n) / (n + epsilon));
  };
}

Constraint::Constraint(const std::string& name) {
  static const std::map<std::string, Constraint (*)()> table{
      {"non_neg", [] { return NonNeg(); }},          {"NonNeg", [] { return NonNeg(); }},
      {"max_norm", [] { return MaxNorm(); }},        {"MaxNorm", [] { return MaxNorm(); }},
      {"unit_norm", [] { return UnitNorm(); }},      {"UnitNorm", [] { return UnitNorm(); }},
      {"min_max_norm", [] { return MinMaxNorm(); }}, {"MinMaxNorm", [] { return MinMaxNorm(); }},
  };
  auto found = table.find(name);
  if (found == table.end()) fail_unknown("unknown constraint", name, table);
  *this = found->second();
}

}  // namespace keratin
