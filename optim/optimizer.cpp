// The steps that all optimizers share. They run without recording.

#include <algorithm>
#include <cmath>
#include <limits>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/optim/optimizer.h>

namespace keratin {
namespace {

double squared_norm(const Tensor& g) { return sum(square(g)).item(); }

// Scales g down to length `limit` when it is longer. Not a number makes it so.
void shorten(Tensor& g, double length, double limit) {
  if (!(length <= limit)) g = g * (limit / length);
}

}  // namespace

Optimizer::Optimizer(OptimizerOptions options) : options_(std::move(options)) {
  if (options_.name.empty()) options_.name = "optimizer";
  check_options();
}

Optimizer::~Optimizer() = default;

void Optimizer::check_rate(double rate) const {
  if (!(rate >= 0) || !std::isfinite(rate))
    fail("{}: expected a learning rate of at least 0, got {}", name(), rate);
}

void Optimizer::check_options() const {
  const OptimizerOptions& o = options_;
  if (!o.learning_rate.is_schedule()) check_rate(o.learning_rate.at(0));
  for (auto [what, bound] : {std::pair{"clipnorm", o.clipnorm}, std::pair{"clipvalue", o.clipvalue},
                             std::pair{"global_clipnorm", o.global_clipnorm}})
    if (!(bound.value_or(1) > 0)) fail("{}: expected {} above 0, got {}", name(), what, *bound);
  if (o.clipnorm.has_value() + o.clipvalue.has_value() + o.global_clipnorm.has_value() > 1)
    fail("{}: only one of clipnorm, clipvalue and global_clipnorm can be set", name());
  if (!(o.ema_momentum >= 0 && o.ema_momentum <= 1))
    fail("{}: expected ema_momentum in [0, 1], got {}", name(), o.ema_momentum);
  if (o.ema_overwrite_frequency.value_or(1) < 1)
    fail("{}: expected ema_overwrite_frequency of at least 1, got {}", name(),
         *o.ema_overwrite_frequency);
  if (o.gradient_accumulation_steps.value_or(2) < 2)
    fail("{}: expected gradient_accumulation_steps of at least 2, got {}", name(),
         *o.gradient_accumulation_steps);
}

std::vector<Field> Optimizer::fields() {
  OptimizerOptions& o = options_;
  return {{"name", &o.name},
          {"learning_rate", &o.learning_rate},
          {"weight_decay", &o.weight_decay},
          {"clipnorm", &o.clipnorm},
          {"global_clipnorm", &o.global_clipnorm},
          {"clipvalue", &o.clipvalue},
          {"use_ema", &o.use_ema},
          {"ema_momentum", &o.ema_momentum},
          {"ema_overwrite_frequency", &o.ema_overwrite_frequency},
          {"gradient_accumulation_steps", &o.gradient_accumulation_steps}};
}

void Optimizer::configure(const Config& config) {
  keratin::configure(name(), fields(), config);
  check_options();
}

void Optimizer::set_learning_rate(double learning_rate) {
  if (options_.learning_rate.is_schedule())
    fail("{}: the learning rate follows a schedule and cannot be set", name());
  check_rate(learning_rate);
  options_.learning_rate = learning_rate;
}

void Optimizer::build(const std::vector<Weight>& weights) {
  if (built_) {
    if (weights != weights_)
      fail("{}: already built for {} other weights; each model needs an optimizer of its own",
           name(), weights_.size());
    return;
  }
  weights_ = weights;
  built_ = true;
  if (options_.use_ema) add_slots({"average"});
  if (options_.gradient_accumulation_steps) add_slots({"gradient_accumulator"});
  build_slots();
}

// --- one step

void Optimizer::apply(const std::vector<Tensor>& gradients, const std::vector<Weight>& weights) {
  NoGradient scope;
  if (!built_) build(weights);
  take_gradients(gradients, weights);
  if (accumulate_gradients()) {
    double rate = learning_rate();
    clip_gradients();
    decay_weights(rate);
    begin_update();
    for (std::size_t i = 0; i < step_weights_.size(); ++i)
      update(step_weights_[i], step_gradients_[i], rate);
  }
  average_weights();
  for (Weight& weight : step_weights_)
    if (weight.constraint()) weight.assign(weight.constraint()(weight));
  ++calls_;
  step_weights_.clear();
  step_gradients_.clear();
}

void Optimizer::take_gradients(const std::vector<Tensor>& gradients,
                               const std::vector<Weight>& weights) {
  if (gradients.size() != weights.size())
    fail("{}: {} gradients for {} weights", name(), gradients.size(), weights.size());
  step_weights_.clear();
  step_gradients_.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Weight& weight = weights[i];
    const Tensor& g = gradients[i];
    index_of(weight);
    if (!g.defined()) continue;
    if (g.shape() != weight.shape())
      fail("{}: {} has shape {}, its gradient {}", name(), weight.path(), weight.shape(),
           g.shape());
    step_weights_.push_back(weight);
    step_gradients_.push_back(g.astype(weight.value().dtype()));
  }
  if (step_weights_.empty() && !weights.empty())
    fail("{}: no weight has a gradient; does the loss depend on them?", name());
}

// Whether this call updates the weights; if so, by the mean of the gradients gathered.
bool Optimizer::accumulate_gradients() {
  if (accumulation() == 1) return true;
  bool complete = (calls_ + 1) % accumulation() == 0;
  for (std::size_t i = 0; i < step_weights_.size(); ++i) {
    Tensor& total = slot(step_weights_[i], "gradient_accumulator");
    Tensor sum = total + step_gradients_[i];
    if (complete)
      step_gradients_[i] = sum / accumulation();
    else
      total.assign(sum);
  }
  if (complete)
    for (const Weight& weight : weights_) slot(weight, "gradient_accumulator").assign(0);
  return complete;
}

void Optimizer::clip_gradients() {
  const OptimizerOptions& o = options_;
  if (o.clipnorm.value_or(0) > 0) {
    for (Tensor& g : step_gradients_) shorten(g, std::sqrt(squared_norm(g)), *o.clipnorm);
  } else if (o.clipvalue.value_or(0) > 0) {
    for (Tensor& g : step_gradients_) g = clip(g, -*o.clipvalue, *o.clipvalue);
  } else if (o.global_clipnorm.value_or(0) > 0) {
    double length = global_norm(step_gradients_).item();
    // An infinite norm makes all gradients NaN, so that it shows.
    if (std::isinf(length)) length = std::numeric_limits<double>::quiet_NaN();
    for (Tensor& g : step_gradients_) shorten(g, length, *o.global_clipnorm);
  }
}

// w -= w * weight_decay * learning_rate, which is a step of SGD along w.
void Optimizer::decay_weights(double learning_rate) {
  if (options_.weight_decay.value_or(0) == 0) return;
  fn::SgdStep step{*options_.weight_decay * learning_rate};
  for (const Weight& weight : step_weights_) {
    begin_write(weight, "apply");
    const Tensor& w = weight;
    Tensor inputs[] = {w, w};
    kernels_of(w).pointwise(Pointwise::SgdStep, &step, {&w, 1}, inputs);
  }
}

void Optimizer::average_weights() {
  if (!options_.use_ema) return;
  double momentum = iterations() == 0 ? 0 : options_.ema_momentum;
  int frequency = options_.ema_overwrite_frequency.value_or(0);
  bool overwrite = frequency > 0 && (iterations() + 1) % frequency == 0;
  for (Weight& weight : weights_) {
    Tensor& mean = slot(weight, "average");
    mean.assign(momentum * mean + (1 - momentum) * weight);
    if (overwrite) weight.assign(mean);
  }
}

void Optimizer::finish() {
  if (!options_.use_ema || calls_ == 0) return;
  for (Weight& weight : weights_) weight.assign(slot(weight, "average"));
}

// --- slots

std::size_t Optimizer::index_of(const Weight& weight) {
  // Weights are asked for in order, and several times in a row.
  for (std::size_t k = 0; k < weights_.size(); ++k) {
    std::size_t i = (hint_ + k) % weights_.size();
    if (weights_[i] == weight) return hint_ = i;
  }
  fail("{}: {} is not among the {} weights it was built for", name(), weight.path(),
       weights_.size());
}

Tensor& Optimizer::tensor_of(SlotTensors& slot, std::size_t index) {
  Tensor& tensor = slot.tensors[index];
  const Tensor& weight = weights_[index];
  if (!tensor.defined()) tensor = full(weight.shape(), slot.initial, weight.dtype());
  if (tensor.dtype() != weight.dtype()) tensor = tensor.astype(weight.dtype());
  return tensor;
}

Tensor& Optimizer::slot(const Weight& weight, std::string_view name) {
  std::size_t index = index_of(weight);
  for (SlotTensors& slot : slots_)
    if (slot.name == name) return tensor_of(slot, index);
  std::string made(name);
  add_slots({made.c_str()});
  return tensor_of(slots_.back(), index);
}

void Optimizer::add_slots(const std::vector<Slot>& slots) {
  int group = slots_.empty() ? 0 : slots_.back().group + 1;
  for (const Slot& slot : slots)
    slots_.push_back({slot.name, slot.initial, group, std::vector<Tensor>(weights_.size())});
}

double& Optimizer::scalar(std::string_view name, double initial) {
  for (auto& [known, value] : scalars_)
    if (known == name) return value;
  return scalars_.emplace_back(name, initial).second;
}

// --- state

template <class F>
void Optimizer::for_each_slot(const F& f) {
  for (auto first = slots_.begin(); first != slots_.end();) {
    auto last = std::find_if(first, slots_.end(),
                             [&](const SlotTensors& s) { return s.group != first->group; });
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      std::string path = weights_[i].path();
      std::replace(path.begin(), path.end(), '/', '_');
      for (auto slot = first; slot != last; ++slot) f(path + "_" + slot->name, tensor_of(*slot, i));
    }
    first = last;
  }
}

std::vector<std::pair<std::string, Tensor>> Optimizer::variables() {
  DType dtype = weights_.empty() ? floatx() : weights_[0].value().dtype();
  std::vector<std::pair<std::string, Tensor>> all{
      {"iteration", full({}, static_cast<double>(calls_), int32)}};
  if (!options_.learning_rate.is_schedule())
    all.emplace_back("learning_rate", full({}, learning_rate(), floatx()));
  for_each_slot([&](std::string name, const Tensor& tensor) {
    all.emplace_back(std::move(name), tensor.copy());
  });
  for (const auto& [name, value] : scalars_) all.emplace_back(name, full({}, value, dtype));
  return all;
}

void Optimizer::set_variables(const std::vector<Tensor>& values) {
  std::vector<std::pair<std::string, Tensor>> expected = variables();
  if (values.size() != expected.size())
    fail("{}: expected {} variables, got {}", name(), expected.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& [variable, present] = expected[i];
    if (values[i].shape() != present.shape())
      fail("{}: variable {} ({}): expected shape {}, got {}", name(), i, variable, present.shape(),
           values[i].shape());
  }
  std::size_t next = 0;
  calls_ = static_cast<std::int64_t>(values[next++].item());
  if (!options_.learning_rate.is_schedule()) {
    // Files hold float32: a rate that is the same there keeps its other digits.
    double rate = values[next++].item();
    if (static_cast<float>(rate) != static_cast<float>(learning_rate())) set_learning_rate(rate);
  }
  for_each_slot([&](const std::string&, Tensor& tensor) { tensor.assign(values[next++]); });
  for (auto& [name, value] : scalars_) value = values[next++].item();
}

}  // namespace keratin
