// The op table: every op of autograd/ops.h once, with what it should compute stated a second time,
// independently and slowly. The suite (test_ops_*.cpp) walks it. To test a new op, add a row; a
// test fails until there is one.
//
// Rows stand in op_table_pointwise.cpp, _reduce, _product, _shape, _window and _parts; the tools
// that walk them in op_table_check.cpp and op_table_derivative.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>

namespace keratin::test {

// --- references

using Real = long double;
using Place = std::vector<std::int64_t>;  // one index for each axis

/// A row-major array of numbers: what references compute with.
struct Array {
  Shape shape;
  std::vector<Real> values;

  /// The element at a place; axes of size 1, and axes that are missing in front, repeat.
  Real at(const Place& place) const;
};
using Arrays = std::vector<Array>;

Array array_of(const Tensor& x);
/// The array with value(place) at each place.
Array build(const Shape& shape, const std::function<Real(const Place&)>& value);
/// One number for each run of x along the axes (none named: all of them).
Array fold(const Array& x, const Axes& axes, bool keepdims,
           const std::function<Real(const std::vector<Real>&)>& of_run);
/// One run for each run of x along an axis.
Array along(const Array& x, int axis,
            const std::function<std::vector<Real>(const std::vector<Real>&)>& of_run);

// --- the table

using Inputs = std::vector<Tensor>;

/// Where sample inputs come from: floats, true and false, or int32 numbers low..high-1.
struct Domain {
  double low = -2, high = 2;
  DType dtype = float64;  // float64 stands for both float types
};

struct Traits {
  std::vector<Domain> domains = {{}};  // the last one serves the inputs that follow
  std::vector<double> kinks = {};      // samples keep away from these
  bool ties = false;                   // a kink where two inputs are equal
  double ulps = 0.5;                   // float32: error allowed, in units in the last place ...
  double floor = 0;                    // ... of the result, or of this where the result is smaller
  bool differentiable = true;
  bool whole = false;  // integers in, integers out
  bool bits = true;    // the same numbers in another layout give the same bits
  double wide = 0;     // > 0: values are also tested on (-wide, wide)
};

/// An op with its other arguments, on inputs of given shapes.
struct Case {
  std::string op;  // as autograd/ops.h declares it
  std::string variant;
  std::vector<Shape> shapes;
  std::function<Tensor(const Inputs&)> call;
  std::function<Array(const Arrays&)> reference;
  Traits traits;

  std::string name() const;
};

/// A pointwise op: a case for each list of shapes, and a formula for one element.
struct PointwiseOp {
  std::string op;
  std::string variant;
  int inputs;
  std::function<Tensor(const Inputs&)> call;
  std::function<Real(const Real*)> formula;
  Traits traits;

  Case on(const std::vector<Shape>& shapes) const;
};

const std::vector<PointwiseOp>& pointwise_table();
std::vector<Case> reduce_table();
std::vector<Case> product_table();
std::vector<Case> shape_table();
std::vector<Case> window_table();
std::vector<Case> parts_table();

/// All of it, on small shapes: ranks 0 to 5, sizes 0, 1 and primes, broadcast both ways.
const std::vector<Case>& op_table();
/// The same ops on 100,000 elements and more; n mod 16 is 0, 1 and 15.
const std::vector<Case>& large_table();
std::vector<Case> large_reduce_table();
std::vector<Case> large_product_table();
std::vector<Case> large_shape_table();
std::vector<Case> large_window_table();
std::vector<Case> large_parts_table();

// --- walking it

/// Sample inputs, the same at every call; every value is exact in float32.
Inputs samples(const Case& c, DType dtype);
Inputs samples(const Case& c, DType dtype, double low, double high);
/// A tensor of random numbers in (-1, 1).
Tensor random_like(const Tensor& x, unsigned seed);

/// The gradients of sum(cotangent * call(x)) for the float inputs; `recorded`: by the backward pass
/// that an outer tape records. Undefined for the others.
Inputs gradients(const std::function<Tensor(const Inputs&)>& call, const Inputs& x,
                 const Tensor& cotangent, bool recorded = false);

/// How far numbers may lie from what is expected: relative to the larger of the expected number and
/// `floor`; in units in the last place of float32 when `ulps` is given instead.
struct Tolerance {
  double relative = 0;
  double floor = 0;
  double ulps = 0;
};
inline constexpr Tolerance exactly{};

/// Counts one check; when the two differ in dtype, shape or any element beyond the tolerance, fails
/// the test with op, layout, shape, element and both values. NaN equals NaN, 0 equals -0 unless the
/// tolerance is `exactly`.
void check(const std::string& what, const Tensor& got, const Array& expected, const Tolerance&);
void check(const std::string& what, const Tensor& got, const Tensor& expected, const Tolerance&);
/// Counts one check that two tensors are the same, bit for bit.
void check_bits(const std::string& what, const Tensor& got, const Tensor& expected);
/// Counts one check that something holds.
void check(const std::string& what, bool holds);

/// First and second derivatives against central differences of four points.
void check_derivatives(const std::string& what, const std::function<Tensor(const Inputs&)>& call,
                       const Inputs& x);

/// Checks so far, and the elements compared in them.
struct Counts {
  long checks = 0, elements = 0;
};
const Counts& counts();

}  // namespace keratin::test
