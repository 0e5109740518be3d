// One training step, and the loops around it.

#include <algorithm>
#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/random.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/training/internal/data.h>
#include <keratin/training/internal/diagnosis.h>
#include <keratin/training/internal/graph.h>
#include <keratin/training/model.h>
#include <keratin/training/progress.h>

namespace keratin {

/// What compile has chosen, and the metrics of the epoch.
struct Model::Compiled {
  std::optional<AnyOptimizer> optimizer;
  Loss loss;
  std::vector<AnyMetric> metrics, weighted_metrics;
  std::vector<std::string> names;  // of all metrics, each once
  Mean loss_tracker;

  void reset() {
    loss_tracker.reset_state();
    for (auto* list : {&metrics, &weighted_metrics})
      for (AnyMetric& metric : *list) metric->reset_state();
  }

  void update_metrics(const Tensor& y, const Tensor& p, const Tensor& weight, const Tensor& mask) {
    for (AnyMetric& metric : metrics) metric->update(y, p, {}, mask);
    for (AnyMetric& metric : weighted_metrics) metric->update(y, p, weight, mask);
  }

  Logs logs() const {
    Logs logs{{"loss", loss_tracker.result()}};
    std::size_t i = 0;
    for (const auto* list : {&metrics, &weighted_metrics})
      for (const AnyMetric& metric : *list) logs[names[i++]] = metric->result();
    return logs;
  }
};

Model::Model() : compiled_(std::make_shared<Compiled>()), graph_(std::make_shared<Graph>()) {}
Model::Model(const Model& other)
    : Layer(other),
      compiled_(cloning() ? std::make_shared<Compiled>() : other.compiled_),
      graph_(other.graph_) {}
Model::~Model() = default;

Model::Compiled& Model::compilation() const {
  if (compiled_ == nullptr) name();  // throws: the object was moved from
  return *compiled_;
}

// --- compile

void Model::compile(const CompileOptions& options) {
  if (!options.optimizer) fail("compile: the optimizer is empty");
  Compiled& compiled = compilation();  // throws if the model was moved from
  Compiled state;
  state.optimizer = options.optimizer.taken_by(compiled_);
  state.loss = options.loss;
  for (const AnyMetric& metric : options.metrics) state.metrics.push_back(metric.copy());
  for (const AnyMetric& metric : options.weighted_metrics)
    state.weighted_metrics.push_back(metric.copy());
  // A name used twice is numbered; a weighted metric with a used name says that it is weighted.
  auto free_name = [&](std::string name, bool weighted) {
    auto used = [&](const std::string& n) {
      return n == "loss" || std::ranges::find(state.names, n) != state.names.end();
    };
    if (weighted && used(name)) name = "weighted_" + name;
    std::string base = name;
    for (int i = 1; used(name); ++i) name = base + "_" + std::to_string(i);
    state.names.push_back(name);
  };
  for (const AnyMetric& metric : options.metrics) free_name(metric->name(), false);
  for (const AnyMetric& metric : options.weighted_metrics) free_name(metric->name(), true);
  compiled = std::move(state);
}

bool Model::compiled() const { return compilation().optimizer.has_value(); }

Optimizer& Model::optimizer() const {
  if (!compiled()) fail("{} ({}): call compile first", name(), class_name());
  return **compilation().optimizer;
}

const Loss& Model::loss() const { return compilation().loss; }

Direction Model::direction_of(const std::string& logged) const {
  const std::string name = logged.starts_with("val_") ? logged.substr(4) : logged;
  if (name == "loss") return Direction::down;
  const Compiled& compiled = compilation();
  for (std::size_t i = 0; i < compiled.names.size(); ++i) {
    const bool weighted = i >= compiled.metrics.size();
    const auto& list = weighted ? compiled.weighted_metrics : compiled.metrics;
    if (compiled.names[i] == name)
      return list[weighted ? i - compiled.metrics.size() : i]->direction();
  }
  return Direction::unknown;
}

std::vector<std::string> Model::metrics_names() const {
  std::vector<std::string> names = compilation().names;
  names.insert(names.begin(), "loss");
  return names;
}

// --- one step

Tensor Model::total_loss(const Tensor& x, const Tensor& y, const CallOptions& options,
                         const Tensor& sample_weight) {
  if (!loss().defined()) fail("{} ({}): compile it with a loss first", name(), class_name());
  auto [p, mask] = call_with_mask(x, options);
  return loss_of(p, y, sample_weight, mask);
}

Tensor Model::loss_of(const Tensor& p, const Tensor& y, const Tensor& weight,
                      const Tensor& mask) const {
  Tensor total = loss()(y, p, weight, mask);
  if (total.numel() != 1)
    fail("{} ({}): the loss must be one number, its reduction left {}", name(), class_name(),
         total.shape());
  for (const Weight& w : trainable_weights())
    if (w.regularizer()) total = total + w.regularizer()(w);
  return total;
}

/// What fit, evaluate and the ..._on_batch functions do with a model.
class Trainer {
 public:
  explicit Trainer(Model& model) : model_(model), state_(model.compilation()) {
    if (!model.compiled() || !state_.loss.defined())
      fail("{} ({}): compile it with a loss first", model.name(), model.class_name());
  }

  /// One step of the optimizer. False when the loss or a gradient is not finite: then the model and
  /// the optimizer are as they were before.
  bool train(const Data& batch) {
    FlushDenormals guard;
    NoGradient outside;  // the caller's tapes do not record the training step
    make_weights(batch.x);
    const LayerMemory before(model_);
    std::vector<Weight> weights = model_.trainable_weights();
    std::vector<Tensor> values, gradients;
    for (const Weight& weight : weights) values.push_back(weight.value());
    double loss = 0;
    {
      GradientTape tape;
      Tensor total = forward(batch, /*training=*/true);
      loss = total.item();
      if (std::isfinite(loss) && !weights.empty())
        gradients = std::move(tape).gradient(total, values);
    }
    finish(batch, loss);
    bad_gradient_.clear();
    for (std::size_t i = 0; i < gradients.size() && bad_gradient_.empty(); ++i)
      if (!is_finite(gradients[i])) bad_gradient_ = weights[i].path();
    if (!std::isfinite(loss) || !bad_gradient_.empty()) {
      before.restore();
      return false;
    }
    if (!weights.empty()) state_.optimizer.value()->apply(gradients, weights);
    return true;
  }
  /// The first weight whose gradient was not finite in the last step, while the loss was.
  const std::string& bad_gradient() const { return bad_gradient_; }

  void test(const Data& batch) {
    FlushDenormals guard;
    NoGradient scope;
    Tensor total = forward(batch, /*training=*/false);
    finish(batch, total.item());
  }

  Logs evaluate(const Data& data, int batch_size, std::vector<AnyCallback>& callbacks) {
    state_.reset();
    for (AnyCallback& callback : callbacks) callback->on_test_begin();
    int step = 0;
    for (std::int64_t begin = 0; begin < data.size(); begin += batch_size, ++step) {
      for (AnyCallback& callback : callbacks) callback->on_test_batch_begin(step);
      test(data.part(begin, std::min(begin + batch_size, data.size())));
      if (callbacks.empty()) continue;
      Logs logs = state_.logs();
      for (AnyCallback& callback : callbacks) callback->on_test_batch_end(step, logs);
    }
    Logs logs = state_.logs();
    for (AnyCallback& callback : callbacks) callback->on_test_end(logs);
    return logs;
  }

  Model::Compiled& state() { return state_; }

 private:
  // The parts of a model of one's own may make their weights when they are first called.
  void make_weights(const Tensor& x) {
    model_.ensure_built(x.shape());
    if (first_unbuilt(model_) == nullptr) return;
    const LayerMemory before(model_);
    model_(x);
    before.restore();
  }

  Tensor forward(const Data& batch, bool training) {
    auto [p, mask] = model_.call_with_mask(batch.x, {.training = training});
    predicted_ = p;
    mask_ = mask;
    weight_ = batch.weight;
    y_ = batch.y;
    if (!batch.class_weight.empty()) {
      weight_ = weights_of_classes(y_, p.shape(), batch.class_weight);
      // Each label has a loss of its own.
      if (y_.rank() > 1 && y_.rank() + 1 == p.rank() && p.size(-1) == 1) y_ = expand_dims(y_, -1);
    }
    return model_.loss_of(p, y_, weight_, mask);
  }

  void finish(const Data& batch, double loss) {
    state_.loss_tracker.update_state(loss, static_cast<double>(batch.size()));
    state_.update_metrics(y_, predicted_, weight_, mask_);
    predicted_ = mask_ = weight_ = y_ = {};
  }

  Model& model_;
  Model::Compiled& state_;
  Tensor predicted_, mask_, weight_, y_;  // of the step at hand
  std::string bad_gradient_;
};

// --- fit

History Model::fit(const Tensor& x, const Tensor& y, const FitOptions& options) {
  Trainer trainer(*this);
  Data data{x, y, options.sample_weight};
  check_data("fit", data);
  check_batch_size("fit", options.batch_size);
  if (options.epochs < 0) fail("fit: expected epochs of at least 0, got {}", options.epochs);
  if (options.initial_epoch < 0)
    fail("fit: expected initial_epoch of at least 0, got {}", options.initial_epoch);
  if (options.validation_batch_size < 0)
    fail("fit: expected validation_batch_size of at least 0, got {}",
         options.validation_batch_size);
  if (options.validation_freq < 1)
    fail("fit: expected validation_freq of at least 1, got {}", options.validation_freq);
  if (!options.class_weight.empty()) {
    if (options.sample_weight.defined())
      fail("fit: class_weight and sample_weight cannot be combined");
    data.class_weight = options.class_weight;
  }

  Data validation{options.validation_data.x, options.validation_data.y,
                  options.validation_data.sample_weight};
  if (!validation.x.defined() && options.validation_split != 0) {
    if (!(options.validation_split > 0 && options.validation_split < 1))
      fail("fit: expected validation_split between 0 and 1, got {}", options.validation_split);
    auto cut = static_cast<std::int64_t>(
        std::floor(static_cast<double>(data.size()) * (1 - options.validation_split)));
    if (cut == 0 || cut == data.size())
      fail("fit: validation_split {} of {} samples leaves {} to train on and {} to validate on",
           options.validation_split, data.size(), cut, data.size() - cut);
    validation = data.part(cut, data.size());
    data = data.part(0, cut);
    validation.class_weight = {};  // classes are weighed in training alone
  }
  if (validation.x.defined()) check_data("fit: validation_data", validation);

  check_stateful("fit", *this, data.size(), options.batch_size);
  const int validation_size =
      options.validation_batch_size > 0 ? options.validation_batch_size : options.batch_size;
  if (validation.x.defined())
    check_stateful("fit: validation_data", *this, validation.size(), validation_size);

  int steps = static_cast<int>((data.size() + options.batch_size - 1) / options.batch_size);
  int verbose = options.verbose >= 0 ? options.verbose : is_terminal() ? 1 : 2;
  std::vector<AnyCallback> callbacks = options.callbacks;
  if (verbose > 0) callbacks.push_back(ProgbarLogger(verbose));
  for (AnyCallback& callback : callbacks) callback->attach(*this, {options.epochs, steps, verbose});

  History history;
  stop_training = false;
  Logs logs;
  for (AnyCallback& callback : callbacks) callback->on_train_begin();
  with_team([&] {  // the same threads for all steps
    for (int epoch = options.initial_epoch; epoch < options.epochs && !stop_training; ++epoch) {
      trainer.state().reset();
      for (AnyCallback& callback : callbacks) callback->on_epoch_begin(epoch);
      Tensor order;
      if (options.shuffle) {
        std::vector<std::int64_t> permutation = default_random().permutation(data.size());
        order = tensor(std::vector<std::int32_t>(permutation.begin(), permutation.end()));
      }
      for (int step = 0; step < steps && !stop_training; ++step) {
        for (AnyCallback& callback : callbacks) callback->on_train_batch_begin(step);
        std::int64_t begin = std::int64_t{step} * options.batch_size;
        std::int64_t end = std::min(begin + options.batch_size, data.size());
        Data batch =
            options.shuffle ? data.pick(slice(order, {range(begin, end)})) : data.part(begin, end);
        bool finite = trainer.train(batch);
        logs = trainer.state().logs();
        for (AnyCallback& callback : callbacks) callback->on_train_batch_end(step, logs);
        // A callback such as TerminateOnNaN may have stopped training.
        if (!finite && !stop_training)
          fail_not_finite(*this, {batch.x, batch.y, logs["loss"], trainer.bad_gradient(), epoch,
                                  step, begin, order});
      }
      if (validation.x.defined() && (epoch + 1) % options.validation_freq == 0) {
        Logs training_logs = trainer.state().logs();
        for (const auto& [name, value] : trainer.evaluate(validation, validation_size, callbacks))
          training_logs["val_" + name] = value;
        logs = training_logs;
      } else {
        logs = trainer.state().logs();
      }
      for (AnyCallback& callback : callbacks) callback->on_epoch_end(epoch, logs);
      history.append(epoch, logs);
    }
  });
  optimizer().finish();
  for (AnyCallback& callback : callbacks) callback->on_train_end(logs);
  return history;
}

// --- evaluate and predict

Logs Model::evaluate(const Tensor& x, const Tensor& y, const EvaluateOptions& options) {
  Trainer trainer(*this);
  NoGradient scope;
  Data data{x, y, options.sample_weight};
  check_data("evaluate", data);
  check_batch_size("evaluate", options.batch_size);
  check_stateful("evaluate", *this, data.size(), options.batch_size);
  int steps = static_cast<int>((data.size() + options.batch_size - 1) / options.batch_size);
  std::vector<AnyCallback> callbacks = options.callbacks;
  if (options.verbose > 0) callbacks.push_back(ProgbarLogger(options.verbose));
  for (AnyCallback& callback : callbacks) callback->attach(*this, {1, steps, options.verbose});
  Logs logs;
  with_team([&] { logs = trainer.evaluate(data, options.batch_size, callbacks); });
  return logs;
}

void Model::copy_scores(const Logs& logs, double* values, std::size_t count) const {
  std::vector<std::string> names = metrics_names();
  if (names.size() != count)
    fail("evaluate<{}>: this model has {} scores: {}", count, names.size(), fmt::join(names, ", "));
  for (std::size_t i = 0; i < count; ++i) values[i] = logs.at(names[i]);
}

Tensor Model::predict(const Tensor& x, const PredictOptions& options) {
  check_batch_size("predict", options.batch_size);
  if (!x.defined() || x.rank() == 0) fail("predict: x must have a batch axis");
  NoGradient scope;
  std::int64_t n = x.size(0), size = options.batch_size;
  if (n <= size) return predict_on_batch(x);
  check_stateful("predict", *this, n, options.batch_size);
  std::vector<Tensor> parts;
  with_team([&] {
    for (std::int64_t begin = 0; begin < n; begin += size)
      parts.push_back(predict_on_batch(slice(x, {range(begin, std::min(begin + size, n))})));
  });
  return concatenate(parts, 0);
}

Tensor Model::predict_on_batch(const Tensor& x) {
  FlushDenormals guard;
  NoGradient scope;
  Tensor y = (*this)(x);
  return y.is_contiguous() ? y : y.copy();  // its reader may walk data()
}

Logs Model::train_on_batch(const Tensor& x, const Tensor& y, const Tensor& sample_weight) {
  Trainer trainer(*this);
  Data batch{x, y, sample_weight};
  check_data("train_on_batch", batch);
  compilation().reset();
  bool finite = trainer.train(batch);
  Logs logs = compilation().logs();
  if (!finite) fail_not_finite(*this, {x, y, logs["loss"], trainer.bad_gradient()});
  return logs;
}

Logs Model::test_on_batch(const Tensor& x, const Tensor& y, const Tensor& sample_weight) {
  Trainer trainer(*this);
  Data batch{x, y, sample_weight};
  check_data("test_on_batch", batch);
  compilation().reset();
  trainer.test(batch);
  return compilation().logs();
}

// --- looking inside

std::map<std::string, Tensor> Model::capture(const Tensor& x) {
  Capture scope;
  predict_on_batch(x);
  return scope.values();
}

std::vector<Layer*> Model::layers() const {
  std::vector<Layer*> list;
  for (const AnyLayer& layer : sublayers()) list.push_back(&*layer);
  return list;
}

Layer& Model::get_layer(const std::string& wanted) const {
  std::vector<std::string> known;
  for (Layer* layer : layers()) {
    if (layer->name() == wanted) return *layer;
    known.push_back(layer->name());
  }
  fail("{} ({}): there is no layer \"{}\". Layers: {}", name(), class_name(), wanted,
       fmt::join(known, ", "));
}

Layer& Model::get_layer(int index) const {
  std::vector<Layer*> list = layers();
  int count = static_cast<int>(list.size());
  if (index < -count || index >= count)
    fail("{} ({}): layer {} of {} was asked for", name(), class_name(), index, count);
  return *list[static_cast<std::size_t>(index < 0 ? index + count : index)];
}

}  // namespace keratin
