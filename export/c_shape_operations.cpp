// Operations between symbolic tensors that move numbers and compute none.

#include <algorithm>
#include <map>
#include <numeric>

#include <keratin/autograd/internal/walk.h>
#include <keratin/export/internal/c_operation.h>

namespace keratin::c_export {
namespace {

int attribute(const Operation& operation, const std::string& name) {
  return option<int>(operation.attributes(), name);
}

std::size_t rank_of_batch(const Array& x) { return x.shape.size() + 1; }

/// An axis of the batch, counted from either end of `rank` axes.
std::size_t axis_of_batch(int axis, std::size_t rank) {
  return static_cast<std::size_t>(normalize_axis(axis, static_cast<int>(rank), "axis"));
}

/// The axes of the batch in another order.
Values reordered(Writer& w, const Array& x, const std::vector<std::size_t>& order) {
  if (order.size() != rank_of_batch(x) || order[0] != 0)
    fail("an operation that moves the axis of the batch is not exported");
  std::vector<std::size_t> of_sample;
  for (std::size_t i = 1; i < order.size(); ++i) of_sample.push_back(order[i] - 1);
  return {{permuted(w, x, of_sample)}};
}

std::vector<std::size_t> counted(const Array& x) {
  std::vector<std::size_t> order(rank_of_batch(x));
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

Values transpose(Writer& w, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  const auto axes = option<std::vector<int>>(operation.attributes(), "axes");
  std::vector<std::size_t> order;
  for (int axis : axes) order.push_back(axis_of_batch(axis, rank_of_batch(x)));
  return reordered(w, x, order);
}

Values swapaxes(Writer& w, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  std::vector<std::size_t> order = counted(x);
  std::swap(order[axis_of_batch(attribute(operation, "axis1"), order.size())],
            order[axis_of_batch(attribute(operation, "axis2"), order.size())]);
  return reordered(w, x, order);
}

Values moveaxis(Writer& w, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  std::vector<std::size_t> order = counted(x);
  const std::size_t from = axis_of_batch(attribute(operation, "source"), order.size()),
                    to = axis_of_batch(attribute(operation, "destination"), order.size());
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(from));
  order.insert(order.begin() + static_cast<std::ptrdiff_t>(to), from);
  return reordered(w, x, order);
}

Values with_shape(const Array& x, const Sizes& shape) {
  Array y = x;
  y.shape = shape;
  return {{y}};
}

Values reshape(Writer&, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  const auto target = option<std::vector<int>>(operation.attributes(), "newshape");
  const Sizes shape(target.begin() + (target.empty() ? 0 : 1), target.end());
  if (target.empty() || target[0] != -1 || product(shape) != product(x.shape))
    fail("a reshape that changes the axis of the batch is not exported");
  return with_shape(x, shape);
}

Values expand_dims(Writer&, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  const std::size_t axis = axis_of_batch(attribute(operation, "axis"), rank_of_batch(x) + 1);
  if (axis == 0) fail("an operation that moves the axis of the batch is not exported");
  Sizes shape = x.shape;
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis) - 1, 1);
  return with_shape(x, shape);
}

Values squeeze(Writer&, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  const std::vector<std::size_t> axes = axes_of(operation, x);
  Sizes shape;
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis)
    if (std::ranges::find(axes, axis) == axes.end()) shape.push_back(x.shape[axis]);
  return with_shape(x, shape);
}

/// One axis of a slice: from `begin` on, `count` elements, `step` apart.
struct AxisRange {
  std::string begin;
  Size count;
  std::int64_t step = 1;
};

/// What the ranges of all axes choose.
Array chosen(Writer& w, const Array& x, const std::vector<AxisRange>& ranges) {
  Sizes shape;
  std::vector<std::string> steps;
  std::string place = x.text;
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    const std::string stride = product(x.shape, axis + 1, x.shape.size()).text;
    if (ranges[axis].begin != "0") place += fmt::format(" + {} * {}", ranges[axis].begin, stride);
    shape.push_back(ranges[axis].count);
    steps.push_back(fmt::format("{} * {}", ranges[axis].step, stride));
  }
  return gathered(w, {place, x.shape, x.memory}, shape, steps, "part");
}

std::vector<AxisRange> all_of(const Array& x) {
  std::vector<AxisRange> ranges;
  for (const Size& size : x.shape) ranges.push_back({"0", size});
  return ranges;
}

bool is_whole(const Index& index) {
  const Range& range = index.range();
  return !index.is_single() && range.step == 1 && range.stop == Range::open &&
         (range.start == Range::open || range.start == 0);
}

AxisRange range_of(const Size& size, const Index& index) {
  if (is_whole(index)) return {"0", size};
  if (!size.known) fail("a slice of an axis whose size is not known is not exported");
  const Walk walk = walk_of(index.range(), size.most);
  if (walk.count == 0) fail("a slice that chooses nothing is not exported");
  return {std::to_string(walk.start), walk.count, walk.step};
}

Values slice(Writer& w, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  const auto indices = indices_of(*find_option(operation.attributes(), "key"));
  if (!indices) fail("a slice of this kind is not exported");
  if (!indices->empty() && !is_whole(indices->front()))
    fail("a slice of the batch is not exported");
  std::vector<AxisRange> ranges = all_of(x);
  Sizes kept;
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis) {
    const Size& n = x.shape[axis];
    const Index index = axis + 1 < indices->size() ? (*indices)[axis + 1] : Index(All());
    if (index.is_single()) {
      const std::int64_t i = index.range().start;
      if (!n.known) w.line(fmt::format("if ({} < {}) return 1;", n.text, i < 0 ? -i : i + 1));
      ranges[axis] = {i < 0 ? fmt::format("({} - {})", n.text, -i) : std::to_string(i), 1};
    } else {
      ranges[axis] = range_of(n, index);
      kept.push_back(ranges[axis].count);
    }
  }
  Array y = chosen(w, x, ranges);
  y.shape = kept;
  return {{y}};
}

Values split(Writer& w, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  const int parts = attribute(operation, "indices_or_sections");
  const std::size_t axis = axes_of(operation, x).at(0);
  if (!x.shape[axis].known) fail("parts of an axis whose size is not known are not exported");
  const std::int64_t count = x.shape[axis].most / parts;
  Values out;
  for (int part = 0; part < parts; ++part) {
    std::vector<AxisRange> ranges = all_of(x);
    ranges[axis] = {std::to_string(part * count), count};
    out.push_back({chosen(w, x, ranges)});
  }
  return out;
}

Values flip(Writer& w, const Operation& operation, const Values& in) {
  const Array& x = in[0].numbers;
  std::vector<AxisRange> ranges = all_of(x);
  for (std::size_t axis : axes_of(operation, x))
    ranges[axis] = {fmt::format("({} - 1)", x.shape[axis].text), x.shape[axis], -1};
  return {{chosen(w, x, ranges)}};
}

/// Operations know nothing of masks.
Values without_masks(Values in) {
  for (Value& value : in) value.mask.reset();
  return in;
}

Values concatenate(Writer& w, const Operation& operation, const Values& in) {
  return concatenated(w, attribute(operation, "axis"), without_masks(in));
}

Values stack(Writer& w, const Operation& operation, const Values& in) {
  Values parts;
  for (const Value& value : in) parts.push_back(expand_dims(w, operation, {value})[0]);
  return concatenated(w, attribute(operation, "axis"), parts);
}

}  // namespace

std::optional<Values> emit_shape_operation(Writer& w, const Operation& operation,
                                           const Values& in) {
  using Emit = Values (*)(Writer&, const Operation&, const Values&);
  static const std::map<std::string, Emit> known{{"concatenate", concatenate},
                                                 {"expand_dims", expand_dims},
                                                 {"flip", flip},
                                                 {"moveaxis", moveaxis},
                                                 {"reshape", reshape},
                                                 {"slice", slice},
                                                 {"split", split},
                                                 {"squeeze", squeeze},
                                                 {"stack", stack},
                                                 {"swapaxes", swapaxes},
                                                 {"transpose", transpose}};
  const auto found = known.find(operation.op()->name);
  if (found == known.end()) return {};
  if (std::ranges::any_of(operation.constants(), &Tensor::defined))
    fail("the operation \"{}\" on constants is not exported", operation.op()->name);
  return found->second(w, operation, in);
}

}  // namespace keratin::c_export
