#include <cmath>
#include <string>
#include <utility>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/internal/message.h>
#include <keratin/training/internal/diagnosis.h>
#include <keratin/training/model.h>

namespace keratin {
namespace {

bool all_finite(const Tensor& t) {
  NoGradient scope;
  return !is_floating(t.dtype()) || all(isfinite(t)).item() != 0;
}

// Remembers the first op whose output is not finite, and the largest number seen before it.
class FirstBadOp : public OpWatcher {
 public:
  FirstBadOp() : record_(*recording) { record_.watcher = this; }
  ~FirstBadOp() override { record_.watcher = nullptr; }

  void saw(const char* op, const char* layer, std::span<const Tensor> outputs) override {
    if (!op_.empty()) return;
    NoGradient quiet;
    for (const Tensor& output : outputs) {
      if (!all_finite(output)) {
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

// "x: sample 3 holds NaN or inf"
std::string bad_sample(const char* name, const Tensor& t) {
  if (all_finite(t)) return "";
  for (std::int64_t i = 0; i < t.size(0); ++i)
    if (!all_finite(t[i]))
      return fmt::format("sample {} of {} in this batch is not finite", i, name);
  return "";
}

}  // namespace

void fail_not_finite(Model& model, const Tensor& x, const Tensor& y, double loss, int epoch,
                     int batch) {
  std::string cause;
  for (const Weight& weight : model.weights())
    if (cause.empty() && !all_finite(weight))
      cause = fmt::format("{} holds NaN or inf since a step before", weight.path());
  if (cause.empty()) cause = bad_sample("x", x);
  if (cause.empty()) cause = bad_sample("y", y);
  if (cause.empty()) {
    GradientTape tape;
    FirstBadOp watcher;
    model.total_loss(x, y, {.training = true});
    cause = watcher.text();
  }
  std::string when = epoch < 0 ? "" : fmt::format(" in epoch {}, batch {}", epoch + 1, batch + 1);
  throw std::runtime_error(fmt::format(
      "{} ({}): loss became {}{}: {}. The weights are those of the step before.", model.name(),
      model.class_name(), std::isnan(loss) ? "NaN" : "infinite", when, cause));
}

}  // namespace keratin
