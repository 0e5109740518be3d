// The rules. SGD and Adam run as one fused loop over the weight and its slots; the others are
// written with ops.

#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/core/functions.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/fused_step.h>
#include <keratin/optim/internal/optimizer_support.h>
#include <keratin/optim/optimizers.h>

namespace keratin {
// --- SGD

SGD::SGD(const Options& o)
    : Optimizer(common(o, "sgd")), momentum_(o.momentum), nesterov_(o.nesterov) {
  if (!(momentum_ >= 0 && momentum_ <= 1))
    fail("{}: expected momentum in [0, 1], got {}", name(), momentum_);
}
SGD::SGD(LearningRate learning_rate) : SGD(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> SGD::fields() {
  return join(Optimizer::fields(), {{"momentum", &momentum_}, {"nesterov", &nesterov_}});
}

void SGD::build_slots() {
  if (momentum_ != 0) add_slots({"momentum"});
}

void SGD::update(Weight& w, const Tensor& g, double learning_rate) {
  if (momentum_ == 0)
    queue(FusedStep(fn::SgdStep{learning_rate}, {w, g}));
  else if (nesterov_)
    queue(FusedStep(fn::NesterovStep{learning_rate, momentum_}, {w, slot(w, "momentum"), g}));
  else
    queue(FusedStep(fn::MomentumStep{learning_rate, momentum_}, {w, slot(w, "momentum"), g}));
}

// --- Adam, AdamW

Adam::Adam(OptimizerOptions common, double beta_1, double beta_2, double epsilon, bool amsgrad)
    : Optimizer(std::move(common)),
      beta_1_(beta_1),
      beta_2_(beta_2),
      epsilon_(epsilon),
      amsgrad_(amsgrad) {}
Adam::Adam(const Options& o) : Adam(common(o, "adam"), o.beta_1, o.beta_2, o.epsilon, o.amsgrad) {}
Adam::Adam(LearningRate learning_rate) : Adam(with_rate<Options>(std::move(learning_rate))) {}
AdamW::AdamW(const Options& o)
    : Adam(common(o, "adamw"), o.beta_1, o.beta_2, o.epsilon, o.amsgrad) {}
AdamW::AdamW(LearningRate learning_rate) : AdamW(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Adam::fields() {
  return join(
      Optimizer::fields(),
      {{"beta_1", &beta_1_}, {"beta_2", &beta_2_}, {"epsilon", &epsilon_}, {"amsgrad", &amsgrad_}});
}

void Adam::build_slots() {
  add_slots({"momentum", "velocity"});
  if (amsgrad_) add_slots({"velocity_hat"});
}

void Adam::update(Weight& w, const Tensor& g, double learning_rate) {
  auto t = static_cast<double>(iterations() + 1);
  double alpha = learning_rate * std::sqrt(1 - std::pow(beta_2_, t)) / (1 - std::pow(beta_1_, t));
  Tensor& m = slot(w, "momentum");
  Tensor& v = slot(w, "velocity");
  if (amsgrad_)
    queue(FusedStep(fn::AmsgradStep{alpha, beta_1_, beta_2_, epsilon_},
                    {w, m, v, slot(w, "velocity_hat"), g}));
  else
    queue(FusedStep(fn::AdamStep{alpha, beta_1_, beta_2_, epsilon_}, {w, m, v, g}));
}

// --- RMSprop

RMSprop::RMSprop(const Options& o)
    : Optimizer(common(o, "rmsprop")),
      rho_(o.rho),
      momentum_(o.momentum),
      epsilon_(o.epsilon),
      centered_(o.centered) {}
RMSprop::RMSprop(LearningRate learning_rate)
    : RMSprop(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> RMSprop::fields() {
  return join(
      Optimizer::fields(),
      {{"rho", &rho_}, {"momentum", &momentum_}, {"epsilon", &epsilon_}, {"centered", &centered_}});
}

void RMSprop::build_slots() {
  add_slots({"velocity"});
  if (momentum_ > 0) add_slots({"momentum"});
  if (centered_) add_slots({"average_gradient"});
}

void RMSprop::update(Weight& w, const Tensor& g, double learning_rate) {
  Tensor& v = slot(w, "velocity");
  if (is_fused())
    return queue(FusedStep(fn::RmspropStep{learning_rate, rho_, epsilon_}, {w, v, g}));
  v.assign(rho_ * v + (1 - rho_) * square(g));
  Tensor variance = v;
  if (centered_) {
    Tensor& mean = slot(w, "average_gradient");
    mean.assign(rho_ * mean + (1 - rho_) * g);
    variance = v - square(mean);
  }
  Tensor increment = learning_rate * g / sqrt(variance + epsilon_);
  if (momentum_ > 0) {
    Tensor& m = slot(w, "momentum");
    m.assign(momentum_ * m + increment);
    increment = m;
  }
  w.assign(w - increment);
}

// --- Adagrad

Adagrad::Adagrad(const Options& o)
    : Optimizer(common(o, "adagrad")),
      initial_accumulator_value_(o.initial_accumulator_value),
      epsilon_(o.epsilon) {}
Adagrad::Adagrad(LearningRate learning_rate)
    : Adagrad(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Adagrad::fields() {
  return join(Optimizer::fields(),
              {{"initial_accumulator_value", &initial_accumulator_value_}, {"epsilon", &epsilon_}});
}

void Adagrad::build_slots() { add_slots({{"accumulator", initial_accumulator_value_}}); }

void Adagrad::update(Weight& w, const Tensor& g, double learning_rate) {
  Tensor& a = slot(w, "accumulator");
  a.assign(a + square(g));
  w.assign(w - learning_rate * g / sqrt(a + epsilon_));
}

// --- Adadelta

Adadelta::Adadelta(const Options& o)
    : Optimizer(common(o, "adadelta")), rho_(o.rho), epsilon_(o.epsilon) {}
Adadelta::Adadelta(LearningRate learning_rate)
    : Adadelta(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Adadelta::fields() {
  return join(Optimizer::fields(), {{"rho", &rho_}, {"epsilon", &epsilon_}});
}

void Adadelta::build_slots() { add_slots({"accumulated_grad", "accumulated_delta_var"}); }

void Adadelta::update(Weight& w, const Tensor& g, double learning_rate) {
  Tensor& a = slot(w, "accumulated_grad");
  Tensor& b = slot(w, "accumulated_delta_var");
  a.assign(rho_ * a + (1 - rho_) * square(g));
  Tensor d = -(sqrt(b + epsilon_) * g / sqrt(a + epsilon_));
  b.assign(rho_ * b + (1 - rho_) * square(d));
  w.assign(w + learning_rate * d);
}

// --- Adamax

Adamax::Adamax(const Options& o)
    : Optimizer(common(o, "adamax")), beta_1_(o.beta_1), beta_2_(o.beta_2), epsilon_(o.epsilon) {}
Adamax::Adamax(LearningRate learning_rate) : Adamax(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Adamax::fields() {
  return join(Optimizer::fields(),
              {{"beta_1", &beta_1_}, {"beta_2", &beta_2_}, {"epsilon", &epsilon_}});
}

void Adamax::build_slots() { add_slots({"momentum", "norm"}); }

void Adamax::update(Weight& w, const Tensor& g, double learning_rate) {
  auto t = static_cast<double>(iterations() + 1);
  Tensor& m = slot(w, "momentum");
  Tensor& u = slot(w, "norm");
  m.assign(m + (g - m) * (1 - beta_1_));
  u.assign(maximum(beta_2_ * u, abs(g)));
  w.assign(w - learning_rate * m / ((1 - std::pow(beta_1_, t)) * (u + epsilon_)));
}

// --- Nadam

Nadam::Nadam(const Options& o)
    : Optimizer(common(o, "nadam")), beta_1_(o.beta_1), beta_2_(o.beta_2), epsilon_(o.epsilon) {}
Nadam::Nadam(LearningRate learning_rate) : Nadam(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Nadam::fields() {
  return join(Optimizer::fields(),
              {{"beta_1", &beta_1_}, {"beta_2", &beta_2_}, {"epsilon", &epsilon_}});
}

double Nadam::u(std::int64_t step) const {
  return beta_1_ * (1 - 0.5 * std::pow(0.96, static_cast<double>(step)));
}

void Nadam::build_slots() {
  add_slots({"momentum", "velocity"});
  scalar("u_product", 1);
}

void Nadam::begin_update() { scalar("u_product") *= u(iterations() + 1); }

void Nadam::update(Weight& w, const Tensor& g, double learning_rate) {
  std::int64_t t = iterations() + 1;
  double product = scalar("u_product");
  Tensor& m = slot(w, "momentum");
  Tensor& v = slot(w, "velocity");
  m.assign(m + (g - m) * (1 - beta_1_));
  v.assign(v + (square(g) - v) * (1 - beta_2_));
  Tensor m_hat = u(t + 1) / (1 - product * u(t + 1)) * m + (1 - u(t)) / (1 - product) * g;
  Tensor v_hat = v / (1 - std::pow(beta_2_, static_cast<double>(t)));
  w.assign(w - learning_rate * m_hat / (sqrt(v_hat) + epsilon_));
}

// --- Ftrl

Ftrl::Ftrl(const Options& o)
    : Optimizer(common(o, "ftrl")),
      learning_rate_power_(o.learning_rate_power),
      initial_accumulator_value_(o.initial_accumulator_value),
      l1_(o.l1_regularization_strength),
      l2_(o.l2_regularization_strength),
      l2_shrinkage_(o.l2_shrinkage_regularization_strength),
      beta_(o.beta) {
  if (!(initial_accumulator_value_ >= 0 && l1_ >= 0 && l2_ >= 0 && l2_shrinkage_ >= 0))
    fail("{}: expected an initial accumulator value and strengths of at least 0", name());
  if (!(learning_rate_power_ <= 0))
    fail("{}: expected learning_rate_power of at most 0, got {}", name(), learning_rate_power_);
}
Ftrl::Ftrl(LearningRate learning_rate) : Ftrl(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Ftrl::fields() {
  return join(Optimizer::fields(), {{"learning_rate_power", &learning_rate_power_},
                                    {"initial_accumulator_value", &initial_accumulator_value_},
                                    {"l1_regularization_strength", &l1_},
                                    {"l2_regularization_strength", &l2_},
                                    {"l2_shrinkage_regularization_strength", &l2_shrinkage_},
                                    {"beta", &beta_}});
}

void Ftrl::build_slots() { add_slots({{"accumulator", initial_accumulator_value_}, "linear"}); }

void Ftrl::update(Weight& w, const Tensor& g, double learning_rate) {
  Tensor& n = slot(w, "accumulator");
  Tensor& z = slot(w, "linear");
  double p = -learning_rate_power_;
  Tensor n1 = n + square(g);
  Tensor growth = (power(n1, p) - power(n, p)) / learning_rate;
  z.assign(z + g + 2 * l2_shrinkage_ * w - growth * w);
  Tensor quadratic = power(n1, p) / learning_rate + (2 * l2_ + beta_ / learning_rate);
  w.assign((clip(z, -l1_, l1_) - z) / quadratic);
  n.assign(n1);
}

// --- Lion

Lion::Lion(const Options& o) : Optimizer(common(o, "lion")), beta_1_(o.beta_1), beta_2_(o.beta_2) {
  if (!(beta_1_ > 0 && beta_1_ <= 1))
    fail("{}: expected beta_1 in (0, 1], got {}", name(), beta_1_);
}
Lion::Lion(LearningRate learning_rate) : Lion(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Lion::fields() {
  return join(Optimizer::fields(), {{"beta_1", &beta_1_}, {"beta_2", &beta_2_}});
}

void Lion::build_slots() { add_slots({"momentum"}); }

void Lion::update(Weight& w, const Tensor& g, double learning_rate) {
  Tensor& m = slot(w, "momentum");
  w.assign(w - learning_rate * sign(beta_1_ * m + (1 - beta_1_) * g));
  m.assign(beta_2_ * m + (1 - beta_2_) * g);
}

// --- Lamb

Lamb::Lamb(const Options& o)
    : Optimizer(common(o, "lamb")), beta_1_(o.beta_1), beta_2_(o.beta_2), epsilon_(o.epsilon) {}
Lamb::Lamb(LearningRate learning_rate) : Lamb(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Lamb::fields() {
  return join(Optimizer::fields(),
              {{"beta_1", &beta_1_}, {"beta_2", &beta_2_}, {"epsilon", &epsilon_}});
}

void Lamb::build_slots() { add_slots({"momentum", "velocity"}); }

void Lamb::update(Weight& w, const Tensor& g, double learning_rate) {
  auto t = static_cast<double>(iterations() + 1);
  Tensor& m = slot(w, "momentum");
  Tensor& v = slot(w, "velocity");
  m.assign(m + (g - m) * (1 - beta_1_));
  v.assign(v + (square(g) - v) * (1 - beta_2_));
  Tensor s = m / (1 - std::pow(beta_1_, t)) / (sqrt(v / (1 - std::pow(beta_2_, t))) + epsilon_);
  Tensor w_norm = sqrt(sum(square(w))), s_norm = sqrt(sum(square(s)));
  Tensor ratio = where(logical_and(w_norm > 0, s_norm > 0), w_norm / s_norm, 1.0);
  w.assign(w - ratio * learning_rate * s);
}

}  // namespace keratin
