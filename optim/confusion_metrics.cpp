// Counts of what is predicted right and wrong, precision and recall
// (keras/src/metrics/confusion_metrics.py).

#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/internal/scores.h>
#include <keratin/optim/metrics.h>

namespace keratin {
namespace {

Tensor in_cell(ConfusionCell cell, const Tensor& labels, const Tensor& above) {
  const bool is_true =
      cell == ConfusionCell::true_positives || cell == ConfusionCell::true_negatives;
  const bool is_positive =
      cell == ConfusionCell::true_positives || cell == ConfusionCell::false_positives;
  return logical_and(is_true == is_positive ? labels : logical_not(labels),
                     is_positive ? above : logical_not(above));
}

/// Adds the weights of each cell at each threshold.
void count(RunningSums& sums, const ScoredBatch& batch, const std::vector<double>& thresholds,
           const std::vector<ConfusionCell>& cells) {
  std::int64_t place = 0;
  for (const ConfusionCell cell : cells)
    for (const double threshold : thresholds) {
      const Tensor picked = in_cell(cell, batch.labels, batch.scores > threshold);
      sums.add(place++, sum(where(picked, batch.weights, 0.0)));
    }
}

void check(const std::string& who, const std::vector<double>& thresholds) {
  for (double threshold : thresholds)
    if (!(threshold >= 0 && threshold <= 1) && threshold != below_all)
      fail("{}: expected thresholds in [0, 1], got {}", who, threshold);
}

template <class Options>
void check_options(const std::string& who, Options& options) {
  if (options.thresholds.empty()) options.thresholds = options.top_k ? below_all : 0.5;
  check(who, options.thresholds);
  if (options.top_k.value_or(1) < 1)
    fail("{}: expected top_k of at least 1, got {}", who, *options.top_k);
}

// The first half of the sums, divided by both halves.
std::vector<double> ratios(const RunningSums& sums) {
  const std::vector<double> values = sums.values();
  const std::size_t n = values.size() / 2;
  std::vector<double> result;
  for (std::size_t i = 0; i < n; ++i) result.push_back(ratio(values[i], values[i] + values[n + i]));
  return result;
}

// Keras writes the usual threshold as None, one as a number.
Field thresholds_field(std::vector<double>& t) {
  auto read = [&t] {
    if (t == std::vector{0.5}) return Option();
    return t.size() == 1 ? to_option(t[0]) : to_option(t);
  };
  auto write = [&t](const Option& value) {
    if (!value.is_none()) return from_option(value, t);
    t = {0.5};
    return true;
  };
  return {"thresholds", read, write};
}

// The options of Precision and Recall.
std::vector<Field> fields_of(std::vector<Field> fields, auto& options) {
  fields.push_back(thresholds_field(options.thresholds));
  fields.emplace_back("top_k", &options.top_k);
  fields.emplace_back("class_id", &options.class_id);
  return fields;
}

}  // namespace

Precision::Precision(Options options)
    : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void Precision::update_state(const Tensor& y_true, const Tensor& y_pred,
                             const Tensor& sample_weight) {
  NoGradient scope;
  count(*sums_,
        scores_of(name().c_str(), y_true, y_pred, sample_weight, options_.top_k, options_.class_id),
        options_.thresholds, {ConfusionCell::true_positives, ConfusionCell::false_positives});
}

std::vector<double> Precision::results() const { return ratios(*sums_); }

void Precision::reset_state() {
  check_options(name(), options_);
  reset(*sums_, 2 * options_.thresholds.size());
}

std::vector<Field> Precision::fields() { return fields_of(Metric::fields(), options_); }

Recall::Recall(Options options)
    : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void Recall::update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  NoGradient scope;
  count(*sums_,
        scores_of(name().c_str(), y_true, y_pred, sample_weight, options_.top_k, options_.class_id),
        options_.thresholds, {ConfusionCell::true_positives, ConfusionCell::false_negatives});
}

std::vector<double> Recall::results() const { return ratios(*sums_); }

void Recall::reset_state() {
  check_options(name(), options_);
  reset(*sums_, 2 * options_.thresholds.size());
}

std::vector<Field> Recall::fields() { return fields_of(Metric::fields(), options_); }

// --- the four counts

template <ConfusionCell cell>
ConfusionCount<cell>::ConfusionCount(Options options)
    : Metric(options.name), options_(std::move(options)) {
  reset_state();
}

template <ConfusionCell cell>
void ConfusionCount<cell>::update_state(const Tensor& y_true, const Tensor& y_pred,
                                        const Tensor& sample_weight) {
  NoGradient scope;
  count(*sums_, scores_of(name().c_str(), y_true, y_pred, sample_weight), options_.thresholds,
        {cell});
}

template <ConfusionCell cell>
std::vector<double> ConfusionCount<cell>::results() const {
  return sums_->values();
}

template <ConfusionCell cell>
void ConfusionCount<cell>::reset_state() {
  if (options_.thresholds.empty()) options_.thresholds = 0.5;
  check(name(), options_.thresholds);
  reset(*sums_, options_.thresholds.size());
}

template <ConfusionCell cell>
std::vector<Field> ConfusionCount<cell>::fields() {
  std::vector<Field> fields = Metric::fields();
  fields.push_back(thresholds_field(options_.thresholds));
  return fields;
}

template class ConfusionCount<ConfusionCell::true_positives>;
template class ConfusionCount<ConfusionCell::true_negatives>;
template class ConfusionCount<ConfusionCell::false_positives>;
template class ConfusionCount<ConfusionCell::false_negatives>;

}  // namespace keratin
