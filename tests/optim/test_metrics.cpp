#include "golden.h"
#include "golden_configs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/core/memory.h>
#include <keratin/core/random.h>
#include <keratin/optim/metrics.h>

TEST_SUITE_BEGIN("optim");

using namespace keratin;

namespace {

AnyMetric metric_of(const std::string& name) {
  static const std::map<std::string, GoldenConfig> objects = golden_cases("metric");
  if (name.starts_with("accuracy/")) return "accuracy";  // of no class before its first batch
  const GoldenConfig& object = objects.at(name);
  return AnyMetric::from_config(object.class_name, object.config);
}

// Three batches, and the result after each.
void check_against_keras(const std::string& name, Metric& metric, DType dtype, double tolerance) {
  const Golden& keras = golden("metrics");
  for (int i = 0; i < 3; ++i) {
    std::string batch = std::to_string(i);
    Tensor y_pred = keras[name + "/y_pred" + batch].astype(dtype);
    metric.update(keras[name + "/y_true" + batch], y_pred,
                  keras.get(name + "/sample_weight" + batch));
    std::vector<double> results = metric.results();
    Tensor expected = keras[name + "/result" + batch];
    CHECK(max_relative_difference(tensor(results, expected.shape()), expected) < tolerance);
  }
}

// Keras' IoU is in float32.
double tolerance_of(const std::string& name) { return name.starts_with("iou") ? 1e-6 : 1e-12; }

double result_of(AnyMetric metric, const Tensor& y_true, const Tensor& y_pred,
                 const Tensor& sample_weight = {}, const Tensor& mask = {}) {
  metric->update(y_true, y_pred, sample_weight, mask);
  return metric->result();
}

}  // namespace

TEST_CASE("metrics have Keras' running results") {
  for (const std::string& name : golden("metrics").cases()) {
    CAPTURE(name);
    AnyMetric metric = metric_of(name);
    check_against_keras(name, *metric, float64, tolerance_of(name));
    metric->reset_state();
    CHECK(metric->result() == 0);
    check_against_keras(name, *metric, float64, tolerance_of(name));
  }
}

TEST_CASE("metrics of float32 predictions") {
  for (const std::string& name : golden("metrics").cases()) {
    // With equal spacing 0.1 in float32 may fall on the other side of a threshold.
    if (name.starts_with("auc") || name.find("_at_") != std::string::npos) continue;
    CAPTURE(name);
    check_against_keras(name, *metric_of(name), float32, 1e-5);
  }
}

TEST_CASE("a metric made from its config is the same metric") {
  for (const std::string& name : golden("metrics").cases()) {
    AnyMetric metric = metric_of(name);
    if (metric->class_name().empty()) continue;  // "accuracy" chooses on its first batch
    CAPTURE(name);
    AnyMetric again = AnyMetric::from_config(metric->class_name(), metric->config());
    CHECK(again->name() == metric->name());
    CHECK(again->direction() == metric->direction());
    check_against_keras(name, *again, float64, tolerance_of(name));
  }
}

TEST_CASE("accuracy chooses by the shapes of the first batch") {
  Tensor p = tensor({{0.1, 0.9}, {0.8, 0.2}, {0.4, 0.6}});
  CHECK(result_of("accuracy", tensor({1, 0, 0}), p) == doctest::Approx(2.0 / 3));
  CHECK(result_of("acc", tensor({{1}, {0}, {0}}), p) == doctest::Approx(2.0 / 3));
  CHECK(result_of("accuracy", tensor({{0, 1}, {1, 0}, {1, 0}}), p) == doctest::Approx(2.0 / 3));
  CHECK(result_of("accuracy", tensor({{1}, {0}}), tensor({{0.5}, {0.4}})) == 0.5);
  CHECK(result_of("accuracy", tensor({1, 0}), tensor({{0.6}, {0.4}})) == 1);
  AnyMetric metric = "acc";
  CHECK(metric->name() == "acc");
  CHECK(metric.identifier() == "acc");
  CHECK(metric->direction() == Direction::up);
}

TEST_CASE("in a tie the first class is predicted") {
  CHECK(result_of("accuracy", tensor({0, 1}), tensor({{0.5, 0.5}, {0.5, 0.5}})) == 0.5);
}

TEST_CASE("a mean counts samples, not batches") {
  Mean mean;
  CHECK(mean.result() == 0);
  mean.update_state(tensor({1, 2, 3, 4}));
  mean.update_state(tensor({10.0}));
  CHECK(mean.result() == 4);
  mean.update_state(7.0, 5);
  CHECK(mean.result() == 5.5);
  mean.reset_state();
  mean.update_state(tensor({{1, 3}, {5, 7}}), tensor({1, 0}));
  CHECK(mean.result() == 2);
  mean.reset_state();
  mean.update_state(tensor({{1, 3}, {5, 7}}), tensor({{1, 0}, {0, 1}}));
  CHECK(mean.result() == 4);
  mean.reset_state();
  mean.update_state(3.0);
  mean.update_state(zeros({0, 3}));
  CHECK(mean.result() == 3);
}

TEST_CASE("a masked step does not count") {
  Tensor y = tensor({{1, 0, 1}, {0, 0, 0}}, int32);
  Tensor p = tensor({{{0, 1}, {1, 0}, {1, 0}}, {{1, 0}, {0, 1}, {0, 1}}});
  Tensor mask = tensor({{1, 1, 0}, {1, 0, 0}}).astype(boolean);
  CHECK(result_of("accuracy", y, p) == 0.5);
  CHECK(result_of("accuracy", y, p, {}, mask) == 1);
  CHECK(result_of("accuracy", y, p, tensor({{1, 1, 1}, {1, 1, 1}}), mask) == 1);
  CHECK(result_of("accuracy", y, p, {}, zeros({2, 3}).astype(boolean)) == 0);
}

namespace {

// A batch of (2, 3) steps of which three count, with rubbish in the others; and those three alone.
struct Masked {
  Tensor y, p, y_rest, p_rest;
};
const std::vector<double> steps_that_count{1, 1, 0, 1, 0, 0};

// From rows, one for each step, and what stands in the masked ones.
Masked masked(const NestedList& y, const NestedList& p, double wrong_y, double wrong_p) {
  Tensor counts = tensor(steps_that_count, Shape{6}), rest = tensor({0, 1, 3}, int32);
  auto spoiled = [&](const Tensor& x, double wrong) {
    Tensor keep = x.rank() == 2 ? expand_dims(counts, 1) : counts;
    Tensor all_steps = where(keep, x, full({}, wrong, x.dtype()));
    return all_steps.reshape(x.rank() == 2 ? Shape{2, 3, x.size(1)} : Shape{2, 3});
  };
  Tensor yt = tensor(y), pt = tensor(p);
  return {spoiled(yt, wrong_y), spoiled(pt, wrong_p), take(yt, rest, 0), take(pt, rest, 0)};
}

// Weighted, the metric of all steps with the mask is that of the steps that count.
void check_masked(const char* what, AnyMetric metric, const Masked& m) {
  CAPTURE(what);
  Tensor mask = tensor(steps_that_count, Shape{2, 3}).astype(boolean);
  Tensor weights = tensor({{2, 3, NAN}, {1, INFINITY, 5}});
  auto result = [&](const Tensor& y, const Tensor& p, const Tensor& w, const Tensor& kept) {
    metric->reset_state();
    metric->update_weighted(y, p, w, kept);
    return metric->result();
  };
  double alone = result(m.y_rest, m.p_rest, {}, {});
  CHECK(std::isfinite(alone));
  CHECK(alone != 0);
  CHECK(result(m.y, m.p, {}, mask) == doctest::Approx(alone).epsilon(1e-6));
  CHECK(result(m.y, m.p, mask, {}) == doctest::Approx(alone).epsilon(1e-6));
  CHECK(result(m.y, m.p, weights, mask) ==
        doctest::Approx(result(m.y_rest, m.p_rest, tensor({2, 3, 1}), {})).epsilon(1e-6));
  CHECK(result(m.y, m.p, {}, zeros({2, 3}, boolean)) == 0);
}

}  // namespace

TEST_CASE("under weighted_metrics a masked step leaves no trace in any metric") {
  auto distance = [](const Tensor& a, const Tensor& b) { return sum(abs(a - b), -1); };
  for (double wrong : std::vector<double>{NAN, INFINITY, -INFINITY, -7}) {
    CAPTURE(wrong);
    // Two columns of labels and scores, class numbers, and one column.
    Masked rows =
        masked({{0, 1}, {1, 0}, {0, 1}, {1, 0}, {0, 1}, {0, 1}},
               {{0.3, 0.7}, {0.6, 0.4}, {0, 1}, {0.2, 0.8}, {0, 1}, {0, 1}}, wrong, wrong);
    check_masked("categorical", CategoricalAccuracy(), rows);
    check_masked("accuracy of rows", "accuracy", rows);
    check_masked("binary", BinaryAccuracy(), rows);
    check_masked("top k", TopKCategoricalAccuracy({.k = 1}), rows);
    check_masked("root", RootMeanSquaredError(), rows);
    check_masked("counts", FalseNegatives({.thresholds = 0.95}), rows);
    check_masked("precision at recall", PrecisionAtRecall(0.5), rows);
    check_masked("precision", Precision(), rows);
    check_masked("precision of the largest", Precision({.top_k = 1}), rows);
    check_masked("precision of a class", Precision({.class_id = 1}), rows);
    check_masked("recall", Recall(), rows);
    check_masked("recall of the largest", Recall({.top_k = 1}), rows);
    check_masked("AUC", AUC(), rows);
    check_masked("AUC PR", AUC({.curve = "PR"}), rows);
    check_masked("AUC of logits", AUC({.from_logits = true}), rows);
    check_masked("exact AUC", AUC({.exact = true}), rows);
    check_masked("function", distance, rows);
    for (const char* loss : {"mse", "mae", "mape", "msle", "categorical_crossentropy", "kld",
                             "binary_crossentropy", "huber", "log_cosh", "poisson", "hinge",
                             "cosine_similarity", "categorical_focal_crossentropy"})
      check_masked(loss, loss, rows);
    Masked classes =
        masked({1, 0, 0, 0, 0, 0}, {{0.3, 0.7}, {0.6, 0.4}, {0, 1}, {0.2, 0.8}, {0, 1}, {0, 1}},
               wrong, wrong);
    check_masked("sparse", SparseCategoricalAccuracy(), classes);
    check_masked("accuracy of classes", "accuracy", classes);
    check_masked("sparse top k", SparseTopKCategoricalAccuracy({.k = 1}), classes);
    check_masked("sparse crossentropy", "sparse_categorical_crossentropy", classes);
    Masked column = masked({1, 0, 0, 1, 0, 0}, {{0.7}, {0.8}, {0}, {0.9}, {0}, {0}}, wrong, wrong);
    check_masked("accuracy of a column", "accuracy", column);
    check_masked("precision of a column", Precision(), column);
    check_masked("AUC of a column", AUC(), column);
    check_masked("equal", Accuracy(), masked({1, 2, 0, 3, 0, 0}, {1, 5, 0, 3, 0, 0}, wrong, wrong));
  }
}

TEST_CASE("outside weighted_metrics Precision, Recall and AUC count masked steps, as in Keras") {
  Tensor y = tensor({{1, 0}}), p = tensor({{0.9, 0.8}}), mask = tensor({{1, 0}}, boolean);
  CHECK(result_of(Precision(), y, p, {}, mask) == 0.5);
  AnyMetric weighted = Precision();
  weighted->update_weighted(y, p, {}, mask);
  CHECK(weighted->result() == 1);
}

TEST_CASE("a weighted metric of one's own sees no masked step") {
  class Heaviest : public Metric {
   public:
    Heaviest() : Metric("heaviest") {}
    void update_state(const Tensor& y, const Tensor& p, const Tensor& w) override {
      largest_ = std::max({largest_, max(y * w).item(), max(p * w).item()});
    }
    double result() const override { return largest_; }
    void reset_state() override { largest_ = 0; }

   private:
    double largest_ = 0;
  } heaviest;
  Tensor mask = tensor({{1, 0}, {1, 1}}, boolean);
  heaviest.update_weighted(tensor({{1, NAN}, {2, 3}}), tensor({{1, INFINITY}, {1, 1}}), {}, mask);
  CHECK(heaviest.result() == 3);
}

TEST_CASE("top k counts how many are larger") {
  Tensor p = tensor({{0.1, 0.2, 0.3, 0.4}, {0.25, 0.25, 0.25, 0.25}});
  CHECK(result_of(SparseTopKCategoricalAccuracy({.k = 2}), tensor({2, 3}), p) == 1);
  CHECK(result_of(SparseTopKCategoricalAccuracy({.k = 1}), tensor({2, 3}), p) == 0.5);
  CHECK(result_of(SparseTopKCategoricalAccuracy({.k = 4}), tensor({0, 9}), p) == 0.5);
}

TEST_CASE("precision and recall by hand") {
  Tensor y = tensor({1, 0, 1, 1, 0}), p = tensor({0.9, 0.8, 0.4, 0.6, 0.1});
  CHECK(result_of(Precision(), y, p) == doctest::Approx(2.0 / 3));
  CHECK(result_of(Recall(), y, p) == doctest::Approx(2.0 / 3));
  Tensor weights = tensor({1, 4, 1, 1, 1});
  CHECK(result_of(Precision(), y, p, weights) == doctest::Approx(2.0 / 6));
  Tensor rows = tensor({{0.5, 0.3, 0.2}, {0.1, 0.2, 0.7}}), labels = tensor({{1, 0, 0}, {0, 1, 0}});
  CHECK(result_of(Precision({.top_k = 2}), labels, rows) == 0.5);
  CHECK(result_of(Recall({.top_k = 2}), labels, rows) == 1);
  CHECK(result_of(Recall({.top_k = 1}), labels, rows) == 0.5);
  CHECK(result_of(Precision({.thresholds = 0.1, .class_id = 1}), labels, rows) == 0.5);
}

TEST_CASE("the area under the curve by hand") {
  Tensor y = tensor({0, 0, 1, 1});
  CHECK(result_of("auc", y, tensor({0.1, 0.2, 0.8, 0.9})) == doctest::Approx(1));
  CHECK(result_of("auc", y, tensor({0.9, 0.8, 0.2, 0.1})) == doctest::Approx(0));
  CHECK(result_of("auc", y, tensor({0.5, 0.5, 0.5, 0.5})) == doctest::Approx(0.5));
  Tensor p = tensor({0.0, 0.5, 0.3, 0.9});
  CHECK(result_of(AUC({.num_thresholds = 3}), y, p) == doctest::Approx(0.75));
  CHECK(result_of(AUC({.thresholds = {0.25, 0.4}}), y, p) == doctest::Approx(0.625));
  CHECK(result_of(AUC({.from_logits = true}), y, tensor({-30, -2, 1, 20})) == doctest::Approx(1));
  CHECK(result_of(AUC({.curve = "pr"}), y, tensor({0.1, 0.2, 0.8, 0.9})) == doctest::Approx(1));
  for (const char* method : {"minoring", "majoring"}) {
    double area = result_of(AUC({.summation_method = method}), y, p);
    CHECK((std::string(method) == "minoring" ? area <= 0.75 : area >= 0.75));
  }
}

namespace {

// The share of pairs of a positive and a negative that are in order, ties counting half.
double pairs_in_order(const std::vector<double>& y, const std::vector<double>& p,
                      const std::vector<double>& w) {
  double in_order = 0, all = 0;
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t j = 0; j < y.size(); ++j) {
      if (y[i] == 0 || y[j] != 0) continue;
      all += w[i] * w[j];
      in_order += w[i] * w[j] * (p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0);
    }
  return in_order / all;
}

// For each positive the precision of what is no lower, averaged.
double mean_precision(const std::vector<double>& y, const std::vector<double>& p,
                      const std::vector<double>& w) {
  double sum = 0, all = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    double right = 0, above = 0;
    for (std::size_t j = 0; j < y.size(); ++j) {
      if (p[j] < p[i]) continue;
      above += w[j];
      right += y[j] != 0 ? w[j] : 0;
    }
    if (y[i] == 0) continue;
    sum += w[i] * right / above;
    all += w[i];
  }
  return sum / all;
}

}  // namespace

TEST_CASE("the exact area under the curve by hand") {
  Tensor y = tensor({0, 1, 0, 1}), p = tensor({0.5001, 0.5002, 0.5003, 0.5004});
  // Three of four pairs are in order; for 200 thresholds the four scores are one.
  CHECK(result_of(AUC({.exact = true}), y, p) == 0.75);
  CHECK(result_of(AUC(), y, p) == doctest::Approx(0.5));
  CHECK(result_of(AUC({.curve = "PR", .exact = true}), y, p) == doctest::Approx(5.0 / 6));
  Tensor ties = tensor({0.2, 0.5, 0.9, 0.2}), weights = tensor({2, 1, 2, 1});
  CHECK(result_of(AUC({.exact = true}), y, ties, weights) == 3.0 / 8);
  CHECK(result_of(AUC({.exact = true}), y, zeros({4})) == 0.5);
  CHECK(result_of(AUC({.exact = true}), y, tensor({-INFINITY, 7, -30, 1e30})) == 1);
  CHECK(result_of(AUC({.exact = true}), y, tensor({-INFINITY, double(NAN), 1, 2})) == 0.625);
  CHECK(result_of(AUC({.exact = true}), zeros({4}), p) == 0);
  CHECK(result_of(AUC({.curve = "PR", .exact = true}), zeros({4}), p) == 0);
}

TEST_CASE("the exact area is that of all pairs, over batches, with ties and weights") {
  Random random(7);
  AUC roc({.exact = true}), pr({.curve = "PR", .exact = true});
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::vector<double> y, p, w;
    for (int size : {40, 1, 33, 0, 64}) {
      Tensor yb = random.uniform({size}, 0, 1, float64) > 0.6;
      Tensor pb = round(random.uniform({size}, 0, 20, float64)) / 20;
      Tensor wb = floor(random.uniform({size}, 0, 4, float64));
      for (AUC* metric : {&roc, &pr}) metric->update(yb, pb, wb);
      auto append = [](std::vector<double>& all, const Tensor& batch) {
        for (double value : batch.to_vector<double>()) all.push_back(value);
      };
      append(y, yb), append(p, pb), append(w, wb);
    }
    CHECK(roc.result() == doctest::Approx(pairs_in_order(y, p, w)).epsilon(1e-12));
    CHECK(pr.result() == doctest::Approx(mean_precision(y, p, w)).epsilon(1e-12));
    roc.reset_state();
    pr.reset_state();
    CHECK(roc.result() == 0);
  }
}

TEST_CASE("metrics take memory from the first update on, and no numbers beyond reason") {
  using Error = std::invalid_argument;
  CHECK_THROWS_WITH_AS(AUC({.num_thresholds = 1 << 30}),
                       "auc: expected num_thresholds of at most 1048576, got 1073741824", Error);
  CHECK_THROWS_WITH_AS(PrecisionAtRecall(0.5, {.num_thresholds = 1 << 30}),
                       "precision_at_recall: expected num_thresholds of at most 1048576, got "
                       "1073741824",
                       Error);
  CHECK_THROWS_WITH_AS(MeanIoU(1 << 30),
                       "mean_io_u: expected num_classes from 1 to 46340, got 1073741824", Error);
  CHECK_THROWS_WITH_AS(AUC({.multi_label = true, .num_labels = 1 << 30}),
                       "auc: expected num_labels from 1 to 1048576, got 1073741824", Error);
  CHECK_THROWS_WITH_AS(AUC({.num_thresholds = 1 << 20, .multi_label = true, .num_labels = 1 << 20}),
                       "auc: 1048576 labels with 2097154 sums each are more than int32 can number",
                       Error);
  const std::int64_t before = memory_stats().bytes_reserved;
  const MeanIoU many(40000);  // 12.8 GB of cells
  AUC labels({.num_thresholds = 1000, .multi_label = true, .num_labels = 1000000});
  // Numbers on meta add nothing.
  AUC auc;
  auc.update_state(zeros({4}, float32, "meta"), zeros({4}), {});
  CHECK(result_of(auc, tensor({0, 1, 0, 1}), tensor({0.1, 0.9, 0.2, 0.8})) == doctest::Approx(1));
  CHECK(memory_stats().bytes_reserved - before < 1 << 20);  // 16 GB later
  RunningSums sums(2), same;
  CHECK(sums.values() == std::vector<double>{0, 0});
  sums.reset();
  sums.add(1, 2.5);
  same = sums;
  sums.add(1, 1);
  CHECK(sums.values() == std::vector<double>{0, 3.5});
  CHECK(same.values() == std::vector<double>{0, 2.5});
  CHECK(same.count() == 2);
}

TEST_CASE("exact is in the config only when it is true, and takes no thresholds") {
  auto has_exact = [](const Config& config) {
    return std::ranges::find(config, "exact", [](auto& o) { return o.first; }) != config.end();
  };
  CHECK_FALSE(has_exact(AUC().config()));
  AUC exact({.exact = true});
  REQUIRE(has_exact(exact.config()));
  Tensor y = tensor({0, 1, 0, 1}), p = tensor({0.5001, 0.5002, 0.5003, 0.5004});
  CHECK(result_of(AnyMetric::from_config("AUC", exact.config()), y, p) == 0.75);
  CHECK(result_of(AnyMetric::from_config("AUC", AUC().config()), y, p) == doctest::Approx(0.5));
  const std::string taken = "auc: exact = true looks at all scores and takes no thresholds";
  CHECK_THROWS_WITH_AS(AUC({.thresholds = {0.5}, .exact = true}), taken.c_str(),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(AUC({.num_thresholds = 1000, .exact = true}), taken.c_str(),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      AUC({.summation_method = "minoring", .exact = true}),
      "auc: exact = true sums nothing up by \"minoring\"; leave summation_method out",
      std::invalid_argument);
}

TEST_CASE("counts, F-beta, R2 and intersection over union by hand") {
  Tensor y = tensor({1, 0, 1, 1, 0}), p = tensor({0.9, 0.8, 0.4, 0.6, 0.1});
  CHECK(result_of("true_positives", y, p) == 2);
  CHECK(result_of("true_negatives", y, p) == 1);
  CHECK(result_of(FalsePositives({.thresholds = {0.1, 0.85}}), y, p) == 1);
  CHECK(result_of("false_negatives", y, p, tensor({1, 1, 3, 1, 1})) == 3);
  Tensor rows = tensor({{0.5, 0.3, 0.2}, {0.1, 0.2, 0.7}, {0, 0, 0}});
  Tensor labels = tensor({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}});
  CHECK(result_of("f1_score", labels, rows) == doctest::Approx(1).epsilon(1e-6));
  CHECK(result_of(F1Score({.average = "micro"}), labels, rows) == doctest::Approx(0.4));
  CHECK(result_of(F1Score({.average = "macro"}), labels, rows) == doctest::Approx(1.0 / 3));
  CHECK(result_of("r2_score", tensor({{1}, {4}, {3}}), tensor({{2}, {4}, {4}})) ==
        doctest::Approx(0.5714285714));
  CHECK(result_of("r2_score", tensor({{2}, {2}}), tensor({{2}, {2}})) == 0);  // in Keras NaN
  CHECK(result_of("r2_score", full({1000, 1}, 0.1), full({1000, 1}, 0.11)) == 0);
  CHECK(result_of(MeanIoU(2), tensor({0, 0, 1, 1}), tensor({0, 1, 0, 1})) ==
        doctest::Approx(1.0 / 3));
  // Fractions of a sample count, and so do weights for a row of positions.
  CHECK(result_of(MeanIoU(2), tensor({0, 0, 1, 1}), tensor({0, 1, 0, 1}),
                  tensor({0.3, 0.3, 0.3, 0.1})) == doctest::Approx(0.2380952));
  CHECK(result_of(IoU(2, {1}), tensor({{0, 1}, {1, 1}}), tensor({{1, 1}, {0, 1}}),
                  tensor({1, 0.5})) == doctest::Approx(0.5));
}

TEST_CASE("one rate at another by hand") {
  Tensor y = tensor({0, 0, 0, 1, 1}), p = tensor({0, 0.3, 0.8, 0.3, 0.8});
  CHECK(result_of(SensitivityAtSpecificity(0.5), y, p) == 0.5);
  CHECK(result_of(SpecificityAtSensitivity(0.5), y, p) == doctest::Approx(2.0 / 3));
  CHECK(result_of(PrecisionAtRecall(0.5), y, p) == 0.5);
  CHECK(result_of(RecallAtPrecision(0.8), tensor({0, 0, 1, 1}), tensor({0, 0.5, 0.3, 0.9})) == 0.5);
  CHECK(result_of(RecallAtPrecision(0.9), y, p) == 0);
}

TEST_CASE("the area of each label, and exact") {
  Tensor y = tensor({{0, 1}, {1, 0}, {1, 1}}), p = tensor({{0.2, 0.9}, {0.6, 0.8}, {0.4, 0.3}});
  CHECK(result_of(AUC({.multi_label = true}), y, p) == doctest::Approx(0.75));
  CHECK(result_of(AUC({.multi_label = true, .exact = true}), y, p) == 0.75);
  CHECK(result_of(AUC({.multi_label = true, .label_weights = {1, 3}}), y, p) ==
        doctest::Approx(0.625));
  AnyMetric again =
      AnyMetric::from_config("AUC", AUC({.multi_label = true, .label_weights = {1, 3}}).config());
  CHECK(result_of(again, y, p) == doctest::Approx(0.625));
}

TEST_CASE("Mean and Sum gather values of any kind") {
  Sum sum;
  sum.update_state(tensor({{1, 3}, {5, 7}}));
  CHECK(sum.result() == 16);
  sum.update_state(tensor({{1, 3}, {double(NAN), 7}}), tensor({2, 0}));
  CHECK(sum.result() == 24);
  sum.reset_state();
  CHECK(sum.result() == 0);
}

TEST_CASE("losses are metrics, by name and by value") {
  Tensor y = tensor({{1, 2}, {3, 4}}), p = tensor({{1, 2}, {3, 6}});
  CHECK(result_of("mse", y, p) == 1);
  CHECK(AnyMetric("mse")->name() == "mse");
  CHECK(AnyMetric("mse")->direction() == Direction::down);
  CHECK(result_of(MeanSquaredError(), y, p) == 1);
  CHECK(AnyMetric(MeanSquaredError())->name() == "mean_squared_error");
  CHECK(AnyMetric(Huber({.name = "robust"}))->name() == "robust");
  CHECK(result_of("cosine_similarity", y, y) == doctest::Approx(1));
  CHECK(AnyMetric("cosine_similarity")->direction() == Direction::up);
  for (const char* name : {"cosine_similarity", "log_cosh_error"}) {  // not the classes of losses
    AnyMetric metric = name;
    AnyMetric again = AnyMetric::from_config(metric->class_name(), metric->config());
    CHECK(result_of(again, y, p) == result_of(metric, y, p));
    CHECK(again->direction() == metric->direction());
  }
}

namespace {

class Largest : public Metric {
 public:
  Largest() : Metric("largest") {}
  void update_state(const Tensor&, const Tensor& y_pred, const Tensor&) override {
    largest_ = std::max(largest_, max(y_pred).item());
  }
  double result() const override { return largest_; }
  void reset_state() override { largest_ = 0; }

 private:
  double largest_ = 0;
};

}  // namespace

TEST_CASE("a metric of one's own is a class or a function") {
  Tensor y = tensor({{1, 2}, {3, 4}}), p = tensor({{1, 2}, {3, 6}});
  auto distance = [](const Tensor& a, const Tensor& b) { return sum(abs(a - b), -1); };
  std::vector<AnyMetric> list = {"accuracy", Largest(), distance, {"distance", distance}};
  CHECK(result_of(list[1], y, p) == 6);
  CHECK(list[1]->name() == "largest");
  CHECK(result_of(list[2], y, p) == 1);
  CHECK(list[3]->name() == "distance");
  CHECK(list[3]->direction() == Direction::unknown);
  AnyMetric copy = list[1];
  copy->reset_state();
  CHECK(list[1]->result() == 0);
}

TEST_CASE("nothing a metric does is recorded, and in the long run it asks for no memory") {
  Random random(4);
  Tensor p = softmax(random.normal({64, 10})), y = one_hot(argmax(random.normal({64, 10}), 1), 10);
  std::vector<AnyMetric> list = {"accuracy", "mse", AUC(), Precision(),
                                 "top_k_categorical_accuracy"};
  GradientTape tape;
  tape.watch(p);
  auto batch = [&] {
    for (AnyMetric& metric : list) metric->update(y, p, ones({64}));
  };
  for (int i = 0; i < 3; ++i) batch();
  std::int64_t before = memory_stats().system_allocations;
  for (int i = 0; i < 3; ++i) batch();
  if (!sanitized) CHECK(memory_stats().system_allocations == before);
  CHECK(tape.size() == 0);
}

TEST_CASE("errors of metrics name the metric, the rule and what came") {
  CHECK_THROWS_WITH_AS(
      AnyMetric("acuracy"),
      "compile: unknown metric \"acuracy\". Known: acc, accuracy, auc, bce, binary_accuracy, "
      "binary_crossentropy, binary_focal_crossentropy, binary_io_u, categorical_accuracy, "
      "categorical_crossentropy, categorical_focal_crossentropy, "
      "categorical_generalized_cross_entropy, categorical_hinge, circle, concordance_correlation, "
      "cosine_similarity, crossentropy, ctc, dice, f1_score, f_beta_score, false_negatives, "
      "false_positives, hinge, huber, kl_divergence, kld, log_cosh, logcosh, mae, mape, "
      "mean_absolute_error, mean_absolute_percentage_error, mean_squared_error, "
      "mean_squared_logarithmic_error, mse, msle, pearson_correlation, poisson, precision, "
      "r2_score, recall, root_mean_squared_error, sparse_categorical_accuracy, "
      "sparse_categorical_crossentropy, sparse_top_k_categorical_accuracy, squared_hinge, "
      "top_k_categorical_accuracy, true_negatives, true_positives, tversky. Did you mean "
      "\"accuracy\"?",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(result_of("accuracy", zeros({3}), zeros({2, 4})),
                       "accuracy: y_true has shape (3,), expected (2,) for y_pred of shape (2, 4)",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(result_of(AUC(), zeros({3}), zeros({2})),
                       "auc: y_true has shape (3,), y_pred (2,)", std::invalid_argument);
  CHECK_THROWS_WITH_AS(AUC({.curve = "RCO"}),
                       "auc: unknown curve \"RCO\". Known: ROC, PR, PRGAIN. Did you mean \"ROC\"?",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Precision({.thresholds = 2}),
                       "precision: expected thresholds in [0, 1], got 2", std::invalid_argument);
  CHECK_THROWS_WITH_AS(result_of("mse", zeros({2, 3}), zeros({2, 3}), zeros({5})),
                       "mean: weights of shape (5,) do not fit values of shape (2,)",
                       std::invalid_argument);
}

TEST_CASE("errors of the metrics that take arguments") {
  using Error = std::invalid_argument;
  CHECK_THROWS_WITH_AS(
      AnyMetric("MeanIoU"),
      "compile: metric \"MeanIoU\" needs num_classes: give an object, MeanIoU(...)", Error);
  CHECK_THROWS_WITH_AS(F1Score({.average = "mean"}),
                       "f1_score: expected average micro, macro or weighted, or none, got "
                       "\"mean\"",
                       Error);
  CHECK_THROWS_WITH_AS(FBetaScore({.beta = 0}), "fbeta_score: expected beta above 0, got 0", Error);
  CHECK_THROWS_WITH_AS(result_of("f1_score", zeros({4}), zeros({4})),
                       "f1_score: expected y_pred of shape (batch, columns), got (4,)", Error);
  CHECK_THROWS_WITH_AS(IoU(3, {3}), "io_u: expected target_class_ids from 0 to 2, got 3", Error);
  CHECK_THROWS_WITH_AS(PrecisionAtRecall(1.5),
                       "precision_at_recall: expected recall between 0 and 1, got 1.5", Error);
  CHECK_THROWS_WITH_AS(AUC({.num_labels = 3}), "auc: num_labels = 3 needs multi_label = true",
                       Error);
  CHECK_THROWS_WITH_AS(
      result_of(AUC({.multi_label = true, .num_labels = 2}), zeros({4, 3}), zeros({4, 3})),
      "auc: with multi_label expected y_pred of shape (batch, 2), got (4, 3)", Error);
  CHECK_THROWS_WITH_AS(result_of(AUC({.label_weights = {1, 2}}), zeros({4, 3}), zeros({4, 3})),
                       "auc: 2 label_weights do not fit y_pred of shape (4, 3)", Error);
}

TEST_CASE("what metrics of several columns are told must fit") {
  CHECK_THROWS_WITH_AS(AUC({.multi_label = true, .num_labels = 3, .label_weights = {1, 2}}),
                       "auc: expected 3 label_weights, got 2", std::invalid_argument);
  CHECK(OneHotMeanIoU(4, {.ignore_class = 0}).name() == "one_hot_mean_io_u");
}

TEST_CASE("AUC refuses scores that are no probabilities") {
  const char* error =
      default_device().is_cpu()
          ? "auc: expected scores from 0 to 1, got -2.5; logits need from_logits"
          : "auc: scores lie from 0 to 1, logits need from_logits: index -1 at position 0 "
            "is out of range for an axis of 201";
  CHECK_THROWS_WITH_AS(result_of(AUC(), tensor({0, 1}), tensor({-2.5, 0.5})), error,
                       std::invalid_argument);
  // Where the weight is 0 nothing is expected.
  CHECK(result_of(AUC(), tensor({0, 1, 1}), tensor({0.1, 0.9, -2.5}), tensor({1, 1, 0})) ==
        doctest::Approx(1));
}

TEST_CASE("a class that is ignored leaves a metric's mean, too") {
  Tensor p = softmax(Random(3).normal({8, 3}), 1), y = tensor({0, 1, 2, 0, 1, 2, 0, -1});
  Tensor rest = slice(y, {range(0, 7)}), p_rest = slice(p, {range(0, 7)});
  AnyMetric metric = SparseCategoricalCrossentropy({.ignore_class = -1});
  CHECK(result_of(metric, y, p) ==
        doctest::Approx(result_of(SparseCategoricalCrossentropy(), rest, p_rest)).epsilon(1e-6));
}

TEST_SUITE_END();
