// fit, evaluate and predict: the loops around a step.

#include <algorithm>
#include <cmath>
#include <set>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/training/internal/diagnosis.h>
#include <keratin/training/internal/fit_run.h>
#include <keratin/training/internal/signals.h>
#include <keratin/training/internal/trainer.h>
#include <keratin/training/progress.h>

namespace keratin {
namespace {

// Gathers threads once for all loops of a step, where its work is worth that: each sample is
// multiplied with each weight at least once.
template <class F>
void with_team_for(const Model& model, const Tensors& x, const F& step) {
  constexpr std::int64_t threads_worth = 16;
  const bool has_batch = !x.empty() && x[0].defined() && x[0].rank() > 0;
  const std::int64_t batch = has_batch ? x[0].size(0) : 1;
  const bool worth = batch * model.count_params() >= threads_worth * products_per_thread;
  worth ? with_team(step) : step();
}

void check_options(const FitOptions& options) {
  check_batch_size("fit", options.batch_size);
  auto check = [](const char* option, int value, int least) {
    if (value < least) fail("fit: expected {} of at least {}, got {}", option, least, value);
  };
  check("epochs", options.epochs, 0);
  check("initial_epoch", options.initial_epoch, 0);
  check("validation_batch_size", options.validation_batch_size, 0);
  check("validation_freq", options.validation_freq, 1);
  check("steps_per_epoch", options.steps_per_epoch, 0);
  check("validation_steps", options.validation_steps, 0);
  if (!options.class_weight.empty() && !options.sample_weight.empty())
    fail("fit: class_weight and sample_weight cannot be combined");
}

// Arrays in the model's order, checked.
Data data_of(const char* who, const Model& model, const Arrays& x, const Arrays& y,
             const Arrays& sample_weight) {
  Data data{in_order(who, "x", x, model.input_names()), in_order(who, "y", y, model.output_names()),
            in_order(who, "sample_weight", sample_weight, model.output_names())};
  check_data(who, data);
  return data;
}

// The arrays on the model's device, if they take at most a quarter of its memory: else each batch
// goes there by itself.
Data near(const Model& model, const Data& data) {
  const Device device = model.device();
  if (device.is_cpu()) return data;
  std::size_t bytes = 0;
  for (const Tensors* list : {&data.x, &data.y, &data.weight})
    for (const Tensor& t : *list)
      if (t.defined()) bytes += static_cast<std::size_t>(t.numel()) * size_of(t.dtype());
  if (bytes > backend_of(device).memory_size(device.index) / 4) return data;
  return {moved(data.x, device), moved(data.y, device), moved(data.weight, device)};
}

// Cuts the last part of the samples off for validation.
Data cut_off(Data& data, double share) {
  if (!(share > 0 && share < 1))
    fail("fit: expected validation_split between 0 and 1, got {}", share);
  const std::int64_t n = data.size(), cut = static_cast<std::int64_t>(
                                          std::floor(static_cast<double>(n) * (1 - share)));
  if (cut == 0 || cut == n)
    fail("fit: validation_split {} of {} samples leaves {} to train on and {} to validate on",
         share, n, cut, n - cut);
  const Batch rest = data.part(cut, n), kept = data.part(0, cut);
  data = {kept.x, kept.y, kept.sample_weight};
  return {rest.x, rest.y, rest.sample_weight};
}

[[noreturn]] void interrupt(int signal, OnSignal how, const FitRun& run) {
  const std::string message =
      fmt::format("fit: interrupted in epoch {}, after {} batches", run.epoch + 1, run.step);
  if (how == OnSignal::raise_error) throw Interrupted(signal, message);
  warn("{}", message);
  end_process_by(signal);
}

// Scores on held data say nothing of a class that it lacks.
void warn_of_missing_classes(const Loss& loss, const Data& data, const Data& held) {
  const bool labels = loss.defined() && loss.class_name() == "SparseCategoricalCrossentropy";
  if (!labels || data.y.size() != 1 || held.y.size() != 1) return;
  auto classes = [](const Tensor& y) {
    const std::vector<int> labels = y.to_vector<int>();
    return std::set<int>(labels.begin(), labels.end());
  };
  const std::set<int> known = classes(data.y[0]), seen = classes(held.y[0]);
  if (known.size() > 1000) return;
  for (int label : known)
    if (!seen.contains(label)) return warn("fit: the validation data lacks class {}", label);
}

}  // namespace

/// The loops over the batches of a source.
struct Model::Loops {
  static History fit(Model& model, Source& source, Source* validation, const FitOptions& options);
  static Logs evaluate(Model& model, Source& source, const EvaluateOptions& options);
};

History Model::fit(const Arrays& x, const Arrays& y, const FitOptions& options) {
  check_options(options);
  Data data = data_of("fit", *this, x, y, options.sample_weight);
  std::unique_ptr<Source> validation;
  const int validation_size =
      options.validation_batch_size > 0 ? options.validation_batch_size : options.batch_size;
  const ValidationData& given = options.validation_data;
  if (given.dataset) {
    validation = source_of("fit: validation_data", *given.dataset, options.validation_steps);
  } else if (!given.x.empty() || options.validation_split != 0) {
    const Data held = given.x.empty() ? cut_off(data, options.validation_split)
                                      : data_of("fit: validation_data", *this, given.x, given.y,
                                                given.sample_weight);
    check_stateful("fit: validation_data", *this, held.size(), validation_size);
    warn_of_missing_classes(loss(), data, held);
    validation = source_of(near(*this, held), validation_size, false);
  }
  check_stateful("fit", *this, data.size(), options.batch_size);
  if (options.shuffle && is_stateful(*this))
    warn(
        "{} ({}): fit: samples are shuffled, and a stateful layer carries states from batch to "
        "batch; write .shuffle = false",
        name(), class_name());
  return Loops::fit(*this, *source_of(near(*this, data), options.batch_size, options.shuffle),
                    validation.get(), options);
}

History Model::fit(const Dataset& data, const FitOptions& options) {
  check_options(options);
  if (options.validation_split != 0) fail("fit: validation_split needs arrays, not a dataset");
  if (!options.sample_weight.empty())
    fail("fit: with a dataset, sample weights are part of its batches");
  std::unique_ptr<Source> validation;
  const ValidationData& given = options.validation_data;
  const int size =
      options.validation_batch_size > 0 ? options.validation_batch_size : options.batch_size;
  if (given.dataset)
    validation = source_of("fit: validation_data", *given.dataset, options.validation_steps);
  else if (!given.x.empty())
    validation = source_of(
        near(*this, data_of("fit: validation_data", *this, given.x, given.y, given.sample_weight)),
        size, false);
  return Loops::fit(*this, *source_of("fit", data, options.steps_per_epoch), validation.get(),
                    options);
}

History Model::Loops::fit(Model& model, Source& source, Source* validation,
                          const FitOptions& options) {
  Trainer trainer("fit", model);
  trainer.class_weight = options.class_weight;
  if (!options.class_weight.empty() && model.compilation().outputs.size() > 1)
    fail("fit: class_weight is for models with one output; give sample_weight");
  int verbose = options.verbose >= 0 ? options.verbose : is_terminal() ? 1 : 2;
  FitRun run(model, trainer, source, validation, options.callbacks, options.initial_epoch);
  std::vector<AnyCallback> callbacks = options.callbacks;
  if (verbose > 0) callbacks.push_back(ProgbarLogger(verbose));
  auto attach = [&] {
    for (AnyCallback& callback : callbacks)
      callback->attach(model, {options.epochs, source.steps(), verbose, validation != nullptr,
                               run.is_resumed()});
  };
  attach();

  if (model.built() && model.trainable_weights().empty() && !model.weights().empty())
    warn("{} ({}): fit: no weight is trainable", model.name(), model.class_name());

  model.stop_training = false;
  Logs logs;
  const NotedSignals signals(options.on_signal != OnSignal::leave);
  for (AnyCallback& callback : callbacks) callback->on_train_begin();
  if (run.waits_for_restoring() && run.step == 0) run.restore();
  const int first_epoch = run.epoch;
  with_team([&] {  // the same threads for all steps
    while (run.epoch < options.epochs && !model.stop_training) {
      const int epoch = run.epoch;
      model.reset_metrics();
      for (AnyCallback& callback : callbacks) callback->on_epoch_begin(epoch);
      if (run.waits_for_restoring()) {
        run.restore();
        logs = trainer.logs();
      } else {
        source.begin_epoch();
      }
      while (!model.stop_training) {
        const int step = run.step;
        std::optional<Batch> batch = source.next();
        if (!batch) break;
        for (AnyCallback& callback : callbacks) callback->on_train_batch_begin(step);
        logs = trainer.train(*batch, {{}, epoch, step, source.first, source.order});
        for (AnyCallback& callback : callbacks) callback->on_train_batch_end(step, logs);
        // A callback such as TerminateOnNaN may have stopped training.
        if (trainer.failed() && !model.stop_training) fail_not_finite(model, *trainer.failed());
        ++run.step;
        run.save_after_step();
        if (signals.received() != 0) return;
      }
      trainer.settle();
      if (trainer.failed() && !model.stop_training) fail_not_finite(model, *trainer.failed());
      logs = logs.map();  // before the metrics begin anew
      if (validation != nullptr && (epoch + 1) % options.validation_freq == 0) {
        Logs training_logs = logs;
        for (const auto& [name, value] : trainer.evaluate(*validation, callbacks))
          training_logs["val_" + name] = value;
        logs = training_logs;
      }
      if (epoch == first_epoch) attach();  // a dataset's length is known by now
      for (AnyCallback& callback : callbacks) callback->on_epoch_end(epoch, logs);
      run.history.append(epoch, logs);
      ++run.epoch;
      run.step = 0;
      run.save_after_epoch();
      if (signals.received() != 0) return;
    }
  });
  if (signals.received() != 0) {
    run.save();
    if (run.step > 0)
      for (AnyCallback& callback : callbacks) callback->on_interrupt(run.step - 1, logs);
    interrupt(signals.received(), options.on_signal, run);
  }
  model.optimizer().finish();
  for (AnyCallback& callback : callbacks) callback->on_train_end(logs);
  return run.history;
}

// --- evaluate and predict

Scores Model::evaluate(const Arrays& x, const Arrays& y, const EvaluateOptions& options) {
  check_batch_size("evaluate", options.batch_size);
  const Data data = data_of("evaluate", *this, x, y, options.sample_weight);
  check_stateful("evaluate", *this, data.size(), options.batch_size);
  return {Loops::evaluate(*this, *source_of(near(*this, data), options.batch_size, false), options),
          metrics_names()};
}
Scores Model::evaluate(const Dataset& data, const EvaluateOptions& options) {
  return {Loops::evaluate(*this, *source_of("evaluate", data, options.steps), options),
          metrics_names()};
}

Logs Model::Loops::evaluate(Model& model, Source& source, const EvaluateOptions& options) {
  Trainer trainer("evaluate", model);
  NoGradient scope;
  std::vector<AnyCallback> callbacks = options.callbacks;
  if (options.verbose > 0) callbacks.push_back(ProgbarLogger(options.verbose));
  for (AnyCallback& callback : callbacks)
    callback->attach(model, {1, source.steps(), options.verbose});
  Logs logs;
  with_team([&] { logs = trainer.evaluate(source, callbacks); });
  return logs;
}

void Model::copy_scores(const Logs& logs, double* values, std::size_t count) const {
  std::vector<std::string> names = metrics_names();
  if (names.size() != count)
    fail("evaluate<{}>: this model has {} scores: {}", count, names.size(), fmt::join(names, ", "));
  for (std::size_t i = 0; i < count; ++i) values[i] = logs.at(names[i]);
}

Outputs Model::predict(const Arrays& x, const PredictOptions& options) const {
  check_batch_size("predict", options.batch_size);
  Data data{in_order("predict", "x", x, input_names()), {}, {}};
  if (data.x.empty() || !data.x[0].defined() || data.x[0].rank() == 0)
    fail("predict: x must have a batch axis");
  NoGradient scope;
  const std::int64_t n = data.size(), size = options.batch_size;
  if (n <= size) return predict_on_batch(x);
  check_data("predict", data);
  check_stateful("predict", *this, n, options.batch_size);
  const Device device = data.x[0].device();
  data = near(*this, data);
  std::vector<Tensors> parts;  // by output
  with_team([&] {
    for (std::int64_t begin = 0; begin < n; begin += size) {
      Tensors outputs = predict_on_batch(data.part(begin, std::min(begin + size, n)).x);
      parts.resize(outputs.size());
      for (std::size_t i = 0; i < outputs.size(); ++i) parts[i].push_back(outputs[i]);
    }
  });
  Tensors whole;
  for (const Tensors& output : parts) whole.push_back(concatenate(output, 0).to(device));
  return whole;
}

Outputs Model::predict_on_batch(const Arrays& x) const {
  FlushDenormals guard;
  NoGradient scope;
  const Tensors given = in_order("predict", "x", x, input_names()), inputs = moved(given, device());
  // A model of one's own may change in predict_step, for which it is not const; others do not.
  Tensors outputs;
  with_team_for(*this, inputs, [&] { outputs = const_cast<Model*>(this)->predict_step(inputs); });
  for (Tensor& y : outputs) {
    if (!given.empty() && given[0].defined()) y = y.to(given[0].device());
    if (!y.is_contiguous()) y = y.copy();  // its reader may walk data()
  }
  return outputs;
}

Logs Model::train_on_batch(const Arrays& x, const Arrays& y, const Arrays& sample_weight) {
  Trainer trainer("train_on_batch", *this);
  const Data data = data_of("train_on_batch", *this, x, y, sample_weight);
  reset_metrics();
  Logs logs;
  with_team_for(*this, data.x, [&] {
    logs = trainer.train({data.x, data.y, data.weight});
    trainer.settle();
  });
  if (trainer.failed()) fail_not_finite(*this, *trainer.failed());
  return logs.map();  // found now, because the trainer ends here
}

Logs Model::test_on_batch(const Arrays& x, const Arrays& y, const Arrays& sample_weight) {
  Trainer trainer("test_on_batch", *this);
  const Data data = data_of("test_on_batch", *this, x, y, sample_weight);
  reset_metrics();
  Logs logs;
  with_team_for(*this, data.x, [&] { logs = trainer.test({data.x, data.y, data.weight}); });
  return logs.map();
}

}  // namespace keratin
