// Shapes and strides: short lists of 64-bit integers, kept in place. All arithmetic on sizes that
// could overflow happens in Shape::numel.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

namespace keratin {

/// A list of at most 8 integers, one per axis.
class Dims {
 public:
  static constexpr int max_rank = 8;

  Dims() = default;
  Dims(std::initializer_list<std::int64_t> values)
      : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const std::int64_t> values) {
    if (values.size() > max_rank) too_many_axes(values.size());
    for (std::int64_t value : values) values_[static_cast<std::size_t>(rank_++)] = value;
  }
  /// `rank` copies of `value`.
  static Dims filled(int rank, std::int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }

  /// Negative axes count from the end. Throws std::invalid_argument when there is no such axis.
  std::int64_t operator[](int axis) const { return values_[place_of(axis)]; }
  std::int64_t& operator[](int axis) { return values_[place_of(axis)]; }

  const std::int64_t* begin() const { return values_.data(); }
  const std::int64_t* end() const { return values_.data() + rank_; }
  std::int64_t* begin() { return values_.data(); }
  std::int64_t* end() { return values_.data() + rank_; }

  void push_back(std::int64_t value) {
    if (rank_ == max_rank) too_many_axes(max_rank + 1);
    values_[static_cast<std::size_t>(rank_++)] = value;
  }
  void insert(int axis, std::int64_t value);
  void erase(int axis);

  bool operator==(const Dims& other) const {
    bool same = rank_ == other.rank_;
    for (std::size_t i = 0; same && i < static_cast<std::size_t>(rank_); ++i)
      same = values_[i] == other.values_[i];
    return same;
  }

 private:
  std::size_t place_of(int axis) const {
    int place = axis < 0 ? axis + rank_ : axis;
    if (place < 0 || place >= rank_) no_such_axis(axis);
    return static_cast<std::size_t>(place);
  }
  [[noreturn]] void no_such_axis(int axis) const;
  [[noreturn]] static void too_many_axes(std::size_t count);

  std::array<std::int64_t, max_rank> values_{};
  int rank_ = 0;
};

using Strides = Dims;  // in elements, one per axis; may be zero (expanded) or negative (flipped)

/// The size of a dimension not known yet: the batch axis while a model is built. Prints as None.
inline constexpr std::int64_t None = -1;

/// The extent of each axis.
class Shape : public Dims {
 public:
  using Dims::Dims;
  static Shape filled(int rank, std::int64_t value);

  /// Number of elements; 1 for rank 0. Throws std::invalid_argument when a size is negative or the
  /// product does not fit 63 bits.
  std::int64_t numel() const;

  /// "(2, 3)", "(5,)" for rank 1, "()" for rank 0, as Python prints a tuple.
  std::string str() const;

  /// A copy with one axis removed, inserted before `axis`, or replaced.
  Shape without(int axis) const;
  Shape with(int axis, std::int64_t size) const;
  Shape inserted(int axis, std::int64_t size) const;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// Strides of a row-major array of this shape.
Strides contiguous_strides(const Shape& shape);

/// The shape two operands broadcast to, by NumPy's rule; `who` begins the error message.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* who);

/// `axis` as 0..rank-1; negative counts from the end. Throws std::invalid_argument naming `who`.
int normalize_axis(int axis, int rank, const char* who);

}  // namespace keratin
