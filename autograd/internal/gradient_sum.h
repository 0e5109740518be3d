// The gradient of one variable while it is being summed up.
#pragma once

#include <keratin/core/tensor.h>

namespace keratin {

class GradientSum {
 public:
  bool defined() const { return sum_.defined(); }
  /// Undefined when nothing was added.
  const Tensor& value() const { return sum_; }

  void add(const Tensor& gradient);
  /// Adds the product of two matrices. A weight used at every time step collects one for each step;
  /// BLAS adds them up in place.
  void add_product(const Tensor& a, const Tensor& b);

 private:
  bool may_be_overwritten() const;
  Tensor sum_;
};

}  // namespace keratin
