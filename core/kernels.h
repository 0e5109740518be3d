// The contract a device fulfils: everything that touches elements. A kernel sees a tensor as
// strided memory and nothing more; shapes, dtypes and axes have been checked by the op that calls
// it, and outputs have been allocated. An input of rank 0 may be on the processor, whatever the
// device: it is a number. A device that misses a kernel does not compile.
#pragma once

#include <span>
#include <vector>

#include <keratin/core/catalogue.h>
#include <keratin/core/reduction.h>
#include <keratin/core/tensor.h>
#include <keratin/core/windows.h>

namespace keratin {

enum class Comparison {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  logical_and,
  logical_or,
  logical_xor
};

constexpr const char* name_of(Comparison op) {
  constexpr const char* names[] = {"equal",       "not_equal",  "less",
                                   "less_equal",  "greater",    "greater_equal",
                                   "logical_and", "logical_or", "logical_xor"};
  return names[static_cast<int>(op)];
}

struct Draw;  // core/internal/draw.h

class Kernels {
 public:
  using Tensors = std::span<const Tensor>;

  virtual ~Kernels() = default;

  // --- memory
  virtual void fill(const Tensor& y, double value) const = 0;
  /// y[i] = start + i step; y has one axis and is contiguous.
  virtual void arange(const Tensor& y, double start, double step) const = 0;
  /// y[i] = number i of the draw; y is contiguous and holds floats.
  virtual void random(const Tensor& y, const Draw& draw) const = 0;
  /// Converts and broadcasts.
  virtual void copy(const Tensor& y, const Tensor& x) const = 0;
  /// y += x, one element after the other: elements of y may overlap.
  virtual void accumulate(const Tensor& y, const Tensor& x) const = 0;

  // --- pointwise: x broadcasts to the shape of the first output; all of one dtype
  /// A tensor several times as wide along the last axis stands for as many operands side by side,
  /// such as the gates of a cell.
  virtual void pointwise(Pointwise op, const void* functor, Tensors y, Tensors x) const = 0;
  /// gx[i] is undefined where nobody wants it. x holds the inputs, or the output alone for a
  /// functor whose derivative is stated in terms of its output.
  virtual void pointwise_gradient(Pointwise op, const void* functor, Tensors gx, Tensors x,
                                  Tensors gy) const = 0;
  /// Steps of an optimizer, in one launch where that saves time: `functor` on each of the groups,
  /// in place. A group is dense: all of its tensors are read, and all but the last written. Where
  /// `allowed`, a boolean that may be undefined, is false, nothing happens.
  virtual void step(Pointwise op, const void* functor, std::span<const std::vector<Tensor>> groups,
                    const Tensor& allowed) const = 0;
  /// finite = finite, and all numbers of x are: floats of one dtype; a boolean of rank 0. A device
  /// makes it false, too, where an index was out of range and the host has not waited since.
  virtual void check_finite(const Tensor& finite, Tensors x) const = 0;
  /// y is boolean.
  virtual void compare(Comparison op, const Tensor& y, const Tensor& a, const Tensor& b) const = 0;
  /// y = condition ? a : b
  virtual void select(const Tensor& y, const Tensor& condition, const Tensor& a,
                      const Tensor& b) const = 0;

  // --- along one axis; x and y contiguous
  virtual void reduce(Reduction op, const Tensor& y, const Tensor& x, int axis) const = 0;
  /// int32 index of the first largest (smallest) element; NaN counts as larger (smaller) than all.
  virtual void arg_reduce(bool largest, const Tensor& y, const Tensor& x, int axis) const = 0;
  virtual void cumulative_sum(const Tensor& y, const Tensor& x, int axis, bool reverse) const = 0;
  virtual void softmax(const Tensor& y, const Tensor& x, int axis, bool log) const = 0;
  virtual void softmax_gradient(const Tensor& gx, const Tensor& y, const Tensor& gy, int axis,
                                bool log) const = 0;

  // --- indexing; indices int32, contiguous, in range
  /// y = indices, where a negative one counts from the end; both contiguous. One that is not in
  /// lowest..extent-1 is an error that names `who`, at once or when the host next waits.
  virtual void check_indices(const char* who, const Tensor& y, const Tensor& indices,
                             std::int64_t lowest, std::int64_t extent) const = 0;
  /// y[o, j, i] = x[o, indices[j], i]; x (outer, n, inner) and y (outer, m, inner) contiguous.
  virtual void take(const Tensor& y, const Tensor& x, const Tensor& indices) const = 0;
  /// y[o, indices[j], i] += x[o, j, i]
  virtual void scatter_add(const Tensor& y, const Tensor& x, const Tensor& indices) const = 0;

  // --- products
  /// c = a b + bias, or c += a b; matrices (m, n), (m, k), (k, n), each with unit stride along one
  /// axis. The dense bias (n) may be undefined; there is none where c accumulates.
  virtual void gemm(const Tensor& c, const Tensor& a, const Tensor& b, const Tensor& bias,
                    bool accumulate) const = 0;
  /// c = a b for each matrix of a batch (batch, ., .); a stride of 0 repeats one.
  virtual void batched_gemm(const Tensor& c, const Tensor& a, const Tensor& b) const = 0;

  // --- products by one matrix that is packed first. A device that has no use for it overrides none
  // of these.
  /// The shape of a copy of b (k, n) for `products` calls of packed_gemm with `rows` rows each; of
  /// rank 0 where a copy is of no use.
  virtual Shape packed_shape(const Tensor& b, std::int64_t rows, std::int64_t products) const;
  virtual void pack(const Tensor& packed, const Tensor& b) const;
  /// gemm with the matrix (k, n) that was packed; the rows of a and c are dense.
  virtual void packed_gemm(const Tensor& c, const Tensor& a, const Tensor& packed,
                           const Tensor& bias, bool accumulate) const;

  // --- a step of an LSTM: gates i f g o side by side in z (rows, 4 units), states (rows, units),
  // the recurrent kernel (units, 4 units); all dense but gy. A device that has no use for it, or
  // none for these sizes or this dtype, returns false and has done nothing.
  /// z = z + h0 recurrent, activated; then h1, c1 and tanh_c = tanh(c1).
  virtual bool lstm_step(const Tensor& h1, const Tensor& c1, const Tensor& z, const Tensor& tanh_c,
                         const Tensor& h0, const Tensor& c0, const Tensor& recurrent) const;
  /// Its gradient, where that of h1 is next_gz recurrent^T + gy, and gy may be undefined: gz, which
  /// may be z, and gc, which is that of c1 and becomes that of c0.
  virtual bool lstm_step_back(const Tensor& gc, const Tensor& gz, const Tensor& next_gz,
                              const Tensor& gy, const Tensor& z, const Tensor& tanh_c,
                              const Tensor& c0, const Tensor& recurrent) const;

  // --- windows; all contiguous: x (batch, n, n, n, channels), y (batch, m, m, m, filters), kernel
  // (size, size, size, channels / groups, filters), floats. A group of filters sees a group of
  // channels. What a device does not override is done by its other kernels (core/kernels.cpp).
  /// y = x * kernel + bias: each window's elements, 0 where they are missing, times the kernel. The
  /// bias (filters) may be undefined. relu: y = 0 where that is less.
  virtual void conv(const Tensor& y, const Tensor& x, const Tensor& kernel, const Tensor& bias,
                    const Windows& windows, bool relu) const;
  /// gx = the gradient of x for gy, that of y.
  virtual void conv_input_gradient(const Tensor& gx, const Tensor& gy, const Tensor& kernel,
                                   const Windows& windows) const;
  virtual void conv_kernel_gradient(const Tensor& gk, const Tensor& x, const Tensor& gy,
                                    const Windows& windows) const;
  /// y (batch, m, m, m, channels) = the first largest element of each window, NaN counting as
  /// larger than all; index, which may be undefined, = its position in x, counted through.
  virtual void max_pool(const Tensor& y, const Tensor& index, const Tensor& x,
                        const Windows& windows) const = 0;
};

/// The kernels of a device. Throws std::invalid_argument when this build has none.
const Kernels& kernels_of(Device device);

inline const Kernels& kernels_of(const Tensor& tensor) { return kernels_of(tensor.device()); }

}  // namespace keratin
