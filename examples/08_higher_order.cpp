// Derivatives of derivatives: nothing new is needed, since a gradient is made of ops.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

int main() {
  // Nested functions: d^3/dx^3 of sin is -cos.
  auto sine = [](const Tensor& x) { return sum(sin(x)); };
  Tensor x = tensor({0.0, 0.5, 1.0}, float64);
  std::cout << "third derivative of sin: " << grad(grad(grad(sine)))(x) << '\n';
  std::cout << "-cos:                    " << -cos(x) << "\n\n";

  // Newton's method on Rosenbrock's valley, with exact second derivatives.
  auto valley = [](const Tensor& p) {
    Tensor a = p[0], b = p[1];
    return square(1 - a) + 100 * square(b - square(a));
  };
  Tensor p = tensor({-1.2, 1.0}, float64);
  for (int step = 0; step < 7; ++step) {
    Tensor g = grad(valley)(p), h = hessian(valley)(p);
    std::cout << "step " << step << ": p = " << p << ", f = " << valley(p) << '\n';
    double det = h.item(0, 0) * h.item(1, 1) - h.item(0, 1) * h.item(1, 0);
    Tensor inverse =
        tensor({{h.item(1, 1), -h.item(0, 1)}, {-h.item(1, 0), h.item(0, 0)}}, float64);
    p = p - dot(inverse, g) / det;
  }

  // A penalty on the gradient itself, as in a Wasserstein GAN: nested tapes.
  Dense layer(1);
  Tensor batch = Random(1).normal({4, 3});
  layer(batch);
  GradientTape outer;
  GradientTape inner;
  inner.watch(batch);
  Tensor slope = inner.gradient(layer(tanh(batch)), batch);
  Tensor penalty = mean(square(norm(slope, -1) - 1));
  auto g = outer.gradient(penalty, {layer.weights()[0]});
  std::cout << "\npenalty " << penalty << ", its gradient in the kernel:\n" << g[0] << '\n';
}
