// Tensor: strided memory with a shape, a type and a device. A Tensor is a handle: copying one
// shares the elements, and transposing, slicing or broadcasting one makes a view of them.
//
// `=` makes a name mean another tensor, and `x += y` is x = x + y; neither touches elements, and
// neither compiles for a view without a name. To write into a view, assign to it:
//
//   a[0].assign(5);
//   slice(a, {all, range(2)}).assign(b);
//
// Arithmetic on tensors is in autograd/ops.h, ways to make one in core/create.h. Nothing here knows
// of gradients, but for one number that a tape may attach to a tensor it has recorded. The members
// marked [op] are short spellings of ops and are defined with them.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <keratin/core/device.h>
#include <keratin/core/dtype.h>
#include <keratin/core/shape.h>

namespace keratin {

struct TensorData;

class Tensor {
 public:
  /// No tensor at all: defined() is false.
  Tensor() noexcept = default;

  /// A number is a tensor of rank 0 that takes on the dtype of what it meets: x * 2 has x's dtype.
  template <class T>
  requires std::is_arithmetic_v<T> Tensor(T value)
      : Tensor(static_cast<double>(value),
               std::same_as<T, bool> ? boolean : (std::integral<T> ? int32 : float32), Weak{}) {}

  Tensor(const Tensor& other) noexcept : data_(other.data_) {
    if (data_ != nullptr) share();
  }
  Tensor(Tensor&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Tensor& operator=(const Tensor& other) & noexcept {
    if (data_ != other.data_) *this = Tensor(other);
    return *this;
  }
  Tensor& operator=(Tensor&& other) & noexcept {
    Tensor taken(std::move(other));
    std::swap(data_, taken.data_);
    return *this;
  }
  ~Tensor() {
    if (data_ != nullptr) release();
  }

  /// The caller's own memory, row-major, not copied; it must outlive the tensor and its views.
  template <class T>
  static Tensor view(T* data, const Shape& shape) {
    using Element = std::remove_const_t<T>;
    return wrap(const_cast<Element*>(data), dtype_for<Element>, shape, std::is_const_v<T>);
  }

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const;
  const Strides& strides() const;  ///< in elements
  int rank() const { return shape().rank(); }
  /// Extent of one axis; negative axes count from the end.
  std::int64_t size(int axis) const;
  std::int64_t numel() const;
  DType dtype() const;
  Device device() const;
  bool is_contiguous() const;

  /// The first element. Elements lie at strides(); is_contiguous() says whether they are row-major.
  /// T must be the tensor's own type, and the tensor on the processor.
  template <class T>
  const T* data() const {
    return static_cast<const T*>(address(dtype_for<T>));
  }
  /// For writing; throws when the tensor is a view that repeats elements or of read-only memory.
  template <class T>
  T* mutable_data() {
    return static_cast<T*>(writable_address(dtype_for<T>));
  }

  /// One element as a number: t.item(1, 2); t.item() of a tensor with one element.
  template <std::integral... Index>
  double item(Index... index) const {
    return element({static_cast<std::int64_t>(index)...});
  }

  /// The elements in row-major order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;

  /// Writes `value`, broadcast and converted, into this tensor's memory: views of it see the
  /// change.
  Tensor& assign(const Tensor& value);

  Tensor astype(DType dtype) const;                    ///< [op] converted; itself when equal
  Tensor to(Device device) const;                      ///< [op] there; itself when it is there
  Tensor copy() const;                                 ///< [op] with memory of its own, contiguous
  Tensor reshape(const Shape& shape) const;            ///< [op] one size may be -1
  Tensor transpose(std::vector<int> axes = {}) const;  ///< [op] a view; without axes all reversed
  Tensor operator[](std::int64_t index) const;         ///< [op] a view, without the first axis
  Tensor& operator+=(const Tensor& other) &;           ///< [op] x = x + other; likewise below
  Tensor& operator-=(const Tensor& other) &;
  Tensor& operator*=(const Tensor& other) &;
  Tensor& operator/=(const Tensor& other) &;

  /// As NumPy prints it.
  std::string str() const;

 private:
  friend struct TensorData;
  struct Weak {};
  void share() const noexcept;
  void release() noexcept;
  Tensor(double value, DType dtype, Weak);
  static Tensor wrap(void* data, DType dtype, const Shape& shape, bool read_only);
  const void* address(DType dtype) const;
  void* writable_address(DType dtype);
  double element(std::initializer_list<std::int64_t> index) const;

  TensorData* data_ = nullptr;
};

std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace keratin
