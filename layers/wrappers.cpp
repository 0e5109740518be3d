#include <keratin/autograd/ops.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/wrappers.h>

namespace keratin {

Bidirectional::Bidirectional(AnyLayer forward_layer, AnyLayer backward_layer,
                             const BidirectionalOptions& options)
    : forward_(std::move(forward_layer)),
      backward_(std::move(backward_layer)),
      merge_mode_(options.merge_mode) {
  if (merge_mode_ != "concat" && merge_mode_ != "sum" && merge_mode_ != "mul" &&
      merge_mode_ != "ave")
    fail("Bidirectional: expected merge_mode concat, sum, mul or ave, got \"{}\"", merge_mode_);
  const RNNLoopOptions& options_forward = std::as_const(forward()).options();
  std::string inner = forward_->name();
  forward_->set_name("forward_" + inner);
  backward_->set_name("backward_" + inner);
  backward().options().go_backwards = !options_forward.go_backwards;
  for (RNN* layer : {&forward(), &backward()})
    layer->options().zero_output_for_mask = options_forward.return_sequences;
  if (!options_forward.input_shape.empty()) set_input_shape(batched(options_forward.input_shape));
  apply_common(*this, options);
  track(forward_);
  track(backward_);
}

Shape Bidirectional::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  Shape shape = forward_->compute_output_shape(input_shape);
  return merge_mode_ == "concat" ? shape.with(-1, 2 * shape[-1]) : shape;
}

void Bidirectional::build(const Shape& input_shape) {
  forward_->ensure_built(input_shape);
  backward_->ensure_built(input_shape);
}

Tensor Bidirectional::compute_mask(const Tensor&, const Tensor& mask) {
  return return_sequences() ? mask : Tensor();
}

Tensor Bidirectional::merge(const Tensor& forward, const Tensor& backward) const {
  // The backward layer's outputs come in the order in which it made them: last step first.
  Tensor b = return_sequences() ? flip(backward, 1) : backward;
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
  auto f = this->forward().states(inputs, {initial_state.begin(), half}, options);
  auto b = this->backward().states(inputs, {half, initial_state.end()}, options);
  std::vector<Tensor> result{merge(f[0], b[0])};
  result.insert(result.end(), f.begin() + 1, f.end());
  result.insert(result.end(), b.begin() + 1, b.end());
  return result;
}

TimeDistributed::TimeDistributed(AnyLayer layer, const WrapperOptions& options)
    : layer_(std::move(layer)) {
  apply_common(*this, options);
  track(layer_);
}

void TimeDistributed::build(const Shape& input_shape) {
  if (input_shape.rank() < 3) fail("expected inputs (batch, time, ...), got {}", input_shape);
  layer_->ensure_built(input_shape.without(1));
}

// Batch and time are one axis, unless the layer keeps statistics, which each step then updates.
Tensor TimeDistributed::call(const Tensor& inputs) {
  if (inputs.rank() < 3) fail("expected inputs (batch, time, ...), got {}", inputs.shape());
  const std::int64_t batch = inputs.size(0), time = inputs.size(1);
  const Tensor inner_mask = mask().defined() && mask().rank() > 2 ? mask() : Tensor();
  if (training() && layer_->trainable() && !layer_->non_trainable_weights().empty()) {
    std::vector<Tensor> steps = unstack(inputs, 1), outputs;
    std::vector<Tensor> masks = inner_mask.defined() ? unstack(inner_mask, 1) : steps;
    for (std::size_t t = 0; t < steps.size(); ++t)
      outputs.push_back((*layer_)(
          steps[t], {.training = true, .mask = inner_mask.defined() ? masks[t] : Tensor()}));
    return stack(outputs, 1);
  }
  auto joined = [&](const Tensor& x) {
    return x.defined() ? reshape(x, x.shape().without(1).with(0, batch * time)) : x;
  };
  Tensor y = (*layer_)(joined(inputs), {.training = training(), .mask = joined(inner_mask)});
  return reshape(y, y.shape().with(0, batch).inserted(1, time));
}

// A step counts if anything inside it does.
Tensor TimeDistributed::compute_mask(const Tensor&, const Tensor& mask) {
  if (!mask.defined() || mask.rank() <= 2) return mask;
  std::vector<int> inside;
  for (int axis = 2; axis < mask.rank(); ++axis) inside.push_back(axis);
  return any(mask, inside);
}

}  // namespace keratin
