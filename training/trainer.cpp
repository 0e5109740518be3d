// One training step, and what undoes it.

#include <cmath>
#include <exception>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/training/internal/diagnosis.h>
#include <keratin/training/internal/saving.h>
#include <keratin/training/internal/trainer.h>

namespace keratin {

Predictions predictions_of(Model& model, const Tensors& x, const CallOptions& options) {
  LayerLosses added;
  auto [values, masks] = model.call_with_mask(x, options);
  return {std::move(values), std::move(masks), added.values()};
}

Tensors moved(const Tensors& tensors, Device device) {
  Tensors there;
  for (const Tensor& t : tensors) there.push_back(t.defined() ? t.to(device) : t);
  return there;
}

namespace {

// Steps that may wait to be looked at; the device keeps their batches until then.
constexpr std::size_t most_queued = 64;

Batch on_device_of(const Model& model, const Batch& batch) {
  const Device device = model.device();
  return {moved(batch.x, device), moved(batch.y, device), moved(batch.sample_weight, device)};
}

/// All that must be finite for a step to be taken. A LossScaleOptimizer looks at the gradients.
Tensors loss_and_gradients(const Step& step, const Optimizer& optimizer) {
  Tensors all;
  if (!optimizer.loss_scaling()) all = step.gradients;
  all.push_back(step.loss);
  return all;
}

}  // namespace

Trainer::Trainer(const char* who, Model& model)
    : who_(who),
      model_(model),
      state_(model.compilation()),
      graphs_(model, state_.run_eagerly == false),
      metrics_in_graph_(state_.metrics_support_graph()) {
  if (!model.compiled())
    fail("{} ({}): compile it with a loss first", model.name(), model.class_name());
  check_elements(who, model);
  if (state_.run_eagerly.value_or(!state_.losses_support_graph())) graphs_.stop();
  state_.trainer = this;
}
// Steps that are still queued belong to a fit that an error has ended.
Trainer::~Trainer() {
  try {
    settle();
  } catch (const std::exception&) {
  }
  state_.trainer = nullptr;
}

Logs Trainer::train(const Batch& batch, StepRecord place) {
  FlushDenormals guard;
  record_ = std::move(place);
  return model_.train_step(on_device_of(model_, batch));
}

Logs Trainer::test(const Batch& batch) {
  FlushDenormals guard;
  NoGradient scope;
  return model_.test_step(on_device_of(model_, batch));
}

Logs Trainer::train_step(const Batch& batch) {
  NoGradient outside;  // the caller's tapes do not record the training step
  make_weights(batch.x);
  StepRecord record = record_;
  record.batch = batch;  // which a train_step of one's own may have changed
  record.noise.emplace(model_);
  const bool waits =
      model_.device().is_cpu() || state_.optimizer.value()->loss_scaling().has_value();
  waits ? take_step(std::move(record)) : queue_step(std::move(record));
  return logs();
}

Logs Trainer::test_step(const Batch& batch) {
  NoGradient scope;
  state_.update(forward(batch, /*training=*/false));
  return logs();
}

Step Trainer::differentiate(const Batch& batch) {
  const std::vector<Weight> weights = model_.trainable_weights();
  const std::vector<Tensor> values(weights.begin(), weights.end());
  GradientTape tape;
  Step step = forward(batch, /*training=*/true);
  step.weights = weights;
  const Tensor scaled = state_.optimizer.value()->scale_loss(step.loss);
  if (!values.empty()) step.gradients = std::move(tape).gradient(scaled, values);
  return step;
}

void Trainer::take_step(StepRecord record) {
  const LayerMemory before(model_);
  const Step step = differentiate(record.batch);
  state_.update(step);
  const Tensor finite = full({}, 1, boolean, step.loss.device());
  check_finite(finite, loss_and_gradients(step, **state_.optimizer));
  if (finite.item() == 0) {
    before.restore();
    fail_at(std::move(record), step);
  } else if (!step.weights.empty()) {
    state_.optimizer.value()->apply(step.gradients, step.weights);
  }
}

void Trainer::queue_step(StepRecord record) {
  prepare(model_.device());
  const Step step = graphs_.run(
      record.batch, [this](const Batch& batch) { return differentiate_on_device(batch); });
  if (!metrics_in_graph_) state_.update(step);
  Optimizer& optimizer = *state_.optimizer.value();
  Optimizer::Counters counters = optimizer.counters();
  if (!step.weights.empty()) optimizer.apply_where(allowed_, step.gradients, step.weights);
  queued_.push_back({std::move(record), std::move(counters)});
  peek();
}

// Half of the queue is looked at while the device works on the other half.
void Trainer::peek() {
  constexpr int half = most_queued / 2;
  if (queued_.size() == half) {
    const Device device = done_.device();
    if (reading_ == nullptr) reading_ = backend_of(device).make_reading(device.index);
    reading_->begin(done_);
  } else if (queued_.size() == most_queued) {
    if (reading_->value() != looked_at_ + half) return settle();
    queued_.erase(queued_.begin(), queued_.begin() + half);
    looked_at_ += half;
    reading_->begin(done_);
  }
}

// All of a step that may be part of a graph: it overwrites what it changes.
Step Trainer::differentiate_on_device(const Batch& batch) {
  const LayerMemory before(model_);
  Step step = differentiate(batch);
  if (metrics_in_graph_) state_.update(step);
  check_finite(allowed_, loss_and_gradients(step, **state_.optimizer));
  before.restore_unless(allowed_);
  done_.assign(done_ + allowed_.astype(int32));
  if (metrics_in_graph_) step = {.weights = step.weights, .gradients = step.gradients};
  return step;
}

void Trainer::prepare(Device device) {
  if (allowed_.defined() && allowed_.device() == device) return;
  settle();
  reading_.reset();
  allowed_ = full({}, 1, boolean, device);
  done_ = zeros({}, int32, device);
}

void Trainer::settle() {
  if (queued_.empty()) return;
  std::deque<Queued> steps = std::exchange(queued_, {});
  std::exception_ptr error;
  std::size_t count = 0;
  try {
    count = static_cast<std::size_t>(done_.item());
  } catch (const std::invalid_argument&) {  // such as an index out of range
    error = std::current_exception();
    count = static_cast<std::size_t>(done_.item());
  }
  done_.assign(0);
  count -= static_cast<std::size_t>(std::exchange(looked_at_, 0));
  if (count < steps.size()) {
    Queued& first = steps[count];
    state_.optimizer.value()->set_counters(first.counters);
    allowed_.assign(1);
    if (!error) {
      // The same again, to look at it.
      NoGradient outside;
      const LayerMemory now(model_);
      Step step;
      first.record.noise->repeat([&] { step = differentiate(first.record.batch); });
      now.restore();
      fail_at(std::move(first.record), step);
    }
  }
  if (error) std::rethrow_exception(error);
}

void Trainer::fail_at(StepRecord record, const Step& step) {
  failed_ = FailedStep{std::move(record), step.loss.item()};
  for (std::size_t i = 0; std::isfinite(failed_->loss) && i < step.gradients.size(); ++i)
    if (failed_->gradient.empty() && !is_finite(step.gradients[i]))
      failed_->gradient = step.weights[i].path();
}

void Trainer::snapshot(Snapshot& s) {
  settle();
  s.group("model", [&] { snapshot_layers(model_, s); });
  Optimizer& optimizer = *state_.optimizer.value();
  if (s.restores()) optimizer.build(model_.trainable_weights());
  s.group("optimizer", [&] { optimizer.snapshot(s); });
  s.group("metrics", [&] { state_.snapshot(s); });
}

// Looked at no earlier than someone asks, and no later than the metrics begin anew.
Logs Trainer::logs() {
  return Logs([this] {
    settle();
    return state_.logs();
  });
}

Logs Trainer::evaluate(Source& source, std::vector<AnyCallback>& callbacks) {
  model_.reset_metrics();
  for (AnyCallback& callback : callbacks) callback->on_test_begin();
  source.begin_epoch();
  Logs logs;
  for (int step = 0;; ++step) {
    std::optional<Batch> batch = source.next();
    if (!batch) break;
    for (AnyCallback& callback : callbacks) callback->on_test_batch_begin(step);
    logs = test(*batch);
    for (AnyCallback& callback : callbacks) callback->on_test_batch_end(step, logs);
  }
  logs = logs.map();
  for (AnyCallback& callback : callbacks) callback->on_test_end(logs);
  return logs;
}

// The parts of a model of one's own may make their weights when they are first called.
void Trainer::make_weights(const Tensors& x) {
  Shapes shapes;
  for (const Tensor& t : x) shapes.push_back(t.defined() ? t.shape() : Shape());
  model_.ensure_built(shapes);
  if (first_unbuilt(model_) == nullptr) return;
  const LayerMemory before(model_);
  model_(x);
  before.restore();
}

Step Trainer::forward(const Batch& batch, bool training) {
  Step step;
  step.predicted = predictions_of(model_, batch.x, {.training = training});
  step.y = state_.aligned(who_, "y", batch.y);
  Tensors weight = batch.sample_weight;
  if (weight.size() == 1) weight.resize(state_.outputs.size(), weight[0]);
  step.weight = state_.aligned(who_, "sample_weight", weight);
  if (training && !class_weight.empty() && step.y[0].defined()) {
    const Shape& p = step.predicted.values[0].shape();
    Tensor& y = step.y[0];
    step.weight[0] = weights_of_classes(y, p, class_weight);
    // Each label has a loss of its own.
    if (y.rank() > 1 && y.rank() + 1 == p.rank() && p[-1] == 1) y = expand_dims(y, -1);
  }
  step.loss = state_.total(model_, step.predicted, step.y, step.weight, &step.losses);
  return step;
}

// --- the steps of a model

Logs Model::train_step(const Batch& batch) {
  if (compilation().trainer == nullptr)
    fail("{} ({}): train_step is called by fit and train_on_batch", name(), class_name());
  return compilation().trainer->train_step(batch);
}
Logs Model::test_step(const Batch& batch) {
  if (compilation().trainer == nullptr)
    fail("{} ({}): test_step is called by fit, evaluate and test_on_batch", name(), class_name());
  return compilation().trainer->test_step(batch);
}
Outputs Model::predict_step(const Tensors& x) { return (*this)(x); }
void Model::reset_metrics() { compilation().reset(); }

Tensor Model::total_loss(const Arrays& x, const Arrays& y, const CallOptions& options,
                         const Arrays& sample_weight) {
  const Compiled& state = compilation();
  if (!compiled()) fail("{} ({}): compile it with a loss first", name(), class_name());
  const Predictions p =
      predictions_of(*this, in_order("total_loss", "x", x, input_names()), options);
  Tensors weight = in_order("total_loss", "sample_weight", sample_weight, output_names());
  if (weight.size() == 1) weight.resize(state.outputs.size(), weight[0]);
  return state.total(
      *this, p, state.aligned("total_loss", "y", in_order("total_loss", "y", y, output_names())),
      state.aligned("total_loss", "sample_weight", weight));
}

}  // namespace keratin
