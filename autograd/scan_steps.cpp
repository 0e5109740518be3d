#include <keratin/autograd/internal/scan_steps.h>

namespace keratin::scan {
namespace {

/// Whether a state reaches the next one beside its gates.
bool reaches_past_gates(const Cell& cell) {
  return cell.is(FusedCell::gru) || cell.is(FusedCell::gru_reset_before);
}

// The states after a masked step are those before it.
void keep_where_masked(const Cell& cell, const Block& b, std::int64_t t) {
  if (!b.valid.defined()) return;
  auto keep = [&](const Steps& state) {
    const Tensor& after = state.at(t + 1);
    kernels_of(after).select(after, b.valid.at(t), after, state.at(t));
  };
  keep(b.h);
  if (cell.is(FusedCell::lstm)) keep(b.c);
}

// The step of an LSTM in one launch, and its gradient; false where the device has none for it.
bool whole_step(const Cell& cell, const Block& b, std::int64_t t) {
  const Tensor& z = b.z.at(t);
  return cell.whole_kernel.defined() &&
         kernels_of(z).lstm_step(b.h.at(t + 1), b.c.at(t + 1), z, b.tanh_c.at(t), b.h.at(t),
                                 b.c.at(t), cell.whole_kernel);
}
bool whole_step_back(const Cell& cell, const Block& b, std::int64_t t, const BlockGradients& g) {
  const Tensor& z = b.z.at(t);
  return cell.whole_kernel.defined() && !b.valid.defined() &&
         kernels_of(z).lstm_step_back(g.c, g.z.at(t), g.z.at(t + 1),
                                      g.y.defined() ? g.y.at(t) : Tensor(), z, b.tanh_c.at(t),
                                      b.c.at(t), cell.whole_kernel);
}

}  // namespace

void step(const Cell& cell, const Block& b, std::int64_t t, const Factors& factors) {
  const Tensor &z = b.z.at(t), &h0 = b.h.at(t), &h1 = b.h.at(t + 1);
  const bool moving = t > 0 || !cell.at_rest;  // otherwise h0 is 0, and so is its product
  if (moving && whole_step(cell, b, t)) return keep_where_masked(cell, b, t);
  if (moving && !cell.is(FusedCell::gru))
    factors.recurrent.multiply(
        cell.is(FusedCell::gru_reset_before) ? columns(z, 0, 2 * cell.units) : z, h0, {}, true,
        b.recurrent_masks);
  switch (cell.kind) {
    case FusedCell::simple_rnn:
      run<fn::Tanh>({h1}, {z});
      break;
    case FusedCell::lstm:
      run<fn::LstmForward>({h1, b.c.at(t + 1), z, b.tanh_c.at(t)}, {z, b.c.at(t)});
      break;
    case FusedCell::gru: {
      const Tensor& hz = b.hz.at(t);
      if (moving)
        factors.recurrent.multiply(hz, h0, cell.state_bias, false, b.recurrent_masks);
      else
        kernels_of(hz).copy(hz, cell.state_bias.defined() ? cell.state_bias : cell.zero);
      run<fn::GruForward>({h1, z}, {z, hz, h0});
      break;
    }
    case FusedCell::gru_reset_before: {
      const Tensor& rh = b.hz.at(t);
      Tensor zr = columns(z, 0, 2 * cell.units), n = columns(z, 2 * cell.units, cell.units);
      run<fn::GruGatesForward>({rh, zr}, {zr, h0});
      if (moving) factors.candidate.multiply(n, rh, {}, true, b.candidate_masks);
      run<fn::GruCandidateForward>({h1, n}, {columns(z, 0, cell.units), n, h0});
      break;
    }
  }
  keep_where_masked(cell, b, t);
}

void step_back(const Cell& cell, const Block& b, std::int64_t t, const BlockGradients& g,
               const Factors& transposed) {
  const Tensor &z = b.z.at(t), &h0 = b.h.at(t), &gz = g.z.at(t);
  const Kernels& kernels = kernels_of(h0);
  if (t + 1 < cell.steps) {
    if (whole_step_back(cell, b, t, g)) return;
    product_back(cell, b, t + 1, g, transposed);
  }
  if (g.y.defined()) run<fn::Add>({g.h}, {g.h, g.y.at(t)});
  auto hold_back = [&](const Tensor& gradient, const Tensor& past) {
    kernels.select(past, b.valid.at(t), cell.zero, gradient);
    kernels.select(gradient, b.valid.at(t), gradient, cell.zero);
  };
  if (b.valid.defined()) {
    hold_back(g.h, g.past_h);
    if (cell.is(FusedCell::lstm)) hold_back(g.c, g.past_c);
  }
  switch (cell.kind) {
    case FusedCell::simple_rnn: {
      fn::Tanh tanh;
      kernels.pointwise_gradient(Pointwise::Tanh, &tanh, {&gz, 1}, {&b.h.at(t + 1), 1}, {&g.h, 1});
      break;
    }
    case FusedCell::lstm:
      run<fn::LstmBackward>({g.c, gz}, {z, b.tanh_c.at(t), b.c.at(t), g.h, g.c});
      break;
    case FusedCell::gru:
      run<fn::GruBackward>({g.h, gz, g.hz.at(t)},
                           {z, columns(b.hz.at(t), 2 * cell.units, cell.units), h0, g.h});
      break;
    case FusedCell::gru_reset_before: {
      auto gate = [&](const Tensor& x, std::int64_t i) {
        return columns(x, i * cell.units, cell.units);
      };
      run<fn::GruCandidateBackward>({g.h, gate(gz, 0), gate(gz, 2)},
                                    {gate(z, 0), gate(z, 2), h0, g.h});
      Tensor grh = empty(h0.shape(), h0.dtype(), h0.device());
      transposed.candidate.multiply_transposed(grh, gate(gz, 2), false, b.candidate_masks);
      run<fn::GruResetBackward>({g.h, gate(gz, 1)}, {gate(z, 1), h0, grh, g.h});
      break;
    }
  }
  if (!b.valid.defined()) return;
  reaches_past_gates(cell) ? run<fn::Add>({g.h}, {g.h, g.past_h}) : kernels.copy(g.h, g.past_h);
  if (cell.is(FusedCell::lstm)) run<fn::Add>({g.c}, {g.c, g.past_c});
}

void product_back(const Cell& cell, const Block& b, std::int64_t t, const BlockGradients& g,
                  const Factors& transposed) {
  const Tensor& ghz = g.hz.at(t);
  transposed.recurrent.multiply_transposed(
      g.h, cell.is(FusedCell::gru_reset_before) ? columns(ghz, 0, 2 * cell.units) : ghz,
      reaches_past_gates(cell) || b.valid.defined(), b.recurrent_masks);
}

}  // namespace keratin::scan
