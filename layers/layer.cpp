#include <cxxabi.h>

#include <cctype>
#include <mutex>
#include <set>
#include <typeinfo>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/memory.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/layer.h>

namespace keratin {

thread_local CallContext* current_call = nullptr;
thread_local Random* shared_noise = nullptr;
thread_local Capture* current_capture = nullptr;

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
  if (name_.empty()) name_ = unique_name(to_snake_case(class_name()));
  return name_;
}

std::string Layer::class_name() const {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status), std::free);
  std::string full = status == 0 ? text.get() : typeid(*this).name();
  auto colon = full.rfind(':');
  return colon == std::string::npos ? full : full.substr(colon + 1);
}

// --- building and calling

Layer::Layer() : dtype_(floatx()) {}

void Layer::build(const Shape&) {}

Tensor Layer::compute_mask(const Tensor&, const Tensor& mask) {
  return supports_masking() ? mask : Tensor();
}

void Layer::ensure_built(const Shape& input_shape) {
  if (built_) return;
  NoGradient scope;
  Shape shape = input_shape;
  if (shape.rank() > 0) shape[0] = None;
  auto discard = [this] {
    weights_.clear();
    fixed_weights_.clear();
    sublayers_.clear();
  };
  Swap<bool> building(being_built_, true);
  try {
    build(shape);
  } catch (const LayerError&) {
    discard();
    throw;
  } catch (const std::invalid_argument& error) {
    discard();
    throw LayerError(fmt::format("{} ({}): {}", name(), class_name(), error.what()));
  }
  input_shape_ = shape;
  built_ = true;
  release_cached_memory();  // an initializer's float64 blocks fit nothing that comes later
}

Tensor Layer::operator()(const Tensor& inputs, const CallOptions& options) {
  return call_with_mask(inputs, options).first;
}

std::pair<Tensor, Tensor> Layer::call_with_mask(const Tensor& inputs, const CallOptions& options) {
  if (!inputs.defined())
    throw LayerError(fmt::format("{} ({}): the input is undefined", name(), class_name()));
  if (!built_) ensure_built(inputs.shape());
  CallContext context{options.training, options.mask};
  Swap<CallContext*> call_scope(current_call, &context);
  const char* nothing = nullptr;
  Swap<const char*> recorded_layer(recording == nullptr ? nothing : recording->layer,
                                   recording == nullptr ? nothing : interned(name()));
  try {
    bool convert = is_floating(inputs.dtype()) && inputs.dtype() != dtype_;
    Tensor x = convert ? inputs.astype(dtype_) : inputs;
    Tensor y = call(x);
    if (!y.defined()) fail("call returned no tensor");
    return {y, context.output_mask_known ? context.output_mask : compute_mask(x, options.mask)};
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
  Shape shape = (*this)(zeros(filled_in(input_shape, 2), dtype_)).shape();
  Shape other = (*this)(zeros(filled_in(input_shape, 3), dtype_)).shape();
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

Random& Layer::random(Random* seeded) const {
  if (shared_noise != nullptr) return *shared_noise;
  return seeded != nullptr ? *seeded : default_random();
}

// --- weights

Weight Layer::add_weight(const std::string& name, const Shape& shape,
                         const Initializer& initializer, const Regularizer& regularizer,
                         const Constraint& constraint, bool trainable) {
  for (std::int64_t extent : shape)
    if (extent == None) fail("weight \"{}\": the shape {} has an unknown size", name, shape);
  Tensor value = initializer(shape, dtype_);
  if (value.shape() != shape)
    fail("weight \"{}\": the initializer made {} for shape {}", name, value.shape(), shape);
  Weight weight(name, value.astype(dtype_), trainable && trainable_);
  weight.set_regularizer(regularizer.function());
  weight.set_constraint(constraint.function());
  weight.set_path(this->name() + "/" + name);
  (trainable ? weights_ : fixed_weights_).push_back(weight);
  return weight;
}

void Layer::track(Layer& layer) {
  layer.set_dtype(dtype_);
  if (!trainable_) layer.set_trainable(false);
  sublayers_.push_back(&layer);
}

void Layer::set_weight_paths(const std::string& prefix) {
  std::string path = prefix + name() + "/";
  for (auto* list : {&weights_, &fixed_weights_})
    for (Weight& weight : *list) weight.set_path(path + weight.name());
  for (Layer* layer : sublayers_) layer->set_weight_paths(path);
}

std::vector<Weight> Layer::weights() const {
  std::vector<Weight> all = weights_;
  all.insert(all.end(), fixed_weights_.begin(), fixed_weights_.end());
  for (const Layer* layer : sublayers_)
    for (const Weight& weight : layer->weights()) all.push_back(weight);
  return all;
}

std::vector<Weight> Layer::trainable_weights() const {
  std::vector<Weight> found;
  for (const Weight& weight : weights())
    if (weight.trainable()) found.push_back(weight);
  return found;
}

std::vector<Weight> Layer::non_trainable_weights() const {
  std::vector<Weight> found;
  for (const Weight& weight : weights())
    if (!weight.trainable()) found.push_back(weight);
  return found;
}

std::vector<Tensor> Layer::get_weights() const {
  NoGradient scope;
  std::vector<Tensor> values;
  for (const Weight& weight : weights()) values.push_back(weight.value().copy());
  return values;
}

void Layer::set_weights(const std::vector<Tensor>& values) {
  std::vector<Weight> targets = weights();
  if (values.size() != targets.size())
    fail("{} ({}): set_weights: expected {} tensors, got {}{}", name(), class_name(),
         targets.size(), values.size(), built_ ? "" : " (the layer is not built)");
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i].shape() != targets[i].shape())
      fail("{}: expected a value of shape {}, got {}", targets[i].path(), targets[i].shape(),
           values[i].shape());
  for (std::size_t i = 0; i < values.size(); ++i) targets[i].assign(values[i]);
}

std::int64_t Layer::count_params() const {
  std::int64_t count = 0;
  for (const Weight& weight : weights()) count += weight.numel();
  return count;
}

void Layer::set_trainable(bool trainable) {
  trainable_ = trainable;
  for (Weight& weight : weights_) weight.set_trainable(trainable);
  for (Layer* layer : sublayers_) layer->set_trainable(trainable);
}

void Layer::set_dtype(DType dtype) {
  NoGradient scope;
  dtype_ = dtype;
  for (auto* list : {&weights_, &fixed_weights_})
    for (Weight& weight : *list)
      if (weight.value().dtype() != dtype) weight.replace(weight.value().astype(dtype));
  for (Layer* layer : sublayers_) layer->set_dtype(dtype);
}

// --- looking inside

Tensor Layer::name(std::string_view label, const Tensor& value) const {
  if (current_capture != nullptr) current_capture->put(name() + "/" + std::string(label), value);
  return value;
}

void Layer::name_output(const Layer& layer, const Tensor& output) {
  if (current_capture != nullptr) current_capture->put(layer.name(), output);
}

Capture::Capture() : outer_(std::exchange(current_capture, this)) {}
Capture::~Capture() { current_capture = outer_; }

}  // namespace keratin
