#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/internal/scores.h>
#include <keratin/optim/score_metrics.h>

namespace keratin {
namespace {

/// y_true and weights, which broadcast to it, in float64, and y_pred; (batch, columns).
struct Columns {
  Tensor y, p, w;
};

Columns columns_of(const char* who, const Tensor& y_true, const Tensor& y_pred,
                   const Tensor& sample_weight) {
  auto [y, p] = same_shape(who, y_true, as_float(y_pred));
  if (p.rank() != 2)
    fail("{}: expected y_pred of shape (batch, columns), got {}", who, y_pred.shape());
  Columns columns{cast(y, float64), p, {}};
  columns.w = sample_weight.defined() ? with_weights(who, columns.p, cast(sample_weight, float64)).b
                                      : ones({1, 1}, float64, p.device());
  return columns;
}

/// Sums of each column, one tensor after the other. NaN may stand where nothing counts.
Tensor sums_of(const std::vector<Tensor>& values, const Tensor& w) {
  std::vector<Tensor> sums;
  for (const Tensor& x : values) sums.push_back(sum(where(w != 0, w * x, 0.0), 0));
  return concatenate(sums);
}

/// With room for these numbers, so many for each column and perhaps one more, in the first batch.
RunningSums& sized(const char* who, RunningSums& sums, const Tensor& numbers, int of_each) {
  if (sums.count() == 0) sums = RunningSums(numbers.numel());
  if (sums.count() != numbers.numel())
    fail("{}: the batches before had {} columns, this one has {}", who, sums.count() / of_each,
         numbers.numel() / of_each);
  return sums;
}

double mean_of(const std::vector<double>& x) {
  double sum = 0;
  for (double value : x) sum += value;
  return sum / static_cast<double>(x.size());
}

}  // namespace

FBetaScore::FBetaScore(Options options)
    : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void FBetaScore::update_state(const Tensor& y_true, const Tensor& y_pred,
                              const Tensor& sample_weight) {
  NoGradient scope;
  const char* who = name().c_str();
  auto [y, p, w] = columns_of(who, y_true, y_pred, sample_weight);
  // Without a threshold a row of zeros has no positive class.
  const Tensor above = options_.threshold ? p > *options_.threshold
                                          : logical_and(p >= max(p, -1, true), abs(p) > 1e-9);
  const Tensor positive = cast(above, float64);
  const Tensor sums = sums_of({positive * y, positive, y}, w);
  sized(who, *sums_, sums, 3).add(sums);
}

std::vector<double> FBetaScore::results() const {
  const std::vector<double> sums = sums_->values();
  const std::size_t n = sums.size() / 3;
  if (n == 0) return {0};
  const double square = options_.beta * options_.beta;
  auto score = [&](double right, double predicted, double positive) {
    const double precision = right / (predicted + keras_epsilon);
    const double recall = right / (positive + keras_epsilon);
    return (1 + square) * precision * recall / (square * precision + recall + keras_epsilon);
  };
  std::vector<double> scores, all(3);
  double weighted = 0;
  for (std::size_t i = 0; i < n; ++i) {
    scores.push_back(score(sums[i], sums[n + i], sums[2 * n + i]));
    weighted += scores[i] * sums[2 * n + i];
    for (std::size_t kind = 0; kind < 3; ++kind) all[kind] += sums[kind * n + i];
  }
  if (!options_.average) return scores;
  if (*options_.average == "micro") return {score(all[0], all[1], all[2])};
  if (*options_.average == "macro") return {mean_of(scores)};
  return {weighted / (all[2] + keras_epsilon)};
}

void FBetaScore::reset_state() {
  check_fields(name(), fields());
  sums_->reset();
}

namespace {

Check one_of_or_none(std::vector<std::string> words) {
  Check check = one_of(std::move(words));
  return {check.rule + ", or none",
          [holds = check.holds](const Option& o) { return o.is_none() || holds(o); }};
}

}  // namespace

std::vector<Field> FBetaScore::fields() {
  auto in_range = [](const Option& o) {
    const double* number = std::get_if<double>(&o);
    return o.is_none() || (number != nullptr && *number > 0 && *number <= 1);
  };
  auto positive = [](const Option& o) {
    const double* number = std::get_if<double>(&o);
    return number != nullptr && *number > 0;
  };
  std::vector<Field> fields = Metric::fields();
  fields.insert(fields.end(),
                {{"average", &options_.average, one_of_or_none({"micro", "macro", "weighted"})},
                 {"beta", &options_.beta, {"above 0", positive}},
                 {"threshold", &options_.threshold, {"above 0 and at most 1", in_range}}});
  return fields;
}

F1Score::F1Score(Options options)
    : FBetaScore({.average = std::move(options.average),
                  .threshold = options.threshold,
                  .name = std::move(options.name)}) {}

std::vector<Field> F1Score::fields() {
  std::vector<Field> fields = FBetaScore::fields();
  std::erase_if(fields, [](const Field& field) { return field.name == "beta"; });
  return fields;
}

// --- R2

R2Score::R2Score(Options options)
    : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void R2Score::update_state(const Tensor& y_true, const Tensor& y_pred,
                           const Tensor& sample_weight) {
  NoGradient scope;
  const char* who = name().c_str();
  auto [y, p, w] = columns_of(who, y_true, y_pred, sample_weight);
  const Tensor sums =
      concatenate({sums_of({ones(y.shape(), float64, y.device()), y, y * y, square(y - p)}, w),
                   full({1}, static_cast<double>(y.numel()), float64, y.device())});
  sized(who, *sums_, sums, 4).add(sums);
}

std::vector<double> R2Score::results() const {
  const std::vector<double> sums = sums_->values();
  const std::size_t columns = sums.size() / 4;
  if (columns == 0 || sums.back() == 0) return {0};
  std::vector<double> scores;
  double variances = 0, weighted = 0;
  for (std::size_t i = 0; i < columns; ++i) {
    const double weight = sums[i], first = sums[columns + i], second = sums[2 * columns + i];
    double variance = second - ratio(first * first, weight);
    if (variance <= 1e-13 * second) variance = 0;  // a rest of rounding
    scores.push_back(variance == 0 ? 0 : 1 - sums[3 * columns + i] / variance);
    variances += variance;
    weighted += variance * scores[i];
  }
  const double n = sums.back(), p = options_.num_regressors;
  if (options_.class_aggregation == "uniform_average") scores = {mean_of(scores)};
  if (options_.class_aggregation == "variance_weighted_average")
    scores = {ratio(weighted, variances)};
  // The adjusted score, where there are samples enough.
  if (p > 0 && p < n - 1)
    for (double& score : scores) score = 1 - (1 - score) * (n - 1) / (n - p - 1);
  return scores;
}

void R2Score::reset_state() {
  check_fields(name(), fields());
  sums_->reset();
}

std::vector<Field> R2Score::fields() {
  std::vector<Field> fields = Metric::fields();
  fields.insert(fields.end(), {{"class_aggregation", &options_.class_aggregation,
                                one_of_or_none({"uniform_average", "variance_weighted_average"})},
                               {"num_regressors", &options_.num_regressors, at_least(0)}});
  return fields;
}

// --- correlations

Tensor pearson_correlation(const Tensor& y_true, const Tensor& y_pred, const Axes& axis) {
  auto [y, p] = fitted("pearson_correlation", y_true, y_pred);
  auto standardized = [&axis](const Tensor& x) {
    const Tensor centered = x - mean(x, axis, true);
    return centered / std(centered, axis, true);
  };
  return mean(standardized(y) * standardized(p), axis);
}

Tensor concordance_correlation(const Tensor& y_true, const Tensor& y_pred, const Axes& axis) {
  auto [y, p] = fitted("concordance_correlation", y_true, y_pred);
  const Tensor y_mean = mean(y, axis, true), p_mean = mean(p, axis, true);
  const Tensor covariance = (y - y_mean) * (p - p_mean);
  const Tensor whole = var(y, axis, true) + var(p, axis, true) + square(y_mean - p_mean);
  return mean(2.0 * covariance / (whole + keras_epsilon), axis);
}

namespace {

// Keras writes one axis as a number.
std::vector<Field> with_axis(std::vector<Field> fields, std::vector<int>& axis) {
  auto read = [&axis] { return axis.size() == 1 ? to_option(axis[0]) : to_option(axis); };
  auto write = [&axis](const Option& value) { return from_option(value, axis) && !axis.empty(); };
  fields.emplace_back("axis", read, write);
  return fields;
}

}  // namespace

PearsonCorrelation::PearsonCorrelation(Options options)
    : MeanMetric(std::move(options.name), Direction::up), axis_(std::move(options.axis)) {}
std::vector<Field> PearsonCorrelation::fields() { return with_axis(MeanMetric::fields(), axis_); }
Tensor PearsonCorrelation::values(const Tensor& y_true, const Tensor& y_pred) {
  return pearson_correlation(y_true, y_pred, axis_);
}

ConcordanceCorrelation::ConcordanceCorrelation(Options options)
    : MeanMetric(std::move(options.name), Direction::up), axis_(std::move(options.axis)) {}
std::vector<Field> ConcordanceCorrelation::fields() {
  return with_axis(MeanMetric::fields(), axis_);
}
Tensor ConcordanceCorrelation::values(const Tensor& y_true, const Tensor& y_pred) {
  return concordance_correlation(y_true, y_pred, axis_);
}

}  // namespace keratin
