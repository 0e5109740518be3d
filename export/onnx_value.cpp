// The operators of ONNX as functions of values.

#include <algorithm>
#include <cmath>
#include <limits>

#include <keratin/core/internal/message.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

bool is_floating(Type type) { return type == Type::float32 || type == Type::float64; }

namespace {

Type larger(Type a, Type b) {
  for (Type type : {Type::float64, Type::float32, Type::int64, Type::int32})
    if (type == a || type == b) return type;
  return Type::boolean;
}

Writer& writer_of(const Values& values) {
  for (const Value& value : values)
    if (value.defined()) return *value.writer;
  fail("onnx: expected a value among the operands");
}

bool no_integer(double x) { return x != std::trunc(x) || std::abs(x) > 0x1p62; }

// The operands as values of one type; integers become floats where the operator demands it.
Values alike(const Values& operands) {
  Type type = Type::boolean;
  bool fraction = false;
  for (const Value& x : operands) {
    if (x.defined()) type = larger(type, x.type);
    fraction = fraction || (x.is_number && no_integer(x.number));
  }
  if (fraction && !is_floating(type)) type = Type::float32;
  Values same;
  for (const Value& x : operands)
    same.push_back(x.is_number ? writer_of(operands).number(x.number, type) : cast(x, type));
  return same;
}

Shape broadcast(const Shape& a, const Shape& b) {
  Shape shape = Shape::filled(std::max(a.rank(), b.rank()), 1);
  for (int axis = 1; axis <= shape.rank(); ++axis) {
    const std::int64_t m = axis <= a.rank() ? a[-axis] : 1, n = axis <= b.rank() ? b[-axis] : 1;
    shape[-axis] = m == 1 ? n : n == 1 ? m : m == None ? n : m;
  }
  return shape;
}

int place(int axis, int rank) { return normalize_axis(axis, rank, "axis"); }

}  // namespace

// --- nodes

Values nodes(const std::string& op, const Values& inputs, const std::vector<Shape>& shapes,
             Type type, const Attributes& attributes) {
  using proto::onnx::AttributeProto;
  Writer& writer = writer_of(inputs);
  auto* node = writer.graph->add_node();
  node->set_op_type(op);
  node->set_name(writer.fresh(writer.scope + "/" + op));
  for (const Value& input : inputs) node->add_input(input.name);
  for (const auto& [name, value] : attributes) {
    AttributeProto* attribute = node->add_attribute();
    attribute->set_name(name);
    if (auto* i = std::get_if<std::int64_t>(&value)) {
      attribute->set_i(*i);
      attribute->set_type(AttributeProto::INT);
    } else if (auto* f = std::get_if<double>(&value)) {
      attribute->set_f(static_cast<float>(*f));
      attribute->set_type(AttributeProto::FLOAT);
    } else if (auto* s = std::get_if<std::string>(&value)) {
      attribute->set_s(*s);
      attribute->set_type(AttributeProto::STRING);
    } else if (auto* ints = std::get_if<std::vector<std::int64_t>>(&value)) {
      for (std::int64_t one : *ints) attribute->add_ints(one);
      attribute->set_type(AttributeProto::INTS);
    } else if (auto* strings = std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& one : *strings) attribute->add_strings(one);
      attribute->set_type(AttributeProto::STRINGS);
    } else if (auto* g = std::get_if<const proto::onnx::GraphProto*>(&value)) {
      *attribute->mutable_g() = **g;
      attribute->set_type(AttributeProto::GRAPH);
    }
  }
  Values outputs;
  for (const Shape& shape : shapes) {
    outputs.emplace_back(writer, writer.fresh(node->name() + ":0"), shape, type);
    node->add_output(outputs.back().name);
  }
  return outputs;
}

Value node(const std::string& op, const Values& inputs, const Shape& shape, Type type,
           const Attributes& attributes) {
  return nodes(op, inputs, {shape}, type, attributes)[0];
}

// --- number by number

Value unary(const char* op, const Value& x) { return node(op, {x}, x.shape, x.type); }
Value binary(const char* op, const Value& x, const Value& y) {
  const Values same = alike({x, y});
  return node(op, same, broadcast(same[0].shape, same[1].shape), same[0].type);
}
Value compare(const char* op, const Value& x, const Value& y) {
  const Values same = alike({x, y});
  return node(op, same, broadcast(same[0].shape, same[1].shape), Type::boolean);
}

namespace {

// Arithmetic on booleans is that of integers.
Value counted(const Value& x) {
  return x.defined() && x.type == Type::boolean ? cast(x, Type::int32) : x;
}

}  // namespace

Value operator+(const Value& x, const Value& y) { return binary("Add", counted(x), counted(y)); }
Value operator-(const Value& x, const Value& y) { return binary("Sub", counted(x), counted(y)); }
Value operator*(const Value& x, const Value& y) { return binary("Mul", counted(x), counted(y)); }
Value operator/(const Value& x, const Value& y) { return binary("Div", to_float(x), to_float(y)); }
Value operator-(const Value& x) { return unary("Neg", x); }
Value maximum(const Value& x, const Value& y) { return binary("Max", counted(x), counted(y)); }
Value minimum(const Value& x, const Value& y) { return binary("Min", counted(x), counted(y)); }
Value operator<(const Value& x, const Value& y) { return compare("Less", counted(x), counted(y)); }
Value operator<=(const Value& x, const Value& y) {
  return compare("LessOrEqual", counted(x), counted(y));
}
Value operator>(const Value& x, const Value& y) {
  return compare("Greater", counted(x), counted(y));
}
Value operator>=(const Value& x, const Value& y) {
  return compare("GreaterOrEqual", counted(x), counted(y));
}
Value equal(const Value& x, const Value& y) { return compare("Equal", counted(x), counted(y)); }

Value logical_and(const Value& x, const Value& y) {
  return compare("And", cast(x, Type::boolean), cast(y, Type::boolean));
}
Value logical_or(const Value& x, const Value& y) {
  return compare("Or", cast(x, Type::boolean), cast(y, Type::boolean));
}
Value logical_not(const Value& x) { return unary("Not", cast(x, Type::boolean)); }

Value where(const Value& condition, const Value& x, const Value& y) {
  Writer& writer = writer_of({condition, x, y});
  const Value chosen = condition.is_number ? writer.number(condition.number, Type::boolean)
                                           : cast(condition, Type::boolean);
  const Values same = x.is_number && y.is_number ? Values{writer.number(x.number, Type::float32),
                                                          writer.number(y.number, Type::float32)}
                                                 : alike({x, y});
  return node("Where", {chosen, same[0], same[1]},
              broadcast(chosen.shape, broadcast(same[0].shape, same[1].shape)), same[0].type);
}

Value cast(const Value& x, Type type) {
  if (x.is_number || x.type == type) return x;
  return node("Cast", {x}, x.shape, type, {{"to", static_cast<std::int64_t>(type)}});
}
Value to_float(const Value& x) {
  return x.is_number || is_floating(x.type) ? x : cast(x, Type::float32);
}

// --- shapes

Size size_of(const Value& x, int axis) {
  const std::int64_t at = place(axis, x.rank());
  if (x.shape[axis] != None) return x.shape[axis];
  return node("Shape", {x}, {1}, Type::int64, {{"start", at}, {"end", at + 1}});
}
Sizes sizes_of(const Value& x) {
  Sizes sizes;
  for (int axis = 0; axis < x.rank(); ++axis) sizes.push_back(size_of(x, axis));
  return sizes;
}

Value shape_value(Writer& writer, const Sizes& sizes) {
  Values parts;
  std::vector<std::int64_t> known;
  auto flush = [&] {
    if (!known.empty()) parts.push_back(writer.integers(std::exchange(known, {})));
  };
  for (const Size& size : sizes) {
    if (!size.value.defined()) {
      known.push_back(size.known);
    } else {
      flush();
      parts.push_back(size.value);
    }
  }
  flush();
  if (parts.empty()) return writer.integers({});
  return parts.size() == 1 ? parts[0] : concatenate(parts, 0);
}

namespace {

Shape known_sizes(const Sizes& sizes) {
  Shape shape;
  for (const Size& size : sizes) shape.push_back(size.known);
  return shape;
}

}  // namespace

// What is left is known when all is known but the axes that stay.
Value reshape(const Value& x, const Sizes& sizes) {
  Shape shape = known_sizes(sizes);
  std::int64_t left = 1;
  bool known = true, all_known = true;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const bool kept = axis < shape.rank() && shape[axis] == 0;
    if (!kept && x.shape[axis] == None) known = false;
    if (!kept && x.shape[axis] != None) left *= x.shape[axis];
  }
  int rest = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const Size& size = sizes[std::size_t(axis)];
    if (size.value.defined())
      all_known = known = false;
    else if (size.known == None)
      rest = axis;
    else if (size.known > 0)
      left /= size.known;
    else
      shape[axis] = x.shape[axis];
  }
  const Value to = all_known ? x.writer->integers([&] {
    std::vector<std::int64_t> numbers;
    for (const Size& size : sizes) numbers.push_back(size.known);
    return numbers;
  }())
                             : shape_value(*x.writer, sizes);
  if (rest >= 0 && known) shape[rest] = left;
  return node("Reshape", {x, to}, shape, x.type);
}

Value transpose(const Value& x, const std::vector<int>& order) {
  Shape shape;
  std::vector<std::int64_t> places;
  for (int axis : order) {
    places.push_back(place(axis, x.rank()));
    shape.push_back(x.shape[axis]);
  }
  if (std::ranges::is_sorted(places)) return x;
  return node("Transpose", {x}, shape, x.type, {{"perm", places}});
}

Value moveaxis(const Value& x, int from, int to) {
  from = place(from, x.rank()), to = place(to, x.rank());
  std::vector<int> order;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis != from) order.push_back(axis);
  order.insert(order.begin() + to, from);
  return transpose(x, order);
}

Value expand_dims(const Value& x, const std::vector<int>& axes) {
  const int rank = x.rank() + static_cast<int>(axes.size());
  std::vector<std::int64_t> places;
  for (int axis : axes) places.push_back(place(axis, rank));
  std::ranges::sort(places);
  Shape shape = x.shape;
  for (std::int64_t axis : places) shape = shape.inserted(static_cast<int>(axis), 1);
  return node("Unsqueeze", {x, x.writer->integers(places)}, shape, x.type);
}

Value squeeze(const Value& x, const std::vector<int>& axes) {
  std::vector<std::int64_t> places;
  for (int axis : axes) places.push_back(place(axis, x.rank()));
  Shape shape;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (std::ranges::find(places, axis) == places.end()) shape.push_back(x.shape[axis]);
  return node("Squeeze", {x, x.writer->integers(places)}, shape, x.type);
}

Value with_rank(const Value& x, int rank) {
  std::vector<int> axes;
  for (int axis = x.rank(); axis < rank; ++axis) axes.push_back(axis);
  return axes.empty() ? x : expand_dims(x, axes);
}

Value broadcast_to(const Value& x, const Sizes& sizes) {
  return node("Expand", {x, shape_value(*x.writer, sizes)}, known_sizes(sizes), x.type);
}

Value concatenate(const Values& values, int axis) {
  if (values.size() == 1) return values[0];
  const Values same = alike(values);
  Shape shape = same[0].shape;
  for (std::size_t i = 1; i < same.size(); ++i)
    for (int a = 0; a < shape.rank(); ++a) {
      const std::int64_t size = same[i].shape[a];
      if (a == place(axis, shape.rank()))
        shape[a] = shape[a] == None || size == None ? None : shape[a] + size;
      else if (shape[a] == None)
        shape[a] = size;
    }
  return node("Concat", same, shape, same[0].type,
              {{"axis", std::int64_t{place(axis, shape.rank())}}});
}

Values split(const Value& x, int parts, int axis) {
  if (parts == 1) return {x};
  axis = place(axis, x.rank());
  const std::int64_t size = x.shape[axis];
  const Shape shape = x.shape.with(axis, size == None ? None : size / parts);
  return nodes("Split", {x}, std::vector<Shape>(std::size_t(parts), shape), x.type,
               {{"axis", std::int64_t{axis}}, {"num_outputs", std::int64_t{parts}}});
}

Value slice(const Value& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step) {
  axis = place(axis, x.rank());
  Shape shape = x.shape;
  if (std::int64_t& size = shape[axis]; size != None) {
    auto limited = [&](std::int64_t i) {
      const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
      if (i < 0 && i >= -size) i += size;
      return std::clamp(i, low, high);
    };
    const std::int64_t length =
        step > 0 ? limited(stop) - limited(start) : limited(start) - limited(stop);
    const std::int64_t stride = step > 0 ? step : -step;
    size = std::max<std::int64_t>(0, (length + stride - 1) / stride);
  }
  Writer& w = *x.writer;
  return node("Slice",
              {x, w.integers({start}), w.integers({stop}), w.integers({axis}), w.integers({step})},
              shape, x.type);
}

Value at(const Value& x, int axis, std::int64_t index) {
  axis = place(axis, x.rank());
  return node("Gather", {x, x.writer->number(static_cast<double>(index), Type::int64)},
              x.shape.without(axis), x.type, {{"axis", std::int64_t{axis}}});
}

Value flip(const Value& x, int axis) {
  return slice(x, axis, -1, std::numeric_limits<std::int64_t>::min(), -1);
}

Value pad(const Value& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths,
          double value) {
  std::vector<std::int64_t> before, after;
  Shape shape = x.shape;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    before.push_back(widths[i].first);
    after.push_back(widths[i].second);
    std::int64_t& size = shape[static_cast<int>(i)];
    if (size != None) size += widths[i].first + widths[i].second;
  }
  before.insert(before.end(), after.begin(), after.end());
  return node("Pad", {x, x.writer->integers(before), x.writer->number(value, x.type)}, shape,
              x.type);
}

Value gather(const Value& x, const Value& indices, int axis) {
  axis = place(axis, x.rank());
  Shape shape;
  for (int a = 0; a < axis; ++a) shape.push_back(x.shape[a]);
  for (std::int64_t size : indices.shape) shape.push_back(size);
  for (int a = axis + 1; a < x.rank(); ++a) shape.push_back(x.shape[a]);
  return node("Gather", {x, indices}, shape, x.type, {{"axis", std::int64_t{axis}}});
}

Value arange(Writer& writer, const Size& n) {
  if (!n.value.defined()) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t i = 0; i < n.known; ++i) numbers.push_back(i);
    return writer.integers(numbers);
  }
  return node("Range",
              {writer.number(0, Type::int64), squeeze(n.value, {0}), writer.number(1, Type::int64)},
              {None}, Type::int64);
}

// --- along axes

Value reduce(const char* op, const Value& x, std::vector<int> axes, bool keepdims) {
  if (axes.empty())
    for (int axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
  std::vector<std::int64_t> places;
  for (int axis : axes) places.push_back(place(axis, x.rank()));
  Shape shape;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const bool reduced = std::ranges::find(places, axis) != places.end();
    if (!reduced || keepdims) shape.push_back(reduced ? 1 : x.shape[axis]);
  }
  return node(op, {x, x.writer->integers(places)}, shape, x.type,
              {{"keepdims", std::int64_t{keepdims}}});
}

Value softmax(const Value& x, const std::vector<int>& axes) {
  if (axes.size() == 1)
    return node("Softmax", {to_float(x)}, x.shape, to_float(x).type,
                {{"axis", std::int64_t{axes[0]}}});
  const Value e = unary("Exp", x - reduce("ReduceMax", x, axes, true));
  return e / reduce("ReduceSum", e, axes, true);
}

Value any(const Value& x, const std::vector<int>& axes, bool keepdims) {
  const Value counts = cast(cast(x, Type::boolean), Type::int32);
  return cast(reduce("ReduceMax", counts, axes, keepdims), Type::boolean);
}

Value matmul(const Value& x, const Value& y) {
  const Values same = alike({to_float(x), to_float(y)});
  const Shape &a = same[0].shape, &b = same[1].shape;
  if (a.rank() == 1 || b.rank() == 1)
    fail("a product of tensors of rank {} and {} has no form in ONNX here", a.rank(), b.rank());
  Shape shape = broadcast(a.without(-1).without(-1), b.without(-1).without(-1));
  shape.push_back(a[-2]);
  shape.push_back(b[-1]);
  return node("MatMul", same, shape, same[0].type);
}

Value einsum(const std::string& equation, const Values& operands, const Shape& shape) {
  const Values same = alike(operands);
  return node("Einsum", same, shape, same[0].type, {{"equation", equation}});
}

Values scan(Writer& writer, const Values& states, const Values& sequences,
            const std::function<Values(const Values&, const Values&)>& step) {
  proto::onnx::GraphProto body;
  body.set_name(writer.fresh(writer.scope + "/step"));
  proto::onnx::GraphProto* outer = std::exchange(writer.graph, &body);
  Values now, steps;
  for (const Value& state : states)
    now.push_back(writer.input(writer.scope + "/state", state.shape, state.type));
  for (const Value& sequence : sequences)
    steps.push_back(
        writer.input(writer.scope + "/slice", sequence.shape.without(1), sequence.type));
  const Values results = step(now, steps);
  std::vector<Shape> shapes;
  const Size time = sequences[0].shape[1];
  for (std::size_t i = 0; i < results.size(); ++i) {
    const bool is_state = i < states.size();
    writer.output(writer.scope + "/next", is_state ? cast(results[i], states[i].type) : results[i]);
    shapes.push_back(is_state ? states[i].shape : results[i].shape.inserted(0, time.known));
  }
  writer.graph = outer;
  Values inputs = states;
  for (const Value& sequence : sequences) inputs.push_back(moveaxis(sequence, 1, 0));
  Values outputs = nodes("Scan", inputs, shapes, Type::float32,
                         {{"body", &body}, {"num_scan_inputs", std::int64_t(sequences.size())}});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].type = i < states.size() ? states[i].type : results[i].type;
    if (i >= states.size()) outputs[i] = moveaxis(outputs[i], 0, 1);
  }
  return outputs;
}

}  // namespace keratin::onnx
