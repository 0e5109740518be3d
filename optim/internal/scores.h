// What the metrics that count right and wrong share: labels, scores and weights of a batch, and how
// many of them lie above each of several thresholds (keras/src/metrics/metrics_utils.py).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <keratin/optim/metric.h>

namespace keratin {

/// Labels, scores and weights of a batch, (n), in row-major order.
struct ScoredBatch {
  Tensor labels;   // boolean
  Tensor scores;   // float32 or float64
  Tensor weights;  // float64
};

/// From y_true and y_pred of one shape. top_k takes only the k largest of each row for positive,
/// class_id looks at one class, label_weights multiply the columns.
ScoredBatch scores_of(const char* who, const Tensor& y_true, const Tensor& y_pred,
                      const Tensor& sample_weight, std::optional<int> top_k = std::nullopt,
                      std::optional<int> class_id = std::nullopt,
                      const std::vector<double>& label_weights = {});

/// Scores with all but the k largest of each row lie here, far below any threshold: Keras'
/// NEG_INF.
inline constexpr double below_all = -1e10;

inline double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

/// To zero: in the same memory, if it is of that size.
void reset(RunningSums& sums, std::size_t count);

/// Thresholds in ascending order that sort scores from 0 to 1 into bins. The first may lie below 0.
class ScoreBins {
 public:
  /// What an error says: on a device all of it, which must outlive the metric.
  struct Rule {
    const char* advice;
    const char* on_device;
  };
  ScoreBins() = default;
  /// Evenly spaced ones have the distance 1 / (n - 1), but for what lies beyond 0 and 1.
  ScoreBins(std::vector<double> thresholds);
  std::size_t thresholds() const { return thresholds_.size(); }
  /// How many sums `add` needs for each label.
  std::int64_t sums() const { return 2 * (static_cast<std::int64_t>(thresholds_.size()) + 1); }
  /// Adds the weights of a batch whose rows have `labels` columns. For each label, the sums are
  /// those of the positive samples above no, one, two, ... thresholds, then those of the negative
  /// ones. Throws std::invalid_argument for a score outside [0, 1].
  void add(const char* who, const Rule& rule, const ScoredBatch& batch, std::int64_t labels,
           RunningSums& sums) const;

 private:
  Tensor bins_of(const Tensor& scores) const;
  std::vector<double> thresholds_;
  bool evenly_spaced_ = false;
};

/// What lies above each threshold, from the sums of one label.
struct ThresholdCounts {
  ThresholdCounts(const double* sums, std::size_t thresholds);
  std::vector<double> true_positives, false_positives;
  double positives = 0, negatives = 0;  ///< all of them
};

}  // namespace keratin
