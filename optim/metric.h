// Metrics (keras/src/metrics): numbers gathered over the batches of an epoch. Nothing of them is
// recorded by a tape.
//
//   model.compile({..., .metrics = {"accuracy", AUC({.curve = "PR"})}});
//
// A loss is a metric too: MeanSquaredError(), or "mse". One of your own is a function (y_true,
// y_pred) -> values for each sample, which are averaged, or a class:
//
//   class Largest : public Metric {
//    public:
//     Largest() : Metric("largest") {}
//     void update_state(const Tensor&, const Tensor& y_pred, const Tensor&) override {
//       largest_ = std::max(largest_, max(y_pred).item());
//     }
//     double result() const override { return largest_; }
//     void reset_state() override { largest_ = 0; }
//    private:
//     double largest_ = 0;
//   };
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>
#include <keratin/optim/config.h>
#include <keratin/optim/loss.h>

namespace keratin {

/// Which way a metric is better; callbacks with mode "auto" need to know.
enum class Direction { unknown, up, down };

class Metric {
 public:
  explicit Metric(std::string name, Direction direction = Direction::unknown)
      : name_(std::move(name)), direction_(direction) {}
  virtual ~Metric() = default;

  /// Takes in a batch; sample_weight may be undefined.
  virtual void update_state(const Tensor& y_true, const Tensor& y_pred,
                            const Tensor& sample_weight) = 0;
  void update_state(const Tensor& y_true, const Tensor& y_pred) {
    update_state(y_true, y_pred, Tensor());
  }
  /// The number so far; the first of several.
  virtual double result() const = 0;
  /// All of them: precision at two thresholds gives two.
  virtual std::vector<double> results() const { return {result()}; }
  /// Forgets all batches.
  virtual void reset_state() = 0;

  /// What training calls: update_state, unrecorded, with the mask of y_pred (true: counts; may be
  /// undefined) turned into weights for the metrics that are means, as in Keras.
  void update(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight = {},
              const Tensor& mask = {});

  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }
  Direction direction() const { return direction_; }

  /// Keras' class name and the options of its get_config; empty for one of one's own.
  virtual std::string class_name() const { return {}; }
  virtual Config config() const { return config_of(const_cast<Metric*>(this)->fields()); }
  virtual std::vector<Field> fields() { return {{"name", &name_}}; }

 protected:
  virtual bool takes_mask() const { return false; }

 private:
  std::string name_;
  Direction direction_;
};

/// A running mean, weighted by samples: each sample's values are averaged, then total += sum and
/// count += samples (or the sum of their weights). The tracker of the loss uses it too.
class Mean {
 public:
  /// Values (batch, ...), with weights of that shape or without its last axes.
  void update_state(const Tensor& values, const Tensor& sample_weight = {});
  /// One number that stands for `count` samples.
  void update_state(double value, double count = 1) { total_ += value * count, count_ += count; }
  /// 0 before the first update.
  double result() const { return count_ == 0 ? 0 : total_ / count_; }
  void reset_state() { total_ = count_ = 0; }

 private:
  double total_ = 0, count_ = 0;
};

/// A metric that is the mean of a value for each sample.
class MeanMetric : public Metric {
 public:
  using Metric::Metric;
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return mean_.result(); }
  void reset_state() override { mean_.reset_state(); }

 protected:
  /// (batch, ...)
  virtual Tensor values(const Tensor& y_true, const Tensor& y_pred) = 0;
  bool takes_mask() const override { return true; }

 private:
  Mean mean_;
};

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
  Options options_;
  std::vector<double> true_positives_, false_positives_;
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
  Options options_;
  std::vector<double> true_positives_, false_negatives_;
};

/// The area under the curve of true against false positives ("ROC"), or of precision against recall
/// ("PR"), from counts at num_thresholds thresholds. Labels of several columns count as one.
class AUC : public Metric {
 public:
  struct Options {
    int num_thresholds = 200;
    std::string curve = "ROC";
    std::string summation_method = "interpolation";  ///< or "minoring", "majoring"
    std::string name = "auc";
    std::vector<double> thresholds = {};  ///< in (0, 1); they take the place of num_thresholds
    bool from_logits = false;
  };
  AUC() : AUC(Options()) {}
  AUC(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override;
  void reset_state() override;
  std::string class_name() const override { return "AUC"; }
  std::vector<Field> fields() override;

 private:
  Options options_;
  bool evenly_spaced_ = true;
  std::vector<double> thresholds_;
  // Weights of the samples above thresholds_[i - 1] but not above thresholds_[i].
  std::vector<double> positives_, negatives_;
};

// --- what compile takes

/// A metric from a name, a metric by value, a loss, or a function. A handle: copies share it.
class AnyMetric {
 public:
  /// By Keras name or alias; "accuracy" and "acc" choose on the first batch: BinaryAccuracy when
  /// y_pred ends in 1, SparseCategoricalAccuracy when y_true has no class axis, else
  /// CategoricalAccuracy. The string stays the metric's name. Throws std::invalid_argument with the
  /// known names.
  AnyMetric(const char* name) : AnyMetric(std::string(name)) {}
  AnyMetric(const std::string& name);
  template <std::derived_from<Metric> M>
  AnyMetric(M metric) : metric_(std::make_shared<M>(std::move(metric))) {}
  AnyMetric(std::shared_ptr<Metric> metric) : metric_(std::move(metric)) {}
  /// The mean of a loss' values, under the loss' name.
  template <std::derived_from<Loss> L>
  AnyMetric(const L& loss) : AnyMetric(loss.name(), Loss(loss), Direction::down) {}
  /// The mean of what a function (y_true, y_pred) gives for each sample.
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&> &&
           !std::derived_from<F, Loss> && !std::derived_from<F, Metric>) AnyMetric(F function)
      : AnyMetric("metric", std::move(function)) {}
  /// The same under a name: {"distance", f}.
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&>)
      AnyMetric(const std::string& name, F function)
      : AnyMetric(name, Loss(std::move(function)), Direction::unknown) {}

  /// The metric of that Keras class ("AUC") and config.
  static AnyMetric from_config(const std::string& class_name, const Config& config);

  /// The string this metric was made from; empty when it was not.
  const std::string& identifier() const { return identifier_; }

  Metric& operator*() const { return *metric_; }
  Metric* operator->() const { return metric_.get(); }

 private:
  AnyMetric(const std::string& name, const Loss& loss, Direction direction);
  std::string identifier_;
  std::shared_ptr<Metric> metric_;
};

}  // namespace keratin
