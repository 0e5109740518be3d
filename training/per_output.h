// What is said of a model's inputs or outputs: one value, a list in their order, or values by name.
//
//   model.fit({x_text, x_table}, {{"topic", y_topic}, {"score", y_score}});
//   model.compile({.loss = {{"topic", "sparse_categorical_crossentropy"}, {"score", "mse"}},
//                  .loss_weights = {{"score", 0.2}},
//                  .metrics = {{"topic", {"accuracy"}}}});
#pragma once

#include <concepts>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <keratin/layers/outputs.h>
#include <keratin/optim/loss.h>
#include <keratin/optim/metric.h>

namespace keratin {

template <class T>
class PerOutput {
 public:
  using Named = std::vector<std::pair<std::string, T>>;

  PerOutput() = default;
  template <std::convertible_to<T> U>
  PerOutput(U&& value) : list_{T(std::forward<U>(value))} {}
  PerOutput(std::vector<T> list) : list_(std::move(list)), is_list_(true) {}
  PerOutput(std::initializer_list<T> list) : list_(list), is_list_(true) {}
  PerOutput(std::initializer_list<std::pair<std::string, T>> named) : named_(named) {}
  PerOutput(const std::map<std::string, T>& named) : named_(named.begin(), named.end()) {}

  bool empty() const { return list_.empty() && named_.empty(); }
  /// Whether it is one value, which was not given as a list.
  bool is_single() const { return !is_list_ && list_.size() == 1; }
  const std::vector<T>& list() const { return list_; }
  const Named& named() const { return named_; }

 private:
  std::vector<T> list_;
  Named named_;
  bool is_list_ = false;
};

/// x, y or sample_weight.
using Arrays = PerOutput<Tensor>;
using Losses = PerOutput<Loss>;
using LossWeights = PerOutput<double>;

/// The metrics of one output: one, or a list.
class MetricList : public std::vector<AnyMetric> {
 public:
  MetricList(std::initializer_list<AnyMetric> list) : std::vector<AnyMetric>(list) {}
  MetricList(const char* name) : MetricList(AnyMetric(name)) {}
  MetricList(const std::string& name) : MetricList(AnyMetric(name)) {}
  template <std::derived_from<Metric> M>
  MetricList(M metric) : MetricList(AnyMetric(std::move(metric))) {}
  MetricList(AnyMetric metric) : std::vector<AnyMetric>{std::move(metric)} {}
};

/// Of a model with one output a list of metrics. Of one with several outputs, one metric each, or
/// lists by name.
class Metrics {
 public:
  Metrics() = default;
  Metrics(std::initializer_list<AnyMetric> list) : list_(list) {}
  Metrics(std::vector<AnyMetric> list) : list_(std::move(list)) {}
  Metrics(std::initializer_list<std::pair<std::string, MetricList>> named) : named_(named) {}
  explicit Metrics(std::vector<std::pair<std::string, MetricList>> named)
      : named_(std::move(named)) {}

  bool empty() const { return list_.empty() && named_.empty(); }
  const std::vector<AnyMetric>& list() const { return list_; }
  const std::vector<std::pair<std::string, MetricList>>& named() const { return named_; }

 private:
  std::vector<AnyMetric> list_;
  std::vector<std::pair<std::string, MetricList>> named_;
};

}  // namespace keratin
