#include <cxxabi.h>

#include <cctype>
#include <mutex>
#include <set>
#include <typeinfo>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/layer_state.h>

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

Shape filled_in(const Shape& shape, std::int64_t size) {
  Shape filled = shape;
  for (std::int64_t& extent : filled)
    if (extent == None) extent = size;
  return filled;
}

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

std::string Layer::class_name() const {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status), std::free);
  std::string full = status == 0 ? text.get() : typeid(*this).name();
  auto colon = full.rfind(':');
  return colon == std::string::npos ? full : full.substr(colon + 1);
}

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

Tensor Layer::operator()(const Tensor& inputs, const CallOptions& options) {
  return call_with_mask(inputs, options).first;
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

}  // namespace

std::pair<Tensor, Tensor> Layer::call_with_mask(const Tensor& inputs, const CallOptions& options) {
  if (!inputs.defined())
    throw LayerError(fmt::format("{} ({}): the input is undefined", name(), class_name()));
  ensure_built(inputs.shape());
  check_owner();
  CallContext context{.outer = current_call,
                      .layer = this,
                      .training = options.training,
                      .noise = current_call == nullptr ? nullptr : current_call->noise,
                      .capture = current_call == nullptr ? nullptr : current_call->capture};
  Swap<CallContext*> call_scope(current_call, &context);
  const char* nothing = nullptr;
  Swap<const char*> recorded_layer(recording == nullptr ? nothing : recording->layer,
                                   recording == nullptr ? nothing : interned(name()));
  try {
    context.mask = checked_mask(options.mask, inputs.shape());
    bool convert = is_floating(inputs.dtype()) && inputs.dtype() != dtype();
    Tensor x = convert ? inputs.astype(dtype()) : inputs;
    Tensor y = call(x);
    if (!y.defined()) fail("call returned no tensor");
    const bool outermost = context.outer == nullptr || context.outer->layer == nullptr;
    if (context.capture != nullptr && !outermost) (*context.capture)[place_of_call()] = y;
    return {y, context.output_mask_known ? context.output_mask : compute_mask(x, context.mask)};
  } catch (const LayerError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw LayerError(fmt::format("{} ({}): {}", name(), class_name(), error.what()));
  }
}

// The layer runs on two sizes in place of None; output sizes that differ are None.
Shape Layer::compute_output_shape(const Shape& input_shape) {
  NoGradient scope;
  ensure_built(input_shape);
  auto tried = [&](std::int64_t size) {
    const Shape filled = filled_in(input_shape, size);
    try {
      return (*this)(zeros(filled, dtype())).shape();
    } catch (const LayerError& error) {
      if (filled == input_shape) throw;
      throw LayerError(fmt::format("{}, while finding the output shape with zeros of shape {}",
                                   error.what(), filled));
    }
  };
  Shape shape = tried(2);
  const Shape other = tried(3);
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] != other[axis]) shape[axis] = None;
  return shape;
}

bool Layer::training() const { return current_call != nullptr && current_call->training; }

const Tensor& Layer::mask() const {
  static const Tensor nothing;
  return current_call == nullptr ? nothing : current_call->mask;
}

void Layer::set_output_mask(const Tensor& mask) const {
  if (current_call == nullptr) return;
  current_call->output_mask = mask;
  current_call->output_mask_known = true;
}

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

// --- looking inside

Tensor Layer::name(std::string_view label, const Tensor& value) const {
  if (current_call != nullptr && current_call->capture != nullptr)
    (*current_call->capture)[place_of_call() + "/" + std::string(label)] = value;
  return value;
}

Capture::Capture() : scope_(std::make_unique<CallContext>()) {
  scope_->outer = std::exchange(current_call, scope_.get());
  scope_->capture = &values_;
}
Capture::~Capture() { current_call = scope_->outer; }

}  // namespace keratin
