// Kernels that treat the rows of a batch one by one, run as one.
//
// The steps of a recurrent layer depend on each other, the sequences of a batch do not: row i of
// every tensor is computed from row i of the others. So its kernels need not be shared out among
// the threads one after the other. They are collected, and each thread takes its own rows through
// all of them: the threads meet once, and what a row needs is in the cache of the thread at work.
#pragma once

#include <cstdint>
#include <memory>

namespace keratin {

namespace cpu {
class RowChain;
}

/// While it lives, kernels of this thread whose operands have `rows` rows wait to be run together,
/// in their order. Everything else is as ever: whoever touches the memory of a tensor (raw, in
/// tensor_data.h), and any other kernel, first has those run that wait. But tensors must not be
/// handed to other threads meanwhile.
class RowByRow {
 public:
  explicit RowByRow(std::int64_t rows);
  ~RowByRow();
  RowByRow(const RowByRow&) = delete;
  RowByRow& operator=(const RowByRow&) = delete;

  std::int64_t rows() const { return rows_; }
  /// Of this thread's innermost scope; 0 outside.
  static std::int64_t rows_here();

 private:
  RowByRow* outer_;
  std::int64_t rows_;
  std::unique_ptr<cpu::RowChain> chain_;  // null where it would bring nothing
};

}  // namespace keratin
