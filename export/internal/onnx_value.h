// The values of an ONNX graph, and the operators on them. Each function writes a node, so that a
// layer's export reads like the layer:
//
//   Value z = matmul(x, kernel) + bias;
//
// As with tensors, a plain number takes on the type of what it meets, operands broadcast, and the
// larger type wins. ONNX itself demands equal types; the casts are written here.
//
// Operators: https://onnx.ai/onnx/operators, in their versions of opset 18.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <keratin/core/dtype.h>
#include <keratin/core/shape.h>
#include <keratin/core/tensor.h>

namespace keratin::proto::onnx {
class GraphProto;
}

namespace keratin::onnx {

class Writer;

/// By ONNX's numbers.
enum class Type { float32 = 1, int32 = 6, int64 = 7, boolean = 9, float64 = 11 };
Type type_of(DType dtype);
bool is_floating(Type type);

/// A value of the graph, a plain number, or nothing.
struct Value {
  Value() = default;
  Value(double number) : number(number), is_number(true) {}
  Value(Writer& writer, std::string name, const Shape& shape, Type type)
      : writer(&writer), name(std::move(name)), shape(shape), type(type) {}

  bool defined() const { return writer != nullptr; }
  int rank() const { return shape.rank(); }

  Writer* writer = nullptr;
  std::string name = {};
  Shape shape = {};  ///< None where a size is not known
  Type type = Type::float32;
  double number = 0;
  bool is_number = false;
};
using Values = std::vector<Value>;

/// A size that is known, or a value that has it. In reshape, -1 is what is left and 0 the size that
/// the axis has.
struct Size {
  Size(std::int64_t known) : known(known) {}
  Size(int known) : known(known) {}
  Size(Value value) : value(std::move(value)) {}
  std::int64_t known = None;
  Value value = {};  ///< int64 of shape (1)
};
using Sizes = std::vector<Size>;

using Attribute =
    std::pair<std::string,
              std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>,
                           std::vector<std::string>, const proto::onnx::GraphProto*>>;
using Attributes = std::vector<Attribute>;

/// Any operator with one output or several. An input that is nothing is one left out.
Value node(const std::string& op, const Values& inputs, const Shape& shape, Type type,
           const Attributes& attributes = {});
Values nodes(const std::string& op, const Values& inputs, const std::vector<Shape>& shapes,
             Type type, const Attributes& attributes = {});

// --- number by number

Value unary(const char* op, const Value& x);
Value binary(const char* op, const Value& x, const Value& y);
/// A boolean result.
Value compare(const char* op, const Value& x, const Value& y);
Value operator+(const Value& x, const Value& y);
Value operator-(const Value& x, const Value& y);
Value operator*(const Value& x, const Value& y);
Value operator/(const Value& x, const Value& y);  ///< of floats; integers become float32
Value operator-(const Value& x);
Value maximum(const Value& x, const Value& y);
Value minimum(const Value& x, const Value& y);
Value operator<(const Value& x, const Value& y);
Value operator<=(const Value& x, const Value& y);
Value operator>(const Value& x, const Value& y);
Value operator>=(const Value& x, const Value& y);
Value equal(const Value& x, const Value& y);
Value logical_and(const Value& x, const Value& y);
Value logical_or(const Value& x, const Value& y);
Value logical_not(const Value& x);
Value where(const Value& condition, const Value& x, const Value& y);
Value cast(const Value& x, Type type);
Value to_float(const Value& x);  ///< integers and booleans become float32

// --- shapes. Negative axes count from the end.

Size size_of(const Value& x, int axis);
Sizes sizes_of(const Value& x);
/// The sizes as one value, int64 of rank 1.
Value shape_value(Writer& writer, const Sizes& sizes);
Value reshape(const Value& x, const Sizes& sizes);
Value transpose(const Value& x, const std::vector<int>& order);
Value moveaxis(const Value& x, int from, int to);
Value expand_dims(const Value& x, const std::vector<int>& axes);
Value squeeze(const Value& x, const std::vector<int>& axes);
/// With axes of size 1 at the end, up to this rank.
Value with_rank(const Value& x, int rank);
Value broadcast_to(const Value& x, const Sizes& sizes);
Value concatenate(const Values& values, int axis);
Values split(const Value& x, int parts, int axis);
/// From start to before stop along an axis; numbers below 0 count from the end, the largest and
/// smallest of int64 stand for the ends.
Value slice(const Value& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step = 1);
Value at(const Value& x, int axis, std::int64_t index);  ///< without the axis
Value flip(const Value& x, int axis);
/// A number on all sides, as many entries before and after each axis.
Value pad(const Value& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths,
          double value = 0);
Value gather(const Value& x, const Value& indices, int axis);
/// int64 of shape (n): 0, 1, ...
Value arange(Writer& writer, const Size& n);

// --- along axes

/// "ReduceSum" and so on. No axes: all.
Value reduce(const char* op, const Value& x, std::vector<int> axes, bool keepdims = false);
Value softmax(const Value& x, const std::vector<int>& axes);
Value any(const Value& x, const std::vector<int>& axes, bool keepdims = false);
Value matmul(const Value& x, const Value& y);
Value einsum(const std::string& equation, const Values& operands, const Shape& shape);

/// One step after the other along axis 1 of the sequences: {final states, stacked outputs}. `step`
/// takes the states and one step of each sequence, and gives the new states and then the outputs.
Values scan(Writer& writer, const Values& states, const Values& sequences,
            const std::function<Values(const Values& states, const Values& steps)>& step);

}  // namespace keratin::onnx
