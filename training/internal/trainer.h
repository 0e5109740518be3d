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
#include <keratin/training/internal/step_graphs.h>
#include <keratin/training/model.h>

namespace keratin {

struct Model::Compiled {
  /// What is compared with one of the model's outputs.
  struct Output {
    std::string name;  // empty in a model with one output
    Loss loss = {};
    double weight = 1;
    std::vector<AnyMetric> metrics = {}, weighted_metrics = {};
    Mean loss_tracker = {};
  };

  CompileOptions options = {};  // as they were given
  Config config = {};           // or the config they were read from
  std::optional<AnyOptimizer> optimizer;
  std::optional<bool> run_eagerly;
  std::vector<Output> outputs;
  std::vector<std::string> names;  // of all values that are logged, in order, after "loss"
  Mean loss_tracker;
  class Trainer* trainer = nullptr;  // while fit or evaluate runs

  bool has_loss() const;
  /// More than one loss: each is logged, too.
  bool logs_losses() const;
  /// Whether these and the metrics may be part of a CUDA graph.
  bool losses_support_graph() const;
  bool metrics_support_graph() const;
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
  /// Of the metrics.
  void update(const Step& step);
  void snapshot(Snapshot& s);
};

/// Does the steps of fit, evaluate and the ..._on_batch functions.
///
/// A step on a device is queued and not waited for. Whether its loss and gradients are finite is
/// decided there: if not, that step and all after it change nothing, until someone looks. On the
/// processor one looks at once.
///
/// On a device, a step up to the optimizer's part becomes a CUDA graph where it may.
class Trainer {
 public:
  /// Whose errors begin with `who`, the function that the program called.
  Trainer(const char* who, Model& model);
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
  /// Loss and metrics so far. Looked at no earlier than someone asks.
  Logs logs();

  /// Waits for the steps that are queued and looks at them. Throws what went wrong on the device.
  void settle();
  /// The first step that had to be undone, as far as one has looked: the model and the optimizer
  /// are as they were before it.
  const std::optional<FailedStep>& failed() const { return failed_; }

  /// Model, optimizer and metrics.
  void snapshot(Snapshot& s);

  std::map<int, double> class_weight = {};

 private:
  /// A step that nobody has looked at.
  struct Queued {
    StepRecord record;
    Optimizer::Counters counters;
  };

  void make_weights(const Tensors& x);
  Step forward(const Batch& batch, bool training);
  Step differentiate(const Batch& batch);
  Step differentiate_on_device(const Batch& batch);
  void take_step(StepRecord record);
  void queue_step(StepRecord record);
  void prepare(Device device);
  void peek();
  void fail_at(StepRecord record, const Step& step);

  const char* who_;
  Model& model_;
  Model::Compiled& state_;
  StepRecord record_;  // where in fit the step at hand stands
  std::optional<FailedStep> failed_;
  std::deque<Queued> queued_;
  int looked_at_ =
      0;  // steps that were finite and are no longer queued, of those that done_ counts
  std::unique_ptr<DeviceReading> reading_;  // of done_, begun when half as many were queued
  StepGraphs graphs_;
  const bool metrics_in_graph_;
  // On the device, and overwritten there: whether all steps so far were finite, and how many were
  // done since one has looked.
  Tensor allowed_, done_;
};

/// The tensors on a device; those that are undefined stay so.
Tensors moved(const Tensors& tensors, Device device);

/// The model's outputs for a batch, and what its layers add to the loss.
Predictions predictions_of(Model& model, const Tensors& x, const CallOptions& options);

}  // namespace keratin
