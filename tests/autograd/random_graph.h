// Random graphs of ops, each op stated twice: by the library, on tensors, and by a few lines on
// arrays of jets, which carry derivatives forward through plain double arithmetic. Nothing of the
// second way is the library's, so the tape's gradients can be compared with it.
//
// random_graph.cpp grows and runs graphs; the ops stand in random_graph_ops.cpp (pointwise),
// _sums (reductions, products), _views (one tensor rearranged), _parts (joins, lookups) and
// _windows (convolutions, images).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <keratin/autograd/ops.h>

namespace keratin::test {

/// splitmix64: the same numbers from a seed everywhere.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits();
  /// A whole number in 0..n-1.
  int below(int n) { return static_cast<int>(bits() % static_cast<std::uint64_t>(n)); }
  bool chance(double p) { return static_cast<double>(bits() >> 11) < p * 9007199254740992.0; }
  /// A number in [low, high), exact in float32.
  double number(double low, double high);

 private:
  std::uint64_t state_;
};

/// A number with its derivatives in two directions, a and b, and the second derivative in both
/// (a hyper-dual number). Each derivative is a sum over paths through the graph; its size is the
/// same sum of magnitudes, which bounds the rounding errors of any way to sum it.
struct Jet {
  double v = 0, a = 0, b = 0, ab = 0;
  double size_a = 0, size_b = 0, size_ab = 0;
};
/// f(x) from f and its first two derivatives at x.v.
Jet chain(const Jet& x, double f, double first, double second);
Jet operator+(const Jet& x, const Jet& y);
Jet operator-(const Jet& x, const Jet& y);
Jet operator*(const Jet& x, const Jet& y);

using Place = std::vector<std::int64_t>;  // one index for each axis

/// A row-major array of jets.
struct JetArray {
  Shape shape;
  std::vector<Jet> values;

  /// The element at a place; axes of size 1, and axes that are missing in front, repeat.
  const Jet& at(const Place& place) const;
};
using Tensors = std::vector<Tensor>;
using JetArrays = std::vector<JetArray>;

/// Calls f at each place of a shape, in row-major order.
void for_places(const Shape& shape, const std::function<void(const Place&)>& f);
/// The array with jet(place) at each place.
JetArray jets(const Shape& shape, const std::function<Jet(const Place&)>& jet);

/// Whether shapes broadcast together, and to what.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);

/// An op in a graph. In the float64 run of a graph all floats are float64, in the mixed run they
/// have their own dtypes.
struct Op {
  std::string name, arguments = {};
  std::vector<int> inputs;
  std::function<Tensors(const Tensors&)> library;
  std::function<JetArrays(const JetArrays&)> reference;
  std::optional<DType> dtype = {};  // of the results, where it is not the largest of the inputs'
  bool converts = false;            // to `dtype`
  bool may_alias = false;           // a result may be the input itself
  bool stops_gradient = false;
  int first_output = 0, outputs = 1;
};

/// A tensor in a graph: a leaf or the result of an op.
struct Value {
  JetArray array;
  DType dtype = float64;
  bool watched = false;  // a leaf that the tape follows
  bool asked = false;    // the gradient with respect to it is asked for
  bool depends = false;  // on a watched leaf
  int op = -1;           // what made it; -1: a leaf
  std::vector<double> leaf;
  std::vector<double> a, b;  // the directions in which it is moved, if it is asked for
};

class Graph {
 public:
  explicit Graph(std::uint64_t seed);

  const std::vector<Value>& values() const { return values_; }
  const std::vector<Op>& ops() const { return ops_; }
  const std::vector<int>& outputs() const { return outputs_; }
  /// The weights of each output in the sum that is differentiated.
  const std::vector<std::vector<double>>& weights() const { return weights_; }
  /// That sum.
  Jet total() const;
  /// A line for each tensor.
  std::string str() const;
  /// All tensors, computed by the library; `watch` is called with each watched leaf.
  Tensors run(bool mixed, const std::function<void(const Tensor&)>& watch) const;

  // --- for those who add ops

  Dice dice;
  const JetArray& at(int id) const { return values_[static_cast<std::size_t>(id)].array; }
  const Shape& shape(int id) const { return at(id).shape; }
  double smallest(int id) const;
  double largest(int id) const;
  /// The least distance of any element from a number.
  double distance(int id, double from) const;
  /// A tensor that is there, and one that broadcasts with x.
  int any();
  std::optional<int> partner(int x);
  /// One that fulfils a condition.
  std::optional<int> find(const std::function<bool(int)>& condition);
  /// A new leaf; a constant when there are leaves enough.
  int leaf(const Shape& shape);
  /// Appends an op, unless its results are too large or not finite. Where they grow, they are
  /// scaled down.
  bool add(Op op);
  bool add(const std::string& name, const std::string& arguments, const std::vector<int>& inputs,
           std::function<Tensor(const Tensors&)> library,
           std::function<JetArray(const JetArrays&)> reference, bool may_alias = false);
  /// The last result.
  int last() const { return static_cast<int>(values_.size()) - 1; }

 private:
  void ask(Value& value);
  void choose_outputs();

  std::uint64_t seed_;
  std::vector<Value> values_;
  std::vector<Op> ops_;
  std::vector<int> outputs_;
  std::vector<std::vector<double>> weights_;
};

/// Adds an op of some kind where one fits; false where not.
using AddOp = bool (*)(Graph&);
const std::vector<AddOp>& pointwise_ops();
const std::vector<AddOp>& summing_ops();
const std::vector<AddOp>& view_ops();
const std::vector<AddOp>& part_ops();
const std::vector<AddOp>& window_ops();

std::string text_of(const std::vector<int>& numbers);

}  // namespace keratin::test
