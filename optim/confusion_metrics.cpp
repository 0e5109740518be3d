// Precision, recall and the area under a curve (keras/src/metrics/confusion_metrics.py,
// metrics_utils.py).

#include <algorithm>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/metrics.h>

namespace keratin {
namespace {

constexpr double below_all = -1e10;  // Keras' NEG_INF

/// Labels, scores and weights of a batch, (n), in row-major order.
struct Scores {
  Tensor labels;   // boolean
  Tensor scores;   // float32 or float64
  Tensor weights;  // float64
};

/// Scores with all but the k largest of each row far below any threshold.
Tensor largest_of_rows(const Tensor& scores, int k) {
  const std::int64_t n = scores.shape()[-1];
  if (k >= n) return scores;
  const Tensor numbers = arange(0, static_cast<double>(n), 1, int32, scores.device());
  Tensor left = scores, kept = full(scores.shape(), below_all, scores.dtype(), scores.device());
  for (int i = 0; i < k; ++i) {
    const Tensor largest = equal(argmax(left, -1, true), numbers);
    kept = where(largest, scores, kept);
    left = where(largest, -INFINITY, left);
  }
  return kept;
}

Scores scores_of(const char* who, const Tensor& y_true, const Tensor& y_pred,
                 const Tensor& sample_weight, std::optional<int> top_k = std::nullopt,
                 std::optional<int> class_id = std::nullopt) {
  auto [y, p] = same_shape(who, y_true, as_float(y_pred));
  if (top_k && p.rank() > 0) p = largest_of_rows(p, *top_k);
  if (class_id) {
    if (p.rank() < 2 || *class_id < 0 || *class_id >= p.shape()[-1])
      fail("{}: class_id {} needs y_pred of shape (batch, classes), got {}", who, *class_id,
           y_pred.shape());
    const Tensor column = full({1}, *class_id, int32, p.device());
    y = take(y, column, -1);
    p = take(p, column, -1);
  }
  const Shape flat{p.numel()};
  Scores scores{not_equal(y, 0).reshape(flat), p.reshape(flat), {}};
  if (sample_weight.defined()) {
    auto [values, weights] = with_weights(who, p, sample_weight);
    scores.weights = broadcast_to(cast(weights, float64), values.shape()).reshape(flat);
  } else {
    scores.weights = ones(flat, float64, p.device());
  }
  return scores;
}

double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

/// Adds, for each threshold, the weights of the scores above it that have the label, and of those
/// that `other` picks by (labels, above).
template <class Other>
void count(RunningSums& sums, const Scores& batch, const std::vector<double>& thresholds,
           const Other& other) {
  const auto n = static_cast<std::int64_t>(thresholds.size());
  auto add = [&](std::int64_t place, const Tensor& picked) {
    sums.add(place, sum(where(picked, batch.weights, 0.0)));
  };
  for (std::int64_t i = 0; i < n; ++i) {
    const Tensor above = batch.scores > thresholds[static_cast<std::size_t>(i)];
    add(i, logical_and(batch.labels, above));
    add(n + i, other(batch.labels, above));
  }
}

template <class Options>
void check(const std::string& who, Options& options) {
  if (options.thresholds.empty()) options.thresholds = options.top_k ? below_all : 0.5;
  for (double threshold : options.thresholds)
    if (!(threshold >= 0 && threshold <= 1) && threshold != below_all)
      fail("{}: expected thresholds in [0, 1], got {}", who, threshold);
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

// In the same memory, if it is of that size.
void reset(RunningSums& sums, std::size_t count) {
  const auto wanted = static_cast<std::int64_t>(count);
  sums.count() == wanted ? sums.reset() : void(sums = RunningSums(wanted));
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
        options_.thresholds, [](const Tensor& labels, const Tensor& above) {
          return logical_and(logical_not(labels), above);
        });
}

std::vector<double> Precision::results() const { return ratios(*sums_); }

void Precision::reset_state() {
  check(name(), options_);
  reset(*sums_, 2 * options_.thresholds.size());
}

namespace {

// The options of Precision and Recall. Keras writes the usual threshold as None, one as a number.
std::vector<Field> fields_of(std::vector<Field> fields, auto& options) {
  std::vector<double>& t = options.thresholds;
  auto thresholds = [&t] {
    if (t == std::vector{0.5}) return Option();
    return t.size() == 1 ? to_option(t[0]) : to_option(t);
  };
  auto set_thresholds = [&t](const Option& value) {
    if (!value.is_none()) return from_option(value, t);
    t = {0.5};
    return true;
  };
  fields.emplace_back("thresholds", thresholds, set_thresholds);
  fields.emplace_back("top_k", &options.top_k);
  fields.emplace_back("class_id", &options.class_id);
  return fields;
}

}  // namespace

std::vector<Field> Precision::fields() { return fields_of(Metric::fields(), options_); }

Recall::Recall(Options options)
    : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void Recall::update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  NoGradient scope;
  count(*sums_,
        scores_of(name().c_str(), y_true, y_pred, sample_weight, options_.top_k, options_.class_id),
        options_.thresholds, [](const Tensor& labels, const Tensor& above) {
          return logical_and(labels, logical_not(above));
        });
}

std::vector<double> Recall::results() const { return ratios(*sums_); }

void Recall::reset_state() {
  check(name(), options_);
  reset(*sums_, 2 * options_.thresholds.size());
}

std::vector<Field> Recall::fields() { return fields_of(Metric::fields(), options_); }

// --- AUC

AUC::AUC(Options options) : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void AUC::check_options() {
  Options& o = options_;
  if (o.curve == "roc") o.curve = "ROC";
  if (o.curve == "pr") o.curve = "PR";
  if (o.curve != "ROC" && o.curve != "PR")
    fail_unknown(name() + ": unknown curve", o.curve, {"ROC", "PR"});
  if (o.summation_method != "interpolation" && o.summation_method != "minoring" &&
      o.summation_method != "majoring")
    fail_unknown(name() + ": unknown summation_method", o.summation_method,
                 {"interpolation", "minoring", "majoring"});
  if (o.thresholds.empty() && o.num_thresholds < 2)
    fail("{}: expected num_thresholds of at least 2, got {}", name(), o.num_thresholds);
  if (!o.exact) return;
  if (!o.thresholds.empty() || o.num_thresholds != Options().num_thresholds)
    fail("{}: exact = true looks at all scores and takes no thresholds", name());
  if (o.summation_method != "interpolation")
    fail("{}: exact = true sums nothing up by \"{}\"; leave summation_method out", name(),
         o.summation_method);
}

void AUC::reset_state() {
  check_options();
  counts_->samples.clear();
  const Options& o = options_;
  thresholds_ = o.thresholds;
  std::sort(thresholds_.begin(), thresholds_.end());
  if (o.thresholds.empty())
    for (int i = 1; i + 1 < o.num_thresholds; ++i)
      thresholds_.push_back(static_cast<double>(i) / (o.num_thresholds - 1));
  // Every score from 0 to 1 lies above the first threshold and below the last.
  thresholds_.insert(thresholds_.begin(), -keras_epsilon);
  thresholds_.push_back(1 + keras_epsilon);
  auto last = static_cast<double>(thresholds_.size() - 1);
  evenly_spaced_ = true;
  for (std::size_t i = 0; i < thresholds_.size(); ++i) {
    double even = static_cast<double>(i) / last;
    evenly_spaced_ &= std::abs(thresholds_[i] - even) <= 2e-7 + 1e-5 * even;
  }
  reset(counts_->bins, 2 * (thresholds_.size() + 1));
}

void AUC::add_samples(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  const Scores batch = scores_of(name().c_str(), y_true, y_pred, sample_weight);
  const std::vector<bool> labels = batch.labels.to_vector<bool>();
  const std::vector<double> scores = batch.scores.to_vector<double>();
  const std::vector<double> weights = batch.weights.to_vector<double>();
  auto& samples = counts_->samples;
  const auto old = static_cast<std::ptrdiff_t>(samples.size());
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (weights[i] != 0)
      samples.push_back({std::isnan(scores[i]) ? -INFINITY : scores[i], weights[i], labels[i]});
  auto lower = [](const Sample& a, const Sample& b) { return a.score < b.score; };
  std::stable_sort(samples.begin() + old, samples.end(), lower);
  std::inplace_merge(samples.begin(), samples.begin() + old, samples.end(), lower);
}

// How many thresholds each score lies above, int32; none for NaN.
Tensor AUC::bins_of(const Tensor& scores) const {
  if (!evenly_spaced_) {
    Tensor above = zeros(scores.shape(), int32, scores.device());
    for (double threshold : thresholds_) above = above + cast(scores > threshold, int32);
    return above;
  }
  const auto last = static_cast<double>(thresholds_.size() - 1);
  const Tensor above = maximum(ceil(clip(scores, 0, 1) * last), 1.0);
  return cast(where(equal(scores, scores), above, 0.0), int32);
}

void AUC::update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  NoGradient scope;
  if (options_.exact) return add_samples(y_true, y_pred, sample_weight);
  const Scores batch = scores_of(name().c_str(), y_true,
                                 options_.from_logits ? sigmoid(y_pred) : y_pred, sample_weight);
  // What has no weight may be any number.
  const Tensor scores = where(batch.weights != 0, batch.scores, 0.0);
  const Tensor wrong = logical_or(scores<-1e-6, scores> 1 + 1e-6);
  Tensor bins = bins_of(scores);
  if (scores.device().is_cpu()) {
    if (any(wrong).item() != 0)
      fail("{}: expected scores from 0 to 1, got {}; logits need from_logits", name(),
           take(scores, argmax(wrong), 0).item());
  } else {  // found when somebody waits for the device
    const Tensor checked = empty(bins.shape(), int32, bins.device());
    kernels_of(bins).check_indices("auc: scores lie from 0 to 1, logits need from_logits", checked,
                                   where(wrong, -1, bins), 0, counts_->bins.count() / 2);
    bins = checked;
  }
  counts_->bins.add_at(where(batch.labels, bins, bins + counts_->bins.count() / 2), batch.weights);
}

double AUC::exact_area() const {
  // From the highest score down; samples with the same score become positive together.
  double tp = 0, fp = 0, roc = 0, pr = 0;
  for (auto i = counts_->samples.rbegin(); i != counts_->samples.rend();) {
    double positive = 0, negative = 0;
    for (double score = i->score; i != counts_->samples.rend() && i->score == score; ++i)
      (i->label ? positive : negative) += i->weight;
    roc += negative * (tp + positive / 2);
    tp += positive;
    fp += negative;
    pr += positive * ratio(tp, tp + fp);
  }
  return options_.curve == "ROC" ? ratio(roc, tp * fp) : ratio(pr, tp);
}

double AUC::result() const {
  if (options_.exact) return exact_area();
  // What lies above each threshold: true and false positives.
  std::size_t n = thresholds_.size();
  const std::vector<double> positives = counts_->bins.values();
  const double* negatives = positives.data() + n + 1;
  std::vector<double> tp(n), fp(n);
  double all_positive = 0, all_negative = 0;
  for (std::size_t i = n; i > 0; --i) {
    tp[i - 1] = all_positive += positives[i];
    fp[i - 1] = all_negative += negatives[i];
  }
  all_positive += positives[0];
  all_negative += negatives[0];

  double area = 0;
  if (options_.curve == "PR" && options_.summation_method == "interpolation") {
    // Between two thresholds precision follows a hyperbola (Davis and Goadrich).
    for (std::size_t i = 0; i + 1 < n; ++i) {
      double p0 = tp[i] + fp[i], p1 = tp[i + 1] + fp[i + 1];
      double dtp = tp[i] - tp[i + 1];
      double slope = ratio(dtp, std::max(p0 - p1, 0.0));
      double intercept = tp[i + 1] - slope * p1;
      double log_ratio = p0 > 0 && p1 > 0 ? std::log(p0 / p1) : 0;
      area += ratio(slope * (dtp + intercept * log_ratio), all_positive);
    }
    return area;
  }
  auto point = [&](std::size_t i) {
    double recall = ratio(tp[i], all_positive);
    if (options_.curve == "ROC") return std::pair(ratio(fp[i], all_negative), recall);
    return std::pair(recall, ratio(tp[i], tp[i] + fp[i]));
  };
  for (std::size_t i = 0; i + 1 < n; ++i) {
    auto [x0, y0] = point(i);
    auto [x1, y1] = point(i + 1);
    double height = options_.summation_method == "minoring"   ? std::min(y0, y1)
                    : options_.summation_method == "majoring" ? std::max(y0, y1)
                                                              : (y0 + y1) / 2;
    area += (x0 - x1) * height;
  }
  return area;
}

std::vector<Field> AUC::fields() {
  std::vector<Field> fields = Metric::fields();
  fields.insert(fields.end(), {{"num_thresholds", &options_.num_thresholds},
                               {"curve", &options_.curve},
                               {"summation_method", &options_.summation_method},
                               Field::fixed("multi_label", false),
                               Field::fixed("num_labels", {}),
                               Field::fixed("label_weights", {}),
                               {"thresholds", &options_.thresholds},
                               {"from_logits", &options_.from_logits},
                               {"exact", &options_.exact}});
  return fields;
}

Config AUC::config() const {
  Config config = Metric::config();
  auto leave_out = [&](const char* name) {
    std::erase_if(config, [&](const auto& option) { return option.first == name; });
  };
  if (!options_.exact) leave_out("exact");
  if (options_.thresholds.empty()) leave_out("thresholds");
  return config;
}

}  // namespace keratin
