// The slope of a function along a line, by central differences, and a bound of its error: what
// gradcheck compares a gradient with. The verdict is gradcheck.cpp's.
#pragma once

#include <functional>
#include <vector>

#include <keratin/core/tensor.h>

namespace keratin {

/// What is checked is the sum of the terms. They are kept apart because their size, and not that of
/// the sum, says how much rounding noise there is.
using Terms = std::function<Tensor(const std::vector<Tensor>&)>;

/// f along a line through the inputs: input k moved by t times a direction. `centre` holds the
/// terms at t = 0; `scale` is the size of what moves, at least 1, and steps are relative to it.
class Line {
 public:
  Line(const Terms& f, const std::vector<Tensor>& inputs, std::size_t k, const Tensor& direction,
       const std::vector<double>& centre, double scale)
      : f_(f),
        inputs_(inputs),
        moved_(inputs),
        k_(k),
        direction_(direction),
        centre_(centre),
        scale_(scale) {}

  /// The terms at t.
  std::vector<double> at(double t);
  const std::vector<double>& centre() const { return centre_; }
  double scale() const { return scale_; }

 private:
  const Terms& f_;
  const std::vector<Tensor>& inputs_;
  std::vector<Tensor> moved_;
  std::size_t k_;
  Tensor direction_;
  const std::vector<double>& centre_;
  double scale_;
};

struct Slope {
  double value = 0;
  double error = 0;      ///< a bound, of the terms that moved
  double hidden = 0;     ///< what rounding may hide in the terms that did not move at all
  double variation = 0;  ///< how much the terms moved, without regard to sign
  double bend = 0;       ///< the slope to the right less that to the left, in absolute value

  double whole_error() const { return error + hidden; }
};

/// From four points, at one and two steps to each side. The error is that of rounding alone.
Slope four_point_slope(Line& line, double step);

/// The rounding noise of the sum itself, which cancellation inside f can make larger than epsilon
/// times the terms.
double noise_of(Line& line, double step);

/// The slope with the smallest error among many steps around `step`; its error is infinite when f
/// is finite at none of them.
Slope best_slope(Line& line, double step, double noise);

/// Whether f has a corner here that excuses the gradient: one that lies between the slopes of the
/// two sides, give or take `tolerance`.
bool is_corner(Line& line, double analytic, double step, double noise, double tolerance);

}  // namespace keratin
