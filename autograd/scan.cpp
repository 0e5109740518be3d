// A recurrent layer over time as one op, forward and backward.
//
// The steps of a sequence depend on each other, the rows of a batch do not. So the batch is cut
// into blocks of rows, and one thread takes a block through all steps. Inside a block the tensors
// are time-major: the rows of one step lie together, and those of all steps are one matrix. The
// inputs' share of the gates is one product over all steps, and so is each weight's gradient. The
// kernels are packed once for all blocks and steps. Blocks are cut by the size of the batch alone
// and their weight gradients are added in order, so the bits do not depend on the threads.

#include <algorithm>
#include <memory>

#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/internal/scan.h>
#include <keratin/autograd/internal/scan_steps.h>
#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/parallel.h>

namespace keratin {
namespace scan {
namespace {

/// The gradients of a pass; each weight has one for each block.
struct Gradients {
  bool overwrite;  // the gradients of the gates may take the gates' memory
  Tensor y, last_h, last_c;
  Tensor x, kernel, recurrent, bias;
  Tensors states;
  Factors factors;  // transposed
};

class Scan {
 public:
  Scan(const ScanInputs& inputs, bool recorded);
  /// The outputs where all of them are wanted, then the final states.
  Tensors forward() const;
  void backward(Backward& backward) const;

 private:
  bool is(FusedCell kind) const { return cell_.is(kind); }
  void make_memory(bool recorded);
  Factors factors(bool transposed) const;
  Tensor rows_of(const Tensor& x, const Block& b) const { return rows(x, b.first, b.count); }
  Tensor time_major(const Tensor& x, const Block& b) const;
  Tensor by_step(const Tensor& x, const Block& b) const;
  Tensor bias_row(std::int64_t row) const;
  template <class F>
  void for_blocks(std::int64_t products, const F& f) const;

  void forward(const Block& b, const Factors& factors, const Tensors& results) const;
  void backward(const Block& b, std::int64_t k, const Gradients& g) const;
  void weight_gradients(const Block& b, std::int64_t k, const BlockGradients& from,
                        const Gradients& to) const;

  ScanInputs in_;
  const DType dtype_;
  const Device device_;
  const std::int64_t batch_, time_, features_, units_, gates_;
  Cell cell_;
  std::vector<Block> blocks_;
};

Scan::Scan(const ScanInputs& inputs, bool recorded)
    : in_(inputs),
      dtype_(in_.x.dtype()),
      device_(in_.x.device()),
      batch_(in_.x.size(0)),
      time_(in_.x.size(1)),
      features_(in_.x.size(2)),
      units_(in_.recurrent_kernel.size(0)),
      gates_(in_.recurrent_kernel.size(1) / units_),
      cell_{in_.cell, units_, time_, in_.initial_states.empty(), {}, zeros({}, dtype_, device_),
            {}} {
  if (in_.bias.defined()) in_.bias = contiguous(in_.bias);
  if (is(FusedCell::gru)) cell_.state_bias = bias_row(1);
  if (is(FusedCell::lstm) && in_.recurrent_dropout.empty())
    cell_.whole_kernel = in_.recurrent_kernel;
  if (in_.mask.defined()) {
    Strides s = in_.mask.strides();
    in_.mask = make_view(in_.mask, {batch_, time_, 1}, {s[0], s[1], 1});
  }
  const bool whole = batch_ < 16 || !device_.is_cpu();  // a device is not cut for threads
  blocks_.resize(whole ? 1 : std::clamp<std::size_t>(batch_ / 32, 2, 8));
  const auto blocks = static_cast<std::int64_t>(blocks_.size());
  for (std::int64_t k = 0; k < blocks; ++k) {
    Block& b = blocks_[k];
    b.first = batch_ * k / blocks;
    b.count = batch_ * (k + 1) / blocks - b.first;
    if (in_.mask.defined()) b.valid = Steps(time_major(in_.mask, b));
    for (const Tensor& mask : in_.input_dropout) b.input_masks.push_back(rows_of(mask, b));
    for (const Tensor& mask : in_.recurrent_dropout) b.recurrent_masks.push_back(rows_of(mask, b));
    if (is(FusedCell::gru_reset_before) && !b.recurrent_masks.empty()) {
      b.candidate_masks = {b.recurrent_masks.back()};
      b.recurrent_masks.pop_back();
    }
  }
  make_memory(recorded);
}

// The blocks share each piece of memory: a block, and so most often a thread, has the same part of
// it in every training step. A pass that no tape records keeps the states of all steps only where
// they are the outputs.
void Scan::make_memory(bool recorded) {
  auto give = [&](Steps Block::*part, std::int64_t columns, std::int64_t slots) {
    const Tensor all = empty({slots * batch_, columns}, dtype_, device_);
    for (Block& b : blocks_) b.*part = Steps(rows(all, slots * b.first, slots * b.count), b.count);
  };
  give(&Block::x, features_, time_);
  give(&Block::z, gates_ * units_, time_);
  give(&Block::h, units_, recorded || in_.return_sequences ? time_ + 1 : 2);
  if (is(FusedCell::gru)) give(&Block::hz, gates_ * units_, time_);
  if (is(FusedCell::gru_reset_before)) give(&Block::hz, units_, time_);
  if (is(FusedCell::lstm)) {
    give(&Block::c, units_, recorded ? time_ + 1 : 2);
    give(&Block::tanh_c, units_, recorded ? time_ : 1);
  }
}

Factors Scan::factors(bool transposed) const {
  const auto blocks = static_cast<std::int64_t>(blocks_.size()), rows = batch_ / blocks;
  const Block& b = blocks_[0];
  Factors f;
  f.kernel = Factor(in_.kernel, b.input_masks.size(), rows * time_, blocks, transposed);
  auto recurrent = [&](std::int64_t first_gate, std::int64_t end, const Tensors& masks) {
    Tensor part = columns(in_.recurrent_kernel, first_gate * units_, (end - first_gate) * units_);
    return Factor(part, masks.size(), rows, time_ * blocks, transposed);
  };
  const std::int64_t apart = is(FusedCell::gru_reset_before) ? 2 : gates_;
  f.recurrent = recurrent(0, apart, b.recurrent_masks);
  if (apart < gates_) f.candidate = recurrent(apart, gates_, b.candidate_masks);
  return f;
}

// x (batch, time, columns) for a block, as (time, rows, columns).
Tensor Scan::time_major(const Tensor& x, const Block& b) const {
  const Strides& s = x.strides();
  return make_view(x, {time_, b.count, x.size(2)}, {s[1], s[0], s[2]}, b.first * s[0]);
}

// The rows of all steps (time * rows, columns) as (time, rows, columns).
Tensor Scan::by_step(const Tensor& x, const Block& b) const {
  Shape shape{time_, b.count, x.size(1)};
  return make_view(x, shape, contiguous_strides(shape));
}

// Row 0 is the inputs' bias. A GRU with reset_after has another one, for the state's share.
Tensor Scan::bias_row(std::int64_t row) const {
  const Tensor& b = in_.bias;
  if (!b.defined() || b.rank() == 1) return b;
  return make_view(b, {b.size(1)}, {1}, row * b.size(1));
}

// f(k) for each block. `products`: how many products each step makes of its rows with both kernels.
template <class F>
void Scan::for_blocks(std::int64_t products, const F& f) const {
  // The product of all sizes need not fit int64: on meta they may be any.
  const double multiplications = static_cast<double>(products * batch_ * time_) *
                                 static_cast<double>(gates_ * units_) *
                                 static_cast<double>(features_ + units_);
  const double threads = std::min(multiplications / products_per_thread, 1e6);
  parallel_for(static_cast<std::int64_t>(blocks_.size()), static_cast<std::int64_t>(threads),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t k = begin; k < end; ++k) f(k);
               });
}

// --- forward

Tensors Scan::forward() const {
  const Factors factors = this->factors(/*transposed=*/false);
  Tensors results;
  if (in_.return_sequences) results.push_back(empty({batch_, time_, units_}, dtype_, device_));
  for (int i = 0; i < (is(FusedCell::lstm) ? 2 : 1); ++i)
    results.push_back(empty({batch_, units_}, dtype_, device_));
  for_blocks(1, [&](std::int64_t k) { forward(blocks_[k], factors, results); });
  return results;
}

void Scan::forward(const Block& b, const Factors& factors, const Tensors& results) const {
  const Kernels& kernels = kernels_of(in_.x);
  kernels.copy(by_step(b.x.all(), b), time_major(in_.x, b));
  factors.kernel.multiply(b.z.all(), b.x.all(), bias_row(0), false, b.input_masks);
  kernels.copy(b.h.at(0), cell_.at_rest ? cell_.zero : rows_of(in_.initial_states[0], b));
  if (is(FusedCell::lstm))
    kernels.copy(b.c.at(0), cell_.at_rest ? cell_.zero : rows_of(in_.initial_states[1], b));

  for (std::int64_t t = 0; t < time_; ++t) step(cell_, b, t, factors);

  std::size_t i = 0;
  if (in_.return_sequences)
    kernels.copy(time_major(results[i++], b),
                 by_step(rows(b.h.all(), b.count, time_ * b.count), b));
  kernels.copy(rows_of(results[i++], b), b.h.at(time_));
  if (is(FusedCell::lstm)) kernels.copy(rows_of(results[i], b), b.c.at(time_));
}

// --- backward

void Scan::backward(Backward& backward) const {
  const auto blocks = static_cast<std::int64_t>(blocks_.size());
  Gradients g;
  g.overwrite = backward.is_last();
  std::uint32_t i = 0;
  if (in_.return_sequences) g.y = backward.output_gradient(i++);
  g.last_h = backward.output_gradient(i++);
  if (is(FusedCell::lstm)) g.last_c = backward.output_gradient(i);
  if (backward.wants(0)) g.x = empty(in_.x.shape(), dtype_, device_);
  g.kernel = empty({blocks, features_, gates_ * units_}, dtype_, device_);
  g.recurrent = empty({blocks, units_, gates_ * units_}, dtype_, device_);
  if (in_.bias.defined())
    g.bias =
        empty({blocks, in_.bias.numel() / (gates_ * units_), gates_ * units_}, dtype_, device_);
  for (const Tensor& state : in_.initial_states)
    g.states.push_back(empty(state.shape(), dtype_, device_));
  g.factors = factors(/*transposed=*/true);

  for_blocks(2, [&](std::int64_t k) { this->backward(blocks_[k], k, g); });

  auto total = [&](const Tensor& parts) { return blocks == 1 ? parts[0] : sum(parts, 0); };
  if (g.x.defined()) backward.add(0, g.x);
  backward.add(1, total(g.kernel));
  backward.add(2, total(g.recurrent));
  if (g.bias.defined()) backward.add(3, reshape(total(g.bias), in_.bias.shape()));
  for (std::uint32_t s = 0; s < g.states.size(); ++s) backward.add(4 + s, g.states[s]);
}

void Scan::backward(const Block& b, std::int64_t k, const Gradients& g) const {
  const Kernels& kernels = kernels_of(in_.x);
  BlockGradients own;
  auto like = [&](const Steps& gates) {
    return g.overwrite ? gates : Steps(empty(gates.all().shape(), dtype_, device_), b.count);
  };
  own.z = like(b.z);
  own.hz = is(FusedCell::gru) ? like(b.hz) : own.z;
  auto state = [&](const Tensor& given, Tensor& gradient, Tensor& past) {
    gradient = empty({b.count, units_}, dtype_, device_);
    kernels.copy(gradient, given.defined() ? rows_of(given, b) : cell_.zero);
    if (b.valid.defined()) past = empty({b.count, units_}, dtype_, device_);
  };
  state(g.last_h, own.h, own.past_h);
  if (is(FusedCell::lstm)) state(g.last_c, own.c, own.past_c);
  if (g.y.defined()) own.y = Steps(time_major(g.y, b));

  for (std::int64_t t = time_ - 1; t >= 0; --t) step_back(cell_, b, t, own, g.factors);

  if (!cell_.at_rest) {
    product_back(cell_, b, 0, own, g.factors);
    kernels.copy(rows_of(g.states[0], b), own.h);
    if (is(FusedCell::lstm)) kernels.copy(rows_of(g.states[1], b), own.c);
  }
  weight_gradients(b, k, own, g);
  if (!g.x.defined()) return;
  Tensor gx = empty(b.x.all().shape(), dtype_, device_);
  g.factors.kernel.multiply_transposed(gx, own.z.all(), false, b.input_masks);
  kernels.copy(time_major(g.x, b), by_step(gx, b));
}

// The gradients of block k, each one product over all of its steps.
void Scan::weight_gradients(const Block& b, std::int64_t k, const BlockGradients& from,
                            const Gradients& to) const {
  const Kernels& kernels = kernels_of(in_.x);
  auto part = [&](const Tensor& all) {
    return make_view(all, {all.size(1), all.size(2)}, {all.size(2), 1}, k * all.strides()[0]);
  };
  factor_gradient(part(to.kernel), b.x.all(), from.z.all(), b.input_masks);

  // If the initial state is 0, the first step adds nothing to the recurrent kernel's gradient.
  const std::int64_t skipped = cell_.at_rest ? b.count : 0, rest = time_ * b.count - skipped;
  auto recurrent = [&](std::int64_t gate, std::int64_t end, const Tensor& a, const Tensors& masks) {
    const std::int64_t begin = gate * units_, width = (end - gate) * units_;
    factor_gradient(columns(part(to.recurrent), begin, width), rows(a, skipped, rest),
                    columns(rows(from.hz.all(), skipped, rest), begin, width), masks);
  };
  const std::int64_t apart = is(FusedCell::gru_reset_before) ? 2 : gates_;
  recurrent(0, apart, b.h.all(), b.recurrent_masks);
  if (apart < gates_) recurrent(apart, gates_, b.hz.all(), b.candidate_masks);

  if (!to.bias.defined()) return;
  Tensor gbias = part(to.bias);
  kernels.reduce(Reduction::sum, rows(gbias, 0, 1), from.z.all(), 0);
  if (gbias.size(0) == 2) kernels.reduce(Reduction::sum, rows(gbias, 1, 1), from.hz.all(), 0);
}

const char* name_of(FusedCell cell) {
  if (cell == FusedCell::simple_rnn) return "simple_rnn";
  return cell == FusedCell::lstm ? "lstm" : "gru";
}

// The gradient of the definition, for a tape that records it.
void define_again(Backward& backward, const ScanInputs& in, const ScanDefinition& definition) {
  std::vector<Tensor> x{in.x, in.kernel, in.recurrent_kernel};
  if (in.bias.defined()) x.push_back(in.bias);
  x.insert(x.end(), in.initial_states.begin(), in.initial_states.end());
  GradientTape tape;
  for (const Tensor& input : x) tape.watch(input);
  std::vector<Tensor> y = definition(in), g;
  if (!in.return_sequences) y.erase(y.begin());
  for (std::uint32_t i = 0; i < y.size(); ++i) g.push_back(backward.output_gradient_or_zeros(i));
  g = tape.gradient(y, x, g);
  for (std::uint32_t i = 0, input = 0; i < g.size(); ++i, ++input) {
    if (i == 3 && !in.bias.defined()) ++input;
    backward.add(input, g[i]);
  }
}

}  // namespace
}  // namespace scan

namespace {

// The kernels of x's device take all of the inputs. Inputs on meta may meet those elsewhere.
void to_one_device(ScanInputs& in, const std::vector<Tensor>& inputs) {
  const Device device = device_of(inputs);
  if (device.is_meta()) in.x = on_device(in.x, device);
  for (const Tensor& input : inputs)
    if (input.defined() && input.device() != device && !device.is_meta())
      fail("{}: operands are on {} and on {}; move one of them with .to(...)",
           scan::name_of(in.cell), device.str(), input.device().str());
}

}  // namespace

std::vector<Tensor> run_scan(ScanInputs in, ScanDefinition definition) {
  std::vector<Tensor> inputs{in.x, in.kernel, in.recurrent_kernel, in.bias};
  inputs.insert(inputs.end(), in.initial_states.begin(), in.initial_states.end());
  to_one_device(in, inputs);
  const bool recorded = follows(inputs);
  auto pass = std::make_shared<const scan::Scan>(in, recorded);
  std::vector<Tensor> results = pass->forward();
  if (recorded) {
    std::vector<Saved> saved;
    for (const Tensor& input : inputs) saved.push_back(save(input));
    record_node(scan::name_of(in.cell), inputs, results,
                [=, definition = std::move(definition)](Backward& backward) {
                  for (const Saved& input : saved) input.check();
                  if (recording != nullptr) return scan::define_again(backward, in, definition);
                  pass->backward(backward);
                });
  }
  if (!in.return_sequences) results.insert(results.begin(), results[0]);
  return results;
}

}  // namespace keratin
