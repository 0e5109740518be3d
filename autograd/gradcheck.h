// gradcheck: is a gradient right? Compares what the tape says with central differences, in float64.
//
//   GradientCheck check = gradcheck([](const Tensor& x, const Tensor& w) { return softmax(dot(x,
//   w)); },
//                                   x, w);
//   if (!check) std::cout << check;    // which input, which element, analytic and numeric value
//
// Layers and models are checked the same way: layers/gradcheck.h, training/gradcheck.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

struct GradcheckOptions {
  /// Half the distance between the points compared, relative to max(1, |x|). Four points make the
  /// difference exact to step^4; where that does not agree, many other steps are tried.
  double step = 1e-3;
  /// How far the two may be apart, next to the numeric value.
  double rtol = 1e-6;
  /// And in units of the gradient itself: what is smaller counts as zero. Rounding noise needs
  /// none, and the default of 0 makes the verdict the same for 1e-12 f as for f.
  double atol = 0;
  /// 2 checks the derivatives of the gradient as well.
  int order = 1;
  /// One random direction for each input instead of every element: for large inputs.
  bool fast = false;
  std::uint64_t seed = 0;  ///< of the directions, and of noise such as dropout
};

/// What was found. True when no element disagreed, and some element of each input was compared.
///
/// A difference over a step h has rounding noise of about epsilon |f| / h, which is also allowed
/// between the two values. An element is compared when the noise is below a thousandth of its
/// gradient; or, for a gradient of zero, below 1e-9 of the largest one. It also counts as wrong
/// when the two values are apart by more than any larger noise explains. Otherwise it is unknown.
struct GradientCheck {
  struct Element {
    std::string input;                ///< "input 0", or a weight's path
    std::vector<std::int64_t> index;  ///< of the element; empty for a direction
    double analytic = 0, numeric = 0;
    int order = 1;
  };

  bool passed = true;
  std::int64_t checked = 0;  ///< elements compared
  /// Elements left out: the function has a corner there, and the gradient is between the slopes of
  /// its two sides.
  std::int64_t kinks = 0;
  std::int64_t unknown = 0;  ///< elements of which rounding noise hides the gradient
  std::int64_t failed = 0;
  double worst_error =
      0;  ///< |analytic - numeric| / (atol + rtol * |numeric| + noise): above 1 fails
  Element worst;
  std::vector<std::string> unchecked;  ///< inputs of which no element was compared: the check fails
  std::int64_t weights = 0;            ///< of a layer: those with elements that were compared

  explicit operator bool() const { return passed; }
};

std::ostream& operator<<(std::ostream& out, const GradientCheck& check);

using ManyTensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;

/// The general form. Inputs of floats are converted to float64 and checked, others are passed on as
/// they are. A result that is not a scalar is projected on a fixed random direction. Throws
/// std::invalid_argument when the result is not of floats, or is not finite.
GradientCheck gradcheck(const ManyTensorFunction& f, const std::vector<Tensor>& inputs,
                        const GradcheckOptions& options = {},
                        const std::vector<std::string>& names = {});

/// A function of as many tensors as are given.
template <class F, std::convertible_to<Tensor>... X>
requires(sizeof...(X) > 0 && std::is_invocable_r_v<Tensor, F&, const X&...>) GradientCheck
    gradcheck(F f, const X&... inputs) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return gradcheck(
        ManyTensorFunction([&](const std::vector<Tensor>& x) { return Tensor(f(x[I]...)); }),
        std::vector<Tensor>{inputs...});
  }
  (std::index_sequence_for<X...>{});
}

}  // namespace keratin
