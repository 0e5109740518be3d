// The verdict on each element: its gradient against the numeric slope and that slope's error.
#include <algorithm>
#include <cmath>
#include <ostream>

#include <keratin/autograd/gradcheck.h>
#include <keratin/autograd/internal/numeric_slope.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/random.h>

namespace keratin {
namespace {

using Inputs = std::vector<Tensor>;

// How much of a gradient its error may be for the element to count as checked.
constexpr double allowed_error = 1e-3;
// A gradient of zero is known when its error is this small next to the largest gradient.
constexpr double allowed_error_of_zero = 1e-9;

std::vector<Tensor> gradients_of(const Terms& f, const Inputs& inputs) {
  GradientTape tape;
  Inputs watched, own;
  for (const Tensor& input : inputs) {
    own.push_back(input.reshape(input.shape()));  // a handle nobody else watches
    if (!is_floating(input.dtype())) continue;
    tape.watch(own.back());
    watched.push_back(own.back());
  }
  Tensor y = sum(f(own));
  std::vector<Tensor> found;
  if (tape.follows(y)) found = tape.gradient(y, watched);
  for (std::size_t i = found.size(); i < watched.size(); ++i)  // y depends on none of them
    found.push_back(zeros_like(watched[i]));
  std::vector<Tensor> gradients;
  std::size_t next = 0;
  for (const Tensor& input : inputs)
    gradients.push_back(is_floating(input.dtype()) ? found[next++] : Tensor());
  return gradients;
}

enum class Verdict { agrees, differs, corner, unknown };

class Check {
 public:
  Check(const GradcheckOptions& options, const std::vector<std::string>& names)
      : options_(options), names_(names) {}

  void check_order(const Terms& f, const Inputs& inputs, int order);
  const GradientCheck& result() const { return result_; }

 private:
  struct Element {
    std::size_t input;
    std::size_t position;
    double analytic;
    double scale;
    Slope slope = {};
    double noise = 0;  // of f itself, where it was needed
  };

  double tolerance(const Element& element) const {
    return options_.atol + options_.rtol * std::abs(element.slope.value);
  }

  Verdict judge(const Element& element) const {
    const auto& [value, error, hidden, variation, bend] = element.slope;
    if (!std::isfinite(element.analytic)) return Verdict::differs;
    if (!std::isfinite(value + error + hidden)) return Verdict::unknown;
    double part = std::max(options_.atol, allowed_error * std::abs(value));
    double of_zero = std::max(part, allowed_error_of_zero * std::max(largest_, variation));
    bool zero = std::max(std::abs(element.analytic), std::abs(value)) <= error;
    bool known = error <= (zero ? of_zero : part) && hidden <= of_zero;
    double apart = std::abs(element.analytic - value), allowed = tolerance(element) + error;
    if (known && apart <= allowed) return Verdict::agrees;
    return apart > allowed + hidden ? Verdict::differs : Verdict::unknown;
  }

  void learn(const Slope& slope) {
    if (slope.whole_error() <= allowed_error * std::abs(slope.value))
      largest_ = std::max(largest_, std::abs(slope.value));
  }

  std::string name_of(std::size_t k) const {
    return k < names_.size() ? names_[k] : fmt::format("input {}", k);
  }

  void count(const Element& element, Verdict verdict, const Shape& shape, int order);

  const GradcheckOptions& options_;
  const std::vector<std::string>& names_;
  double largest_ = 0;  // of the gradients known so far
  GradientCheck result_;
};

std::vector<std::int64_t> index_of(std::size_t position, const Shape& shape) {
  std::vector<std::int64_t> index(static_cast<std::size_t>(shape.rank()), 0);
  auto rest = static_cast<std::int64_t>(position);
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[axis] = rest % shape[axis];
    rest /= shape[axis];
  }
  return index;
}

void Check::count(const Element& element, Verdict verdict, const Shape& shape, int order) {
  result_.unknown += verdict == Verdict::unknown;
  result_.kinks += verdict == Verdict::corner;
  if (verdict == Verdict::unknown || verdict == Verdict::corner) return;
  ++result_.checked;
  bool bad = verdict == Verdict::differs;
  result_.failed += bad;
  result_.passed &= !bad;
  double apart = std::abs(element.analytic - element.slope.value);
  double allowed = tolerance(element) + element.slope.error;
  double error = apart == 0 ? 0 : apart / allowed;
  if (error > result_.worst_error || (bad && result_.failed == 1) || std::isnan(error)) {
    result_.worst_error = error;
    result_.worst = {
        name_of(element.input),
        options_.fast ? std::vector<std::int64_t>() : index_of(element.position, shape),
        element.analytic, element.slope.value, order};
  }
}

void Check::check_order(const Terms& f, const Inputs& inputs, int order) {
  std::vector<Tensor> gradients = gradients_of(f, inputs);
  std::vector<double> centre = f(inputs).to_vector<double>();
  Random random(options_.seed + 17);
  std::vector<Tensor> directions(inputs.size());
  std::vector<Element> elements;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!gradients[k].defined() || inputs[k].numel() == 0) continue;
    const Tensor& x = inputs[k];
    if (options_.fast) {
      Tensor direction = random.normal(x.shape(), 0, 1, float64, x.device());
      directions[k] = direction / std::max(norm(direction).item(), 1e-30);
      double scale = std::max(1.0, std::sqrt(mean(square(x)).item()));
      elements.push_back({k, 0, sum(gradients[k] * directions[k]).item(), scale});
      continue;
    }
    std::vector<double> values = x.to_vector<double>(), analytic = gradients[k].to_vector<double>();
    for (std::size_t i = 0; i < values.size(); ++i)
      elements.push_back({k, i, analytic[i], std::max(1.0, std::abs(values[i]))});
  }
  auto line_of = [&](const Element& element) {
    Tensor direction = directions[element.input];
    if (!options_.fast) {
      const Tensor& input = inputs[element.input];
      const Shape& shape = input.shape();
      std::vector<double> unit(static_cast<std::size_t>(shape.numel()), 0.0);
      unit[element.position] = 1;
      direction = tensor(unit, shape, float64, input.device());
    }
    return Line(f, inputs, element.input, direction, centre, element.scale);
  };

  // One step is enough for most elements of a right gradient.
  for (Element& element : elements) {
    Line line = line_of(element);
    element.slope = four_point_slope(line, options_.step);
    learn(element.slope);
  }
  for (Element& element : elements) {
    if (judge(element) == Verdict::agrees) continue;
    Line line = line_of(element);
    element.noise = noise_of(line, options_.step);
    element.slope = best_slope(line, options_.step, element.noise);
    learn(element.slope);
  }
  std::vector<std::int64_t> compared(inputs.size(), 0);
  for (const Element& element : elements) {
    Verdict verdict = judge(element);
    // At a corner the mean of both sides' slopes may happen to agree.
    bool agrees = verdict == Verdict::agrees;
    if (!agrees || element.slope.bend > element.slope.variation) {
      Line line = line_of(element);
      double noise = agrees ? noise_of(line, options_.step) : element.noise;
      if (is_corner(line, element.analytic, options_.step, noise, tolerance(element)))
        verdict = Verdict::corner;
    }
    count(element, verdict, inputs[element.input].shape(), order);
    compared[element.input] += verdict == Verdict::agrees || verdict == Verdict::differs;
  }
  for (std::size_t k = 0; k < inputs.size(); ++k)
    if (gradients[k].defined() && inputs[k].numel() > 0 && compared[k] == 0) {
      result_.unchecked.push_back(name_of(k) +
                                  (order > 1 ? fmt::format(" (order {})", order) : ""));
      result_.passed = false;
    }
}

}  // namespace

GradientCheck gradcheck(const ManyTensorFunction& f, const std::vector<Tensor>& inputs,
                        const GradcheckOptions& options, const std::vector<std::string>& names) {
  if (options.order < 1) fail("gradcheck: expected an order of at least 1, got {}", options.order);
  Inputs x;
  for (const Tensor& input : inputs)
    x.push_back(is_floating(input.dtype()) ? stop_gradient(input.astype(float64)) : input);

  // The result's projection on a fixed direction: one backward pass then checks every output.
  Tensor direction;
  Terms terms = [&](const Inputs& at) {
    Tensor y = f(at);
    if (!is_floating(y.dtype())) fail("gradcheck: the result holds {}, not floats", y.dtype());
    if (!direction.defined())
      direction = Random(options.seed).uniform(y.shape(), 0.5, 1.5, float64, y.device());
    return y * direction;
  };
  if (!std::isfinite(sum(terms(x)).item()))
    fail("gradcheck: the result is not finite at the given inputs");

  Check check(options, names);
  for (int order = 1; order <= options.order; ++order) {
    check.check_order(terms, x, order);
    // The next function: this one's gradient, projected on fixed directions.
    terms = [now = terms, seed = options.seed](const Inputs& at) {
      Random random(seed + 1);
      std::vector<Tensor> parts{zeros({1}, float64, device_of(at))};
      for (const Tensor& g : gradients_of(now, at))
        if (g.defined())
          parts.push_back(
              (g * random.uniform(g.shape(), 0.5, 1.5, float64, g.device())).reshape({-1}));
      return concatenate(parts, 0);
    };
  }
  return check.result();
}

std::ostream& operator<<(std::ostream& out, const GradientCheck& check) {
  out << fmt::format("gradcheck: {} elements agree, {} do not", check.checked - check.failed,
                     check.failed);
  if (check.kinks > 0) out << fmt::format(", {} left out at corners", check.kinks);
  if (check.unknown > 0)
    out << fmt::format(", {} cannot be told from rounding noise", check.unknown);
  if (check.weights > 0)
    out << fmt::format(", {} weight{} checked", check.weights, check.weights > 1 ? "s" : "");
  out << '\n';
  if (!check.unchecked.empty())
    out << fmt::format("  nothing was compared of: {}\n", fmt::join(check.unchecked, ", "));
  if (check.failed == 0) return out;
  std::string index;
  for (std::int64_t i : check.worst.index) index += (index.empty() ? "" : ", ") + std::to_string(i);
  return out << fmt::format(
             "  worst: {}[{}]{}: analytic {:.10g}, numeric {:.10g}\n", check.worst.input, index,
             check.worst.order > 1 ? fmt::format(", order {}", check.worst.order) : std::string(),
             check.worst.analytic, check.worst.numeric);
}

}  // namespace keratin
