// Recurrent cells as single ops: one sweep over the gates forward, one backward.

#include <keratin/autograd/internal/in_place.h>
#include <keratin/autograd/internal/pointwise_op.h>
#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

/// Gate number `gate` of z (batch, count * units): a view of its columns.
Tensor gate_of(const Tensor& z, std::int64_t gate, std::int64_t units) {
  return make_view(z, {z.size(0), units}, z.strides(), gate * units * z.strides()[1]);
}

void check_gates(const char* who, const Tensor& z, const Tensor& state, std::int64_t gates) {
  if (z.rank() != 2 || state.rank() != 2 || z.size(0) != state.size(0) ||
      z.size(1) != gates * state.size(1))
    fail("{}: gates of shape {} do not fit a state of {}", who, z.shape(), state.shape());
}

// The derivative of LstmCell on tensors of dual numbers, for tapes that record the backward pass.
void composed_lstm_vjp(Backward& backward, const Tensor& z, const Tensor& c) {
  std::vector<Tensor> gates = split(z, 4, 1);
  Tensor x[] = {gates[0], gates[1], gates[2], gates[3], c};
  Tensor g[] = {backward.output_gradient_or_zeros(0), backward.output_gradient_or_zeros(1)};
  fn::LstmCell f;
  std::make_index_sequence<5> all;
  if (backward.wants(0))
    backward.add(0, concatenate({fn::pull_back<0>(f, x, g, all), fn::pull_back<1>(f, x, g, all),
                                 fn::pull_back<2>(f, x, g, all), fn::pull_back<3>(f, x, g, all)},
                                1));
  if (backward.wants(1)) backward.add(1, fn::pull_back<4>(f, x, g, all));
}

void composed_gru_vjp(Backward& backward, const Tensor& x, const Tensor& hz, const Tensor& h) {
  std::vector<Tensor> a = split(x, 3, 1), b = split(hz, 3, 1);
  Tensor in[] = {a[0], a[1], a[2], b[0], b[1], b[2], h}, g[] = {backward.output_gradient(0)};
  fn::GruCell f;
  std::make_index_sequence<7> all;
  if (backward.wants(0))
    backward.add(0, concatenate({fn::pull_back<0>(f, in, g, all), fn::pull_back<1>(f, in, g, all),
                                 fn::pull_back<2>(f, in, g, all)},
                                1));
  if (backward.wants(1))
    backward.add(1, concatenate({fn::pull_back<3>(f, in, g, all), fn::pull_back<4>(f, in, g, all),
                                 fn::pull_back<5>(f, in, g, all)},
                                1));
  if (backward.wants(2)) backward.add(2, fn::pull_back<6>(f, in, g, all));
}

}  // namespace

namespace {

std::array<Tensor, 4> four_gates(const Tensor& z) {
  std::int64_t units = z.size(1) / 4;
  return {gate_of(z, 0, units), gate_of(z, 1, units), gate_of(z, 2, units), gate_of(z, 3, units)};
}

// The gradients of z and c, z's written into gz, from what the forward pass kept.
struct LstmCellVjp {
  Tensor gates, tanh_c;
  Saved z, c;  // z: only where another tape may record the backward pass

  void operator()(Backward& backward) const {
    if (recording != nullptr) return composed(backward);
    Tensor x[] = {gates, tanh_c, *c, backward.output_gradient(0), backward.output_gradient(1)};
    // Nothing depends on the last step's c, and on no step's h but the last perhaps.
    for (Tensor* g : {&x[3], &x[4]})
      if (!g->defined()) *g = Tensor(0.0).astype(tanh_c.dtype());
    Tensor y[] = {empty(tanh_c.shape(), tanh_c.dtype()),
                  backward.is_last() ? make_view(gates, gates.shape(), gates.strides())
                                     : empty(gates.shape(), gates.dtype())};
    fn::LstmCellBackward functor;
    kernels_of(gates).pointwise(Pointwise::LstmCellBackward, &functor, y, x);
    backward.add(0, y[1]);
    backward.add(1, y[0]);
  }

  // By the derivative of LstmCell on tensors of dual numbers. A tape that began after the forward
  // pass finds no z; to it, the gates are constants.
  void composed(Backward& backward) const {
    if (z.defined()) return composed_lstm_vjp(backward, *z, *c);
    auto [i, f, g, o] = four_gates(gates);
    auto [g_c0, gi, gf, gg, go] =
        fn::LstmCellBackward{}(i, f, g, o, tanh_c, *c, backward.output_gradient_or_zeros(0),
                               backward.output_gradient_or_zeros(1));
    backward.add(0, concatenate({gi, gf, gg, go}, 1));
    backward.add(1, g_c0);
  }
};

std::array<Tensor, 2> lstm_step(const Tensor& z, const Tensor& c, Tensor gates, Tensor h_place) {
  Tensor y[] = {std::move(h_place), empty(c.shape(), c.dtype()), std::move(gates),
                empty(c.shape(), c.dtype())};
  Tensor x[] = {z, c};
  fn::LstmCellForward functor;
  kernels_of(c).pointwise(Pointwise::LstmCellForward, &functor, y, x);
  if (follows(x)) {
    bool over = begin_together(y[2], z);
    record_node("lstm_cell", x, {y, 2},
                LstmCellVjp{std::move(y[2]), std::move(y[3]), over ? Saved() : save(z), save(c)});
  }
  return {std::move(y[0]), std::move(y[1])};
}

// Whether another tape may want to differentiate what this one's backward pass does.
bool nested_tapes() { return recording != nullptr && recording->tapes > 1; }

}  // namespace

std::array<Tensor, 2> lstm_cell(const Tensor& before, const Tensor& state) {
  check_gates("lstm_cell", before, state, 4);
  Tensor both[] = {before, state};
  DType dtype = common_dtype(both, true);
  Tensor z = before.astype(dtype), c = state.astype(dtype);
  return lstm_step(z, c, empty(z.shape(), dtype), empty(c.shape(), dtype));
}

std::array<Tensor, 2> lstm_cell_over(const Tensor& z, const Tensor& c, const Tensor& h_place) {
  return lstm_step(z, c, nested_tapes() ? empty(z.shape(), z.dtype()) : z,
                   make_view(h_place, h_place.shape(), h_place.strides()));
}

namespace {

std::array<Tensor, 3> three_gates(const Tensor& z) {
  std::int64_t units = z.size(1) / 3;
  return {gate_of(z, 0, units), gate_of(z, 1, units), gate_of(z, 2, units)};
}

// As LstmCellVjp. Without x, which then became the gates, h's share may be overwritten too.
struct GruCellVjp {
  Tensor gates;
  Saved x, hz, h;

  void operator()(Backward& backward) const {
    if (recording != nullptr && x.defined()) return composed_gru_vjp(backward, *x, *hz, *h);
    Tensor hh = gate_of(*hz, 2, h->size(1)), g = backward.output_gradient(0);
    if (recording != nullptr) {
      auto [z, r, n] = three_gates(gates);
      auto [gh, gxz, gxr, gxh, ghz, ghr, ghh] = fn::GruCellBackward{}(z, r, n, hh, *h, g);
      backward.add(0, concatenate({gxz, gxr, gxh}, 1));
      backward.add(1, concatenate({ghz, ghr, ghh}, 1));
      return backward.add(2, gh);
    }
    auto over = [&](const Tensor& t) {
      bool may = backward.is_last() && !x.defined();
      return may ? make_view(t, t.shape(), t.strides()) : empty(t.shape(), t.dtype());
    };
    Tensor gx = over(gates), ghz = over(*hz), gh = empty(h->shape(), h->dtype());
    Tensor y[] = {gh, gx, ghz}, in[] = {gates, hh, *h, g};
    fn::GruCellBackward functor;
    kernels_of(gx).pointwise(Pointwise::GruCellBackward, &functor, y, in);
    backward.add(0, gx);
    backward.add(1, ghz);
    backward.add(2, gh);
  }
};

Tensor gru_step(const Tensor& x, const Tensor& hz, const Tensor& h, const Tensor& gates,
                const Tensor& h_place) {
  Tensor y[] = {h_place, gates}, in[] = {x, hz, h};
  fn::GruCellForward functor;
  kernels_of(h).pointwise(Pointwise::GruCellForward, &functor, y, in);
  Tensor inputs[] = {x, hz, h};
  if (follows(inputs)) {
    bool over = begin_together(gates, x);
    record_node("gru_cell", inputs, {&h_place, 1},
                GruCellVjp{gates, over ? Saved() : save(x), save(hz), save(h)});
  }
  return h_place;
}

}  // namespace

Tensor gru_cell(const Tensor& x_share, const Tensor& h_share, const Tensor& state) {
  check_gates("gru_cell", x_share, state, 3);
  check_gates("gru_cell", h_share, state, 3);
  Tensor all_inputs[] = {x_share, h_share, state};
  DType dtype = common_dtype(all_inputs, true);
  Tensor x = x_share.astype(dtype), hz = h_share.astype(dtype), h = state.astype(dtype);
  return gru_step(x, hz, h, empty(x.shape(), dtype), empty(h.shape(), dtype));
}

Tensor gru_cell_over(const Tensor& x, const Tensor& hz, const Tensor& h, const Tensor& h_place) {
  return gru_step(x, hz, h, nested_tapes() ? empty(x.shape(), x.dtype()) : x,
                  make_view(h_place, h_place.shape(), h_place.strides()));
}

}  // namespace keratin
