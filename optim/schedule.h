// Learning rates that change with the number of steps taken (keras/src/optimizers/schedules/
// learning_rate_schedule.py). Steps count from 0, and one step is one batch.
//
//   Adam({.learning_rate = 1e-3})
//   Adam({.learning_rate = CosineDecay(3e-3, 500)})
//   Adam({.learning_rate = [](std::int64_t step) { return 1e-3 / std::sqrt(step + 1.0); }})
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <keratin/core/config.h>

namespace keratin {

/// A rule for the learning rate. One of your own: override operator().
class LearningRateSchedule {
 public:
  virtual ~LearningRateSchedule() = default;
  virtual double operator()(std::int64_t step) const = 0;

  /// Keras' class name and the options of Keras' get_config. A class of one's own is called
  /// "package>Name" when it is registered, else its class name is empty.
  virtual std::string class_name() const;
  Config config() const { return config_of(const_cast<LearningRateSchedule*>(this)->fields()); }
  virtual std::vector<Field> fields() { return {}; }
};

/// What an optimizer takes: a number or a schedule, which may be any function of the step.
class LearningRate {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> LearningRate(T value) : value_(static_cast<double>(value)) {}
  template <std::derived_from<LearningRateSchedule> S>
  LearningRate(S schedule) : schedule_(std::make_shared<S>(std::move(schedule))) {}
  template <class F>
  requires(std::is_invocable_r_v<double, F, std::int64_t> &&
           !std::derived_from<F, LearningRateSchedule>) LearningRate(F rule)
      : LearningRate(Rule(std::move(rule))) {}
  LearningRate(std::shared_ptr<const LearningRateSchedule> schedule)
      : schedule_(std::move(schedule)) {}

  double at(std::int64_t step) const { return schedule_ == nullptr ? value_ : (*schedule_)(step); }
  bool is_schedule() const { return schedule_ != nullptr; }
  /// Null for a plain number.
  const std::shared_ptr<const LearningRateSchedule>& schedule() const { return schedule_; }

 private:
  struct Rule : LearningRateSchedule {
    explicit Rule(std::function<double(std::int64_t)> rule) : rule(std::move(rule)) {}
    double operator()(std::int64_t step) const override { return rule(step); }
    std::function<double(std::int64_t)> rule;
  };

  double value_ = 0;
  std::shared_ptr<const LearningRateSchedule> schedule_;
};

/// initial * decay_rate^(step / decay_steps); with `staircase` the quotient is rounded down.
class ExponentialDecay : public LearningRateSchedule {
 public:
  ExponentialDecay(double initial_learning_rate, std::int64_t decay_steps, double decay_rate,
                   bool staircase = false);
  double operator()(std::int64_t step) const override;
  std::string class_name() const override { return "ExponentialDecay"; }
  std::vector<Field> fields() override;

 private:
  double initial_learning_rate_;
  std::int64_t decay_steps_;
  double decay_rate_;
  bool staircase_;
};

/// initial / (1 + decay_rate * step / decay_steps); with `staircase` the quotient is rounded down.
class InverseTimeDecay : public LearningRateSchedule {
 public:
  InverseTimeDecay(double initial_learning_rate, std::int64_t decay_steps, double decay_rate,
                   bool staircase = false);
  double operator()(std::int64_t step) const override;
  std::string class_name() const override { return "InverseTimeDecay"; }
  std::vector<Field> fields() override;

 private:
  double initial_learning_rate_;
  std::int64_t decay_steps_;
  double decay_rate_;
  bool staircase_;
};

/// values[i] up to and including step boundaries[i], the last value after that. Throws
/// std::invalid_argument unless there is one value more than boundaries, and these increase.
class PiecewiseConstantDecay : public LearningRateSchedule {
 public:
  PiecewiseConstantDecay(std::vector<double> boundaries, std::vector<double> values);
  double operator()(std::int64_t step) const override;
  std::string class_name() const override { return "PiecewiseConstantDecay"; }
  std::vector<Field> fields() override;

 private:
  std::vector<double> boundaries_, values_;
};

struct PolynomialDecayOptions {
  double end_learning_rate = 1e-4;
  double power = 1;
  bool cycle = false;  ///< start again from a lower peak whenever decay_steps are over
};

/// (initial - end) * (1 - step / decay_steps)^power + end, and end after decay_steps.
class PolynomialDecay : public LearningRateSchedule {
 public:
  PolynomialDecay(double initial_learning_rate, std::int64_t decay_steps,
                  const PolynomialDecayOptions& options = {});
  double operator()(std::int64_t step) const override;
  std::string class_name() const override { return "PolynomialDecay"; }
  std::vector<Field> fields() override;

 private:
  double initial_learning_rate_;
  std::int64_t decay_steps_;
  PolynomialDecayOptions options_;
};

struct CosineDecayOptions {
  double alpha = 0;  ///< the fraction of the learning rate that remains at the end
  std::optional<double> warmup_target = std::nullopt;
  std::int64_t warmup_steps = 0;
};

/// initial * ((1 - alpha) (1 + cos(pi step / decay_steps)) / 2 + alpha). With a warmup_target the
/// rate first rises from initial to it, linearly in warmup_steps, and then decays from there.
class CosineDecay : public LearningRateSchedule {
 public:
  CosineDecay(double initial_learning_rate, std::int64_t decay_steps,
              const CosineDecayOptions& options = {});
  double operator()(std::int64_t step) const override;
  std::string class_name() const override { return "CosineDecay"; }
  std::vector<Field> fields() override;

 private:
  double initial_learning_rate_;
  std::int64_t decay_steps_;
  CosineDecayOptions options_;
};

struct CosineDecayRestartsOptions {
  double t_mul = 2;  ///< each period is this many times as long as the one before
  double m_mul = 1;  ///< and starts from this many times its learning rate
  double alpha = 0;
};

/// Cosine decay in periods, the first of `first_decay_steps` (Loshchilov and Hutter, SGDR).
class CosineDecayRestarts : public LearningRateSchedule {
 public:
  CosineDecayRestarts(double initial_learning_rate, std::int64_t first_decay_steps,
                      const CosineDecayRestartsOptions& options = {});
  double operator()(std::int64_t step) const override;
  std::string class_name() const override { return "CosineDecayRestarts"; }
  std::vector<Field> fields() override;

 private:
  double initial_learning_rate_;
  std::int64_t first_decay_steps_;
  CosineDecayRestartsOptions options_;
};

void register_schedule_class(const std::type_info& type, const std::string& package,
                             const std::string& name, std::function<LearningRate()> make);
/// A class of one's own joins: configs know it as "package>name", where the name is by default that
/// of the class. `make` gives a schedule with any options; a class that can be made without
/// arguments needs none.
template <std::derived_from<LearningRateSchedule> S>
void register_keras_serializable(const std::string& package, const std::string& name,
                                 std::function<S()> make = nullptr) {
  register_schedule_class(typeid(S), package, name, maker_of<LearningRate>(make));
}
template <std::derived_from<LearningRateSchedule> S>
void register_keras_serializable(const std::string& package = "Custom",
                                 std::function<S()> make = nullptr) {
  register_keras_serializable<S>(package, "", std::move(make));
}

/// The schedule of that Keras class and config. Throws std::invalid_argument when there is none.
LearningRate schedule_from_config(const std::string& class_name, const Config& config);

Option to_option(const LearningRate& rate);
bool from_option(const Option& option, LearningRate& rate);

}  // namespace keratin
