#include <limits>

#include <keratin/autograd/ops.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

std::vector<Field> AttentionLayer::fields() {
  return {{"attention_dim", &attention_dim_, at_least(1)}};
}

void AttentionLayer::build(const Shape& input_shape) {
  check_fields("build", fields());
  if (input_shape.rank() != 3) fail("expected inputs (batch, time, features), got {}", input_shape);
  W = add_weight("W", {known_last_axis(input_shape), attention_dim_}, "random_normal");
  b = add_weight("b", {attention_dim_}, "zeros");
  u = add_weight("u", {attention_dim_, 1}, "random_normal");
}

Tensor AttentionLayer::call(const Tensor& inputs) {
  Tensor x = inputs, valid;
  if (mask().defined()) valid = expand_dims(mask(), -1);
  if (valid.defined()) x = where(valid, x, 0.0);  // padding may hold anything, NaN too
  auto e = tanh(dot(x, W) + b);                   // (batch, time, attention_dim)
  auto scores = dot(e, u);                        // (batch, time, 1)
  if (valid.defined()) scores = where(valid, scores, -std::numeric_limits<double>::infinity());
  auto a = name("attention", softmax(scores, /*axis=*/1));  // how much each step counts
  return sum(x * a, /*axis=*/1);                            // (batch, features)
}

}  // namespace keratin
