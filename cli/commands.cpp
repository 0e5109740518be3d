#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/random.h>
#include <keratin/io/csv.h>
#include <keratin/training/backup.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/gradcheck.h>
#include <keratin/training/progress.h>
#include <keratin/training/report.h>
#include <keratin/training/saving.h>
#include <keratin/training/tensorboard.h>

#include <iostream>

#include <keratin/core/internal/message.h>
#include <keratin/training/internal/signals.h>

#include <keratin/cli/commands.h>
#include <keratin/cli/data.h>

namespace keratin::cli {
namespace {

/// The entry of a config, made when it is not there.
Option& option(Config& config, const std::string& name) {
  for (auto& [known, value] : config)
    if (known == name) return value;
  return config.emplace_back(name, Option()).second;
}

/// Compiles with what the file says, and what the arguments say otherwise.
void compile(Model& model, const FitArguments& arguments) {
  Config config = model.get_compile_config();
  const bool anew =
      !arguments.optimizer.empty() || !arguments.loss.empty() || !arguments.metrics.empty();
  if (anew || config.empty()) {
    if (!arguments.optimizer.empty()) option(config, "optimizer") = arguments.optimizer;
    if (!arguments.loss.empty()) option(config, "loss") = arguments.loss;
    if (!arguments.metrics.empty()) {
      std::vector<Option> metrics(arguments.metrics.begin(), arguments.metrics.end());
      option(config, "metrics") = metrics;
    }
    if (option(config, "loss").is_none())
      fail_io("{}: it was saved without a loss: give one by --loss", arguments.model);
    model.compile_from_config(config);
  }
  if (arguments.learning_rate) model.optimizer().set_learning_rate(*arguments.learning_rate);
}

/// A layer that cannot take the data is the fault of their file.
template <class F>
auto naming(const std::string& path, const F& f) {
  try {
    return f();
  } catch (const LayerError& error) {
    fail_io("{}: {}", path, error.what());
  }
}

void write_history(const std::string& path, const History& history) {
  const std::vector<std::string> names = history.names();
  std::vector<std::string> columns{"epoch"};
  columns.insert(columns.end(), names.begin(), names.end());
  const std::size_t epochs = history.epoch().size();
  std::vector<double> values;
  for (std::size_t i = 0; i < epochs; ++i) {
    values.push_back(history.epoch()[i]);
    for (const std::string& name : names) values.push_back(history[name].at(i));
  }
  save_csv(path, columns,
           tensor(values,
                  {static_cast<std::int64_t>(epochs), static_cast<std::int64_t>(columns.size())}));
}

}  // namespace

int summary(const std::string& model) {
  load_model(model)->summary();
  return 0;
}

int predict(const std::string& path, const std::string& input, const std::string& out,
            int batch_size) {
  const LoadedModel model = load_model(path, {.compile = false});
  const DataFile data = load_data(input, *model, false);
  const Tensors outputs =
      naming(input, [&] { return Tensors(model->predict(data.x, {.batch_size = batch_size})); });
  save_predictions(out, outputs);
  return 0;
}

int evaluate(const std::string& path, const std::string& input, int batch_size) {
  const LoadedModel model = load_model(path);
  if (!model->compiled()) fail_io("{}: it was saved without a loss", path);
  const DataFile data = load_data(input, *model, true);
  const Scores scores = naming(input, [&] {
    return model->evaluate(data.x, data.y,
                           {.batch_size = batch_size, .sample_weight = data.sample_weight});
  });
  for (const std::string& name : scores.names())
    std::cout << fmt::format("{}: {:.9g}\n", name, scores[name]);
  std::cout << std::flush;
  return 0;
}

int fit(const FitArguments& arguments) {
  if (arguments.seed) set_random_seed(*arguments.seed);
  const LoadedModel model = load_model(arguments.model);
  compile(*model, arguments);
  const DataFile data = load_data(arguments.data, *model, true);
  FitOptions options{.batch_size = arguments.batch_size,
                     .epochs = arguments.epochs,
                     .verbose = is_terminal() ? 1 : 0,
                     .validation_split = arguments.validation_split,
                     .shuffle = !arguments.no_shuffle,
                     .sample_weight = data.sample_weight};
  if (!arguments.validation_data.empty()) {
    const DataFile validation = load_data(arguments.validation_data, *model, true);
    options.validation_data = {validation.x, validation.y, validation.sample_weight};
  }
  const bool validates = arguments.validation_split > 0 || !arguments.validation_data.empty();
  const std::string monitor = validates ? "val_loss" : "loss";
  if (arguments.early_stopping)
    options.callbacks.push_back(EarlyStopping(
        {.monitor = monitor, .patience = *arguments.early_stopping, .restore_best_weights = true}));
  if (!arguments.checkpoint.empty())
    options.callbacks.push_back(
        ModelCheckpoint(arguments.checkpoint, {.monitor = monitor, .save_best_only = true}));
  if (!arguments.tensorboard.empty())
    options.callbacks.push_back(
        TensorBoard({.log_dir = arguments.tensorboard, .histogram_freq = 1}));
  if (!arguments.backup.empty()) options.callbacks.push_back(BackupAndRestore(arguments.backup));
  options.on_signal = OnSignal::raise_error;
  const NotedSignals signals(true);  // a signal that comes twice does not end the saving below
  History history;
  try {
    history = naming(arguments.data, [&] { return model->fit(data.x, data.y, options); });
  } catch (const Interrupted& interrupted) {
    if (!arguments.out.empty()) model->save(arguments.out);
    std::cerr << "keratin: " << interrupted.what()
              << (arguments.out.empty() ? "" : "; the model so far is in " + arguments.out)
              << (arguments.backup.empty() ? "" : "; fit goes on from " + arguments.backup) << "\n";
    return 128 + interrupted.signal();
  }
  if (!arguments.out.empty()) model->save(arguments.out);
  if (!arguments.history.empty()) write_history(arguments.history, history);
  if (!arguments.report.empty())
    write_report(arguments.report, {.title = model->name(), .history = history});
  if (!is_terminal())
    for (const std::string& name : history.names())
      std::cout << fmt::format("{}: {:.9g}\n", name, history[name].back());
  std::cout << std::flush;
  return 0;
}

int gradcheck(const std::string& path, const std::string& input, int samples) {
  const LoadedModel model = load_model(path);
  if (!model->compiled()) fail_io("{}: it was saved without a loss", path);
  const DataFile data = load_data(input, *model, true);
  auto first = [&](const Arrays& arrays, const std::vector<std::string>& names) {
    Tensors list = arrays.list();
    for (const std::string& name : names)
      for (const auto& [known, value] : arrays.named())
        if (known == name) list.push_back(value);
    for (Tensor& array : list)
      if (array.size(0) > samples) array = slice(array, {range(0, samples)});
    return list;
  };
  const GradientCheck check = keratin::gradcheck(*model, first(data.x, model->input_names()),
                                                 first(data.y, model->output_names()));
  std::cout << check << std::endl;
  return check ? 0 : 1;
}

}  // namespace keratin::cli
