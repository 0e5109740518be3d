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

 private:
  bool may_be_overwritten() const;
  Tensor sum_;
};

}  // namespace keratin
