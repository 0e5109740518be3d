// gradcheck: is a gradient right? On an op of one's own, on a layer, and on a wrong derivative.

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <iostream>

using namespace keratin;

// A new pointwise op is a scalar function: its loops and derivatives come with it.
struct Swish1 {
  auto operator()(auto x) const { return x * sigmoid(x); }
};
Tensor swish1(const Tensor& x) { return pointwise<Swish1>(x); }

// A cube with a hand-written gradient that lost a factor.
Tensor wrong_cube(const Tensor& x) {
  return custom_gradient(
      {x}, [](const std::vector<Tensor>& in) { return in[0] * in[0] * in[0]; },
      [x](const Tensor& g) { return std::vector<Tensor>{g * 2 * square(x)}; });
}

int main() {
  Random random(1);
  Tensor x = random.normal({3, 4}), w = random.normal({4, 2});

  std::cout << "softmax(dot(x, w)): "
            << gradcheck([](const Tensor& a, const Tensor& b) { return softmax(dot(a, b), 1); }, x,
                         w);
  std::cout << "swish1:             " << gradcheck(swish1, x);
  std::cout << "swish1, 2nd order:  "
            << gradcheck([](const std::vector<Tensor>& in) { return swish1(in[0]); }, {x},
                         {.order = 2});
  std::cout << "an LSTM:            "
            << gradcheck(LSTM(3, {.return_sequences = true}), random.normal({2, 4, 3}));
  std::cout << "attention:          " << gradcheck(AttentionLayer(8), random.normal({2, 5, 3}));

  GradientCheck check = gradcheck(wrong_cube, x);
  std::cout << "a wrong derivative: " << check;
  return check ? 1 : 0;  // it must not pass
}
