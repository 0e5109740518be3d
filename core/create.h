// Ways to make a tensor. The dtype is float32 unless said, and the device is default_device().
#pragma once

#include <initializer_list>
#include <type_traits>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// Numbers in nested braces: {{1, 2, 3}, {4, 5, 6}}.
class NestedList {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> NestedList(T value)
      : value_(static_cast<double>(value)), is_number_(true) {}
  NestedList(std::initializer_list<NestedList> items) : items_(items) {}

  bool is_number() const { return is_number_; }
  double value() const { return value_; }
  const std::vector<NestedList>& items() const { return items_; }

 private:
  double value_ = 0;
  bool is_number_ = false;
  std::vector<NestedList> items_;
};

/// A tensor of the numbers in braces: tensor({{1, 2, 3}, {4, 5, 6}}) has shape (2, 3). Throws
/// std::invalid_argument when the rows differ in length.
Tensor tensor(const NestedList& values, DType dtype = float32, Device device = default_device());

/// The vector's elements, copied, in the given shape (default: one axis).
template <class T>
Tensor tensor(const std::vector<T>& values, const Shape& shape, DType dtype = dtype_for<T>,
              Device device = default_device());
template <class T>
Tensor tensor(const std::vector<T>& values) {
  return tensor(values, Shape{static_cast<std::int64_t>(values.size())});
}

Tensor zeros(const Shape& shape, DType dtype = float32, Device device = default_device());
Tensor ones(const Shape& shape, DType dtype = float32, Device device = default_device());
Tensor full(const Shape& shape, double value, DType dtype = float32,
            Device device = default_device());
Tensor zeros_like(const Tensor& x);  ///< on the device of x
Tensor ones_like(const Tensor& x);

/// Evenly spaced values start, start + step, ... below stop.
Tensor arange(double start, double stop, double step, DType dtype,
              Device device = default_device());
template <class T>
requires std::is_arithmetic_v<T> Tensor arange(T stop,
                                               DType dtype = std::is_integral_v<T> ? int32
                                                                                   : float32,
                                               Device device = default_device()) {
  return arange(0, static_cast<double>(stop), 1, dtype, device);
}
template <class T>
requires std::is_arithmetic_v<T> Tensor arange(T start, T stop, T step = T(1)) {
  return arange(static_cast<double>(start), static_cast<double>(stop), static_cast<double>(step),
                std::is_integral_v<T> ? int32 : float32);
}

/// `count` values from start to stop, both included.
Tensor linspace(double start, double stop, std::int64_t count, DType dtype = float32,
                Device device = default_device());

/// Ones on the diagonal of a (rows, columns) matrix; columns = rows unless given.
Tensor eye(std::int64_t rows, std::int64_t columns = -1, DType dtype = float32,
           Device device = default_device());

}  // namespace keratin
