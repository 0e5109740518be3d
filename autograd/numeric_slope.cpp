#include <algorithm>
#include <cmath>
#include <limits>

#include <keratin/autograd/internal/numeric_slope.h>
#include <keratin/autograd/ops.h>

namespace keratin {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

// Each value of f is taken to be wrong by up to 2 epsilon |f|: the difference of two, over 2 h, by
// 2 epsilon |f| / h.
Slope central_difference(Line& line, double h) {
  std::vector<double> right = line.at(h), left = line.at(-h);
  const std::vector<double>& centre = line.centre();
  Slope slope;
  for (std::size_t i = 0; i < centre.size(); ++i) {
    bool moved = right[i] != centre[i] || left[i] != centre[i];
    double noise = 2 * epsilon * std::max(std::abs(right[i]), std::abs(left[i])) / h;
    (moved ? slope.error : slope.hidden) += noise;
    slope.value += (right[i] - left[i]) / (2 * h);
    slope.variation += (std::abs(right[i] - centre[i]) + std::abs(left[i] - centre[i])) / (2 * h);
    slope.bend += std::abs(right[i] - 2 * centre[i] + left[i]) / h;
  }
  return slope;
}

// Differences at h and 2 h, combined so that the error falls with the fourth power of h. When x is
// moved by h it is rounded as well, to the digits of its own size.
Slope extrapolated(const Slope& near, const Slope& far, double h, double scale) {
  Slope slope = near;
  slope.value = (4 * near.value - far.value) / 3;
  slope.error = (4 * near.error + far.error) / 3 + epsilon * scale / h * near.variation;
  slope.hidden = (4 * near.hidden + far.hidden) / 3;
  return slope;
}

// Fourth differences of a smooth function at a small spacing are nothing but noise. Their median
// does not see a corner among the points.
double noise_at(Line& line, double spacing) {
  std::vector<double> values;
  for (int j = -8; j <= 8; ++j) {
    std::vector<double> terms = line.at(j * spacing);
    double total = 0;
    for (std::size_t i = 0; i < terms.size(); ++i) total += terms[i] - line.centre()[i];
    values.push_back(total);
  }
  std::vector<double> sizes;
  for (std::size_t j = 2; j + 2 < values.size(); ++j) {
    double fourth =
        values[j - 2] - 4 * values[j - 1] + 6 * values[j] - 4 * values[j + 1] + values[j + 2];
    if (std::isfinite(fourth)) sizes.push_back(std::abs(fourth));
  }
  if (sizes.empty()) return 0;
  auto median = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), median, sizes.end());
  return *median / 2;  // a fourth difference is 8 times the noise of a value, its median 6 times
}

double smallest_step(const Line& line, double step) {
  return std::max(step / 16384, 8192 * epsilon * line.scale());
}

}  // namespace

std::vector<double> Line::at(double t) {
  moved_[k_] = inputs_[k_] + direction_ * t;
  return f_(moved_).to_vector<double>();
}

Slope four_point_slope(Line& line, double step) {
  double h = step * line.scale();
  Slope near = central_difference(line, h), far = central_difference(line, 2 * h);
  return extrapolated(near, far, h, line.scale());
}

// A small spacing sees little of f's own shape. Where it sees nothing at all, a wider one decides.
double noise_of(Line& line, double step) {
  for (double spacing = step / 256; spacing <= 4 * step; spacing *= 4)
    if (double noise = noise_at(line, spacing); noise > 0) return noise;
  return 0;
}

// Noise falls as the step h grows; the error of the formula grows with h, and is not known. The
// steps grow as long as each value agrees, within the noise, with all earlier ones (Lepski's rule).
// The last may agree by chance, so the step that is used is at most a quarter of the largest.
Slope best_slope(Line& line, double step, double noise) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<Slope> slopes;
  double low = -infinity, high = infinity, before = 0;
  bool agree = true;
  double h = smallest_step(line, step);
  Slope near = central_difference(line, h);
  for (; agree && h <= 1024 * step * line.scale(); h *= 2) {
    Slope far = central_difference(line, 2 * h);
    Slope slope = extrapolated(near, far, h, line.scale());
    near = far;
    slope.error += 1.5 * noise / h;
    double error = slope.whole_error();
    bool finite = std::isfinite(slope.value + error);
    if (!finite && slopes.empty()) continue;
    agree = finite && slope.value - error <= high && slope.value + error >= low;
    if (!agree) break;
    low = std::max(low, slope.value - error);
    high = std::min(high, slope.value + error);
    // The step before had twice the noise, and hardly any error of the formula.
    slope.error = 2 * slope.error + (slopes.empty() ? 0 : std::abs(slope.value - before));
    before = slope.value;
    slopes.push_back(slope);
  }
  if (!agree && slopes.size() > 2) slopes.resize(slopes.size() - 2);
  Slope best;
  best.error = infinity;
  for (const Slope& slope : slopes)
    if (slope.whole_error() < best.whole_error()) best = slope;
  return best;
}

// The slopes of the two sides differ, and by as much at a quarter of the distance.
bool is_corner(Line& line, double analytic, double step, double noise, double tolerance) {
  for (double h = smallest_step(line, step); h <= 256 * step * line.scale(); h *= 2) {
    Slope near = central_difference(line, h);
    double error = near.error + noise / h;
    if (!(near.bend > 40 * error)) continue;
    double wide = central_difference(line, 4 * h).bend;
    return near.bend > 0.7 * wide &&
           std::abs(analytic - near.value) <= near.bend / 2 + error + tolerance;
  }
  return false;
}

}  // namespace keratin
