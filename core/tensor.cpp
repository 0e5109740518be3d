#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include <keratin/core/internal/backend.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>

namespace keratin {

// --- handles

void Tensor::share() const noexcept { data_->refs.fetch_add(1, std::memory_order_relaxed); }

void Tensor::release() noexcept {
  if (data_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) data_->destroy();
}

Tensor::Tensor(double value, DType dtype, Weak)
    : Tensor(empty({}, dtype == float32 ? float64 : dtype, Device())) {
  data_->weak = true;
  if (dtype == int32 && (value < -2147483648.0 || value > 2147483647.0))
    fail("tensor: the integer {} does not fit int32", value);
  kernels_of(*this).fill(*this, value);
}

Tensor Tensor::wrap(void* data, DType dtype, const Shape& shape, bool read_only) {
  std::int64_t n = shape.numel();
  if (data == nullptr && n > 0) fail("Tensor::view: null data for shape {}", shape);
  auto* storage = Storage::wrap(data, static_cast<std::size_t>(n) * size_of(dtype), read_only);
  return TensorData::adopt(
      TensorData::make(storage, storage->data, dtype, shape, n, contiguous_strides(shape)));
}

TensorData* TensorData::make(Storage* storage, std::byte* data, DType dtype, const Shape& shape,
                             std::int64_t numel, const Strides& strides) {
  auto* made = new (pool_allocate(sizeof(TensorData))) TensorData;
  made->dtype = dtype;
  made->storage = storage;
  made->data = data;
  made->numel = numel;
  made->shape = shape;
  made->strides = strides;
  std::int64_t expected = 1;
  bool contiguous = true;
  for (int axis = shape.rank() - 1; axis >= 0 && numel > 0; --axis) {
    std::int64_t size = shape.begin()[axis];
    contiguous &= size == 1 || strides.begin()[axis] == expected;
    expected *= size;
  }
  made->contiguous = contiguous;
  return made;
}

void TensorData::destroy() noexcept {
  storage->release();
  this->~TensorData();
  pool_free(this, sizeof(TensorData));
}

// --- properties

namespace {

const TensorData& checked(const TensorData* data) {
  if (data == nullptr) fail("tensor: this Tensor is undefined (default-constructed or moved from)");
  return *data;
}

}  // namespace

const Shape& Tensor::shape() const { return checked(data_).shape; }
const Strides& Tensor::strides() const { return checked(data_).strides; }
std::int64_t Tensor::size(int axis) const {
  const Shape& all = shape();
  return all.begin()[normalize_axis(axis, all.rank(), "size")];
}
std::int64_t Tensor::numel() const { return checked(data_).numel; }
DType Tensor::dtype() const { return checked(data_).dtype; }
Device Tensor::device() const { return checked(data_).storage->device; }
bool Tensor::is_contiguous() const { return checked(data_).contiguous; }

const void* Tensor::address(DType dtype) const {
  if (this->dtype() != dtype) fail("data: the tensor holds {}, not {}", this->dtype(), dtype);
  if (device().is_meta()) throw NoElements("data");
  if (!device().is_cpu())
    fail("data: the tensor is on {}; take it to the processor with .to(\"cpu\")", device().str());
  return data_->data;
}

void* Tensor::writable_address(DType dtype) {
  address(dtype);
  begin_write(*this, "mutable_data");
  return data_->data;
}

double Tensor::element(std::initializer_list<std::int64_t> index) const {
  if (index.size() == 0) {
    if (numel() != 1) fail("item: expected one index per axis of shape {}, got none", shape());
    return scalar_value(*this);
  }
  if (static_cast<int>(index.size()) != rank())
    fail("item: expected {} indices for shape {}, got {}", rank(), shape(), index.size());
  std::int64_t offset = 0;
  int axis = 0;
  for (std::int64_t i : index) {
    std::int64_t extent = shape()[axis];
    if (i < -extent || i >= extent)
      fail("item: index {} is out of range for axis {} of shape {}", i, axis, shape());
    offset += (i < 0 ? i + extent : i) * strides()[axis];
    ++axis;
  }
  return scalar_value(make_view(*this, {}, {}, offset));
}

bool is_blas_matrix(std::int64_t rows, std::int64_t columns, const Strides& strides) {
  std::int64_t down = strides[-2], right = strides[-1];
  if (right == 1 || columns == 1)
    return (columns == 1 && right != 1 ? down >= 1 : down >= columns) || rows == 1;
  return (down == 1 || rows == 1) && right >= rows;
}

bool is_blas_matrix(const Tensor& x) { return is_blas_matrix(x.size(-2), x.size(-1), x.strides()); }

double scalar_value(const Tensor& x) {
  const Tensor tensor = on_host(x);
  switch (tensor.dtype()) {
    case boolean:
      return *raw<bool>(tensor);
    case int32:
      return *raw<std::int32_t>(tensor);
    case float32:
      return static_cast<double>(*raw<float>(tensor));
    case float64:
      return *raw<double>(tensor);
  }
  return 0;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  Tensor dense = on_host(contiguous(cast(*this, dtype_for<T>)));
  const T* first = raw<T>(dense);
  return std::vector<T>(first, first + numel());
}
template std::vector<float> Tensor::to_vector<float>() const;
template std::vector<double> Tensor::to_vector<double>() const;
template std::vector<std::int32_t> Tensor::to_vector<std::int32_t>() const;
template std::vector<bool> Tensor::to_vector<bool>() const;

Tensor& Tensor::assign(const Tensor& value) {
  if (broadcast_shapes(shape(), value.shape(), "assign") != shape())
    fail("assign: a value of shape {} does not fit into {}", value.shape(), shape());
  begin_write(*this, "assign");
  Tensor source = value.rank() == 0 && value.device().is_cpu() ? value : on_device(value, device());
  if (TensorData::of(value).storage == data_->storage) {
    source = empty(value.shape(), value.dtype(), device());  // the two may overlap
    kernels_of(*this).copy(source, value);
  }
  kernels_of(*this).copy(*this, source);
  return *this;
}

// --- for the library (core/internal/tensor_data.h)

Tensor empty(const Shape& shape, DType dtype, Device device) {
  std::int64_t n = shape.numel();
  Storage* storage = Storage::make(static_cast<std::size_t>(n) * size_of(dtype), device);
  return TensorData::adopt(
      TensorData::make(storage, storage->data, dtype, shape, n, contiguous_strides(shape)));
}

Device device_of(std::span<const Tensor> operands) {
  Device found;
  for (const Tensor& x : operands) {
    if (!x.defined()) continue;
    if (x.device().is_meta()) return x.device();
    if (found.is_cpu()) found = x.device();
  }
  return found;
}

Tensor on_device(const Tensor& tensor, Device device) {
  const Device from = tensor.device();
  if (from == device) return tensor;
  if (device.is_meta()) return empty(tensor.shape(), tensor.dtype(), device);
  if (from.is_meta()) throw NoElements("copy");
  if (!from.is_cpu() && !device.is_cpu()) return on_device(on_host(tensor), device);
  const Tensor dense = contiguous(tensor);
  Tensor made = empty(tensor.shape(), tensor.dtype(), device);
  const std::size_t bytes = static_cast<std::size_t>(tensor.numel()) * size_of(tensor.dtype());
  if (bytes == 0) return made;
  if (from.is_cpu())
    backend_of(device).to_device(raw<void>(made), raw<void>(dense), bytes, device.index);
  else
    backend_of(from).to_host(raw<void>(made), raw<void>(dense), bytes, from.index);
  return made;
}

void give_memory(const Tensor& tensor, Device device) {
  TensorData& data = TensorData::of(tensor);
  Storage* storage = Storage::make(data.numel * size_of(data.dtype), device);
  std::exchange(data.storage, storage)->release();
  data.data = storage->data;
}

MemoryOrder memory_order(const Tensor& x) {
  MemoryOrder order{std::vector<int>(static_cast<std::size_t>(x.rank())), {}, false};
  std::iota(order.axes.begin(), order.axes.end(), 0);
  const Strides& strides = x.strides();
  std::ranges::stable_sort(order.axes, [&](int a, int b) { return strides[a] > strides[b]; });
  order.position.resize(order.axes.size());
  for (int i = 0; i < x.rank(); ++i) order.position[order.axes[i]] = i;
  order.dense = permuted_view(x, order.axes).is_contiguous();
  return order;
}

Tensor permuted_view(const Tensor& x, std::span<const int> axes) {
  Shape shape;
  Strides strides;
  for (int axis : axes) {
    shape.push_back(x.shape()[axis]);
    strides.push_back(x.strides()[axis]);
  }
  return make_view(x, shape, strides);
}

Tensor empty_in_order(const Shape& shape, DType dtype, std::span<const Tensor> like) {
  for (const Tensor& x : like) {
    if (!x.defined() || x.shape() != shape) continue;
    if (x.is_contiguous()) break;
    MemoryOrder order = memory_order(x);
    if (!order.dense) break;
    Shape permuted;
    for (int axis : order.axes) permuted.push_back(shape[axis]);
    return permuted_view(empty(permuted, dtype, device_of(like)), order.position);
  }
  return empty(shape, dtype, device_of(like));
}

Tensor make_view(const Tensor& base, const Shape& shape, const Strides& strides,
                 std::int64_t offset) {
  const TensorData& data = TensorData::of(base);
  auto bytes = offset * static_cast<std::int64_t>(size_of(data.dtype));
  TensorData* made =
      TensorData::make(data.storage, data.data + bytes, data.dtype, shape, shape.numel(), strides);
  data.storage->retain();
  made->weak = data.weak && shape.rank() == 0;
  return TensorData::adopt(made);
}

Tensor expand_view(const Tensor& base, const Shape& shape) {
  if (base.shape() == shape) return base;
  Strides strides = Strides::filled(shape.rank(), 0);
  int missing = shape.rank() - base.rank();
  for (int axis = 0; axis < base.rank(); ++axis)
    if (base.shape()[axis] != 1) strides[missing + axis] = base.strides()[axis];
  return make_view(base, shape, strides);
}

Tensor contiguous(const Tensor& tensor) {
  if (tensor.is_contiguous()) return tensor;
  Tensor copy = empty(tensor.shape(), tensor.dtype(), tensor.device());
  kernels_of(tensor).copy(copy, tensor);
  return copy;
}

Tensor cast(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype && !TensorData::of(tensor).weak) return tensor;
  Tensor made = empty(tensor.shape(), dtype, tensor.device());
  kernels_of(tensor).copy(made, tensor);
  return made;
}

bool is_unique(const Tensor& tensor) {
  const TensorData& data = TensorData::of(tensor);
  // Another thread may just have released its handle: what it did before must be seen.
  return data.refs.load(std::memory_order_acquire) == 1 &&
         data.storage->refs.load(std::memory_order_acquire) == 1 && !data.storage->external;
}

int overlapping_axis(const Tensor& tensor) {
  if (tensor.is_contiguous()) return -1;
  std::vector<std::array<std::int64_t, 3>> axes;  // stride, size, and which it is
  for (int axis = 0; axis < tensor.rank(); ++axis)
    if (tensor.shape()[axis] > 1)
      axes.push_back({std::abs(tensor.strides()[axis]), tensor.shape()[axis], axis});
  std::ranges::sort(axes);
  std::int64_t reach = 0;
  for (auto [stride, size, axis] : axes) {
    if (stride <= reach) return static_cast<int>(axis);
    reach += stride * (size - 1);
  }
  return -1;
}

void begin_write(const Tensor& tensor, const char* who) {
  if (!tensor.defined()) fail("{}: the tensor is undefined", who);
  const TensorData& data = TensorData::of(tensor);
  if (data.storage->read_only) fail("{}: the tensor views memory that may only be read", who);
  if (overlapping_axis(tensor) >= 0)
    fail("{}: the view of shape {} repeats its elements; write to a copy of it", who, data.shape);
  data.storage->version.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace keratin
