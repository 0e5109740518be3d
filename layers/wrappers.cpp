#include <keratin/autograd/ops.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/wrappers.h>

namespace keratin {

Bidirectional::Bidirectional(std::shared_ptr<RNN> forward, std::shared_ptr<RNN> backward,
                             const BidirectionalOptions& options)
    : forward_(std::move(forward)),
      backward_(std::move(backward)),
      merge_mode_(options.merge_mode) {
  if (merge_mode_ != "concat" && merge_mode_ != "sum" && merge_mode_ != "mul" &&
      merge_mode_ != "ave")
    fail("Bidirectional: expected merge_mode concat, sum, mul or ave, got \"{}\"", merge_mode_);
  std::string inner = forward_->name();
  forward_->set_name("forward_" + inner);
  backward_->set_name("backward_" + inner);
  backward_->options().go_backwards = !forward_->options().go_backwards;
  for (RNN* layer : {forward_.get(), backward_.get()})
    layer->options().zero_output_for_mask = layer->options().return_sequences;
  if (!std::as_const(*forward_).options().input_shape.empty())
    set_input_shape(batched(std::as_const(*forward_).options().input_shape));
  apply_common(*this, options);
}

Bidirectional::Bidirectional(const Bidirectional& other)
    : Layer(other),
      forward_(other.forward_),
      backward_(other.backward_),
      copy_(other.copy_),
      merge_mode_(other.merge_mode_) {
  if (other.built()) return;
  forward_ = copy_(*other.forward_);
  backward_ = copy_(*other.backward_);
}

Shape Bidirectional::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  Shape shape = forward_->compute_output_shape(input_shape);
  return merge_mode_ == "concat" ? shape.with(-1, 2 * shape[-1]) : shape;
}

void Bidirectional::build(const Shape& input_shape) {
  track(*forward_);
  track(*backward_);
  forward_->ensure_built(input_shape);
  backward_->ensure_built(input_shape);
}

Tensor Bidirectional::compute_mask(const Tensor&, const Tensor& mask) {
  return std::as_const(*forward_).options().return_sequences ? mask : Tensor();
}

Tensor Bidirectional::merge(const Tensor& forward, const Tensor& backward) const {
  // The backward layer's outputs come in the order in which it made them: last step first.
  bool sequences = std::as_const(*forward_).options().return_sequences;
  Tensor b = sequences ? flip(backward, 1) : backward;
  if (merge_mode_ == "concat") return concatenate({forward, b}, -1);
  if (merge_mode_ == "sum") return forward + b;
  if (merge_mode_ == "mul") return forward * b;
  return (forward + b) / 2;
}

Tensor Bidirectional::call(const Tensor& inputs) {
  CallOptions options{training(), mask()};
  return merge((*forward_)(inputs, options), (*backward_)(inputs, options));
}

std::vector<Tensor> Bidirectional::states(const Tensor& inputs,
                                          const std::vector<Tensor>& initial_state,
                                          const CallOptions& options) {
  ensure_built(inputs.shape());
  auto half = initial_state.begin() + static_cast<std::ptrdiff_t>(initial_state.size() / 2);
  auto f = forward_->states(inputs, {initial_state.begin(), half}, options);
  auto b = backward_->states(inputs, {half, initial_state.end()}, options);
  std::vector<Tensor> result{merge(f[0], b[0])};
  result.insert(result.end(), f.begin() + 1, f.end());
  result.insert(result.end(), b.begin() + 1, b.end());
  return result;
}

TimeDistributed::TimeDistributed(AnyLayer layer, const WrapperOptions& options)
    : layer_(std::move(layer)) {
  apply_common(*this, options);
}

TimeDistributed::TimeDistributed(const TimeDistributed& other)
    : Layer(other), layer_(other.built() ? other.layer_ : other.layer_.copy()) {}

void TimeDistributed::build(const Shape& input_shape) {
  if (input_shape.rank() < 3) fail("expected inputs (batch, time, ...), got {}", input_shape);
  track(*layer_);
  layer_->ensure_built(input_shape.without(1));
}

// Batch and time as one axis.
Tensor TimeDistributed::call(const Tensor& inputs) {
  if (inputs.rank() < 3) fail("expected inputs (batch, time, ...), got {}", inputs.shape());
  std::int64_t batch = inputs.size(0), time = inputs.size(1);
  Shape steps = inputs.shape().without(1).with(0, batch * time);
  Tensor y = (*layer_)(reshape(inputs, steps), {.training = training()});
  return reshape(y, y.shape().with(0, batch).inserted(1, time));
}

}  // namespace keratin
