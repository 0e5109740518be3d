#include "golden.h"
#include "golden_configs.h"

#include <doctest/doctest.h>

#include <cmath>

#include <keratin/core/create.h>
#include <keratin/optim/schedule.h>

TEST_SUITE_BEGIN("optim");

using namespace keratin;

namespace {

void check_against_keras(const LearningRate& rate, const std::string& name) {
  const Golden& keras = golden("schedules");
  std::vector<double> values;
  for (double step : keras["shared/steps"].to_vector<double>())
    values.push_back(rate.at(static_cast<std::int64_t>(step)));
  CAPTURE(name);
  CHECK(max_relative_difference(tensor(values), keras[name + "/learning_rate"]) < 1e-12);
}

}  // namespace

TEST_CASE("schedules made from Keras' configs, and from their own, give Keras' learning rates") {
  std::map<std::string, GoldenConfig> objects = golden_cases("schedule");
  for (const std::string& name : golden("schedules").cases()) {
    if (name == "shared") continue;
    LearningRate rate = schedule_from_config(objects[name].class_name, objects[name].config);
    check_against_keras(rate, name);
    REQUIRE(rate.is_schedule());
    check_against_keras(
        schedule_from_config(rate.schedule()->class_name(), rate.schedule()->config()), name);
  }
}

TEST_CASE("a learning rate is a number or any function of the step") {
  LearningRate constant = 0.25, whole = 1;
  CHECK(!constant.is_schedule());
  CHECK(constant.at(1000) == 0.25);
  CHECK(whole.at(0) == 1);
  LearningRate rule = [](std::int64_t step) { return 1.0 / static_cast<double>(1 + step); };
  CHECK(rule.is_schedule());
  CHECK(rule.at(3) == 0.25);

  struct Doubling : LearningRateSchedule {
    double operator()(std::int64_t step) const override { return std::ldexp(1e-3, int(step)); }
  };
  CHECK(LearningRate(Doubling()).at(2) == 4e-3);
}

TEST_CASE("a boundary belongs to the piece before it, and the last value lasts") {
  PiecewiseConstantDecay rate({10, 20}, {1.0, 0.5, 0.1});
  CHECK(rate(0) == 1.0);
  CHECK(rate(10) == 1.0);
  CHECK(rate(11) == 0.5);
  CHECK(rate(20) == 0.5);
  CHECK(rate(21) == 0.1);
  CHECK(rate(std::int64_t{1} << 40) == 0.1);
}

TEST_CASE("schedules decay no further than they should, however long training lasts") {
  std::int64_t late = std::int64_t{1} << 40;
  CHECK(CosineDecay(1, 10)(late) == 0);
  CHECK(CosineDecay(1, 10, {.alpha = 0.25})(late) == 0.25);
  CHECK(PolynomialDecay(1, 10)(late) == 1e-4);
  CHECK(ExponentialDecay(1, 10, 0.5)(late) == 0);
}

TEST_CASE("schedules refuse what makes no sense") {
  CHECK_THROWS_WITH_AS(CosineDecay(0.1, 0), "CosineDecay: expected decay_steps above 0, got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      PiecewiseConstantDecay({1, 2}, {0.1, 0.2}),
      "PiecewiseConstantDecay: expected one value more than boundaries, got 2 and 2",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(PiecewiseConstantDecay({3, 2}, {1, 2, 3}),
                       "PiecewiseConstantDecay: expected boundaries in increasing order, got 3, 2",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      schedule_from_config("CosineDecoy", {}),
      "unknown learning rate schedule \"CosineDecoy\". Known: CosineDecay, CosineDecayRestarts, "
      "ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay. Did you mean "
      "\"CosineDecay\"?",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(schedule_from_config("CosineDecay", {{"decay_steps", 5.5}}),
                       "CosineDecay: the value of option \"decay_steps\" has the wrong type",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(schedule_from_config("CosineDecay", {{"decay_step", std::int64_t{5}}}),
                       "CosineDecay: unknown option \"decay_step\"", std::invalid_argument);
}

TEST_SUITE_END();
