// A user's program: trains a little model and checks that it learned.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

int main() {
  set_random_seed(1);
  Tensor x = Random(0).uniform({128, 2}, -1, 1);
  Tensor y = sum(x, 1, /*keepdims=*/true);
  Sequential model({Dense(8, {.activation = "tanh"}), Dense(1)});
  model.compile({.optimizer = Adam({.learning_rate = 0.02}), .loss = "mse"});
  History history = model.fit(x, y, {.epochs = 30, .verbose = 0});
  std::cout << "loss " << history["loss"].back() << '\n';
  return history["loss"].back() < 0.01 ? 0 : 1;
}
