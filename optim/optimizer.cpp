// The steps that all optimizers share. They run without recording.

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/functions.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/optim/internal/finite.h>
#include <keratin/optim/internal/fused_step.h>
#include <keratin/optim/optimizer.h>

namespace keratin {
namespace {

// Scales g down to length `limit` when it is longer. A length that is NaN makes it NaN.
void shorten(Tensor& g, const Tensor& length, double limit) {
  g = g * where(length <= limit, 1.0, limit / length);
}

// What a scale for the loss may be, so that float32 holds it and its reciprocal.
constexpr double least_scale = 0x1p-100, largest_scale = 0x1p127;

double as_scale(double x) { return std::clamp(x, least_scale, largest_scale); }

void check_scale(const std::string& who, const char* option, double scale) {
  if (!(scale >= least_scale && scale <= largest_scale))
    fail("{}: expected {} from 2^-100 to 2^127, got {}", who, option, scale);
}

bool all_finite(const std::vector<Tensor>& gradients) {
  if (gradients.empty()) return true;
  const Tensor finite = full({}, 1, boolean, gradients[0].device());
  check_finite(finite, gradients);
  return finite.item() != 0;
}

// What keeps tensors as they are where a step is not allowed.
class Undo {
 public:
  void watch(const Tensor& tensor) { before_.emplace_back(tensor, tensor.copy()); }
  void keep_where(const Tensor& allowed) {
    for (auto& [tensor, value] : before_) tensor.assign(where(allowed, tensor, value));
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> before_;
};

}  // namespace

struct Optimizer::State {
  struct SlotTensors {
    std::string name;
    double initial;
    SlotShape shape;
    int group;                    // those of one add_slots
    std::vector<Tensor> tensors;  // one for each weight, undefined until used
  };

  LearningRate learning_rate;
  std::weak_ptr<const void> owner = {};  // the model it was compiled into
  bool served = false;                   // whether it ever was
  bool built = false;
  std::int64_t calls = 0;
  std::vector<Weight> weights = {};
  std::vector<Weight> undecayed = {};  // by exclude_from_weight_decay
  std::vector<std::string> undecayed_names = {};
  std::size_t hint = 0;                // where the weight asked for last stands in it
  std::deque<SlotTensors> slots = {};  // a deque: references into it outlive new slots
  std::vector<std::pair<std::string, double>> scalars = {};
  // With a LossScaleOptimizer: the scale, once a step has changed it, and finite steps since then.
  std::optional<double> loss_scale = {};
  int finite_steps = 0;
  // The step at hand: the weights with a gradient, and what is to be done with them.
  std::vector<Weight> step_weights = {};
  std::vector<Tensor> step_gradients = {};
  std::optional<FusedStep> fused = {};  // its tensors are in the groups
  std::vector<std::vector<Tensor>> groups = {};
  Tensor allowed = {};  // undefined: yes

  std::size_t index_of(const Weight& weight, const std::string& optimizer);
  Tensor& tensor_of(SlotTensors& slot, std::size_t weight);
  /// Does what was queued.
  void flush();
  /// Calls f(name, tensor) for each slot of each weight in Keras' order.
  template <class F>
  void for_each_slot(const F& f);
};

Optimizer::Optimizer(OptimizerOptions options) : options_(std::move(options)) {
  if (options_.name.empty()) options_.name = "optimizer";
  check_options();
  state_ = std::make_shared<State>(State{options_.learning_rate});
}

AnyOptimizer AnyOptimizer::taken_by(const std::shared_ptr<const void>& owner) const {
  AnyOptimizer taken = *this;
  Optimizer::State* state = optimizer_->state_.get();
  const std::shared_ptr<const void> before = state->owner.lock();
  const bool served = state->served;
  if (before != nullptr && before != owner) {
    if (copy_ == nullptr)
      fail("compile: the optimizer {} belongs to another model", optimizer_->name());
    taken.optimizer_ = copy_(*optimizer_);
    taken.optimizer_->state_ = std::make_shared<Optimizer::State>(*state);
    state = taken.optimizer_->state_.get();
  }
  if (served) {
    Optimizer::State anew{taken.optimizer_->options_.learning_rate};
    anew.undecayed = state->undecayed;
    anew.undecayed_names = state->undecayed_names;
    *state = anew;
  }
  state->owner = owner;
  state->served = true;
  return taken;
}

AnyOptimizer AnyOptimizer::with_loss_scale(const LossScaleOptions& options) const {
  if (optimizer_ == nullptr) fail("LossScaleOptimizer: the optimizer is empty");
  check_scale("LossScaleOptimizer", "initial_scale", options.initial_scale);
  if (options.dynamic_growth_steps < 1)
    fail("LossScaleOptimizer: expected dynamic_growth_steps of at least 1, got {}",
         options.dynamic_growth_steps);
  if (optimizer_->scaling_)
    fail("LossScaleOptimizer: the optimizer {} is in one already", optimizer_->name());
  AnyOptimizer scaled = *this;
  if (copy_ != nullptr) scaled.optimizer_ = copy_(*optimizer_);
  scaled.optimizer_->scaling_ = options;
  scaled.optimizer_->options_.loss_scale_factor.reset();
  return scaled;
}

bool Optimizer::built() const { return state_->built; }
double Optimizer::learning_rate() const { return state_->learning_rate.at(state_->calls); }
const LearningRate& Optimizer::learning_rate_rule() const { return state_->learning_rate; }
std::int64_t Optimizer::iterations() const { return state_->calls / accumulation(); }

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
  check_scale(name(), "loss_scale_factor", o.loss_scale_factor.value_or(1));
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
          {"loss_scale_factor", &o.loss_scale_factor},
          {"gradient_accumulation_steps", &o.gradient_accumulation_steps}};
}

void Optimizer::configure(const Config& config) {
  keratin::configure(name(), fields(), config);
  check_options();
  state_->learning_rate = options_.learning_rate;
}

void Optimizer::set_learning_rate(double learning_rate) {
  if (state_->learning_rate.is_schedule())
    fail("{}: the learning rate follows a schedule and cannot be set", name());
  check_rate(learning_rate);
  state_->learning_rate = learning_rate;
}

void Optimizer::build(const std::vector<Weight>& weights) {
  if (state_->built) {
    if (weights != state_->weights)
      fail("{}: already built for {} other weights; each model needs an optimizer of its own",
           name(), state_->weights.size());
    return;
  }
  state_->weights = weights;
  state_->built = true;
  if (options_.use_ema) add_slots({"average"});
  if (options_.gradient_accumulation_steps) add_slots({"gradient_accumulator"});
  build_slots();
}

// --- one step

void Optimizer::apply(const std::vector<Tensor>& gradients, const std::vector<Weight>& weights) {
  apply_where(Tensor(), gradients, weights);
}

void Optimizer::apply_where(const Tensor& allowed, const std::vector<Tensor>& gradients,
                            const std::vector<Weight>& weights) {
  NoGradient scope;
  if (!state_->built) build(weights);
  take_gradients(gradients, weights);
  if (!unscale_gradients()) return;
  state_->allowed = allowed;
  Undo undo;
  if (allowed.defined() && !only_queues()) {
    for (const Weight& weight : state_->weights) undo.watch(weight);
    state_->for_each_slot([&](const std::string&, const Tensor& slot) { undo.watch(slot); });
  }
  if (accumulate_gradients()) {
    double rate = learning_rate();
    clip_gradients();
    decay_weights(rate);
    state_->flush();
    begin_update();
    for (std::size_t i = 0; i < state_->step_weights.size(); ++i)
      update(state_->step_weights[i], state_->step_gradients[i], rate);
    state_->flush();
  }
  average_weights();
  for (Weight& weight : state_->step_weights)
    if (weight.constraint()) weight.assign(weight.constraint()(weight));
  if (allowed.defined()) undo.keep_where(allowed);
  ++state_->calls;
  state_->step_weights.clear();
  state_->step_gradients.clear();
  state_->allowed = {};
}

// Whether a step is queued and nothing else: then `allowed` is all that holds it back.
bool Optimizer::only_queues() const {
  return is_fused() && !options_.use_ema && accumulation() == 1 &&
         std::ranges::none_of(state_->weights,
                              [](const Weight& w) { return bool(w.constraint()); });
}

void Optimizer::queue(FusedStep step) {
  std::optional<FusedStep>& fused = state_->fused;
  if (fused && (fused->op != step.op || fused->functor != step.functor ||
                state_->groups[0][0].dtype() != step.tensors[0].dtype()))
    state_->flush();
  for (std::size_t i = 0; i + 1 < step.tensors.size(); ++i) begin_write(step.tensors[i], "apply");
  state_->groups.push_back(std::move(step.tensors));
  fused = std::move(step);
}

void Optimizer::State::flush() {
  if (!fused) return;
  kernels_of(groups[0][0]).step(fused->op, fused->functor.data(), groups, allowed);
  fused.reset();
  groups.clear();
}

void Optimizer::take_gradients(const std::vector<Tensor>& gradients,
                               const std::vector<Weight>& weights) {
  if (gradients.size() != weights.size())
    fail("{}: {} gradients for {} weights", name(), gradients.size(), weights.size());
  state_->step_weights.clear();
  state_->step_gradients.clear();
  state_->groups.clear();
  state_->fused.reset();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Weight& weight = weights[i];
    const Tensor& g = gradients[i];
    state_->index_of(weight, name());
    if (!g.defined()) continue;
    if (g.shape() != weight.shape())
      fail("{}: {} has shape {}, its gradient {}", name(), weight.path(), weight.shape(),
           g.shape());
    state_->step_weights.push_back(weight);
    if (g.device() != weight.device())
      fail("{}: {} is on {}, its gradient on {}", name(), weight.path(), weight.device().str(),
           g.device().str());
    state_->step_gradients.push_back(g.astype(weight.value().dtype()));
  }
  if (state_->step_weights.empty() && !weights.empty())
    fail("{}: no weight has a gradient; does the loss depend on them?", name());
}

Tensor Optimizer::scale_loss(const Tensor& loss) const {
  return loss_scale() == 1 ? loss : loss * loss_scale();
}

double Optimizer::loss_scale() const {
  if (scaling_) return state_->loss_scale.value_or(scaling_->initial_scale);
  return options_.loss_scale_factor.value_or(1);
}

// Whether the step is to be done: in a LossScaleOptimizer all gradients must be finite.
bool Optimizer::unscale_gradients() {
  const double scale = loss_scale();
  if (scaling_) {
    const bool finite = all_finite(state_->step_gradients);
    const bool grows = finite && ++state_->finite_steps == scaling_->dynamic_growth_steps;
    if (!finite || grows) {
      state_->loss_scale = as_scale(scale * (grows ? 2 : 0.5));
      state_->finite_steps = 0;
    }
    if (!finite) return false;
  }
  if (scale != 1)
    for (Tensor& g : state_->step_gradients) g = g / scale;
  return true;
}

// Whether this call updates the weights; if so, by the mean of the gradients gathered.
bool Optimizer::accumulate_gradients() {
  if (accumulation() == 1) return true;
  bool complete = (state_->calls + 1) % accumulation() == 0;
  for (std::size_t i = 0; i < state_->step_weights.size(); ++i) {
    Tensor& total = slot(state_->step_weights[i], "gradient_accumulator");
    Tensor sum = total + state_->step_gradients[i];
    if (complete)
      state_->step_gradients[i] = sum / accumulation();
    else
      total.assign(sum);
  }
  if (complete)
    for (const Weight& weight : state_->weights) slot(weight, "gradient_accumulator").assign(0);
  return complete;
}

void Optimizer::clip_gradients() {
  const OptimizerOptions& o = options_;
  if (o.clipnorm.value_or(0) > 0) {
    for (Tensor& g : state_->step_gradients) shorten(g, sqrt(sum(square(g))), *o.clipnorm);
  } else if (o.clipvalue.value_or(0) > 0) {
    for (Tensor& g : state_->step_gradients) g = clip(g, -*o.clipvalue, *o.clipvalue);
  } else if (o.global_clipnorm.value_or(0) > 0) {
    Tensor length = global_norm(state_->step_gradients);
    // An infinite norm makes all gradients NaN, so that it shows.
    length = where(isfinite(length), length, std::numeric_limits<double>::quiet_NaN());
    for (Tensor& g : state_->step_gradients) shorten(g, length, *o.global_clipnorm);
  }
}

void Optimizer::exclude_from_weight_decay(const std::vector<Weight>& weights,
                                          const std::vector<std::string>& names) {
  if (built()) fail("{}: exclude_from_weight_decay must come before the first step", name());
  state_->undecayed.insert(state_->undecayed.end(), weights.begin(), weights.end());
  state_->undecayed_names.insert(state_->undecayed_names.end(), names.begin(), names.end());
}

bool Optimizer::decays(const Weight& weight) const {
  auto named = [&](const std::string& part) {
    return weight.path().find(part) != std::string::npos;
  };
  return std::ranges::find(state_->undecayed, weight) == state_->undecayed.end() &&
         std::ranges::none_of(state_->undecayed_names, named);
}

// w -= w * weight_decay * learning_rate, which is a step of SGD along w.
void Optimizer::decay_weights(double learning_rate) {
  for (const Weight& weight : state_->step_weights) {
    const double decay = weight_decay_of(weight).value_or(0);
    if (decay != 0 && decays(weight))
      queue(FusedStep(fn::SgdStep{decay * learning_rate}, {weight, weight}));
  }
}

std::optional<double> Optimizer::weight_decay_of(const Weight&) const {
  return options_.weight_decay;
}

void Optimizer::average_weights() {
  if (!options_.use_ema) return;
  double momentum = iterations() == 0 ? 0 : options_.ema_momentum;
  int frequency = options_.ema_overwrite_frequency.value_or(0);
  bool overwrite = frequency > 0 && (iterations() + 1) % frequency == 0;
  for (Weight& weight : state_->weights) {
    Tensor& mean = slot(weight, "average");
    mean.assign(momentum * mean + (1 - momentum) * weight);
    if (overwrite) weight.assign(mean);
  }
}

void Optimizer::finish() {
  if (!options_.use_ema || state_->calls == 0) return;
  for (Weight& weight : state_->weights) weight.assign(slot(weight, "average"));
}

// --- slots

std::size_t Optimizer::State::index_of(const Weight& weight, const std::string& optimizer) {
  // Weights are asked for in order, and several times in a row.
  for (std::size_t k = 0; k < weights.size(); ++k) {
    std::size_t i = (hint + k) % weights.size();
    if (weights[i] == weight) return hint = i;
  }
  fail("{}: {} is not among the {} weights it was built for", optimizer, weight.path(),
       weights.size());
}

Tensor& Optimizer::State::tensor_of(SlotTensors& slot, std::size_t index) {
  Tensor& tensor = slot.tensors[index];
  const Tensor& weight = weights[index];
  if (!tensor.defined()) {
    const auto shape = slot.shape ? slot.shape(weights[index]) : weight.shape();
    if (!shape) return tensor;
    tensor = full(*shape, slot.initial, weight.dtype(), weight.device());
  }
  if (tensor.dtype() != weight.dtype() || tensor.device() != weight.device())
    tensor = tensor.astype(weight.dtype()).to(weight.device());
  return tensor;
}

Tensor& Optimizer::slot(const Weight& weight, std::string_view name) {
  std::size_t index = state_->index_of(weight, this->name());
  for (State::SlotTensors& slot : state_->slots)
    if (slot.name == name) return state_->tensor_of(slot, index);
  std::string made(name);
  add_slots({made.c_str()});
  return state_->tensor_of(state_->slots.back(), index);
}

void Optimizer::add_slots(const std::vector<Slot>& slots) {
  int group = state_->slots.empty() ? 0 : state_->slots.back().group + 1;
  for (const Slot& slot : slots)
    state_->slots.push_back(
        {slot.name, slot.initial, slot.shape, group, std::vector<Tensor>(state_->weights.size())});
}

const std::vector<Weight>& Optimizer::weights() const { return state_->weights; }

Optimizer::Counters Optimizer::counters() const { return {state_->calls, state_->scalars}; }
void Optimizer::set_counters(const Counters& counters) {
  state_->calls = counters.calls;
  state_->scalars = counters.scalars;
}

double& Optimizer::scalar(std::string_view name, double initial) {
  for (auto& [known, value] : state_->scalars)
    if (known == name) return value;
  return state_->scalars.emplace_back(name, initial).second;
}

// --- state

template <class F>
void Optimizer::State::for_each_slot(const F& f) {
  for (auto first = slots.begin(); first != slots.end();) {
    auto last = std::find_if(first, slots.end(),
                             [&](const SlotTensors& s) { return s.group != first->group; });
    for (std::size_t i = 0; i < weights.size(); ++i) {
      std::string path = weights[i].path();
      std::replace(path.begin(), path.end(), '/', '_');
      for (auto slot = first; slot != last; ++slot)
        if (Tensor& tensor = tensor_of(*slot, i); tensor.defined())
          f(path + "_" + slot->name, tensor);
    }
    first = last;
  }
}

std::vector<std::pair<std::string, Tensor>> Optimizer::variables() {
  DType dtype = state_->weights.empty() ? floatx() : state_->weights[0].value().dtype();
  std::vector<std::pair<std::string, Tensor>> all;
  // Those of a LossScaleOptimizer come first; it has no iterations and no rate of its own.
  if (scaling_) {
    all.emplace_back("iteration", full({}, 0, int32, Device()));
    all.emplace_back("learning_rate", full({}, 0, float32, Device()));
  }
  if (scaling_ && built()) {
    all.emplace_back("step_counter", full({}, state_->finite_steps, int32, Device()));
    all.emplace_back("dynamic_scale", full({}, loss_scale(), float32, Device()));
  }
  all.emplace_back("iteration", full({}, static_cast<double>(state_->calls), int32, Device()));
  if (!state_->learning_rate.is_schedule())
    all.emplace_back("learning_rate", full({}, learning_rate(), dtype, Device()));
  state_->for_each_slot([&](std::string name, const Tensor& tensor) {
    all.emplace_back(std::move(name), tensor.copy());
  });
  for (const auto& [name, value] : state_->scalars)
    all.emplace_back(name, full({}, value, dtype, Device()));
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
  std::size_t next = scaling_ ? (built() ? 4 : 2) : 0;
  if (!state_->learning_rate.is_schedule()) check_rate(values[next + 1].item());
  const double calls = values[next].item();
  if (!(calls >= 0 && calls <= INT32_MAX))
    fail("{}: expected an iteration from 0 to {}, got {}", name(), INT32_MAX, calls);
  if (scaling_ && built()) {
    const double steps = values[2].item(), scale = values[3].item();
    if (!(steps >= 0 && steps <= INT32_MAX && scale > 0))
      fail("{}: expected at least 0 finite steps and a scale above 0, got {} and {}", name(), steps,
           scale);
    state_->finite_steps = std::min(static_cast<int>(steps), scaling_->dynamic_growth_steps - 1);
    state_->loss_scale = as_scale(scale);
  }
  state_->calls = static_cast<std::int64_t>(calls);
  ++next;
  if (!state_->learning_rate.is_schedule()) {
    // Files hold float32: a rate that is the same there keeps its other digits.
    double rate = values[next++].item();
    if (static_cast<float>(rate) != static_cast<float>(learning_rate())) set_learning_rate(rate);
  }
  state_->for_each_slot([&](const std::string&, Tensor& tensor) { tensor.assign(values[next++]); });
  for (auto& [name, value] : state_->scalars) value = values[next++].item();
}

void Optimizer::snapshot(Snapshot& s) {
  const std::string present = (scaling_ ? "LossScaleOptimizer of " : "") + class_name();
  std::string kind = present;
  s.field("class", kind);
  if (kind != present) s.refuse(fmt::format("the optimizer was {}, and is {}", kind, present));
  s.field("calls", state_->calls);
  if (scaling_) {
    double scale = loss_scale();
    s.field("loss_scale", scale);
    s.field("finite_steps", state_->finite_steps);
    if (s.restores()) state_->loss_scale = scale;
  }
  if (!state_->learning_rate.is_schedule()) {
    double rate = learning_rate();
    s.field("learning_rate", rate);
    if (s.restores()) set_learning_rate(rate);
  }
  auto count = static_cast<int>(state_->slots.size());
  s.field("slots", count);
  for (int i = 0; i < count; ++i) {
    const auto place = static_cast<std::size_t>(i);
    std::string slot_name = place < state_->slots.size() ? state_->slots[place].name : "";
    s.field(fmt::format("slot/{}/name", i), slot_name);
    for (std::size_t w = 0; w < state_->weights.size(); ++w) {
      const auto known = std::ranges::find(state_->slots, slot_name, &State::SlotTensors::name);
      Tensor value = known == state_->slots.end() ? Tensor() : known->tensors[w];
      s.field(fmt::format("slot/{}/{}", i, w), value);
      if (s.restores() && value.defined()) slot(state_->weights[w], slot_name).assign(value);
    }
  }
  auto scalars = static_cast<int>(state_->scalars.size());
  s.field("scalars", scalars);
  for (int i = 0; i < scalars; ++i) {
    const auto place = static_cast<std::size_t>(i);
    auto [scalar_name, value] =
        place < state_->scalars.size() ? state_->scalars[place] : std::pair<std::string, double>();
    s.field(fmt::format("scalar/{}/name", i), scalar_name);
    s.field(fmt::format("scalar/{}", i), value);
    if (s.restores()) scalar(scalar_name) = value;
  }
}

}  // namespace keratin
