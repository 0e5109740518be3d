#include <algorithm>
#include <ostream>

#include <keratin/core/internal/message.h>
#include <keratin/core/shape.h>

namespace keratin {

Dims Dims::filled(int rank, std::int64_t value) {
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(value);
  return dims;
}

void Dims::no_such_axis(int axis) const {
  fail("shape: axis {} is out of range for rank {}", axis, rank_);
}

void Dims::too_many_axes(std::size_t count) {
  fail("shape: at most {} axes, got {}", max_rank, count);
}

void Dims::insert(int axis, std::int64_t value) {
  push_back(value);
  std::rotate(begin() + axis, end() - 1, end());
}

void Dims::erase(int axis) {
  std::copy(begin() + axis + 1, end(), begin() + axis);
  --rank_;
}

Shape Shape::filled(int rank, std::int64_t value) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(value);
  return shape;
}

std::int64_t Shape::numel() const {
  std::int64_t n = 1;
  bool overflow = false;
  bool zero = false;
  for (std::int64_t size : *this) {
    if (size < 0) fail("shape: a size is negative in {}", str());
    zero |= size == 0;
    overflow |= __builtin_mul_overflow(n, std::max<std::int64_t>(size, 1), &n);
  }
  // A hostile shape such as (2^40, 2^40, 0) is refused too: its strides would overflow.
  if (overflow || n > (std::int64_t{1} << 59)) fail("shape: {} has too many elements", str());
  return zero ? 0 : n;
}

std::string Shape::str() const {
  std::string text = "(";
  for (int i = 0; i < rank(); ++i) {
    if (i > 0) text += ", ";
    text += (*this)[i] == None ? "None" : std::to_string((*this)[i]);
  }
  return text + (rank() == 1 ? ",)" : ")");
}

Shape Shape::without(int axis) const {
  Shape shape = *this;
  shape.erase(axis < 0 ? axis + rank() : axis);
  return shape;
}

Shape Shape::with(int axis, std::int64_t size) const {
  Shape shape = *this;
  shape[axis] = size;
  return shape;
}

Shape Shape::inserted(int axis, std::int64_t size) const {
  Shape shape = *this;
  shape.insert(axis, size);
  return shape;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.str(); }

Strides contiguous_strides(const Shape& shape) {
  Strides strides = Strides::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<std::int64_t>(shape[i + 1], 1);
  return strides;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* who) {
  if (a == b) return a;
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape out = longer;
  for (int i = 1; i <= shorter.rank(); ++i) {
    if (out[-i] == shorter[-i] || shorter[-i] == 1) continue;
    if (out[-i] != 1) fail("{}: shapes {} and {} do not broadcast", who, a, b);
    out[-i] = shorter[-i];
  }
  return out;
}

int normalize_axis(int axis, int rank, const char* who) {
  if (axis < -rank || axis >= rank)
    fail("{}: axis {} is out of range for rank {}", who, axis, rank);
  return axis < 0 ? axis + rank : axis;
}

}  // namespace keratin
