#include <algorithm>
#include <cmath>

#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/layers/call_arguments.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/graph_node.h>
#include <keratin/layers/internal/operation.h>
#include <keratin/layers/registry.h>
#include <keratin/layers/rnn.h>
#include <keratin/layers/wrappers.h>
#include <keratin/training/internal/model_config.h>
#include <keratin/training/model.h>
#include <keratin/training/sequential.h>

namespace keratin {
namespace {

using List = std::vector<Option>;

/// Keras counts a functional model's own node first: output_layers include it, keras_history in
/// the arguments of calls does not.
int calls_before(const Layer& layer) { return layer.class_name() == "Functional" ? 1 : 0; }

// --- writing

/// Nested lists of the numbers.
Option numbers_of(const Tensor& tensor) {
  if (tensor.rank() == 0)
    return is_floating(tensor.dtype()) ? Option(tensor.item())
                                       : Option(static_cast<std::int64_t>(tensor.item()));
  List list;
  for (std::int64_t i = 0; i < tensor.size(0); ++i) list.push_back(numbers_of(tensor[i]));
  return list;
}

Option constant_option(const Tensor& tensor) {
  if (TensorData::of(tensor).weak) return numbers_of(tensor);
  return Config{{"class_name", "__numpy__"},
                {"config", Config{{"value", numbers_of(tensor)},
                                  {"dtype", std::string(name_of(tensor.dtype()))}}}};
}

class GraphWriter {
 public:
  GraphWriter(const ModelGraph& graph, const std::vector<AnyLayer>& layers)
      : graph_(graph), layers_(layers) {}

  Config write() const {
    List layers, inputs, outputs;
    for (std::size_t place = 0; place < layers_.size(); ++place)
      layers.push_back(layer_option(place));
    for (std::size_t value : graph_.input_values()) inputs.push_back(history(value));
    for (std::size_t value : graph_.output_values()) {
      List one = history(value);
      const Layer& layer = *layers_[graph_.origin(value).layer];
      one[1] = std::get<std::int64_t>(one[1]) + calls_before(layer);
      outputs.push_back(one);
    }
    return {{"layers", layers},
            {"input_layers", arranged(inputs, graph_.given_inputs)},
            {"output_layers", arranged(outputs, graph_.given_outputs)}};
  }

 private:
  // One that was not given as a list stands for itself.
  static Option arranged(const List& list, const ModelGraph::Structure& given) {
    if (given.names.empty()) return list.size() == 1 && !given.is_list ? list[0] : Option(list);
    Config named;
    for (std::size_t i = 0; i < list.size(); ++i) named.emplace_back(given.names[i], list[i]);
    return named;
  }

  List history(std::size_t value) const {
    const ModelGraph::Origin from = graph_.origin(value);
    return {layers_[from.layer]->name(), from.call, static_cast<std::int64_t>(from.output)};
  }

  Option tensor(std::size_t value) const {
    const SymbolicTensor& tensor = graph_.value(value);
    return Config{{"class_name", "__keras_tensor__"},
                  {"config", Config{{"shape", to_option(tensor.shape())},
                                    {"dtype", std::string(name_of(tensor.dtype()))},
                                    {"keras_history", history(value)}}}};
  }

  Option layer_option(std::size_t place) const {
    const Layer& layer = *layers_[place];
    Config object = std::get<Config>(to_option(layers_[place]));
    if (auto* config = std::get_if<Config>(&object[2].second)) write_input(place, *config);
    List nodes;
    for (const ModelGraph::Call& call : graph_.calls())
      if (call.layer == place) nodes.push_back(node(layer, call));
    object.emplace_back("name", layer.name());
    object.emplace_back("inbound_nodes", nodes);
    return object;
  }

  // An InputLayer does not know the batch size and the type of what it stands for.
  void write_input(std::size_t place, Config& config) const {
    for (std::size_t value : graph_.input_values()) {
      if (graph_.origin(value).layer != place) continue;
      for (auto& [name, option] : config) {
        if (name == "batch_shape") option = to_option(graph_.value(value).shape());
        if (name == "dtype") option = std::string(name_of(graph_.value(value).dtype()));
      }
    }
  }

  Config node(const Layer& layer, const ModelGraph::Call& call) const {
    List args;
    for (std::size_t input : call.inputs) args.push_back(tensor(input));
    Config kwargs;
    if (auto* operation = dynamic_cast<const Operation*>(&layer)) {
      write_operands(*operation, args, kwargs);
    } else if (auto* told = dynamic_cast<const CallArguments*>(&layer)) {
      write_arguments(*told, args, kwargs);
    } else if (args.size() > 1 && takes_states(layer)) {
      kwargs.emplace_back("initial_state", List(args.begin() + 1, args.end()));
      args.resize(1);
    } else if (args.size() > 1) {
      args = List{Option(args)};  // several inputs are one argument, a list
    }
    if (call.mask) kwargs.emplace_back("mask", tensor(*call.mask));
    if (call.training) kwargs.emplace_back("training", *call.training);
    return {{"args", args}, {"kwargs", kwargs}};
  }

  static void write_arguments(const CallArguments& told, List& args, Config& kwargs) {
    const std::vector<std::string> names = told.input_arguments();
    if (names.empty()) args = List{Option(args)};  // several inputs are one argument, a list
    for (std::size_t i = 2; i < std::min(args.size(), names.size()); ++i)
      kwargs.emplace_back(names[i], args[i]);
    if (args.size() > 2) args.resize(2);
    for (const Field& flag : const_cast<CallArguments&>(told).call_fields())
      if (std::get<bool>(flag.get())) kwargs.emplace_back(flag.name, true);
  }

  static void write_operands(const Operation& operation, List& args, Config& kwargs) {
    using Call = OpClass::Call;
    List operands;
    auto next = args.begin();
    for (const Tensor& constant : operation.constants())
      operands.push_back(constant.defined() ? constant_option(constant) : *next++);
    args = operands;
    const OpClass& op = *operation.op();
    if (op.call == Call::as_list) args = List{Option(args)};
    if (const Option* in_call = find_option(operation.attributes(), op.in_call)) {
      if (op.call == Call::with_key) args.push_back(*in_call);
      if (op.call == Call::with_keyword) kwargs.emplace_back(op.in_call, *in_call);
    }
  }

  const ModelGraph& graph_;
  const std::vector<AnyLayer>& layers_;
};

// --- reading

template <class T>
const T& part(const Config& config, const std::string& name, const char* what) {
  const Option* option = find_option(config, name);
  const T* found = option == nullptr ? nullptr : std::get_if<T>(option);
  if (found == nullptr) fail("Functional: expected \"{}\" to be {}", name, what);
  return *found;
}

/// The numbers in nested lists, and their shape.
void collect_numbers(const Option& option, std::size_t depth, std::vector<double>& numbers,
                     std::vector<std::int64_t>& shape) {
  if (auto* list = std::get_if<List>(&option)) {
    if (shape.size() <= depth) shape.push_back(static_cast<std::int64_t>(list->size()));
    for (const Option& inner : *list) collect_numbers(inner, depth + 1, numbers, shape);
    return;
  }
  double number = 0;
  bool flag = false;
  if (from_option(option, flag))
    number = flag;
  else if (!from_option(option, number))
    fail("Functional: a constant has an entry that is no number");
  numbers.push_back(number);
}

bool holds_double(const Option& option) {
  if (auto* list = std::get_if<List>(&option)) return std::ranges::any_of(*list, holds_double);
  return std::holds_alternative<double>(option);
}

Tensor constant_in(const Option& option) {
  std::int64_t whole = 0;
  double number = 0;
  bool flag = false;
  if (from_option(option, flag)) return Tensor(flag);  // these take on the dtype of what they meet
  if (from_option(option, whole)) return Tensor(whole);
  if (from_option(option, number)) return Tensor(number);
  Option value = option;
  std::optional<DType> dtype;
  if (auto object = object_in(option)) {
    if (object->first != "__numpy__" && object->first != "__tensor__")
      fail("Functional: an argument of class \"{}\" is not known", object->first);
    const Option *numbers = find_option(object->second, "value"),
                 *type = find_option(object->second, "dtype");
    std::string name;
    if (numbers == nullptr || type == nullptr || !from_option(*type, name))
      fail("Functional: a constant of class \"{}\" needs a value and a dtype", object->first);
    value = *numbers;
    if (!from_option(*type, dtype.emplace())) {
      if (name != "int64") fail("Functional: a constant has the unknown dtype \"{}\"", name);
      dtype = int32;
    }
  }
  std::vector<double> numbers;
  std::vector<std::int64_t> shape;
  collect_numbers(value, 0, numbers, shape);
  const bool whole_numbers = std::ranges::all_of(
      numbers, [](double n) { return n == std::trunc(n) && std::abs(n) <= INT32_MAX; });
  if (!dtype) dtype = whole_numbers && !holds_double(value) ? int32 : floatx();
  if (*dtype == int32 && !whole_numbers)
    fail("Functional: a constant of whole numbers has an entry that int32 cannot hold");
  return tensor(numbers, Shape(shape)).astype(*dtype);
}

class GraphReader {
 public:
  explicit GraphReader(const Config& config) : config_(config) {
    for (const Option& option : part<List>(config, "layers", "a list")) {
      auto* object = std::get_if<Config>(&option);
      if (object == nullptr) fail("Functional: expected each layer to be a dictionary");
      pending_.push_back(begin(*object));
    }
  }

  Model read() {
    // A call waits until all that it needs is there.
    for (bool moved = true; moved;) {
      moved = false;
      for (Pending& layer : pending_)
        while (layer.next < layer.nodes->size() && call(layer)) moved = true;
    }
    for (const Pending& layer : pending_)
      if (layer.next < layer.nodes->size())
        fail("Functional: what the layer \"{}\" is called on is not in the graph", layer.name);
    std::string name;
    if (const Option* given = find_option(config_, "name")) from_option(*given, name);
    Model model(tensors("input_layers", 0), tensors("output_layers", 1), name);
    if (const Option* given = find_option(config_, "trainable"))
      if (bool trainable = true; from_option(*given, trainable) && !trainable)
        model.set_trainable(false);
    return model;
  }

 private:
  struct Pending {
    std::string name;
    std::optional<AnyLayer> layer;  // none for an op
    const OpClass* op = nullptr;
    Config attributes = {};
    const List* nodes = nullptr;
    std::size_t next = 0;
    SymbolicTensors outputs = {};  // of each call
  };

  Pending begin(const Config& object) {
    const std::string& class_name = part<std::string>(object, "class_name", "a name");
    const Config& config = part<Config>(object, "config", "a dictionary");
    Pending pending;
    pending.nodes = &part<List>(object, "inbound_nodes", "a list");
    const Option* module = find_option(object, "module");
    const auto* text = module == nullptr ? nullptr : std::get_if<std::string>(module);
    if (text != nullptr && text->starts_with("keras.src.ops")) {
      pending.op = &op_of_class(class_name);
      for (const auto& attribute : config) {
        // Newer versions of Keras round to decimals; with 0 they do what those before did.
        const bool at_rest = attribute.first == "decimals" && attribute.second == Option(0);
        if (attribute.first == "name")
          from_option(attribute.second, pending.name);
        else if (!at_rest)
          pending.attributes.push_back(attribute);
      }
      return pending;
    }
    AnyLayer layer = IdentityLayer();
    if (!from_option(object, layer)) fail("Functional: expected a layer with a class and a config");
    pending.layer = layer;
    pending.name = (*pending.layer)->name();
    if (class_name == "InputLayer") pending.outputs.push_back(begin_graph(*pending.layer));
    return pending;
  }

  /// The tensor of [layer, call, output]; nothing while it is not there yet.
  std::optional<SymbolicTensor> tensor_at(const Option& history, bool after_own_node) const {
    auto* list = std::get_if<List>(&history);
    std::string name;
    int node = 0, output = 0;
    if (list == nullptr || list->size() != 3 || !from_option((*list)[0], name) ||
        !from_option((*list)[1], node) || !from_option((*list)[2], output))
      fail("Functional: expected [layer, call, output]");
    auto layer = std::ranges::find(pending_, name, &Pending::name);
    if (layer == pending_.end()) fail("Functional: there is no layer \"{}\"", name);
    if (after_own_node && layer->layer) node -= calls_before(**layer->layer);
    if (node < 0 || static_cast<std::size_t>(node) >= layer->outputs.size()) return {};
    const SymbolicTensor& outputs = layer->outputs[static_cast<std::size_t>(node)];
    if (outputs.count() > 1) return outputs[output];
    if (output != 0) fail("Functional: the layer \"{}\" has one output, not {}", name, output + 1);
    return outputs;
  }

  /// False when a tensor among the arguments is not there yet.
  bool add_operands(const Option& option, std::vector<Operand>& operands) const {
    if (auto object = object_in(option); object && object->first == "__keras_tensor__") {
      const Option* history = find_option(object->second, "keras_history");
      auto found = history == nullptr ? std::nullopt : tensor_at(*history, false);
      if (found) operands.emplace_back(*found);
      return found.has_value();
    }
    auto* list = std::get_if<List>(&option);
    const bool of_objects = list != nullptr && std::ranges::any_of(*list, [](const Option& one) {
                              return object_in(one).has_value();
                            });
    if (!of_objects) return operands.emplace_back(constant_in(option)), true;
    return std::ranges::all_of(*list,
                               [&](const Option& one) { return add_operands(one, operands); });
  }

  static bool is_argument(CallArguments& told, const std::string& name) {
    return std::ranges::count(told.input_arguments(), name) > 0 ||
           std::ranges::count(told.call_fields(), name, &Field::name) > 0;
  }

  /// Inputs that have a keyword become operands, and flags options of the layer, which are the same
  /// in all of its calls. False when a tensor is not there yet.
  bool add_arguments(const Pending& layer, CallArguments& told, const Config& kwargs,
                     std::vector<Operand>& operands) const {
    const std::vector<std::string> names = told.input_arguments();
    std::size_t given = operands.size();  // up to the last that is there
    for (std::size_t i = given; i < names.size(); ++i)
      if (const Option* value = find_option(kwargs, names[i]);
          value != nullptr && !value->is_none())
        given = i + 1;
    for (std::size_t i = operands.size(); i < given; ++i) {
      const Option* value = find_option(kwargs, names[i]);
      if (value != nullptr && !value->is_none()) {
        if (!add_operands(*value, operands)) return false;
      } else if (operands.size() == 2) {
        operands.push_back(operands[1]);  // without a key the values are the keys
      }
    }
    for (const Field& flag : told.call_fields()) {
      const Option* value = find_option(kwargs, flag.name);
      const bool on = value != nullptr && !value->is_none() && *value != Option(false);
      if (layer.next == 0)
        flag.set(on);
      else if (flag.get() != Option(on))
        fail("Functional: the layer \"{}\" is called with {} and without, which takes two layers",
             layer.name, flag.name);
    }
    return true;
  }

  bool call(Pending& layer) {
    auto* node = std::get_if<Config>(&(*layer.nodes)[layer.next]);
    if (node == nullptr) fail("Functional: expected each node to be a dictionary");
    List args = part<List>(*node, "args", "a list");
    const Config& kwargs = part<Config>(*node, "kwargs", "a dictionary");
    Config attributes = layer.attributes;
    if (layer.op != nullptr && layer.op->call == OpClass::Call::with_key && args.size() == 2) {
      attributes.emplace_back(layer.op->in_call, args[1]);
      args.pop_back();
    }
    std::vector<Operand> operands;
    for (const Option& argument : args)
      if (!add_operands(argument, operands)) return false;
    auto* told = layer.layer ? dynamic_cast<CallArguments*>(&**layer.layer) : nullptr;
    if (told != nullptr && !add_arguments(layer, *told, kwargs, operands)) return false;
    std::vector<Operand> masks;
    for (const auto& [name, value] : kwargs) {
      if (told != nullptr && is_argument(*told, name)) continue;
      if (layer.op != nullptr && name == layer.op->in_call) {
        attributes.emplace_back(name, value);
        continue;
      }
      bool flag = false;
      if (name == "training" && from_option(value, flag)) continue;          // call_layer keeps it
      if (value.is_none() || (from_option(value, flag) && !flag)) continue;  // at rest
      if ((name != "initial_state" && name != "mask") || layer.op != nullptr)
        fail("Functional: the layer \"{}\" is called with {}, which is not known", layer.name,
             name);
      if (!add_operands(value, name == "mask" ? masks : operands)) return false;
    }
    layer.outputs.push_back(layer.op != nullptr
                                ? operation(*layer.op, attributes, operands, layer.name)
                                : call_layer(layer, operands, masks, kwargs));
    ++layer.next;
    return true;
  }

  static SymbolicTensor call_layer(const Pending& layer, const std::vector<Operand>& operands,
                                   const std::vector<Operand>& masks, const Config& kwargs) {
    SymbolicTensors inputs;
    for (const Operand& operand : operands) {
      if (!operand.symbolic)
        fail("Functional: the layer \"{}\" is called on a constant", layer.name);
      inputs.push_back(*operand.symbolic);
    }
    std::optional<bool> training;
    if (const Option* given = find_option(kwargs, "training")) from_option(*given, training);
    if (masks.empty()) return call_symbolic(*layer.layer, inputs, {}, training);
    if (masks.size() != 1 || !masks[0].symbolic)
      fail("Functional: the mask of layer \"{}\" is no tensor of the graph", layer.name);
    return call_symbolic(*layer.layer, inputs, masks[0].symbolic, training);
  }

  /// A list may be inside another one, as that of the states that a layer returned.
  static void add_histories(const Option& option, List& histories) {
    auto* list = std::get_if<List>(&option);
    if (list == nullptr || list->empty() || !std::holds_alternative<List>((*list)[0]))
      histories.push_back(option);
    else
      for (const Option& one : *list) add_histories(one, histories);
  }

  /// One [layer, call, output], a list of them, or a dictionary.
  SymbolicTensors tensors(const std::string& name, bool after_own_node) const {
    const Option* option = find_option(config_, name);
    List histories;
    if (auto* named = option == nullptr ? nullptr : std::get_if<Config>(option))
      for (const auto& entry : *named) histories.push_back(entry.second);
    else if (auto* list = option == nullptr ? nullptr : std::get_if<List>(option);
             list != nullptr && !list->empty() && std::holds_alternative<std::string>((*list)[0]))
      histories.push_back(*option);
    else if (list != nullptr)
      for (const Option& one : *list) add_histories(one, histories);
    else
      fail("Functional: expected \"{}\" to be a list", name);
    SymbolicTensors found;
    for (const Option& history : histories) {
      auto tensor = tensor_at(history, after_own_node);
      if (!tensor) fail("Functional: {}: there is no such tensor in the graph", name);
      found.push_back(*tensor);
    }
    return found;
  }

  const Config& config_;
  std::vector<Pending> pending_;
};

/// How Keras was given inputs or outputs.
ModelGraph::Structure structure_of(const Option* option) {
  ModelGraph::Structure structure;
  if (auto* named = std::get_if<Config>(option))
    for (const auto& entry : *named) structure.names.push_back(entry.first);
  if (auto* list = std::get_if<List>(option))
    structure.is_list = !list->empty() && std::holds_alternative<List>((*list)[0]);
  return structure;
}

}  // namespace

Config graph_config(const ModelGraph& graph, const std::vector<AnyLayer>& layers) {
  return GraphWriter(graph, layers).write();
}

Config sequential_config(const Model& model) {
  Config config = model.Layer::get_config();
  std::vector<AnyLayer> layers = model.sublayers();
  const bool begins = !layers.empty() && dynamic_cast<const InputLayer*>(&*layers[0]) != nullptr;
  if (model.built() && !begins) {
    std::string name = "input_layer";
    while (std::ranges::any_of(layers, [&](const AnyLayer& l) { return l->name() == name; }))
      name += "_";
    InputLayer input({}, {.name = name});
    input.set_input_shape(model.input_shape());
    input.set_dtype(model.dtype());
    layers.insert(layers.begin(), input);
  }
  config.emplace_back("layers", to_option(layers));
  if (model.built()) config.emplace_back("build_input_shape", to_option(model.input_shape()));
  return config;
}

AnyLayer functional_from_config(const Config& config) {
  Model model = GraphReader(config).read();
  model.graph_->given_inputs = structure_of(find_option(config, "input_layers"));
  model.graph_->given_outputs = structure_of(find_option(config, "output_layers"));
  return model;
}

AnyLayer sequential_from_config(const Config& config) {
  Sequential model;
  Shape input_shape;
  DType dtype = floatx();
  bool trainable = true;
  std::vector<AnyLayer> layers;
  for (const auto& [name, value] : config) {
    std::string text;
    const auto* list = std::get_if<List>(&value);
    bool fits = true;
    if (name == "name" && (fits = from_option(value, text)))
      model.set_name(text);
    else if (name == "dtype")
      fits = from_option(value, dtype);
    else if (name == "layers")
      fits = (list != nullptr && list->empty()) || from_option(value, layers);
    else if (name == "trainable")
      fits = from_option(value, trainable);
    else if (name == "build_input_shape")
      fits = from_option(value, input_shape);
    else if (name != "name")
      fail("Sequential: unknown option \"{}\"", name);
    if (!fits) fail("Sequential: the value of option \"{}\" has the wrong type", name);
  }
  model.set_dtype(dtype);
  model.set_layers(layers);
  if (!model.built() && !input_shape.empty() && !layers.empty()) model.ensure_built(input_shape);
  if (!trainable) model.set_trainable(false);
  return model;
}

}  // namespace keratin
