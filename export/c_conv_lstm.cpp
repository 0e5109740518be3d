// Convolutional LSTMs.

#include <algorithm>

#include <keratin/export/internal/c_recurrent.h>
#include <keratin/export/internal/c_windows.h>

namespace keratin::c_export {
namespace {

constexpr const char* functions = R"c(
/* z = x * K + h * U + b for the gates i, f, c, o of each place; the rest as in an LSTM. The windows
   over x are those of d, r and c, and those over h keep its size: hd, hr and hc. u has room for all
   gates, too. */
static void conv_lstm(const float* x, const unsigned char* mask, sequence q, axis d, axis r, axis c,
                      axis hd, axis hr, axis hc, int channels, int filters, const float* kernel,
                      const float* recurrent_kernel, const float* bias, activation g,
                      activation sigma, float* z, float* u, float* h, float* cell, float* y) {
  const int n = filters;
  for (int s = 0; s < q.steps; ++s) {
    const int t = q.backwards ? q.steps - 1 - s : s, counts = !mask || mask[t];
    if (counts) {
      convolution(x + t * q.features, d, r, c, channels, 4 * n, 1, kernel, bias, z);
      convolution(h, hd, hr, hc, n, 4 * n, 1, recurrent_kernel, 0, u);
      for (int p = 0; p < q.units; p += n) {
        float* at = z + 4 * p;
        for (int j = 0; j < 4 * n; ++j) at[j] += u[4 * p + j];
        sigma(at, 2, n);
        g(at + 2 * n, 1, n);
        sigma(at + 3 * n, 1, n);
        for (int j = 0; j < n; ++j) cell[p + j] = at[n + j] * cell[p + j] + at[j] * at[2 * n + j];
        copy(cell + p, n, at);
        g(at, 1, n);
        for (int j = 0; j < n; ++j) h[p + j] = at[3 * n + j] * at[j];
      }
    }
    y = give(q, s, counts, h, y);
  }
}
)c";

}  // namespace

Run run_conv_lstm(Writer& w, const Layer& layer, const Array& x, const std::string& mask,
                  const Loop& loop, const std::vector<Array>& initial) {
  Config config = layer.get_config();
  const bool first = option<std::string>(config, "data_format") == "channels_first";
  std::erase_if(config, [](const auto& entry) { return entry.first == "data_format"; });
  const auto filters = option<std::int64_t>(config, "filters");
  const Layer& cell = *layer.sublayers().at(0);

  const Array steps = first ? axes_last(w, x, {1}) : x;
  Windows in = windows_of(w, layer, {steps.text, Sizes(steps.shape.begin() + 1, steps.shape.end())},
                          config, "kernel_size");
  const Sizes shape = in.shape(filters);
  Windows over_states(w, layer, {"", shape}, config);
  for (const int size : per_axis(config, "kernel_size", in.axes))
    over_states.add(size, 1, 1, "same");
  const auto [d, r, c] = in.names();
  const auto [hd, hr, hc] = over_states.names();

  std::vector<Array> given = initial;
  for (Array& state : given)
    if (first) state = axes_last(w, state, {0});
  const std::vector<Array> states = initial_states(w, 2, shape, given);
  Sizes all = shape;
  if (loop.sequences) all.insert(all.begin(), x.shape[0]);
  Array y = w.numbers("out", all);
  const Array z = w.numbers("gates", in.shape(4 * filters)),
              u = w.numbers("recurrent", in.shape(4 * filters));
  w.call("conv_lstm", steps, mask, sequence_of(w, steps, product(shape), loop), d, r, c, hd, hr, hc,
         in.channels(), filters, w.weight(cell, "kernel"), w.weight(cell, "recurrent_kernel"),
         w.weight(cell, "bias"), activation_function(config, "activation"),
         activation_function(config, "recurrent_activation"), z, u, states[0], states[1], y);
  Run run{y, states};
  if (!first) return run;
  run.y = axes_back(w, y, {loop.sequences ? std::size_t{1} : std::size_t{0}});
  for (Array& state : run.states) state = axes_back(w, state, {0});
  return run;
}

Part conv_lstm_part() { return {functions, {}}; }

}  // namespace keratin::c_export
