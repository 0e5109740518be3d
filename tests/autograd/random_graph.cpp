// Jets, and how a graph grows and runs.

#include "random_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <keratin/core/create.h>

namespace keratin::test {

// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
std::uint64_t Dice::bits() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double Dice::number(double low, double high) {
  auto steps = static_cast<int>((high - low) * 4096);
  return low + static_cast<double>(below(steps)) / 4096;
}

// --- jets

Jet chain(const Jet& x, double f, double first, double second) {
  // Small derivatives may be differences of larger numbers, as 1 - tanh^2 is.
  double size = std::max(std::fabs(first), 1e-3), size2 = std::max(std::fabs(second), 1e-3);
  return {f,
          first * x.a,
          first * x.b,
          second * x.a * x.b + first * x.ab,
          size * x.size_a,
          size * x.size_b,
          size2 * x.size_a * x.size_b + size * x.size_ab};
}

Jet operator+(const Jet& x, const Jet& y) {
  return {x.v + y.v,
          x.a + y.a,
          x.b + y.b,
          x.ab + y.ab,
          x.size_a + y.size_a,
          x.size_b + y.size_b,
          x.size_ab + y.size_ab};
}

Jet operator-(const Jet& x, const Jet& y) { return x + chain(y, -y.v, -1, 0); }

Jet operator*(const Jet& x, const Jet& y) {
  double p = std::fabs(x.v), q = std::fabs(y.v);
  return {x.v * y.v,
          x.a * y.v + x.v * y.a,
          x.b * y.v + x.v * y.b,
          x.ab * y.v + x.a * y.b + x.b * y.a + x.v * y.ab,
          x.size_a * q + p * y.size_a,
          x.size_b * q + p * y.size_b,
          x.size_ab * q + x.size_a * y.size_b + x.size_b * y.size_a + p * y.size_ab};
}

const Jet& JetArray::at(const Place& place) const {
  std::int64_t offset = 0;
  auto missing = static_cast<int>(place.size()) - shape.rank();
  for (int axis = 0; axis < shape.rank(); ++axis)
    offset = offset * shape[axis] +
             (shape[axis] == 1 ? 0 : place[static_cast<std::size_t>(missing + axis)]);
  return values[static_cast<std::size_t>(offset)];
}

void for_places(const Shape& shape, const std::function<void(const Place&)>& f) {
  Place place(static_cast<std::size_t>(shape.rank()), 0);
  for (std::int64_t i = 0, n = shape.numel(); i < n; ++i) {
    f(place);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      auto a = static_cast<std::size_t>(axis);
      if (++place[a] < shape[axis]) break;
      place[a] = 0;
    }
  }
}

JetArray jets(const Shape& shape, const std::function<Jet(const Place&)>& jet) {
  JetArray y{shape, {}};
  for_places(shape, [&](const Place& place) { y.values.push_back(jet(place)); });
  return y;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape shape = a.rank() > b.rank() ? a : b;
  for (int axis = -1; axis >= -std::min(a.rank(), b.rank()); --axis) {
    if (a[axis] != b[axis] && a[axis] != 1 && b[axis] != 1) return {};
    shape[axis] = a[axis] == 1 ? b[axis] : a[axis];
  }
  return shape;
}

std::string text_of(const std::vector<int>& numbers) {
  return fmt::format("{{{}}}", fmt::join(numbers, ", "));
}

// --- what is there

double Graph::smallest(int id) const {
  double least = HUGE_VAL;
  for (const Jet& jet : at(id).values) least = std::min(least, jet.v);
  return least;
}
double Graph::largest(int id) const {
  double most = -HUGE_VAL;
  for (const Jet& jet : at(id).values) most = std::max(most, jet.v);
  return most;
}
double Graph::distance(int id, double from) const {
  double least = HUGE_VAL;
  for (const Jet& jet : at(id).values) least = std::min(least, std::fabs(jet.v - from));
  return least;
}

int Graph::any() {
  auto count = static_cast<int>(values_.size());
  if (dice.chance(0.5)) return std::max(0, count - 1 - dice.below(4));
  return dice.below(count);
}

std::optional<int> Graph::find(const std::function<bool(int)>& condition) {
  for (int tries = 0; tries < 12; ++tries)
    if (int id = any(); condition(id)) return id;
  return {};
}

std::optional<int> Graph::partner(int x) {
  return find([&](int y) { return broadcast(shape(x), shape(y)).has_value(); });
}

// --- growing

void Graph::ask(Value& value) {
  value.asked = value.depends = true;
  // Second derivatives are those of the leaves: a gradient that was computed from the result of an
  // op, as that of tanh is, depends on it in another way than the op's input does.
  bool is_leaf = value.op < 0;
  for (Jet& jet : value.array.values) {
    double a = dice.number(0.25, 1) * (dice.chance(0.5) ? 1 : -1),
           b = is_leaf ? dice.number(-1, 1) : 0;
    value.a.push_back(a);
    value.b.push_back(b);
    Jet direction{0, a, b, 0, std::fabs(a), std::fabs(b), 0};
    jet = jet + direction;
  }
}

int Graph::leaf(const Shape& shape) {
  Value value;
  auto leaves = std::ranges::count_if(values_, [](const Value& v) { return v.watched; });
  value.watched = leaves < 4;
  value.array = jets(shape, [&](const Place&) { return Jet{.v = dice.number(-2, 2)}; });
  for (const Jet& jet : value.array.values) value.leaf.push_back(jet.v);
  value.dtype = dice.chance(0.5) ? float32 : float64;
  if (value.watched) ask(value);
  values_.push_back(std::move(value));
  return last();
}

bool Graph::add(Op op) {
  JetArrays inputs;
  DType dtype = boolean;
  bool depends = false;
  for (int id : op.inputs) {
    const Value& value = values_[static_cast<std::size_t>(id)];
    inputs.push_back(value.array);
    dtype = promote(dtype, value.dtype);
    depends |= value.depends;
  }
  JetArrays results = op.reference(inputs);
  double size = 0;
  for (const JetArray& result : results) {
    if (result.shape.rank() > 6 || result.values.size() > 128) return false;
    for (const Jet& jet : result.values) {
      bool usable =
          std::isfinite(jet.v) && jet.size_a < 1e6 && jet.size_b < 1e6 && jet.size_ab < 1e9;
      if (!usable) return false;
      size = std::max(size, std::fabs(jet.v));
    }
  }
  op.first_output = static_cast<int>(values_.size());
  op.outputs = static_cast<int>(results.size());
  for (JetArray& result : results) {
    Value value;
    value.array = std::move(result);
    value.dtype = op.dtype.value_or(dtype);
    value.depends = depends && !op.stops_gradient;
    value.op = static_cast<int>(ops_.size());
    if (op.stops_gradient)
      for (Jet& jet : value.array.values) jet = Jet{.v = jet.v};
    bool ask_it = value.depends && !op.may_alias && dice.chance(0.04);
    if (ask_it) ask(value);
    values_.push_back(std::move(value));
  }
  ops_.push_back(std::move(op));
  if (size <= 4) return true;
  if (dice.chance(0.3))
    return add(
        "tanh", "", {last()}, [](const Tensors& x) { return tanh(x[0]); },
        [](const JetArrays& x) {
          JetArray y = x[0];
          for (Jet& jet : y.values) {
            double t = std::tanh(jet.v);
            jet = chain(jet, t, 1 - t * t, -2 * t * (1 - t * t));
          }
          return y;
        });
  double factor = std::ldexp(1.0, -std::ilogb(size));
  return add(
      "multiply", fmt::format("number {}", factor), {last()},
      [factor](const Tensors& x) { return x[0] * factor; },
      [factor](const JetArrays& x) {
        JetArray y = x[0];
        for (Jet& jet : y.values) jet = chain(jet, jet.v * factor, factor, 0);
        return y;
      });
}

bool Graph::add(const std::string& name, const std::string& arguments,
                const std::vector<int>& inputs, std::function<Tensor(const Tensors&)> library,
                std::function<JetArray(const JetArrays&)> reference, bool may_alias) {
  return add({.name = name,
              .arguments = arguments,
              .inputs = inputs,
              .library = [library](const Tensors& x) { return Tensors{library(x)}; },
              .reference = [reference](const JetArrays& x) { return JetArrays{reference(x)}; },
              .may_alias = may_alias});
}

Graph::Graph(std::uint64_t seed) : dice(seed), seed_(seed) {
  for (int i = 0, leaves = 1 + dice.below(2); i < leaves; ++i) {
    Shape shape;
    for (int axis = 0, rank = dice.below(5); axis < rank; ++axis)
      shape.push_back(dice.chance(0.02) ? 0 : 1 + dice.below(4));
    leaf(shape);
  }
  auto wanted = static_cast<std::size_t>(5 + dice.below(36));
  for (int tries = 0; ops_.size() < wanted && tries < 400; ++tries) {
    static constexpr const std::vector<AddOp>& (*kinds[])() = {pointwise_ops, summing_ops, view_ops,
                                                               part_ops, window_ops};
    const std::vector<AddOp>& kind = kinds[dice.below(std::size(kinds))]();
    kind[static_cast<std::size_t>(dice.below(static_cast<int>(kind.size())))](*this);
  }
  choose_outputs();
}

void Graph::choose_outputs() {
  std::vector<int> candidates;
  for (int id = 0; id <= last(); ++id)
    if (values_[static_cast<std::size_t>(id)].depends) candidates.push_back(id);
  auto count = static_cast<int>(candidates.size());
  for (int i = 0, outputs = 1 + dice.below(4); i < outputs; ++i) {
    // Mostly late ones, so that much lies before them.
    int back = i == 0 ? 0 : dice.chance(0.6) ? dice.below(6) : dice.below(count);
    outputs_.push_back(candidates[static_cast<std::size_t>(std::max(0, count - 1 - back))]);
    std::vector<double> weights;
    bool ones = dice.chance(0.2);
    for (std::size_t k = 0; k < at(outputs_.back()).values.size(); ++k)
      weights.push_back(ones ? 1 : dice.number(-1, 1));
    weights_.push_back(std::move(weights));
  }
}

Jet Graph::total() const {
  Jet sum;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const std::vector<Jet>& y = at(outputs_[i]).values;
    for (std::size_t k = 0; k < y.size(); ++k)
      sum = sum + chain(y[k], weights_[i][k] * y[k].v, weights_[i][k], 0);
  }
  return sum;
}

// --- running and printing

Tensors Graph::run(bool mixed, const std::function<void(const Tensor&)>& watch) const {
  Tensors all;
  auto next = ops_.begin();
  while (all.size() < values_.size()) {
    const Value& value = values_[all.size()];
    if (value.op < 0) {
      all.push_back(tensor(value.leaf, value.array.shape, mixed ? value.dtype : float64));
      if (value.watched) watch(all.back());
      continue;
    }
    const Op& op = *next++;
    Tensors inputs;
    for (int id : op.inputs) inputs.push_back(all[static_cast<std::size_t>(id)]);
    Tensors results =
        op.converts ? Tensors{inputs[0].astype(mixed ? *op.dtype : float64)} : op.library(inputs);
    for (Tensor& result : results) all.push_back(std::move(result));
  }
  return all;
}

std::string Graph::str() const {
  std::string text = fmt::format("graph {}\n", seed_);
  for (std::size_t id = 0; id < values_.size(); ++id) {
    const Value& value = values_[id];
    text += fmt::format("  %{} {} {} = ", id, value.array.shape.str(), name_of(value.dtype));
    if (value.op < 0) {
      text += fmt::format("{} {{{}}}", value.watched ? "leaf" : "constant",
                          fmt::join(value.leaf, ", "));
    } else {
      const Op& op = ops_[static_cast<std::size_t>(value.op)];
      text += op.name + "(";
      for (std::size_t i = 0; i < op.inputs.size(); ++i)
        text += fmt::format("{}%{}", i == 0 ? "" : ", ", op.inputs[i]);
      text += op.arguments.empty() ? ")" : "; " + op.arguments + ")";
      if (op.outputs > 1) text += fmt::format(", part {}", static_cast<int>(id) - op.first_output);
      if (value.asked) text += ", its gradient asked for";
    }
    text += "\n";
  }
  return text + "  results: " + text_of(outputs_) + "\n";
}

}  // namespace keratin::test
