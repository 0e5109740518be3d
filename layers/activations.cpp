#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/activations.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/registry.h>

namespace keratin {
namespace {

using Function = Tensor (*)(const Tensor&);

const std::map<std::string, Function>& by_name() {
  static const std::map<std::string, Function> table{
      {"celu", [](const Tensor& x) { return celu(x); }},
      {"elu", [](const Tensor& x) { return elu(x); }},
      {"exponential", exp},
      {"gelu", [](const Tensor& x) { return gelu(x, /*approximate=*/false); }},
      {"glu", [](const Tensor& x) { return glu(x); }},
      {"hard_shrink", [](const Tensor& x) { return hard_shrink(x); }},
      {"hard_sigmoid", hard_sigmoid},
      {"hard_silu", hard_silu},
      {"hard_swish", hard_silu},
      {"hard_tanh", hard_tanh},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x); }},
      {"linear", nullptr},
      {"log_sigmoid", log_sigmoid},
      {"log_softmax", [](const Tensor& x) { return log_softmax(x); }},
      {"mish", mish},
      {"relu", relu},
      {"relu6", relu6},
      {"selu", selu},
      {"sigmoid", sigmoid},
      {"silu", silu},
      {"soft_shrink", [](const Tensor& x) { return soft_shrink(x); }},
      {"softmax", [](const Tensor& x) { return softmax(x); }},
      {"softplus", softplus},
      {"softsign", softsign},
      {"sparse_plus", sparse_plus},
      {"sparse_sigmoid", sparse_sigmoid},
      {"sparsemax", [](const Tensor& x) { return sparsemax(x); }},
      {"squareplus", [](const Tensor& x) { return squareplus(x); }},
      {"swish", silu},
      {"tanh", tanh},
      {"tanh_shrink", [](const Tensor& x) { return x - tanh(x); }},
  };
  return table;
}

// Functions of users.
CustomObjects<ActivationFunction>& custom() {
  static CustomObjects<ActivationFunction> all;
  return all;
}

}  // namespace

void register_keras_serializable(const std::string& package, const std::string& name,
                                 const ActivationFunction& function) {
  custom().add(registered_name(package, name), function);
}

ActivationFunction::ActivationFunction(const std::string& name) : name_(name) {
  if (auto own = custom().find(name)) {
    function_ = own->function_;
    return;
  }
  auto found = by_name().find(name);
  if (name == "threshold")
    fail(
        "activation \"threshold\" needs two numbers: pass [](const Tensor& x) {{ return "
        "threshold(x, 0.5, 0.0); }}");
  if (found == by_name().end()) fail_unknown("unknown activation", name, by_name());
  if (found->second != nullptr) function_ = found->second;
}

Option to_option(const ActivationFunction& activation) {
  if (!activation.layer_.is_none()) return activation.layer_;
  if (activation.name() == "custom")
    fail("activation: a function of one's own has no name that a config could hold");
  if (custom().find(activation.name())) return function_option(activation.name());
  return activation.name();
}
bool from_option(const Option& option, ActivationFunction& activation) {
  activation = {};
  if (option.is_none()) return true;
  if (auto function = function_in(option)) return activation = *function, true;
  std::string name;
  if (from_option(option, name)) {
    if (name != "linear") activation = name;
    return true;
  }
  AnyLayer layer = IdentityLayer();
  if (!from_option(option, layer)) return false;
  activation = ActivationFunction([layer](const Tensor& x) -> Tensor { return layer(x); });
  activation.layer_ = option;
  return true;
}

}  // namespace keratin
