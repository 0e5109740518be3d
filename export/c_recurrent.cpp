// Recurrent layers.

#include <algorithm>

#include <keratin/export/internal/c_recurrent.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* How a recurrent layer goes over its steps. */
typedef struct {
  int steps, features, units;
  int backwards;   /* from the last step to the first */
  int sequences;   /* gives the output of each step, in that order, and not of the last one alone */
  int zero_masked; /* gives 0 for a masked step, and not what came before it */
} sequence;

/* Gives the output of step number s. */
static float* give(sequence q, int s, int counts, const float* h, float* y) {
  if (!q.sequences && s + 1 < q.steps) return y;
  for (int j = 0; j < q.units; ++j) y[j] = counts || !q.zero_masked ? h[j] : 0.0f;
  return y + q.units;
}

/* z = x K + h U + b for the gates i, f, c, o; c' = f c + i g(z_c); h' = o g(c'). h and c are the
   states before the first step, then those after the last; z has room for all gates. */
static void lstm(const float* x, const unsigned char* mask, sequence q, const float* kernel,
                 const float* recurrent_kernel, const float* bias, activation g, activation sigma,
                 float* z, float* h, float* c, float* y) {
  const int n = q.units;
  for (int s = 0; s < q.steps; ++s) {
    const int t = q.backwards ? q.steps - 1 - s : s, counts = !mask || mask[t];
    if (counts) {
      set_bias(bias, 4 * n, z);
      add_product(x + t * q.features, q.features, kernel, 4 * n, 4 * n, z);
      add_product(h, n, recurrent_kernel, 4 * n, 4 * n, z);
      sigma(z, 2, n);
      g(z + 2 * n, 1, n);
      sigma(z + 3 * n, 1, n);
      for (int j = 0; j < n; ++j) c[j] = z[n + j] * c[j] + z[j] * z[2 * n + j];
      copy(c, n, z);
      g(z, 1, n);
      for (int j = 0; j < n; ++j) h[j] = z[3 * n + j] * z[j];
    }
    y = give(q, s, counts, h, y);
  }
}

/* For the gates z, r, h: z = sigma(x K_z + h U_z), r likewise, and the candidate is
   g(x K_h + r (h U_h)), or g(x K_h + (r h) U_h) where the reset gate acts before the product;
   h' = z h + (1 - z) candidate. The bias has a row for h U in the first case. */
static void gru(const float* x, const unsigned char* mask, sequence q, int reset_after,
                const float* kernel, const float* recurrent_kernel, const float* bias, activation g,
                activation sigma, float* z, float* u, float* h, float* y) {
  const int n = q.units;
  for (int s = 0; s < q.steps; ++s) {
    const int t = q.backwards ? q.steps - 1 - s : s, counts = !mask || mask[t];
    if (counts) {
      set_bias(bias, 3 * n, z);
      add_product(x + t * q.features, q.features, kernel, 3 * n, 3 * n, z);
      if (reset_after) {
        set_bias(bias ? bias + 3 * n : bias, 3 * n, u);
        add_product(h, n, recurrent_kernel, 3 * n, 3 * n, u);
        for (int j = 0; j < 2 * n; ++j) z[j] += u[j];
        sigma(z, 2, n);
        for (int j = 2 * n; j < 3 * n; ++j) z[j] += z[j - n] * u[j];
      } else {
        add_product(h, n, recurrent_kernel, 3 * n, 2 * n, z);
        sigma(z, 2, n);
        for (int j = 0; j < n; ++j) u[j] = z[n + j] * h[j];
        add_product(u, n, recurrent_kernel + 2 * n, 3 * n, n, z + 2 * n);
      }
      g(z + 2 * n, 1, n);
      for (int j = 0; j < n; ++j) h[j] = z[j] * h[j] + (1.0f - z[j]) * z[2 * n + j];
    }
    y = give(q, s, counts, h, y);
  }
}

/* h' = g(x K + h U + b) */
static void simple_rnn(const float* x, const unsigned char* mask, sequence q, const float* kernel,
                       const float* recurrent_kernel, const float* bias, activation g, float* z,
                       float* h, float* y) {
  const int n = q.units;
  for (int s = 0; s < q.steps; ++s) {
    const int t = q.backwards ? q.steps - 1 - s : s, counts = !mask || mask[t];
    if (counts) {
      set_bias(bias, n, z);
      add_product(x + t * q.features, q.features, kernel, n, n, z);
      add_product(h, n, recurrent_kernel, n, n, z);
      g(z, 1, n);
      copy(z, n, h);
    }
    y = give(q, s, counts, h, y);
  }
}

static void reverse_flags(const unsigned char* x, int steps, unsigned char* y) {
  for (int t = 0; t < steps; ++t) y[t] = x[steps - 1 - t];
}

/* The last step first. */
static void reverse(const float* x, int steps, int n, float* y) {
  for (int t = 0; t < steps; ++t) copy(x + (steps - 1 - t) * n, n, y + t * n);
}
)c";

std::size_t states_of(const Layer& cell) { return cell.class_name() == "LSTMCell" ? 2 : 1; }

Run run_cell(Writer& w, const Layer& cell, const Array& x, const std::string& mask,
             const Loop& loop, const std::vector<Array>& initial) {
  const std::string kind = cell.class_name();
  if (kind != "LSTMCell" && kind != "GRUCell" && kind != "SimpleRNNCell")
    fail("its cell is a {}, which is not exported", kind);
  const Config config = cell.get_config();
  const auto units = option<std::int64_t>(config, "units");

  const std::vector<Array> states = initial_states(w, states_of(cell), {units}, initial);
  const std::string kernel = w.weight(cell, "kernel"),
                    recurrent = w.weight(cell, "recurrent_kernel"), bias = w.weight(cell, "bias");
  Array y = w.numbers("out", loop.sequences ? Sizes{x.shape[0], units} : Sizes{units});
  const std::string q = sequence_of(w, x, units, loop);
  const std::string g = activation_function(config, "activation");
  auto sigma = [&] { return activation_function(config, "recurrent_activation"); };
  if (kind == "LSTMCell") {
    const Array z = w.numbers("gates", {4 * units});
    w.call("lstm", x, mask, q, kernel, recurrent, bias, g, sigma(), z, states[0], states[1], y);
  } else if (kind == "GRUCell") {
    const Array z = w.numbers("gates", {3 * units}), u = w.numbers("recurrent", {3 * units});
    w.call("gru", x, mask, q, option<bool>(config, "reset_after"), kernel, recurrent, bias, g,
           sigma(), z, u, states[0], y);
  } else {
    const Array z = w.numbers("gates", {units});
    w.call("simple_rnn", x, mask, q, kernel, recurrent, bias, g, z, states[0], y);
  }
  return {y, states};
}

/// A recurrent layer. One cell after the other goes over all steps, those after the first in the
/// order of the first one's outputs.
Run run(Writer& w, const Layer& layer, const Value& in, const std::vector<Array>& initial) {
  const Config config = layer.get_config();
  if (option<bool>(config, "stateful")) fail("a layer that is stateful is not exported");
  const bool backwards = option<bool>(config, "go_backwards");
  const Loop last{backwards, option<bool>(config, "return_sequences"),
                  option<bool>(config, "zero_output_for_mask")};
  if (layer.class_name().starts_with("ConvLSTM"))
    return run_conv_lstm(w, layer, in.numbers, mask_of_steps(in), last, initial);
  Loop loop{backwards, true, false};
  const Layer& cell = *layer.sublayers().at(0);
  std::vector<const Layer*> cells;
  if (cell.class_name() == "StackedRNNCells")
    for (const AnyLayer& one : cell.sublayers()) cells.push_back(&*one);
  else
    cells.push_back(&cell);

  std::string mask = mask_of_steps(in);
  std::optional<Array> reversed;
  Run result{in.numbers, {}};
  auto next = initial.begin();
  for (const Layer* one : cells) {
    if (one == cells.back()) loop = {loop.backwards, last.sequences, last.zero_masked};
    std::vector<Array> states;
    for (std::size_t i = 0; i < states_of(*one) && next != initial.end(); ++i)
      states.push_back(*next++);
    const Run made = run_cell(w, *one, result.y, mask, loop, states);
    result.y = made.y;
    result.states.insert(result.states.end(), made.states.begin(), made.states.end());
    if (loop.backwards && in.mask && one != cells.back()) {
      reversed = w.flags("reversed_mask", in.mask->shape);
      w.call("reverse_flags", *in.mask, in.mask->shape[0], *reversed);
      mask = reversed->text;
    }
    loop.backwards = false;
  }
  return result;
}

std::vector<Array> arrays_of(const Values& in, std::size_t from, std::size_t to) {
  std::vector<Array> list;
  for (std::size_t i = from; i < std::min(to, in.size()); ++i) list.push_back(in[i].numbers);
  return list;
}

Values emit_rnn(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  Run result = run(w, layer, in[0], arrays_of(in, 1, in.size()));
  Values out{{result.y}};
  if (option<bool>(config, "return_sequences")) out[0].mask = in[0].mask;
  if (option<bool>(config, "return_state"))
    for (const Array& state : result.states) out.push_back({state});
  return out;
}

// The backward layer's outputs come in the order in which it made them: last step first.
Values emit_bidirectional(Writer& w, const Layer& layer, const Values& in) {
  const Config config = layer.get_config();
  const Layer &forward = *layer.sublayers().at(0), &backward = *layer.sublayers().at(1);
  const Config loop = forward.get_config();
  const bool sequences = option<bool>(loop, "return_sequences");
  const std::size_t states = (in.size() - 1) / 2;
  const std::string path = w.path;
  w.path = path + "_forward";
  const Run f = run(w, forward, in[0], arrays_of(in, 1, 1 + states));
  w.path = path + "_backward";
  Run b = run(w, backward, in[0], arrays_of(in, 1 + states, in.size()));
  if (sequences) {
    const Array made = b.y;
    b.y = w.numbers("reversed", made.shape);
    w.call("reverse", made, made.shape[0], product(made.shape, 1, made.shape.size()), b.y);
  }
  w.path = path;

  const Option* mode = find_option(config, "merge_mode");
  Values out;
  if (mode->is_none()) {
    out = {{f.y}, {b.y}};
  } else if (text_of(*mode) == text_of(Option("concat"))) {
    Sizes shape = f.y.shape;
    const std::int64_t n = f.y.shape.back().most, m = b.y.shape.back().most;
    shape.back() = n + m;
    Array y = w.numbers("out", shape);
    w.call("copy_rows", f.y, rows_of(shape), n, n + m, y);
    w.call("copy_rows", b.y, rows_of(shape), m, n + m, y.text + " + " + std::to_string(n));
    out = {{y}};
  } else {
    Array y = copied(w, f.y, "out");
    const std::string name = option<std::string>(config, "merge_mode");
    w.call(name == "mul" ? "multiply" : "add", b.y, product(y.shape), y);
    if (name == "ave") w.call("divide", w.literal(2), product(y.shape), y);
    out = {{y}};
  }
  if (sequences)
    for (Value& value : out) value.mask = in[0].mask;
  if (option<bool>(loop, "return_state"))
    for (const Run* each : {&f, static_cast<const Run*>(&b)})
      for (const Array& state : each->states) out.push_back({state});
  return out;
}

}  // namespace

std::string sequence_of(Writer& w, const Array& x, const Size& units, const Loop& loop) {
  const std::string name = w.unique(identifier(w.path) + "_sequence");
  w.line(fmt::format("const sequence {} = {{{}, {}, {}, {:d}, {:d}, {:d}}};", name, x.shape[0].text,
                     product(x.shape, 1, x.shape.size()).text, units.text, loop.backwards,
                     loop.sequences, loop.zero_masked));
  return name;
}

std::vector<Array> initial_states(Writer& w, std::size_t count, const Sizes& shape,
                                  const std::vector<Array>& initial) {
  std::vector<Array> states;
  for (std::size_t i = 0; i < count; ++i) {
    states.push_back(w.numbers(i == 0 ? "h" : "c", shape));
    if (initial.empty())
      w.call("fill", w.literal(0), product(shape), states.back());
    else
      w.call("copy", initial.at(i), product(shape), states.back());
  }
  return states;
}

Part recurrent_part() {
  return {functions,
          {{"LSTM", emit_rnn, true},
           {"GRU", emit_rnn, true},
           {"SimpleRNN", emit_rnn, true},
           {"RNN", emit_rnn, true},
           {"ConvLSTM1D", emit_rnn, true},
           {"ConvLSTM2D", emit_rnn, true},
           {"ConvLSTM3D", emit_rnn, true},
           {"Bidirectional", emit_bidirectional, true}}};
}

}  // namespace keratin::c_export
