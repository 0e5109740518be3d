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

// Steps that wait together to be looked at; the device keeps their batches until then.
constexpr std::size_t most_queued = 32;

Batch on_device_of(const Model& model, const Batch& batch) {
  const Device device = model.device();
  return {moved(batch.x, device), moved(batch.y, device), moved(batch.sample_weight, device)};
}

}  // namespace

Trainer::Trainer(Model& model) : model_(model), state_(model.compilation()) {
  if (!model.compiled())
    fail("{} ({}): compile it with a loss first", model.name(), model.class_name());
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
  record.before.emplace(model_);
  const Found found = differentiate(batch);
  finish(found.loss);
  found.loss.device().is_cpu() ? apply(found, std::move(record)) : queue(found, std::move(record));
  return logs();
}

Logs Trainer::test_step(const Batch& batch) {
  NoGradient scope;
  finish(forward(batch, /*training=*/false));
  return logs();
}

Trainer::Found Trainer::differentiate(const Batch& batch) {
  Found found;
  found.weights = model_.trainable_weights();
  const std::vector<Tensor> values(found.weights.begin(), found.weights.end());
  GradientTape tape;
  found.loss = forward(batch, /*training=*/true);
  if (!values.empty()) found.gradients = std::move(tape).gradient(found.loss, values);
  return found;
}

void Trainer::apply(const Found& found, StepRecord record) {
  const Tensor finite = full({}, 1, boolean, Device());
  check_finite(finite, {found.loss});
  check_finite(finite, found.gradients);
  if (finite.item() == 0) {
    record.before->restore();
    fail_at(std::move(record), found);
  } else if (!found.weights.empty()) {
    state_.optimizer.value()->apply(found.gradients, found.weights);
  }
}

void Trainer::queue(const Found& found, StepRecord record) {
  if (!allowed_.defined()) allowed_ = full({}, 1, boolean, found.loss.device());
  check_finite(allowed_, {found.loss});
  check_finite(allowed_, found.gradients);
  Optimizer& optimizer = *state_.optimizer.value();
  Optimizer::Counters counters = optimizer.counters();
  if (!found.weights.empty()) optimizer.apply_where(allowed_, found.gradients, found.weights);
  record.before->restore_unless(allowed_);
  const Tensor one = allowed_.astype(int32);
  done_ = done_.defined() ? done_ + one : one;
  queued_.push_back({std::move(record), std::move(counters)});
  if (queued_.size() == most_queued) settle();
}

void Trainer::settle() {
  if (queued_.empty()) return;
  const Tensor done = std::exchange(done_, Tensor());
  std::deque<Queued> steps = std::exchange(queued_, {});
  std::exception_ptr error;
  std::size_t count = 0;
  try {
    count = static_cast<std::size_t>(done.item());
  } catch (const std::invalid_argument&) {  // such as an index out of range
    error = std::current_exception();
    count = static_cast<std::size_t>(done.item());
  }
  if (count < steps.size()) {
    Queued& first = steps[count];
    state_.optimizer.value()->set_counters(first.counters);
    allowed_ = {};
    if (!error) {
      // The same again, to look at it.
      NoGradient outside;
      const LayerMemory now(model_);
      Found found;
      first.record.before->repeat_noise([&] { found = differentiate(first.record.batch); });
      now.restore();
      predicted_ = {};
      fail_at(std::move(first.record), found);
    }
  }
  if (error) std::rethrow_exception(error);
}

void Trainer::fail_at(StepRecord record, const Found& found) {
  failed_ = FailedStep{std::move(record), found.loss.item()};
  for (std::size_t i = 0; std::isfinite(failed_->loss) && i < found.gradients.size(); ++i)
    if (failed_->gradient.empty() && !is_finite(found.gradients[i]))
      failed_->gradient = found.weights[i].path();
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

Tensor Trainer::forward(const Batch& batch, bool training) {
  predicted_ = predictions_of(model_, batch.x, {.training = training});
  y_ = state_.aligned("fit", "y", batch.y);
  weight_ = batch.sample_weight;
  if (weight_.size() == 1) weight_.resize(state_.outputs.size(), weight_[0]);
  weight_ = state_.aligned("fit", "sample_weight", weight_);
  if (training && !class_weight.empty() && y_[0].defined()) {
    const Shape& p = predicted_.values[0].shape();
    weight_[0] = weights_of_classes(y_[0], p, class_weight);
    // Each label has a loss of its own.
    Tensor& y = y_[0];
    if (y.rank() > 1 && y.rank() + 1 == p.rank() && p[-1] == 1) y = expand_dims(y, -1);
  }
  losses_.clear();
  return state_.total(model_, predicted_, y_, weight_, &losses_);
}

void Trainer::finish(const Tensor& loss) {
  state_.update(predicted_, y_, weight_, loss, losses_);
  predicted_ = {};
  y_.clear();
  weight_.clear();
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
