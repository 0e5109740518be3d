// What a metric is (keras/src/metrics/metric.py): a number gathered over the batches of an epoch.
// No tape records it. The metrics themselves are in optim/metrics.h.
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
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <keratin/core/config.h>
#include <keratin/core/snapshot.h>
#include <keratin/core/tensor.h>
#include <keratin/optim/loss.h>

namespace keratin {

/// Which way a metric is better; callbacks with mode "auto" need to know.
enum class Direction { unknown, up, down };

/// The numbers of a metric so far, which its copies share: as in Keras, a metric is a reference.
template <class T>
class Shared {
 public:
  T& operator*() const { return *value_; }
  T* operator->() const { return value_.get(); }
  /// Goes on with a copy of its own.
  void detach() { value_ = std::make_shared<T>(*value_); }

 private:
  std::shared_ptr<T> value_ = std::make_shared<T>();
};

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
  /// The numbers so far, for a backup in the middle of an epoch (BackupAndRestore).
  virtual void snapshot(Snapshot&) {}
  /// Whether update_state does the same ops for each batch of the same shapes, and keeps what it
  /// gathers in tensors that it overwrites, such as those of RunningSums: then it may be part of a
  /// CUDA graph. By default so for the library's metrics.
  virtual bool supports_graph() const;

  /// What training calls for `metrics`: update_state, unrecorded, with the mask of y_pred (true:
  /// counts; may be undefined) turned into weights for the metrics that are means, as in Keras.
  void update(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight = {},
              const Tensor& mask = {});
  /// What training calls for `weighted_metrics`: the same, with the mask turned into weights for
  /// all of them. What a mask or a weight of 0 excludes leaves no trace: update_state sees the
  /// weight 0, and 0 and 1 in the place of y_true and y_pred, NaN and numbers of no class included.
  void update_weighted(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight = {},
                       const Tensor& mask = {});

  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }
  Direction direction() const { return direction_; }

  /// Keras' class name and the options of its get_config. A class of one's own is called
  /// "package>Name" when it is registered, else its class name is empty.
  virtual std::string class_name() const;
  virtual Config config() const { return config_of(const_cast<Metric*>(this)->fields()); }
  virtual std::vector<Field> fields() {
    return {{"name", &name_}, Field::without_effect("dtype", std::string(name_of(floatx())))};
  }

 protected:
  virtual bool takes_mask() const { return false; }
  /// Gives a copy numbers of its own, in a class that keeps them in a Shared.
  virtual void detach() {}

 private:
  friend class AnyMetric;
  Shared<std::weak_ptr<const void>> owner_;  // the model that the metric serves
  std::string name_;
  Direction direction_;
};

/// Sums of numbers, where the numbers are: those on a device are added there, and read when the
/// values are asked for. They take memory from the first addition or snapshot on. Numbers on meta
/// add nothing.
class RunningSums {
 public:
  explicit RunningSums(std::int64_t count = 0) : count_(count) {}
  RunningSums(const RunningSums& other);  ///< with sums of its own
  RunningSums& operator=(const RunningSums& other);
  ~RunningSums() = default;

  void add(std::int64_t place, double number);
  /// A tensor of one element.
  void add(std::int64_t place, const Tensor& number);
  /// Numbers (count), one to each sum.
  void add(const Tensor& numbers);
  /// Numbers (n) to the sums in the places (n), int32.
  void add_at(const Tensor& places, const Tensor& numbers);
  std::vector<double> values() const;
  /// To zero, in the same memory.
  void reset();
  std::int64_t count() const { return count_; }
  void snapshot(Snapshot& s);

 private:
  void move_to(Device device);

  std::int64_t count_;
  Tensor sums_;  // (count) float64, or undefined
};

/// A running mean, weighted by samples: each sample's values are averaged, then total += sum and
/// count += samples (or the sum of their weights). The tracker of the loss uses it too.
class Mean {
 public:
  /// Values (batch, ...), with weights of that shape or without its last axes.
  void update_state(const Tensor& values, const Tensor& sample_weight = {});
  /// One number that stands for `count` samples.
  void update_state(double value, double count = 1);
  /// The same for a tensor of one element.
  void update_state(const Tensor& value, double count);
  /// 0 before the first update.
  double result() const;
  void reset_state() { sums_.reset(); }
  void snapshot(Snapshot& s) { sums_.snapshot(s); }

 private:
  RunningSums sums_{2};  // total and count
};

/// A running sum, weighted by samples: what Mean is without dividing.
class Sum {
 public:
  /// Values (batch, ...), with weights of that shape or without its last axes.
  void update_state(const Tensor& values, const Tensor& sample_weight = {});
  /// 0 before the first update.
  double result() const { return sum_.values()[0]; }
  void reset_state() { sum_.reset(); }
  void snapshot(Snapshot& s) { sum_.snapshot(s); }

 private:
  RunningSums sum_{1};
};

/// A metric that is the mean of a value for each sample.
class MeanMetric : public Metric {
 public:
  using Metric::Metric;
  using Metric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override;
  double result() const override { return mean_->result(); }
  void reset_state() override { mean_->reset_state(); }
  void snapshot(Snapshot& s) override { mean_->snapshot(s); }

 protected:
  /// (batch, ...)
  virtual Tensor values(const Tensor& y_true, const Tensor& y_pred) = 0;
  /// Adds values to the mean.
  void add(const Tensor& values, const Tensor& sample_weight) {
    mean_->update_state(values, sample_weight);
  }
  bool takes_mask() const override { return true; }
  void detach() override { mean_.detach(); }

 private:
  Shared<Mean> mean_;
};

/// A metric from a name, a metric, a loss, or a function. A metric of the library that is given to
/// compile is the one that the model updates: p.result() tells after training. One of a class of
/// one's own is, too, if it keeps its numbers in a Shared, or if it is given as a shared_ptr.
class AnyMetric {
 public:
  /// By Keras name or alias; "accuracy" and "acc" choose on the first batch: BinaryAccuracy when
  /// y_pred ends in 1, SparseCategoricalAccuracy when y_true has no class axis, else
  /// CategoricalAccuracy. The string stays the metric's name. Throws std::invalid_argument with the
  /// known names.
  AnyMetric(const char* name) : AnyMetric(std::string(name)) {}
  AnyMetric(const std::string& name);
  template <std::derived_from<Metric> M>
  AnyMetric(M metric)
      : metric_(std::make_shared<M>(std::move(metric))),
        copy_([](const Metric& other) -> std::shared_ptr<Metric> {
          return std::make_shared<M>(static_cast<const M&>(other));
        }) {}
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

  /// This metric, begun anew; or if it serves another owner that still lives, a copy. One given as
  /// a shared_ptr stays the same for all.
  AnyMetric taken_by(const std::shared_ptr<const void>& owner) const;
  /// A copy that begins anew; of a shared_ptr the same.
  AnyMetric copy() const;
  /// Whether both are the same metric.
  bool is(const AnyMetric& other) const { return &*metric_->owner_ == &*other.metric_->owner_; }

  /// The string this metric was made from; empty when it was not.
  const std::string& identifier() const { return identifier_; }

  Metric& operator*() const { return *metric_; }
  Metric* operator->() const { return metric_.get(); }

 private:
  AnyMetric(const std::string& name, const Loss& loss, Direction direction);
  static AnyMetric wrapped_function(const Config& config);
  std::string identifier_;
  std::shared_ptr<Metric> metric_;
  std::shared_ptr<Metric> (*copy_)(const Metric&) = nullptr;
};

void register_metric_class(const std::type_info& type, const std::string& package,
                           const std::string& name, std::function<AnyMetric()> make);
/// A class of one's own joins: configs know it as "package>name", where the name is by default that
/// of the class. `make` gives a metric with any options; a class that can be made without arguments
/// needs none.
template <std::derived_from<Metric> M>
void register_keras_serializable(const std::string& package, const std::string& name,
                                 std::function<M()> make = nullptr) {
  register_metric_class(typeid(M), package, name, maker_of<AnyMetric>(make));
}
template <std::derived_from<Metric> M>
void register_keras_serializable(const std::string& package = "Custom",
                                 std::function<M()> make = nullptr) {
  register_keras_serializable<M>(package, "", std::move(make));
}

/// As an object. Throws std::invalid_argument for a class that is not registered.
Option to_option(const AnyMetric& metric);
/// From an object or a name.
bool from_option(const Option& option, AnyMetric& metric);

}  // namespace keratin
