// The area under a curve, and the best of one rate where another is large enough
// (keras/src/metrics/confusion_metrics.py).

#include <algorithm>
#include <cctype>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/internal/scores.h>
#include <keratin/optim/metrics.h>

namespace keratin {
namespace {

constexpr int most = 1 << 20;  // so many thresholds or labels are reasonable

// For n thresholds, those between 0 and 1.
std::vector<double> evenly_spaced(const std::string& who, int n) {
  if (n > most) fail("{}: expected num_thresholds of at most {}, got {}", who, most, n);
  std::vector<double> thresholds;
  for (int i = 1; i + 1 < n; ++i) thresholds.push_back(static_cast<double>(i) / (n - 1));
  return thresholds;
}

}  // namespace

AUC::AUC(Options options) : Metric(options.name, Direction::up), options_(std::move(options)) {
  reset_state();
}

void AUC::check_options() {
  Options& o = options_;
  std::ranges::transform(o.curve, o.curve.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (o.curve != "ROC" && o.curve != "PR" && o.curve != "PRGAIN")
    fail_unknown(name() + ": unknown curve", o.curve, {"ROC", "PR", "PRGAIN"});
  if (o.summation_method != "interpolation" && o.summation_method != "minoring" &&
      o.summation_method != "majoring")
    fail_unknown(name() + ": unknown summation_method", o.summation_method,
                 {"interpolation", "minoring", "majoring"});
  if (o.thresholds.empty() && o.num_thresholds < 2)
    fail("{}: expected num_thresholds of at least 2, got {}", name(), o.num_thresholds);
  if (o.num_labels && !o.multi_label)
    fail("{}: num_labels = {} needs multi_label = true", name(), *o.num_labels);
  if (const int labels = o.num_labels.value_or(1); labels < 1 || labels > most)
    fail("{}: expected num_labels from 1 to {}, got {}", name(), most, labels);
  if (o.num_labels && !o.label_weights.empty() &&
      o.label_weights.size() != static_cast<std::size_t>(*o.num_labels))
    fail("{}: expected {} label_weights, got {}", name(), *o.num_labels, o.label_weights.size());
  if (!o.exact) return;
  if (!o.thresholds.empty() || o.num_thresholds != Options().num_thresholds)
    fail("{}: exact = true looks at all scores and takes no thresholds", name());
  if (o.summation_method != "interpolation")
    fail("{}: exact = true sums nothing up by \"{}\"; leave summation_method out", name(),
         o.summation_method);
  if (o.curve == "PRGAIN") fail("{}: exact = true knows the curves ROC and PR alone", name());
}

void AUC::reset_state() {
  check_options();
  const Options& o = options_;
  std::vector<double> thresholds = o.thresholds;
  std::sort(thresholds.begin(), thresholds.end());
  if (o.thresholds.empty()) thresholds = evenly_spaced(name(), o.num_thresholds);
  // Every score from 0 to 1 lies above the first threshold and below the last.
  thresholds.insert(thresholds.begin(), -keras_epsilon);
  thresholds.push_back(1 + keras_epsilon);
  bins_ = std::make_shared<const ScoreBins>(std::move(thresholds));
  begin(o.multi_label ? o.num_labels.value_or(counts_->found) : 1);
}

void AUC::snapshot(Snapshot& s) {
  Counts& counts = *counts_;
  s.field("labels", counts.labels);
  s.field("found", counts.found);
  counts.bins.snapshot(s);
  auto lists = static_cast<int>(counts.samples.size());
  s.field("lists", lists);
  if (lists < 0 || lists != counts.labels || counts.bins.count() != bins_->sums() * lists)
    s.refuse(fmt::format("{}: {} labels, {} lists of samples and {} sums do not fit each other",
                         name(), counts.labels, lists, counts.bins.count()));
  counts.samples.resize(static_cast<std::size_t>(lists));
  for (std::size_t i = 0; i < counts.samples.size(); ++i) {
    std::vector<double> numbers;  // three for each sample
    for (const Sample& sample : counts.samples[i])
      numbers.insert(numbers.end(), {sample.score, sample.weight, sample.label ? 1.0 : 0.0});
    s.field(fmt::format("samples/{}", i), numbers);
    counts.samples[i].clear();
    for (std::size_t n = 0; n + 2 < numbers.size(); n += 3)
      counts.samples[i].push_back({numbers[n], numbers[n + 1], numbers[n + 2] != 0});
  }
}

void AUC::begin(std::int64_t labels) {
  if (bins_->sums() * labels > INT32_MAX)
    fail("{}: {} labels with {} sums each are more than int32 can number", name(), labels,
         bins_->sums());
  counts_->labels = labels;
  counts_->samples.assign(static_cast<std::size_t>(labels), {});
  reset(counts_->bins, static_cast<std::size_t>(bins_->sums() * labels));
}

void AUC::add_samples(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  const ScoredBatch batch = scores_in(y_true, y_pred, sample_weight);
  const std::vector<bool> labels = batch.labels.to_vector<bool>();
  const std::vector<double> scores = batch.scores.to_vector<double>();
  const std::vector<double> weights = batch.weights.to_vector<double>();
  auto lower = [](const Sample& a, const Sample& b) { return a.score < b.score; };
  const std::size_t columns = counts_->samples.size();
  for (std::size_t column = 0; column < columns; ++column) {
    auto& samples = counts_->samples[column];
    const auto old = static_cast<std::ptrdiff_t>(samples.size());
    for (std::size_t i = column; i < scores.size(); i += columns)
      if (weights[i] != 0)
        samples.push_back({std::isnan(scores[i]) ? -INFINITY : scores[i], weights[i], labels[i]});
    std::stable_sort(samples.begin() + old, samples.end(), lower);
    std::inplace_merge(samples.begin(), samples.begin() + old, samples.end(), lower);
  }
}

ScoredBatch AUC::scores_in(const Tensor& y_true, const Tensor& y_pred,
                           const Tensor& sample_weight) {
  if (options_.multi_label) {
    if (y_pred.rank() != 2 || (counts_->labels != 0 && y_pred.size(1) != counts_->labels))
      fail("{}: with multi_label expected y_pred of shape (batch, {}), got {}", name(),
           counts_->labels == 0 ? "labels" : std::to_string(counts_->labels), y_pred.shape());
    if (!options_.label_weights.empty() &&
        static_cast<std::int64_t>(options_.label_weights.size()) != y_pred.size(1))
      fail("{}: {} label_weights do not fit y_pred of shape {}", name(),
           options_.label_weights.size(), y_pred.shape());
    if (counts_->labels == 0) begin(counts_->found = static_cast<int>(y_pred.size(1)));
  }
  return scores_of(name().c_str(), y_true, y_pred, sample_weight, std::nullopt, std::nullopt,
                   options_.multi_label ? std::vector<double>() : options_.label_weights);
}

void AUC::update_state(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight) {
  NoGradient scope;
  if (options_.exact) return add_samples(y_true, y_pred, sample_weight);
  static constexpr ScoreBins::Rule rule{"logits need from_logits",
                                        "auc: scores lie from 0 to 1, logits need from_logits"};
  const ScoredBatch batch =
      scores_in(y_true, options_.from_logits ? sigmoid(y_pred) : y_pred, sample_weight);
  bins_->add(name().c_str(), rule, batch, counts_->labels, counts_->bins);
}

double AUC::exact_area(const std::vector<Sample>& samples) const {
  // From the highest score down; samples with the same score become positive together.
  double tp = 0, fp = 0, roc = 0, pr = 0;
  for (auto i = samples.rbegin(); i != samples.rend();) {
    double positive = 0, negative = 0;
    for (double score = i->score; i != samples.rend() && i->score == score; ++i)
      (i->label ? positive : negative) += i->weight;
    roc += negative * (tp + positive / 2);
    tp += positive;
    fp += negative;
    pr += positive * ratio(tp, tp + fp);
  }
  return options_.curve == "ROC" ? ratio(roc, tp * fp) : ratio(pr, tp);
}

double AUC::result() const {
  // The mean over the labels, by their weights.
  const auto labels = static_cast<std::size_t>(counts_->labels);
  const bool weighted = options_.multi_label && !options_.label_weights.empty();
  const std::vector<double> bins = counts_->bins.values();
  double total = 0, weights = 0;
  for (std::size_t label = 0; label < labels; ++label) {
    const double weight = weighted ? options_.label_weights[label] : 1;
    const double* sums = bins.data() + label * static_cast<std::size_t>(bins_->sums());
    total += weight * (options_.exact ? exact_area(counts_->samples[label])
                                      : area(ThresholdCounts(sums, bins_->thresholds())));
    weights += weight;
  }
  return ratio(total, weights);
}

double AUC::area(const ThresholdCounts& above) const {
  const std::vector<double>&tp = above.true_positives, &fp = above.false_positives;
  const std::size_t n = tp.size();
  double area = 0;
  if (options_.curve == "PR" && options_.summation_method == "interpolation") {
    // Between two thresholds precision follows a hyperbola (Davis and Goadrich).
    for (std::size_t i = 0; i + 1 < n; ++i) {
      double p0 = tp[i] + fp[i], p1 = tp[i + 1] + fp[i + 1];
      double dtp = tp[i] - tp[i + 1];
      double slope = ratio(dtp, std::max(p0 - p1, 0.0));
      double intercept = tp[i + 1] - slope * p1;
      double log_ratio = p0 > 0 && p1 > 0 ? std::log(p0 / p1) : 0;
      area += ratio(slope * (dtp + intercept * log_ratio), above.positives);
    }
    return area;
  }
  auto point = [&](std::size_t i) {
    double recall = ratio(tp[i], above.positives);
    if (options_.curve == "ROC") return std::pair(ratio(fp[i], above.negatives), recall);
    if (options_.curve == "PR") return std::pair(recall, ratio(tp[i], tp[i] + fp[i]));
    // Gains over the classifier that says yes always (Flach and Kull).
    if (tp[i] == 0) return std::pair(0.0, 1.0);
    const double odds = ratio(above.positives, above.negatives);
    return std::pair(std::max(1 - odds * (above.positives - tp[i]) / tp[i], 0.0),
                     1 - odds * fp[i] / tp[i]);
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
  auto read_weights = [this] {
    return options_.label_weights.empty() ? Option() : to_option(options_.label_weights);
  };
  auto write_weights = [this](const Option& o) { return from_option(o, options_.label_weights); };
  std::vector<Field> fields = Metric::fields();
  fields.insert(fields.end(), {{"num_thresholds", &options_.num_thresholds},
                               {"curve", &options_.curve},
                               {"summation_method", &options_.summation_method},
                               {"multi_label", &options_.multi_label},
                               {"num_labels", &options_.num_labels},
                               {"label_weights", read_weights, write_weights},
                               {"from_logits", &options_.from_logits},
                               {"thresholds", &options_.thresholds},
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

bool AUC::supports_graph() const {
  // Weights of labels are brought to the device with each batch.
  const bool brings_weights = !options_.multi_label && !options_.label_weights.empty();
  return !options_.exact && !brings_weights && Metric::supports_graph();
}

// --- one rate at another

std::string name_of(ConfusionRate rate) {
  switch (rate) {
    case ConfusionRate::precision:
      return "precision";
    case ConfusionRate::recall:
      return "recall";
    case ConfusionRate::sensitivity:
      return "sensitivity";
    default:
      return "specificity";
  }
}

namespace {

double rate_at(ConfusionRate rate, const ThresholdCounts& above, std::size_t i) {
  const double tp = above.true_positives[i], fp = above.false_positives[i];
  if (rate == ConfusionRate::precision) return ratio(tp, tp + fp);
  if (rate == ConfusionRate::specificity) return ratio(above.negatives - fp, above.negatives);
  return ratio(tp, above.positives);
}

std::string capitalized(std::string word) {
  word[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
  return word;
}

}  // namespace

template <ConfusionRate best, ConfusionRate at>
RateAtRate<best, at>::RateAtRate(double least, Options options)
    : Metric(options.name, Direction::up), least_(least), options_(std::move(options)) {
  reset_state();
}

template <ConfusionRate best, ConfusionRate at>
void RateAtRate<best, at>::update_state(const Tensor& y_true, const Tensor& y_pred,
                                        const Tensor& sample_weight) {
  NoGradient scope;
  static constexpr ScoreBins::Rule rule{"logits need a sigmoid",
                                        "a rate at a rate: scores lie from 0 to 1"};
  const ScoredBatch batch =
      scores_of(name().c_str(), y_true, y_pred, sample_weight, std::nullopt, options_.class_id);
  bins_->add(name().c_str(), rule, batch, 1, *sums_);
}

template <ConfusionRate best, ConfusionRate at>
double RateAtRate<best, at>::result() const {
  const std::vector<double> sums = sums_->values();
  const ThresholdCounts above(sums.data(), bins_->thresholds());
  double largest = 0;
  for (std::size_t i = 0; i < bins_->thresholds(); ++i)
    if (rate_at(at, above, i) >= least_) largest = std::max(largest, rate_at(best, above, i));
  return largest;
}

template <ConfusionRate best, ConfusionRate at>
void RateAtRate<best, at>::reset_state() {
  check_fields(name(), fields());
  const int n = options_.num_thresholds;
  std::vector<double> thresholds{0.5};
  if (n > 1) {
    thresholds = evenly_spaced(name(), n);
    thresholds.insert(thresholds.begin(), 0);
    thresholds.push_back(1);
  }
  bins_ = std::make_shared<const ScoreBins>(std::move(thresholds));
  reset(*sums_, static_cast<std::size_t>(bins_->sums()));
}

template <ConfusionRate best, ConfusionRate at>
std::string RateAtRate<best, at>::class_name() const {
  return capitalized(name_of(best)) + "At" + capitalized(name_of(at));
}

template <ConfusionRate best, ConfusionRate at>
std::vector<Field> RateAtRate<best, at>::fields() {
  std::vector<Field> fields = Metric::fields();
  fields.insert(fields.end(), {{"class_id", &options_.class_id},
                               {"num_thresholds", &options_.num_thresholds, at_least(1)},
                               {name_of(at), &least_, between(0, 1)}});
  return fields;
}

template class RateAtRate<ConfusionRate::sensitivity, ConfusionRate::specificity>;
template class RateAtRate<ConfusionRate::specificity, ConfusionRate::sensitivity>;
template class RateAtRate<ConfusionRate::precision, ConfusionRate::recall>;
template class RateAtRate<ConfusionRate::recall, ConfusionRate::precision>;

}  // namespace keratin
