
#include <cctype>
#include <mutex>
#include <set>
#include <typeinfo>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/class_name.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/internal/shape_trial.h>

namespace keratin {

thread_local CallContext* current_call = nullptr;

namespace {

// Names that a tape's nodes may point to for good.
const char* interned(const std::string& name) {
  static std::mutex mutex;
  static std::set<std::string> names;
  std::lock_guard lock(mutex);
  return names.insert(name).first->c_str();
}

struct NameCounts {
  std::mutex mutex;
  std::map<std::string, int> used;
};
NameCounts& name_counts() {
  static NameCounts counts;
  return counts;
}

}  // namespace

// --- names

std::string to_snake_case(const std::string& class_name) {
  std::string text;
  auto upper = [&](std::size_t i) {
    return i < class_name.size() && std::isupper(static_cast<unsigned char>(class_name[i]));
  };
  auto lower = [&](std::size_t i) {
    return i < class_name.size() && std::islower(static_cast<unsigned char>(class_name[i]));
  };
  for (std::size_t i = 0; i < class_name.size(); ++i) {
    bool word_begins = upper(i) && (lower(i + 1) || (i > 0 && lower(i - 1)));
    if (i > 0 && word_begins && text.back() != '_') text += '_';
    text += static_cast<char>(std::tolower(static_cast<unsigned char>(class_name[i])));
  }
  return text;
}

std::string unique_name(const std::string& base) {
  NameCounts& counts = name_counts();
  std::lock_guard lock(counts.mutex);
  int n = counts.used[base]++;
  return n == 0 ? base : base + "_" + std::to_string(n);
}

void clear_session() {
  NameCounts& counts = name_counts();
  std::lock_guard lock(counts.mutex);
  counts.used.clear();
}

const std::string& Layer::name() const {
  State& s = state();
  if (s.name.empty()) s.name = unique_name(to_snake_case(class_name()));
  return s.name;
}
void Layer::set_name(std::string name) { state().name = std::move(name); }

std::string Layer::class_name() const { return class_name_of(typeid(*this)); }

// --- calling

namespace {

// "inner_model/dense": the names of the calls in progress, without the outermost if there are more.
std::string place_of_call() {
  std::string place;
  bool inside = false;
  for (const CallContext* c = current_call; c != nullptr; c = c->outer) {
    if (c->layer == nullptr) continue;
    const CallContext* outer = c->outer;
    while (outer != nullptr && outer->layer == nullptr) outer = outer->outer;
    if (inside && outer == nullptr) break;
    place = c->layer->name() + (inside ? "/" : "") + place;
    inside = true;
  }
  return place;
}

}  // namespace

Tensor Layer::compute_mask(const Tensor&, const Tensor& mask) {
  return supports_masking() ? mask : Tensor();
}
Tensors Layer::compute_mask(const Tensors& inputs, const Tensors& masks) {
  if (inputs.size() == 1) return {compute_mask(inputs[0], masks[0])};
  return supports_masking() ? masks : Tensors();
}

Tensor Layer::call(const Tensor&) { fail("this class has no call: override call"); }
Tensors Layer::call(const Tensors& inputs) { return default_call(inputs); }
Tensors Layer::default_call(const Tensors& inputs) {
  if (inputs.size() > 1) fail("expected one input, got {}", inputs.size());
  return {call(inputs[0])};
}

Outputs Layer::operator()(const Tensor& inputs, const CallOptions& options) {
  return (*this)(Tensors{inputs}, options);
}
Outputs Layer::operator()(const Outputs& inputs, const CallOptions& options) {
  return (*this)(Tensors(inputs), options);
}
Outputs Layer::operator()(const Tensors& inputs, const CallOptions& options) {
  return call_with_mask(inputs, options).first;
}
std::pair<Tensor, Tensor> Layer::call_with_mask(const Tensor& inputs, const CallOptions& options) {
  auto [outputs, masks] = call_with_mask(Tensors{inputs}, options);
  return {outputs[0], masks[0]};
}

// Weights that the caller does not know of would be neither trained nor saved.
void Layer::check_owner() const {
  const Layer* caller = nullptr;
  for (CallContext* c = current_call; c != nullptr; c = c->outer) {
    if (c->layer == nullptr) continue;
    if (caller == nullptr) caller = c->layer;
    if (c->layer->is(*this) || c->layer->state().owns(state())) return;
  }
  if (caller == nullptr || weights().empty()) return;
  throw LayerError(fmt::format(
      "{} ({}): calls {} ({}), which is not part of it and would be neither trained nor saved; "
      "write track(...) for it in the constructor or in build",
      caller->name(), caller->class_name(), name(), class_name()));
}

namespace {

// A boolean mask for the first axes of the inputs: (batch, time) where they have a time axis.
Tensor checked_mask(const Tensor& mask, const Shape& inputs) {
  if (!mask.defined()) return mask;
  Shape expected;
  const int axes = std::clamp(mask.rank(), std::min(inputs.rank() - 1, 2), inputs.rank());
  for (int axis = 0; axis < axes; ++axis) expected.push_back(inputs[axis]);
  if (mask.shape() != expected) fail("expected a mask of shape {}, got {}", expected, mask.shape());
  return mask.astype(boolean);
}

// One mask for each input.
Tensors checked_masks(const CallOptions& options, const Tensors& inputs) {
  Tensors masks = options.masks;
  if (masks.size() > inputs.size())
    fail("expected a mask for each input, got {} for {}", masks.size(), inputs.size());
  masks.resize(inputs.size());
  if (options.mask.defined()) masks[0] = options.mask;
  for (std::size_t i = 0; i < masks.size(); ++i)
    if (masks[i].defined()) masks[i] = checked_mask(masks[i], inputs[i].shape());
  return masks;
}

Shapes shapes_of(const Tensors& tensors) {
  Shapes shapes;
  for (const Tensor& t : tensors) shapes.push_back(t.defined() ? t.shape() : Shape());
  return shapes;
}

}  // namespace

std::pair<Tensors, Tensors> Layer::call_with_mask(const Tensors& inputs,
                                                  const CallOptions& options) {
  if (inputs.empty() || !inputs[0].defined())
    throw LayerError(fmt::format("{} ({}): the input is undefined", name(), class_name()));
  ensure_built(shapes_of(inputs));
  check_owner();
  CallContext* outer = current_call;
  CallContext context{.outer = outer, .layer = this, .training = options.training};
  if (outer != nullptr) {
    context.noise = outer->noise;
    context.capture = outer->capture;
    context.losses = outer->losses;
  }
  Swap<CallContext*> call_scope(current_call, &context);
  const char* nothing = nullptr;
  Swap<const char*> recorded_layer(recording == nullptr ? nothing : recording->layer,
                                   recording == nullptr ? nothing : interned(name()));
  try {
    context.masks = checked_masks(options, inputs);
    Tensors x = inputs;
    for (Tensor& t : x)
      if (t.defined() && is_floating(t.dtype()) && t.dtype() != dtype()) t = t.astype(dtype());
    Tensors y = call(x);
    if (y.empty() || !y[0].defined()) fail("call returned no tensor");
    keep_outputs(y);
    Tensors masks =
        context.output_masks_known ? context.output_masks : compute_mask(x, context.masks);
    masks.resize(y.size());
    warn_of_lost_mask(masks);
    return {std::move(y), std::move(masks)};
  } catch (const LayerError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw LayerError(fmt::format("{} ({}): {}", name(), class_name(), error.what()));
  }
}

// What others want to know of a call's outputs: a capture, and the regularizer of the activity.
void Layer::keep_outputs(const Tensors& outputs) const {
  const CallContext& context = *current_call;
  const bool outermost = context.outer == nullptr || context.outer->layer == nullptr;
  if (context.capture != nullptr && !outermost) {
    const std::string place = place_of_call();
    (*context.capture)[place] = outputs[0];
    for (std::size_t i = 1; i < outputs.size(); ++i)
      (*context.capture)[place + "/" + std::to_string(i)] = outputs[i];
  }
  const auto& regularizer = state().activity_regularizer.function();
  if (context.losses == nullptr || !regularizer) return;
  for (const Tensor& y : outputs)
    add_loss(regularizer(y) / static_cast<double>(std::max<std::int64_t>(1, y.size(0))));
}

void Layer::warn_of_lost_mask(const Tensors& output_masks) const {
  const CallContext& context = *current_call;
  const bool read = context.mask_read || std::ranges::none_of(context.masks, &Tensor::defined) ||
                    std::ranges::any_of(output_masks, &Tensor::defined);
  if (read || supports_masking() || state().warned) return;
  state().warned = true;
  warn("{} ({}): was given a mask, which it neither reads nor passes on; padding counts from here",
       name(), class_name());
}

// --- shapes

Shape Layer::compute_output_shape(const Shape& input_shape) {
  return (state().tried_shapes = tried_shapes({input_shape})).at(0);
}
// A class may know the shape of its one output, or leave it to the trial, which finds all.
Shapes Layer::compute_output_shape(const Shapes& input_shapes) {
  if (input_shapes.size() > 1) return tried_shapes(input_shapes);
  state().tried_shapes.clear();
  const Shape shape = compute_output_shape(input_shapes.at(0));
  const Shapes tried = std::exchange(state().tried_shapes, {});
  return tried.empty() ? Shapes{shape} : tried;
}

Shapes Layer::tried_shapes(const Shapes& input_shapes) {
  NoGradient scope;
  ensure_built(input_shapes);
  TensorKinds inputs;
  for (const Shape& shape : input_shapes)  // rank 0 stands for an input left out
    inputs.push_back(shape.rank() == 0 ? std::nullopt : std::optional(TensorKind{shape, dtype()}));
  try {
    Shapes shapes;
    auto call = [&](const Tensors& x) { return Tensors((*this)(x)); };
    const bool is_pure = first_without_graph(*this) == nullptr;
    const Device there = device().is_meta() ? default_device() : device();
    for (const auto& output : tried_kinds(inputs, is_pure, there, call))
      shapes.push_back(output ? output->shape : Shape());
    return shapes;
  } catch (const std::invalid_argument& error) {
    throw LayerError(error.what());
  }
}

// --- what a call may ask and say

bool Layer::training() const { return current_call != nullptr && current_call->training; }

const Tensor& Layer::mask(std::size_t input) const {
  static const Tensor nothing;
  const bool known = current_call != nullptr && input < current_call->masks.size();
  if (known) current_call->mask_read = true;
  return known ? current_call->masks[input] : nothing;
}

void Layer::set_output_masks(const Tensors& masks) const {
  if (current_call == nullptr) return;
  current_call->output_masks = masks;
  current_call->output_masks_known = true;
}

void Layer::add_loss(const Tensor& loss) const {
  if (loss.numel() != 1) fail("add_loss: expected one number, got {}", loss.shape());
  if (current_call != nullptr && current_call->losses != nullptr)
    current_call->losses->push_back(loss.rank() == 0 ? loss : reshape(loss, {}));
}

void Layer::set_activity_regularizer(const Regularizer& regularizer) {
  state().activity_regularizer = regularizer;
}
Regularizer& Layer::activity_regularizer() const { return state().activity_regularizer; }

LayerLosses::LayerLosses() : scope_(std::make_unique<CallContext>()) {
  scope_->outer = std::exchange(current_call, scope_.get());
  if (scope_->outer != nullptr) {
    scope_->noise = scope_->outer->noise;
    scope_->capture = scope_->outer->capture;
  }
  scope_->losses = &values_;
}
LayerLosses::~LayerLosses() { current_call = scope_->outer; }

Random& Layer::random(std::optional<std::uint64_t> seed) const {
  if (current_call != nullptr && current_call->noise != nullptr) return *current_call->noise;
  if (!seed) return default_random();
  std::optional<Random>& own = state().noise;
  if (!own) own.emplace(*seed);
  return *own;
}

void Layer::reset_states() {
  state().carried.clear();
  for (const AnyLayer& layer : sublayers()) layer->reset_states();
}

std::vector<Tensor>& Layer::carried() const { return state().carried; }
std::any& Layer::learnt() const { return state().learnt; }

// --- looking inside

bool Layer::is_captured() const {
  return current_call != nullptr && current_call->capture != nullptr;
}

Tensor Layer::name(std::string_view label, const Tensor& value) const {
  if (is_captured()) (*current_call->capture)[place_of_call() + "/" + std::string(label)] = value;
  return value;
}

Capture::Capture() : scope_(std::make_unique<CallContext>()) {
  scope_->outer = std::exchange(current_call, scope_.get());
  scope_->capture = &values_;
}
Capture::~Capture() { current_call = scope_->outer; }

}  // namespace keratin
