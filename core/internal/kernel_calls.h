// Kernel calls noted down while ops make them, to be made again. What a training step computes is a
// list of kernel calls. While shapes stay the same, the list of the next step is the same, too, but
// for the numbers that the calls find in memory; to make them again leaves out all that ops do in
// between: checks, views, allocation, the tape.
//
// The memory must stay where it is, and nobody else may use it meanwhile: LastingLists in pool.h.
#pragma once

#include <functional>
#include <vector>

#include <keratin/core/kernels.h>

namespace keratin {

class KernelCalls {
 public:
  /// While it lives, this thread's kernel calls are made and noted.
  class Noting {
   public:
    explicit Noting(KernelCalls* calls);  // null: nothing is noted
    ~Noting();
    Noting(const Noting&) = delete;
    Noting& operator=(const Noting&) = delete;

   private:
    KernelCalls* before_;
  };

  /// Makes the noted calls, in their order.
  void run() const;

  /// Whether they are all that was done: false when elements were read or written in another way,
  /// such as by a random number generator.
  bool complete() const { return complete_; }
  std::size_t size() const { return calls_.size(); }

 private:
  friend class NotingKernels;
  friend void touch_elements();

  std::vector<std::function<void()>> calls_;
  bool complete_ = true;
};

/// The same elements without a share in their memory, which must stay.
Tensor unowned(const Tensor& x);

/// To be called where elements of tensors are read or written, or random numbers drawn, by anything
/// but a kernel.
void touch_elements();

}  // namespace keratin
