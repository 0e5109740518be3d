// Optimizers by name.

#include <algorithm>
#include <cctype>

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
constexpr Known all_optimizers[] = {
    {"adadelta", make<Adadelta>}, {"adagrad", make<Adagrad>}, {"adam", make<Adam>},
    {"adamax", make<Adamax>},     {"adamw", make<AdamW>},     {"ftrl", make<Ftrl>},
    {"lamb", make<Lamb>},         {"lion", make<Lion>},       {"nadam", make<Nadam>},
    {"rmsprop", make<RMSprop>},   {"sgd", make<SGD>}};

AnyOptimizer optimizer_named(const char* error, const std::string& name) {
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

}  // namespace

AnyOptimizer::AnyOptimizer(const std::string& name)
    : AnyOptimizer(optimizer_named("compile: unknown optimizer", name)) {}

AnyOptimizer AnyOptimizer::from_config(const std::string& class_name, const Config& config) {
  AnyOptimizer made = optimizer_named("unknown optimizer class", class_name);
  made->configure(config);
  return made;
}

}  // namespace keratin
