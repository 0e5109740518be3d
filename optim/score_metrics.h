// Metrics that need all batches for one score: F-beta and R2; and correlations
// (keras/src/metrics/f_score_metrics.py, regression_metrics.py, correlation_metrics.py).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <keratin/optim/metric.h>

namespace keratin {

/// (1 + beta^2) precision recall / (beta^2 precision + recall) for each class, y_true and y_pred of
/// shape (batch, classes). Positive is y_pred > threshold, or without one the largest of each row.
class FBetaScore : public Metric {
 public:
  struct Options {
    /// None: a result for each class. "micro": all classes count as one. "macro": their mean.
    /// "weighted": their mean by how often each class is true.
    std::optional<std::string> average = std::nullopt;
    double beta = 1;
    std::optional<double> threshold = std::nullopt;
    std::string name = "fbeta_score";
  };
  FBetaScore() : FBetaScore(Options()) {}
  FBetaScore(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return results()[0]; }
  std::vector<double> results() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { sums_->snapshot(s); }
  std::string class_name() const override { return "FBetaScore"; }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  // Of each class: rightly predicted, predicted, true.
  Shared<RunningSums> sums_;
};

/// FBetaScore with beta = 1: the harmonic mean of precision and recall.
class F1Score : public FBetaScore {
 public:
  struct Options {
    std::optional<std::string> average = std::nullopt;
    std::optional<double> threshold = std::nullopt;
    std::string name = "f1_score";
  };
  F1Score() : F1Score(Options()) {}
  F1Score(Options options);
  std::string class_name() const override { return "F1Score"; }
  std::vector<Field> fields() override;
};

/// 1 - sum((y - p)^2) / sum((y - mean(y))^2) over all batches, for each column of y_true and y_pred
/// (batch, columns), and 0 where y_true does not vary. With num_regressors the adjusted score; n
/// counts the entries of y_true, as in Keras.
class R2Score : public Metric {
 public:
  struct Options {
    /// "uniform_average", "variance_weighted_average", or none: a result for each column.
    std::optional<std::string> class_aggregation = "uniform_average";
    int num_regressors = 0;
    std::string name = "r2_score";
  };
  R2Score() : R2Score(Options()) {}
  R2Score(Options options);
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return results()[0]; }
  std::vector<double> results() const override;
  void reset_state() override;
  void snapshot(Snapshot& s) override { sums_->snapshot(s); }
  std::string class_name() const override { return "R2Score"; }
  std::vector<Field> fields() override;

 private:
  void detach() override { sums_.detach(); }
  Options options_;
  // Of each column: weights, w y, w y^2, w (y - p)^2; and last how many entries there were.
  Shared<RunningSums> sums_;
};

/// The mean correlation of y_true and y_pred along an axis, or several; NaN where one of them does
/// not vary.
class PearsonCorrelation : public MeanMetric {
 public:
  struct Options {
    std::string name = "pearson_correlation";
    std::vector<int> axis = {-1};
  };
  PearsonCorrelation() : PearsonCorrelation(Options()) {}
  PearsonCorrelation(Options options);
  std::string class_name() const override { return "PearsonCorrelation"; }
  std::vector<Field> fields() override;

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;

 private:
  std::vector<int> axis_;
};

/// The mean of 2 cov(y, p) / (var(y) + var(p) + (mean(y) - mean(p))^2): how near y_pred is to
/// y_true, and not only to a line.
class ConcordanceCorrelation : public MeanMetric {
 public:
  struct Options {
    std::string name = "concordance_correlation";
    std::vector<int> axis = {-1};
  };
  ConcordanceCorrelation() : ConcordanceCorrelation(Options()) {}
  ConcordanceCorrelation(Options options);
  std::string class_name() const override { return "ConcordanceCorrelation"; }
  std::vector<Field> fields() override;

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override;

 private:
  std::vector<int> axis_;
};

/// What these metrics average.
Tensor pearson_correlation(const Tensor& y_true, const Tensor& y_pred, const Axes& axis = -1);
Tensor concordance_correlation(const Tensor& y_true, const Tensor& y_pred, const Axes& axis = -1);

}  // namespace keratin
