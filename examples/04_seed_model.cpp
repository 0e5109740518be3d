// A well-known Keras guide, line by line: a custom attention layer after an LSTM.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

class AttentionLayer : public Layer {
 public:
  explicit AttentionLayer(int attention_dim) : attention_dim_(attention_dim) {}

  void build(const Shape& input_shape) override {
    W = add_weight("W", {input_shape[2], attention_dim_}, "random_normal");
    b = add_weight("b", {attention_dim_}, "zeros");
    u = add_weight("u", {attention_dim_, 1}, "random_normal");
  }
  Tensor call(const Tensor& inputs) override {
    auto e = tanh(dot(inputs, W) + b);        // (batch, time, attention_dim)
    auto a = softmax(dot(e, u), /*axis=*/1);  // (batch, time, 1): how much each step counts
    return sum(inputs * a, /*axis=*/1);       // (batch, features)
  }

 private:
  int attention_dim_;
  Weight W, b, u;
};

int main() {
  set_random_seed(1);
  // A made-up task: which of ten channels holds the one large number?
  Random random(0);
  Tensor x = random.normal({640, 10, 32}, 0, 0.3);
  Tensor labels = random.integers({640}, 0, 10);
  Tensor steps = random.integers({640}, 0, 10);
  Tensor spot = expand_dims(one_hot(steps, 10), -1) * expand_dims(one_hot(labels, 32), 1);
  x = x + 3 * spot;
  Tensor y = one_hot(labels, 10);

  Sequential model;
  model.add(LSTM(128, {.return_sequences = true, .input_shape = {10, 32}}));
  model.add(AttentionLayer(64));
  model.add(Dense(10, {.activation = "softmax"}));
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy", .metrics = {"accuracy"}});
  model.summary();
  model.fit(x, y, {.batch_size = 64, .epochs = 10, .validation_split = 0.2});
}
