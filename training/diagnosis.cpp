#include <cmath>
#include <string>
#include <utility>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/kernels.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/training/internal/diagnosis.h>
#include <keratin/training/model.h>

namespace keratin {

namespace {

// Remembers the first op whose output is not finite, and the largest number seen before it.
class FirstBadOp : public OpWatcher {
 public:
  FirstBadOp() : record_(*recording) { record_.watcher = this; }
  ~FirstBadOp() override { record_.watcher = nullptr; }

  void saw(const char* op, const char* layer, std::span<const Tensor> outputs) override {
    if (!op_.empty()) return;
    NoGradient quiet;
    for (const Tensor& output : outputs) {
      if (!is_finite(output)) {
        op_ = op;
        layer_ = layer == nullptr ? "the loss" : layer;
        return;
      }
      if (output.numel() > 0) largest_ = std::max(largest_, max(abs(output)).item());
    }
  }
  std::string text() const {
    if (op_.empty()) return "no single op of the forward pass is to blame";
    return fmt::format("first in {}, forward, in {}; numbers before it up to {:.1e}", op_, layer_,
                       largest_);
  }

 private:
  Record& record_;
  std::string op_, layer_;
  double largest_ = 0;
};

// "sample 3 of x is not finite", by its number in the data.
std::string bad_sample(const char* name, const Tensors& arrays, const FailedStep& step) {
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    const Tensor& t = arrays[k];
    if (is_finite(t)) continue;
    std::int64_t i = 0;
    while (is_finite(t[i])) ++i;
    const std::int64_t place = step.first + i;
    const auto number =
        step.order.defined() ? static_cast<std::int64_t>(step.order[place].item()) : place;
    return fmt::format("sample {} of {}{} is not finite", number, name,
                       arrays.size() == 1 ? "" : fmt::format("[{}]", k));
  }
  return "";
}

}  // namespace

void fail_not_finite(Model& model, const FailedStep& step) {
  std::string cause;
  for (const Weight& weight : model.weights())
    if (cause.empty() && !is_finite(weight))
      cause = fmt::format("{} holds NaN or inf since a step before", weight.path());
  if (cause.empty()) cause = bad_sample("x", step.batch.x, step);
  if (cause.empty()) cause = bad_sample("y", step.batch.y, step);
  const double scaled = model.optimizer().scale_loss(full({}, step.loss)).item();
  if (cause.empty() && std::isfinite(step.loss) && !std::isfinite(scaled))
    cause = fmt::format("the loss is {:.4g}, and times its scale {}", step.loss, scaled);
  if (cause.empty() && !step.gradient.empty())
    cause = fmt::format(
        "the loss is {:.4g}, so the derivative of an op is not finite where its value is, as that "
        "of sqrt at 0",
        step.loss);
  if (cause.empty()) {
    const LayerMemory now(model);
    const LayerNoise noise = step.noise ? *step.noise : LayerNoise(model);
    noise.repeat([&] {
      GradientTape tape;
      FirstBadOp watcher;
      model.total_loss(step.batch.x, step.batch.y, {.training = true}, step.batch.sample_weight);
      cause = watcher.text();
    });
    now.restore();
  }
  std::string when =
      step.epoch < 0 ? "" : fmt::format(" in epoch {}, batch {}", step.epoch + 1, step.number + 1);
  std::string what = step.gradient.empty()
                         ? fmt::format("loss became {}", std::isnan(step.loss) ? "NaN" : "infinite")
                         : fmt::format("the gradient of {} became NaN or infinite", step.gradient);
  throw std::runtime_error(fmt::format("{} ({}): {}{}: {}. The model is that of the step before.",
                                       model.name(), model.class_name(), what, when, cause));
}

}  // namespace keratin
