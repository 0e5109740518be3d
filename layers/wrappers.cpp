#include <keratin/autograd/ops.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/wrappers.h>

namespace keratin {

namespace {

// What both layers of a Bidirectional must have in common, and what they must not.
void check_alike(const RNNLoopOptions& forward, const RNNLoopOptions& backward) {
  if (forward.go_backwards == backward.go_backwards)
    fail("Bidirectional: expected go_backwards of either the layer or backward_layer");
  auto check = [](const char* option, bool a, bool b) {
    if (a != b)
      fail("Bidirectional: expected one {} of the layer and backward_layer, got {} and {}", option,
           a, b);
  };
  check("return_sequences", forward.return_sequences, backward.return_sequences);
  check("return_state", forward.return_state, backward.return_state);
  check("stateful", forward.stateful, backward.stateful);
}

}  // namespace

Bidirectional::Bidirectional(AnyLayer forward_layer, AnyLayer backward_layer,
                             const BidirectionalOptions& options)
    : forward_(std::move(forward_layer)),
      backward_(std::move(backward_layer)),
      merge_mode_(options.merge_mode) {
  check_fields("Bidirectional",
               {{"merge_mode", &merge_mode_, one_of({"concat", "sum", "mul", "ave", "none"})}});
  if (dynamic_cast<const RNN*>(&*backward_) == nullptr)
    fail("Bidirectional: expected a recurrent backward_layer, got {} ({})", backward_->name(),
         backward_->class_name());
  const std::string inner = forward_->name();
  forward_->set_name("forward_" + inner);
  if (options.backward_layer) {
    check_alike(common(), std::as_const(backward()).options());
  } else {
    backward_->set_name("backward_" + inner);
    backward().options().go_backwards = !common().go_backwards;
  }
  for (RNN* layer : {&forward(), &backward()})
    layer->options().zero_output_for_mask = common().return_sequences;
  if (!common().input_shape.empty()) set_input_shape(batched(common().input_shape));
  apply_common(*this, options);
  track(forward_, "forward_layer");
  track(backward_, "backward_layer");
}

// Keras says None where this library says "none".
std::vector<Field> Bidirectional::fields() {
  auto mode = [this] { return merge_mode_ == "none" ? Option() : to_option(merge_mode_); };
  auto set_mode = [this](const Option& value) {
    if (!value.is_none()) return from_option(value, merge_mode_);
    merge_mode_ = "none";
    return true;
  };
  return {{"merge_mode", mode, set_mode, one_of({"concat", "sum", "mul", "ave"})},
          {"layer", &forward_},
          {"backward_layer", &backward_}};
}

Shapes Bidirectional::compute_output_shape(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  Shapes shapes = forward().compute_output_shape(Shapes{input_shapes[0]}),
         others = backward().compute_output_shape(Shapes{input_shapes[0]});
  if (merge_mode_ == "none")
    shapes.insert(shapes.begin() + 1, others[0]);
  else if (merge_mode_ == "concat")
    shapes[0] = shapes[0].with(-1, shapes[0][-1] + others[0][-1]);
  shapes.insert(shapes.end(), others.begin() + 1, others.end());
  return shapes;
}
Shape Bidirectional::compute_output_shape(const Shape& input_shape) {
  return compute_output_shape(Shapes{input_shape})[0];
}

void Bidirectional::build(const Shape& input_shape) {
  forward_->ensure_built(input_shape);
  backward_->ensure_built(input_shape);
}

Tensors Bidirectional::compute_mask(const Tensors&, const Tensors& masks) {
  if (!common().return_sequences) return {};
  if (merge_mode_ == "none") return {masks[0], masks[0]};
  return {masks[0]};
}

Tensors Bidirectional::merge(const Tensor& forward, const Tensor& backward) const {
  // The backward layer's outputs come in the order in which it made them: last step first.
  Tensor b = common().return_sequences ? flip(backward, 1) : backward;
  if (merge_mode_ == "none") return {forward, b};
  if (merge_mode_ == "concat") return {concatenate({forward, b}, -1)};
  if (merge_mode_ == "sum") return {forward + b};
  if (merge_mode_ == "mul") return {forward * b};
  return {(forward + b) / 2};
}

Tensors Bidirectional::call(const Tensors& inputs) {
  const std::size_t of_forward = forward().cell().state_size().size(),
                    of_backward = backward().cell().state_size().size();
  if (inputs.size() != 1 && inputs.size() != 1 + of_forward + of_backward)
    fail("expected {} initial states, got {}", of_forward + of_backward, inputs.size() - 1);
  Tensors f{inputs[0]}, b{inputs[0]};
  for (std::size_t i = 1; i < inputs.size(); ++i) (i <= of_forward ? f : b).push_back(inputs[i]);
  const CallOptions options{.training = training(), .mask = mask()};
  f = (*forward_)(f, options);
  b = (*backward_)(b, options);
  Tensors result = merge(f[0], b[0]);
  result.insert(result.end(), f.begin() + 1, f.end());
  result.insert(result.end(), b.begin() + 1, b.end());
  return result;
}

TimeDistributed::TimeDistributed(AnyLayer layer, const WrapperOptions& options)
    : layer_(std::move(layer)) {
  apply_common(*this, options);
  track(layer_, "layer");
}

std::vector<Field> TimeDistributed::fields() { return {{"layer", &layer_}}; }
void TimeDistributed::configured() { replace_sublayers({layer_}); }

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

Shape TimeDistributed::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  InsideOf scope(*this);
  const Shape step = input_shape.without(1).with(0, None);
  return layer_->compute_output_shape(step).with(0, input_shape[0]).inserted(1, input_shape[1]);
}

// A step counts if anything inside it does.
Tensor TimeDistributed::compute_mask(const Tensor&, const Tensor& mask) {
  if (!mask.defined() || mask.rank() <= 2) return mask;
  std::vector<int> inside;
  for (int axis = 2; axis < mask.rank(); ++axis) inside.push_back(axis);
  return any(mask, inside);
}

}  // namespace keratin
