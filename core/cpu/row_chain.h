// The kernels that wait in a RowByRow scope.
#pragma once

#include <cstddef>
#include <new>
#include <span>
#include <type_traits>

#include <keratin/core/internal/pool.h>
#include <keratin/core/tensor.h>

namespace keratin::cpu {

/// An operand of a kernel, one of whose axes is that of the rows; or none: every row reads all of
/// it. Strides in bytes.
struct RowOperand {
  Storage* storage;
  std::int64_t start;  // from the storage's first byte
  int rank = 0, row_axis = -1;
  std::int64_t size[10], stride[10], element;

  RowOperand(const Tensor& tensor, int row_axis);
  /// Replaces an axis by two.
  void split(int axis, std::int64_t outer, std::int64_t inner);
};

class RowChain {
 public:
  explicit RowChain(std::int64_t rows);
  ~RowChain();
  RowChain(const RowChain&) = delete;
  RowChain& operator=(const RowChain&) = delete;

  /// The one of this thread; null outside a scope.
  static RowChain* current();

  std::int64_t rows() const { return rows_; }
  /// Whether a kernel that is worth so many threads should be offered: none waits for a small one.
  bool is_open_to(double threads) const { return job_count_ > 0 || threads >= 4; }

  /// Takes a kernel, job.run(begin, end) for some of the rows; unless it cannot be done row by row.
  template <class Job>
  bool take(std::span<const RowOperand> operands, double threads, const Job& job) {
    static_assert(std::is_trivially_copyable_v<Job> && sizeof(Job) <= most_bytes);
    if (!claim(operands, threads)) return false;
    new (jobs_ + job_count_++) Waiting(job);
    return true;
  }
  /// Which of the axes first..last-1 is that of the rows, when operands_by(axis) are a kernel's
  /// operands: of those as long, the first that goes with what waits, else the last; -1 for none.
  template <class OperandsBy>
  int row_axis(const Shape& shape, int first, int last, const OperandsBy& operands_by) const {
    int found = -1;
    for (int axis = last - 1; axis >= first; --axis)
      if (shape[axis] == rows_ && (found < 0 || fits(operands_by(axis)))) found = axis;
    return found;
  }

  /// Whether a storage is held for a kernel that waits.
  bool holds(const Storage* storage) const;
  /// Runs what waits.
  void run() noexcept;

 private:
  static constexpr std::size_t table_size = 512, most_claims = 256, most_jobs = 64,
                               most_bytes = 1600;
  struct Waiting {
    void (*run)(const void* job, std::int64_t begin, std::int64_t end);
    alignas(std::max_align_t) std::byte bytes[most_bytes];

    template <class Job>
    explicit Waiting(const Job& job)
        : run([](const void* it, std::int64_t begin, std::int64_t end) {
            static_cast<const Job*>(it)->run(begin, end);
          }) {
      new (bytes) Job(job);
    }
  };
  /// How the rows of an operand lie in a storage: `stride` bytes from first * stride on are row 0,
  /// the next `stride` row 1, and so on, beginning again with row 0 after the last.
  struct Claim {
    Storage* storage;
    std::int64_t stride;  // 0: every row reads all of it
    std::int64_t first;
  };

  Claim& entry(const Storage* storage);
  const Claim& entry(const Storage* storage) const;
  bool fits(std::span<const RowOperand> operands) const;
  bool describe(const RowOperand& operand, Claim& claim) const;
  bool claim(std::span<const RowOperand> operands, double threads);
  bool claim(const RowOperand& operand);

  std::int64_t rows_;
  Waiting* jobs_;
  std::size_t job_count_ = 0;
  Claim table_[table_size] = {};
  Claim* claimed_[most_claims];
  std::size_t claim_count_ = 0;
  double threads_ = 0;
};

}  // namespace keratin::cpu
