// The metrics of Keras (keras/src/metrics); the losses, in optim/loss.h, are metrics too.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <keratin/optim/iou_metrics.h>
#include <keratin/optim/metric.h>
#include <keratin/optim/score_metrics.h>

namespace keratin {

// --- accuracy (accuracy_metrics.py). In a tie the first class counts as predicted.

/// How often y_pred equals y_true. The name "accuracy" means one of the next three.
class Accuracy : public MeanMetric {
 public:
  explicit Accuracy(std::string name = "accuracy");
  std::string class_name() const override { return "Accuracy"; }

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;
};

/// How often y_pred > threshold says what y_true (0 or 1) says.
class BinaryAccuracy : public MeanMetric {
 public:
  struct Options {
    std::string name = "binary_accuracy";
    double threshold = 0.5;
  };
  BinaryAccuracy() : BinaryAccuracy(Options()) {}
  BinaryAccuracy(Options options);
  std::string class_name() const override { return "BinaryAccuracy"; }
  std::vector<Field> fields() override;

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;

 private:
  double threshold_;
};

/// How often the largest of y_pred is the largest of y_true, both (..., classes).
class CategoricalAccuracy : public MeanMetric {
 public:
  explicit CategoricalAccuracy(std::string name = "categorical_accuracy");
  std::string class_name() const override { return "CategoricalAccuracy"; }

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;
};

/// How often the largest of y_pred (..., classes) is the class numbered in y_true, (...) or
/// (..., 1).
class SparseCategoricalAccuracy : public MeanMetric {
 public:
  explicit SparseCategoricalAccuracy(std::string name = "sparse_categorical_accuracy");
  std::string class_name() const override { return "SparseCategoricalAccuracy"; }

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;
};

/// How often fewer than k classes have a larger y_pred than the true one.
class TopKCategoricalAccuracy : public MeanMetric {
 public:
  struct Options {
    int k = 5;
    std::string name = "top_k_categorical_accuracy";
  };
  TopKCategoricalAccuracy() : TopKCategoricalAccuracy(Options()) {}
  TopKCategoricalAccuracy(Options options);
  std::string class_name() const override { return "TopKCategoricalAccuracy"; }
  std::vector<Field> fields() override;

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;

 private:
  int k_;
};

/// The same from class numbers.
class SparseTopKCategoricalAccuracy : public MeanMetric {
 public:
  struct Options {
    int k = 5;
    std::string name = "sparse_top_k_categorical_accuracy";
  };
  SparseTopKCategoricalAccuracy() : SparseTopKCategoricalAccuracy(Options()) {}
  SparseTopKCategoricalAccuracy(Options options);
  std::string class_name() const override { return "SparseTopKCategoricalAccuracy"; }
  std::vector<Field> fields() override;

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;

 private:
  int k_;
};

/// sqrt(mean((y_true - y_pred)^2)) over all batches.
class RootMeanSquaredError : public MeanMetric {
 public:
  explicit RootMeanSquaredError(std::string name = "root_mean_squared_error");
  double result() const override;
  std::string class_name() const override { return "RootMeanSquaredError"; }

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;
};

// --- from counts of right and wrong (confusion_metrics.py): y_pred > threshold, y_true 0 or not

/// One threshold or several: 0.3 or {0.3, 0.7}.
struct Thresholds : std::vector<double> {
  using std::vector<double>::vector;
  Thresholds(double threshold) : std::vector<double>{threshold} {}
};

/// Of what was predicted positive, the part that is: y_pred > threshold, y_true 0 or not. top_k
/// takes only the k largest of each row for positive, class_id looks at one class.
class Precision : public Metric {
 public:
  struct Options {
    Thresholds thresholds = {};  ///< none: 0.5, or no threshold with top_k
    std::optional<int> top_k = std::nullopt;
    std::optional<int> class_id = std::nullopt;
    std::string name = "precision";
  };
  Precision() : Precision(Options()) {}
  Precision(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return results()[0]; }
  std::vector<double> results() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { sums_->snapshot(s); }
  std::string class_name() const override { return "Precision"; }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  Shared<RunningSums> sums_;
};

/// Of what is positive, the part that was predicted so; options as in Precision.
class Recall : public Metric {
 public:
  struct Options {
    Thresholds thresholds = {};
    std::optional<int> top_k = std::nullopt;
    std::optional<int> class_id = std::nullopt;
    std::string name = "recall";
  };
  Recall() : Recall(Options()) {}
  Recall(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return results()[0]; }
  std::vector<double> results() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { sums_->snapshot(s); }
  std::string class_name() const override { return "Recall"; }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  Shared<RunningSums> sums_;
};

/// What is predicted, and whether it is so.
enum class ConfusionCell { true_positives, true_negatives, false_positives, false_negatives };

/// How many are predicted positive or negative, rightly or wrongly; with sample weights, the sum of
/// these. One number for each threshold.
template <ConfusionCell cell>
class ConfusionCount : public Metric {
 public:
  struct Options {
    Thresholds thresholds = {};  ///< none: 0.5
    std::string name = cell == ConfusionCell::true_positives    ? "true_positives"
                       : cell == ConfusionCell::true_negatives  ? "true_negatives"
                       : cell == ConfusionCell::false_positives ? "false_positives"
                                                                : "false_negatives";
  };
  ConfusionCount() : ConfusionCount(Options()) {}
  ConfusionCount(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return results()[0]; }
  std::vector<double> results() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { sums_->snapshot(s); }
  std::string class_name() const override {
    return cell == ConfusionCell::true_positives    ? "TruePositives"
           : cell == ConfusionCell::true_negatives  ? "TrueNegatives"
           : cell == ConfusionCell::false_positives ? "FalsePositives"
                                                    : "FalseNegatives";
  }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  Shared<RunningSums> sums_;
};
using TruePositives = ConfusionCount<ConfusionCell::true_positives>;
using TrueNegatives = ConfusionCount<ConfusionCell::true_negatives>;
using FalsePositives = ConfusionCount<ConfusionCell::false_positives>;
using FalseNegatives = ConfusionCount<ConfusionCell::false_negatives>;

class ScoreBins;
struct ScoredBatch;
struct ThresholdCounts;

/// The area under the curve of true against false positives ("ROC"), or of precision against recall
/// ("PR"), or of their gains ("PRGAIN"; Flach and Kull), from counts at num_thresholds thresholds.
/// Several columns of labels count as one; with multi_label each has its area, and the result is
/// their mean. label_weights are the weights of that mean, or without multi_label those of the
/// columns.
///
/// With `exact`, which Keras lacks, from all scores: for ROC how often a positive has a larger
/// score than a negative, a tie counting half; for PR the sum of precision times step of recall
/// over the distinct scores, without interpolation ("average precision"). Only the order of scores
/// matters, so that they may be logits; NaN is the lowest. Each score of an epoch takes 24 bytes,
/// and each batch a pass over them. Thresholds and a summation_method have no meaning and are
/// refused.
class AUC : public Metric {
 public:
  struct Options {
    int num_thresholds = 200;
    std::string curve = "ROC";                       ///< or "PR", "PRGAIN"
    std::string summation_method = "interpolation";  ///< or "minoring", "majoring"
    std::string name = "auc";
    std::vector<double> thresholds = {};  ///< in (0, 1); they take the place of num_thresholds
    bool multi_label = false;
    std::optional<int> num_labels = std::nullopt;  ///< none: as many as the first batch has
    std::vector<double> label_weights = {};        ///< none: 1 each
    bool from_logits = false;
    bool exact = false;  ///< absent from config() when false, as Keras does not know it
  };
  AUC() : AUC(Options()) {}
  AUC(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override;
  std::string class_name() const override { return "AUC"; }
  Config config() const override;
  std::vector<Field> fields() override;
  bool supports_graph() const override;

 private:
  struct Sample {
    double score, weight;
    bool label;
  };
  void check_options();
  void begin(std::int64_t labels);
  ScoredBatch scores_in(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight);
  void add_samples(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight);
  double exact_area(const std::vector<Sample>& samples) const;
  double area(const ThresholdCounts& above) const;
  void detach() override { counts_.detach(); }

  struct Counts {
    std::int64_t labels = 0;                   // 0: not known before the first batch
    int found = 0;                             // what the first batch told
    std::vector<std::vector<Sample>> samples;  // exact: all of each label, by score
    RunningSums bins{0};
  };
  Options options_;
  std::shared_ptr<const ScoreBins> bins_;
  Shared<Counts> counts_;
};

/// A share: of the positive samples those above the threshold (recall or sensitivity), of the
/// negative ones those that are not (specificity), of those above it the positive ones (precision).
enum class ConfusionRate { sensitivity, specificity, precision, recall };
std::string name_of(ConfusionRate rate);

/// The best of one rate among the thresholds at which the other is at least as large as asked; 0
/// where there is none. Scores lie from 0 to 1.
template <ConfusionRate best, ConfusionRate at>
class RateAtRate : public Metric {
 public:
  struct Options {
    int num_thresholds = 200;  ///< evenly spaced from 0 to 1; 1: at 0.5 alone
    std::optional<int> class_id = std::nullopt;
    std::string name = name_of(best) + "_at_" + name_of(at);
  };
  explicit RateAtRate(double least) : RateAtRate(least, Options()) {}
  RateAtRate(double least, Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { sums_->snapshot(s); }
  std::string class_name() const override;
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  double least_;
  Options options_;
  std::shared_ptr<const ScoreBins> bins_;
  Shared<RunningSums> sums_;
};
/// SensitivityAtSpecificity(0.5, {.num_thresholds = 100}), and so on.
using SensitivityAtSpecificity = RateAtRate<ConfusionRate::sensitivity, ConfusionRate::specificity>;
using SpecificityAtSensitivity = RateAtRate<ConfusionRate::specificity, ConfusionRate::sensitivity>;
using PrecisionAtRecall = RateAtRate<ConfusionRate::precision, ConfusionRate::recall>;
using RecallAtPrecision = RateAtRate<ConfusionRate::recall, ConfusionRate::precision>;

}  // namespace keratin
