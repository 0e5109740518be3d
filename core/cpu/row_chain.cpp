#include <algorithm>
#include <utility>

#include <keratin/core/cpu/row_chain.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/internal/row_by_row.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {

constinit thread_local bool kernels_wait = false;

namespace {
thread_local RowByRow* innermost = nullptr;
thread_local cpu::RowChain* collector = nullptr;
}  // namespace

void run_if_waiting_for(const Tensor& tensor) {
  if (is_held_for_waiting(tensor)) collector->run();
}

bool is_held_for_waiting(const Tensor& tensor) {
  return kernels_wait && tensor.defined() && collector->holds(TensorData::of(tensor).storage);
}

namespace cpu {

RowOperand::RowOperand(const Tensor& tensor, int axis)
    : storage(TensorData::of(tensor).storage),
      start(TensorData::of(tensor).data - storage->data),
      rank(tensor.rank()),
      row_axis(axis),
      element(static_cast<std::int64_t>(size_of(tensor.dtype()))) {
  for (int i = 0; i < rank; ++i) {
    size[i] = tensor.shape()[i];
    stride[i] = tensor.strides()[i] * element;
  }
}

void RowOperand::split(int axis, std::int64_t outer, std::int64_t inner) {
  std::copy_backward(size + axis, size + rank, size + rank + 1);
  std::copy_backward(stride + axis, stride + rank, stride + rank + 1);
  ++rank;
  size[axis] = outer;
  size[axis + 1] = inner;
  stride[axis] = inner * stride[axis + 1];
}

RowChain::RowChain(std::int64_t rows)
    : rows_(rows), jobs_(static_cast<Waiting*>(pool_allocate(most_jobs * sizeof(Waiting)))) {}

RowChain::~RowChain() {
  run();
  pool_free(jobs_, most_jobs * sizeof(Waiting));
}

RowChain* RowChain::current() { return collector; }

const RowChain::Claim& RowChain::entry(const Storage* storage) const {
  auto hash = reinterpret_cast<std::uintptr_t>(storage) / sizeof(Storage) * 0x9e3779b97f4a7c15u;
  std::size_t place = static_cast<std::size_t>(hash >> 32) % table_size;
  while (table_[place].storage != nullptr && table_[place].storage != storage)
    place = (place + 1) % table_size;
  return table_[place];
}

RowChain::Claim& RowChain::entry(const Storage* storage) {
  return const_cast<Claim&>(std::as_const(*this).entry(storage));
}

bool RowChain::holds(const Storage* storage) const { return entry(storage).storage == storage; }

// False for an operand whose rows are mixed in memory, or which somebody may change by other ways
// than kernels.
bool RowChain::describe(const RowOperand& x, Claim& claim) const {
  claim = {x.storage, 0, 0};
  if (x.storage->external || x.storage->exposed) return false;
  if (x.row_axis < 0) return true;
  std::int64_t stride = x.stride[x.row_axis], low = x.start, high = x.start + x.element;
  if (stride <= 0) return false;
  for (int axis = 0; axis < x.rank; ++axis) {
    std::int64_t reach = (x.size[axis] - 1) * x.stride[axis];
    // Other axes stay within a row, or go on to the same row of the next round.
    if (axis == x.row_axis || x.stride[axis] % (stride * rows_) == 0) continue;
    (reach < 0 ? low : high) += reach;
  }
  if (low < 0 || low % stride + (high - low) > stride) return false;
  claim.stride = stride;
  claim.first = low / stride % rows_;
  return true;
}

bool RowChain::fits(std::span<const RowOperand> operands) const {
  for (const RowOperand& operand : operands) {
    Claim wanted;
    if (!describe(operand, wanted)) return false;
    const Claim& known = entry(operand.storage);
    if (known.storage != nullptr && (known.stride != wanted.stride || known.first != wanted.first))
      return false;
  }
  return true;
}

// Every operand in a storage must lie there in the same rows, be it read or written. So a kernel
// finds what earlier ones wrote in its rows, and no two threads touch the same memory.
bool RowChain::claim(const RowOperand& operand) {
  Claim wanted;
  if (!describe(operand, wanted)) return false;
  Claim& known = entry(operand.storage);
  if (known.storage != nullptr) return known.stride == wanted.stride && known.first == wanted.first;
  if (claim_count_ == most_claims) return false;
  operand.storage->retain();
  if (wanted.stride != 0)
    operand.storage->row_stride.store(wanted.stride, std::memory_order_relaxed);
  known = wanted;
  claimed_[claim_count_++] = &known;
  return true;
}

bool RowChain::claim(std::span<const RowOperand> operands, double threads) {
  // Meeting once in so much work costs nothing.
  constexpr double enough = 200;
  auto claim_all = [&] {
    return job_count_ < most_jobs && threads_ < enough &&
           std::ranges::all_of(operands, [&](const RowOperand& x) { return claim(x); });
  };
  if (!claim_all()) {
    run();
    if (!claim_all()) return run(), false;
  }
  threads_ += threads;
  kernels_wait = true;
  return true;
}

void RowChain::run() noexcept {
  kernels_wait = false;
  if (job_count_ > 0) {
    FlushDenormals guard;
    // Whole tiles of the products, two of them where that leaves enough for every thread.
    std::int64_t height = rows_ >= 16 * num_threads() ? 16 : 8;
    // Many small kernels are faster on one thread: fetching what the other wrote would cost more.
    bool small = threads_ < 0.5 * static_cast<double>(job_count_);
    parallel_for((rows_ + height - 1) / height, small ? 0 : static_cast<std::int64_t>(threads_),
                 [&](std::int64_t begin, std::int64_t end) {
                   std::int64_t last = std::min(end * height, rows_);
                   for (std::size_t i = 0; i < job_count_; ++i)
                     jobs_[i].run(jobs_[i].bytes, begin * height, last);
                 });
  }
  for (std::size_t i = 0; i < claim_count_; ++i)
    std::exchange(*claimed_[i], Claim{}).storage->release();
  job_count_ = claim_count_ = 0;
  threads_ = 0;
}

}  // namespace cpu

RowByRow::RowByRow(std::int64_t rows) : outer_(innermost), rows_(rows) {
  if (kernels_wait) collector->run();
  if (rows >= 16 && num_threads() > 1 && !getenv("NOCHAIN"))
    chain_ = std::make_unique<cpu::RowChain>(rows);
  innermost = this;
  collector = chain_.get();
}

RowByRow::~RowByRow() {
  chain_.reset();
  innermost = outer_;
  collector = outer_ == nullptr ? nullptr : outer_->chain_.get();
}

std::int64_t RowByRow::rows_here() { return innermost == nullptr ? 0 : innermost->rows_; }

}  // namespace keratin
