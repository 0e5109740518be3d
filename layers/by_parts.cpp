#include <algorithm>
#include <memory>
#include <vector>

#include <keratin/autograd/internal/record.h>
#include <keratin/core/random.h>
#include <keratin/layers/internal/by_parts.h>
#include <keratin/layers/internal/cut_batch.h>

namespace keratin {
namespace {

thread_local bool may_cut = false;

std::int64_t numbers_of(std::span<const Weight> weights) {
  std::int64_t numbers = 0;
  for (const Weight& weight : weights) numbers += weight.numel();
  return numbers;
}

// Multiplications by the weights, for all samples and time steps; as many as for their gradients.
std::int64_t multiplications(const Tensor& inputs, std::span<const Weight> weights) {
  std::int64_t steps = inputs.rank() > 2 ? inputs.size(1) : 1;
  return inputs.size(0) * steps * numbers_of(weights);
}

}  // namespace

CutBatches::CutBatches() : allowed_(may_cut, true) {}

bool may_cut_batches() {
  bool alone = recording == nullptr || recording->tapes == 1;
  bool watched = current_capture != nullptr || op_watcher != nullptr || shared_noise != nullptr;
  return may_cut && !in_part && alone && !watched;
}

int parts_worth(const Tensor& inputs, std::span<const Weight> weights) {
  for (const Weight& weight : weights)
    if (weight.value().dtype() != weights[0].value().dtype()) return 1;
  // Larger kernels do as well when they are shared out one by one, among more threads than there
  // are parts; for smaller ones, what each part does again costs more than the threads gain.
  constexpr std::int64_t most_numbers = 1 << 18, least_products = 3'000'000, least_rows = 16;
  std::int64_t rows = inputs.size(0);
  if (rows < least_rows || numbers_of(weights) > most_numbers ||
      multiplications(inputs, weights) < least_products)
    return 1;
  return static_cast<int>(std::clamp<std::int64_t>(rows / 32, 2, 8));
}

std::shared_ptr<CutBatch> KeptBatch::batch_for(int parts, const Tensor& inputs,
                                               std::span<const Weight> weights) {
  // Where products wait for free threads, a step is not repeated: to note it would cost memory.
  if (multiplications(inputs, weights) > parts * small_products) return nullptr;
  if (batch_ != nullptr && batch_->fits(parts, inputs, weights)) {
    missed_ = {};
    if (batch_.use_count() > 1) return nullptr;  // a tape may still ask for its gradients
    if (batch_->repeats()) {
      tries_ = 0;
      return batch_;
    }
    if (!batch_->may_repeat()) return nullptr;
  } else if (batch_ != nullptr && std::exchange(missed_, inputs.shape()) != inputs.shape()) {
    return nullptr;  // the last batch of an epoch may be a small one
  }
  drop();
  constexpr int most_tries = 4;  // some never get as far as their gradients
  if (tries_ == most_tries) return nullptr;
  ++tries_;
  return batch_ = std::make_shared<CutBatch>(parts, inputs, weights, /*kept=*/true);
}

std::pair<Tensor, Tensor> by_parts(int parts, const MaskedFunction& f, const Tensor& inputs,
                                   const Tensor& mask, std::span<const Weight> weights,
                                   bool training, KeptBatch* kept) {
  std::shared_ptr<CutBatch> batch;
  if (kept != nullptr && recording != nullptr && !mask.defined())
    batch = kept->batch_for(parts, inputs, weights);
  if (batch == nullptr) batch = std::make_shared<CutBatch>(parts, inputs, weights, /*kept=*/false);
  if (training) batch->seed(default_random());
  std::pair<Tensor, Tensor> result;
  if (batch->repeats()) {
    result.first = batch->repeat_forward(inputs);
  } else if (!batch->forward(f, mask, result)) {
    batch.reset();
    if (kept != nullptr) kept->drop();
    return f(inputs, mask);
  }
  if (!batch->followed().empty())
    record_node("by_parts", batch->followed(), {&result.first, 1},
                [batch](Backward& backward) { batch->backward(backward); });
  return result;
}

}  // namespace keratin
