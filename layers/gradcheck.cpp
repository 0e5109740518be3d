#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/layers/gradcheck.h>
#include <keratin/layers/internal/context.h>

namespace keratin {
namespace {

// Puts a layer into float64 and back, weights untouched.
class InFloat64 {
 public:
  explicit InFloat64(Layer& layer) : layer_(layer), dtype_(layer.dtype()) {
    for (const Weight& weight : layer.weights()) saved_.emplace_back(weight, weight.value());
    layer.set_dtype(float64);
  }
  ~InFloat64() {
    layer_.set_dtype(dtype_);
    for (auto& [weight, value] : saved_) weight.replace(value);
  }
  InFloat64(const InFloat64&) = delete;
  InFloat64& operator=(const InFloat64&) = delete;

 private:
  Layer& layer_;
  DType dtype_;
  std::vector<std::pair<Weight, Tensor>> saved_;
};

// Statistics that training moves are set back, or the next evaluation would differ.
class Fixed {
 public:
  explicit Fixed(const Layer& layer) : weights_(layer.non_trainable_weights()) {
    for (const Weight& weight : weights_) before_.push_back(weight.value().copy());
  }
  ~Fixed() { set_back(); }
  Fixed(const Fixed&) = delete;
  Fixed& operator=(const Fixed&) = delete;

  void set_back() {
    NoGradient scope;
    for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i].assign(before_[i]);
  }

 private:
  std::vector<Weight> weights_;
  std::vector<Tensor> before_;
};

}  // namespace

GradientCheck gradcheck_with_weights(Layer& layer, const std::function<Tensor(const Tensors&)>& f,
                                     const Tensors& inputs, const GradcheckOptions& options) {
  Shapes shapes;
  for (const Tensor& input : inputs) shapes.push_back(input.shape());
  layer.ensure_built(shapes);
  InFloat64 scope(layer);
  auto run = [&](const Tensors& at) {
    Random noise(options.seed);
    CallContext context{.outer = current_call, .noise = &noise};
    Swap<CallContext*> noise_scope(current_call, &context);
    return f(at);
  };
  {
    // Layers inside may make their weights only when they are called.
    NoGradient no_gradient;
    Fixed fixed(layer);
    Tensors x = inputs;
    for (Tensor& t : x)
      if (is_floating(t.dtype())) t = t.astype(float64);
    run(x);
  }
  Fixed fixed(layer);
  std::vector<Weight> weights = layer.trainable_weights();
  const std::size_t n = inputs.size();
  std::vector<Tensor> all = inputs;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n; ++i) names.push_back(n == 1 ? "x" : "x" + std::to_string(i));
  for (const Weight& weight : weights) {
    all.push_back(weight.value());
    names.push_back(weight.path());
  }
  auto with_weights = [&](const std::vector<Tensor>& at) {
    struct Restore {
      std::vector<Weight>& weights;
      std::vector<Tensor> values = {};
      ~Restore() {
        for (std::size_t i = 0; i < values.size(); ++i) weights[i].replace(values[i]);
      }
    } restore{weights};
    for (std::size_t i = 0; i < weights.size(); ++i) {
      restore.values.push_back(weights[i].value());
      weights[i].replace(at[i + n]);
    }
    fixed.set_back();
    return run({at.begin(), at.begin() + static_cast<std::ptrdiff_t>(n)});
  };
  GradientCheck check = gradcheck(ManyTensorFunction(with_weights), all, options, names);
  auto compared = [&](const Weight& weight) {
    const std::vector<std::string>& unchecked = check.unchecked;
    return weight.numel() > 0 &&
           std::find(unchecked.begin(), unchecked.end(), weight.path()) == unchecked.end();
  };
  check.weights = std::count_if(weights.begin(), weights.end(), compared);
  return check;
}

GradientCheck gradcheck_layer(Layer& layer, const Tensors& inputs, const CallOptions& call,
                              const GradcheckOptions& options) {
  auto all_outputs = [&](const Tensors& at) {
    Tensors outputs = layer(at, call);
    if (outputs.size() == 1) return outputs[0];
    for (Tensor& y : outputs) y = reshape(y, {-1});
    return concatenate(outputs, 0);
  };
  return gradcheck_with_weights(layer, all_outputs, inputs, options);
}

}  // namespace keratin
