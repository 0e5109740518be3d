// One's own layer, loss, metric, optimizer and callback: a few lines each.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

// A layer: y = x W1 * sigmoid(x W2), a gated linear unit.
class GatedUnit : public Layer {
 public:
  explicit GatedUnit(int units) : units_(units) {}
  void build(const Shape& input_shape) override {
    value = add_weight("value", {input_shape[-1], units_});
    gate = add_weight("gate", {input_shape[-1], units_});
  }
  Tensor call(const Tensor& x) override {
    return dot(x, value) * name("gate", sigmoid(dot(x, gate)));
  }

 private:
  int units_;
  Weight value, gate;
};

// A metric: the largest error seen in the epoch.
class LargestError : public Metric {
 public:
  LargestError() : Metric("largest_error") {}
  void update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor&) override {
    largest_ = std::max(largest_, max(abs(y_true - y_pred)).item());
  }
  double result() const override { return largest_; }
  void reset_state() override { largest_ = 0; }

 private:
  double largest_ = 0;
};

// An optimizer: steps by the sign of the gradient alone.
class SignDescent : public Optimizer {
 public:
  explicit SignDescent(LearningRate rate) : Optimizer({.learning_rate = rate}) {}
  void update(Weight& w, const Tensor& g, double learning_rate) override {
    w.assign(w - learning_rate * sign(g));
  }
};

// A callback: stops when the loss is good enough.
class StopBelow : public Callback {
 public:
  explicit StopBelow(double loss) : loss_(loss) {}
  void on_epoch_end(int epoch, Logs& logs) override {
    if (logs["loss"] < loss_) model().stop_training = true;
    if (epoch % 10 == 0) std::cout << "epoch " << epoch << ": loss " << logs["loss"] << '\n';
  }

 private:
  double loss_;
};

int main() {
  set_random_seed(3);
  Tensor x = Random(0).uniform({256, 2}, -1, 1);
  Tensor y = slice(x, {all, range(0, 1)}) * slice(x, {all, range(1, 2)});  // learn a product

  // A loss is a function: the error's square root, which counts small errors more.
  auto root_error = [](const Tensor& y_true, const Tensor& y_pred) {
    return mean(sqrt(abs(y_true - y_pred) + 1e-3), -1);
  };

  Sequential model({GatedUnit(16), Dense(1)});
  model.compile({.optimizer = SignDescent(ExponentialDecay(0.01, 100, 0.9)),
                 .loss = root_error,
                 .metrics = {LargestError()}});
  History history = model.fit(x, y, {.epochs = 200, .verbose = 0, .callbacks = {StopBelow(0.12)}});
  std::cout << "after " << history.epoch().size() << " epochs the largest error is "
            << history["largest_error"].back() << '\n';
  std::cout << "a gate, for the first sample: " << model.capture(x)["gated_unit/gate"][0] << '\n';
}
