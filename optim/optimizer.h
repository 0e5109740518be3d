// What all optimizers share (keras/src/optimizers/base_optimizer.py); the rules themselves are in
// optim/optimizers.h. One of your own overrides one function:
//
//   class Heavy : public Optimizer {
//    public:
//     explicit Heavy(LearningRate rate) : Optimizer({.learning_rate = rate}) {}
//     void update(Weight& w, const Tensor& g, double learning_rate) override {
//       Tensor& m = slot(w, "momentum");
//       m.assign(0.9 * m + g);
//       w.assign(w - learning_rate * m);
//     }
//   };
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <keratin/autograd/weight.h>
#include <keratin/core/config.h>
#include <keratin/core/snapshot.h>
#include <keratin/core/tensor.h>
#include <keratin/optim/schedule.h>

namespace keratin {

struct FusedStep;  // optim/internal/fused_step.h

/// Options that every optimizer has.
struct OptimizerOptions {
  LearningRate learning_rate = 0.001;
  std::optional<double> weight_decay = std::nullopt;     ///< w -= w * weight_decay * learning_rate
  std::optional<double> clipnorm = std::nullopt;         ///< longest a weight's gradient may be
  std::optional<double> clipvalue = std::nullopt;        ///< largest a gradient's element may be
  std::optional<double> global_clipnorm = std::nullopt;  ///< longest all gradients together may be
  bool use_ema = false;  ///< keep a moving average of each weight; finish() puts it in place
  double ema_momentum = 0.99;
  std::optional<int> ema_overwrite_frequency = std::nullopt;      ///< steps
  std::optional<int> gradient_accumulation_steps = std::nullopt;  ///< gradients for each update
  std::string name = {};
  /// scale_loss multiplies the loss by it, and apply divides the gradients by it: from 2^-100 to
  /// 2^127.
  std::optional<double> loss_scale_factor = std::nullopt;
};

/// Options of a LossScaleOptimizer.
struct LossScaleOptions {
  double initial_scale = 32768;
  int dynamic_growth_steps = 2000;  ///< finite steps in a row, after which the scale is doubled
  std::string name = "loss_scale_optimizer";
};

/// Turns gradients into steps of the weights. A reference: copies share the learning rate, the
/// count of iterations and the slots, so that an optimizer given to compile is the one that trains.
/// The first model it is given to takes it; compile gives any other model, which it would train
/// wrongly, one of its own that begins anew.
class Optimizer {
 public:
  explicit Optimizer(OptimizerOptions options = {});
  virtual ~Optimizer();

  /// Remembers the weights and makes the slots for them; apply does so on first use. Throws
  /// std::invalid_argument when built before for other weights.
  void build(const std::vector<Weight>& weights);
  bool built() const;

  /// One step: clips the gradients, decays the weights, updates them, averages them, applies their
  /// constraints, and counts. An undefined gradient leaves its weight alone. `weights` may be some
  /// of those it was built for. With a scale for the loss the gradients are those of
  /// scale_loss(loss). Throws std::invalid_argument when counts or shapes do not fit, or when no
  /// gradient is defined. Nothing of this is recorded by a tape.
  void apply(const std::vector<Tensor>& gradients, const std::vector<Weight>& weights);

  /// The loss that is to be differentiated: with a loss_scale_factor, or in a LossScaleOptimizer,
  /// that many times the loss.
  Tensor scale_loss(const Tensor& loss) const;

  /// Options of the LossScaleOptimizer that it is in, if it is in one.
  const std::optional<LossScaleOptions>& loss_scaling() const { return scaling_; }

  /// Weights that weight_decay leaves alone: these, and those whose path contains one of the names,
  /// such as "bias". Throws std::invalid_argument after build.
  void exclude_from_weight_decay(const std::vector<Weight>& weights,
                                 const std::vector<std::string>& names = {});
  void exclude_from_weight_decay(const std::vector<std::string>& names) {
    exclude_from_weight_decay(std::vector<Weight>(), names);
  }

  /// With use_ema: puts the averages in the weights' place, at the end of training.
  void finish();

  /// The learning rate of the next step.
  double learning_rate() const;
  /// Throws std::invalid_argument when the rate follows a schedule.
  void set_learning_rate(double learning_rate);
  const LearningRate& learning_rate_rule() const;

  /// Updates made: calls of apply, divided by gradient_accumulation_steps.
  std::int64_t iterations() const;

  /// "adam"; begins its error messages.
  const std::string& name() const { return options_.name; }

  /// State in the order and with the names of Keras' `optimizer/vars`: "iteration" (int32),
  /// "learning_rate" (float32; absent with a schedule), averages, accumulators, slots. Those of a
  /// LossScaleOptimizer come first: "iteration" and "learning_rate", which are 0, and once it is
  /// built "step_counter" and "dynamic_scale".
  std::vector<std::pair<std::string, Tensor>> variables();
  /// Restores what variables() gave. Throws std::invalid_argument, and changes nothing, when the
  /// number or a shape differs, or where a count, a rate or a scale cannot be one.
  void set_variables(const std::vector<Tensor>& values);
  /// The same state to the last bit, with slots that were made on first use.
  void snapshot(Snapshot& s);

  /// Keras' class name ("Adam") and the options of its get_config. A class of one's own is called
  /// "package>Name" when it is registered, else its class name is empty.
  virtual std::string class_name() const;
  Config config() { return config_of(fields()); }
  /// Where the options are kept. An optimizer with options of its own adds them to the common ones.
  virtual std::vector<Field> fields();
  /// Sets options from a Keras config.
  void configure(const Config& config);

 protected:
  Optimizer(const Optimizer&) = default;
  Optimizer& operator=(const Optimizer&) = default;

  /// Changes one weight in place. The gradient has the weight's shape and dtype.
  virtual void update(Weight& weight, const Tensor& gradient, double learning_rate) = 0;

  /// Called once before the updates of a step; and once when built, to call add_slots.
  virtual void begin_update() {}
  virtual void build_slots() {}

  /// A tensor kept for this weight: zeros of its shape, made on first use.
  Tensor& slot(const Weight& weight, std::string_view name);
  /// A number kept with the state, made on first use.
  double& scalar(std::string_view name, double initial = 0);

  /// Has a functor of the library run on a weight, its slots and its gradient, together with those
  /// of the other weights at the end of the step.
  void queue(FusedStep step);
  /// Whether update does nothing but queue.
  virtual bool is_fused() const { return false; }

  /// What shape a slot has for a weight; none: the weight has no such slot.
  using SlotShape = std::function<std::optional<Shape>(const Weight&)>;
  struct Slot {
    Slot(const char* name, double initial = 0, SlotShape shape = nullptr)
        : name(name), initial(initial), shape(std::move(shape)) {}
    std::string name;
    double initial;
    SlotShape shape;  ///< by default that of the weight
  };
  /// Makes slots for all weights; those named in one call lie together for each weight, which only
  /// matters for the order of variables().
  void add_slots(const std::vector<Slot>& slots);
  /// The weights it was built for.
  const std::vector<Weight>& weights() const;

  /// The weight_decay of this weight, which by default is that of the options.
  virtual std::optional<double> weight_decay_of(const Weight& weight) const;

 private:
  friend class AnyOptimizer;
  friend class Trainer;
  struct State;  // what copies share

  /// apply; where `allowed`, a boolean on the weights' device that may be undefined, is false,
  /// weights and slots stay as they are.
  void apply_where(const Tensor& allowed, const std::vector<Tensor>& gradients,
                   const std::vector<Weight>& weights);
  bool only_queues() const;
  /// What a step changes besides tensors.
  struct Counters {
    std::int64_t calls = 0;
    std::vector<std::pair<std::string, double>> scalars = {};
  };
  Counters counters() const;
  void set_counters(const Counters& counters);

  int accumulation() const { return options_.gradient_accumulation_steps.value_or(1); }
  void check_options() const;
  void check_rate(double rate) const;
  void take_gradients(const std::vector<Tensor>& gradients, const std::vector<Weight>& weights);
  double loss_scale() const;
  bool unscale_gradients();
  bool accumulate_gradients();
  void clip_gradients();
  bool decays(const Weight& weight) const;
  void decay_weights(double learning_rate);
  void average_weights();

  OptimizerOptions options_;
  std::optional<LossScaleOptions> scaling_;  // of a LossScaleOptimizer
  std::shared_ptr<State> state_;
};

/// What compile takes: a Keras name ("adam") or an optimizer.
class AnyOptimizer {
 public:
  AnyOptimizer() = default;
  /// Throws std::invalid_argument with the known names when there is no such optimizer.
  AnyOptimizer(const char* name) : AnyOptimizer(std::string(name)) {}
  AnyOptimizer(const std::string& name);
  template <std::derived_from<Optimizer> O>
  AnyOptimizer(O optimizer)
      : optimizer_(std::make_shared<O>(std::move(optimizer))),
        copy_([](const Optimizer& other) -> std::shared_ptr<Optimizer> {
          return std::make_shared<O>(static_cast<const O&>(other));
        }) {}
  AnyOptimizer(std::shared_ptr<Optimizer> optimizer) : optimizer_(std::move(optimizer)) {}

  /// The optimizer of that Keras class ("Adam") and config.
  static AnyOptimizer from_config(const std::string& class_name, const Config& config);

  /// Gives this optimizer in a LossScaleOptimizer. It shares the state of this one, and is this one
  /// where it was given as a shared_ptr. Throws std::invalid_argument as LossScaleOptimizer does.
  AnyOptimizer with_loss_scale(const LossScaleOptions& options) const;

  /// This optimizer, which begins anew if it has served this owner before; or if it belongs to
  /// another one that still lives, a copy of its own.
  AnyOptimizer taken_by(const std::shared_ptr<const void>& owner) const;

  explicit operator bool() const { return optimizer_ != nullptr; }
  Optimizer& operator*() const { return *optimizer_; }
  Optimizer* operator->() const { return optimizer_.get(); }

 private:
  std::shared_ptr<Optimizer> optimizer_;
  std::shared_ptr<Optimizer> (*copy_)(const Optimizer&) = nullptr;
};

void register_optimizer_class(const std::type_info& type, const std::string& package,
                              const std::string& name, std::function<AnyOptimizer()> make);
/// A class of one's own joins: configs know it as "package>name", where the name is by default that
/// of the class. `make` gives an optimizer with any options; a class that can be made without
/// arguments needs none.
template <std::derived_from<Optimizer> O>
void register_keras_serializable(const std::string& package, const std::string& name,
                                 std::function<O()> make = nullptr) {
  register_optimizer_class(typeid(O), package, name, maker_of<AnyOptimizer>(make));
}
template <std::derived_from<Optimizer> O>
void register_keras_serializable(const std::string& package = "Custom",
                                 std::function<O()> make = nullptr) {
  register_keras_serializable<O>(package, "", std::move(make));
}

/// Any optimizer, with a scale for the loss that keeps small gradients from vanishing
/// (loss_scale_optimizer.py). A step whose gradients are not all finite leaves the weights alone
/// and halves the scale; states and statistics of layers have moved on. After dynamic_growth_steps
/// finite steps in a row the scale is doubled. A loss that is not finite is an error as ever. On a
/// device each step is waited for.
///
///   model.compile({.optimizer = LossScaleOptimizer(Adam(1e-3)), ...});
///
/// Throws std::invalid_argument for a scale beyond 2^-100..2^127, for a number of steps below 1,
/// and for an AnyOptimizer that is empty or has a scale already.
class LossScaleOptimizer : public AnyOptimizer {
 public:
  explicit LossScaleOptimizer(const AnyOptimizer& inner_optimizer,
                              const LossScaleOptions& options = {})
      : AnyOptimizer(inner_optimizer.with_loss_scale(options)) {}
};

/// As an object. Throws std::invalid_argument for a class that is not registered.
Option to_option(const AnyOptimizer& optimizer);
/// From an object or a name.
bool from_option(const Option& option, AnyOptimizer& optimizer);

}  // namespace keratin
