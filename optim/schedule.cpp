#include <algorithm>
#include <cmath>
#include <numbers>

#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/optim/schedule.h>

namespace keratin {
namespace {

void check_steps(const char* who, std::int64_t steps) {
  if (steps <= 0) fail("{}: expected decay_steps above 0, got {}", who, steps);
}

// Keras gives schedules a name, which nobody reads.
Field name_field(const std::string& class_name) {
  return Field::without_effect("name", class_name);
}

double periods(std::int64_t step, std::int64_t decay_steps, bool staircase) {
  double p = static_cast<double>(step) / static_cast<double>(decay_steps);
  return staircase ? std::floor(p) : p;
}

// From 1 down to alpha along half a cosine wave.
double cosine(double fraction, double alpha, double height = 1) {
  return (1 - alpha) * height * 0.5 * (1 + std::cos(std::numbers::pi * fraction)) + alpha;
}

}  // namespace

ExponentialDecay::ExponentialDecay(double initial_learning_rate, std::int64_t decay_steps,
                                   double decay_rate, bool staircase)
    : initial_learning_rate_(initial_learning_rate),
      decay_steps_(decay_steps),
      decay_rate_(decay_rate),
      staircase_(staircase) {
  check_steps("ExponentialDecay", decay_steps);
}

double ExponentialDecay::operator()(std::int64_t step) const {
  return initial_learning_rate_ * std::pow(decay_rate_, periods(step, decay_steps_, staircase_));
}

std::vector<Field> ExponentialDecay::fields() {
  return {{"initial_learning_rate", &initial_learning_rate_},
          {"decay_steps", &decay_steps_},
          {"decay_rate", &decay_rate_},
          {"staircase", &staircase_},
          name_field(class_name())};
}

InverseTimeDecay::InverseTimeDecay(double initial_learning_rate, std::int64_t decay_steps,
                                   double decay_rate, bool staircase)
    : initial_learning_rate_(initial_learning_rate),
      decay_steps_(decay_steps),
      decay_rate_(decay_rate),
      staircase_(staircase) {
  check_steps("InverseTimeDecay", decay_steps);
}

double InverseTimeDecay::operator()(std::int64_t step) const {
  return initial_learning_rate_ / (1 + decay_rate_ * periods(step, decay_steps_, staircase_));
}

std::vector<Field> InverseTimeDecay::fields() {
  return {{"initial_learning_rate", &initial_learning_rate_},
          {"decay_steps", &decay_steps_},
          {"decay_rate", &decay_rate_},
          {"staircase", &staircase_},
          name_field(class_name())};
}

PiecewiseConstantDecay::PiecewiseConstantDecay(std::vector<double> boundaries,
                                               std::vector<double> values)
    : boundaries_(std::move(boundaries)), values_(std::move(values)) {
  if (values_.size() != boundaries_.size() + 1)
    fail("PiecewiseConstantDecay: expected one value more than boundaries, got {} and {}",
         values_.size(), boundaries_.size());
  if (!std::is_sorted(boundaries_.begin(), boundaries_.end()))
    fail("PiecewiseConstantDecay: expected boundaries in increasing order, got {}",
         fmt::join(boundaries_, ", "));
}

double PiecewiseConstantDecay::operator()(std::int64_t step) const {
  // A boundary belongs to the piece before it.
  auto piece = std::lower_bound(boundaries_.begin(), boundaries_.end(), static_cast<double>(step));
  return values_[static_cast<std::size_t>(piece - boundaries_.begin())];
}

std::vector<Field> PiecewiseConstantDecay::fields() {
  // Keras writes whole numbers of steps as such.
  auto boundaries = [this] {
    const std::vector<int> whole(boundaries_.begin(), boundaries_.end());
    return std::ranges::equal(whole, boundaries_) ? to_option(whole) : to_option(boundaries_);
  };
  auto set_boundaries = [this](const Option& value) { return from_option(value, boundaries_); };
  return {{"boundaries", boundaries, set_boundaries},
          {"values", &values_},
          name_field("PiecewiseConstant")};
}

PolynomialDecay::PolynomialDecay(double initial_learning_rate, std::int64_t decay_steps,
                                 const PolynomialDecayOptions& options)
    : initial_learning_rate_(initial_learning_rate), decay_steps_(decay_steps), options_(options) {
  check_steps("PolynomialDecay", decay_steps);
}

double PolynomialDecay::operator()(std::int64_t step) const {
  auto s = static_cast<double>(step), n = static_cast<double>(decay_steps_);
  if (options_.cycle)
    n *= step == 0 ? 1 : std::ceil(s / n);
  else
    s = std::min(s, n);
  double end = options_.end_learning_rate;
  return (initial_learning_rate_ - end) * std::pow(1 - s / n, options_.power) + end;
}

std::vector<Field> PolynomialDecay::fields() {
  return {{"initial_learning_rate", &initial_learning_rate_},
          {"decay_steps", &decay_steps_},
          {"end_learning_rate", &options_.end_learning_rate},
          {"power", &options_.power},
          {"cycle", &options_.cycle},
          name_field(class_name())};
}

CosineDecay::CosineDecay(double initial_learning_rate, std::int64_t decay_steps,
                         const CosineDecayOptions& options)
    : initial_learning_rate_(initial_learning_rate), decay_steps_(decay_steps), options_(options) {
  check_steps("CosineDecay", decay_steps);
}

double CosineDecay::operator()(std::int64_t step) const {
  double peak = initial_learning_rate_;
  if (options_.warmup_target) {
    peak = *options_.warmup_target;
    if (step < options_.warmup_steps)
      return initial_learning_rate_ + (peak - initial_learning_rate_) * static_cast<double>(step) /
                                          static_cast<double>(options_.warmup_steps);
    step -= options_.warmup_steps;
  }
  return peak * cosine(periods(std::min(step, decay_steps_), decay_steps_, false), options_.alpha);
}

std::vector<Field> CosineDecay::fields() {
  return {{"initial_learning_rate", &initial_learning_rate_},
          {"decay_steps", &decay_steps_},
          {"alpha", &options_.alpha},
          name_field(class_name()),
          {"warmup_target", &options_.warmup_target},
          {"warmup_steps", &options_.warmup_steps}};
}

CosineDecayRestarts::CosineDecayRestarts(double initial_learning_rate,
                                         std::int64_t first_decay_steps,
                                         const CosineDecayRestartsOptions& options)
    : initial_learning_rate_(initial_learning_rate),
      first_decay_steps_(first_decay_steps),
      options_(options) {
  check_steps("CosineDecayRestarts", first_decay_steps);
}

double CosineDecayRestarts::operator()(std::int64_t step) const {
  double fraction = periods(step, first_decay_steps_, false), restarts;
  double t = options_.t_mul;
  if (t == 1) {
    restarts = std::floor(fraction);
    fraction -= restarts;
  } else {
    // Periods 1, t, t^2, ...: the first `restarts` of them take (1 - t^restarts) / (1 - t).
    restarts = std::floor(std::log(1 - fraction * (1 - t)) / std::log(t));
    double length = std::pow(t, restarts);
    fraction = (fraction - (1 - length) / (1 - t)) / length;
  }
  return initial_learning_rate_ *
         cosine(fraction, options_.alpha, std::pow(options_.m_mul, restarts));
}

std::vector<Field> CosineDecayRestarts::fields() {
  return {{"initial_learning_rate", &initial_learning_rate_},
          {"first_decay_steps", &first_decay_steps_},
          {"t_mul", &options_.t_mul},
          {"m_mul", &options_.m_mul},
          {"alpha", &options_.alpha},
          name_field("SGDRDecay")};
}

namespace {

// Classes of users.
CustomClasses<LearningRate>& custom() {
  static CustomClasses<LearningRate> all;
  return all;
}

}  // namespace

std::string LearningRateSchedule::class_name() const { return custom().name_of(typeid(*this)); }

void register_schedule_class(const std::type_info& type, const std::string& package,
                             const std::string& name, std::function<LearningRate()> make) {
  custom().add(type, package, name, std::move(make));
}

LearningRate schedule_from_config(const std::string& class_name, const Config& config) {
  if (custom().find(class_name)) {
    LearningRate made = custom().made(class_name);
    auto& schedule =
        const_cast<LearningRateSchedule&>(*made.schedule());  // made here, and not shared
    configure(class_name, schedule.fields(), config);
    return made;
  }
  auto make = [&](auto schedule) -> LearningRate {
    std::vector<Field> fields = schedule.fields();
    configure(class_name, fields, config);
    for (const auto& [option, value] : config_of(fields))
      if (option.ends_with("decay_steps"))
        check_steps(class_name.c_str(), std::get<std::int64_t>(value));
    return schedule;
  };
  if (class_name == "ExponentialDecay") return make(ExponentialDecay(0, 1, 1));
  if (class_name == "InverseTimeDecay") return make(InverseTimeDecay(0, 1, 1));
  if (class_name == "PolynomialDecay") return make(PolynomialDecay(0, 1));
  if (class_name == "CosineDecay") return make(CosineDecay(0, 1));
  if (class_name == "CosineDecayRestarts") return make(CosineDecayRestarts(0, 1));
  if (class_name == "PiecewiseConstantDecay") {
    std::vector<double> boundaries, values;
    std::string name;
    configure(class_name, {{"boundaries", &boundaries}, {"values", &values}, {"name", &name}},
              config);
    return PiecewiseConstantDecay(boundaries, values);
  }
  fail_unknown("unknown learning rate schedule", class_name,
               {"CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay",
                "PiecewiseConstantDecay", "PolynomialDecay"});
}

Option to_option(const LearningRate& rate) {
  if (!rate.is_schedule()) return rate.at(0);
  if (rate.schedule()->class_name().empty())
    fail("learning_rate: a rule of one's own has no class name that a config could hold");
  return object_option("keras.optimizers.schedules", rate.schedule()->class_name(),
                       rate.schedule()->config());
}
bool from_option(const Option& option, LearningRate& rate) {
  if (auto object = object_in(option))
    return rate = schedule_from_config(object->first, object->second), true;
  double number = 0;
  return from_option(option, number) && (rate = number, true);
}

}  // namespace keratin
