// Optimizers that treat matrices in a way of their own, and the one without a schedule.

#include <algorithm>
#include <cctype>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/core/functions.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/fused_step.h>
#include <keratin/optim/internal/optimizer_support.h>
#include <keratin/optim/optimizers.h>

namespace keratin {
namespace {

Tensor root_mean_square(const Tensor& x) { return sqrt(mean(square(x))); }

/// The shape without this axis, for weights with rows and columns.
// Of a weight that is no matrix, Keras keeps a number that nothing reads.
Shape factor_shape(const Weight& weight, int axis) {
  return weight.shape().rank() < 2 ? Shape{} : weight.shape().without(axis);
}

}  // namespace

// --- Adafactor

Adafactor::Adafactor(const Options& o)
    : Optimizer(common(o, "adafactor")),
      beta_2_decay_(o.beta_2_decay),
      epsilon_1_(o.epsilon_1),
      epsilon_2_(o.epsilon_2),
      clip_threshold_(o.clip_threshold),
      relative_step_(o.relative_step) {
  if (!(clip_threshold_ > 0))
    fail("{}: expected clip_threshold above 0, got {}", name(), clip_threshold_);
}
Adafactor::Adafactor(LearningRate learning_rate)
    : Adafactor(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Adafactor::fields() {
  return join(Optimizer::fields(), {{"beta_2_decay", &beta_2_decay_},
                                    {"epsilon_1", &epsilon_1_},
                                    {"epsilon_2", &epsilon_2_},
                                    {"clip_threshold", &clip_threshold_},
                                    {"relative_step", &relative_step_}});
}

void Adafactor::build_slots() {
  add_slots({{"r", 0, [](const Weight& w) { return factor_shape(w, -1); }},
             {"c", 0, [](const Weight& w) { return factor_shape(w, -2); }},
             "velocity"});
}

void Adafactor::update(Weight& w, const Tensor& g, double learning_rate) {
  const auto t = static_cast<double>(iterations() + 1);
  const double rho = std::min(learning_rate, 1 / std::sqrt(t));
  const double b = 1 - std::pow(t, beta_2_decay_);
  const Tensor squares = square(g) + epsilon_1_;
  const Tensor alpha = rho * maximum(root_mean_square(w), epsilon_2_);
  Tensor& v = slot(w, "velocity");
  if (g.rank() >= 2) {
    Tensor& r = slot(w, "r");
    Tensor& c = slot(w, "c");
    r.assign(b * r + (1 - b) * mean(squares, -1));
    c.assign(b * c + (1 - b) * mean(squares, -2));
    v.assign(expand_dims(r / mean(r, -1, true), -1) * expand_dims(c, -2));
  } else {
    v.assign(b * v + (1 - b) * squares);
  }
  const Tensor u = g / sqrt(v);
  w.assign(w - alpha * u / maximum(root_mean_square(u) / clip_threshold_, 1.0));
}

// --- Muon

Muon::Muon(const Options& o) : Optimizer(common(o, "muon")), options_(o) {
  if (o.ns_steps < 0) fail("{}: expected ns_steps of at least 0, got {}", name(), o.ns_steps);
}
Muon::Muon(LearningRate learning_rate) : Muon(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> Muon::fields() {
  Options& o = options_;
  auto read_names = [&o] {
    return std::vector<Option>(o.exclude_layers.begin(), o.exclude_layers.end());
  };
  auto write_names = [&o](const Option& value) {
    const auto* list = std::get_if<std::vector<Option>>(&value);
    o.exclude_layers.clear();
    if (list == nullptr) return value.is_none();
    return std::ranges::all_of(*list, [&o](const Option& name) {
      return from_option(name, o.exclude_layers.emplace_back());
    });
  };
  return join(Optimizer::fields(), {{"adam_beta_1", &o.adam_beta_1},
                                    {"adam_beta_2", &o.adam_beta_2},
                                    {"epsilon", &o.epsilon},
                                    {"exclude_layers", read_names, write_names},
                                    {"muon_a", &o.muon_a},
                                    {"muon_b", &o.muon_b},
                                    {"muon_c", &o.muon_c},
                                    {"adam_lr_ratio", &o.adam_lr_ratio},
                                    {"momentum", &o.momentum},
                                    {"ns_steps", &o.ns_steps},
                                    {"nesterov", &o.nesterov},
                                    {"exclude_embeddings", &o.exclude_embeddings},
                                    {"adam_weight_decay", &o.adam_weight_decay},
                                    {"rms_rate", &o.rms_rate}});
}

bool Muon::takes_adam(const Weight& weight) const {
  std::string lower = weight.path();
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return weight.shape().rank() != 2 ||
         (options_.exclude_embeddings && lower.find("embedding") != std::string::npos) ||
         std::ranges::any_of(options_.exclude_layers, [&](const std::string& part) {
           return weight.path().find(part) != std::string::npos;
         });
}

void Muon::build_slots() {
  auto of_adam = [this](const Weight& w) {
    return takes_adam(w) ? std::optional(w.shape()) : std::nullopt;
  };
  add_slots({"momentum", {"velocity", 0, of_adam}});
}

std::optional<double> Muon::weight_decay_of(const Weight& weight) const {
  return takes_adam(weight) ? options_.adam_weight_decay : Optimizer::weight_decay_of(weight);
}

void Muon::update(Weight& w, const Tensor& g, double learning_rate) {
  const Options& o = options_;
  Tensor& m = slot(w, "momentum");
  if (takes_adam(w)) {
    const auto t = static_cast<double>(iterations() + 1);
    const double alpha = learning_rate * o.adam_lr_ratio *
                         std::sqrt(1 - std::pow(o.adam_beta_2, t)) /
                         (1 - std::pow(o.adam_beta_1, t));
    return queue(FusedStep(fn::AdamStep{alpha, o.adam_beta_1, o.adam_beta_2, o.epsilon},
                           {w, m, slot(w, "velocity"), g}));
  }
  m.assign(o.momentum * m + g);
  const auto longest = static_cast<double>(std::max(g.size(0), g.size(1)));
  const double scale = o.rms_rate ? *o.rms_rate * std::sqrt(longest) : 1;
  w.assign(w - learning_rate * scale * orthogonalized(o.nesterov ? g + o.momentum * m : m));
}

// Newton and Schulz's iteration, on the side with fewer rows.
Tensor Muon::orthogonalized(const Tensor& x) const {
  const bool tall = x.size(0) > x.size(1);
  Tensor y = tall ? transpose(x) : x;
  y = y / (norm(y) + 1e-7);
  for (int step = 0; step < options_.ns_steps; ++step) {
    const Tensor a = matmul(y, transpose(y));
    y = options_.muon_a * y + matmul(options_.muon_b * a + options_.muon_c * matmul(a, a), y);
  }
  return tall ? transpose(y) : y;
}

// --- ScheduleFreeAdamW

ScheduleFreeAdamW::ScheduleFreeAdamW(const Options& o)
    : Optimizer(common(o, "schedule_free_adam_w")),
      beta_1_(o.beta_1),
      beta_2_(o.beta_2),
      epsilon_(o.epsilon),
      warmup_steps_(o.warmup_steps) {
  if (!(beta_1_ > 0)) fail("{}: expected beta_1 above 0, got {}", name(), beta_1_);
}
ScheduleFreeAdamW::ScheduleFreeAdamW(LearningRate learning_rate)
    : ScheduleFreeAdamW(with_rate<Options>(std::move(learning_rate))) {}

std::vector<Field> ScheduleFreeAdamW::fields() {
  return join(Optimizer::fields(), {{"beta_1", &beta_1_},
                                    {"beta_2", &beta_2_},
                                    {"epsilon", &epsilon_},
                                    {"warmup_steps", &warmup_steps_}});
}

void ScheduleFreeAdamW::build_slots() {
  add_slots({"momentum", "velocity"});
  for (const Weight& weight : weights()) slot(weight, "momentum").assign(weight);
}

void ScheduleFreeAdamW::update(Weight& w, const Tensor& g, double learning_rate) {
  const auto t = static_cast<double>(iterations() + 1);
  if (warmup_steps_ > 0) learning_rate *= std::min(t / warmup_steps_, 1.0);
  Tensor& z = slot(w, "momentum");
  Tensor& v = slot(w, "velocity");
  const Tensor x = (w - (1 - beta_1_) * z) / beta_1_;
  v.assign(v + (square(g) - v) * (1 - beta_2_));
  z.assign(z - learning_rate * g / (sqrt(v / (1 - std::pow(beta_2_, t))) + epsilon_));
  w.assign((1 - beta_1_) * z + beta_1_ * ((1 - 1 / t) * x + z / t));
}

}  // namespace keratin
