#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/layers/internal/cut_batch.h>

namespace keratin {

thread_local bool in_part = false;

namespace {

/// f(0), ..., f(count - 1) at the same time; what the first of them threw that did.
template <class F>
std::exception_ptr each(std::size_t count, const F& f) {
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

void rethrow(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

bool is_followed(const Tensor& x) { return follows({&x, 1}); }

bool same_tensor(const Tensor& a, const Tensor& b) {
  return &TensorData::of(a) == &TensorData::of(b);
}

struct Leaving {
  std::optional<WanderingTape>& tape;
  ~Leaving() {
    if (tape) tape->leave();
  }
};

}  // namespace

// --- a part

Part::~Part() {
  WithLists memory(lists);
  forget();
  drop_gradients();
}

Tensor Part::rows_of(const Tensor& x) const {
  NoGradient scope;
  return x.defined() ? slice(x, {range(begin, end)}) : x;
}

Tensor Part::rows_of(const Tensor& x, Tensor Repetition::*place) const {
  Tensor rows = rows_of(x);
  if (repetition == nullptr) return rows;
  Tensor& copy = (*repetition).*place;
  if (!copy.defined()) {
    WithLists none(nullptr);  // not of the memory that is to be given back
    copy = empty(rows.shape(), rows.dtype());
  }
  return copy.assign(rows);
}

void Part::forward(const MaskedFunction& f, const Tensor& mask, std::span<const Tensor> followed) {
  Swap<Random*> own_noise(shared_noise, noise ? &*noise : shared_noise);
  NoGradient others;
  if (!followed.empty()) tape.emplace();
  Leaving at_end{tape};
  for (const Tensor& x : followed) (*tape)->watch(x);
  KernelCalls::Noting noting(repetition ? &repetition->forward : nullptr);
  std::tie(outputs, output_mask) = f(inputs, mask);
  if (repetition == nullptr) return;
  repetition->outputs = unowned(outputs);
  repetition->masked = output_mask.defined();
}

bool Part::is_complete(std::size_t followed) const {
  return outputs.rank() > 0 && outputs.size(0) == end - begin &&
         (!tape || tape->watched() == followed);
}

void Part::backward(const Tensor& output_gradient, const std::vector<Tensor>& wanted, bool last) {
  KernelCalls::Noting noting(repetition ? &repetition->backward : nullptr);
  {
    tape->join();
    Leaving at_end{tape};
    gradients = tape->gradient_sums(outputs, wanted, output_gradient, last, places);
  }
  std::int64_t products = 0;
  for (const GradientSum& sum : gradients.sums) products += sum.waiting();
  waits = products > small_products;
  if (!waits)
    for (std::size_t k = 0; k < places.size(); ++k) gradients[k].write_into(places[k]);
  if (last) forget();
}

void Part::drop_gradients() {
  WithLists memory(lists);
  gradients = {};
  places.clear();
}

void Part::forget() {
  tape.reset();
  inputs = outputs = output_mask = {};
}

// --- the batch

CutBatch::CutBatch(int parts, const Tensor& inputs, std::span<const Weight> weights, bool kept)
    : parts_(static_cast<std::size_t>(parts)), follows_inputs_(is_followed(inputs)) {
  if (follows_inputs_) followed_.push_back(inputs);
  for (const Weight& weight : weights) {
    auto is_this = [&](const Tensor& other) { return same_tensor(other, weight.value()); };
    if (is_followed(weight.value()) && std::ranges::none_of(followed_, is_this))
      followed_.push_back(weight.value());  // layers may share a weight
  }
  kept = kept && !followed_.empty() && !follows_inputs_;
  if (kept) {
    repeats_ = Repeats::perhaps;
    inputs_shape_ = inputs.shape();
    inputs_dtype_ = inputs.dtype();
    for (const Weight& weight : weights)
      weights_.push_back({weight.value(), is_followed(weight.value())});
  }
  for (int p = 0; p < parts; ++p) {
    Part& part = parts_[static_cast<std::size_t>(p)];
    part.begin = inputs.size(0) * p / parts;
    part.end = inputs.size(0) * (p + 1) / parts;
    if (kept) part.repetition = std::make_unique<Part::Repetition>();
    part.lists = kept ? part.repetition->lists.get() : lists_for_part(static_cast<std::size_t>(p));
    WithLists memory(part.lists);
    part.inputs = part.rows_of(inputs, &Part::Repetition::inputs);
  }
}

void CutBatch::seed(Random& random) {
  std::uint64_t first = random.next_seed();
  for (Part& part : parts_) part.noise.emplace(first++);
}

bool CutBatch::forward(const MaskedFunction& f, const Tensor& mask,
                       std::pair<Tensor, Tensor>& result) {
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

/// The gradients that somebody wants, and where in a row those of the weights lie.
struct CutBatch::Wanted {
  std::vector<std::uint32_t> numbers;
  std::vector<std::int64_t> begins{0};
  std::vector<Shape> shapes;

  /// Those that `backward` wants; all, if it is null.
  Wanted(const CutBatch& batch, const Backward* backward) {
    for (std::uint32_t i = 0; i < batch.followed_.size(); ++i) {
      if (backward != nullptr && !backward->wants(i)) continue;
      numbers.push_back(i);
      shapes.push_back(batch.followed_[i].shape());
      begins.push_back(begins.back() + (batch.is_inputs(i) ? 0 : shapes.back().numel()));
    }
  }
  std::size_t size() const { return numbers.size(); }
  Tensor gradient_in(const Tensor& row, std::size_t k) const {
    return reshape(slice(row, {range(begins[k], begins[k + 1])}), shapes[k]);
  }
};

void CutBatch::backward(Backward& backward) {
  if (repeats()) return repeat_backward(backward);
  const Wanted wanted(*this, &backward);
  const Tensor& output_gradient = backward.output_gradient(0);
  // A row for each part, to be summed in their order.
  Tensor partial = empty({static_cast<std::int64_t>(parts_.size()), wanted.begins.back()},
                         followed_.back().dtype());
  Tensor inputs_gradient =
      follows_inputs_ ? empty(followed_[0].shape(), followed_[0].dtype()) : Tensor();
  if (may_repeat()) partial_ = partial;

  rethrow(each_part([&](Part& part) {
    part.drop_gradients();  // of a pass that failed
    Tensor row = partial[&part - parts_.data()];
    std::vector<Tensor> all = followed_by(part), x;
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      std::uint32_t i = wanted.numbers[k];
      x.push_back(all[i]);
      part.places.push_back(is_inputs(i) ? part.rows_of(inputs_gradient)
                                         : wanted.gradient_in(row, k));
    }
    part.backward(part.rows_of(output_gradient, &Part::Repetition::output_gradient), x,
                  backward.is_last());
  }));
  // The products that wait are small pieces for whoever has nothing to do.
  bool some_wait = std::ranges::any_of(parts_, [](const Part& part) { return part.waits; });
  if (some_wait)
    rethrow(each(parts_.size() * wanted.size(), [&](std::size_t i) {
      std::size_t p = i / wanted.size(), k = i % wanted.size();
      parts_[p].gradients[k].write_into(parts_[p].places[k]);
    }));
  for (Part& part : parts_) part.drop_gradients();
  give(backward, wanted, partial, inputs_gradient);
  if (may_repeat()) decide(backward.is_last() && !some_wait && wanted.size() == followed_.size());
}

void CutBatch::give(Backward& backward, const Wanted& wanted, const Tensor& partial,
                    const Tensor& inputs_gradient) const {
  Tensor total = sum(partial, 0);
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    std::uint32_t i = wanted.numbers[k];
    backward.give(i, is_inputs(i) ? inputs_gradient : wanted.gradient_in(total, k));
  }
}

std::vector<Tensor> CutBatch::followed_by(const Part& part) const {
  std::vector<Tensor> all = followed_;
  if (follows_inputs_) all[0] = part.inputs;
  return all;
}

template <class F>
std::exception_ptr CutBatch::each_part(const F& f) {
  return each(parts_.size(), [&](std::size_t p) {
    Swap<bool> here(in_part, true);
    WithLists memory(parts_[p].lists);
    f(parts_[p]);
  });
}

// --- once more

bool CutBatch::fits(int parts, const Tensor& inputs, std::span<const Weight> weights) const {
  return static_cast<std::size_t>(parts) == parts_.size() && inputs.shape() == inputs_shape_ &&
         inputs.dtype() == inputs_dtype_ && !is_followed(inputs) &&
         std::ranges::equal(weights, weights_, [](const Weight& weight, const Known& known) {
           return same_tensor(weight.value(), known.value) &&
                  is_followed(weight.value()) == known.followed;
         });
}

void CutBatch::decide(bool may_repeat) {
  for (const Part& part : parts_) may_repeat = may_repeat && part.repetition->complete();
  repeats_ = may_repeat ? Repeats::yes : Repeats::never;
  if (may_repeat) return;
  for (Part& part : parts_) {
    part.lists = nullptr;
    part.repetition.reset();
  }
}

// From here on, nothing may be taken from the lasting lists.

Tensor CutBatch::repeat_forward(const Tensor& inputs) {
  rethrow(each(parts_.size(), [&](std::size_t p) {
    parts_[p].rows_of(inputs, &Part::Repetition::inputs);
    parts_[p].repetition->forward.run();
  }));
  went_forward_ = true;
  std::vector<Tensor> outputs;
  for (const Part& part : parts_) outputs.push_back(part.repetition->outputs);
  NoGradient scope;
  return concatenate(outputs, 0);
}

void CutBatch::repeat_backward(Backward& backward) {
  const Tensor& output_gradient = backward.output_gradient(0);
  // The backward pass writes over what it needs: another one begins with the forward pass.
  const bool again = !std::exchange(went_forward_, false);
  rethrow(each(parts_.size(), [&](std::size_t p) {
    Part::Repetition& repetition = *parts_[p].repetition;
    if (again) repetition.forward.run();
    parts_[p].rows_of(output_gradient, &Part::Repetition::output_gradient);
    repetition.backward.run();
  }));
  give(backward, Wanted(*this, nullptr), partial_, {});
}

}  // namespace keratin
