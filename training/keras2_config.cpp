// Configs that Keras 2 wrote, in the form of today: what is gone is left out, what has another name
// or place is moved, and calls in a functional model get their arguments by name.

#include <algorithm>

#include <keratin/core/internal/message.h>
#include <keratin/training/internal/saving.h>

namespace keratin {
namespace {

using List = std::vector<Option>;

Option* find(Config& config, const std::string& name) {
  return const_cast<Option*>(find_option(config, name));
}

void rename(Config& config, const std::string& from, const std::string& to) {
  for (auto& entry : config)
    if (entry.first == from) entry.first = to;
}

Option as_keras_tensor(const Option& name, const Option& node, const Option& tensor) {
  return Config{{"class_name", "__keras_tensor__"},
                {"config", Config{{"keras_history", List{name, node, tensor}}}}};
}

/// [name, node, tensor, {arguments}] or, among arguments, [name, node, tensor].
bool is_history(const Option& option) {
  auto* list = std::get_if<List>(&option);
  return list != nullptr && (list->size() == 3 || list->size() == 4) &&
         std::holds_alternative<std::string>((*list)[0]) &&
         std::holds_alternative<std::int64_t>((*list)[1]) &&
         std::holds_alternative<std::int64_t>((*list)[2]);
}

Option argument_of_keras3(const Option& option) {
  if (is_history(option)) {
    const List& history = std::get<List>(option);
    return as_keras_tensor(history[0], history[1], history[2]);
  }
  auto* list = std::get_if<List>(&option);
  if (list == nullptr) return option;
  List inner;
  for (const Option& one : *list) inner.push_back(argument_of_keras3(one));
  return inner;
}

/// A call of a layer, which Keras 2 states as a list of what it is called on.
Option node_of_keras3(const Option& node) {
  auto* list = std::get_if<List>(&node);
  if (list == nullptr) return node;  // as today
  List tensors;
  Config arguments;
  const List alone{node};
  for (const Option& one : is_history(node) ? alone : *list) {
    if (!is_history(one)) fail("expected each input of a call to be [layer, call, output]");
    const List& history = std::get<List>(one);
    tensors.push_back(argument_of_keras3(one));
    auto* given = history.size() < 4 ? nullptr : std::get_if<Config>(&history[3]);
    if (given == nullptr) continue;
    for (const auto& [name, value] : *given)
      if (find_option(arguments, name) == nullptr)
        arguments.emplace_back(name, argument_of_keras3(value));
  }
  return Config{{"args", tensors.size() == 1 ? tensors : List{Option(tensors)}},
                {"kwargs", arguments}};
}

/// The backward layer was once made of the forward one, and both were named when they were made.
void add_backward_layer(Config& bidirectional) {
  const Option* given = find_option(bidirectional, "layer");
  if (given == nullptr || find_option(bidirectional, "backward_layer") != nullptr) return;
  Option forward = *given, backward = *given;
  auto change = [](Option& layer, const std::string& prefix, bool turn) {
    auto* object = std::get_if<Config>(&layer);
    Option* inner = object == nullptr ? nullptr : find(*object, "config");
    auto* config = inner == nullptr ? nullptr : std::get_if<Config>(inner);
    if (config == nullptr) return;
    Option *name = find(*config, "name"), *backwards = find(*config, "go_backwards");
    std::string text;
    if (name != nullptr && from_option(*name, text)) *name = prefix + text;
    bool flag = false;
    if (turn && backwards != nullptr && from_option(*backwards, flag)) *backwards = !flag;
  };
  change(forward, "forward_", false);
  change(backward, "backward_", true);
  *find(bidirectional, "layer") = forward;
  bidirectional.emplace_back("backward_layer", backward);
}

/// Of a class of one's own nothing is known, and so nothing of it is changed.
bool is_of_keras(const Config& object, const std::string& class_name) {
  const Option *module = find_option(object, "module"),
               *registered = find_option(object, "registered_name");
  std::string name = class_name, place = "keras";
  if (registered != nullptr) from_option(*registered, name);
  if (module != nullptr && !module->is_none()) from_option(*module, place);
  return name.find('>') == name.npos && class_name.find('>') == class_name.npos &&
         place.starts_with("keras");
}

void modernize_layer(Config& object) {
  Option* class_name = find(object, "class_name");
  Option* inner = find(object, "config");
  auto* config = inner == nullptr ? nullptr : std::get_if<Config>(inner);
  std::string kind;
  if (config == nullptr || class_name == nullptr || !from_option(*class_name, kind)) return;
  if (kind == "Model") *class_name = "Functional";
  // An optimizer of Keras's own, which Keras 2.15 registered as others register theirs.
  if (kind.starts_with("Custom>") && find(*config, "is_legacy_optimizer") != nullptr)
    *class_name = kind.substr(std::string("Custom>").size());
  else if (!is_of_keras(object, kind))
    return;
  if (kind == "Bidirectional") add_backward_layer(*config);
  if (kind == "InputLayer") rename(*config, "batch_input_shape", "batch_shape");
  std::erase_if(*config, [](const auto& entry) {
    static constexpr const char* gone[] = {"implementation", "time_major", "batch_input_shape",
                                           "input_length",   "decay",      "is_legacy_optimizer",
                                           "jit_compile",    "fused",      "virtual_batch_size"};
    return std::ranges::find(gone, entry.first) != std::end(gone);
  });
  // One axis was once written as a list.
  if (Option* axis = find(*config, "axis"); axis != nullptr && kind == "BatchNormalization")
    if (auto* list = std::get_if<List>(axis); list != nullptr && list->size() == 1) {
      const Option one = (*list)[0];
      *axis = one;
    }
}

/// A first layer that knew its input's shape stood for an InputLayer.
void add_input_layer(Config& sequential) {
  Option* given = find(sequential, "layers");
  auto* layers = given == nullptr ? nullptr : std::get_if<List>(given);
  if (layers == nullptr || layers->empty()) return;
  auto* first = std::get_if<Config>(&(*layers)[0]);
  const Option* config = first == nullptr ? nullptr : find_option(*first, "config");
  auto* options = config == nullptr ? nullptr : std::get_if<Config>(config);
  const Option* shape = options == nullptr ? nullptr : find_option(*options, "batch_input_shape");
  std::string kind;
  if (shape == nullptr || !from_option(*find_option(*first, "class_name"), kind) ||
      kind == "InputLayer")
    return;
  const Option* dtype = find_option(*options, "dtype");
  Config input{{"batch_shape", *shape}, {"name", "input_layer"}};
  if (dtype != nullptr) input.emplace_back("dtype", *dtype);
  layers->insert(layers->begin(), Config{{"class_name", "InputLayer"}, {"config", input}});
}

void modernize_object(Config& object) {
  Option* inner = find(object, "config");
  if (inner != nullptr && find(object, "class_name") != nullptr) {
    // The oldest files have the layers of a Sequential alone.
    if (std::holds_alternative<List>(*inner)) {
      const Option layers = *inner;
      *inner = Config{{"layers", layers}};
    }
    if (auto* config = std::get_if<Config>(inner)) add_input_layer(*config);
    modernize_layer(object);
  }
  if (Option* nodes = find(object, "inbound_nodes"))
    if (auto* list = std::get_if<List>(nodes))
      for (Option& node : *list) node = node_of_keras3(node);
  for (auto& [name, value] : object)
    if (name != "inbound_nodes") modernize(value);
}

}  // namespace

void modernize(Option& option) {
  if (auto* list = std::get_if<List>(&option))
    for (Option& one : *list) modernize(one);
  else if (auto* object = std::get_if<Config>(&option))
    modernize_object(*object);
}

}  // namespace keratin
