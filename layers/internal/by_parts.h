// A training step on parts of its batch at the same time.
//
// The steps of a recurrent layer depend on each other, the samples of a batch do not. So the
// kernels of such layers need not be shared out among the threads one by one: the batch is cut into
// parts, and each is taken through all of the layers, forward and backward, by one thread; large
// products that sum up weight gradients come last, as smaller pieces for whoever is free. The
// threads meet two or three times in a step, and what a part needs is in the cache of the thread at
// work. How the batch is cut depends on sizes alone, and the parts' gradients are added in their
// order, so that the result is the same for any number of threads.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>

#include <keratin/autograd/weight.h>
#include <keratin/core/tensor.h>
#include <keratin/layers/internal/context.h>

namespace keratin {

/// What layers make of inputs and their mask (undefined when there is none): outputs, and theirs.
using MaskedFunction =
    std::function<std::pair<Tensor, Tensor>(const Tensor& inputs, const Tensor& mask)>;

/// Whether this thread is in a CutBatches scope, and nobody wants to see every op.
bool may_cut_batches();

/// The parts in which to compute layers with these weights; 1 where cutting the batch would bring
/// nothing.
int parts_worth(const Tensor& inputs, std::span<const Weight> weights);

class CutBatch;

/// Where by_parts keeps a batch from one training step to the next.
class KeptBatch {
 public:
  /// What to compute such inputs with; null when it should be nothing that is kept.
  std::shared_ptr<CutBatch> batch_for(int parts, const Tensor& inputs,
                                      std::span<const Weight> weights);
  void drop() { batch_ = nullptr; }

 private:
  std::shared_ptr<CutBatch> batch_;
  int tries_ = 0;  // since one was last repeated
  Shape missed_;   // of the last inputs, when they did not fit
};

/// f(inputs, mask) of that many parts, at the same time. On the tape it is one op. `weights` are
/// those that f computes with; in training, each part has random numbers of its own. `kept` is for
/// calls with the same f: such a call repeats the one before, where that is possible, and does not
/// call f.
std::pair<Tensor, Tensor> by_parts(int parts, const MaskedFunction& f, const Tensor& inputs,
                                   const Tensor& mask, std::span<const Weight> weights,
                                   bool training, KeptBatch* kept = nullptr);

/// While it lives, models of this thread may cut their batches.
class CutBatches {
 public:
  CutBatches();

 private:
  Swap<bool> allowed_;
};

}  // namespace keratin
