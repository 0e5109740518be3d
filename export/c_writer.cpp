// Names, numbers, sizes and memory of the C file.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include <keratin/export/internal/c_writer.h>

namespace keratin::c_export {

Size product(const Sizes& sizes, std::size_t first, std::size_t last) {
  std::int64_t known = 1, most = 1;
  std::string variables;
  for (std::size_t i = first; i < last; ++i) {
    if (__builtin_mul_overflow(most, sizes[i].most, &most) ||
        most > std::numeric_limits<std::int32_t>::max())
      fail("an array of it has more numbers than an int of C counts");
    if (sizes[i].known)
      known *= sizes[i].most;
    else
      variables += (variables.empty() ? "" : " * ") + sizes[i].text;
  }
  if (variables.empty()) return known;
  return {most, known == 1 ? variables : variables + " * " + std::to_string(known)};
}

std::string identifier(const std::string& text) {
  std::string name;
  for (char c : text) {
    const bool fits = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (fits || (!name.empty() && name.back() != '_')) name += fits ? c : '_';
  }
  while (name.ends_with('_')) name.pop_back();
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) name = "x" + name;
  return name;
}

std::string literal_of(double value, DType real) {
  if (std::isnan(value)) return "NAN";
  if (std::isinf(value)) return value > 0 ? "INFINITY" : "-INFINITY";
  // As few digits as bring the same number back.
  std::string text =
      real == float64 ? fmt::format("{}", value) : fmt::format("{}", static_cast<float>(value));
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return real == float64 ? text : text + "f";
}

std::string braces(const Tensor& values) {
  const DType type = values.dtype();
  std::vector<double> numbers = values.to_vector<double>();
  if (numbers.empty()) numbers.push_back(0);  // C has no array of nothing
  std::string text = "{", line = "\n   ";
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::string number = is_floating(type)
                                   ? literal_of(numbers[i], type)
                                   : std::to_string(static_cast<std::int64_t>(numbers[i]));
    if (line.size() + number.size() > 98) {
      text += line;
      line = "\n   ";
    }
    line += " " + number + (i + 1 < numbers.size() ? "," : "};");
  }
  return text + line + "\n";
}

// --- memory

std::shared_ptr<void> Writer::Memory::take(std::int64_t size, std::int64_t& place) {
  place = 0;
  auto next = taken->begin();
  for (; next != taken->end() && next->first < place + size; ++next) place = next->second;
  const std::pair range(place, place + size);
  taken->insert(next, range);
  most = std::max(most, range.second);
  return {nullptr, [list = taken, range](void*) { std::erase(*list, range); }};
}

namespace {

std::string shape_text(const Sizes& shape) {
  std::string text;
  for (const Size& size : shape) text += (text.empty() ? "" : ", ") + size.text;
  return "(" + text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

Array Writer::numbers(const std::string& name, const Sizes& shape) {
  std::int64_t place = 0;
  const std::int64_t size = product(shape).most;
  auto memory = numbers_.take(std::max<std::int64_t>(size, 1), place);
  Array array{unique(identifier(path) + "_" + name), shape, std::move(memory)};
  line(fmt::format("float* const {} = work->numbers + {}; /* {} */", array.text, place,
                   shape_text(shape)));
  return array;
}

Array Writer::flags(const std::string& name, const Sizes& shape) {
  std::int64_t place = 0;
  auto memory = flags_.take(std::max<std::int64_t>(product(shape).most, 1), place);
  Array array{unique(identifier(path) + "_" + name), shape, std::move(memory)};
  line(fmt::format("unsigned char* const {} = work->flags + {}; /* {} */", array.text, place,
                   shape_text(shape)));
  return array;
}

Size Writer::size(const std::string& name, const Sizes& from, std::int64_t most,
                  const std::string& text) {
  if (most < 1) fail("nothing is left of an axis");
  if (std::ranges::all_of(from, &Size::known)) return most;
  Size size(most, unique(identifier(path) + "_" + name));
  line(fmt::format("const int {} = {};", size.text, text));
  line(fmt::format("if ({} < 1) return 1;", size.text));
  return size;
}

void Writer::must_equal(const Size& a, const Size& b) {
  if (a == b) return;
  if (a.known && b.known) fail("expected sizes that are equal, got {} and {}", a.text, b.text);
  line(fmt::format("if ({} != {}) return 1;", a.text, b.text));
}

// --- weights

namespace {

std::optional<Weight> find_weight(const Layer& layer, const std::string& name) {
  for (const Weight& weight : layer.weights())
    if (weight.name() == name) return weight;
  return {};
}

}  // namespace

std::string Writer::weight(const Layer& layer, const std::string& name) {
  const std::optional<Weight> weight = find_weight(layer, name);
  if (!weight) return "0";
  for (const auto& [known, text] : named_weights_)
    if (known == *weight) return text;
  const std::string text = constant(name, weight->value());
  named_weights_.emplace_back(*weight, text);
  return text;
}

std::string Writer::constant(const std::string& name, const Tensor& values) {
  const std::string text = unique(identifier(path) + "_" + name);
  const Tensor numbers = values.astype(real_).to(Device());
  weights_ += fmt::format("static const {} {}[{}] = {}", real_ == float64 ? "double" : "float",
                          text, std::max<std::int64_t>(numbers.numel(), 1), braces(numbers));
  weight_count_ += numbers.numel();
  return text;
}

std::string Writer::ints(const std::string& name, const std::vector<std::string>& numbers) {
  const std::string array = unique(identifier(path) + "_" + name);
  line(fmt::format("const int {}[] = {{{}}};", array, fmt::join(numbers, ", ")));
  return array;
}

std::string Writer::literal(double value) const { return literal_of(value, real_); }

// --- lines

void Writer::line(const std::string& text) {
  if (!text.empty()) body_ += std::string(static_cast<std::size_t>(2 * depth_), ' ') + text;
  body_ += "\n";
}
void Writer::open(const std::string& text) {
  line(text);
  ++depth_;
}
void Writer::close() {
  --depth_;
  line("}");
}

// Broken into lines like any other code.
std::string Writer::invocation(const char* function, const std::vector<std::string>& args) const {
  std::string text, line = std::string(function) + "(";
  const std::string indent(static_cast<std::size_t>(2 * depth_) + line.size(), ' ');
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string arg = args[i] + (i + 1 < args.size() ? "," : "");
    if (line.size() + arg.size() + static_cast<std::size_t>(2 * depth_) > 97 && i > 0) {
      text += line + "\n";
      line = indent;
    } else if (i > 0) {
      line += " ";
    }
    line += arg;
  }
  return text + line + ");";
}

std::string Writer::unique(const std::string& name) {
  std::string text = name;
  for (int i = 1; std::ranges::find(names_, text) != names_.end(); ++i)
    text = name + "_" + std::to_string(i);
  names_.push_back(text);
  return text;
}

// --- axes

std::vector<std::size_t> sample_axes(const std::vector<int>& axes, std::size_t sample_rank) {
  std::vector<std::size_t> list;
  for (int axis : axes) {
    const int place = normalize_axis(axis, static_cast<int>(sample_rank) + 1, "axis");
    if (place == 0) fail("axis: the batch is not an axis of a sample");
    list.push_back(static_cast<std::size_t>(place - 1));
  }
  std::ranges::sort(list);
  return list;
}

namespace {

bool in_order(const std::vector<std::size_t>& order) {
  for (std::size_t i = 0; i < order.size(); ++i)
    if (order[i] != i) return false;
  return true;
}

std::vector<std::size_t> order_with_last(const std::vector<std::size_t>& axes, std::size_t rank) {
  std::vector<std::size_t> order;
  for (std::size_t axis = 0; axis < rank; ++axis)
    if (std::ranges::find(axes, axis) == axes.end()) order.push_back(axis);
  order.insert(order.end(), axes.begin(), axes.end());
  return order;
}

}  // namespace

Array gathered(Writer& writer, const Array& x, const Sizes& shape,
               const std::vector<std::string>& steps, const std::string& name) {
  if (shape.size() > 8) fail("more than 8 axes are not exported");
  std::vector<std::string> sizes;
  for (const Size& size : shape) sizes.push_back(size.text);
  Array y = writer.numbers(name, shape);
  const std::string size_list = writer.ints("sizes", sizes),
                    step_list = writer.ints("steps", steps);
  writer.call("gather", x, shape.size(), size_list, step_list, y);
  return y;
}

Array permuted(Writer& writer, const Array& x, const std::vector<std::size_t>& order) {
  if (in_order(order)) return x;
  Sizes shape;
  std::vector<std::string> steps;
  for (std::size_t axis : order) {
    shape.push_back(x.shape[axis]);
    steps.push_back(product(x.shape, axis + 1, x.shape.size()).text);
  }
  return gathered(writer, x, shape, steps, "moved");
}

Array axes_last(Writer& writer, const Array& x, const std::vector<std::size_t>& axes) {
  return permuted(writer, x, order_with_last(axes, x.shape.size()));
}

Array axes_back(Writer& writer, const Array& x, const std::vector<std::size_t>& axes) {
  const std::vector<std::size_t> order = order_with_last(axes, x.shape.size());
  std::vector<std::size_t> back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = i;
  return permuted(writer, x, back);
}

Array broadcast(Writer& writer, const Array& x, const Sizes& shape) {
  if (x.shape == shape) return x;
  std::vector<std::string> steps;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const bool repeats = x.shape[axis].known && x.shape[axis].most == 1;
    steps.push_back(repeats ? "0" : product(x.shape, axis + 1, shape.size()).text);
  }
  return gathered(writer, x, shape, steps, "spread");
}

Array copied(Writer& writer, const Array& x, const std::string& name) {
  Array y = writer.numbers(name, x.shape);
  writer.call("copy", x, product(x.shape), y);
  return y;
}

std::string mask_of_steps(const Value& value) {
  if (!value.mask) return "0";
  if (value.mask->shape.size() != 1) fail("a mask of more than the steps is not exported");
  return value.mask->text;
}

}  // namespace keratin::c_export
