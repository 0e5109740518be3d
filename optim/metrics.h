// The metrics of Keras (keras/src/metrics); the losses, in optim/loss.h, are metrics too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <keratin/optim/metric.h>

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

// --- from counts of right and wrong (confusion_metrics.py)

/// One threshold or several: 0.3 or {0.3, 0.7}.
struct Thresholds : std::vector<double> {
  using std::vector<double>::vector;
  Thresholds(double threshold) : std::vector<double>{threshold} {}
};

/// For each threshold, two sums of weights.
struct ThresholdSums : RunningSums {
  ThresholdSums() : RunningSums(0) {}
  using RunningSums::operator=;
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
  std::string class_name() const override { return "Precision"; }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  Shared<ThresholdSums> sums_;
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
  std::string class_name() const override { return "Recall"; }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  Shared<ThresholdSums> sums_;
};

/// The area under the curve of true against false positives ("ROC"), or of precision against recall
/// ("PR"), from counts at num_thresholds thresholds. Labels of several columns count as one.
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
    std::string curve = "ROC";
    std::string summation_method = "interpolation";  ///< or "minoring", "majoring"
    std::string name = "auc";
    std::vector<double> thresholds = {};  ///< in (0, 1); they take the place of num_thresholds
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
  std::string class_name() const override { return "AUC"; }
  Config config() const override;
  std::vector<Field> fields() override;
  bool supports_graph() const override { return !options_.exact && Metric::supports_graph(); }

 private:
  struct Sample {
    double score, weight;
    bool label;
  };
  void check_options();
  Tensor bins_of(const Tensor& scores) const;
  void add_samples(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight);
  double exact_area() const;
  void detach() override { counts_.detach(); }

  struct Counts {
    std::vector<Sample> samples;  // exact: all of them, by score
    // Weights of the positive samples above thresholds_[i - 1] but not above thresholds_[i], for
    // each i up to one beyond the last; then of the negative ones.
    RunningSums bins{0};
  };
  Options options_;
  bool evenly_spaced_ = true;
  std::vector<double> thresholds_;
  Shared<Counts> counts_;
};

}  // namespace keratin
