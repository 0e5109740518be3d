// One training step, and what undoes it.

#include <cmath>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
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
Trainer::~Trainer() { state_.trainer = nullptr; }

Logs Trainer::train(const Batch& batch) {
  FlushDenormals guard;
  finite_ = true;
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
  const LayerMemory before(model_);
  std::vector<Weight> weights = model_.trainable_weights();
  std::vector<Tensor> values, gradients;
  for (const Weight& weight : weights) values.push_back(weight.value());
  {
    GradientTape tape;
    Tensor total = forward(batch, /*training=*/true);
    loss_ = total.item();
    if (std::isfinite(loss_) && !weights.empty())
      gradients = std::move(tape).gradient(total, values);
  }
  finish();
  bad_gradient_.clear();
  for (std::size_t i = 0; i < gradients.size() && bad_gradient_.empty(); ++i)
    if (!is_finite(gradients[i])) bad_gradient_ = weights[i].path();
  finite_ = std::isfinite(loss_) && bad_gradient_.empty();
  if (!finite_)
    before.restore();
  else if (!weights.empty())
    state_.optimizer.value()->apply(gradients, weights);
  return state_.logs();
}

Logs Trainer::test_step(const Batch& batch) {
  NoGradient scope;
  loss_ = forward(batch, /*training=*/false).item();
  finish();
  return state_.logs();
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

void Trainer::finish() {
  state_.update(predicted_, y_, weight_, loss_, losses_);
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
