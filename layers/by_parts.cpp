#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/parallel.h>
#include <keratin/core/random.h>
#include <keratin/layers/internal/by_parts.h>

namespace keratin {

thread_local bool in_part = false;

namespace {

thread_local bool may_cut = false;

/// Some samples of a batch, and what became of them.
struct Part {
  std::int64_t begin = 0, end = 0;
  Tensor inputs, outputs, output_mask;
  std::optional<Random> noise;
  std::optional<WanderingTape> tape;
  GradientSums gradients;
  std::vector<Tensor> places;  // for the gradients
  bool waits = false;          // some are still to be computed
  PoolLists* lists = nullptr;

  Part() = default;
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() {
    WithLists memory(lists);
    forget();
    drop_gradients();
  }

  Tensor rows_of(const Tensor& x) const {
    NoGradient scope;
    return x.defined() ? slice(x, {range(begin, end)}) : x;
  }

  void forward(const MaskedFunction& f, const Tensor& mask, std::span<const Tensor> followed) {
    Swap<Random*> own_noise(shared_noise, noise ? &*noise : shared_noise);
    NoGradient others;
    if (!followed.empty()) tape.emplace();
    Leaving at_end{tape};
    for (const Tensor& x : followed) (*tape)->watch(x);
    std::tie(outputs, output_mask) = f(inputs, mask);
  }

  /// Whether there is an output for each sample, and f used no trainable weight but those followed.
  bool is_complete(std::size_t followed) const {
    return outputs.rank() > 0 && outputs.size(0) == end - begin &&
           (!tape || tape->watched() == followed);
  }

  /// The gradients of `wanted`, but for products that wait when they are large.
  void backward(const Tensor& output_gradient, const std::vector<Tensor>& wanted, bool last) {
    {
      tape->join();
      Leaving at_end{tape};
      gradients = tape->gradient_sums(outputs, wanted, output_gradient, last, places);
    }
    // Small ones are sooner done than the threads have met again.
    constexpr std::int64_t small = 12 * products_per_thread;
    std::int64_t products = 0;
    for (const GradientSum& sum : gradients.sums) products += sum.waiting();
    waits = products > small;
    if (!waits) write_gradients();
    if (last) forget();
  }

  void write_gradients() {
    for (std::size_t k = 0; k < places.size(); ++k) gradients[k].write_into(places[k]);
  }

  void drop_gradients() {
    WithLists memory(lists);
    gradients = {};
    places.clear();
  }

  void forget() {
    tape.reset();
    inputs = outputs = output_mask = {};
  }

 private:
  struct Leaving {
    std::optional<WanderingTape>& tape;
    ~Leaving() {
      if (tape) tape->leave();
    }
  };
};

/// A batch cut into parts, and the op that its tape sees.
class CutBatch {
 public:
  CutBatch(int parts, const Tensor& inputs, std::span<const Weight> weights)
      : parts_(static_cast<std::size_t>(parts)) {
    for (int p = 0; p < parts; ++p) {
      Part& part = parts_[static_cast<std::size_t>(p)];
      part.begin = inputs.size(0) * p / parts;
      part.end = inputs.size(0) * (p + 1) / parts;
      part.lists = lists_for_part(static_cast<std::size_t>(p));
      WithLists memory(part.lists);
      part.inputs = part.rows_of(inputs);
    }
    follows_inputs_ = follows({&inputs, 1});
    if (follows_inputs_) followed_.push_back(inputs);
    auto known = [&](const Tensor& value) {  // layers may share a weight
      return std::ranges::any_of(followed_, [&](const Tensor& other) {
        return &TensorData::of(other) == &TensorData::of(value);
      });
    };
    for (const Weight& weight : weights)
      if (follows({&weight.value(), 1}) && !known(weight)) followed_.push_back(weight.value());
  }

  /// Random numbers of its own for each part.
  void seed(Random& random) {
    std::uint64_t first = random.next_seed();
    for (Part& part : parts_) part.noise.emplace(first++);
  }

  /// Outputs and mask. False when the batch must be computed whole: for an error that speaks of all
  /// of it, or because f does more than these parts can.
  bool forward(const MaskedFunction& f, const Tensor& mask, std::pair<Tensor, Tensor>& result) {
    std::exception_ptr error =
        each_part([&](Part& part) { part.forward(f, part.rows_of(mask), followed_by(part)); });
    if (error) return false;
    std::vector<Tensor> outputs, masks;
    for (const Part& part : parts_) {
      if (!part.is_complete(followed_.size())) return false;
      outputs.push_back(part.outputs);
      if (part.output_mask.defined()) masks.push_back(part.output_mask);
    }
    if (!masks.empty() && masks.size() != parts_.size()) return false;
    NoGradient scope;
    result = {concatenate(outputs, 0), masks.empty() ? Tensor() : concatenate(masks, 0)};
    return true;
  }

  const std::vector<Tensor>& followed() const { return followed_; }

  void backward(Backward& backward) {
    std::vector<std::uint32_t> numbers;   // of the gradients that are wanted
    std::vector<std::int64_t> begins{0};  // of the weights' among them in a row of `partial`
    for (std::uint32_t i = 0; i < followed_.size(); ++i) {
      if (!backward.wants(i)) continue;
      numbers.push_back(i);
      begins.push_back(begins.back() + (is_inputs(i) ? 0 : followed_[i].numel()));
    }
    auto gradient_in = [&](const Tensor& row, std::size_t k) {
      return reshape(slice(row, {range(begins[k], begins[k + 1])}), followed_[numbers[k]].shape());
    };
    // A row for each part, to be summed in their order.
    DType dtype = followed_.back().dtype();
    Tensor partial = empty({static_cast<std::int64_t>(parts_.size()), begins.back()}, dtype);
    Tensor inputs_gradient =
        follows_inputs_ ? empty(followed_[0].shape(), followed_[0].dtype()) : Tensor();
    const Tensor& output_gradient = backward.output_gradient(0);

    std::exception_ptr error = each_part([&](Part& part) {
      part.drop_gradients();  // of a pass that failed
      std::vector<Tensor> all = followed_by(part), wanted;
      for (std::size_t k = 0; k < numbers.size(); ++k) {
        wanted.push_back(all[numbers[k]]);
        part.places.push_back(is_inputs(numbers[k]) ? part.rows_of(inputs_gradient)
                                                    : gradient_in(partial[number_of(part)], k));
      }
      part.backward(part.rows_of(output_gradient), wanted, backward.is_last());
    });
    if (error) std::rethrow_exception(error);
    // The products that wait are small pieces for whoever has nothing to do.
    if (std::ranges::any_of(parts_, [](const Part& part) { return part.waits; }))
      error = each(parts_.size() * numbers.size(), [&](std::size_t i) {
        std::size_t p = i / numbers.size(), k = i % numbers.size();
        parts_[p].gradients[k].write_into(parts_[p].places[k]);
      });
    if (error) std::rethrow_exception(error);
    for (Part& part : parts_) part.drop_gradients();
    Tensor total = sum(partial, 0);
    for (std::size_t k = 0; k < numbers.size(); ++k)
      backward.give(numbers[k], is_inputs(numbers[k]) ? inputs_gradient : gradient_in(total, k));
  }

 private:
  bool is_inputs(std::uint32_t i) const { return follows_inputs_ && i == 0; }

  std::vector<Tensor> followed_by(const Part& part) const {
    std::vector<Tensor> all = followed_;
    if (follows_inputs_) all[0] = part.inputs;
    return all;
  }

  std::size_t number_of(const Part& part) const {
    return static_cast<std::size_t>(&part - parts_.data());
  }

  /// f(0), ..., f(count - 1) at the same time; what the first of them threw that did.
  template <class F>
  static std::exception_ptr each(std::size_t count, const F& f) {
    std::vector<std::exception_ptr> errors(count);
    auto n = static_cast<std::int64_t>(count);
    constexpr std::int64_t work = 32;  // worth waking threads for, and pieces of one call each
    parallel_for(n, work * n, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        try {
          f(i);
        } catch (...) {
          errors[i] = std::current_exception();
        }
      }
    });
    auto error = std::ranges::find_if(errors, [](const auto& e) { return e != nullptr; });
    return error == errors.end() ? nullptr : *error;
  }

  template <class F>
  std::exception_ptr each_part(const F& f) {
    return each(parts_.size(), [&](std::size_t p) {
      Swap<bool> here(in_part, true);
      WithLists memory(parts_[p].lists);
      f(parts_[p]);
    });
  }

  std::vector<Part> parts_;
  bool follows_inputs_;
  std::vector<Tensor> followed_;  // what f computes with and the tape follows
};

}  // namespace

CutBatches::CutBatches() : allowed_(may_cut, true) {}

bool may_cut_batches() {
  bool alone = recording == nullptr || recording->tapes == 1;
  bool watched = current_capture != nullptr || op_watcher != nullptr || shared_noise != nullptr;
  return may_cut && !in_part && alone && !watched;
}

int parts_worth(const Tensor& inputs, std::span<const Weight> weights) {
  std::int64_t numbers = 0;
  for (const Weight& weight : weights) {
    if (weight.value().dtype() != weights[0].value().dtype()) return 1;
    numbers += weight.numel();
  }
  // Larger kernels do as well when they are shared out one by one, among more threads than there
  // are parts; for smaller ones, what each part does again costs more than the threads gain.
  constexpr std::int64_t most_numbers = 1 << 18, least_products = 3'000'000, least_rows = 16;
  std::int64_t rows = inputs.size(0), steps = inputs.rank() > 2 ? inputs.size(1) : 1;
  if (rows < least_rows || numbers > most_numbers || rows * steps * numbers < least_products)
    return 1;
  return static_cast<int>(std::clamp<std::int64_t>(rows / 32, 2, 8));
}

std::pair<Tensor, Tensor> by_parts(int parts, const MaskedFunction& f, const Tensor& inputs,
                                   const Tensor& mask, std::span<const Weight> weights,
                                   bool training) {
  auto batch = std::make_shared<CutBatch>(parts, inputs, weights);
  if (training) batch->seed(default_random());
  std::pair<Tensor, Tensor> result;
  if (!batch->forward(f, mask, result)) {
    batch.reset();
    return f(inputs, mask);
  }
  if (!batch->followed().empty())
    record_node("by_parts", batch->followed(), {&result.first, 1},
                [batch](Backward& backward) { batch->backward(backward); });
  return result;
}

}  // namespace keratin
