// What compile has chosen, and one step of training with it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <keratin/training/internal/data.h>
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
  Logs logs() const;
  /// y with one entry for each output.
  Tensors aligned(const char* who, const char* what, const Tensors& list) const;
  /// The total loss; `losses` receives that of each output.
  Tensor total(const Model& model, const Predictions& p, const Tensors& y, const Tensors& weight,
               std::vector<double>* losses = nullptr) const;
  void update(const Predictions& p, const Tensors& y, const Tensors& weight, double loss,
              const std::vector<double>& losses);
};

/// Does the steps of fit, evaluate and the ..._on_batch functions.
class Trainer {
 public:
  explicit Trainer(Model& model);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// By the model's own train_step and test_step.
  Logs train(const Batch& batch);
  Logs test(const Batch& batch);
  /// One step of the optimizer; finite() says whether it was taken.
  Logs train_step(const Batch& batch);
  Logs test_step(const Batch& batch);
  Logs evaluate(Source& source, std::vector<AnyCallback>& callbacks);

  /// False when the loss or a gradient of the last step was not finite: then the model and the
  /// optimizer are as they were before.
  bool finite() const { return finite_; }
  /// The loss of that step, and the first weight whose gradient was not finite while the loss was.
  double loss() const { return loss_; }
  const std::string& bad_gradient() const { return bad_gradient_; }

  std::map<int, double> class_weight = {};

 private:
  void make_weights(const Tensors& x);
  Tensor forward(const Batch& batch, bool training);
  void finish();

  Model& model_;
  Model::Compiled& state_;
  Predictions predicted_;  // of the step at hand, and what they are compared with
  Tensors y_, weight_;
  std::vector<double> losses_;
  double loss_ = 0;
  bool finite_ = true;
  std::string bad_gradient_;
};

/// The tensors on a device; those that are undefined stay so.
Tensors moved(const Tensors& tensors, Device device);

/// The model's outputs for a batch, and what its layers add to the loss.
Predictions predictions_of(Model& model, const Tensors& x, const CallOptions& options);

}  // namespace keratin
