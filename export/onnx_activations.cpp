// The activations (keras/src/activations/activations.py), by the formulas of core/functions.h.
// Operators of ONNX that do the same stand for them where ONNX Runtime has them for float64, too.

#include <cmath>
#include <numbers>

#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>
#include <keratin/layers/activations.h>
#include <keratin/layers/registry.h>

namespace keratin::onnx {

namespace {

Value relu(const Value& x) { return unary("Relu", x); }
Value sigmoid(const Value& x) { return unary("Sigmoid", x); }
Value tanh(const Value& x) { return unary("Tanh", x); }
Value exp(const Value& x) { return unary("Exp", x); }
Value abs(const Value& x) { return unary("Abs", x); }
Value clip(const Value& x, double low, double high) { return minimum(maximum(x, low), high); }
// log(1 + e^x) without overflow.
Value softplus(const Value& x) { return maximum(x, 0.0) + unary("Log", exp(-abs(x)) + 1.0); }
Value hard_sigmoid(const Value& x) { return clip(x + 3.0, 0, 6) / 6.0; }
Value sparse_sigmoid(const Value& x) { return clip((x + 1.0) * 0.5, 0, 1); }
Value selu(const Value& x) {
  return elu(x, 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946;
}
Value sparse_plus(const Value& x) {
  const Value s = sparse_sigmoid(x);
  return where(x >= 1.0, x, s * s);
}

using Function = Value (*)(const Value&);
const std::map<std::string, Function>& by_name() {
  static const std::map<std::string, Function> table{
      {"celu", [](const Value& x) { return celu(x, 1); }},
      {"elu", [](const Value& x) { return elu(x, 1); }},
      {"exponential", exp},
      {"gelu", [](const Value& x) { return gelu(x, false); }},
      {"glu", [](const Value& x) { return glu(x, -1); }},
      {"hard_shrink", [](const Value& x) { return hard_shrink(x, 0.5); }},
      {"hard_sigmoid", hard_sigmoid},
      {"hard_silu", [](const Value& x) { return x * hard_sigmoid(x); }},
      {"hard_swish", [](const Value& x) { return x * hard_sigmoid(x); }},
      {"hard_tanh", [](const Value& x) { return clip(x, -1, 1); }},
      {"leaky_relu", [](const Value& x) { return leaky_relu(x, 0.2); }},
      {"linear", [](const Value& x) { return x; }},
      {"log_sigmoid", [](const Value& x) { return -softplus(-x); }},
      {"log_softmax", [](const Value& x) { return log_softmax(x, -1); }},
      {"mish", [](const Value& x) { return x * tanh(softplus(x)); }},
      {"relu", relu},
      {"relu6", [](const Value& x) { return clip(x, 0, 6); }},
      {"selu", selu},
      {"sigmoid", sigmoid},
      {"silu", [](const Value& x) { return x * sigmoid(x); }},
      {"soft_shrink", [](const Value& x) { return soft_shrink(x, 0.5); }},
      {"softmax", [](const Value& x) { return softmax(x, {-1}); }},
      {"softplus", softplus},
      {"softsign", [](const Value& x) { return x / (abs(x) + 1.0); }},
      {"sparse_plus", sparse_plus},
      {"sparse_sigmoid", sparse_sigmoid},
      {"sparsemax", [](const Value& x) { return sparsemax(x, -1); }},
      {"squareplus", [](const Value& x) { return squareplus(x, 4); }},
      {"swish", [](const Value& x) { return x * sigmoid(x); }},
      {"tanh", tanh},
      {"tanh_shrink", [](const Value& x) { return x - tanh(x); }},
  };
  return table;
}

}  // namespace

Value elu(const Value& x, double alpha) {
  return where(x > 0.0, x, (exp(minimum(x, 0.0)) - 1.0) * alpha);
}
Value celu(const Value& x, double alpha) {
  return where(x > 0.0, x, (exp(minimum(x, 0.0) / alpha) - 1.0) * alpha);
}
Value leaky_relu(const Value& x, double negative_slope) {
  return where(x > 0.0, x, x * negative_slope);
}
Value gelu(const Value& x, bool approximate) {
  const Value inner = approximate ? tanh((x + x * x * x * 0.044715) * 0.79788456080286536)
                                  : unary("Erf", x * (1 / std::numbers::sqrt2));
  return x * 0.5 * (inner + 1.0);
}
Value hard_shrink(const Value& x, double threshold) { return where(abs(x) <= threshold, 0.0, x); }
Value soft_shrink(const Value& x, double threshold) { return x - clip(x, -threshold, threshold); }
Value squareplus(const Value& x, double b) {
  const Value size = abs(x), upper = (size + unary("Sqrt", size * size + b)) * 0.5;
  return where(x > 0.0, upper, Value(0.25 * b) / upper);
}
Value glu(const Value& x, int axis) {
  const Values halves = split(x, 2, axis);
  return halves[0] * sigmoid(halves[1]);
}
Value log_softmax(const Value& x, int axis) {
  return node("LogSoftmax", {to_float(x)}, x.shape, to_float(x).type,
              {{"axis", std::int64_t{axis}}});
}

// The numbers above a limit, less that limit, sum to 1 (Martins and Astudillo, arXiv:1602.02068).
Value sparsemax(const Value& given, int axis) {
  const Value x = to_float(given);
  const Value z = top_k(x, size_of(x, axis), axis, /*largest=*/true)[0];
  const Value place = cumsum(where(equal(z, z), 1.0, z), axis);  // 1, 2, ...
  const Value above = z * place + 1.0 > cumsum(z, axis);
  const Value count = reduce("ReduceSum", cast(above, x.type), {axis}, true),
              sum = reduce("ReduceSum", where(above, z, 0.0), {axis}, true);
  return maximum(x - (sum - 1.0) / count, 0.0);
}

Value activate(const Option& activation, const Value& x) {
  if (activation.is_none()) return x;
  if (auto function = function_in(activation))
    fail("the activation \"{}\" is a function of one's own, of which an export knows nothing",
         *function);
  std::string name;
  if (from_option(activation, name)) {
    const auto found = by_name().find(name);
    if (found == by_name().end()) fail("the activation \"{}\" has no form in ONNX", name);
    return name == "linear" ? x : found->second(to_float(x));
  }
  const auto object = object_in(activation);
  if (!object) fail("the activation {} has no form in ONNX", text_of(activation));
  const AnyLayer layer = layer_from_config(object->first, object->second);
  x.writer->kept.push_back(layer);
  layer->ensure_built(x.shape);
  if (!layer->weights().empty()) fail("the activation {} has weights", object->first);
  return export_layer(*x.writer, *layer, {x}, {Value()}).first[0];
}

}  // namespace keratin::onnx
