// What compile has chosen, and one step of training with it.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keratin/layers/internal/layer_state.h>
#include <keratin/training/internal/data.h>
#include <keratin/training/internal/diagnosis.h>
#include <keratin/training/model.h>

namespace keratin {

/// What a model gave for a batch.
struct Predictions {
  Tensors values, masks;
  Tensors added;  // what layers added to the loss
};

struct Model::Compiled {
  /// What is compared with one of the model's outputs.
  struct Output {
    std::string name;  // empty in a model with one output
    Loss loss = {};
    double weight = 1;
    std::vector<AnyMetric> metrics = {}, weighted_metrics = {};
    Mean loss_tracker = {};
  };

  std::optional<AnyOptimizer> optimizer;
  std::vector<Output> outputs;
  std::vector<std::string> names;  // of all values that are logged, in order, after "loss"
  Mean loss_tracker;
  class Trainer* trainer = nullptr;  // while fit or evaluate runs

  bool has_loss() const;
  /// More than one loss: each is logged, too.
  bool logs_losses() const;
  void reset();
  /// The values in the order of names.
  template <class F>
  void each_metric(const F& f) const;
  Logs::Map logs() const;
  /// y with one entry for each output.
  Tensors aligned(const char* who, const char* what, const Tensors& list) const;
  /// The total loss; `losses` receives that of each output.
  Tensor total(const Model& model, const Predictions& p, const Tensors& y, const Tensors& weight,
               Tensors* losses = nullptr) const;
  void update(const Predictions& p, const Tensors& y, const Tensors& weight, const Tensor& loss,
              const Tensors& losses);
};

/// Does the steps of fit, evaluate and the ..._on_batch functions.
///
/// A step on a device is queued and not waited for. Whether its loss and gradients are finite is
/// decided there: if not, that step and all after it change nothing, until someone looks. On the
/// processor one looks at once.
class Trainer {
 public:
  explicit Trainer(Model& model);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// By the model's own train_step and test_step. `place` says where in fit that is.
  Logs train(const Batch& batch, StepRecord place = {});
  Logs test(const Batch& batch);
  /// One step of the optimizer.
  Logs train_step(const Batch& batch);
  Logs test_step(const Batch& batch);
  Logs evaluate(Source& source, std::vector<AnyCallback>& callbacks);

  /// Waits for the steps that are queued and looks at them. Throws what went wrong on the device.
  void settle();
  /// The first step that had to be undone, as far as one has looked: the model and the optimizer
  /// are as they were before it.
  const std::optional<FailedStep>& failed() const { return failed_; }

  std::map<int, double> class_weight = {};

 private:
  /// What a step has found: the loss, and the gradients of the trainable weights.
  struct Found {
    Tensor loss;
    std::vector<Weight> weights;
    Tensors gradients;
  };
  /// A step that nobody has looked at.
  struct Queued {
    StepRecord record;
    Optimizer::Counters counters;
  };

  void make_weights(const Tensors& x);
  Tensor forward(const Batch& batch, bool training);
  Found differentiate(const Batch& batch);
  void finish(const Tensor& loss);
  void apply(const Found& found, StepRecord record);
  void queue(const Found& found, StepRecord record);
  void fail_at(StepRecord record, const Found& found);
  Logs logs();

  Model& model_;
  Model::Compiled& state_;
  Predictions predicted_;  // of the step at hand, and what they are compared with
  Tensors y_, weight_, losses_;
  StepRecord record_;  // where in fit the step at hand stands
  std::optional<FailedStep> failed_;
  std::deque<Queued> queued_;
  Tensor allowed_;  // on the device: whether all steps so far were finite
  Tensor done_;     // and how many of those that are queued
};

/// The tensors on a device; those that are undefined stay so.
Tensors moved(const Tensors& tensors, Device device);

/// The model's outputs for a batch, and what its layers add to the loss.
Predictions predictions_of(Model& model, const Tensors& x, const CallOptions& options);

}  // namespace keratin
