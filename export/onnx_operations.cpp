// The ops that a model applies to symbolic tensors, by the names of layers/operations.cpp.

#include <algorithm>
#include <limits>

#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>
#include <keratin/layers/internal/operation.h>

namespace keratin::onnx {

Values top_k(const Value& x, const Size& k, int axis, bool largest) {
  axis = normalize_axis(axis, x.rank(), "axis");
  Values found = nodes("TopK", {x, shape_value(*x.writer, {k})},
                       std::vector<Shape>(2, x.shape.with(axis, k.known)), x.type,
                       {{"axis", std::int64_t{axis}}, {"largest", std::int64_t{largest}}});
  found[1].type = Type::int64;
  found[1] = cast(found[1], Type::int32);
  return found;
}

Value cumsum(const Value& x, int axis) {
  return node("CumSum", {x, x.writer->number(normalize_axis(axis, x.rank(), "axis"), Type::int32)},
              x.shape, x.type);
}

namespace {

constexpr std::int64_t first = std::numeric_limits<std::int64_t>::min(),
                       last = std::numeric_limits<std::int64_t>::max();

int axis_of(const Call& call) { return call.option<int>("axis"); }

double number_or(const Call& call, const char* name, double otherwise) {
  return call.has_option(name) ? call.option<double>(name) : otherwise;
}

Values same(Call& call) { return call.inputs; }

Value logical_xor(const Value& x, const Value& y) {
  return compare("Xor", cast(x, Type::boolean), cast(y, Type::boolean));
}

// The last axis of x by the axis before the last of y.
Value product(const Value& x, const Value& y) {
  const Value a = x.rank() == 1 ? expand_dims(x, {0}) : x;
  const Value b = y.rank() == 1 ? expand_dims(y, {1}) : y;
  Value z = matmul(a, b);
  if (y.rank() == 1) z = squeeze(z, {-1});
  if (x.rank() == 1) z = squeeze(z, {y.rank() == 1 ? -1 : -2});
  return z;
}
Value dot(const Value& x, const Value& y) {
  if (x.is_number || y.is_number) return x * y;
  if (y.rank() > 2) fail("a dot with a tensor of rank {} has no form in ONNX", y.rank());
  return product(x, y);
}

// --- reductions

// A sum of booleans counts them.
Value summable(const Value& x) { return x.type == Type::boolean ? cast(x, Type::int32) : x; }

template <const char* op, bool of_floats>
Values reduction(Call& call) {
  const Value x = of_floats ? to_float(call.x()) : summable(call.x());
  return {reduce(op, x, call.axes(), call.flag("keepdims"))};
}
constexpr char sum[] = "ReduceSum", mean[] = "ReduceMean", max[] = "ReduceMax", min[] = "ReduceMin",
               prod[] = "ReduceProd";

Value variance(Call& call) {
  const Value x = to_float(call.x()), centred = x - reduce(mean, x, call.axes(), true);
  return reduce(mean, centred * centred, call.axes(), call.flag("keepdims"));
}

// log sum e^x without overflow.
Values logsumexp(Call& call) {
  const Value x = to_float(call.x()), most = reduce(max, x, call.axes(), true);
  const Value log = unary("Log", reduce(sum, unary("Exp", x - most), call.axes(), true)) + most;
  if (call.flag("keepdims")) return {log};
  return {reduce(max, log, call.axes())};
}

Values norm(Call& call) {
  return {root_of_squares(to_float(call.x()), call.axes(), call.flag("keepdims"))};
}

Values any_of(Call& call) { return {any(call.x(), call.axes(), call.flag("keepdims"))}; }

template <bool largest>
Values best(Call& call) {
  const int axis = normalize_axis(axis_of(call), call.x().rank(), "axis");
  const bool keepdims = call.flag("keepdims");
  const Shape& shape = call.x().shape;
  return {cast(node(largest ? "ArgMax" : "ArgMin", {call.x()},
                    keepdims ? shape.with(axis, 1) : shape.without(axis), Type::int64,
                    {{"axis", std::int64_t{axis}}, {"keepdims", std::int64_t{keepdims}}}),
               Type::int32)};
}

// --- shapes

Values stack(Call& call) {
  Values parts;
  for (const Value& x : call.inputs) parts.push_back(expand_dims(x, {axis_of(call)}));
  return {concatenate(parts, axis_of(call))};
}

Values reshape_op(Call& call) {
  Sizes sizes;
  for (int size : call.option<std::vector<int>>("newshape")) sizes.emplace_back(size);
  return {reshape(call.x(), sizes)};
}

Values swapaxes(Call& call) {
  std::vector<int> order;
  for (int axis = 0; axis < call.x().rank(); ++axis) order.push_back(axis);
  auto place = [&](const char* name) {
    return std::size_t(normalize_axis(call.option<int>(name), call.x().rank(), "axis"));
  };
  std::swap(order[place("axis1")], order[place("axis2")]);
  return {transpose(call.x(), order)};
}

Values squeeze_op(Call& call) {
  std::vector<int> axes = call.axes();
  if (axes.empty())
    for (int axis = 0; axis < call.x().rank(); ++axis)
      if (call.x().shape[axis] == 1) axes.push_back(axis);
  return {squeeze(call.x(), axes)};
}

Values flip_op(Call& call) {
  Value y = call.x();
  std::vector<int> axes = call.axes();
  if (axes.empty())
    for (int axis = 0; axis < y.rank(); ++axis) axes.push_back(axis);
  for (int axis : axes) y = flip(y, axis);
  return {y};
}

Values pad_op(Call& call) {
  std::vector<std::pair<std::int64_t, std::int64_t>> widths;
  for (const Option& one : std::get<std::vector<Option>>(call.option("pad_width"))) {
    std::vector<int> ends;
    if (!from_option(one, ends) || ends.size() != 2) fail("pad_width has an unexpected value");
    widths.emplace_back(ends[0], ends[1]);
  }
  return {pad(call.x(), widths, number_or(call, "constant_values", 0))};
}

Values roll(Call& call) {
  if (!call.has_option("axis")) fail("roll without an axis has no form in ONNX here");
  const std::int64_t shift = call.option<int>("shift");
  if (shift == 0) return {call.x()};
  const int axis = axis_of(call);
  return {concatenate({slice(call.x(), axis, -shift, last), slice(call.x(), axis, first, -shift)},
                      axis)};
}

template <bool upper>
Values triangle(Call& call) {
  const Value& x = call.x();
  const double k = number_or(call, "k", 0);
  const Value above =
      arange(call.writer, size_of(x, -1)) - expand_dims(arange(call.writer, size_of(x, -2)), {1});
  return {where(upper ? above >= k : above <= k, x, 0.0)};
}

Values tile(Call& call) {
  const std::vector<int> times = call.option<std::vector<int>>("repeats");
  Value x = call.x();
  Shape shape = x.shape;
  if (static_cast<int>(times.size()) != x.rank())
    fail("tile needs a number for each axis, got {} for rank {}", times.size(), x.rank());
  for (int axis = 0; axis < x.rank(); ++axis)
    if (shape[axis] != None) shape[axis] *= times[std::size_t(axis)];
  return {node("Tile", {x, call.writer.integers({times.begin(), times.end()})}, shape, x.type)};
}

Values slice_op(Call& call) {
  const Option& key = call.option("key");
  auto* list = std::get_if<std::vector<Option>>(&key);
  const std::vector<Option> indices = list != nullptr ? *list : std::vector<Option>{key};
  Value y = call.x();
  int axis = 0;
  for (const Option& index : indices) {
    std::int64_t one = 0;
    if (from_option(index, one)) {
      y = at(y, axis, one);
      continue;
    }
    const auto object = object_in(index);
    if (!object || object->first != "__slice__") fail("key has an unexpected value");
    auto limit = [&](const char* name, std::int64_t otherwise) {
      const Option* given = find_option(object->second, name);
      if (given != nullptr && !given->is_none()) from_option(*given, otherwise);
      return otherwise;
    };
    const std::int64_t step = limit("step", 1);
    const std::int64_t start = limit("start", step > 0 ? 0 : last),
                       stop = limit("stop", step > 0 ? last : first);
    if (start != 0 || stop != last || step != 1) y = slice(y, axis, start, stop, step);
    ++axis;
  }
  return {y};
}

Values take_along_axis(Call& call) {
  const int axis = normalize_axis(axis_of(call), call.x().rank(), "axis");
  return {node("GatherElements", {call.x(), call.inputs[1]}, call.inputs[1].shape, call.x().type,
               {{"axis", std::int64_t{axis}}})};
}

// How many of the sequence come before each value.
Values searchsorted(Call& call) {
  const Value sequence = call.x(), values = expand_dims(call.inputs[1], {call.inputs[1].rank()});
  const bool right = call.has_option("side") && call.option<std::string>("side") == "right";
  return {reduce(sum, cast(right ? sequence <= values : sequence < values, Type::int32), {-1})};
}

// One factor after the other.
Values cumprod(Call& call) {
  const int axis = normalize_axis(axis_of(call), call.x().rank(), "axis");
  if (call.x().rank() < 2) fail("cumprod of one axis has no form in ONNX here");
  const Value x = moveaxis(summable(call.x()), axis, 1);
  Sizes sizes = sizes_of(x);
  sizes.erase(sizes.begin() + 1);
  const Value one = broadcast_to(call.writer.number(1, x.type), sizes);
  const Values results =
      scan(call.writer, {one}, {x}, [](const Values& so_far, const Values& next) {
        const Value product = so_far[0] * next[0];
        return Values{product, product};
      });
  return {moveaxis(results[1], 1, axis)};
}

// Of the last two axes, as a square: "abcc->abc".
Values diagonal(Call& call) {
  Value x = to_float(call.x());
  const int offset = call.option<int>("offset");
  if (x.shape[-1] == None || x.shape[-2] == None)
    fail("a diagonal of axes whose sizes are not known has no form in ONNX here");
  if (offset > 0) x = slice(x, -1, offset, last);
  if (offset < 0) x = slice(x, -2, -offset, last);
  const std::int64_t size = std::min(x.shape[-1], x.shape[-2]);
  x = slice(slice(x, -1, 0, size), -2, 0, size);
  std::string in;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) in += static_cast<char>('a' + axis);
  return {cast(einsum(in + in.back() + "->" + in, {x}, x.shape.without(-1)), call.x().type)};
}

Values sliding_window(Call& call) {
  const Value& x = call.x();
  const int axis = normalize_axis(axis_of(call), x.rank(), "axis"), size = call.option<int>("size");
  const std::int64_t step = call.has_option("step") ? call.option<int>("step") : 1;
  const Value begins =
      slice(arange(call.writer, size_of(x, axis)), 0, 0, size == 1 ? last : 1 - size, step);
  const Value places = expand_dims(begins, {1}) + arange(call.writer, size);
  return {moveaxis(gather(x, places, axis), axis + 1, -1)};
}

// --- types

Type type_option(const Call& call, Type otherwise) {
  return call.has_option("dtype") ? type_of(call.option<DType>("dtype")) : otherwise;
}

template <int number>
Values filled_like(Call& call) {
  const Type type = type_option(call, call.x().type);
  return {broadcast_to(call.writer.number(number, type), sizes_of(call.x()))};
}

Values exact(Call& call, const char* op) { return {unary(op, call.x())}; }
Values of_floats(Call& call, const char* op) { return {unary(op, to_float(call.x()))}; }
Value infinite(const Value& x, bool or_nan) {
  const Value is_infinite = node("IsInf", {to_float(x)}, x.shape, Type::boolean);
  if (!or_nan) return is_infinite;
  return logical_or(is_infinite, node("IsNaN", {to_float(x)}, x.shape, Type::boolean));
}

#define ON_ALL(name, op)                             \
  {                                                  \
    name, [](Call& call) { return exact(call, op); } \
  }
#define ON_FLOATS(name, op)                              \
  {                                                      \
    name, [](Call& call) { return of_floats(call, op); } \
  }
#define OF_TWO(name, formula)                                     \
  {                                                               \
    name, [](Call& call) -> Values {                              \
      const Value &x = call.inputs.at(0), &y = call.inputs.at(1); \
      return {formula};                                           \
    }                                                             \
  }
#define FORMULA(name, formula)            \
  {                                       \
    name, [](Call& call) -> Values {      \
      const Value x = to_float(call.x()); \
      return {formula};                   \
    }                                     \
  }

}  // namespace

Values resize(Call& call, int height, int width) {
  for (const char* other : {"antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"})
    if (call.flag(other)) fail("resize with {} has no form in ONNX here", other);
  if (!is_floating(call.x().type)) fail("resize of integers has no form in ONNX here");
  const bool channels_first = call.channels_first(), batched = call.x().rank() == 4;
  Value x = batched ? call.x() : expand_dims(call.x(), {0});
  if (!channels_first) x = moveaxis(x, -1, 1);
  const bool nearest =
      call.has_option("interpolation") && call.option<std::string>("interpolation") == "nearest";
  Attributes attributes{{"mode", nearest ? "nearest" : "linear"}};
  if (nearest) attributes.emplace_back("nearest_mode", "round_prefer_ceil");
  const Value sizes = shape_value(call.writer, {size_of(x, 0), size_of(x, 1), height, width});
  Value y = node("Resize", {x, Value(), Value(), sizes}, {x.shape[0], x.shape[1], height, width},
                 x.type, attributes);
  if (!channels_first) y = moveaxis(y, 1, -1);
  return {batched ? y : squeeze(y, {0})};
}

// clang-format off
const ExportTable& operation_exports() {
  static const ExportTable table{
      ON_ALL("abs", "Abs"), ON_ALL("negative", "Neg"), ON_ALL("sign", "Sign"),
      ON_FLOATS("ceil", "Ceil"), ON_FLOATS("cos", "Cos"), ON_FLOATS("erf", "Erf"),
      ON_FLOATS("exp", "Exp"), ON_FLOATS("floor", "Floor"), ON_FLOATS("log", "Log"),
      ON_FLOATS("reciprocal", "Reciprocal"), ON_FLOATS("round", "Round"),
      ON_FLOATS("sin", "Sin"), ON_FLOATS("sqrt", "Sqrt"), ON_FLOATS("tanh", "Tanh"),
      FORMULA("expm1", unary("Exp", x) - 1.0),
      FORMULA("log1p", unary("Log", x + 1.0)),
      FORMULA("log10", unary("Log", x) * 0.43429448190325182765),
      FORMULA("rsqrt", Value(1) / unary("Sqrt", x)),
      FORMULA("celu", celu(x, number_or(call, "alpha", 1))),
      FORMULA("elu", elu(x, number_or(call, "alpha", 1))),
      FORMULA("leaky_relu", leaky_relu(x, number_or(call, "negative_slope", 0.2))),
      FORMULA("squareplus", squareplus(x, number_or(call, "b", 4))),
      FORMULA("hard_shrink", hard_shrink(x, number_or(call, "threshold", 0.5))),
      FORMULA("soft_shrink", soft_shrink(x, number_or(call, "threshold", 0.5))),
      FORMULA("gelu", gelu(x, !call.has_option("approximate") || call.flag("approximate"))),
      FORMULA("glu", glu(x, axis_of(call))),
      FORMULA("softmax", softmax(x, {axis_of(call)})),
      FORMULA("log_softmax", log_softmax(x, axis_of(call))),
      FORMULA("sparsemax", sparsemax(x, axis_of(call))),
      FORMULA("threshold", where(x <= call.option<double>("threshold"),
                                 call.option<double>("default_value"), x)),
      FORMULA("isnan", node("IsNaN", {x}, x.shape, Type::boolean)),
      FORMULA("isinf", infinite(x, false)),
      FORMULA("isfinite", logical_not(infinite(x, true))),
      FORMULA("std", unary("Sqrt", variance(call))),
      FORMULA("var", variance(call)),
      {"square", [](Call& c) -> Values { return {c.x() * c.x()}; }},
      {"clip", [](Call& c) -> Values {
         return {minimum(maximum(c.x(), c.option<double>("x_min")), c.option<double>("x_max"))};
       }},
      OF_TWO("add", x + y), OF_TWO("subtract", x - y), OF_TWO("multiply", x * y),
      OF_TWO("divide", x / y), OF_TWO("maximum", maximum(x, y)), OF_TWO("minimum", minimum(x, y)),
      OF_TWO("power", binary("Pow", x, y)), OF_TWO("dot", dot(x, y)),
      OF_TWO("matmul", product(x, y)), OF_TWO("equal", equal(x, y)),
      OF_TWO("not_equal", logical_not(equal(x, y))), OF_TWO("less", x < y),
      OF_TWO("less_equal", x <= y), OF_TWO("greater", x > y), OF_TWO("greater_equal", x >= y),
      OF_TWO("logical_and", logical_and(x, y)), OF_TWO("logical_or", logical_or(x, y)),
      OF_TWO("logical_xor", logical_xor(x, y)),
      {"logical_not", [](Call& c) -> Values { return {logical_not(c.x())}; }},
      {"einsum", [](Call& c) -> Values {
         const auto equation = c.option<std::string>("subscripts");
         return {einsum(equation, c.inputs, Shape::filled(static_cast<int>(equation.size() - equation.find("->") - 2), None))};
       }},
      {"where", [](Call& c) -> Values { return {where(c.inputs[0], c.inputs[1], c.inputs[2])}; }},
      {"stop_gradient", same}, {"sum", reduction<sum, false>}, {"mean", reduction<mean, true>},
      {"max", reduction<max, false>}, {"min", reduction<min, false>},
      {"prod", reduction<prod, false>}, {"logsumexp", logsumexp}, {"norm", norm}, {"any", any_of},
      {"argmax", best<true>}, {"argmin", best<false>},
      {"cumsum", [](Call& c) -> Values { return {cumsum(summable(c.x()), axis_of(c))}; }},
      {"sort", [](Call& c) -> Values {
         return {top_k(c.x(), size_of(c.x(), axis_of(c)), axis_of(c), false)[0]};
       }},
      {"argsort", [](Call& c) -> Values {
         return {top_k(c.x(), size_of(c.x(), axis_of(c)), axis_of(c), false)[1]};
       }},
      {"top_k", [](Call& c) { return top_k(c.x(), c.option<int>("k"), -1, true); }},
      {"concatenate", [](Call& c) -> Values { return {concatenate(c.inputs, axis_of(c))}; }},
      {"stack", stack},
      {"split", [](Call& c) {
         return split(c.x(), c.option<int>("indices_or_sections"), axis_of(c));
       }},
      {"reshape", reshape_op}, {"swapaxes", swapaxes}, {"squeeze", squeeze_op}, {"flip", flip_op},
      {"transpose", [](Call& c) -> Values {
         return {transpose(c.x(), c.option<std::vector<int>>("axes"))};
       }},
      {"moveaxis", [](Call& c) -> Values {
         return {moveaxis(c.x(), c.option<int>("source"), c.option<int>("destination"))};
       }},
      {"expand_dims", [](Call& c) -> Values { return {expand_dims(c.x(), {axis_of(c)})}; }},
      {"cumprod", cumprod}, {"diagonal", diagonal},
      {"sliding_window", sliding_window},
      {"repeat", [](Call& c) -> Values {
         return {repeat(c.x(), c.option<int>("repeats"), axis_of(c))};
       }},
      {"pad", pad_op}, {"roll", roll}, {"tril", triangle<false>}, {"triu", triangle<true>},
      {"tile", tile}, {"slice", slice_op}, {"take_along_axis", take_along_axis},
      {"take", [](Call& c) -> Values {
         return {gather(c.x(), cast(c.inputs[1], Type::int32), axis_of(c))};
       }},
      {"searchsorted", searchsorted}, {"resize", [](Call& c) -> Values {
         const auto size = c.option<std::vector<int>>("size");
         return resize(c, size.at(0), size.at(1));
       }},
      {"astype", [](Call& c) -> Values { return {cast(c.x(), type_option(c, c.x().type))}; }},
      {"convert_to_tensor",
       [](Call& c) -> Values { return {cast(c.x(), type_option(c, c.x().type))}; }},
      {"zeros_like", filled_like<0>}, {"ones_like", filled_like<1>},
      {"one_hot", [](Call& c) -> Values {
         return {one_hot(c.x(), c.option<int>("num_classes"), type_option(c, Type::float32))};
       }},
  };
  return table;
}
// clang-format on

// Plain numbers among the operands take on the type of what they meet.
Values export_operation(Call& call) {
  const auto& operation = static_cast<const Operation&>(call.layer);
  if (operation.op() == nullptr) fail("a function of one's own, of which an export knows nothing");
  Values operands;
  auto next = call.inputs.begin();
  for (const Tensor& constant : operation.constants()) {
    if (!constant.defined())
      operands.push_back(*next++);
    else if (constant.rank() == 0)
      operands.emplace_back(constant.item());
    else
      operands.push_back(call.writer.constant(constant));
  }
  call.inputs = operands;
  const std::string& name = operation.op()->name;
  if (auto found = operation_exports().find(name); found != operation_exports().end())
    return found->second(call);
  if (operation.op()->module == "nn" || name == "mish")  // activations without options
    return {activate(Option(name), call.x())};
  fail("the op has no form in ONNX");
}

}  // namespace keratin::onnx
