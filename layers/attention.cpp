#include <keratin/autograd/ops.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/internal/options.h>

namespace keratin {

void AttentionLayer::build(const Shape& input_shape) {
  check_positive("build", "attention_dim", attention_dim_);
  if (input_shape.rank() != 3) fail("expected inputs (batch, time, features), got {}", input_shape);
  W = add_weight("W", {known_last_axis(input_shape), attention_dim_}, "random_normal");
  b = add_weight("b", {attention_dim_}, "zeros");
  u = add_weight("u", {attention_dim_, 1}, "random_normal");
}

Tensor AttentionLayer::call(const Tensor& inputs) {
  auto e = dot(tanh(linear(inputs, W, b)), u);                     // (batch, time, 1)
  if (mask().defined()) e += (expand_dims(mask(), -1) - 1) * 1e9;  // padding counts for nothing
  auto a = name("attention", softmax(e, /*axis=*/1));              // how much each step counts
  return squeeze(matmul(swapaxes(a, 1, 2), inputs), 1);            // (batch, features)
}

bool AttentionLayer::splits_batch() const { return is_exactly<AttentionLayer>(*this); }

}  // namespace keratin
