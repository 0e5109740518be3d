#include <map>

#include <keratin/autograd/ops.h>
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
Regularizer L1(double l1) { return L1L2(l1, 0); }
Regularizer L2(double l2) { return L1L2(0, l2); }

Regularizer::Regularizer(const std::string& name) {
  static const std::map<std::string, Regularizer (*)()> table{
      {"l1", [] { return L1(); }},
      {"l2", [] { return L2(); }},
      {"l1_l2", [] { return L1L2(0.01, 0.01); }},
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

Constraint::Constraint(const std::string& name) {
  static const std::map<std::string, Constraint (*)()> table{
      {"non_neg", [] { return NonNeg(); }},
      {"max_norm", [] { return MaxNorm(); }},
      {"unit_norm", [] { return UnitNorm(); }},
  };
  auto found = table.find(name);
  if (found == table.end()) fail_unknown("unknown constraint", name, table);
  *this = found->second();
}

}  // namespace keratin
