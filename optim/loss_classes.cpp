// The loss classes and losses by name (keras/src/losses/losses.py).

#include <algorithm>
#include <cctype>

#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/optim/internal/loss_state.h>
#include <keratin/optim/internal/loss_support.h>

namespace keratin {

template <class Options>
Loss::Loss(const char* class_name, Options options, Function function)
    : Loss(options.name, std::move(function), options.reduction) {
  auto state = std::make_shared<State>(*state_);
  state->class_name = class_name;
  state->config = config_of(options.fields());
  if constexpr (requires { options.ignore_class; })
    if (options.ignore_class)
      state->counted = [ignored = *options.ignore_class](const Tensor& y, const Tensor& values) {
        return not_equal(y, ignored).reshape(values.shape());
      };
  if constexpr (requires { options.remove_diagonal; })
    state->counted = [](const Tensor&, const Tensor& values) { return values > 0; };
  state_ = std::move(state);
}

#define KERATIN_LOSS(Class, function)                    \
  std::vector<Field> Class::Options::fields() {          \
    return {{"name", &name}, {"reduction", &reduction}}; \
  }                                                      \
  Class::Class(Options options) : Loss(#Class, std::move(options), function) {}
KERATIN_LOSS(MeanSquaredError, mean_squared_error)
KERATIN_LOSS(MeanAbsoluteError, mean_absolute_error)
KERATIN_LOSS(MeanAbsolutePercentageError, mean_absolute_percentage_error)
KERATIN_LOSS(MeanSquaredLogarithmicError, mean_squared_logarithmic_error)
KERATIN_LOSS(LogCosh, log_cosh)
KERATIN_LOSS(KLDivergence, kl_divergence)
KERATIN_LOSS(Poisson, poisson)
KERATIN_LOSS(Hinge, hinge)
KERATIN_LOSS(SquaredHinge, squared_hinge)
KERATIN_LOSS(CategoricalHinge, categorical_hinge)
KERATIN_LOSS(CTC, ctc)
#undef KERATIN_LOSS

CategoricalCrossentropy::CategoricalCrossentropy(Options o)
    : Loss("CategoricalCrossentropy", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return categorical_crossentropy(y_true, y_pred, o.from_logits, o.label_smoothing, o.axis);
      }) {}
std::vector<Field> CategoricalCrossentropy::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"from_logits", &from_logits},
          {"label_smoothing", &label_smoothing},
          {"axis", &axis}};
}

SparseCategoricalCrossentropy::SparseCategoricalCrossentropy(Options o)
    : Loss("SparseCategoricalCrossentropy", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return sparse_categorical_crossentropy(y_true, y_pred, o.from_logits, o.ignore_class,
                                               o.axis);
      }) {}
std::vector<Field> SparseCategoricalCrossentropy::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"from_logits", &from_logits},
          {"ignore_class", &ignore_class},
          {"axis", &axis}};
}

BinaryCrossentropy::BinaryCrossentropy(Options o)
    : Loss("BinaryCrossentropy", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return binary_crossentropy(y_true, y_pred, o.from_logits, o.label_smoothing, o.axis);
      }) {}
std::vector<Field> BinaryCrossentropy::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"from_logits", &from_logits},
          {"label_smoothing", &label_smoothing},
          {"axis", &axis}};
}

BinaryFocalCrossentropy::BinaryFocalCrossentropy(Options o)
    : Loss("BinaryFocalCrossentropy", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return binary_focal_crossentropy(y_true, y_pred, o.apply_class_balancing, o.alpha, o.gamma,
                                         o.from_logits, o.label_smoothing, o.axis);
      }) {}
std::vector<Field> BinaryFocalCrossentropy::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"from_logits", &from_logits},
          {"label_smoothing", &label_smoothing},
          {"axis", &axis},
          {"apply_class_balancing", &apply_class_balancing},
          {"alpha", &alpha},
          {"gamma", &gamma}};
}

CategoricalFocalCrossentropy::CategoricalFocalCrossentropy(Options o)
    : Loss("CategoricalFocalCrossentropy", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return categorical_focal_crossentropy(y_true, y_pred, o.alpha, o.gamma, o.from_logits,
                                              o.label_smoothing, o.axis);
      }) {}
std::vector<Field> CategoricalFocalCrossentropy::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"from_logits", &from_logits},
          {"label_smoothing", &label_smoothing},
          {"axis", &axis},
          {"alpha", &alpha},
          {"gamma", &gamma}};
}

CategoricalGeneralizedCrossEntropy::CategoricalGeneralizedCrossEntropy(Options o)
    : Loss("CategoricalGeneralizedCrossEntropy", o,
           [q = o.q](const Tensor& y_true, const Tensor& y_pred) {
             return categorical_generalized_cross_entropy(y_true, y_pred, q);
           }) {
  if (!(o.q > 0 && o.q < 1)) fail("{}: expected q between 0 and 1, got {}", o.name, o.q);
}
std::vector<Field> CategoricalGeneralizedCrossEntropy::Options::fields() {
  return {{"name", &name}, {"reduction", &reduction}, {"q", &q}};
}

Circle::Circle(Options o)
    : Loss("Circle", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return circle(y_true, y_pred, {}, {}, o.remove_diagonal, o.gamma, o.margin);
      }) {}
std::vector<Field> Circle::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"gamma", &gamma},
          {"margin", &margin},
          {"remove_diagonal", &remove_diagonal}};
}

Huber::Huber(Options o)
    : Loss("Huber", o, [delta = o.delta](const Tensor& y_true, const Tensor& y_pred) {
        return huber(y_true, y_pred, delta);
      }) {}
std::vector<Field> Huber::Options::fields() {
  return {{"name", &name}, {"reduction", &reduction}, {"delta", &delta}};
}

CosineSimilarity::CosineSimilarity(Options o)
    : Loss("CosineSimilarity", o, [axis = o.axis](const Tensor& y_true, const Tensor& y_pred) {
        return cosine_similarity(y_true, y_pred, axis);
      }) {}
std::vector<Field> CosineSimilarity::Options::fields() {
  return {{"name", &name}, {"reduction", &reduction}, {"axis", &axis}};
}

namespace {
Axes axes_or_all(const std::vector<int>& axes) { return axes.empty() ? Axes() : Axes(axes); }
}  // namespace

Dice::Dice(Options o)
    : Loss("Dice", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return dice(y_true, y_pred, axes_or_all(o.axis));
      }) {}
std::vector<Field> Dice::Options::fields() {
  return {{"name", &name}, {"reduction", &reduction}, {"axis", &axis}};
}

Tversky::Tversky(Options o)
    : Loss("Tversky", o, [o](const Tensor& y_true, const Tensor& y_pred) {
        return tversky(y_true, y_pred, o.alpha, o.beta, axes_or_all(o.axis));
      }) {}
std::vector<Field> Tversky::Options::fields() {
  return {{"name", &name},
          {"reduction", &reduction},
          {"alpha", &alpha},
          {"beta", &beta},
          {"axis", &axis}};
}

// --- by name

namespace {

template <class L>
Loss make(const char* class_name, const Config* config) {
  typename L::Options options;
  if (config != nullptr) configure(class_name, options.fields(), *config);
  return L(std::move(options));
}

struct Known {
  const char* name;   // of the function
  const char* alias;  // or nullptr
  const char* class_name;
  Loss (*make)(const char* class_name, const Config* config);
};

constexpr Known all_losses[] = {
    {"binary_crossentropy", "bce", "BinaryCrossentropy", make<BinaryCrossentropy>},
    {"binary_focal_crossentropy", nullptr, "BinaryFocalCrossentropy",
     make<BinaryFocalCrossentropy>},
    {"categorical_crossentropy", nullptr, "CategoricalCrossentropy", make<CategoricalCrossentropy>},
    {"categorical_focal_crossentropy", nullptr, "CategoricalFocalCrossentropy",
     make<CategoricalFocalCrossentropy>},
    {"categorical_generalized_cross_entropy", nullptr, "CategoricalGeneralizedCrossEntropy",
     make<CategoricalGeneralizedCrossEntropy>},
    {"categorical_hinge", nullptr, "CategoricalHinge", make<CategoricalHinge>},
    {"circle", nullptr, "Circle", make<Circle>},
    {"cosine_similarity", nullptr, "CosineSimilarity", make<CosineSimilarity>},
    {"ctc", nullptr, "CTC", make<CTC>},
    {"dice", nullptr, "Dice", make<Dice>},
    {"hinge", nullptr, "Hinge", make<Hinge>},
    {"huber", nullptr, "Huber", make<Huber>},
    {"kl_divergence", "kld", "KLDivergence", make<KLDivergence>},
    {"log_cosh", "logcosh", "LogCosh", make<LogCosh>},
    {"mean_absolute_error", "mae", "MeanAbsoluteError", make<MeanAbsoluteError>},
    {"mean_absolute_percentage_error", "mape", "MeanAbsolutePercentageError",
     make<MeanAbsolutePercentageError>},
    {"mean_squared_error", "mse", "MeanSquaredError", make<MeanSquaredError>},
    {"mean_squared_logarithmic_error", "msle", "MeanSquaredLogarithmicError",
     make<MeanSquaredLogarithmicError>},
    {"poisson", nullptr, "Poisson", make<Poisson>},
    {"sparse_categorical_crossentropy", nullptr, "SparseCategoricalCrossentropy",
     make<SparseCategoricalCrossentropy>},
    {"squared_hinge", nullptr, "SquaredHinge", make<SquaredHinge>},
    {"tversky", nullptr, "Tversky", make<Tversky>}};

// keras/src/trainers/compile_utils.py, get_loss.
Tensor crossentropy_by_shape(const Tensor& y_true, const Tensor& y_pred) {
  if (y_pred.rank() > 0 && y_pred.shape()[-1] == 1) return binary_crossentropy(y_true, y_pred);
  if (y_true.rank() < y_pred.rank() || (y_true.rank() > 0 && y_true.shape()[-1] == 1))
    return sparse_categorical_crossentropy(y_true, y_pred);
  return categorical_crossentropy(y_true, y_pred);
}

// As Keras takes an alias: "mse" and "MSE".
bool is_alias(const char* alias, std::string name) {
  if (alias == nullptr) return false;
  std::string upper = alias;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name == alias || name == upper;
}

}  // namespace

bool is_loss_name(const std::string& name) {
  return std::ranges::any_of(all_losses, [&](const Known& known) {
    return name == known.name || name == known.class_name || is_alias(known.alias, name);
  });
}

std::vector<std::string> loss_names() {
  std::vector<std::string> names{"crossentropy"};
  for (const Known& known : all_losses) {
    names.push_back(known.name);
    if (known.alias != nullptr) names.push_back(known.alias);
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

// Losses of users.
CustomObjects<Loss>& custom() {
  static CustomObjects<Loss> all;
  return all;
}

}  // namespace

void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Loss& loss) {
  const std::string full = registered_name(package, name);
  auto state = std::make_shared<Loss::State>(loss.state());
  state->name = name;
  state->class_name = full;
  Loss named = loss;
  named.state_ = std::move(state);
  custom().add(full, named);
}

Option to_option(const Loss& loss) {
  if (!loss.defined()) return {};
  if (loss.class_name().empty())
    fail("loss: a function of one's own has no class name that a config could hold");
  if (custom().find(loss.class_name())) return function_option(loss.class_name());
  return object_option("keras.losses", loss.class_name(), loss.config());
}
bool from_option(const Option& option, Loss& loss) {
  std::string name;
  if (option.is_none()) return loss = Loss(), true;
  if (from_option(option, name)) return loss = Loss(name), true;
  if (auto function = function_in(option)) return loss = Loss(*function), true;
  auto object = object_in(option);
  return object && (loss = Loss::from_config(object->first, object->second), true);
}

Loss::Loss(const std::string& name) {
  if (auto own = custom().find(name)) {
    *this = *own;
    return;
  }
  if (is_alias("crossentropy", name) || is_alias("ce", name))
    *this = Loss(name, crossentropy_by_shape);
  for (const Known& known : all_losses)
    if (name == known.name || name == known.class_name || is_alias(known.alias, name))
      *this = known.make(known.class_name, nullptr);
  if (!defined()) fail_unknown("compile: unknown loss", name, loss_names());
  auto state = std::make_shared<State>(*state_);
  state->name = state->identifier = name;
  state_ = std::move(state);
}

Loss Loss::from_config(const std::string& class_name, const Config& config) {
  std::vector<std::string> names;
  for (const Known& known : all_losses) {
    if (class_name == known.class_name) return known.make(known.class_name, &config);
    names.push_back(known.class_name);
  }
  fail_unknown("unknown loss class", class_name, names);
}

}  // namespace keratin
