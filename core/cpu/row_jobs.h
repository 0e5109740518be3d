// Reductions and products that may wait in a RowByRow scope. (Loops: core/cpu/loop_plan.cpp.)
#pragma once

#include <initializer_list>
#include <vector>

#include <keratin/core/cpu/packed_gemm.h>
#include <keratin/core/cpu/row_chain.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin::cpu {

// f(begin, end) for an index that is made up of three, of which the rows are the middle one.
template <class F>
struct RowsJob {
  std::int64_t before, rows, after;
  F f;

  void run(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t i = 0; i < before; ++i)
      f((i * rows + begin) * after, (i * rows + end) * after);
  }
};

// Whether f(begin, end), for an index over the axes first..last-1 of dense tensors, now waits.
template <class F>
bool taken_by_chain(int first, int last, std::initializer_list<Tensor> tensors, double accesses,
                    const F& f) {
  double threads = accesses / static_cast<double>(accesses_per_thread);
  RowChain* chain = RowChain::current();
  if (chain == nullptr || !chain->is_open_to(threads)) return false;
  const Shape& shape = tensors.begin()->shape();
  for (const Tensor& tensor : tensors)
    if (tensor.rank() != shape.rank()) return false;
  auto operands_by = [&](int axis) {
    std::vector<RowOperand> operands;
    for (const Tensor& tensor : tensors) operands.emplace_back(tensor, axis);
    return operands;
  };
  int row_axis = chain->row_axis(shape, first, last, operands_by);
  if (row_axis < 0) return false;
  RowsJob<F> job{1, chain->rows(), 1, f};
  for (int axis = first; axis < row_axis; ++axis) job.before *= shape[axis];
  for (int axis = row_axis + 1; axis < last; ++axis) job.after *= shape[axis];
  return chain->take(operands_by(row_axis), threads, job);
}

// The rows of the matrices a and c may be those of a batch, or go through the batch several times,
// or be several to a sequence.
struct ProductJob {
  PackedGemm product;
  std::int64_t rows, rounds;
  bool batch_first;

  void run(std::int64_t begin, std::int64_t end) const {
    if (batch_first) return product.run(begin * rounds, end * rounds);
    for (std::int64_t i = 0; i < rounds; ++i) product.run(i * rows + begin, i * rows + end);
  }
};

inline bool taken_by_chain(const PackedGemm& product, const Tensor& c, const Tensor& a,
                           const Tensor& packed, const Tensor& bias) {
  RowChain* chain = RowChain::current();
  double threads = product.work() / static_cast<double>(products_per_thread);
  if (chain == nullptr || !chain->is_open_to(threads)) return false;
  std::int64_t rows = chain->rows(), rounds = product.rows / rows;
  if (rounds * rows != product.rows || rounds == 0) return false;
  std::int64_t stride = TensorData::of(a).storage->row_stride.load(std::memory_order_relaxed);
  bool batch_first = stride == rounds * a.strides()[0] * static_cast<std::int64_t>(sizeof(float));
  std::vector<RowOperand> operands;
  for (const Tensor& matrix : {c, a}) {
    RowOperand& operand = operands.emplace_back(matrix, batch_first ? 0 : 1);
    batch_first ? operand.split(0, rows, rounds) : operand.split(0, rounds, rows);
  }
  operands.emplace_back(packed, -1);
  if (bias.defined()) operands.emplace_back(bias, -1);
  return chain->take(operands, threads, ProductJob{product, rows, rounds, batch_first});
}

}  // namespace keratin::cpu
