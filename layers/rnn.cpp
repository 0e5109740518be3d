#include <algorithm>
#include <utility>

#include <keratin/autograd/internal/scan.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/end_of_sequence.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/rnn.h>

namespace keratin {
namespace {

// A mask with axes of size 1 behind its own, so that it fits tensors of that rank.
Tensor fitted(const Tensor& mask, int rank) {
  Shape shape = mask.shape();
  while (shape.rank() < rank) shape.push_back(1);
  return reshape(mask, shape);
}

// The definition of a recurrent layer: one step after the other. {outputs, final states} of x
// (batch, time, features...), for all steps or the last one.
Tensors loop(RNNCell& cell, const Tensor& x, Tensors states, const Tensor& mask,
             bool return_sequences) {
  Tensors steps = unstack(x, 1), outputs;
  Tensors valid = mask.defined() ? unstack(mask, 1) : Tensors();
  for (std::size_t t = 0; t < steps.size(); ++t) {
    Tensors next = cell.step(steps[t], states);
    if (next.size() != states.size() + 1)
      fail("step: expected an output and {} states, got {} tensors", states.size(), next.size());
    if (mask.defined()) {  // a masked step leaves everything as it was
      auto unless_masked = [&](const Tensor& now, const Tensor& before) {
        return where(fitted(valid[t], now.rank()), now, before);
      };
      next[0] = unless_masked(next[0], states[static_cast<std::size_t>(cell.output_state())]);
      for (std::size_t s = 0; s < states.size(); ++s)
        next[s + 1] = unless_masked(next[s + 1], states[s]);
    }
    states.assign(next.begin() + 1, next.end());
    if (return_sequences || t + 1 == steps.size()) outputs.push_back(next[0]);
  }
  Tensors result{return_sequences ? stack(outputs, 1) : outputs[0]};
  result.insert(result.end(), states.begin(), states.end());
  return result;
}

}  // namespace

/// A sequence through one of the library's cells, as one op. It does what loop does.
class FusedSequence {
 public:
  /// Whether the scan serves this cell: one of the library's own classes, with the usual
  /// activations. A derived class may override step.
  static bool takes(const RNNCell& cell, const Tensor& x) {
    const bool ours =
        is_exactly<LSTMCell>(cell) || is_exactly<GRUCell>(cell) || is_exactly<SimpleRNNCell>(cell);
    if (!ours) return false;
    const auto& c = static_cast<const GatedCell&>(cell);
    return c.options_.activation.name() == "tanh" && c.kernel.value().dtype() == x.dtype() &&
           (c.options_.recurrent_activation.name() == "sigmoid" || is_exactly<SimpleRNNCell>(cell));
  }

  static Tensors run(const AnyLayer& layer, const Tensor& x, const Tensors& initial_states,
                     const Tensor& mask, bool return_sequences) {
    const auto& cell = static_cast<const GatedCell&>(*layer);
    FusedCell kind = FusedCell::simple_rnn;
    if (is_exactly<LSTMCell>(cell)) kind = FusedCell::lstm;
    if (is_exactly<GRUCell>(cell))
      kind = cell.options_.reset_after ? FusedCell::gru : FusedCell::gru_reset_before;
    return run_scan(
        {kind, x, cell.kernel, cell.recurrent_kernel, value_of(cell.bias), initial_states, mask,
         cell.dropout_.input, cell.dropout_.recurrent, return_sequences},
        [layer](const ScanInputs& in) { return definition(static_cast<GatedCell&>(*layer), in); });
  }

 private:
  static Tensor value_of(const Weight& weight) {
    return weight.defined() ? weight.value() : Tensor();
  }

  // A tape may ask for this later, when the cell has other weights and dropout masks.
  static Tensors definition(GatedCell& cell, const ScanInputs& in) {
    Swap<GatedCell::DropoutMasks> masks(cell.dropout_, {in.input_dropout, in.recurrent_dropout});
    WithValue kernel(cell.kernel, in.kernel), recurrent(cell.recurrent_kernel, in.recurrent_kernel),
        bias(cell.bias, in.bias);
    return loop(cell, in.x,
                in.initial_states.empty() ? cell.zero_states(in.x.size(0), in.x.device())
                                          : in.initial_states,
                in.mask, in.return_sequences);
  }

  /// Puts another tensor in the place of a weight's value for a while.
  class WithValue {
   public:
    WithValue(const Weight& weight, const Tensor& value)
        : weight_(weight), before_(value_of(weight)) {
      if (weight_.defined()) weight_.replace(value);
    }
    ~WithValue() {
      if (weight_.defined()) weight_.replace(before_);
    }
    WithValue(const WithValue&) = delete;
    WithValue& operator=(const WithValue&) = delete;

   private:
    Weight weight_;
    Tensor before_;
  };
};

// --- RNN

RNN::RNN(AnyLayer cell, const RNNLoopOptions& options) : cell_(std::move(cell)), options_(options) {
  apply_common(*this, options);
  track(cell_, "cell");
}

RNNCell& RNN::cell() const { return static_cast<RNNCell&>(*cell_); }

RNNLoopOptions& RNN::options() {
  if (built()) fail("{} ({}): its options are fixed once it is built", name(), class_name());
  return options_;
}

std::vector<Field> RNN::loop_fields() {
  return {{"return_sequences", &options_.return_sequences},
          {"return_state", &options_.return_state},
          {"go_backwards", &options_.go_backwards},
          {"stateful", &options_.stateful},
          Field::without_effect("unroll", false),
          {"zero_output_for_mask", &options_.zero_output_for_mask}};
}
std::vector<Field> RNN::fields() {
  std::vector<Field> fields = loop_fields();
  fields.emplace_back("cell", &cell_);
  return fields;
}
// Keras has unit_forget_bias and the activity's regularizer in other places than its cells.
std::vector<Field> RNN::with_cell_fields() {
  std::vector<Field> fields = loop_fields(), of_cell = cell().fields();
  auto forget = std::ranges::find(of_cell, "unit_forget_bias", &Field::name);
  for (auto field = of_cell.begin(); field != of_cell.end(); ++field) {
    if (field != forget) fields.push_back(*field);
    if (field->name == "bias_initializer" && forget != of_cell.end()) fields.push_back(*forget);
    if (field->name == "bias_regularizer")
      fields.emplace_back("activity_regularizer", &activity_regularizer());
  }
  return fields;
}
// Keras's config of SimpleRNN leaves the seed out.
std::vector<Field> SimpleRNN::fields() {
  std::vector<Field> fields = with_cell_fields();
  std::erase_if(fields, [](const Field& field) { return field.name == "seed"; });
  return fields;
}

void RNN::build(const Shape& input_shape) {
  const int rank = cell().input_rank() + 1;
  if (input_shape.rank() != rank && rank == 3)
    fail("expected inputs (batch, time, features), got {}", input_shape);
  if (input_shape.rank() != rank)
    fail("expected inputs of rank {}, batch and time first, got {}", rank, input_shape);
  if (rank == 3) known_last_axis(input_shape);
  cell().ensure_built(input_shape.without(1));
}

Tensors RNN::call(const Tensors& inputs) {
  Tensors result = run(inputs[0], {inputs.begin() + 1, inputs.end()});
  if (!options_.return_state) result.resize(1);
  return result;
}

namespace {

// Whether the axes behind batch and time are the known ones.
bool fits(const Shape& input, const Shape& known) {
  bool same = input.rank() == known.rank();
  for (int i = 2; same && i < known.rank(); ++i) same = may_equal(input[i], known[i]);
  return same;
}
std::string misfit(const Shape& input, const Shape& known) {
  std::vector<std::int64_t> features(known.begin() + 2, known.end());
  return fmt::format("expected inputs (batch, time, {}), got {}", fmt::join(features, ", "), input);
}

}  // namespace

// The shape is computed and not found by a trial, because a stateful layer would remember the
// trial.
Shapes RNN::compute_output_shape(const Shapes& input_shapes) {
  ensure_built(input_shapes);
  const Shape &input = input_shapes[0], &known = input_shape();
  if (!fits(input, known))
    throw LayerError(fmt::format("{} ({}): {}", name(), class_name(), misfit(input, known)));
  const Shape output = cell().output_shape().inserted(0, input[0]);
  Shapes shapes{options_.return_sequences ? output.inserted(1, input[1]) : output};
  if (options_.return_state)
    for (const Shape& state : cell().state_shapes()) shapes.push_back(state.inserted(0, input[0]));
  return shapes;
}
Shape RNN::compute_output_shape(const Shape& input_shape) {
  return compute_output_shape(Shapes{input_shape})[0];
}

Tensors RNN::compute_mask(const Tensors&, const Tensors& masks) {
  return {options_.return_sequences ? masks[0] : Tensor()};
}

// The states before the first step; an empty list stands for zeros.
Tensors RNN::first_states(const Tensors& initial_state, std::int64_t batch) const {
  Tensors states = initial_state;
  if (std::ranges::none_of(states, &Tensor::defined)) states.clear();
  if (states.empty() && options_.stateful) states = carried();
  if (states.empty()) return states;
  const Shapes shapes = cell().state_shapes();
  if (states.size() != shapes.size())
    fail("expected {} initial states, got {}", shapes.size(), states.size());
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (!states[i].defined()) fail("initial state {} of {} is missing", i + 1, states.size());
    const Shape shape = shapes[i].inserted(0, batch);
    if (states[i].shape() != shape)
      fail("expected a state of shape {}, got {}", shape, states[i].shape());
    states[i] = states[i].astype(dtype()).to(device());
  }
  return states;
}

Tensors RNN::run(const Tensor& inputs, const Tensors& initial_state) {
  if (!fits(inputs.shape(), input_shape())) fail("{}", misfit(inputs.shape(), input_shape()));
  const std::int64_t batch = inputs.size(0), time = inputs.size(1);
  Tensor x = inputs.astype(dtype()), mask = this->mask();
  if (mask.defined()) {
    if (mask.shape() != Shape{batch, time})
      fail("expected a mask of shape {}, got {}", Shape{batch, time}, mask.shape());
    mask = mask.astype(boolean);
    x = where(fitted(mask, x.rank()), x, 0.0);  // padding may hold anything, NaN too
  }
  if (options_.go_backwards) {
    x = flip(x, 1);
    if (mask.defined()) mask = flip(mask, 1);
  }

  Tensors states = first_states(initial_state, batch), result;
  EndOfSequence end(cell());
  cell().begin_sequence(batch);
  const bool sequences = options_.return_sequences;
  if (time > 0 && FusedSequence::takes(cell(), x)) {
    result = FusedSequence::run(cell_, x, states, mask, sequences);
  } else {
    if (states.empty()) states = cell().zero_states(batch, x.device());
    if (time > 0) {
      result = loop(cell(), x, states, mask, sequences);
    } else {
      Tensor last = states[static_cast<std::size_t>(cell().output_state())];
      const Shape none = cell().output_shape().inserted(0, 0).inserted(0, batch);
      result = {sequences ? zeros(none, dtype(), x.device()) : last};
      result.insert(result.end(), states.begin(), states.end());
    }
  }
  if (mask.defined() && options_.zero_output_for_mask && time > 0)
    result[0] =
        where(fitted(sequences ? mask : slice(mask, {all, -1}), result[0].rank()), result[0], 0.0);
  if (options_.stateful) {
    carried().clear();
    for (std::size_t i = 1; i < result.size(); ++i)
      carried().push_back(stop_gradient(result[i]).copy());
  }
  return result;
}

// --- the layers with a cell of the library

namespace {

// The cell's share of the options. What is wrong with them is said of the layer.
RNNOptions of_cell(const char* layer, int units, const RNNOptions& options, const char* name) {
  RNNOptions cell = options;
  check_fields(layer, cell_fields(units, cell));
  cell.return_sequences = cell.return_state = cell.go_backwards = cell.stateful =
      cell.zero_output_for_mask = false;
  cell.name = name;
  cell.input_shape = {};
  cell.activity_regularizer = {};
  return cell;
}

RNNLoopOptions of_loop(const RNNOptions& o) {
  return {o.return_sequences,     o.return_state, o.go_backwards, o.stateful,
          o.zero_output_for_mask, o.name,         o.input_shape};
}

}  // namespace

LSTM::LSTM(int units, const RNNOptions& options)
    : RNN(LSTMCell(units, of_cell("LSTM", units, options, "lstm_cell")), of_loop(options)) {
  set_activity_regularizer(options.activity_regularizer);
}

GRU::GRU(int units, const RNNOptions& options)
    : RNN(GRUCell(units, of_cell("GRU", units, options, "gru_cell")), of_loop(options)) {
  set_activity_regularizer(options.activity_regularizer);
}

SimpleRNN::SimpleRNN(int units, const RNNOptions& options)
    : RNN(SimpleRNNCell(units, of_cell("SimpleRNN", units, options, "simple_rnn_cell")),
          of_loop(options)) {
  set_activity_regularizer(options.activity_regularizer);
}

}  // namespace keratin
