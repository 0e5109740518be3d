// Loss: a function of y_true and y_pred, and the reduction of its values.

#include <keratin/core/internal/suggest.h>
#include <keratin/optim/internal/loss_state.h>
#include <keratin/optim/internal/loss_support.h>
#include <keratin/optim/loss.h>

namespace keratin {

namespace {

LossReduction reduction_named(const std::string& who, const std::string& name) {
  if (name == "sum_over_batch_size" || name == "mean") return LossReduction::sum_over_batch_size;
  if (name == "sum") return LossReduction::sum;
  if (name == "none" || name.empty()) return LossReduction::none;
  if (name == "mean_with_sample_weight") return LossReduction::mean_with_sample_weight;
  fail_unknown(fmt::format("{}: unknown reduction", who), name,
               {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none"});
}

/// keras/src/losses/loss.py, reduce_weighted_values.
Tensor reduce(const char* who, Tensor values, const Tensor& sample_weight, const Tensor& mask,
              LossReduction reduction) {
  Tensor weights = masked_weights(who, sample_weight, mask, values.dtype());
  if (mask.defined() && reduction == LossReduction::sum_over_batch_size) {
    // Dividing by the number of all positions then gives the mean over the valid ones.
    const Tensor valid = sum(mask.astype(boolean).astype(values.dtype()));
    weights = weights * where(equal(valid, 0), 0.0, static_cast<double>(mask.numel()) / valid);
  }
  if (weights.defined()) {
    auto [v, w] = with_weights(who, values, weights);
    values = v * w;
  }
  if (reduction == LossReduction::none || values.rank() == 0) return values;
  Tensor total = sum(values);
  if (reduction == LossReduction::sum) return total;
  // Of nothing, or where nothing counts, the mean is 0.
  if (reduction == LossReduction::mean_with_sample_weight && weights.defined()) {
    const Tensor divisor = sum(weights), none = equal(divisor, 0);
    return where(none, 0.0, total / where(none, 1.0, divisor));
  }
  const auto count = static_cast<double>(values.numel());
  return count == 0 ? where(false, total, 0.0) : total / count;
}

/// y_true and y_pred with 0 and 1 in the place of what a mask or a weight of 0 excludes: where the
/// loss of that is NaN or infinite, times 0 it would be NaN.
Pair counted_only(const char* who, const Tensor& y_true, const Tensor& y_pred,
                  const Tensor& sample_weight, const Tensor& mask) {
  Tensor weights = masked_weights(who, sample_weight, mask, float32);
  if (!weights.defined()) return {y_true, y_pred};
  Tensor counts = weights != 0;
  if (counts.device().is_cpu() && all(counts).item() != 0) return {y_true, y_pred};
  auto keep = [&](const Tensor& x, double other) {
    if (!is_floating(x.dtype())) return x;
    Tensor fitting = counts_for(x, counts);
    return fitting.defined() ? where(fitting, x, other) : x;
  };
  return {keep(y_true, 0), keep(y_pred, 1)};
}

}  // namespace

Loss::Loss(std::string name, Function function, const std::string& reduction) {
  auto state = std::make_shared<State>();
  state->reduction = reduction_named(name, reduction);
  state->name = std::move(name);
  state->function = std::move(function);
  state_ = std::move(state);
}

const Loss::State& Loss::state() const {
  if (!defined()) fail("loss: there is none; give one to compile");
  return *state_;
}

const std::string& Loss::name() const { return state().name; }
const std::string& Loss::identifier() const { return state().identifier; }
const std::string& Loss::class_name() const { return state().class_name; }
const Config& Loss::config() const { return state().config; }
bool Loss::supports_graph() const {
  return !class_name().empty() && class_name().find('>') == std::string::npos;
}

Tensor Loss::values(const Tensor& y_true, const Tensor& y_pred) const {
  auto [y, p] = squeeze_or_expand(y_true, y_pred);  // (batch) against (batch, 1), as Keras aligns
  return state().function(y, p);
}

Tensor Loss::counted(const Tensor& y_true, const Tensor& values) const {
  return state().counted ? state_->counted(y_true, values) : Tensor();
}

Tensor Loss::operator()(const Tensor& y_true, const Tensor& y_pred, const Tensor& sample_weight,
                        const Tensor& mask) const {
  auto [y, p] = counted_only(name().c_str(), y_true, y_pred, sample_weight, mask);
  Tensor v = values(y, p);
  Tensor counts = counted(y_true, v);
  if (mask.defined()) counts = counts.defined() ? logical_and(mask, counts) : mask;
  return reduce(name().c_str(), v, sample_weight, counts, state_->reduction);
}

}  // namespace keratin
