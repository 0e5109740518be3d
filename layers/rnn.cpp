#include <algorithm>

#include <keratin/autograd/internal/in_place.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/context.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/rnn.h>

namespace keratin {

RNN::RNN(const char* class_name, int units, int gates, int state_count, const RNNOptions& options)
    : units_(units), gates_(gates), state_count_(state_count), options_(options) {
  check_positive(class_name, "units", units);
  check_rate(class_name, "dropout", options.dropout);
  check_rate(class_name, "recurrent_dropout", options.recurrent_dropout);
  apply_common(*this, options);
  if (options.seed) random_.emplace(*options.seed);
}

RNNOptions& RNN::options() {
  if (built()) fail("{} ({}): its options are fixed once it is built", name(), class_name());
  return options_;
}

std::string RNN::weight_scope() const { return to_snake_case(class_name()) + "_cell"; }

bool RNN::usual_activations() const {
  return options_.activation.name() == "tanh" && options_.recurrent_activation.name() == "sigmoid";
}

void RNN::build(const Shape& input_shape) {
  if (input_shape.rank() != 3) fail("expected inputs (batch, time, features), got {}", input_shape);
  const RNNOptions& o = options_;
  kernel = add_weight("kernel", {known_last_axis(input_shape), gates_ * units_},
                      o.kernel_initializer, o.kernel_regularizer, o.kernel_constraint);
  recurrent_kernel =
      add_weight("recurrent_kernel", {units_, gates_ * units_}, o.recurrent_initializer,
                 o.recurrent_regularizer, o.recurrent_constraint);
  if (o.use_bias) make_bias();
}

void RNN::make_bias() {
  bias = add_weight("bias", {gates_ * units_}, options_.bias_initializer, options_.bias_regularizer,
                    options_.bias_constraint);
}

bool RNN::splits_batch() const {
  bool ours = is_exactly<LSTM>(*this) || is_exactly<GRU>(*this) || is_exactly<SimpleRNN>(*this);
  bool own_functions =
      options_.activation.name() == "custom" || options_.recurrent_activation.name() == "custom";
  return ours && !own_functions && !options_.stateful && !random_;
}

// --- calling

Tensor RNN::call(const Tensor& inputs) { return run(inputs, {})[0]; }

std::vector<Tensor> RNN::states(const Tensor& inputs, const std::vector<Tensor>& initial_state,
                                const CallOptions& options) {
  // By way of operator(), for the layer's name in errors and on the tape.
  struct Caller : Layer {
    RNN& rnn;
    const std::vector<Tensor>& initial;
    std::vector<Tensor> result;
    Caller(RNN& r, const std::vector<Tensor>& i) : rnn(r), initial(i) {
      set_name(r.name());
      set_dtype(r.dtype());
    }
    std::string class_name() const override { return rnn.class_name(); }
    Tensor call(const Tensor& x) override {
      rnn.ensure_built(x.shape());
      result = rnn.run(x, initial);
      return result[0];
    }
  } caller(*this, initial_state);
  caller(inputs, options);
  return caller.result;
}

// Not by trying: a stateful layer would remember the trials.
Shape RNN::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  if (input_shape.rank() != 3 || input_shape[2] != kernel.shape()[0])
    throw LayerError(fmt::format("{} ({}): expected inputs (batch, time, {}), got {}", name(),
                                 class_name(), kernel.shape()[0], input_shape));
  return options_.return_sequences ? input_shape.with(2, units_) : Shape{input_shape[0], units_};
}

Tensor RNN::compute_mask(const Tensor&, const Tensor& mask) {
  return options_.return_sequences ? mask : Tensor();
}

Tensor RNN::gates_of(const Tensor& z, int first, int count) const {
  return slice(z, {all, range(first * units_, (first + count) * units_)});
}

// All time steps in one product, time first, so that each step's rows lie together.
Tensor RNN::input_product(const Tensor& inputs, const Noise& noise) const {
  Tensor x = transpose(inputs, {1, 0, 2});
  if (!x.is_contiguous()) x = x.copy();
  Tensor b;
  if (bias.defined()) b = bias.shape().rank() == 1 ? bias.value() : bias.value()[0];
  if (noise.input.size() <= 1) {
    if (!noise.input.empty()) x = x * noise.input[0];
    return b.defined() ? linear(x, kernel, b) : dot(x, kernel);
  }
  std::vector<Tensor> parts;
  std::vector<SharedFactor> kernels;
  std::int64_t rows = x.size(0) * x.size(1), columns = gates_ * units_;
  for (int gate = 0; gate < gates_; ++gate) {
    parts.push_back(reshape(x * noise.input[gate], {rows, x.size(2)}));
    kernels.emplace_back(gates_of(kernel, gate), rows, 1);
  }
  Tensor start =
      b.defined() ? broadcast_to(b, {rows, columns}).copy() : zeros({rows, columns}, dtype());
  return reshape(add_dots_over(start, parts, kernels), {x.size(0), x.size(1), columns});
}

Tensor RNN::add_recurrent_product(const Tensor& z, const Step& s) const {
  const Tensor& h = s.states[0];
  if (s.at_rest) return z;
  if (s.noise.recurrent.empty()) return add_dot_over(z, h, s.kernel[0]);
  std::vector<Tensor> masked;
  for (int gate = 0; gate < gates_; ++gate)
    masked.push_back(multiply_into(s.masked[gate], h, s.noise.recurrent[gate]));
  return add_dots_over(z, masked, s.kernel);
}

std::vector<Tensor> RNN::run(const Tensor& inputs, const std::vector<Tensor>& initial_state) {
  Tensor wanted_place = std::exchange(output_place, Tensor());
  if (inputs.rank() != 3 || inputs.size(2) != kernel.shape()[0])
    fail("expected inputs (batch, time, {}), got {}", kernel.shape()[0], inputs.shape());
  std::int64_t batch = inputs.size(0), time = inputs.size(1);
  if (mask().defined() && mask().shape() != Shape{batch, time})
    fail("expected a mask of shape {}, got {}", Shape{batch, time}, mask().shape());

  std::vector<Tensor> states = initial_state;
  if (states.empty() && options_.stateful) states = kept_states_;
  bool at_rest = states.empty();
  if (at_rest)
    for (int i = 0; i < state_count_; ++i) states.push_back(zeros({batch, units_}, dtype()));
  if (static_cast<int>(states.size()) != state_count_)
    fail("expected {} initial states, got {}", state_count_, states.size());
  for (Tensor& state : states) {
    if (state.shape() != Shape{batch, units_})
      fail("expected a state of shape {}, got {}", Shape{batch, units_}, state.shape());
    state = state.astype(dtype());
  }

  Noise noise = draw_noise(batch, inputs.size(2));
  std::vector<Tensor> z = unstack(input_product(inputs, noise), 0), h_share(z.size());
  if (has_h_share()) {
    Shape shape{time, batch, gates_ * units_};
    h_share = unstack(bias.defined() ? broadcast_to(bias.value()[1], shape).copy()
                                     : zeros(shape, dtype()));
  }
  std::vector<Tensor> valid;  // for each step (batch, 1)
  if (mask().defined()) valid = unstack(expand_dims(mask(), -1), 1);
  // The steps' states side by side, in the order of their z: their gradient products become one,
  // and so do the outputs.
  Tensor side_by_side;
  if (options_.return_sequences || recording != nullptr) {
    Shape shape{time, batch, units_};
    bool fits =
        wanted_place.defined() && wanted_place.shape() == shape && wanted_place.dtype() == dtype();
    side_by_side = fits ? wanted_place : empty(shape, dtype());
  }
  auto place_in = [&](const Tensor& places, std::int64_t i) {
    if (!places.defined()) return empty({batch, units_}, dtype());
    auto strides = places.strides();
    return make_view(places, {batch, units_}, {strides[-2], strides[-1]}, i * strides[-3]);
  };
  std::vector<SharedFactor> factors;
  Tensor masked_side_by_side;
  if (noise.recurrent.empty()) {
    factors.emplace_back(recurrent_kernel, batch, time);
  } else {
    for (int gate = 0; gate < gates_; ++gate)
      factors.emplace_back(gates_of(recurrent_kernel, gate), batch, time);
    masked_side_by_side = empty({gates_, time, batch, units_}, dtype());
  }
  std::vector<Tensor> outputs;
  for (std::int64_t i = 0; i < time; ++i) {
    std::int64_t place = options_.go_backwards ? time - 1 - i : i;
    auto t = static_cast<std::size_t>(place);
    Tensor here = place_in(side_by_side, place);
    std::vector<Tensor> masked;
    for (std::size_t gate = 0; gate < noise.recurrent.size(); ++gate)
      masked.push_back(
          place_in(masked_side_by_side, static_cast<std::int64_t>(gate) * time + place));
    std::vector<Tensor> next =
        step({z[t], states, at_rest && i == 0, factors, noise, h_share[t], here, masked});
    // A masked step leaves the states as they were; its output is the one before, or zeros.
    if (!valid.empty()) {
      bool over = begin_together(next[0], here);  // a cell's states, which nobody else reads
      for (int s = 0; s < state_count_; ++s)
        next[s] =
            over ? where_over(valid[t], next[s], states[s]) : where(valid[t], next[s], states[s]);
    }
    states = std::move(next);
    bool needed = options_.return_sequences || i + 1 == time;
    if (!needed) continue;
    bool zero = options_.zero_output_for_mask && !valid.empty();
    outputs.push_back(zero ? where(valid[t], states[0], 0.0) : states[0]);
  }
  if (options_.stateful) {
    kept_states_.clear();
    for (const Tensor& state : states) kept_states_.push_back(stop_gradient(state).copy());
  }

  Tensor output;
  if (options_.return_sequences)
    output = outputs.empty() ? zeros({batch, 0, units_}, dtype())
                             : transpose(joined(outputs), {1, 0, 2});
  else
    output = outputs.empty() ? states[0] : outputs.back();
  states.insert(states.begin(), output);
  return states;
}

// --- dropout: masks drawn once for all steps of a call

RNN::Noise RNN::draw_noise(std::int64_t batch, std::int64_t features) {
  Noise noise;
  if (!training()) return noise;
  Random& source = random(random_ ? &*random_ : nullptr);
  // With recurrent dropout every gate has masks of its own, as Keras' implementation 1.
  int masks = options_.recurrent_dropout > 0 ? gates_ : 1;
  if (options_.dropout > 0)
    for (int gate = 0; gate < masks; ++gate)
      noise.input.push_back(dropout_mask({batch, features}, options_.dropout, dtype(), source));
  if (options_.recurrent_dropout > 0)
    for (int gate = 0; gate < masks; ++gate)
      noise.recurrent.push_back(
          dropout_mask({batch, units_}, options_.recurrent_dropout, dtype(), source));
  return noise;
}

// --- LSTM

LSTM::LSTM(int units, const RNNOptions& options) : RNN("LSTM", units, 4, 2, options) {}

void LSTM::make_bias() {
  RNN::make_bias();
  if (!options_.unit_forget_bias) return;
  Tensor values = bias.value().copy();
  slice(values, {range(units_, 2 * units_)}).assign(1.0);
  bias.assign(values);
}

std::vector<Tensor> LSTM::step(const Step& s) const {
  const Tensor& c = s.states[1];
  Tensor z = add_recurrent_product(s.z, s);
  if (usual_activations()) {
    auto next = lstm_cell_over(z, c, s.place);
    return {std::make_move_iterator(next.begin()), std::make_move_iterator(next.end())};
  }
  const auto& act = options_.activation;
  const auto& gate = options_.recurrent_activation;
  auto i = gate(gates_of(z, 0)), f = gate(gates_of(z, 1)), o = gate(gates_of(z, 3));
  auto c1 = f * c + i * act(gates_of(z, 2));
  return {o * act(c1), c1};
}

// --- GRU

GRU::GRU(int units, const RNNOptions& options) : RNN("GRU", units, 3, 1, options) {}

void GRU::make_bias() {
  if (!options_.reset_after) return RNN::make_bias();
  bias = add_weight("bias", {2, gates_ * units_}, options_.bias_initializer,
                    options_.bias_regularizer, options_.bias_constraint);
}

std::vector<Tensor> GRU::step(const Step& s) const {
  const Tensor &xz = s.z, &h = s.states[0];
  const Noise& noise = s.noise;
  const auto& act = options_.activation;
  const auto& gate = options_.recurrent_activation;
  if (options_.reset_after) {
    Tensor hz = add_recurrent_product(s.h_share, s);
    if (usual_activations()) return {gru_cell_over(xz, hz, h, s.place)};
    auto z = gate(gates_of(xz, 0) + gates_of(hz, 0));
    auto r = gate(gates_of(xz, 1) + gates_of(hz, 1));
    return {z * h + (1 - z) * act(gates_of(xz, 2) + r * gates_of(hz, 2))};
  }
  auto product = [&](const Tensor& state, int k) {
    Tensor masked = noise.recurrent.empty() ? state : state * noise.recurrent[k];
    return gates_of(xz, k) + dot(masked, gates_of(recurrent_kernel, k));
  };
  auto z = gate(product(h, 0)), r = gate(product(h, 1));
  return {z * h + (1 - z) * act(product(r * h, 2))};
}

// --- SimpleRNN

SimpleRNN::SimpleRNN(int units, const RNNOptions& options)
    : RNN("SimpleRNN", units, 1, 1, options) {}

std::vector<Tensor> SimpleRNN::step(const Step& s) const {
  return {options_.activation(add_recurrent_product(s.z, s))};
}

}  // namespace keratin
