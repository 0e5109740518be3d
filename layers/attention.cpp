#include <keratin/autograd/ops.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

std::vector<Field> AttentionLayer::fields() {
  return {{"attention_dim", &attention_dim_, at_least(1)}};
}

void AttentionLayer::build(const Shape& input_shape) {
  check_positive("build", "attention_dim", attention_dim_);
  if (input_shape.rank() != 3) fail("expected inputs (batch, time, features), got {}", input_shape);
  W = add_weight("W", {known_last_axis(input_shape), attention_dim_}, "random_normal");
  b = add_weight("b", {attention_dim_}, "zeros");
  u = add_weight("u", {attention_dim_, 1}, "random_normal");
}

Tensor AttentionLayer::call(const Tensor& inputs) {
  auto e = tanh(dot(inputs, W) + b);  // (batch, time, attention_dim)
  auto scores = dot(e, u);            // (batch, time, 1)
  if (mask().defined()) scores = where(expand_dims(mask(), -1), scores, scores - 1e9);
  auto a = name("attention", softmax(scores, /*axis=*/1));  // how much each step counts
  return sum(inputs * a, /*axis=*/1);                       // (batch, features)
}

}  // namespace keratin
