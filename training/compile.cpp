// compile: which loss and which metrics belong to which output
// (keras/src/trainers/compile_utils.py).

#include <algorithm>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/training/internal/trainer.h>

namespace keratin {
namespace {

// The values for the outputs of these names; undefined is what `none` makes.
template <class T>
std::vector<T> spread(const char* option, const PerOutput<T>& given,
                      const std::vector<std::string>& names, T none) {
  std::vector<T> values(names.size(), none);
  if (given.is_single()) return std::vector<T>(names.size(), given.list()[0]);
  if (!given.list().empty()) {
    if (given.list().size() != names.size())
      fail("compile: {}: expected one for each of {} outputs ({}), got {}", option, names.size(),
           fmt::join(names, ", "), given.list().size());
    return given.list();
  }
  for (const auto& [name, value] : given.named()) {
    auto found = std::ranges::find(names, name);
    if (found == names.end())
      fail_unknown(fmt::format("compile: {}: unknown output", option), name, names);
    values[static_cast<std::size_t>(found - names.begin())] = value;
  }
  return values;
}

using MetricLists = std::vector<std::vector<AnyMetric>>;

MetricLists spread(const char* option, const Metrics& given,
                   const std::vector<std::string>& names) {
  MetricLists lists(names.size());
  if (names.size() == 1 && given.named().empty()) return {given.list()};
  if (!given.list().empty() && given.list().size() != names.size())
    fail("compile: {}: expected one for each of {} outputs ({}), or lists by name; got {}", option,
         names.size(), fmt::join(names, ", "), given.list().size());
  for (std::size_t i = 0; i < given.list().size(); ++i) lists[i] = {given.list()[i]};
  for (const auto& [name, list] : given.named()) {
    auto found = std::ranges::find(names, name);
    if (found == names.end())
      fail_unknown(fmt::format("compile: {}: unknown output", option), name, names);
    lists[static_cast<std::size_t>(found - names.begin())] = list;
  }
  return lists;
}

// A threshold of 0.5 between the classes is one for probabilities.
void warn_of_logits(const Loss& loss, const std::vector<AnyMetric>& metrics) {
  if (!loss.defined() || loss.class_name() != "BinaryCrossentropy") return;
  bool from_logits = false;
  if (const Option* option = find_option(loss.config(), "from_logits"))
    from_option(*option, from_logits);
  for (const AnyMetric& metric : metrics) {
    double threshold = metric.identifier() == "accuracy" || metric.identifier() == "acc" ? 0.5 : 0;
    const Config config = metric->config();
    if (metric->class_name() == "BinaryAccuracy")
      if (const Option* option = find_option(config, "threshold")) from_option(*option, threshold);
    if (from_logits && threshold == 0.5)
      warn(
          "compile: {} compares logits with a threshold of 0.5; BinaryAccuracy({{.threshold = 0}}) "
          "is what logits need",
          metric->name());
  }
}

// How many outputs the options speak of, for a model that does not say itself.
std::vector<std::string> names_by_options(const CompileOptions& options) {
  std::vector<std::string> names;
  for (const auto& [name, loss] : options.loss.named()) names.push_back(name);
  if (!names.empty()) return names;
  const std::size_t count = std::max<std::size_t>(1, options.loss.list().size());
  for (std::size_t i = 0; i < count; ++i) names.push_back("output_" + std::to_string(i + 1));
  return names;
}

}  // namespace

void Model::compile(const CompileOptions& options) {
  if (!options.optimizer) fail("compile: the optimizer is empty");
  Compiled& compiled = compilation();  // throws if the model was moved from
  std::vector<std::string> outputs = output_names();
  if (outputs.empty()) outputs = names_by_options(options);
  const std::vector<Loss> losses = spread("loss", options.loss, outputs, Loss());
  const std::vector<double> weights = spread("loss_weights", options.loss_weights, outputs, 1.0);
  const MetricLists metrics = spread("metrics", options.metrics, outputs),
                    weighted = spread("weighted_metrics", options.weighted_metrics, outputs);
  Compiled state;
  state.options = options;
  state.run_eagerly = options.run_eagerly;
  std::vector<AnyMetric> all_metrics;
  auto take = [&](const AnyMetric& metric) {
    // One that is named twice is counted twice, and not as one.
    const bool again =
        std::ranges::any_of(all_metrics, [&](const AnyMetric& other) { return other.is(metric); });
    all_metrics.push_back(again ? metric.copy() : metric.taken_by(compiled_));
    return all_metrics.back();
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Compiled::Output output{outputs.size() > 1 ? outputs[i] : ""};
    output.loss = losses[i];
    output.weight = weights[i];
    for (const AnyMetric& metric : metrics[i]) output.metrics.push_back(take(metric));
    for (const AnyMetric& metric : weighted[i]) output.weighted_metrics.push_back(take(metric));
    state.outputs.push_back(output);
  }

  // A name used twice is numbered; a weighted metric with a used name says that it is weighted.
  auto add_name = [&](const std::string& output, std::string name, bool weighted_one) {
    auto used = [&](const std::string& n) {
      return n == "loss" || std::ranges::find(state.names, n) != state.names.end();
    };
    const std::string prefix = output.empty() ? "" : output + "_";
    if (weighted_one && used(prefix + name)) name = "weighted_" + name;
    name = prefix + name;
    const std::string base = name;
    for (int i = 1; used(name); ++i) name = base + "_" + std::to_string(i);
    state.names.push_back(name);
  };
  if (state.logs_losses())
    for (const Compiled::Output& output : state.outputs)
      if (output.loss.defined()) state.names.push_back(output.name + "_loss");
  for (const Compiled::Output& output : state.outputs)
    for (const AnyMetric& metric : output.metrics) add_name(output.name, metric->name(), false);
  for (const Compiled::Output& output : state.outputs)
    for (const AnyMetric& metric : output.weighted_metrics)
      add_name(output.name, metric->name(), true);
  for (const Compiled::Output& output : state.outputs) warn_of_logits(output.loss, output.metrics);
  state.optimizer = options.optimizer.taken_by(compiled_);
  compiled = std::move(state);
}

Direction Model::direction_of(const std::string& logged) const {
  const std::string name = logged.starts_with("val_") ? logged.substr(4) : logged;
  if (name == "loss") return Direction::down;
  const Compiled& state = compilation();
  Direction direction = Direction::unknown;
  state.each_metric([&](const std::string& metric, double, Direction which) {
    if (metric == name) direction = which;
  });
  return direction;
}

std::vector<std::string> Model::metrics_names() const {
  std::vector<std::string> names = compilation().names;
  names.insert(names.begin(), "loss");
  return names;
}

const Loss& Model::loss() const {
  static const Loss none;
  return compilation().outputs.empty() ? none : compilation().outputs[0].loss;
}

// --- what was compiled

bool Model::Compiled::has_loss() const {
  return std::ranges::any_of(outputs, [](const Output& output) { return output.loss.defined(); });
}
bool Model::Compiled::logs_losses() const {
  return std::ranges::count_if(outputs,
                               [](const Output& output) { return output.loss.defined(); }) > 1;
}

void Model::Compiled::reset() {
  loss_tracker.reset_state();
  for (Output& output : outputs) {
    output.loss_tracker.reset_state();
    for (auto* list : {&output.metrics, &output.weighted_metrics})
      for (AnyMetric& metric : *list) metric->reset_state();
  }
}

template <class F>
void Model::Compiled::each_metric(const F& f) const {
  std::size_t i = 0;
  if (logs_losses())
    for (const Output& output : outputs)
      if (output.loss.defined()) f(names[i++], output.loss_tracker.result(), Direction::down);
  for (auto list : {&Output::metrics, &Output::weighted_metrics})
    for (const Output& output : outputs)
      for (const AnyMetric& metric : output.*list)
        f(names[i++], metric->result(), metric->direction());
}

void Model::Compiled::snapshot(Snapshot& s) {
  s.group("loss", [&] { loss_tracker.snapshot(s); });
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    s.group(fmt::format("{}/loss", i), [&] { outputs[i].loss_tracker.snapshot(s); });
    std::size_t number = 0;
    for (auto list : {&Output::metrics, &Output::weighted_metrics})
      for (const AnyMetric& metric : outputs[i].*list)
        s.group(fmt::format("{}/{}", i, number++), [&] { metric->snapshot(s); });
  }
}

Logs::Map Model::Compiled::logs() const {
  Logs::Map logs{{"loss", loss_tracker.result()}};
  each_metric([&](const std::string& name, double value, Direction) { logs[name] = value; });
  return logs;
}

// A list may leave out outputs that have no loss.
Tensors Model::Compiled::aligned(const char* who, const char* what, const Tensors& list) const {
  if (list.size() == outputs.size()) return list;
  const auto with_loss = static_cast<std::size_t>(
      std::ranges::count_if(outputs, [](const Output& output) { return output.loss.defined(); }));
  if (!list.empty() && list.size() != with_loss)
    fail("{}: {}: expected one for each of {} outputs, got {}", who, what, outputs.size(),
         list.size());
  Tensors all(outputs.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < all.size() && next < list.size(); ++i)
    if (outputs[i].loss.defined()) all[i] = list[next++];
  return all;
}

Tensor Model::Compiled::total(const Model& model, const Predictions& p, const Tensors& y,
                              const Tensors& weight, Tensors* losses) const {
  if (!has_loss() && p.added.empty())
    fail("{} ({}): compile it with a loss first", model.name(), model.class_name());
  if (has_loss() && p.values.size() != outputs.size())
    fail("{} ({}): compiled for {} outputs, the model has {}", model.name(), model.class_name(),
         outputs.size(), p.values.size());
  Tensor total;
  auto add = [&](const Tensor& term) { total = total.defined() ? total + term : term; };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Output& output = outputs[i];
    if (!output.loss.defined()) continue;
    if (!y[i].defined())
      fail("{} ({}): y has no values for {}", model.name(), model.class_name(),
           output.name.empty() ? "the output" : "output \"" + output.name + "\"");
    const Tensor loss = output.loss(y[i], p.values[i], weight[i], p.masks[i]);
    if (loss.numel() != 1)
      fail("{} ({}): the loss must be one number, its reduction left {}", model.name(),
           model.class_name(), loss.shape());
    if (losses != nullptr && logs_losses()) losses->push_back(stop_gradient(loss));
    add(output.weight == 1 ? loss : loss * output.weight);
  }
  for (const Weight& w : model.trainable_weights())
    if (w.regularizer()) add(w.regularizer()(w));
  for (const Tensor& term : p.added) add(term);
  return total;
}

void Model::Compiled::update(const Step& step) {
  const Tensors& values = step.predicted.values;
  const auto samples = static_cast<double>(values[0].rank() == 0 ? 1 : values[0].size(0));
  loss_tracker.update_state(step.loss, samples);
  std::size_t next = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Output& output = outputs[i];
    if (output.loss.defined() && next < step.losses.size())
      output.loss_tracker.update_state(step.losses[next++], samples);
    if (!step.y[i].defined()) continue;
    for (AnyMetric& metric : output.metrics)
      metric->update(step.y[i], values[i], {}, step.predicted.masks[i]);
    for (AnyMetric& metric : output.weighted_metrics)
      metric->update_weighted(step.y[i], values[i], step.weight[i], step.predicted.masks[i]);
  }
}

bool Model::Compiled::losses_support_graph() const {
  return std::ranges::all_of(outputs, [](const Output& output) {
    return !output.loss.defined() || output.loss.supports_graph();
  });
}
bool Model::Compiled::metrics_support_graph() const {
  auto supports = [](const AnyMetric& metric) { return metric->supports_graph(); };
  return std::ranges::all_of(outputs, [&](const Output& output) {
    return std::ranges::all_of(output.metrics, supports) &&
           std::ranges::all_of(output.weighted_metrics, supports);
  });
}

}  // namespace keratin
