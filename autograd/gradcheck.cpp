#include <cmath>
#include <ostream>

#include <keratin/autograd/gradcheck.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/random.h>

namespace keratin {
namespace {

using Inputs = std::vector<Tensor>;
using Scalar = std::function<Tensor(const Inputs&)>;

std::vector<Tensor> gradients_of(const Scalar& f, const Inputs& inputs) {
  GradientTape tape;
  Inputs watched, own;
  for (const Tensor& input : inputs) {
    own.push_back(input.reshape(input.shape()));  // a handle nobody else watches
    if (!is_floating(input.dtype())) continue;
    tape.watch(own.back());
    watched.push_back(own.back());
  }
  std::vector<Tensor> found = tape.gradient(f(own), watched);
  std::vector<Tensor> gradients;
  for (const Tensor& input : inputs)
    gradients.push_back(is_floating(input.dtype()) ? found[gradients.size()] : Tensor());
  return gradients;
}

// f along a line through the inputs: input k moved by t times a direction.
class Line {
 public:
  Line(const Scalar& f, const Inputs& inputs, std::size_t k, const Tensor& direction)
      : f_(f), inputs_(inputs), moved_(inputs), k_(k), direction_(direction) {}

  double at(double t) {
    moved_[k_] = inputs_[k_] + direction_ * t;
    return f_(moved_).item();
  }

 private:
  const Scalar& f_;
  const Inputs& inputs_;
  Inputs moved_;
  std::size_t k_;
  Tensor direction_;
};

// Differences at two distances, combined so that the error falls with the fourth power of h.
double slope(Line& line, double h) {
  double near = (line.at(h) - line.at(-h)) / (2 * h);
  double far = (line.at(2 * h) - line.at(-2 * h)) / (4 * h);
  return (4 * near - far) / 3;
}

class Comparison {
 public:
  Comparison(const GradcheckOptions& options, int order, GradientCheck& result)
      : options_(options), order_(order), result_(result) {}

  void compare(const std::string& input, const std::vector<std::int64_t>& index, double analytic,
               double scale, Line line) {
    double best = 0, numeric = 0;
    bool first = true;
    for (double h : {options_.step, options_.step / 10, options_.step / 100}) {
      double value = slope(line, h * scale);
      double error = error_of(analytic, value);
      if (first || error < best) best = error, numeric = value;
      first = false;
      if (best <= 1) break;
    }
    if (!(best <= 1) && is_kink(line, options_.step / 100 * scale)) {
      ++result_.kinks;
      return;
    }
    ++result_.checked;
    bool bad = !(best <= 1);
    result_.failed += bad;
    result_.passed &= !bad;
    if (best > result_.worst_error || (bad && result_.failed == 1) || std::isnan(best)) {
      result_.worst_error = best;
      result_.worst = {input, index, analytic, numeric, order_};
    }
  }

 private:
  double error_of(double analytic, double numeric) const {
    return std::abs(analytic - numeric) / (options_.atol + options_.rtol * std::abs(numeric));
  }

  // At a corner the slopes of the two sides differ, and go on differing as they are taken nearer.
  bool is_kink(Line& line, double h) const {
    double centre = line.at(0);
    auto jump = [&](double d) { return (line.at(d) - 2 * centre + line.at(-d)) / d; };
    double wide = std::abs(jump(h)), narrow = std::abs(jump(h / 4));
    return wide > 1e-4 && narrow > wide / 2;
  }

  const GradcheckOptions& options_;
  int order_;
  GradientCheck& result_;
};

std::string name_of_input(std::size_t k, const std::vector<std::string>& names) {
  return k < names.size() ? names[k] : fmt::format("input {}", k);
}

void check_order(const Scalar& f, const Inputs& inputs, const GradcheckOptions& options, int order,
                 const std::vector<std::string>& names, GradientCheck& result) {
  std::vector<Tensor> gradients = gradients_of(f, inputs);
  Random random(options.seed + 17);
  Comparison comparison(options, order, result);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!gradients[k].defined()) continue;
    const Tensor& x = inputs[k];
    const Tensor& g = gradients[k];
    if (options.fast) {
      Tensor direction = random.normal(x.shape(), 0, 1, float64);
      double length = std::max(norm(direction).item(), 1e-30);
      direction = direction / length;
      comparison.compare(name_of_input(k, names), {}, sum(g * direction).item(), 1,
                         Line(f, inputs, k, direction));
      continue;
    }
    std::vector<double> values = x.to_vector<double>(), analytic = g.to_vector<double>();
    std::vector<double> unit(values.size(), 0.0);
    std::vector<std::int64_t> index(static_cast<std::size_t>(x.rank()), 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      unit[i] = 1;
      comparison.compare(name_of_input(k, names), index, analytic[i],
                         std::max(1.0, std::abs(values[i])),
                         Line(f, inputs, k, tensor(unit, x.shape())));
      unit[i] = 0;
      for (int axis = x.rank() - 1; axis >= 0 && ++index[axis] == x.shape()[axis]; --axis)
        index[axis] = 0;
    }
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
  Scalar scalar = [&](const Inputs& at) {
    Tensor y = f(at);
    if (!is_floating(y.dtype())) fail("gradcheck: the result holds {}, not floats", y.dtype());
    if (!direction.defined())
      direction = Random(options.seed).uniform(y.shape(), 0.5, 1.5, float64);
    return sum(y * direction);
  };
  double value = scalar(x).item();
  if (!std::isfinite(value)) fail("gradcheck: the result is not finite at the given inputs");

  GradientCheck result;
  std::vector<Scalar> orders{scalar};
  for (int order = 1; order <= options.order; ++order) {
    const Scalar& now = orders.back();
    check_order(now, x, options, order, names, result);
    // The next function: this one's gradient, projected on fixed directions.
    orders.push_back([now, seed = options.seed](const Inputs& at) {
      Random random(seed + 1);
      Tensor total = 0.0;
      for (const Tensor& g : gradients_of(now, at))
        if (g.defined()) total = total + sum(g * random.uniform(g.shape(), 0.5, 1.5, float64));
      return total;
    });
  }
  return result;
}

std::ostream& operator<<(std::ostream& out, const GradientCheck& check) {
  out << fmt::format("gradcheck: {} elements agree, {} do not", check.checked - check.failed,
                     check.failed);
  if (check.kinks > 0) out << fmt::format(", {} left out at corners", check.kinks);
  out << '\n';
  if (check.failed == 0) return out;
  std::string index;
  for (std::int64_t i : check.worst.index) index += (index.empty() ? "" : ", ") + std::to_string(i);
  return out << fmt::format(
             "  worst: {}[{}]{}: analytic {:.10g}, numeric {:.10g}\n", check.worst.input, index,
             check.worst.order > 1 ? fmt::format(", order {}", check.worst.order) : std::string(),
             check.worst.analytic, check.worst.numeric);
}

}  // namespace keratin
