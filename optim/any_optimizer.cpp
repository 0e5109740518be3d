// Optimizers by name.

#include <algorithm>
#include <cctype>

#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/optim/optimizers.h>

namespace keratin {
namespace {

template <class O>
AnyOptimizer make() {
  return O();
}

struct Known {
  const char* name;
  AnyOptimizer (*make)();
};

// Keras' class names in lower case, which is how a string names an optimizer.
constexpr Known all_optimizers[] = {{"adadelta", make<Adadelta>},
                                    {"adafactor", make<Adafactor>},
                                    {"adagrad", make<Adagrad>},
                                    {"adam", make<Adam>},
                                    {"adamax", make<Adamax>},
                                    {"adamw", make<AdamW>},
                                    {"ftrl", make<Ftrl>},
                                    {"lamb", make<Lamb>},
                                    {"lion", make<Lion>},
                                    {"muon", make<Muon>},
                                    {"nadam", make<Nadam>},
                                    {"rmsprop", make<RMSprop>},
                                    {"schedulefreeadamw", make<ScheduleFreeAdamW>},
                                    {"sgd", make<SGD>}};

// Classes of users.
CustomClasses<AnyOptimizer>& custom() {
  static CustomClasses<AnyOptimizer> all;
  return all;
}

AnyOptimizer optimizer_named(const char* error, const std::string& name) {
  if (custom().find(name)) return custom().made(name);
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::vector<std::string> names;
  for (const Known& known : all_optimizers) {
    if (lower == known.name) return known.make();
    names.push_back(known.name);
  }
  fail_unknown(error, name, names);
}

constexpr const char* loss_scale_class = "LossScaleOptimizer";

AnyOptimizer with_scale_from(const Config& config) {
  AnyOptimizer inner;
  LossScaleOptions options;
  configure(loss_scale_class,
            {{"name", &options.name},
             {"inner_optimizer", &inner},
             {"initial_scale", &options.initial_scale},
             {"dynamic_growth_steps", &options.dynamic_growth_steps},
             // Early versions of Keras 3 wrote these, which mean nothing here.
             Field::without_effect("learning_rate", 0.0),
             Field::without_effect("ema_momentum", 0.99)},
            config);
  if (!inner) fail("{}: expected an inner_optimizer, got none", loss_scale_class);
  return inner.with_loss_scale(options);
}

}  // namespace

AnyOptimizer::AnyOptimizer(const std::string& name)
    : AnyOptimizer(optimizer_named("compile: unknown optimizer", name)) {}

std::string Optimizer::class_name() const { return custom().name_of(typeid(*this)); }

void register_optimizer_class(const std::type_info& type, const std::string& package,
                              const std::string& name, std::function<AnyOptimizer()> make) {
  custom().add(type, package, name, std::move(make));
}

Option to_option(const AnyOptimizer& optimizer) {
  if (optimizer->class_name().empty())
    fail("optimizer \"{}\": it has no class name that a config could hold", optimizer->name());
  Option object = object_option("keras.optimizers", optimizer->class_name(), optimizer->config());
  if (const std::optional<LossScaleOptions>& scaling = optimizer->loss_scaling())
    object = object_option("keras.optimizers", loss_scale_class,
                           {{"name", scaling->name},
                            {"inner_optimizer", object},
                            {"initial_scale", scaling->initial_scale},
                            {"dynamic_growth_steps", scaling->dynamic_growth_steps}});
  return object;
}
bool from_option(const Option& option, AnyOptimizer& optimizer) {
  std::string name;
  if (from_option(option, name)) return optimizer = AnyOptimizer(name), true;
  auto object = object_in(option);
  return object && (optimizer = AnyOptimizer::from_config(object->first, object->second), true);
}

AnyOptimizer AnyOptimizer::from_config(const std::string& class_name, const Config& config) {
  if (class_name == loss_scale_class) return with_scale_from(config);
  AnyOptimizer made = optimizer_named("unknown optimizer class", class_name);
  made->configure(config);
  return made;
}

}  // namespace keratin
