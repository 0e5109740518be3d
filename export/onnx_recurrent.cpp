// Recurrent layers. In general a Scan over time has the cell in its body, where a mask keeps the
// states of a step that is padding. ONNX's own operators stand for LSTM, GRU and SimpleRNN where
// they mean the same: float32, Keras's standard activations, and no mask, since theirs can only be
// lengths.

#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>
#include <keratin/layers/conv_lstm.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/rnn.h>
#include <keratin/layers/wrappers.h>

namespace keratin::onnx {

namespace {

// --- cells: {output, new states}

Values step(Writer& writer, const Layer& cell, const Value& x, const Values& states);

Value add_bias(const Call& cell, const Value& z, int row = 0) {
  const Value bias = cell.weight("bias");
  if (!bias.defined()) return z;
  return z + (bias.rank() == 1 ? bias : at(bias, 0, row));
}

Values lstm_step(const Call& cell, const Value& x, const Values& states) {
  const Option &sigma = cell.option("recurrent_activation"), &g = cell.option("activation");
  const Value &h = states[0], &c = states[1];
  const Value sum = matmul(x, cell.weight("kernel")) + matmul(h, cell.weight("recurrent_kernel"));
  const Values z = split(add_bias(cell, sum), 4, 1);  // i, f, c, o
  const Value c1 = activate(sigma, z[1]) * c + activate(sigma, z[0]) * activate(g, z[2]);
  const Value h1 = activate(sigma, z[3]) * activate(g, c1);
  return {h1, h1, c1};
}

Values gru_step(const Call& cell, const Value& x, const Values& states) {
  const Option &sigma = cell.option("recurrent_activation"), &g = cell.option("activation");
  const Value& h = states[0];
  const Values xz = split(add_bias(cell, matmul(x, cell.weight("kernel"))), 3, 1);  // z, r, h
  Value z, candidate;
  if (cell.flag("reset_after")) {
    const Values hz = split(add_bias(cell, matmul(h, cell.weight("recurrent_kernel")), 1), 3, 1);
    z = activate(sigma, xz[0] + hz[0]);
    candidate = activate(g, xz[2] + activate(sigma, xz[1] + hz[1]) * hz[2]);
  } else {
    const Values kernels = split(cell.weight("recurrent_kernel"), 3, 1);
    z = activate(sigma, xz[0] + matmul(h, kernels[0]));
    const Value r = activate(sigma, xz[1] + matmul(h, kernels[1]));
    candidate = activate(g, xz[2] + matmul(r * h, kernels[2]));
  }
  const Value h1 = z * h + (Value(1) - z) * candidate;
  return {h1, h1};
}

Values simple_step(const Call& cell, const Value& x, const Values& states) {
  const Value sum =
      matmul(x, cell.weight("kernel")) + matmul(states[0], cell.weight("recurrent_kernel"));
  const Value h1 = activate(cell.option("activation"), add_bias(cell, sum));
  return {h1, h1};
}

Values stacked_step(const Call& cell, const Value& x, const Values& states) {
  Values result{x};
  auto first = states.begin();
  for (const AnyLayer& layer : cell.layer.sublayers()) {
    const auto count =
        static_cast<std::ptrdiff_t>(static_cast<const RNNCell&>(*layer).state_size().size());
    const Values next = step(cell.writer, *layer, result[0], Values(first, first + count));
    result[0] = next[0];
    result.insert(result.end(), next.begin() + 1, next.end());
    first += count;
  }
  return result;
}

Values convolution_step(const Call& cell, const Value& x, const Values& states) {
  const Option &sigma = cell.option("recurrent_activation"), &g = cell.option("activation");
  auto front = [&](const Value& v) { return cell.channels_first() ? v : moveaxis(v, -1, 1); };
  auto end = [&](const Value& v) { return cell.channels_first() ? moveaxis(v, 1, -1) : v; };
  auto back = [&](const Value& v) { return cell.channels_first() ? moveaxis(v, -1, 1) : v; };
  auto list = [&](const char* name) { return cell.option<std::vector<int>>(name); };
  const auto size = list("kernel_size");
  const std::vector<int> ones(size.size(), 1);
  const Value sum =
      convolve(
          front(x), cell.weight("kernel"),
          {size, list("strides"), list("dilation_rate"), cell.option<std::string>("padding")}) +
      convolve(front(states[0]), cell.weight("recurrent_kernel"), {size, ones, ones, "same"});
  const Values z = split(add_bias(cell, moveaxis(sum, 1, -1)), 4, -1);  // i, f, c, o
  const Value c1 =
      activate(sigma, z[1]) * end(states[1]) + activate(sigma, z[0]) * activate(g, z[2]);
  const Value h1 = back(activate(sigma, z[3]) * activate(g, c1));
  return {h1, h1, back(c1)};
}

Values step(Writer& writer, const Layer& cell, const Value& x, const Values& states) {
  const std::string kind = cell.class_name();
  // That of the ConvLSTM layers is known to nobody else.
  if (kind != "ConvLSTMCell" && !is_built_in(cell))
    fail("{} is a class of one's own, of which an export knows nothing", kind);
  const Call call(writer, cell, {x}, {});
  if (kind == "LSTMCell") return lstm_step(call, x, states);
  if (kind == "GRUCell") return gru_step(call, x, states);
  if (kind == "SimpleRNNCell") return simple_step(call, x, states);
  if (kind == "StackedRNNCells") return stacked_step(call, x, states);
  if (kind == "ConvLSTMCell") return convolution_step(call, x, states);
  fail("the cell {} has no form in ONNX", kind);
}

// --- ONNX's own operators: {outputs of all steps, final states}

bool has_operator(const Layer& cell, const Value& x) {
  const std::string kind = cell.class_name();
  const bool gated = kind == "LSTMCell" || kind == "GRUCell";
  if (x.type != Type::float32 || !is_built_in(cell) || (!gated && kind != "SimpleRNNCell"))
    return false;
  const Config config = cell.get_config();
  auto is = [&](const char* option, const char* name) {
    return *find_option(config, option) == Option(name);
  };
  return is("activation", "tanh") && (!gated || is("recurrent_activation", "sigmoid"));
}

// Time comes first there, gates are rows, and an LSTM's are i, o, f, c.
Values by_operator(const Call& cell, const Value& x, const Values& states) {
  const std::string kind = cell.layer.class_name();
  const std::string op = kind == "LSTMCell" ? "LSTM" : kind == "GRUCell" ? "GRU" : "RNN";
  const int gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1;
  const std::int64_t units = cell.option<int>("units");
  auto arranged = [&](const Tensor& columns) {  // (n, gates * units) -> (1, gates * units, n)
    Tensors parts = keratin::split(columns, gates, -1);
    if (op == "LSTM") parts = {parts[0], parts[3], parts[1], parts[2]};
    return keratin::expand_dims(keratin::transpose(keratin::concatenate(parts, -1)), 0);
  };
  auto matrix = [&](const char* name) {
    return cell.constant(std::string(name) + "_rows",
                         [&] { return arranged(*cell.weight_tensor(name)); });
  };
  const Value biases = cell.constant("biases", [&] {
    const auto given = cell.weight_tensor("bias");
    Tensor both = zeros({2, gates * units}, cell.layer.dtype());
    if (given && given->rank() == 2) both = *given;
    if (given && given->rank() == 1) keratin::slice(both, {0}).assign(*given);
    return keratin::reshape(keratin::transpose(arranged(both), {0, 2, 1}).copy(),
                            {1, 2 * gates * units});
  });
  Values inputs{transpose(x, {1, 0, 2}), matrix("kernel"), matrix("recurrent_kernel"), biases};
  if (!states.empty()) {
    inputs.emplace_back();  // all sequences are of one length
    for (const Value& state : states) inputs.push_back(expand_dims(state, {0}));
  }
  Attributes attributes{{"hidden_size", units}};
  if (op == "GRU")
    attributes.emplace_back("linear_before_reset", std::int64_t{cell.flag("reset_after")});
  const Shape last{1, x.shape[0], units};
  std::vector<Shape> shapes{{x.shape[1], 1, x.shape[0], units}, last};
  if (op == "LSTM") shapes.push_back(last);
  Values results = nodes(op, inputs, shapes, x.type, attributes);
  results[0] = transpose(squeeze(results[0], {1}), {1, 0, 2});
  for (std::size_t i = 1; i < results.size(); ++i) results[i] = squeeze(results[i], {0});
  return results;
}

// --- the layers

// {outputs of all steps or of the last, final states}
Values run(Writer& writer, const RNN& rnn, const Values& inputs, const Value& given_mask) {
  const RNNLoopOptions& o = rnn.options();
  if (!is_built_in(rnn))
    fail("{} is a class of one's own, of which an export knows nothing", rnn.class_name());
  if (o.stateful) fail("it is stateful: what it carries from call to call is no part of a file");
  const RNNCell& cell = rnn.cell();
  const Type type = type_of(rnn.dtype());
  Value x = cast(inputs[0], type), mask = given_mask;
  x = without_padding(x, mask);
  if (o.go_backwards) {
    x = flip(x, 1);
    if (mask.defined()) mask = flip(mask, 1);
  }
  Values states(inputs.begin() + 1, inputs.end()), results;
  for (Value& state : states) state = cast(state, type);
  if (!mask.defined() && has_operator(cell, x)) {
    results = by_operator(Call(writer, cell, {x}, {}), x, states);
    if (!o.return_sequences) results[0] = results[1];
    return results;
  }
  if (states.empty()) {
    for (const Shape& shape : cell.state_shapes()) {
      Sizes sizes{size_of(x, 0)};
      for (std::int64_t size : shape) sizes.emplace_back(size);
      states.push_back(broadcast_to(writer.number(0, type), sizes));
    }
  }
  Values sequences{x};
  if (mask.defined()) sequences.push_back(mask);
  results = scan(writer, states, sequences, [&](const Values& now, const Values& at_step) {
    Values next = step(writer, cell, at_step[0], now);
    if (mask.defined()) {  // a masked step leaves everything as it was
      auto unless_masked = [&](const Value& after, const Value& before) {
        return where(with_rank(at_step[1], after.rank()), after, before);
      };
      next[0] = unless_masked(next[0], now[static_cast<std::size_t>(cell.output_state())]);
      for (std::size_t s = 0; s < now.size(); ++s) next[s + 1] = unless_masked(next[s + 1], now[s]);
    }
    std::rotate(next.begin(), next.begin() + 1, next.end());  // the states come first
    if (!o.return_sequences) next.pop_back();
    return next;
  });
  if (o.return_sequences)
    std::rotate(results.begin(), results.end() - 1, results.end());
  else  // in every cell of the library the output is one of the states
    results.insert(results.begin(), results[static_cast<std::size_t>(cell.output_state())]);
  if (mask.defined() && o.zero_output_for_mask) {
    const Value counts = o.return_sequences ? mask : at(mask, 1, -1);
    results[0] = where(with_rank(counts, results[0].rank()), results[0], 0.0);
  }
  return results;
}

Values recurrent(Call& call) {
  const auto& rnn = static_cast<const RNN&>(call.layer);
  Values results = run(call.writer, rnn, call.inputs, call.mask());
  call.set_output_masks({rnn.options().return_sequences ? call.mask() : Value()});
  if (!rnn.options().return_state) results.resize(1);
  return results;
}

Values bidirectional(Call& call) {
  const std::vector<AnyLayer>& layers = call.layer.sublayers();
  const auto &forward = static_cast<const RNN&>(*layers.at(0)),
             &backward = static_cast<const RNN&>(*layers.at(1));
  const RNNLoopOptions& o = forward.options();
  const std::size_t of_forward = forward.cell().state_size().size();
  Values f{call.x()}, b{call.x()};
  for (std::size_t i = 1; i < call.inputs.size(); ++i)
    (i <= of_forward ? f : b).push_back(call.inputs[i]);
  f = run(call.writer, forward, f, call.mask());
  b = run(call.writer, backward, b, call.mask());
  if (o.return_sequences) b[0] = flip(b[0], 1);
  const bool both = !call.has_option("merge_mode");
  const std::string mode = both ? "" : call.option<std::string>("merge_mode");
  Values results;
  if (both)
    results = {f[0], b[0]};
  else if (mode == "concat")
    results = {concatenate({f[0], b[0]}, -1)};
  else if (mode == "sum")
    results = {f[0] + b[0]};
  else if (mode == "mul")
    results = {f[0] * b[0]};
  else
    results = {(f[0] + b[0]) / 2.0};
  const Value mask = o.return_sequences ? call.mask() : Value();
  call.set_output_masks(both ? Values{mask, mask} : Values{mask});
  if (o.return_state) {
    results.insert(results.end(), f.begin() + 1, f.end());
    results.insert(results.end(), b.begin() + 1, b.end());
  }
  return results;
}

}  // namespace

const ExportTable& recurrent_exports() {
  static const ExportTable table{
      {"Bidirectional", bidirectional},
      {"ConvLSTM1D", recurrent},
      {"ConvLSTM2D", recurrent},
      {"ConvLSTM3D", recurrent},
      {"GRU", recurrent},
      {"LSTM", recurrent},
      {"RNN", recurrent},
      {"SimpleRNN", recurrent},
  };
  return table;
}

}  // namespace keratin::onnx
