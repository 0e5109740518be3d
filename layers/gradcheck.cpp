#include <keratin/autograd/ops.h>
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

}  // namespace

GradientCheck gradcheck_with_weights(Layer& layer, const std::function<Tensor(const Tensor&)>& f,
                                     const Tensor& x, const GradcheckOptions& options) {
  layer.ensure_built(x.shape());
  InFloat64 scope(layer);
  std::vector<Tensor> inputs{x}, fixed_before;
  std::vector<std::string> names{"x"};
  std::vector<Weight> weights = layer.trainable_weights(), fixed = layer.non_trainable_weights();
  for (const Weight& weight : weights) {
    inputs.push_back(weight.value());
    names.push_back(weight.path());
  }
  for (const Weight& weight : fixed) fixed_before.push_back(weight.value().copy());
  auto run = [&](const std::vector<Tensor>& at) {
    Random noise(options.seed);
    Random* outer = std::exchange(shared_noise, &noise);
    std::vector<Tensor> values;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      values.push_back(weights[i].value());
      weights[i].replace(at[i + 1]);
    }
    struct Restore {
      std::vector<Weight>& weights;
      std::vector<Tensor>& values;
      Random* outer;
      ~Restore() {
        for (std::size_t i = 0; i < weights.size(); ++i) weights[i].replace(values[i]);
        shared_noise = outer;
      }
    } restore{weights, values, outer};
    // Statistics that training moves are set back, or the next evaluation would differ.
    for (std::size_t i = 0; i < fixed.size(); ++i) fixed[i].assign(fixed_before[i]);
    return f(at[0]);
  };
  return gradcheck(ManyTensorFunction(run), inputs, options, names);
}

}  // namespace keratin
