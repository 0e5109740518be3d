// A model of one's own: residual blocks in a vector, a training loop with two optimizers, weights
// saved and loaded.

#include <keratin/keratin.h>
#include <cmath>
#include <cstdio>
#include <iostream>

using namespace keratin;

// y = x + second(relu(first(x)))
class Residual : public Layer {
 public:
  explicit Residual(int units) : first(units, {.activation = "relu"}), second(units) {
    track(first);
    track(second);
  }
  Tensor call(const Tensor& x) override { return x + second(first(x)); }

 private:
  Dense first, second;
};

class ResidualNet : public Model {
 public:
  ResidualNet(int blocks, int units) : entry(units), out(1, {.activation = "sigmoid"}) {
    track(entry);
    for (int i = 0; i < blocks; ++i) {
      residuals.emplace_back(units);
      track(residuals.back());
    }
    track(out);
  }
  Tensor call(const Tensor& x) override {
    Tensor h = entry(x);
    for (Residual& block : residuals) h = block(h);
    return out(h);
  }

  Dense entry, out;
  std::vector<Residual> residuals;
};

// Two spirals, one inside the other.
std::pair<Tensor, Tensor> spirals(std::int64_t points) {
  Tensor x = zeros({points, 2}), y = zeros({points, 1});
  for (std::int64_t i = 0; i < points; ++i) {
    const double side = static_cast<double>(i % 2), t = static_cast<double>(i) / double(points);
    const double angle = 9 * t + side * 3.14159265, radius = 0.1 + t;
    slice(x, {i, 0}).assign(radius * std::cos(angle));
    slice(x, {i, 1}).assign(radius * std::sin(angle));
    slice(y, {i}).assign(side);
  }
  return {x, y};
}

int main() {
  set_random_seed(1);
  const auto points = spirals(400);
  const Tensor &x = points.first, &y = points.second;
  ResidualNet net(/*blocks=*/3, /*units=*/24);
  net(x);  // makes the weights
  std::cout << gradcheck(net, slice(x, {range(0, 8)}), {}, {.fast = true});

  // The entry learns slowly, the rest as Adam does by default.
  Loss loss = "binary_crossentropy";
  SGD slow(0.05);
  Adam quick(3e-3);
  std::vector<Weight> entry = net.entry.trainable_weights(), rest = net.trainable_weights();
  std::erase_if(rest, [&](const Weight& w) { return w == entry[0] || w == entry[1]; });
  auto correct = [&] { return mean(((net(x) > 0.5).astype(float32) == y).astype(float32)).item(); };
  for (int step = 0; step <= 600; ++step) {
    GradientTape tape;
    Tensor value = loss(y, net(x, {.training = true}));
    slow.apply(tape.gradient(value, entry), entry);
    quick.apply(tape.gradient(value, rest), rest);
    if (step % 200 == 0)
      std::cout << "step " << step << ": loss " << value.item() << ", correct " << correct()
                << '\n';
  }

  net.save_weights("spirals.npz");
  ResidualNet other(3, 24);
  other(x);
  other.load_weights("spirals.npz");
  std::remove("spirals.npz");
  std::cout << "the loaded model differs by " << max(abs(other(x) - net(x))).item() << '\n';
}
