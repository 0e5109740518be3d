// What a Tensor handle points to, for the library's own code.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include <keratin/core/internal/pool.h>
#include <keratin/core/tensor.h>

namespace keratin {

struct TensorData {
  std::atomic<std::int32_t> refs{1};
  DType dtype = float32;
  bool weak = false;      // a plain number: takes on the dtype of what it meets
  bool variable = false;  // a layer's trainable weight: every tape watches it unasked
  bool contiguous = true;
  std::uint32_t variable_id = 0;  // which of a tape's variables this is,
  std::uint64_t epoch = 0;        // and of which recording; no recording has number 0
  Storage* storage = nullptr;
  std::byte* data = nullptr;  // the first element
  std::int64_t numel = 0;
  Shape shape;
  Strides strides;

  static TensorData& of(const Tensor& tensor) { return *tensor.data_; }
  static Tensor adopt(TensorData* data) {
    Tensor tensor;
    tensor.data_ = data;
    return tensor;
  }
  /// A new header over `storage`, whose count it takes over; `numel` is the shape's.
  static TensorData* make(Storage* storage, std::byte* data, DType dtype, const Shape& shape,
                          std::int64_t numel, const Strides& strides);
  void destroy() noexcept;
};

/// Uninitialised memory.
Tensor empty(const Shape& shape, DType dtype, Device device);

/// Where the result of an op on these tensors is: on meta if one of them is, else with the first
/// that is not on the processor. A number on the processor, a tensor of rank 0, may meet any
/// device; kernels refuse other mixtures.
Device device_of(std::span<const Tensor> operands);
inline Device device_of(std::initializer_list<Tensor> operands) {
  return device_of(std::span(operands.begin(), operands.size()));
}

/// On that device, itself when it is there already. Not recorded.
Tensor on_device(const Tensor& tensor, Device device);
inline Tensor on_host(const Tensor& tensor) { return on_device(tensor, Device()); }

/// Uninitialised memory in the order of the first of `like` that has this shape: what is computed
/// from a transposed tensor stays transposed, so that nothing is walked across its rows.
Tensor empty_in_order(const Shape& shape, DType dtype, std::span<const Tensor> like);

/// How the axes of a tensor lie in memory.
struct MemoryOrder {
  std::vector<int> axes;      // widest stride first
  std::vector<int> position;  // of each axis in that list
  bool dense;                 // taken in that order, the tensor is contiguous
};
MemoryOrder memory_order(const Tensor& x);

/// x with its axes in another order. Not recorded.
Tensor permuted_view(const Tensor& x, std::span<const int> axes);

/// Other shape and strides over the same memory, starting `offset` elements further. Not recorded.
Tensor make_view(const Tensor& base, const Shape& shape, const Strides& strides,
                 std::int64_t offset = 0);

/// A view broadcast to `shape`, which it must be able to take. Not recorded.
Tensor expand_view(const Tensor& base, const Shape& shape);

/// Itself when row-major without gaps, else a copy that is. Not recorded.
Tensor contiguous(const Tensor& tensor);

/// Converted to `dtype`, itself when equal. Not recorded.
Tensor cast(const Tensor& tensor, DType dtype);

/// Gives a tensor on meta uninitialised memory on a device. All handles of the tensor see it; views
/// of the tensor do not.
void give_memory(const Tensor& tensor, Device device);

/// Whether no other handle shares the memory.
bool is_unique(const Tensor& tensor);

/// The axis, from the smallest stride on, whose steps meet elements that the axes before it reach:
/// two indices may then name one element. -1 where there is none.
int overlapping_axis(const Tensor& tensor);

/// Throws unless `tensor` may be written in place; then counts one write.
void begin_write(const Tensor& tensor, const char* who);

inline std::uint32_t version_of(const Tensor& tensor) {
  return TensorData::of(tensor).storage->version.load(std::memory_order_relaxed);
}

/// Whether a matrix has dense rows or dense columns, as BLAS wants it.
bool is_blas_matrix(std::int64_t rows, std::int64_t columns, const Strides& strides);
bool is_blas_matrix(const Tensor& x);

/// The value of a tensor with one element.
double scalar_value(const Tensor& tensor);

/// The first element, for the code of the tensor's own device.
template <class T>
T* raw(const Tensor& tensor) {
  return reinterpret_cast<T*>(TensorData::of(tensor).data);
}

}  // namespace keratin
