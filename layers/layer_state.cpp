// What makes up a layer: one state for all copies of an object, its weights, and its parts.

#include <atomic>
#include <utility>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/memory.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/internal/operation.h>

namespace keratin {

// --- one layer, many objects

/// A scope in which copies of layers are new layers.
class Cloning {
 public:
  static thread_local Cloning* current;
  Cloning() : outer_(std::exchange(current, this)) {}
  ~Cloning() { current = outer_; }
  Cloning(const Cloning&) = delete;
  Cloning& operator=(const Cloning&) = delete;

  std::shared_ptr<Layer::State> state_for(const Layer& original) {
    const Layer::State& from = original.state();
    std::shared_ptr<Layer::State>& to = states_[&from];
    if (to != nullptr) return to;
    if (from.before_build.weights + from.before_build.fixed_weights > 0)
      fail("{} ({}): cannot be cloned: its weights are made in the constructor, not in build",
           original.name(), original.class_name());
    to = std::make_shared<Layer::State>();
    to->name = original.name();
    to->class_in_file = from.class_in_file;
    to->trainable = from.trainable;
    to->dtype = from.dtype;
    to->activity_regularizer = from.activity_regularizer;
    to->input_shapes = from.input_shapes;
    to->learnt = from.learnt;
    to->sublayers.assign(
        from.sublayers.begin(),
        from.sublayers.begin() + static_cast<std::ptrdiff_t>(from.before_build.sublayers));
    to->attributes = from.attributes;
    to->attributes.resize(to->sublayers.size());
    to->before_build = from.before_build;
    return to;
  }

 private:
  std::map<const Layer::State*, std::shared_ptr<Layer::State>> states_;
  Cloning* outer_;
};
thread_local Cloning* Cloning::current = nullptr;

bool cloning() { return Cloning::current != nullptr; }

void while_cloning(const std::function<void()>& f) {
  Cloning scope;
  f();
}

Layer::Layer() : state_(std::make_shared<State>()) { state_->dtype = floatx(); }
Layer::Layer(const Layer& other)
    : state_(cloning() ? Cloning::current->state_for(other) : other.state_),
      built_as_(cloning() ? 0 : other.built_as_) {}
Layer::~Layer() = default;

AnyLayer::AnyLayer(const AnyLayer& other) : layer_(other.layer_), copy_(other.copy_) {
  if (!cloning()) return;
  layer_ = copy_ == nullptr ? nullptr : copy_(*other);
  if (layer_ == nullptr)
    fail("{} ({}): cannot be cloned: it is not copyable, or was given as a pointer to a base class",
         other->name(), other->class_name());
}

Layer::State& Layer::state() const {
  if (state_ == nullptr) throw LayerError(class_name() + ": this object was moved from");
  return *state_;
}

bool Layer::built() const { return state().build != 0; }
bool Layer::being_built() const { return state().building != nullptr; }
bool Layer::trainable() const { return state().trainable; }
DType Layer::dtype() const { return state().dtype; }
const Shapes& Layer::input_shapes() const { return state().input_shapes; }
const Shape& Layer::input_shape() const {
  static const Shape unknown;
  return input_shapes().empty() ? unknown : input_shapes()[0];
}
void Layer::set_input_shape(const Shape& shape) { state().input_shapes = {shape}; }
const std::vector<AnyLayer>& Layer::sublayers() const { return state().sublayers; }

// --- building

void Layer::build(const Shape&) {}
void Layer::build(const Shapes& input_shapes) { default_build(input_shapes); }
void Layer::default_build(const Shapes& input_shapes) { build(input_shapes.at(0)); }

namespace {
std::atomic<std::uint64_t> builds{1};  // also counts those that fail
}

void Layer::ensure_built(const Shape& input_shape) { ensure_built(Shapes{input_shape}); }
void Layer::ensure_built(const Shapes& input_shapes) {
  State& s = state();
  if (s.build == 0) return make(input_shapes);
  if (built_as_ != s.build) join();
}

void Layer::make(const Shapes& input_shapes) {
  State& s = state();
  NoGradient scope;
  Shapes shapes = input_shapes;
  for (Shape& shape : shapes)
    if (shape.rank() > 0) shape[0] = None;
  const std::uint64_t number = builds++;
  State::Building progress = s.before_build;
  Swap<State::Building*> building(s.building, &progress);
  CallContext context{.outer = current_call, .layer = this};
  Swap<CallContext*> scope_of_calls(current_call, &context);
  try {
    build(shapes);
  } catch (const LayerError&) {
    s.undo(number);
    throw;
  } catch (const std::invalid_argument& error) {
    s.undo(number);
    throw LayerError(fmt::format("{} ({}): {}", name(), class_name(), error.what()));
  } catch (...) {
    s.undo(number);
    throw;
  }
  s.input_shapes = shapes;
  s.build = built_as_ = number;
  set_weight_paths(s.prefix);
  release_cached_memory();  // an initializer's float64 blocks fit nothing that comes later
}

namespace {

/// While it lives, the weights have copies of their values, which may be overwritten.
class SpareValues {
 public:
  explicit SpareValues(std::vector<Weight> weights) : weights_(std::move(weights)) {
    for (Weight& weight : weights_) {
      values_.push_back(weight.value());
      weight.replace(weight.value().copy());
    }
  }
  ~SpareValues() {
    for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i].replace(values_[i]);
  }
  SpareValues(const SpareValues&) = delete;
  SpareValues& operator=(const SpareValues&) = delete;

 private:
  std::vector<Weight> weights_;
  std::vector<Tensor> values_;
};

}  // namespace

// Another object has built the layer: this one's build is given what the layer has. What it assigns
// to the weights was assigned then.
void Layer::join() {
  State& s = state();
  NoGradient scope;
  SpareValues spare(weights());
  State::Building progress = s.before_build;
  progress.joining = true;
  Swap<State::Building*> building(s.building, &progress);
  build(s.input_shapes);
  built_as_ = s.build;
}

bool weights_come_later() {
  for (const CallContext* c = current_call; c != nullptr; c = c->outer) {
    if (c->weights_come_later) return true;
    if (c->layer != nullptr && has_own_code(*c->layer)) return false;
  }
  return false;
}

Weight Layer::add_weight(const std::string& name, const Shape& shape,
                         const Initializer& initializer, const Regularizer& regularizer,
                         const Constraint& constraint, bool trainable) {
  State& s = state();
  if (!initializer.defined())
    return add_weight(name, shape, "glorot_uniform", regularizer, constraint, trainable);
  for (std::int64_t extent : shape)
    if (extent == None) fail("weight \"{}\": the shape {} has an unknown size", name, shape);
  if (s.building == nullptr && current_call != nullptr && current_call->layer != nullptr &&
      is(*current_call->layer))
    fail("weight \"{}\": add_weight was called in call; make weights in build", name);
  std::vector<Weight>& list = trainable ? s.weights : s.fixed_weights;
  State::Building& made = s.building != nullptr ? *s.building : s.before_build;
  std::size_t& count = trainable ? made.weights : made.fixed_weights;
  if (made.joining) {
    if (count >= list.size() || list[count].name() != name || list[count].shape() != shape)
      fail("weight \"{}\" of shape {}: the layer was built without it", name, shape);
    return list[count++];
  }
  const bool on_meta = weights_come_later() || default_device().is_meta();
  Tensor value = on_meta ? zeros(shape, s.dtype, "meta") : initializer(shape, s.dtype);
  if (value.shape() != shape)
    fail("weight \"{}\": the initializer made {} for shape {}", name, value.shape(), shape);
  Weight weight(name, value.astype(s.dtype), trainable && s.trainable);
  weight.set_regularizer(regularizer.function());
  weight.set_constraint(constraint.function());
  list.push_back(weight);
  ++count;
  return weight;
}

void Layer::track(const AnyLayer& layer, const std::string& attribute) {
  State& s = state();
  State::Building& made = s.building != nullptr ? *s.building : s.before_build;
  take_place(*layer);
  if (s.owns(layer->state())) return;
  if (layer->state().contains(s)) fail("{} cannot be part of itself", name());
  if (is_floating(layer->dtype())) layer->set_dtype(s.dtype);  // an InputLayer of ids keeps its own
  if (!s.trainable) layer->set_trainable(false);
  s.sublayers.push_back(layer);
  s.attributes.push_back(attribute);
  ++made.sublayers;
  if (s.build != 0) layer->set_weight_paths(s.prefix + name() + "/");
}

// In an object that joins a built layer, parts that its build has made are those of the layer.
void Layer::take_place(Layer& layer) {
  State& s = state();
  if (s.building == nullptr || !s.building->joining) return;
  std::size_t& next = s.building->sublayers;
  if (next < s.sublayers.size() && s.sublayers[next]->is(layer)) {
    ++next;
  } else if (!s.owns(layer.state())) {
    if (next == s.sublayers.size()) fail("{}: the layer was built without it", layer.name());
    layer.state_ = s.sublayers[next++]->state_;
    layer.built_as_ = 0;
  }
}

void Layer::share_weight(const Weight& weight) {
  std::vector<Weight>& shared = state().shared;
  if (std::ranges::find(shared, weight) == shared.end()) shared.push_back(weight);
}

void Layer::replace_sublayers(const std::vector<AnyLayer>& layers) {
  const std::vector<std::string> attributes = state().attributes;
  while (!state().sublayers.empty()) untrack_last();
  for (std::size_t i = 0; i < layers.size(); ++i)
    track(layers[i], attributes.empty() ? "" : attributes[std::min(i, attributes.size() - 1)]);
}

void Layer::untrack_last() {
  State& s = state();
  s.sublayers.pop_back();
  s.attributes.pop_back();
  s.before_build.sublayers = std::min(s.before_build.sublayers, s.sublayers.size());
}

bool is_layer_of_keras(const Layer& layer) {
  return dynamic_cast<const Operation*>(&layer) == nullptr &&
         dynamic_cast<const InputLayer*>(&layer) == nullptr;
}

LayerParts::LayerParts(const Layer& layer) {
  const Layer::State& s = layer.state();
  for (const auto* list : {&s.shared, &s.weights, &s.fixed_weights})
    weights.insert(weights.end(), list->begin(), list->end());
  std::map<std::string, int> used;
  for (std::size_t i = 0; i < s.sublayers.size(); ++i) {
    const Layer& part = *s.sublayers[i];
    if (!is_layer_of_keras(part)) continue;
    std::string path = s.attributes[i];
    const bool is_list = path.empty() || path.ends_with('/');
    if (is_list) path += to_snake_case(part.class_name());
    const int number = used[path]++;
    parts.emplace_back(number == 0 ? path : fmt::format("{}_{}", path, number), &part);
  }
}

// --- weights

void Layer::set_weight_paths(const std::string& prefix) {
  State& s = state();
  s.prefix = prefix;
  const std::string path = prefix + name() + "/";
  for (auto* list : {&s.weights, &s.fixed_weights})
    for (Weight& weight : *list) weight.set_path(path + weight.name());
  for (const AnyLayer& layer : s.sublayers) layer->set_weight_paths(path);
}

const Weight* Layer::State::first_weight() const {
  for (const auto* list : {&weights, &fixed_weights})
    if (!list->empty()) return &list->front();
  for (const AnyLayer& inside : sublayers)
    if (const Weight* found = inside->state().first_weight()) return found;
  return nullptr;
}

Device Layer::device() const {
  const Weight* weight = state().first_weight();
  return weight == nullptr ? default_device() : weight->device();
}

void Layer::to(Device device) {
  for (Weight& weight : weights()) weight.replace(weight.value().to(device));
}

std::vector<Weight> Layer::weights() const {
  std::vector<const State*> states;
  state().collect(states);
  std::vector<Weight> all, shared;
  for (const State* s : states) {
    all.insert(all.end(), s->shared.begin(), s->shared.end());
    shared.insert(shared.end(), s->shared.begin(), s->shared.end());
    for (const auto* list : {&s->weights, &s->fixed_weights})
      for (const Weight& weight : *list)
        if (std::ranges::find(shared, weight) == shared.end()) all.push_back(weight);
  }
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
         targets.size(), values.size(), built() ? "" : " (the layer is not built)");
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
  State& s = state();
  s.trainable = trainable;
  for (Weight& weight : s.weights) weight.set_trainable(trainable);
  for (const AnyLayer& layer : s.sublayers) layer->set_trainable(trainable);
}

void Layer::set_dtype(DType dtype) {
  State& s = state();
  NoGradient scope;
  s.dtype = dtype;
  for (auto* list : {&s.weights, &s.fixed_weights})
    for (Weight& weight : *list)
      if (weight.value().dtype() != dtype) weight.replace(weight.value().astype(dtype));
  for (const AnyLayer& layer : s.sublayers)
    if (is_floating(layer->dtype())) layer->set_dtype(dtype);
}

LayerMemory::LayerMemory(const Layer& layer) {
  NoGradient scope;
  std::vector<const Layer::State*> states;
  layer.state().collect(states);
  for (const Layer::State* s : states) {
    for (const Weight& weight : s->fixed_weights)
      statistics_.emplace_back(weight, weight.value().copy());
    carried_.emplace_back(const_cast<Layer::State*>(s), s->carried);
  }
}

void LayerMemory::restore() const {
  NoGradient scope;
  for (auto [weight, value] : statistics_) weight.assign(value);
  for (const auto& [state, carried] : carried_) state->carried = carried;
}

void LayerMemory::restore_unless(const Tensor& kept) const {
  NoGradient scope;
  for (auto [weight, value] : statistics_) weight.assign(where(kept, weight, value));
  for (const auto& [state, carried] : carried_) {
    std::vector<Tensor>& now = state->carried;
    for (std::size_t i = 0; i < now.size(); ++i) {
      // What is not there yet stands for zeros.
      const Tensor before = i < carried.size() ? carried[i] : Tensor();
      if (now[i].defined()) now[i] = where(kept, now[i], before.defined() ? before : Tensor(0.0));
    }
  }
}

LayerNoise::LayerNoise(const Layer& layer) : default_(default_random().state()) {
  std::vector<const Layer::State*> states;
  layer.state().collect(states);
  for (const Layer::State* s : states) own_.emplace_back(const_cast<Layer::State*>(s), s->noise);
}

void LayerNoise::restore() const {
  for (const auto& [state, noise] : own_) state->noise = noise;
  default_random().set_state(default_);
}

void LayerNoise::repeat(const std::function<void()>& f) const {
  struct Restored {
    LayerNoise noise;
    ~Restored() { noise.restore(); }
  } now{*this};
  for (auto& [state, noise] : now.noise.own_) noise = state->noise;
  now.noise.default_ = default_random().state();
  restore();
  f();
}

std::vector<Random*> LayerNoise::generators() const {
  std::vector<Random*> all{&default_random()};
  for (const auto& [state, noise] : own_)
    if (state->noise) all.push_back(&*state->noise);
  return all;
}

void snapshot_layers(const Layer& layer, Snapshot& s) {
  NoGradient scope;
  std::vector<const Layer::State*> found;
  layer.state().collect(found);
  auto each_weight = [&](const auto& f) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      std::size_t number = 0;
      for (const auto* list : {&found[i]->weights, &found[i]->fixed_weights})
        for (const Weight& weight : *list)
          f(fmt::format("layer/{}/weight/{}", i, number++), weight);
    }
  };
  if (s.restores())
    each_weight([&](const std::string& name, const Weight& weight) {
      Tensor value;
      s.field(name, value);
      if (!value.defined() || value.shape() != weight.shape())
        s.refuse(fmt::format("{}: expected {}, found {}", weight.path(), weight.shape(),
                             value.defined() ? value.shape().str() : "none"));
    });
  each_weight([&](const std::string& name, Weight weight) {
    Tensor value = weight.value();
    s.field(name, value);
    if (s.restores()) weight.assign(value);
  });
  for (std::size_t i = 0; i < found.size(); ++i) {
    Layer::State& state = *const_cast<Layer::State*>(found[i]);
    s.group(fmt::format("layer/{}", i), [&] {
      s.field("carried", state.carried);
      for (Tensor& carried : state.carried)
        if (carried.defined()) carried = carried.to(layer.device());
      bool has_noise = state.noise.has_value();
      s.field("has_noise", has_noise);
      if (!has_noise) return;
      if (!state.noise) state.noise.emplace(0);
      state.noise->snapshot(s);
    });
  }
}

const Layer* first_without_graph(const Layer& layer) {
  if (!layer.supports_graph()) return &layer;
  for (const AnyLayer& inside : layer.sublayers())
    if (const Layer* found = first_without_graph(*inside)) return found;
  return nullptr;
}

const Layer* first_unbuilt(const Layer& layer) {
  if (!layer.built()) return &layer;
  for (const AnyLayer& inside : layer.sublayers())
    if (const Layer* found = first_unbuilt(*inside)) return found;
  return nullptr;
}

}  // namespace keratin
