#include "../error_of.h"
#include "../on_processor.h"
#include "golden.h"
#include "golden_configs.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/core/memory.h>
#include <keratin/core/random.h>
#include <keratin/optim/optimizers.h>

TEST_SUITE_BEGIN("optim");

using namespace keratin;

namespace {

const std::map<std::string, GoldenConfig>& optimizers() {
  static const std::map<std::string, GoldenConfig> objects = golden_cases("optimizer");
  return objects;
}

AnyOptimizer optimizer_of(const std::string& name) {
  const GoldenConfig& object = optimizers().at(name);
  return AnyOptimizer::from_config(object.class_name, object.config);
}

std::string key(const char* name, int step, int i) {
  return "shared/" + std::string(name) + std::to_string(step) + "_" + std::to_string(i);
}

std::vector<Weight> start(DType dtype = float64) {
  const Golden& keras = golden("optimizers");
  return {Weight("kernel", keras["shared/w0"].astype(dtype)),
          Weight("bias", keras["shared/w1"].astype(dtype))};
}

std::vector<Tensor> gradients(int step) {
  return {golden("optimizers")[key("g", step, 0)], golden("optimizers")[key("g", step, 1)]};
}

// Steps first..20, compared with Keras' weights after 1, 2 and 20.
void check_steps(const std::string& name, Optimizer& optimizer, const std::vector<Weight>& weights,
                 double tolerance, int first = 1) {
  for (int step = first; step <= 20; ++step) {
    optimizer.apply(gradients(step), weights);
    for (int i = 0; i < 2; ++i) {
      std::string after = name + "/w" + std::to_string(i) + "_after" + std::to_string(step);
      if (!golden("optimizers").has(after)) continue;
      CAPTURE(after);
      CHECK(max_relative_difference(weights[static_cast<std::size_t>(i)],
                                    golden("optimizers")[after]) < tolerance);
    }
  }
}

Weight weight_of(std::vector<double> values, DType dtype = float64) {
  auto n = static_cast<std::int64_t>(values.size());
  return Weight("w", tensor(values, {n}, dtype));
}

}  // namespace

TEST_CASE("optimizers take Keras' steps") {
  for (const std::string& name : golden("optimizers").cases()) {
    if (name == "shared") continue;
    CAPTURE(name);
    AnyOptimizer optimizer = optimizer_of(name);
    check_steps(name, *optimizer, start(), 1e-12);
  }
}

TEST_CASE("optimizers take the same steps in float32") {
  for (const auto& [name, object] : optimizers()) {
    AnyOptimizer optimizer = optimizer_of(name);
    check_steps(name, *optimizer, start(float32), 1e-5);
  }
}

TEST_CASE("an optimizer made from its config, with the variables of another, goes on like it") {
  for (const auto& [case_name, object] : optimizers()) {
    const std::string& name = case_name;
    CAPTURE(name);
    AnyOptimizer first = optimizer_of(name);
    std::vector<Weight> weights = start();
    for (int step = 1; step <= 7; ++step) first->apply(gradients(step), weights);
    AnyOptimizer second = AnyOptimizer::from_config(first->class_name(), first->config());
    second->build(weights);
    std::vector<Tensor> state;
    for (const auto& [variable, value] : first->variables()) state.push_back(value);
    second->set_variables(state);
    CHECK(second->iterations() == first->iterations());
    check_steps(name, *second, weights, 1e-7, 8);  // the float32 learning rate aside
  }
}

TEST_CASE("a restored optimizer goes on bit for bit") {
  std::vector<Weight> a = start(float32), b = start(float32);
  Adam one(1e-3), two(1e-3);
  for (int step = 1; step <= 5; ++step) one.apply(gradients(step), a);
  for (std::size_t i = 0; i < 2; ++i) b[i].assign(a[i]);
  two.build(b);
  std::vector<Tensor> state;
  for (const auto& [variable, value] : one.variables()) state.push_back(value);
  two.set_variables(state);
  for (int step = 6; step <= 10; ++step)
    one.apply(gradients(step), a), two.apply(gradients(step), b);
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(a[i].value().to_vector<float>() == b[i].value().to_vector<float>());
}

TEST_CASE("variables come in Keras' order") {
  auto names = [](Optimizer& optimizer) {
    Weight kernel("kernel", zeros({3, 2})), bias("bias", zeros({2}));
    kernel.set_path("sequential/dense/kernel");
    bias.set_path("sequential/dense/bias");
    optimizer.build({kernel, bias});
    std::vector<std::string> list;
    for (const auto& [name, value] : optimizer.variables()) {
      list.push_back(name);
      if (name.starts_with("sequential_dense_kernel")) CHECK(value.shape() == Shape{3, 2});
    }
    return list;
  };
  std::string k = "sequential_dense_kernel_", b = "sequential_dense_bias_";
  using Names = std::vector<std::string>;
  Adam adam({.amsgrad = true});
  CHECK(names(adam) == Names{"iteration", "learning_rate", k + "momentum", k + "velocity",
                             b + "momentum", b + "velocity", k + "velocity_hat",
                             b + "velocity_hat"});
  RMSprop rmsprop({.momentum = 0.9, .centered = true});
  CHECK(names(rmsprop) == Names{"iteration", "learning_rate", k + "velocity", b + "velocity",
                                k + "momentum", b + "momentum", k + "average_gradient",
                                b + "average_gradient"});
  SGD sgd({.learning_rate = CosineDecay(1, 10)});
  CHECK(names(sgd) == Names{"iteration"});
  SGD both({.use_ema = true, .gradient_accumulation_steps = 2});
  CHECK(names(both) == Names{"iteration", "learning_rate", k + "average", b + "average",
                             k + "gradient_accumulator", b + "gradient_accumulator"});
  Nadam nadam;
  CHECK(names(nadam).back() == "u_product");
  CHECK(adam.variables()[0].second.dtype() == int32);
  CHECK(adam.variables()[1].second.dtype() == float32);
}

TEST_CASE("gradient descent by hand") {
  Weight w = weight_of({1, 2});
  SGD sgd(0.5);
  sgd.apply({tensor({4.0, -2.0})}, {w});
  CHECK(w.value().item(0) == -1);
  CHECK(w.value().item(1) == 3);
  CHECK(sgd.iterations() == 1);
}

TEST_CASE("Adam's first step is the learning rate, whatever the size of the gradient") {
  for (double size : {1e-3, 1.0, 1e6}) {
    Weight w = weight_of({1, 1});
    Adam adam({.learning_rate = 0.1, .epsilon = 0});
    adam.apply({tensor(std::vector<double>{size, -size})}, {w});
    CHECK(w.value().item(0) == doctest::Approx(0.9));
    CHECK(w.value().item(1) == doctest::Approx(1.1));
  }
}

TEST_CASE("steps work in place, on transposed weights and gradients too" * on_processor()) {
  for (const char* name : {"sgd", "adam", "rmsprop"}) {
    Random random(1);
    Tensor value = random.normal({3, 5}), g = random.normal({3, 5});
    Weight plain("w", value), turned("w", value);
    turned.replace(value.transpose().copy().transpose());
    REQUIRE(!turned.value().is_contiguous());
    Tensor alias = plain.value();
    AnyOptimizer a = name, b = name;
    for (int step = 0; step < 3; ++step) {
      a->apply({g}, {plain});
      b->apply({g.transpose().copy().transpose()}, {turned});
    }
    CHECK(max_relative_difference(turned, plain) < 1e-6);
    CHECK(max_relative_difference(plain, value) > 1e-4);
    CHECK(alias.data<float>() == plain.value().data<float>());
    CHECK(alias.item(0, 0) == plain.value().item(0, 0));
  }
}

TEST_CASE("weights without a gradient stay, and so do their slots") {
  Weight used = weight_of({1}), unused = weight_of({1});
  AdamW adam(0.1);
  adam.apply({tensor({1.0}), Tensor()}, {used, unused});
  CHECK(used.value().item(0) != 1);
  CHECK(unused.value().item(0) == 1);
  CHECK_THROWS_WITH_AS(adam.apply({Tensor(), Tensor()}, {used, unused}),
                       "adamw: no weight has a gradient; does the loss depend on them?",
                       std::invalid_argument);
}

TEST_CASE("constraints hold after each step") {
  Weight w = weight_of({1, 1});
  w.set_constraint([](const Tensor& x) { return maximum(x, 0.0); });
  SGD(1.0).apply({tensor({3.0, 0.5})}, {w});
  CHECK(w.value().item(0) == 0);
  CHECK(w.value().item(1) == 0.5);
}

TEST_CASE("a zero gradient, a zero weight and a zero learning rate do no harm") {
  for (const auto& [case_name, object] : optimizers()) {
    const std::string& name = case_name;
    CAPTURE(name);
    AnyOptimizer optimizer = optimizer_of(name);
    Weight w = weight_of({0, 0, 1});
    for (int step = 0; step < 3; ++step) optimizer->apply({zeros({3}, float64)}, {w});
    for (double value : w.value().to_vector<double>()) CHECK(std::isfinite(value));
  }
  Weight w = weight_of({1, 2});
  Adam adam(0.0);
  adam.apply({tensor({1.0, 1.0})}, {w});
  CHECK(w.value().to_vector<double>() == std::vector<double>{1, 2});
}

TEST_CASE("clipping leaves short gradients alone, and infinite ones show") {
  Weight w = weight_of({0, 0});
  SGD by_norm({.learning_rate = 1, .clipnorm = 10.0});
  by_norm.apply({tensor(std::vector<double>{3, 4})}, {w});
  CHECK(w.value().to_vector<double>() == std::vector<double>{-3, -4});
  by_norm.apply({tensor(std::vector<double>{30, 40})}, {w});
  CHECK(w.value().item(0) == doctest::Approx(-9));
  CHECK(w.value().item(1) == doctest::Approx(-12));
  Weight a = weight_of({0}), b = weight_of({0});
  SGD global({.learning_rate = 1, .global_clipnorm = 1.0});
  global.apply({tensor(std::vector<double>{INFINITY}), tensor(std::vector<double>{1})}, {a, b});
  CHECK(std::isnan(b.value().item(0)));
}

TEST_CASE("an average of the weights is kept, and put in place at the end") {
  Weight w = weight_of({0});
  SGD sgd({.learning_rate = 1, .use_ema = true, .ema_momentum = 0.5});
  for (double g : {-1.0, -1.0, -1.0}) sgd.apply({tensor(std::vector<double>{g})}, {w});
  CHECK(w.value().item(0) == 3);
  sgd.finish();
  CHECK(w.value().item(0) == 0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 3);
}

TEST_CASE("the learning rate can be set, unless a schedule does it") {
  Adam adam(0.1);
  CHECK(adam.learning_rate() == 0.1);
  adam.set_learning_rate(0.01);
  CHECK(adam.learning_rate() == 0.01);
  Adam scheduled({.learning_rate = PiecewiseConstantDecay({0}, {0.5, 0.25})});
  Weight w = weight_of({0});
  CHECK(scheduled.learning_rate() == 0.5);
  scheduled.apply({tensor({1.0})}, {w});
  CHECK(scheduled.learning_rate() == 0.25);
  CHECK_THROWS_WITH_AS(scheduled.set_learning_rate(1),
                       "adam: the learning rate follows a schedule and cannot be set",
                       std::invalid_argument);
}

namespace {

class Heavy : public Optimizer {
 public:
  explicit Heavy(LearningRate rate) : Optimizer({.learning_rate = rate, .name = "heavy"}) {}
  void update(Weight& w, const Tensor& g, double learning_rate) override {
    Tensor& m = slot(w, "momentum");
    m.assign(0.9 * m - learning_rate * g);
    w.assign(w + m);
  }
};

}  // namespace

TEST_CASE("an optimizer of one's own is one function") {
  AnyOptimizer heavy = Heavy(0.1);
  check_steps("sgd/momentum", *heavy, start(), 1e-12);
  CHECK(heavy->variables().size() == 4);
  CHECK(heavy->variables()[2].first == "kernel_momentum");
}

TEST_CASE("nothing an optimizer does is recorded") {
  for (const char* name : {"adam", "rmsprop", "lamb"}) {
    Weight w = weight_of({1, 2});
    AnyOptimizer optimizer = name;
    GradientTape tape;
    Tensor y = sum(square(w));
    std::size_t before = tape.size();
    optimizer->apply({tensor({1.0, 1.0})}, {w});
    CHECK(tape.size() == before);
  }
}

TEST_CASE("an optimizer finds the minimum") {
  for (const char* name :
       {"adagrad", "adam", "adamax", "adamw", "ftrl", "lamb", "lion", "nadam", "rmsprop", "sgd"}) {
    CAPTURE(name);
    Weight w = weight_of({2, -3}, float32);
    AnyOptimizer optimizer = name;
    optimizer->set_learning_rate(std::string(name) == "adagrad" || name[0] == 'f' ? 1 : 0.02);
    for (int step = 0; step < 600; ++step) {
      GradientTape tape;
      Tensor loss = sum(square(w - tensor({1, 1})));
      optimizer->apply({tape.gradient(loss, w)}, {w});
    }
    CHECK(std::abs(w.value().item(0) - 1) < 0.05);
    CHECK(std::abs(w.value().item(1) - 1) < 0.05);
  }
}

TEST_CASE("Muon makes matrices orthogonal, and leaves the others to Adam") {
  Weight kernel("kernel", zeros({3, 5})), embeddings("embeddings", zeros({3, 5})),
      bias("bias", zeros({5}));
  Tensor g = Random(5).normal({3, 5});
  Muon muon({.learning_rate = 1, .momentum = 0, .ns_steps = 12, .rms_rate = std::nullopt});
  muon.apply({g, g, ones({5})}, {kernel, embeddings, bias});
  Tensor product = matmul(kernel.value(), transpose(kernel.value()));  // nearly the identity
  CHECK(max(abs(product - eye(3))).item() < 0.6);
  CHECK(max(abs(abs(embeddings.value()) - 1)).item() < 1e-4);  // Adam's first step
  CHECK(max(abs(bias.value() + 1)).item() < 1e-4);
  CHECK(muon.variables().size() == 7);  // two numbers, three momentums, two velocities
}

TEST_CASE("a learning rate or a bound that makes no sense is refused") {
  CHECK_THROWS_WITH(Adam({.learning_rate = -1}),
                    "adam: expected a learning rate of at least 0, got -1");
  CHECK_THROWS_AS(SGD(NAN), std::invalid_argument);
  CHECK_THROWS_WITH(SGD({.clipnorm = -1.0}), "sgd: expected clipnorm above 0, got -1");
  Adam adam;
  CHECK_THROWS_AS(adam.set_learning_rate(INFINITY), std::invalid_argument);
  CHECK(adam.learning_rate() == 0.001);
}

TEST_CASE("after the first steps no memory is asked of the system") {
  for (const auto& [case_name, object] : optimizers()) {
    const std::string& name = case_name;
    CAPTURE(name);
    AnyOptimizer optimizer = optimizer_of(name);
    Random random(3);
    std::vector<Weight> weights{Weight("a", random.normal({40, 30})),
                                Weight("b", random.normal({500}))};
    std::vector<Tensor> g{random.normal({40, 30}), random.normal({500})};
    for (int step = 0; step < 4; ++step) optimizer->apply(g, weights);
    std::int64_t before = memory_stats().system_allocations;
    for (int step = 0; step < 8; ++step) optimizer->apply(g, weights);
    if (!sanitized) CHECK(memory_stats().system_allocations == before);
  }
}

TEST_CASE("errors of optimizers name the optimizer, the rule and what came") {
  CHECK_THROWS_WITH_AS(
      AnyOptimizer("adamm"),
      "compile: unknown optimizer \"adamm\". Known: adadelta, adafactor, adagrad, adam, adamax, "
      "adamw, ftrl, lamb, lion, muon, nadam, rmsprop, schedulefreeadamw, sgd. Did you mean "
      "\"adam\"?",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      AnyOptimizer("quick"),
      "compile: unknown optimizer \"quick\". Known: adadelta, adafactor, adagrad, adam, adamax, "
      "adamw, ftrl, lamb, lion, muon, nadam, rmsprop, schedulefreeadamw, sgd.",
      std::invalid_argument);
  CHECK(AnyOptimizer("AdamW")->name() == "adamw");
  CHECK_THROWS_WITH_AS(Adam({.clipnorm = 1.0, .clipvalue = 1.0}),
                       "adam: only one of clipnorm, clipvalue and global_clipnorm can be set",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Adam({.gradient_accumulation_steps = 1}),
                       "adam: expected gradient_accumulation_steps of at least 2, got 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(SGD({.momentum = 2}), "sgd: expected momentum in [0, 1], got 2",
                       std::invalid_argument);

  Weight w("w", zeros({3, 2})), other("other", zeros({2}));
  w.set_path("dense/kernel");
  Adam adam;
  adam.build({w});
  CHECK_THROWS_WITH_AS(adam.apply({zeros({2, 3})}, {w}),
                       "adam: dense/kernel has shape (3, 2), its gradient (2, 3)",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(adam.apply({zeros({3, 2}), zeros({2})}, {w}),
                       "adam: 2 gradients for 1 weights", std::invalid_argument);
  CHECK_THROWS_WITH_AS(adam.apply({zeros({2})}, {other}),
                       "adam: other is not among the 1 weights it was built for",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      adam.build({w, other}),
      "adam: already built for 1 other weights; each model needs an optimizer of its own",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(adam.set_variables({zeros({})}), "adam: expected 4 variables, got 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      adam.set_variables({zeros({}), zeros({}), zeros({3, 2}), zeros({2, 3})}),
      "adam: variable 3 (dense_kernel_velocity): expected shape (3, 2), got (2, 3)",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(AnyOptimizer::from_config("Adam", {{"beta_1", std::string("x")}}),
                       "adam: the value of option \"beta_1\" has the wrong type",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      adam.set_variables({full({}, 7), full({}, NAN), zeros({3, 2}), zeros({3, 2})}),
      "adam: expected a learning rate of at least 0, got nan", std::invalid_argument);
  for (double wrong : {-1.0, 1e10, double(NAN)})
    CHECK(error_of([&] {
            adam.set_variables({full({}, wrong), full({}, 0.1), zeros({3, 2}), zeros({3, 2})});
          }).starts_with("adam: expected an iteration from 0 to 2147483647, got "));
  CHECK(adam.iterations() == 0);
  AnyOptimizer scaled = AnyOptimizer::from_config("Adam", {{"loss_scale_factor", 2.0}});
  const Config kept = scaled->config();
  CHECK(*find_option(kept, "loss_scale_factor") == Option(2.0));
}

TEST_CASE("a scale multiplies the loss and divides the gradients") {
  Weight w = weight_of({1, 2});
  const AnyOptimizer sgd =
      AnyOptimizer::from_config("SGD", {{"learning_rate", 0.5}, {"loss_scale_factor", 8.0}});
  GradientTape tape;
  const Tensor loss = sum(square(w.value())), scaled = sgd->scale_loss(loss);
  CHECK(scaled.item() == 8 * loss.item());
  const Tensor gradient = std::move(tape).gradient(scaled, {w.value()})[0];
  CHECK(gradient.item(1) == 8 * 4);
  sgd->apply({gradient}, {w});
  CHECK(w.value().item(0) == 0);
  CHECK(w.value().item(1) == 0);
  CHECK(SGD().scale_loss(loss).item() == loss.item());
  CHECK_THROWS_WITH_AS(AnyOptimizer::from_config("SGD", {{"loss_scale_factor", 0.0}}),
                       "sgd: expected loss_scale_factor from 2^-100 to 2^127, got 0",
                       std::invalid_argument);
}

TEST_CASE("a loss scale grows after finite steps, and halves instead of a step that is not") {
  Weight w = weight_of({1, 2});
  const SGD given({.learning_rate = 0.5, .clipvalue = 1.0});
  const LossScaleOptimizer sgd(given, {.initial_scale = 8, .dynamic_growth_steps = 2});
  auto scale = [&] { return sgd->scale_loss(tensor({1.0})).item(0); };
  auto step = [&](double g) { sgd->apply({tensor({g, 0.0})}, {w}); };
  CHECK(scale() == 8);
  step(4);  // 4 / 8
  CHECK(w.value().item(0) == 0.75);
  CHECK(sgd->iterations() == 1);
  for (double wrong : {NAN, INFINITY}) {
    const double before = scale();
    step(wrong);
    CHECK(scale() == before / 2);
    CHECK(w.value().item(0) == 0.75);
    CHECK(sgd->iterations() == 1);
  }
  step(1);  // 1 / 2
  CHECK(w.value().item(0) == 0.5);
  CHECK(scale() == 2);
  step(100);  // more than 1, which clipvalue allows
  CHECK(w.value().item(0) == 0);
  CHECK(scale() == 4);
  CHECK(given.scale_loss(tensor({1.0})).item(0) == 1);  // as it was given
  std::vector<std::string> names;
  for (const auto& [name, value] : sgd->variables()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"iteration", "learning_rate", "step_counter",
                                          "dynamic_scale", "iteration", "learning_rate"});
  for (int i = 0; i < 300; ++i) step(NAN);
  step(0x1p-100);
  CHECK(w.value().item(0) == -0.5);
  const LossScaleOptimizer huge(SGD(0.0), {.initial_scale = 0x1p126, .dynamic_growth_steps = 1});
  for (int i = 0; i < 3; ++i) huge->apply({tensor({1.0, 1.0})}, {w});
  CHECK(huge->scale_loss(tensor({1.0})).item(0) == 0x1p127);  // a file can hold it
}

TEST_CASE("a loss scale has rules") {
  const LossScaleOptimizer built(SGD(0.5), {.dynamic_growth_steps = 5});
  built->build({weight_of({1, 2})});
  auto state = [](double steps, double scale) {
    return std::vector<Tensor>{zeros({}, int32), zeros({}),   full({}, steps),
                               full({}, scale),  full({}, 3), full({}, 0.25)};
  };
  using Pairs = std::vector<std::pair<double, double>>;
  for (const auto& wrong : Pairs{{1e10, 8}, {-1, 8}, {0, 0}, {0, NAN}})
    CHECK(error_of([&] {
            built->set_variables(state(wrong.first, wrong.second));
          }).starts_with("sgd: expected at least 0 finite steps and a scale above 0, got "));
  CHECK(built->iterations() == 0);
  built->set_variables(state(2, INFINITY));  // which Keras may write
  CHECK(built->scale_loss(tensor({1.0})).item(0) == 0x1p127);
  CHECK(built->iterations() == 3);
  const AnyOptimizer scaled = LossScaleOptimizer(SGD());
  CHECK(error_of([] { LossScaleOptimizer made(SGD(), {.initial_scale = 0}); }) ==
        "LossScaleOptimizer: expected initial_scale from 2^-100 to 2^127, got 0");
  CHECK(error_of([] { LossScaleOptimizer made((AnyOptimizer())); }) ==
        "LossScaleOptimizer: the optimizer is empty");
  CHECK(error_of([] { LossScaleOptimizer made(SGD(), {.dynamic_growth_steps = 0}); }) ==
        "LossScaleOptimizer: expected dynamic_growth_steps of at least 1, got 0");
  CHECK(error_of([&] { LossScaleOptimizer again(scaled); }) ==
        "LossScaleOptimizer: the optimizer sgd is in one already");
  CHECK(error_of([] { AnyOptimizer::from_config("LossScaleOptimizer", {}); }) ==
        "LossScaleOptimizer: expected an inner_optimizer, got none");
  CHECK(error_of([] {
          AnyOptimizer::from_config("LossScaleOptimizer",
                                    {{"inner_optimizer", "sgd"}, {"clipnorm", 1.0}});
        }) == "LossScaleOptimizer: unknown option \"clipnorm\"");
}

TEST_CASE("weights can be excluded from weight decay, by name or as they are") {
  auto weight = [](const char* path) {
    Weight w("w", ones({2}));
    w.set_path(path);
    return w;
  };
  Weight kernel = weight("dense/kernel"), bias = weight("dense/bias"), gamma = weight("norm/gamma");
  SGD sgd({.learning_rate = 0.5, .weight_decay = 0.1});
  sgd.exclude_from_weight_decay({"bias"});
  sgd.exclude_from_weight_decay(std::vector<Weight>{gamma});
  sgd.apply({zeros({2}), zeros({2}), zeros({2})}, {kernel, bias, gamma});
  CHECK(kernel.value().item(0) == doctest::Approx(1 - 0.5 * 0.1));
  CHECK(bias.value().item(0) == 1);
  CHECK(gamma.value().item(0) == 1);
  CHECK_THROWS_WITH_AS(sgd.exclude_from_weight_decay({"kernel"}),
                       "sgd: exclude_from_weight_decay must come before the first step",
                       std::invalid_argument);
}

TEST_SUITE_END();
