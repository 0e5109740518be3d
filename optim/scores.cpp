#include <algorithm>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/internal/scores.h>

namespace keratin {
namespace {

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

}  // namespace

ScoredBatch scores_of(const char* who, const Tensor& y_true, const Tensor& y_pred,
                      const Tensor& sample_weight, std::optional<int> top_k,
                      std::optional<int> class_id, const std::vector<double>& label_weights) {
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
  Tensor weights = ones(p.shape(), float64, p.device());
  if (sample_weight.defined()) {
    auto [values, w] = with_weights(who, p, sample_weight);
    weights = broadcast_to(cast(w, float64), values.shape());
  }
  if (!label_weights.empty()) {
    const auto labels = static_cast<std::int64_t>(label_weights.size());
    if (p.rank() == 0 || p.size(-1) != labels)
      fail("{}: {} label_weights do not fit y_pred of shape {}", who, labels, y_pred.shape());
    weights = weights.reshape(p.shape()) * on_device(tensor(label_weights, {labels}), p.device());
  }
  const Shape flat{p.numel()};
  return {not_equal(y, 0).reshape(flat), p.reshape(flat), weights.reshape(flat)};
}

void reset(RunningSums& sums, std::size_t count) {
  const auto wanted = static_cast<std::int64_t>(count);
  sums.count() == wanted ? sums.reset() : void(sums = RunningSums(wanted));
}

ScoreBins::ScoreBins(std::vector<double> thresholds) : thresholds_(std::move(thresholds)) {
  const auto last = static_cast<double>(thresholds_.size()) - 1;
  evenly_spaced_ = last > 0;
  for (std::size_t i = 0; i < thresholds_.size(); ++i) {
    const double even = static_cast<double>(i) / last;
    evenly_spaced_ &= std::abs(thresholds_[i] - even) <= 2e-7 + 1e-5 * even;
  }
}

// How many thresholds each score lies above, int32; none for NaN.
Tensor ScoreBins::bins_of(const Tensor& scores) const {
  if (!evenly_spaced_) {
    Tensor above = zeros(scores.shape(), int32, scores.device());
    for (double threshold : thresholds_) above = above + cast(scores > threshold, int32);
    return above;
  }
  const auto last = static_cast<double>(thresholds_.size() - 1);
  Tensor above = ceil(clip(scores, 0, 1) * last);
  if (thresholds_.front() < 0) above = maximum(above, 1.0);
  return cast(where(equal(scores, scores), above, 0.0), int32);
}

void ScoreBins::add(const char* who, const Rule& rule, const ScoredBatch& batch,
                    std::int64_t labels, RunningSums& sums) const {
  // What has no weight may be any number.
  const Tensor scores = where(batch.weights != 0, batch.scores, 0.0);
  const Tensor wrong = logical_or(scores<-1e-6, scores> 1 + 1e-6);
  const std::int64_t half = this->sums() / 2;
  Tensor bins = bins_of(scores);
  if (scores.device().is_cpu()) {
    if (any(wrong).item() != 0)
      fail("{}: expected scores from 0 to 1, got {}; {}", who,
           take(scores, argmax(wrong), 0).item(), rule.advice);
  } else {  // found when somebody waits for the device
    const Tensor checked = empty(bins.shape(), int32, bins.device());
    kernels_of(bins).check_indices(rule.on_device, checked, where(wrong, -1, bins), 0, half);
    bins = checked;
  }
  Tensor places = where(batch.labels, bins, bins + half);
  if (labels > 1) {
    const Tensor first =
        arange(0, static_cast<double>(labels), 1, int32, bins.device()) * (2 * half);
    places = (places.reshape({-1, labels}) + first).reshape(places.shape());
  }
  sums.add_at(places, batch.weights);
}

ThresholdCounts::ThresholdCounts(const double* sums, std::size_t thresholds)
    : true_positives(thresholds), false_positives(thresholds) {
  const double* negative = sums + thresholds + 1;
  for (std::size_t i = thresholds; i > 0; --i) {
    true_positives[i - 1] = positives += sums[i];
    false_positives[i - 1] = negatives += negative[i];
  }
  positives += sums[0];
  negatives += negative[0];
}

}  // namespace keratin
