// Precision, recall and the area under a curve (keras/src/metrics/confusion_metrics.py,
// metrics_utils.py).

#include <algorithm>
#include <cmath>
#include <numeric>

#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/metrics.h>

namespace keratin {
namespace {

constexpr double below_all = -1e10;  // Keras' NEG_INF

template <class F>
void with_floats(const Tensor& dense, const F& f) {
  dense.dtype() == float64 ? f(dense.data<double>()) : f(dense.data<float>());
}

/// Labels, scores and weights of a batch, one for each score, in row-major order.
struct Scores {
  Tensor labels;   // boolean
  Tensor scores;   // float32 or float64
  Tensor weights;  // float64, or undefined: 1 each

  template <class F>
  void for_each(const F& f) const {  // f(label, score, weight), but for those of weight 0
    const bool* label = raw<bool>(labels);
    const double* weight = weights.defined() ? raw<double>(weights) : nullptr;
    with_floats(scores, [&](const auto* score) {
      for (std::int64_t i = 0; i < scores.numel(); ++i) {
        double w = weight == nullptr ? 1.0 : weight[i];
        if (w != 0) f(label[i], score[i], w);
      }
    });
  }
};

/// Scores with all but the k largest of each row far below any threshold.
Tensor largest_of_rows(const Tensor& scores, int k) {
  Tensor kept = full(scores.shape(), below_all, scores.dtype(), Device());
  std::int64_t n = scores.shape()[-1];
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::int64_t count = std::min<std::int64_t>(k, n);
  with_floats(contiguous(scores), [&](const auto* row) {
    using T = std::remove_cvref_t<decltype(*row)>;
    T* out = raw<T>(kept);
    for (std::int64_t i = 0; i < scores.numel(); i += n, row += n, out += n) {
      std::iota(order.begin(), order.end(), std::int64_t{0});
      std::partial_sort(order.begin(), order.begin() + count, order.end(),
                        [&](std::int64_t a, std::int64_t b) {
                          return row[a] > row[b] || (row[a] == row[b] && a < b);
                        });
      for (std::int64_t j = 0; j < count; ++j) out[order[j]] = row[order[j]];
    }
  });
  return kept;
}

Scores scores_of(const char* who, const Tensor& y_true, const Tensor& y_pred,
                 const Tensor& sample_weight, std::optional<int> top_k = std::nullopt,
                 std::optional<int> class_id = std::nullopt) {
  auto [y, p] = same_shape(who, on_host(y_true), on_host(as_float(y_pred)));
  if (top_k && p.rank() > 0) p = largest_of_rows(p, *top_k);
  if (class_id) {
    if (p.rank() < 2 || *class_id < 0 || *class_id >= p.shape()[-1])
      fail("{}: class_id {} needs y_pred of shape (batch, classes), got {}", who, *class_id,
           y_pred.shape());
    Tensor column = full({1}, *class_id, int32, Device());
    y = take(y, column, -1);
    p = take(p, column, -1);
  }
  Scores scores{contiguous(not_equal(y, 0)), contiguous(p), {}};
  if (sample_weight.defined()) {
    auto [values, weights] = with_weights(who, p, on_host(sample_weight));
    scores.weights = contiguous(cast(broadcast_to(weights, values.shape()), float64));
  }
  return scores;
}

double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

/// Adds, for each threshold, the weights of the scores above it that have the label, and of those
/// that `other` picks by (label, above).
template <class Other>
void count(const Scores& scores, const std::vector<double>& thresholds,
           std::vector<double>& true_positives, std::vector<double>& others, const Other& other) {
  scores.for_each([&](bool label, auto score, double weight) {
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
      bool above = score > static_cast<decltype(score)>(thresholds[i]);
      if (label && above) true_positives[i] += weight;
      if (other(label, above)) others[i] += weight;
    }
  });
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

std::vector<double> ratios(const std::vector<double>& part, const std::vector<double>& rest) {
  std::vector<double> result;
  for (std::size_t i = 0; i < part.size(); ++i) result.push_back(ratio(part[i], part[i] + rest[i]));
  return result;
}

}  // namespace

Precision::Precision(Options options)
    : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void Precision::update_state(const Tensor& y_true, const Tensor& y_pred,
                             const Tensor& sample_weight) {
  NoGradient scope;
  Scores scores =
      scores_of(name().c_str(), y_true, y_pred, sample_weight, options_.top_k, options_.class_id);
  count(scores, options_.thresholds, counts_->true_positives, counts_->false_positives,
        [](bool label, bool above) { return !label && above; });
}

std::vector<double> Precision::results() const {
  return ratios(counts_->true_positives, counts_->false_positives);
}

void Precision::reset_state() {
  check(name(), options_);
  counts_->true_positives.assign(options_.thresholds.size(), 0);
  counts_->false_positives = counts_->true_positives;
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
  Scores scores =
      scores_of(name().c_str(), y_true, y_pred, sample_weight, options_.top_k, options_.class_id);
  count(scores, options_.thresholds, counts_->true_positives, counts_->false_negatives,
        [](bool label, bool above) { return label && !above; });
}

std::vector<double> Recall::results() const {
  return ratios(counts_->true_positives, counts_->false_negatives);
}

void Recall::reset_state() {
  check(name(), options_);
  counts_->true_positives.assign(options_.thresholds.size(), 0);
  counts_->false_negatives = counts_->true_positives;
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
  counts_->positives.assign(thresholds_.size() + 1, 0);
  counts_->negatives = counts_->positives;
}

void AUC::add_samples(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  auto old = static_cast<std::ptrdiff_t>(counts_->samples.size());
  scores_of(name().c_str(), y_true, y_pred, sample_weight)
      .for_each([&](bool label, double score, double weight) {
        counts_->samples.push_back({std::isnan(score) ? -INFINITY : score, weight, label});
      });
  auto begin = counts_->samples.begin(), middle = begin + old, end = counts_->samples.end();
  auto lower = [](const Sample& a, const Sample& b) { return a.score < b.score; };
  std::stable_sort(middle, end, lower);
  std::inplace_merge(begin, middle, end, lower);
}

void AUC::update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  NoGradient scope;
  if (options_.exact) return add_samples(y_true, y_pred, sample_weight);
  Scores scores = scores_of(name().c_str(), y_true, options_.from_logits ? sigmoid(y_pred) : y_pred,
                            sample_weight);
  scores.for_each([&](bool label, auto score, double weight) {
    using T = decltype(score);
    if (score < T(-1e-6) || score > T(1 + 1e-6))
      fail("{}: expected scores from 0 to 1, got {}; logits need from_logits", name(), score);
    // How many thresholds the score lies above; none for NaN.
    std::size_t above = 0;
    if (evenly_spaced_ && score == score) {
      auto last = static_cast<T>(thresholds_.size() - 1);
      above =
          static_cast<std::size_t>(std::max(std::ceil(std::clamp(score, T(0), T(1)) * last), T(1)));
    } else if (score == score) {
      above = static_cast<std::size_t>(
          std::lower_bound(thresholds_.begin(), thresholds_.end(), score,
                           [](double threshold, T s) { return static_cast<T>(threshold) < s; }) -
          thresholds_.begin());
    }
    (label ? counts_->positives : counts_->negatives)[above] += weight;
  });
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
  std::vector<double> tp(n), fp(n);
  double all_positive = 0, all_negative = 0;
  for (std::size_t i = n; i > 0; --i) {
    tp[i - 1] = all_positive += counts_->positives[i];
    fp[i - 1] = all_negative += counts_->negatives[i];
  }
  all_positive += counts_->positives[0];
  all_negative += counts_->negatives[0];

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
