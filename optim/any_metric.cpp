// Metrics by name, and losses as metrics.

#include <algorithm>
#include <cctype>

#include <keratin/autograd/tape.h>
#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/metrics.h>

namespace keratin {
namespace {

/// The mean of a loss' values; as a metric, Keras' cosine similarity is best at 1.
class LossMetric : public MeanMetric {
 public:
  LossMetric(const std::string& name, Loss loss, Direction direction)
      : MeanMetric(name, direction), loss_(std::move(loss)) {}
  using MeanMetric::update_state;
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight) override {
    NoGradient scope;
    Tensor v = values(y_true, y_pred), counted = loss_.counted(y_true, v);
    add(v, counted.defined() ? masked_weights(name().c_str(), sample_weight, counted, v.dtype())
                             : sample_weight);
  }
  std::string class_name() const override {
    return loss_.class_name() == "LogCosh" ? "LogCoshError" : loss_.class_name();
  }
  bool supports_graph() const override { return loss_.supports_graph(); }
  Config config() const override {
    Config config = loss_.config();
    // Keras's metrics of these two classes have no axis.
    const bool without_axis = class_name() == "BinaryCrossentropy" || direction() == Direction::up;
    std::erase_if(config, [&](const auto& option) {
      return option.first == "reduction" ||
             (without_axis && option.first == "axis" && text_of(option.second) == "-1");
    });
    for (auto& [option, value] : config)
      if (option == "name") value = name();
    // Keras's order: the name and the dtype first.
    auto named = std::ranges::find(config, "name", [](const auto& o) { return o.first; });
    if (named != config.end()) std::rotate(config.begin(), named, named + 1);
    config.insert(config.begin() + (named == config.end() ? 0 : 1),
                  {"dtype", std::string(name_of(floatx()))});
    return config;
  }

 protected:
  Tensor values(const Tensor& y_true, const Tensor& y_pred) override {
    const Tensor values = loss_.values(y_true, y_pred);
    return direction() == Direction::up ? -values : values;
  }

 private:
  Loss loss_;
};

struct Known {
  const char* name;
  const char* class_name;
  AnyMetric (*make)();
  const std::type_info& type;
  const char* needs = nullptr;  // arguments without a default; `make` gives some
};

template <class M>
Known entry(const char* name, const char* class_name) {
  return {name, class_name, [] { return AnyMetric(M()); }, typeid(M)};
}

const Known all_metrics[] = {
    entry<AUC>("auc", "AUC"),
    entry<BinaryAccuracy>("binary_accuracy", "BinaryAccuracy"),
    entry<BinaryIoU>("binary_io_u", "BinaryIoU"),
    entry<CategoricalAccuracy>("categorical_accuracy", "CategoricalAccuracy"),
    entry<ConcordanceCorrelation>("concordance_correlation", "ConcordanceCorrelation"),
    entry<F1Score>("f1_score", "F1Score"),
    entry<FBetaScore>("f_beta_score", "FBetaScore"),
    entry<FalseNegatives>("false_negatives", "FalseNegatives"),
    entry<FalsePositives>("false_positives", "FalsePositives"),
    {"io_u", "IoU", [] { return AnyMetric(IoU(1, {0})); }, typeid(IoU),
     "num_classes and target_class_ids"},
    {"mean_io_u", "MeanIoU", [] { return AnyMetric(MeanIoU(1)); }, typeid(MeanIoU), "num_classes"},
    {"one_hot_io_u", "OneHotIoU", [] { return AnyMetric(OneHotIoU(1, {0})); }, typeid(OneHotIoU),
     "num_classes and target_class_ids"},
    {"one_hot_mean_io_u", "OneHotMeanIoU", [] { return AnyMetric(OneHotMeanIoU(1)); },
     typeid(OneHotMeanIoU), "num_classes"},
    entry<PearsonCorrelation>("pearson_correlation", "PearsonCorrelation"),
    entry<Precision>("precision", "Precision"),
    {"precision_at_recall", "PrecisionAtRecall", [] { return AnyMetric(PrecisionAtRecall(0.5)); },
     typeid(PrecisionAtRecall), "recall"},
    entry<R2Score>("r2_score", "R2Score"),
    {"recall_at_precision", "RecallAtPrecision", [] { return AnyMetric(RecallAtPrecision(0.5)); },
     typeid(RecallAtPrecision), "precision"},
    entry<Recall>("recall", "Recall"),
    entry<RootMeanSquaredError>("root_mean_squared_error", "RootMeanSquaredError"),
    {"sensitivity_at_specificity", "SensitivityAtSpecificity",
     [] { return AnyMetric(SensitivityAtSpecificity(0.5)); }, typeid(SensitivityAtSpecificity),
     "specificity"},
    {"specificity_at_sensitivity", "SpecificityAtSensitivity",
     [] { return AnyMetric(SpecificityAtSensitivity(0.5)); }, typeid(SpecificityAtSensitivity),
     "sensitivity"},
    entry<SparseCategoricalAccuracy>("sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
    entry<SparseTopKCategoricalAccuracy>("sparse_top_k_categorical_accuracy",
                                         "SparseTopKCategoricalAccuracy"),
    entry<TopKCategoricalAccuracy>("top_k_categorical_accuracy", "TopKCategoricalAccuracy"),
    entry<TrueNegatives>("true_negatives", "TrueNegatives"),
    entry<TruePositives>("true_positives", "TruePositives")};

// Classes of users.
CustomClasses<AnyMetric>& custom() {
  static CustomClasses<AnyMetric> all;
  return all;
}

}  // namespace

AnyMetric::AnyMetric(const std::string& name, const Loss& loss, Direction direction)
    : AnyMetric(LossMetric(name, loss, direction)) {}

AnyMetric AnyMetric::copy() const {
  AnyMetric other = *this;
  if (copy_ != nullptr) {
    other.metric_ = copy_(*metric_);
    other.metric_->owner_ = {};
    other.metric_->detach();
  }
  other->reset_state();
  return other;
}

AnyMetric AnyMetric::taken_by(const std::shared_ptr<const void>& owner) const {
  const std::shared_ptr<const void> before = metric_->owner_->lock();
  AnyMetric taken = before != nullptr && before != owner ? copy() : *this;
  *taken.metric_->owner_ = owner;
  taken->reset_state();
  return taken;
}

AnyMetric::AnyMetric(const std::string& name) {
  if (name.find('>') != std::string::npos) {
    *this = custom().find(name) ? custom().made(name) : AnyMetric(Loss(name));
    return;
  }
  std::vector<std::string> names = loss_names();
  names.insert(names.end(), {"acc", "accuracy"});
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower == "accuracy" || lower == "acc") *this = accuracy_by_shape(name);
  for (const Known& known : all_metrics) {
    if (name == known.name || name == known.class_name) {
      if (known.needs != nullptr)
        fail("compile: metric \"{}\" needs {}: give an object, {}(...)", name, known.needs,
             known.class_name);
      *this = known.make();
    }
    if (known.needs == nullptr) names.push_back(known.name);
  }
  if (name == "cosine_similarity" || name == "CosineSimilarity")
    *this = AnyMetric(name, Loss(name), Direction::up);
  else if (name == "log_cosh_error" || name == "LogCoshError")
    *this = AnyMetric(name, Loss("log_cosh"), Direction::down);
  else if (is_loss_name(name))
    *this = AnyMetric(name, Loss(name), Direction::down);
  std::sort(names.begin(), names.end());
  if (metric_ == nullptr) fail_unknown("compile: unknown metric", name, names);
  metric_->set_name(name);
  identifier_ = name;
}

std::string Metric::class_name() const { return custom().name_of(typeid(*this)); }

bool Metric::supports_graph() const {
  const std::type_info& type = typeid(*this);
  return type == typeid(Accuracy) ||
         std::ranges::any_of(all_metrics, [&](const Known& m) { return m.type == type; });
}

void register_metric_class(const std::type_info& type, const std::string& package,
                           const std::string& name, std::function<AnyMetric()> make) {
  custom().add(type, package, name, std::move(make));
}

Option to_option(const AnyMetric& metric) {
  if (metric->class_name().empty())
    fail("metric \"{}\": it has no class name that a config could hold", metric->name());
  const Metric& object = *metric;
  const bool own = object.class_name().find('>') != std::string::npos;
  if (own && custom().name_of(typeid(object)).empty())  // the mean of a loss of one's own
    return function_option(object.class_name());
  return object_option("keras.metrics", metric->class_name(), metric->config());
}
bool from_option(const Option& option, AnyMetric& metric) {
  std::string name;
  if (from_option(option, name)) return metric = AnyMetric(name), true;
  if (auto function = function_in(option)) return metric = AnyMetric(*function), true;
  auto object = object_in(option);
  return object && (metric = AnyMetric::from_config(object->first, object->second), true);
}

// Keras's class for the mean of what a function gives.
AnyMetric AnyMetric::wrapped_function(const Config& config) {
  std::string name, function;
  for (const auto& [option, value] : config) {
    if (option == "name" && from_option(value, name)) continue;
    if (option == "dtype") continue;
    if (option != "fn") fail("MeanMetricWrapper: unknown option \"{}\"", option);
    if (auto given = function_in(value))
      function = *given;
    else
      from_option(value, function);  // Keras 2 wrote the name alone
  }
  if (function.empty()) fail("MeanMetricWrapper: expected \"fn\" to be a function");
  AnyMetric made(function);
  made.identifier_.clear();
  if (!name.empty()) made->set_name(name);
  return made;
}

AnyMetric AnyMetric::from_config(const std::string& class_name, const Config& config) {
  if (custom().find(class_name)) {
    AnyMetric made = custom().made(class_name);
    configure(class_name, made->fields(), config);
    return made;
  }
  for (const Known& known : all_metrics) {
    if (class_name != known.class_name) continue;
    AnyMetric made = known.make();
    configure(class_name, made->fields(), config);
    made->reset_state();
    return made;
  }
  if (class_name == "MeanMetricWrapper") return wrapped_function(config);
  if (class_name == "Accuracy") {
    Accuracy made;
    configure(class_name, made.fields(), config);
    return made;
  }
  if (class_name == "LogCoshError") {
    auto named = std::ranges::find(config, "name", [](const auto& o) { return o.first; });
    std::string name = "logcosh";
    if (named != config.end() && !from_option(named->second, name))
      fail("LogCoshError: the value of option \"name\" has the wrong type");
    return AnyMetric(name, Loss::from_config("LogCosh", config), Direction::down);
  }
  Loss loss = Loss::from_config(class_name, config);
  if (class_name == "CosineSimilarity") return AnyMetric(loss.name(), loss, Direction::up);
  return loss;
}

}  // namespace keratin
