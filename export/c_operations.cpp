// Operations between symbolic tensors: number by number, and along axes.

#include <algorithm>
#include <map>

#include <keratin/export/internal/c_operation.h>
#include <keratin/layers/internal/operation.h>

namespace keratin::c_export {
namespace {

/// What becomes of each number y, in place.
const std::map<std::string, std::string>& unary() {
  static const std::map<std::string, std::string> table{
      {"abs", "fabsf(y[i])"},          {"ceil", "ceilf(y[i])"},
      {"cos", "cosf(y[i])"},           {"erf", "erff(y[i])"},
      {"exp", "expf(y[i])"},           {"expm1", "expm1f(y[i])"},
      {"floor", "floorf(y[i])"},       {"log", "logf(y[i])"},
      {"log10", "log10f(y[i])"},       {"log1p", "log1pf(y[i])"},
      {"logical_not", "y[i] == 0.0f"}, {"negative", "-y[i]"},
      {"reciprocal", "1.0f / y[i]"},   {"round", "rintf(y[i])"},
      {"rsqrt", "1.0f / sqrtf(y[i])"}, {"sign", "(float)((y[i] > 0.0f) - (y[i] < 0.0f))"},
      {"sin", "sinf(y[i])"},           {"sqrt", "sqrtf(y[i])"},
      {"square", "y[i] * y[i]"}};
  return table;
}

/// What becomes of each y with an x.
const std::map<std::string, std::string>& binary() {
  static const std::map<std::string, std::string> table{
      {"add", "y[i] + x[i]"},
      {"divide", "y[i] / x[i]"},
      {"equal", "y[i] == x[i]"},
      {"greater", "y[i] > x[i]"},
      {"greater_equal", "y[i] >= x[i]"},
      {"less", "y[i] < x[i]"},
      {"less_equal", "y[i] <= x[i]"},
      {"logical_and", "y[i] != 0.0f && x[i] != 0.0f"},
      {"logical_or", "y[i] != 0.0f || x[i] != 0.0f"},
      {"maximum", "fmaxf(y[i], x[i])"},
      {"minimum", "fminf(y[i], x[i])"},
      {"multiply", "y[i] * x[i]"},
      {"not_equal", "y[i] != x[i]"},
      {"power", "powf(y[i], x[i])"},
      {"subtract", "y[i] - x[i]"}};
  return table;
}

constexpr const char* reductions = R"c(
static void sum_rows(const float* x, int rows, int n, float* y) {
  for (int r = 0; r < rows; ++r) {
    y[r] = 0.0f;
    for (int i = 0; i < n; ++i) y[r] += x[r * n + i];
  }
}

static void mean_rows(const float* x, int rows, int n, float* y) {
  sum_rows(x, rows, n, y);
  for (int r = 0; r < rows; ++r) y[r] /= (float)n;
}

static void max_rows(const float* x, int rows, int n, float* y) {
  for (int r = 0; r < rows; ++r) {
    y[r] = x[r * n];
    for (int i = 1; i < n; ++i) y[r] = fmaxf(y[r], x[r * n + i]);
  }
}

static void min_rows(const float* x, int rows, int n, float* y) {
  for (int r = 0; r < rows; ++r) {
    y[r] = x[r * n];
    for (int i = 1; i < n; ++i) y[r] = fminf(y[r], x[r * n + i]);
  }
}

static void any_rows(const float* x, int rows, int n, float* y) {
  for (int r = 0; r < rows; ++r) {
    y[r] = 0.0f;
    for (int i = 0; i < n; ++i)
      if (x[r * n + i] != 0.0f) y[r] = 1.0f;
  }
}

/* y = x where the condition holds. */
static void choose(const float* condition, const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i)
    if (condition[i] != 0.0f) y[i] = x[i];
}

static void clip(float low, float high, int n, float* y) {
  for (int i = 0; i < n; ++i) y[i] = y[i] < low ? low : y[i] > high ? high : y[i];
}
)c";

std::string functions() {
  std::string text = reductions;
  for (const auto& [name, result] : unary())
    text += fmt::format(
        "\nstatic void op_{}(float* y, int n) {{\n"
        "  for (int i = 0; i < n; ++i) y[i] = {};\n}}\n",
        name, result);
  for (const auto& [name, result] : binary())
    text += fmt::format(
        "\nstatic void op_{}(const float* x, int n, float* y) {{\n"
        "  for (int i = 0; i < n; ++i) y[i] = {};\n}}\n",
        name, result);
  return text;
}

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return std::ranges::find(names, name) != names.end();
}

/// A constant of NumPy's shape as one of a sample; the axis of the batch must be 1.
Array constant(Writer& w, const Tensor& value, std::size_t rank) {
  std::vector<std::int64_t> sizes(value.shape().begin(), value.shape().end());
  if (sizes.size() == rank + 1 && sizes[0] == 1) sizes.erase(sizes.begin());
  if (sizes.size() > rank) fail("a constant of shape {} is not exported", value.shape());
  Sizes shape(rank - sizes.size(), 1);
  for (std::int64_t size : sizes) shape.push_back(size);
  return {w.constant("constant", value), shape};
}

/// All operands, constants among them.
Values operands(Writer& w, const Operation& operation, const Values& in) {
  Values list;
  auto next = in.begin();
  for (const Tensor& value : operation.constants())
    if (value.defined())
      list.push_back({constant(w, value, in[0].numbers.shape.size())});
    else
      list.push_back({(next++)->numbers});
  for (const Value& value : list)
    if (value.numbers.shape.size() != list[0].numbers.shape.size())
      fail("an operation on tensors of several ranks is not exported");
  return list;
}

Array reduced(Writer& w, const Operation& operation, const std::string& name, const Array& x) {
  const std::vector<std::size_t> axes = axes_of(operation, x);
  const Array last = axes_last(w, x, axes);
  const std::size_t rows = x.shape.size() - axes.size();
  const Option* keepdims = find_option(operation.attributes(), "keepdims");
  bool keeps = false;
  if (keepdims != nullptr) from_option(*keepdims, keeps);
  Sizes shape;
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis)
    if (std::ranges::find(axes, axis) == axes.end())
      shape.push_back(x.shape[axis]);
    else if (keeps)
      shape.push_back(1);
  const Array y = w.numbers("out", shape);
  w.call((name + "_rows").c_str(), last, product(last.shape, 0, rows),
         product(last.shape, rows, x.shape.size()), y);
  return y;
}

/// The functions of c_activations.cpp have these attributes.
void check_attributes(const Operation& operation) {
  static const Config known{{"alpha", 1.0},
                            {"negative_slope", 0.2},
                            {"b", 4.0},
                            {"threshold", 0.5},
                            {"approximate", false}};
  for (const auto& [name, value] : operation.attributes()) {
    const Option* expected = find_option(known, name);
    double given = 0, number = 0;
    const bool same = expected != nullptr &&
                      (*expected == value || (from_option(value, given) &&
                                              from_option(*expected, number) && given == number));
    if (!same && !value.is_none()) fail("{} of {} is not exported", name, text_of(value));
  }
}

}  // namespace

std::vector<std::size_t> axes_of(const Operation& operation, const Array& x) {
  const Option* axis = find_option(operation.attributes(), "axis");
  std::vector<int> axes;
  int one = 0;
  if (axis == nullptr || axis->is_none()) fail("an operation over all axes is not exported");
  if (from_option(*axis, one))
    axes = {one};
  else if (!from_option(*axis, axes))
    fail("its axis is not what the export knows");
  return sample_axes(axes, x.shape.size());
}

Values emit_operation(Writer& w, const Layer& layer, const Values& in) {
  const auto& operation = static_cast<const Operation&>(layer);
  if (operation.op() == nullptr) fail("a function of one's own is not exported");
  const std::string& name = operation.op()->name;
  const Array& x = in.at(0).numbers;
  if (is_one_of(name, {"stop_gradient", "convert_to_tensor"})) return {{x}};
  if (std::optional<Values> moved = emit_shape_operation(w, operation, in)) return *moved;
  if (is_one_of(name, {"sum", "mean", "max", "min", "any"}))
    return {{reduced(w, operation, name, x)}};
  if (is_one_of(name, {"softmax", "log_softmax", "sparsemax"})) {
    const std::vector<std::size_t> axes = axes_of(operation, x);
    Array y = axes_last(w, copied(w, x, "out"), axes);
    w.call(("apply_" + name).c_str(), y, rows_of(y.shape), y.shape.back());
    return {{axes_back(w, y, axes)}};
  }
  if (unary().contains(name)) {
    const Array y = copied(w, x, "out");
    w.call(("op_" + name).c_str(), y, product(y.shape));
    return {{y}};
  }
  if (binary().contains(name)) {
    const std::vector<Array> list = alike(w, operands(w, operation, in));
    const Array y = copied(w, list.at(0), "out");
    w.call(("op_" + name).c_str(), list.at(1), product(y.shape), y);
    return {{y}};
  }
  if (is_one_of(name, {"celu",        "elu",       "gelu",       "hard_shrink", "hard_sigmoid",
                       "hard_silu",   "hard_tanh", "leaky_relu", "log_sigmoid", "mish",
                       "relu",        "relu6",     "selu",       "sigmoid",     "silu",
                       "soft_shrink", "softplus",  "softsign",   "sparse_plus", "sparse_sigmoid",
                       "squareplus",  "tanh"})) {
    check_attributes(operation);
    const Array y = copied(w, x, "out");
    w.call(("apply_" + name).c_str(), y, 1, product(y.shape));
    return {{y}};
  }
  if (name == "where") {
    const std::vector<Array> list = alike(w, operands(w, operation, in));
    const Array y = copied(w, list.at(2), "out");
    w.call("choose", list[0], list[1], product(y.shape), y);
    return {{y}};
  }
  if (name == "clip") {
    const Array y = copied(w, x, "out");
    auto limit = [&](const char* which) {
      return w.literal(option<double>(operation.attributes(), which));
    };
    w.call("clip", limit("x_min"), limit("x_max"), product(y.shape), y);
    return {{y}};
  }
  fail("the operation \"{}\" is not exported", name);
}

Part operation_part() { return {functions(), {}}; }

}  // namespace keratin::c_export
