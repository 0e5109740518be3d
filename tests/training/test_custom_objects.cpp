// Functions and classes of users that strings and configs know: register_keras_serializable.

#include <doctest/doctest.h>

#include <cmath>

#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

Tensor double_of(const Tensor& x) { return 2 * x; }

class Half : public LearningRateSchedule {
 public:
  explicit Half(double start = 1) : start_(start) {}
  double operator()(std::int64_t step) const override { return start_ * std::pow(0.5, step); }
  std::vector<Field> fields() override { return {{"start", &start_, at_least(0)}}; }

 private:
  double start_;
};

class Steps : public Optimizer {
 public:
  explicit Steps(double size) : Optimizer({.learning_rate = size, .name = "steps"}) {}
  void update(Weight& weight, const Tensor& gradient, double learning_rate) override {
    weight.assign(weight.value() - learning_rate * sign(gradient));
  }
};

class Largest : public Metric {
 public:
  Largest() : Metric("largest", Direction::down) {}
  void update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor&) override {
    largest_ = std::max(largest_, max(abs(y_true - y_pred)).item() * scale_);
  }
  double result() const override { return largest_; }
  void reset_state() override { largest_ = 0; }
  std::vector<Field> fields() override {
    std::vector<Field> all = Metric::fields();
    all.emplace_back("scale", &scale_);
    return all;
  }

 private:
  double largest_ = 0, scale_ = 1;
};

}  // namespace

TEST_CASE("functions of one's own are known by name, in strings and in configs") {
  register_keras_serializable("tests", "double", ActivationFunction(double_of));
  register_keras_serializable(
      "tests", "sevens",
      Initializer([](const Shape& shape, DType dtype, Random&) { return full(shape, 7, dtype); }));
  register_keras_serializable("tests", "sum", Regularizer([](const Tensor& w) { return sum(w); }));
  register_keras_serializable("tests", "halve", Constraint([](const Tensor& w) { return w / 2; }));
  Dense layer(1, {.activation = "tests>double",
                  .kernel_initializer = "tests>sevens",
                  .kernel_regularizer = "tests>sum",
                  .kernel_constraint = "tests>halve"});
  CHECK(layer(ones({1, 3})).item() == 42);
  const std::string text = format_json(layer.get_config());
  // What real Keras 3.15 writes for registered functions.
  CHECK(text.find(R"("activation":{"module":"builtins","class_name":"function",)"
                  R"("config":"tests>double","registered_name":"function"})") != text.npos);
  CHECK(text.find(R"("kernel_constraint":{"module":"builtins","class_name":"function",)"
                  R"("config":"tests>halve","registered_name":"function"})") != text.npos);
  AnyLayer again = layer_from_config("Dense", std::get<Config>(parse_json(text, "text")));
  CHECK(again(ones({1, 3})).item() == 42);
  CHECK(format_json(again->get_config()) == text);
  CHECK(error_of([] {
          ActivationFunction("tests>unknown");
        }).starts_with("unknown activation \"tests>unknown\""));
  CHECK(error_of([] { register_keras_serializable("a>b", "c", ActivationFunction(double_of)); }) ==
        "register_keras_serializable: expected a package and a name without '>', got \"a>b\" and "
        "\"c\"");
}

TEST_CASE("a loss of one's own is known by name") {
  register_keras_serializable("tests", "fourth", Loss([](const Tensor& y, const Tensor& p) {
                                return mean(power(y - p, 4.0), -1);
                              }));
  Loss loss = "tests>fourth";
  CHECK(loss(zeros({1, 2}), full({1, 2}, 2)).item() == 16);
  CHECK(format_json(to_option(loss)) ==
        R"({"module":"builtins","class_name":"function","config":"tests>fourth",)"
        R"("registered_name":"function"})");
  Loss again;
  CHECK(from_option(to_option(loss), again));
  CHECK(again(zeros({1, 2}), full({1, 2}, 2)).item() == 16);
  CHECK(from_option(to_option(Loss(Huber({.delta = 0.5}))), again));
  CHECK(again(zeros({1, 1}), ones({1, 1})).item() == doctest::Approx(0.375));
  CHECK(error_of([] {
          to_option(Loss([](const Tensor& y, const Tensor& p) { return mean(y - p, -1); }));
        }) == "loss: a function of one's own has no class name that a config could hold");
}

TEST_CASE("metrics, optimizers and schedules of one's own have configs once registered") {
  CHECK(Largest().class_name().empty());
  CHECK(error_of([] { to_option(AnyMetric(Largest())); }) ==
        "metric \"largest\": it has no class name that a config could hold");
  register_keras_serializable<Largest>("tests");
  AnyMetric metric = AnyMetric::from_config("tests>Largest", {{"scale", 3.0}});
  metric->update(zeros({2, 1}), ones({2, 1}));
  CHECK(metric->result() == 3);
  CHECK(format_json(to_option(metric)) ==
        R"({"module":null,"class_name":"Largest","config":{"name":"largest","dtype":"float32",)"
        R"("scale":3.0},"registered_name":"tests>Largest"})");

  register_keras_serializable<Half>("tests", "Half");
  register_keras_serializable<Steps>("tests", "Steps", [] { return Steps(1); });
  Steps optimizer(0.5);
  optimizer.configure({{"learning_rate", object_option("", "tests>Half", {{"start", 0.25}})}});
  AnyOptimizer again;
  CHECK(from_option(to_option(AnyOptimizer(optimizer)), again));
  Weight w("w", zeros({1}));
  again->apply({ones({1})}, {w});
  again->apply({ones({1})}, {w});
  CHECK(w.value().item() == -0.375);
  CHECK(error_of([] {
          schedule_from_config("tests>Half", {{"start", -1.0}});
        }) == "tests>Half: expected start of at least 0, got -1");
}

TEST_CASE("strings know registered losses, metrics and optimizers") {
  register_keras_serializable<Steps>("tests", "Steps", [] { return Steps(1); });
  register_keras_serializable<Largest>("tests");
  register_keras_serializable(
      "tests", "gap", Loss([](const Tensor& y, const Tensor& p) { return mean(abs(y - p), -1); }));
  CHECK(AnyMetric("tests>Largest")->name() == "largest");
  CHECK(AnyOptimizer("tests>Steps")->name() == "steps");
  AnyMetric gap = "tests>gap", again = "mse";
  CHECK(from_option(to_option(gap), again));
  again->update(zeros({2, 1}), full({2, 1}, 3));
  CHECK(again->result() == 3);
}

TEST_CASE("a class of one's own stands beside a library class of its name") {
  class Dense : public Layer {
   public:
    explicit Dense(int width) : width_(width) {}
    Tensor call(const Tensor& x) override { return x * width_; }
    std::vector<Field> fields() override { return {{"width", &width_}}; }

   private:
    int width_;
  };
  register_keras_serializable<Dense>("my", "Dense", [] { return Dense(1); });
  CHECK(layer_from_config("Dense", {{"units", 2}})(ones({1, 3})).shape() == Shape{1, 2});
  CHECK(layer_from_config("my>Dense", {{"width", 2}})(ones({1, 3})).item(0, 2) == 2);

  class Wide : public Layer {
   public:
    explicit Wide(int) {}
    Tensor call(const Tensor& x) override { return x; }
  };
  register_keras_serializable<Wide>("my");
  CHECK(error_of([] {
          layer_from_config("my>Wide", {});
        }).starts_with("my>Wide: no layer of this class can be made from a config"));
  CHECK(error_of([] { register_keras_serializable<Wide>(""); }) ==
        "register_keras_serializable: expected a package and a name without '>', got \"\" and "
        "\"Wide\"");
}

TEST_CASE("an initializer of none is that of Keras") {
  Dense layer(2, {.kernel_initializer = Initializer()});
  CHECK(max(abs(layer(ones({1, 3})))).item() > 0);
}

}  // namespace keratin

TEST_SUITE_END();
