// Model: a layer that can be trained (keras/src/models/model.py, keras/src/trainers). Most models
// are a Sequential, or made of symbolic inputs and outputs (layers/symbolic.h). A model of one's
// own overrides build and call like any layer.
#pragma once

#include <array>
#include <cstddef>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/symbolic.h>
#include <keratin/optim/loss.h>
#include <keratin/optim/metric.h>
#include <keratin/optim/optimizer.h>
#include <keratin/training/callback.h>
#include <keratin/training/dataset.h>
#include <keratin/training/interrupt.h>
#include <keratin/training/per_output.h>

namespace keratin {

struct CompileOptions {
  AnyOptimizer optimizer = "rmsprop";
  Losses loss = {};               ///< of one output, or for each (training/per_output.h)
  LossWeights loss_weights = {};  ///< what each output's loss is multiplied by in their sum
  Metrics metrics = {};
  Metrics weighted_metrics = {};  ///< these heed sample weights and masks
  /// On a GPU fit notes a step once and repeats it as a CUDA graph, where all layers and losses are
  /// the library's or support it (Layer::supports_graph). true: never; false: also with functions
  /// and classes of one's own, which promises that these do the same ops in each step.
  std::optional<bool> run_eagerly = std::nullopt;
};

/// x, y and perhaps sample weights, or a dataset.
struct ValidationData {
  ValidationData() = default;
  ValidationData(Arrays x, Arrays y, Arrays sample_weight = {})
      : x(std::move(x)), y(std::move(y)), sample_weight(std::move(sample_weight)) {}
  ValidationData(Dataset dataset) : dataset(std::move(dataset)) {}

  Arrays x, y, sample_weight;
  std::optional<Dataset> dataset;
};

struct FitOptions {
  int batch_size = 32;
  int epochs = 1;
  int verbose = -1;  ///< 0 silent, 1 progress bar, 2 a line an epoch; -1: 1 on a terminal, else 2
  double validation_split = 0;  ///< the last part of the data, taken before shuffling
  ValidationData validation_data = {};
  bool shuffle = true;
  std::map<int, double> class_weight = {};  ///< for labels, one each prediction, or one-hot rows
  Arrays sample_weight = {};                ///< (samples), or (samples, time); one for each output
  int initial_epoch = 0;
  int steps_per_epoch = 0;        ///< of a dataset; 0: up to its end
  int validation_steps = 0;       ///< likewise
  int validation_batch_size = 0;  ///< 0: batch_size
  int validation_freq = 1;        ///< validate every so many epochs
  std::vector<AnyCallback> callbacks = {};
  /// Whether Ctrl-C and SIGTERM wait for the end of the batch and for what callbacks save then
  /// (training/interrupt.h). A program that handles these signals itself goes on to do so.
  OnSignal on_signal = OnSignal::end_process;
};

struct EvaluateOptions {
  int batch_size = 32;
  int verbose = 0;
  Arrays sample_weight = {};
  int steps = 0;  ///< of a dataset; 0: up to its end
  std::vector<AnyCallback> callbacks = {};
};

struct PredictOptions {
  int batch_size = 32;
};

class Model : public Layer {
 public:
  Model();
  /// What leads from the inputs to the outputs, by default named "functional". Throws
  /// std::invalid_argument when an output needs an input that is not among them, and when two
  /// layers have one name.
  Model(const std::vector<SymbolicTensor>& inputs, const std::vector<SymbolicTensor>& outputs,
        const std::string& name = "");
  Model(const Model& other);
  Model(Model&&) noexcept = default;
  Model& operator=(const Model&) = default;
  Model& operator=(Model&&) noexcept = default;
  ~Model() override;

  /// Calls the layers of a Sequential, or those between symbolic tensors. The form for one input
  /// gives the first output.
  Tensor call(const Tensor& inputs) override;
  Tensors call(const Tensors& inputs) override { return default_call(inputs); }
  bool supports_masking() const override;
  /// "Functional" for a model of symbolic inputs and outputs.
  std::string class_name() const override;
  /// Its layers and how they are connected, without weights; layer_from_config makes the model
  /// again. Throws std::invalid_argument for a class of one's own that does not state its fields().
  Config get_config() const override;
  /// Of such a model: the names of the layers that its inputs and outputs come from. A model of
  /// one's own with several of them may name them, too.
  virtual std::vector<std::string> input_names() const;
  virtual std::vector<std::string> output_names() const;

  /// Chooses how to train. May be called again; weights stay, the optimizer begins anew.
  void compile(const CompileOptions& options);
  bool compiled() const;
  /// What was given to compile, as Keras's files have it; empty before compile. Throws
  /// std::invalid_argument for functions and classes of one's own that are not registered.
  Config get_compile_config() const;
  /// Compiles with what get_compile_config gave. Throws std::invalid_argument for what it does not
  /// know.
  void compile_from_config(const Config& config);

  /// Trains on all of x and y, `epochs` times, in batches. Returns each epoch's loss and metrics.
  /// Several inputs or outputs are given as lists, or by the names of the functional model.
  History fit(const Arrays& x, const Arrays& y = {}, const FitOptions& options = {});
  History fit(const Dataset& data, const FitOptions& options = {});

  /// Loss and metrics over x and y, by name.
  Scores evaluate(const Arrays& x, const Arrays& y = {}, const EvaluateOptions& options = {});
  Scores evaluate(const Dataset& data, const EvaluateOptions& options = {});
  /// The same in order, loss first: auto [loss, accuracy] = model.evaluate<2>(x, y);
  template <std::size_t N>
  std::array<double, N> evaluate(const Arrays& x, const Arrays& y,
                                 const EvaluateOptions& options = {}) {
    std::array<double, N> values;
    copy_scores(evaluate(x, y, options), values.data(), N);
    return values;
  }

  /// The outputs for all of x, row-major. Once the model is built, several threads may call it.
  Outputs predict(const Arrays& x, const PredictOptions& options = {}) const;

  /// One step on one batch; loss and metrics of that batch alone.
  Logs train_on_batch(const Arrays& x, const Arrays& y = {}, const Arrays& sample_weight = {});
  Logs test_on_batch(const Arrays& x, const Arrays& y = {}, const Arrays& sample_weight = {});
  Outputs predict_on_batch(const Arrays& x) const;

  /// What fit, evaluate and predict do with a batch; a model of one's own may override it. What
  /// train_step and test_step return is logged: values for the epoch so far, such as those of a
  /// Mean that reset_metrics sets back.
  virtual Logs train_step(const Batch& batch);
  virtual Logs test_step(const Batch& batch);
  virtual Outputs predict_step(const Tensors& x);
  /// Called when an epoch or an evaluation begins.
  virtual void reset_metrics();

  /// "loss", of several outputs the loss of each, then the metrics: the order of evaluate<N>.
  std::vector<std::string> metrics_names() const;
  /// Which way a value of the logs is better: "loss", "val_accuracy", ...
  Direction direction_of(const std::string& logged) const;
  Optimizer& optimizer() const;
  /// Of the first output.
  const Loss& loss() const;

  /// Set by a callback to end training after this batch or epoch.
  bool stop_training = false;

  /// The scalar that training makes smaller: the compiled losses, what layers add, and the
  /// regularizers' share.
  Tensor total_loss(const Arrays& x, const Arrays& y, const CallOptions& options = {},
                    const Arrays& sample_weight = {});

  /// Every layer's output for x as "name", and what layers named in passing as "layer/label".
  std::map<std::string, Tensor> capture(const Arrays& x);

  /// The layers of the model, as they are counted by summary and get_layer.
  std::vector<Layer*> layers() const;
  Layer& get_layer(const std::string& name) const;
  Layer& get_layer(int index) const;

  /// The table of layers as Keras prints it; line_length 0 means 88, or 108 where layers do not
  /// simply follow one another, or the terminal's width.
  void summary(int line_length = 0) const;
  std::string summary_text(int line_length = 0) const;

  /// The model as a .keras file, which Keras opens, as does load_model (training/saving.h): the
  /// layers, their weights, what was compiled, and the state of the optimizer. Throws
  /// std::runtime_error for what the system reports, and in a build without HDF5.
  void save(const std::string& path) const;
  /// The layers and what was compiled, without weights; model_from_json makes the model again.
  std::string to_json() const;

  /// All weights: in a .weights.h5 file as Keras has them, with the state of the optimizer; in a
  /// .h5 file as earlier versions had them; in a .npz file each under its path. The .weights.json
  /// of several files, which Keras writes with max_shard_size, is loaded, too. Loading checks
  /// every name and shape first: when one does not fit, all differences are listed and nothing is
  /// loaded.
  void save_weights(const std::string& path) const;
  void load_weights(const std::string& path);

 private:
  friend class Planner;
  friend class Trainer;
  friend AnyLayer functional_from_config(const Config& config);
  int summary_width() const;
  struct Loops;
  void copy_scores(const Logs& logs, double* values, std::size_t count) const;
  struct Compiled;
  Compiled& compilation() const;
  std::shared_ptr<Compiled> compiled_;  // shared by all copies; a clone is not compiled

 protected:
  void default_build(const Shapes& input_shapes) override;
  Tensors default_call(const Tensors& inputs) override;
  Tensors call_layers(const Tensors& inputs);
  Shapes tried_shapes(const Shapes& input_shapes) override;

  // Empty in a model of one's own. A Sequential fills it when it is built.
  std::shared_ptr<class ModelGraph> graph_;
  const ModelGraph& graph() const;
};

}  // namespace keratin
