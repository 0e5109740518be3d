// A gradient by tape: record, then ask.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

int main() {
  Tensor x = tensor({0.5, 1.0, 2.0});
  {
    GradientTape tape;
    tape.watch(x);
    Tensor y = sum(tanh(x) * x);
    std::cout << "y = " << y << ", dy/dx = " << tape.gradient(y, x) << '\n';
    std::cout << "what was recorded:\n" << tape << '\n';
  }

  // Least squares by gradient descent: find the line behind noisy points.
  Random random(7);
  Tensor t = linspace(0, 1, 50);
  Tensor points = 3 * t - 1 + random.normal({50}, 0, 0.05);
  Tensor slope = 0.0f, offset = 0.0f;
  slope = slope.astype(float32);
  offset = offset.astype(float32);
  for (int step = 0; step <= 200; ++step) {
    GradientTape tape;
    tape.watch(slope);
    tape.watch(offset);
    Tensor loss = mean(square(slope * t + offset - points));
    auto g = std::move(tape).gradient(loss, {slope, offset});
    if (step % 50 == 0) std::cout << "step " << step << ": loss " << loss << '\n';
    slope -= 0.5 * g[0];
    offset -= 0.5 * g[1];
  }
  std::cout << "the line has slope " << slope << " and begins at " << offset << '\n';
}
