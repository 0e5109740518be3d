// The ops that a graph knows by name: how each is made from the attributes that a config holds.

#include <cctype>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/internal/graph_node.h>
#include <keratin/layers/internal/operation.h>
#include <keratin/layers/internal/shape_trial.h>

namespace keratin {

// --- what attributes are in C++

namespace {

using IntPairs = std::vector<std::array<std::int64_t, 2>>;

bool from_option(const Option& option, std::vector<std::int64_t>& value) {
  std::vector<int> read;
  if (!keratin::from_option(option, read)) return false;
  value.assign(read.begin(), read.end());
  return true;
}
bool from_option(const Option& option, std::array<std::int64_t, 2>& value) {
  std::vector<std::int64_t> pair;
  if (!from_option(option, pair) || pair.size() != 2) return false;
  value = {pair[0], pair[1]};
  return true;
}
bool from_option(const Option& option, IntPairs& value) {
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr) return false;
  for (const Option& part : *list)
    if (!from_option(part, value.emplace_back())) return false;
  return true;
}
// A slice of Python, or one index.
bool from_option(const Option& option, Index& value) {
  std::int64_t one = 0;
  if (from_option(option, one)) return value = Index(one), true;
  auto object = object_in(option);
  if (!object || object->first != "__slice__") return false;
  Range range;
  for (const auto& [name, limit] : object->second) {
    std::int64_t* member = name == "start"  ? &range.start
                           : name == "stop" ? &range.stop
                           : name == "step" ? &range.step
                                            : nullptr;
    if (member == nullptr) return false;
    if (!limit.is_none() && !keratin::from_option(limit, *member)) return false;
  }
  return value = Index(range), true;
}
bool from_option(const Option& option, std::vector<Index>& value) {
  if (Index one = All(); from_option(option, one)) return value = {one}, true;
  auto* list = std::get_if<std::vector<Option>>(&option);
  if (list == nullptr) return false;
  value.clear();
  for (const Option& part : *list)
    if (!from_option(part, value.emplace_back(All()))) return false;
  return true;
}

}  // namespace

std::optional<std::vector<Index>> indices_of(const Option& key) {
  std::vector<Index> indices;
  if (!from_option(key, indices)) return {};
  return indices;
}

/// What a config says of an op. Each attribute has Keras's name; one that is not read must be at
/// rest (None, false).
class Attributes {
 public:
  Attributes(std::string op, Config config) : op_(std::move(op)), config_(std::move(config)) {}

  template <class T>
  T get(const std::string& name) const {
    if (find_option(config_, name) == nullptr) fail("{}: option \"{}\" is missing", op_, name);
    return get(name, T());
  }
  template <class T>
  T get(const std::string& name, T otherwise) const {
    const Option* option = find_option(config_, name);
    read_.push_back(name);
    if (option != nullptr && !from_option(*option, otherwise))
      fail("{}: the value of option \"{}\" has the wrong type", op_, name);
    return otherwise;
  }
  Axes axes(const std::string& name = "axis") const {
    const Option* option = find_option(config_, name);
    auto list = get(name, std::vector<int>());
    return option == nullptr || option->is_none() ? Axes() : Axes(list);
  }
  int axis() const { return get<int>("axis"); }
  bool keepdims() const { return get<bool>("keepdims", false); }
  /// Keras knows other values of this attribute.
  template <class T>
  void only(const std::string& name, T value) const {
    if (const T given = get(name, value); given != value)
      fail("{}: {}: only {} is known, got {}", op_, name, value, given);
  }
  void check_all_read() const {
    std::vector<Field> fields;
    for (const std::string& name : read_) fields.push_back(Field::without_effect(name, {}));
    configure(op_, fields, config_);
  }

 private:
  std::string op_;
  Config config_;
  mutable std::vector<std::string> read_;
};

namespace {

using A = const Attributes&;
using Call = OpClass::Call;

void expect(std::size_t operands, const Tensors& in) {
  if (in.size() != operands) fail("expected {} operands, got {}", operands, in.size());
}
template <class F>
OpFunction unary(F f) {
  return [f](const Tensors& in) -> Tensors {
    expect(1, in);
    return {f(in[0])};
  };
}
template <class F>
OpFunction binary(F f) {
  return [f](const Tensors& in) -> Tensors {
    expect(2, in);
    return {f(in[0], in[1])};
  };
}

// "log_softmax" -> "LogSoftmax"
std::string class_name_of(std::string_view name) {
  std::string text;
  bool begins = true;
  for (char c : name) {
    if (c != '_') text += static_cast<char>(begins ? std::toupper(c) : c);
    begins = c == '_';
  }
  return text;
}

// Which part of keras/src/ops has the class; most are in numpy.
std::string module_of(const std::string& name) {
  static const std::map<std::string, std::vector<std::string>> others{
      {"nn",
       {"celu",       "elu",       "gelu",       "glu",         "hard_shrink",    "hard_sigmoid",
        "hard_silu",  "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax",    "one_hot",
        "relu",       "relu6",     "selu",       "sigmoid",     "silu",           "soft_shrink",
        "softmax",    "softplus",  "softsign",   "sparse_plus", "sparse_sigmoid", "sparsemax",
        "squareplus", "threshold"}},
      {"math", {"erf", "logsumexp", "rsqrt", "top_k"}},
      {"image", {"resize"}},
      {"linalg", {"norm"}},
      {"core", {"astype", "convert_to_tensor", "stop_gradient"}},
      {"", {"mish", "sliding_window"}}};
  for (const auto& [module, names] : others)
    if (std::ranges::find(names, name) != names.end()) return module;
  return "numpy";
}

OpClass op(const char* name, OpFunction (*choose)(A), Call call = Call::one_by_one,
           const char* in_call = "") {
  static const std::map<std::string, std::string> others{{"abs", "Absolute"},
                                                         {"astype", "Cast"},
                                                         {"divide", "TrueDivide"},
                                                         {"searchsorted", "SearchSorted"},
                                                         {"slice", "GetItem"}};
  auto other = others.find(name);
  return {name,
          other == others.end() ? class_name_of(name) : other->second,
          module_of(name),
          choose,
          call,
          in_call};
}

#define KERATIN_UNARY(name, Functor) \
  op(#name, [](A) { return unary([](const Tensor& x) { return name(x); }); }),
#define KERATIN_BINARY(name, Functor) PLAIN_BINARY(name)
#define KERATIN_FUNCTOR(Functor)
#define KERATIN_STEP(Functor)
#define PLAIN_UNARY(name) KERATIN_UNARY(name, )
#define PLAIN_BINARY(name) \
  op(#name, [](A) { return binary([](const Tensor& x, const Tensor& y) { return name(x, y); }); }),
#define REDUCTION(name)                                                        \
  op(#name, [](A a) {                                                          \
    return unary([axes = a.axes(), keepdims = a.keepdims()](const Tensor& x) { \
      return name(x, axes, keepdims);                                          \
    });                                                                        \
  }),
#define ALONG_AXIS(name) \
  op(#name,              \
     [](A a) { return unary([axis = a.axis()](const Tensor& x) { return name(x, axis); }); }),
#define WITH_NUMBER(name, attribute, standard)                                             \
  op(#name, [](A a) {                                                                      \
    return unary(                                                                          \
        [n = a.get(attribute, double{standard})](const Tensor& x) { return name(x, n); }); \
  }),

const std::vector<OpClass>& op_classes() {
  static const std::vector<OpClass> all{
  // clang-format off
#include <keratin/core/catalogue.def>
      PLAIN_BINARY(add) PLAIN_BINARY(subtract) PLAIN_BINARY(dot) PLAIN_BINARY(matmul)
      PLAIN_BINARY(equal) PLAIN_BINARY(not_equal) PLAIN_BINARY(less) PLAIN_BINARY(less_equal)
      PLAIN_BINARY(greater) PLAIN_BINARY(greater_equal) PLAIN_BINARY(logical_and)
      PLAIN_BINARY(logical_or) PLAIN_BINARY(logical_xor)
      op("logical_not", [](A) { return unary([](const Tensor& x) { return logical_not(x); }); }),
      op("isnan", [](A) { return unary([](const Tensor& x) { return isnan(x); }); }),
      op("isinf", [](A) { return unary([](const Tensor& x) { return isinf(x); }); }),
      op("isfinite", [](A) { return unary([](const Tensor& x) { return isfinite(x); }); }),
      op("stop_gradient", [](A) { return unary([](const Tensor& x) { return stop_gradient(x); }); }),
      REDUCTION(sum) REDUCTION(mean) REDUCTION(max) REDUCTION(min) REDUCTION(prod) REDUCTION(var)
      REDUCTION(std) REDUCTION(logsumexp) REDUCTION(norm) REDUCTION(any)
      ALONG_AXIS(cumsum) ALONG_AXIS(cumprod) ALONG_AXIS(softmax) ALONG_AXIS(log_softmax)
      ALONG_AXIS(sparsemax) ALONG_AXIS(glu) ALONG_AXIS(expand_dims) ALONG_AXIS(sort)
      ALONG_AXIS(argsort)
      WITH_NUMBER(celu, "alpha", 1) WITH_NUMBER(elu, "alpha", 1)
      WITH_NUMBER(leaky_relu, "negative_slope", 0.2) WITH_NUMBER(squareplus, "b", 4)
      WITH_NUMBER(hard_shrink, "threshold", 0.5) WITH_NUMBER(soft_shrink, "threshold", 0.5)
      // clang-format on
      op("argmax",
         [](A a) {
           return unary([axis = a.axis(), keepdims = a.keepdims()](const Tensor& x) {
             return argmax(x, axis, keepdims);
           });
         }),
      op("argmin",
         [](A a) {
           return unary([axis = a.axis(), keepdims = a.keepdims()](const Tensor& x) {
             return argmin(x, axis, keepdims);
           });
         }),
      op("gelu",
         [](A a) {
           return unary([approximate = a.get("approximate", true)](const Tensor& x) {
             return gelu(x, approximate);
           });
         }),
      op("threshold",
         [](A a) {
           return unary([limit = a.get<double>("threshold"),
                         below = a.get<double>("default_value")](const Tensor& x) {
             return threshold(x, limit, below);
           });
         }),
      op("clip",
         [](A a) {
           return unary([low = a.get<double>("x_min"), high = a.get<double>("x_max")](
                            const Tensor& x) { return clip(x, low, high); });
         }),
      op("where",
         [](A) -> OpFunction {
           return [](const Tensors& in) -> Tensors {
             expect(3, in);
             return {where(in[0], in[1], in[2])};
           };
         }),
      op("einsum",
         [](A a) -> OpFunction {
           return [equation = a.get<std::string>("subscripts")](const Tensors& in) -> Tensors {
             return {einsum(equation, in)};
           };
         }),
      op("concatenate",
         [](A a) -> OpFunction {
           return [axis = a.axis()](const Tensors& in) -> Tensors {
             return {concatenate(in, axis)};
           };
         },
         Call::as_list),
      op("stack",
         [](A a) -> OpFunction {
           return [axis = a.axis()](const Tensors& in) -> Tensors { return {stack(in, axis)}; };
         },
         Call::as_list),
      op("split",
         [](A a) -> OpFunction {
           return [parts = a.get<int>("indices_or_sections"), axis = a.axis()](const Tensors& in) {
             expect(1, in);
             return split(in[0], parts, axis);
           };
         }),
      // newshape may hold -1, which a Shape in a config would take for None.
      op("reshape",
         [](A a) {
           auto sizes = a.get<std::vector<int>>("newshape");
           return unary([shape = Shape(std::vector<std::int64_t>(sizes.begin(), sizes.end()))](
                            const Tensor& x) { return reshape(x, shape); });
         }),
      op("transpose",
         [](A a) {
           return unary([axes = a.get<std::vector<int>>("axes")](const Tensor& x) {
             return transpose(x, axes);
           });
         }),
      op("swapaxes",
         [](A a) {
           return unary([one = a.get<int>("axis1"), other = a.get<int>("axis2")](const Tensor& x) {
             return swapaxes(x, one, other);
           });
         }),
      op("moveaxis",
         [](A a) {
           return unary([from = a.get<int>("source"), to = a.get<int>("destination")](
                            const Tensor& x) { return moveaxis(x, from, to); });
         }),
      op("squeeze",
         [](A a) {
           return unary([axes = a.axes()](const Tensor& x) { return squeeze(x, axes); });
         }),
      op("flip",
         [](A a) { return unary([axes = a.axes()](const Tensor& x) { return flip(x, axes); }); }),
      op("repeat",
         [](A a) {
           return unary([times = a.get<std::int64_t>("repeats"), axis = a.axis()](
                            const Tensor& x) { return repeat(x, times, axis); });
         }),
      op("pad",
         [](A a) {
           a.only("mode", std::string("constant"));
           const auto constant = a.get("constant_values", std::optional<double>());
           return unary([widths = a.get<IntPairs>("pad_width"), value = constant.value_or(0)](
                            const Tensor& x) { return pad(x, widths, value); });
         },
         Call::with_keyword, "constant_values"),
      op("roll",
         [](A a) {
           return unary([shift = a.get<std::int64_t>("shift"),
                         axis = a.get("axis", std::optional<int>())](const Tensor& x) {
             return axis ? roll(x, shift, *axis) : roll(x, shift);
           });
         }),
      op("tril",
         [](A a) { return unary([k = a.get("k", 0)](const Tensor& x) { return tril(x, k); }); }),
      op("triu",
         [](A a) { return unary([k = a.get("k", 0)](const Tensor& x) { return triu(x, k); }); }),
      op("top_k",
         [](A a) -> OpFunction {
           return [k = a.get<std::int64_t>("k"), sorted = a.get("sorted", true)](const Tensors& in) {
             expect(1, in);
             const auto [values, indices] = top_k(in[0], k, sorted);
             return Tensors{values, indices};
           };
         }),
      op("searchsorted",
         [](A a) {
           return binary([side = a.get("side", std::string("left"))](
                             const Tensor& sequence, const Tensor& values) {
             return searchsorted(sequence, values, side);
           });
         }),
      op("resize",
         [](A a) {
           const auto size = a.get<std::array<std::int64_t, 2>>("size");
           const ResizeOptions options{
               .interpolation = a.get("interpolation", std::string("bilinear")),
               .antialias = a.get("antialias", false),
               .crop_to_aspect_ratio = a.get("crop_to_aspect_ratio", false),
               .pad_to_aspect_ratio = a.get("pad_to_aspect_ratio", false),
               .fill_value = a.get("fill_value", 0.0),
               .data_format = a.get("data_format", std::optional<std::string>())
                                  .value_or("channels_last")};
           a.only("fill_mode", std::string("constant"));
           return unary([=](const Tensor& x) { return resize(x, size, options); });
         }),
      op("tile",
         [](A a) {
           return unary([times = a.get<std::vector<std::int64_t>>("repeats")](const Tensor& x) {
             return tile(x, times);
           });
         }),
      op("diagonal",
         [](A a) {
           a.only("axis1", -2);
           a.only("axis2", -1);
           return unary(
               [offset = a.get<int>("offset")](const Tensor& x) { return diagonal(x, offset); });
         }),
      op("sliding_window",
         [](A a) {
           return unary([axis = a.axis(), size = a.get<std::int64_t>("size"),
                         step = a.get<std::int64_t>("step", 1)](const Tensor& x) {
             return sliding_window(x, axis, size, step);
           });
         }),
      op("astype",
         [](A a) {
           return unary(
               [dtype = a.get<DType>("dtype")](const Tensor& x) { return astype(x, dtype); });
         }),
      op("convert_to_tensor",  // in the masks that Keras computes
         [](A a) {
           return unary([dtype = a.get("dtype", std::optional<DType>())](const Tensor& x) {
             return dtype ? astype(x, *dtype) : x;
           });
         }),
      op("zeros_like",
         [](A a) {
           return unary([dtype = a.get("dtype", std::optional<DType>())](const Tensor& x) {
             return zeros(x.shape(), dtype.value_or(x.dtype()), x.device());
           });
         }),
      op("ones_like",
         [](A a) {
           return unary([dtype = a.get("dtype", std::optional<DType>())](const Tensor& x) {
             return ones(x.shape(), dtype.value_or(x.dtype()), x.device());
           });
         }),
      op("slice",
         [](A a) {
           return unary([indices = a.get<std::vector<Index>>("key")](const Tensor& x) {
             return slice(x, indices);
           });
         },
         Call::with_key, "key"),
      op("take",
         [](A a) {
           return binary([axis = a.axis()](const Tensor& x, const Tensor& indices) {
             return take(x, indices, axis);
           });
         }),
      op("take_along_axis",
         [](A a) {
           return binary([axis = a.axis()](const Tensor& x, const Tensor& indices) {
             return take_along_axis(x, indices, axis);
           });
         }),
      op("one_hot",
         [](A a) {
           a.only("axis", -1);
           return unary([classes = a.get<std::int64_t>("num_classes"),
                         dtype = a.get<DType>("dtype", float32)](const Tensor& x) {
             return one_hot(x, classes, dtype);
           });
         }),
  };
  return all;
}

}  // namespace

const OpClass& op_named(std::string_view name) {
  for (const OpClass& known : op_classes())
    if (known.name == name) return known;
  fail("unknown op \"{}\"", name);
}

const OpClass& op_of_class(const std::string& class_name) {
  // Keras has two classes each for these, of the function and of the operator.
  const std::string name = class_name == "Abs"      ? "Absolute"
                           : class_name == "Divide" ? "TrueDivide"
                                                    : class_name;
  std::vector<std::string> names;
  for (const OpClass& known : op_classes()) {
    if (known.class_name == name) return known;
    names.push_back(known.class_name);
  }
  fail_unknown("unknown op class", class_name, names);
}

// --- an op as a layer

Operation::Operation(std::string_view name, const OpClass* op, Config attributes, Tensors constants,
                     OpFunction function)
    : class_name_(op == nullptr ? class_name_of(name) : op->class_name),
      op_(op),
      attributes_(std::move(attributes)),
      constants_(std::move(constants)),
      function_(std::move(function)) {}

Tensors Operation::call(const Tensors& inputs) {
  Tensors operands = constants_;
  auto next = inputs.begin();
  for (Tensor& operand : operands)
    if (!operand.defined()) operand = *next++;
  return function_(operands);
}

Config Operation::get_config() const {
  if (op_ == nullptr)
    fail("{}: an operation by a function of one's own has no class that a config could hold",
         name());
  Config config{{"name", name()}};
  for (const auto& attribute : attributes_)
    if (attribute.first != op_->in_call) config.push_back(attribute);
  return config;
}

namespace {

SymbolicTensor operation(std::string_view name, const OpClass* op, const Config& attributes,
                         OpFunction function, const std::vector<Operand>& operands,
                         const std::string& layer_name) {
  SymbolicTensors inputs;
  Tensors constants;
  for (const Operand& operand : operands) {
    if (operand.symbolic) inputs.push_back(*operand.symbolic);
    constants.push_back(operand.constant);
    if (!operand.symbolic && !operand.constant.defined()) fail("{}: a tensor is undefined", name);
  }
  if (inputs.empty()) fail("{}: expected a symbolic tensor among the operands", name);
  auto shared =
      std::make_shared<Operation>(name, op, attributes, std::move(constants), std::move(function));
  AnyLayer layer(shared);
  if (!layer_name.empty()) layer->set_name(layer_name);
  GraphNode node{layer, inputs, {}, {}};
  TensorKinds kinds;
  for (const SymbolicTensor& input : inputs)
    kinds.push_back(TensorKind{input.shape(), input.dtype()});
  try {
    auto call = [&](const Tensors& in) { return shared->call(in); };
    for (const auto& output : tried_kinds(kinds, op != nullptr, default_device(), call)) {
      if (!output) fail("{}: an output is undefined", name);
      node.shapes.push_back(output->shape);
      node.dtypes.push_back(output->dtype);
    }
  } catch (const std::invalid_argument& error) {
    fail("{}: {}.\n  {}{}", layer->name(), error.what(), path_to(inputs[0]), layer->name());
  }
  Shapes shapes;
  for (const SymbolicTensor& input : inputs) shapes.push_back(input.shape());
  layer->ensure_built(shapes);
  return GraphNode::outputs_of(std::make_shared<GraphNode>(std::move(node)));
}

}  // namespace

SymbolicTensor operation(std::string_view name, std::function<Tensors(const Tensors&)> function,
                         const std::vector<Operand>& operands) {
  return operation(name, nullptr, {}, std::move(function), operands, "");
}

SymbolicTensor operation(const OpClass& op, const Config& attributes,
                         const std::vector<Operand>& operands, const std::string& name) {
  const Attributes chosen(op.class_name, attributes);
  OpFunction function = op.choose(chosen);
  chosen.check_all_read();
  return operation(op.name, &op, attributes, std::move(function), operands, name);
}

}  // namespace keratin
