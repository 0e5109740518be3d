#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/internal/end_of_sequence.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/rnn_cells.h>

namespace keratin {

void RNNCell::begin_sequence(std::int64_t) {}
void RNNCell::end_sequence() {}

Shapes RNNCell::state_shapes() const {
  Shapes shapes;
  for (int size : state_size()) shapes.push_back({size});
  return shapes;
}

Tensors RNNCell::zero_states(std::int64_t batch, Device device) const {
  Tensors states;
  for (const Shape& shape : state_shapes())
    states.push_back(zeros(shape.inserted(0, batch), dtype(), device));
  return states;
}

Tensor RNNCell::call(const Tensor& x) {
  EndOfSequence end(*this);
  begin_sequence(x.size(0));
  return step(x, zero_states(x.size(0), x.device()))[0];
}

Shape RNNCell::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  return output_shape().inserted(0, input_shape[0]);
}

// --- what the library's cells share

GatedCell::GatedCell(const char* class_name, int units, int gates, const RNNOptions& options)
    : units_(units), gates_(gates), options_(options) {
  check_fields(class_name, cell_fields(units_, options_));
  if (options.return_sequences || options.return_state || options.go_backwards ||
      options.stateful || options.zero_output_for_mask)
    fail(
        "{}: return_sequences, return_state, go_backwards, stateful and zero_output_for_mask are "
        "options of RNN, not of its cell",
        class_name);
  if (!options.name.empty()) set_name(options.name);
}

std::vector<Field> cell_fields(int& units, RNNOptions& o) {
  return {{"units", &units, at_least(1)},
          {"activation", &o.activation},
          {"recurrent_activation", &o.recurrent_activation},
          {"use_bias", &o.use_bias},
          {"unit_forget_bias", &o.unit_forget_bias},
          {"kernel_initializer", &o.kernel_initializer},
          {"recurrent_initializer", &o.recurrent_initializer},
          {"bias_initializer", &o.bias_initializer},
          {"kernel_regularizer", &o.kernel_regularizer},
          {"recurrent_regularizer", &o.recurrent_regularizer},
          {"bias_regularizer", &o.bias_regularizer},
          {"kernel_constraint", &o.kernel_constraint},
          {"recurrent_constraint", &o.recurrent_constraint},
          {"bias_constraint", &o.bias_constraint},
          {"dropout", &o.dropout, between(0, 1)},
          {"recurrent_dropout", &o.recurrent_dropout, between(0, 1)},
          {"reset_after", &o.reset_after},
          {"seed", &o.seed}};
}

std::vector<Field> GatedCell::fields() {
  std::vector<Field> fields = cell_fields(units_, options_);
  std::erase_if(fields, [this](const Field& field) {
    const bool special = field.name == "recurrent_activation" || field.name == "unit_forget_bias" ||
                         field.name == "reset_after";
    return special && !has_option(field.name);
  });
  return fields;
}

void GatedCell::build(const Shape& input_shape) {
  const RNNOptions& o = options_;
  kernel = add_weight("kernel", {known_last_axis(input_shape), gates_ * units_},
                      o.kernel_initializer, o.kernel_regularizer, o.kernel_constraint);
  recurrent_kernel =
      add_weight("recurrent_kernel", {units_, gates_ * units_}, o.recurrent_initializer,
                 o.recurrent_regularizer, o.recurrent_constraint);
  if (o.use_bias)
    bias =
        add_weight("bias", bias_shape(), o.bias_initializer, o.bias_regularizer, o.bias_constraint);
}

// With recurrent dropout every gate has masks of its own, as in Keras's implementation 1.
void GatedCell::begin_sequence(std::int64_t batch) {
  end_sequence();  // the loop before may have been one that does not call it
  if (!training() || (options_.dropout == 0 && options_.recurrent_dropout == 0)) return;
  Random& source = random(options_.seed);
  const int masks = options_.recurrent_dropout > 0 ? gates_ : 1;
  for (int i = 0; options_.dropout > 0 && i < masks; ++i)
    dropout_.input.push_back(
        dropout_mask({batch, kernel.shape()[0]}, options_.dropout, dtype(), source, device()));
  for (int i = 0; options_.recurrent_dropout > 0 && i < masks; ++i)
    dropout_.recurrent.push_back(
        dropout_mask({batch, units_}, options_.recurrent_dropout, dtype(), source, device()));
}

// Threads that predict at the same time share a cell: what has no masks is not written to.
void GatedCell::end_sequence() {
  if (!dropout_.input.empty() || !dropout_.recurrent.empty()) dropout_ = {};
}

namespace {

// x . matrix, where mask i scales x for the columns of gate i.
Tensor masked_dot(const Tensor& x, const Tensor& matrix, const Tensors& masks) {
  if (masks.empty()) return dot(x, matrix);
  if (masks.size() == 1) return dot(x * masks[0], matrix);
  Tensors gates = split(matrix, static_cast<int>(masks.size()), 1);
  for (std::size_t i = 0; i < masks.size(); ++i) gates[i] = dot(x * masks[i], gates[i]);
  return concatenate(gates, 1);
}

}  // namespace

Tensor GatedCell::times_kernel(const Tensor& x) const {
  return masked_dot(x, kernel, dropout_.input);
}

Tensor GatedCell::times_recurrent_kernel(const Tensor& h) const {
  return masked_dot(h, recurrent_kernel, dropout_.recurrent);
}

Tensor GatedCell::times_recurrent_kernel(const Tensor& h, int gate) const {
  const auto& masks = dropout_.recurrent;
  return dot(masks.empty() ? h : h * masks[static_cast<std::size_t>(gate)],
             split(recurrent_kernel, gates_, 1)[static_cast<std::size_t>(gate)]);
}

Tensor GatedCell::add_bias(const Tensor& z, int row) const {
  if (!bias.defined()) return z;
  return z + (bias.shape().rank() == 1 ? bias.value() : bias.value()[row]);
}

// --- LSTM

LSTMCell::LSTMCell(int units, const RNNOptions& options)
    : GatedCell("LSTMCell", units, 4, options) {}

void LSTMCell::build(const Shape& input_shape) {
  GatedCell::build(input_shape);
  if (!options_.use_bias || !options_.unit_forget_bias) return;
  Tensor values = bias.value().copy();
  slice(values, {range(units_, 2 * units_)}).assign(1.0);
  bias.assign(values);
}

Tensors LSTMCell::step(const Tensor& x, const Tensors& states) {
  const auto &sigma = options_.recurrent_activation, &g = options_.activation;
  const Tensor &h = states[0], &c = states[1];
  auto z = split(add_bias(times_kernel(x) + times_recurrent_kernel(h)), 4, 1);  // i, f, c, o
  auto c1 = sigma(z[1]) * c + sigma(z[0]) * g(z[2]);
  auto h1 = sigma(z[3]) * g(c1);
  return {h1, h1, c1};
}

// --- GRU

GRUCell::GRUCell(int units, const RNNOptions& options) : GatedCell("GRUCell", units, 3, options) {}

Shape GRUCell::bias_shape() const {
  if (options_.reset_after) return {2, gates_ * units_};
  return {gates_ * units_};
}

Tensors GRUCell::step(const Tensor& x, const Tensors& states) {
  const auto &sigma = options_.recurrent_activation, &g = options_.activation;
  const Tensor& h = states[0];
  auto xz = split(add_bias(times_kernel(x)), 3, 1);  // z, r, h
  Tensor z, candidate;
  if (options_.reset_after) {
    auto hz = split(add_bias(times_recurrent_kernel(h), 1), 3, 1);
    z = sigma(xz[0] + hz[0]);
    candidate = g(xz[2] + sigma(xz[1] + hz[1]) * hz[2]);
  } else {
    z = sigma(xz[0] + times_recurrent_kernel(h, 0));
    auto r = sigma(xz[1] + times_recurrent_kernel(h, 1));
    candidate = g(xz[2] + times_recurrent_kernel(r * h, 2));
  }
  auto h1 = z * h + (1 - z) * candidate;
  return {h1, h1};
}

// --- SimpleRNN

SimpleRNNCell::SimpleRNNCell(int units, const RNNOptions& options)
    : GatedCell("SimpleRNNCell", units, 1, options) {}

Tensors SimpleRNNCell::step(const Tensor& x, const Tensors& states) {
  auto h1 = options_.activation(add_bias(times_kernel(x) + times_recurrent_kernel(states[0])));
  return {h1, h1};
}

// --- several cells as one

namespace {

RNNCell& as_cell(const AnyLayer& layer) { return static_cast<RNNCell&>(*layer); }

}  // namespace

StackedRNNCells::StackedRNNCells(std::vector<AnyLayer> cells) : cells_(std::move(cells)) {
  if (cells_.empty()) fail("StackedRNNCells: expected at least one cell");
  for (const AnyLayer& cell : cells_)
    if (dynamic_cast<RNNCell*>(&*cell) == nullptr)
      fail("StackedRNNCells: expected cells, got {} ({})", cell->name(), cell->class_name());
  for (const AnyLayer& cell : cells_) track(cell, "cells/");
}

std::vector<Field> StackedRNNCells::fields() { return {{"cells", &cells_}}; }
void StackedRNNCells::configured() { replace_sublayers(cells_); }

std::vector<int> StackedRNNCells::state_size() const {
  std::vector<int> sizes;
  for (const AnyLayer& cell : cells_)
    for (int size : as_cell(cell).state_size()) sizes.push_back(size);
  return sizes;
}

int StackedRNNCells::output_size() const { return as_cell(cells_.back()).output_size(); }

Shapes StackedRNNCells::state_shapes() const {
  Shapes shapes;
  for (const AnyLayer& cell : cells_)
    for (const Shape& shape : as_cell(cell).state_shapes()) shapes.push_back(shape);
  return shapes;
}

Shape StackedRNNCells::output_shape() const { return as_cell(cells_.back()).output_shape(); }
int StackedRNNCells::input_rank() const { return as_cell(cells_.front()).input_rank(); }

int StackedRNNCells::output_state() const {
  const RNNCell& last = as_cell(cells_.back());
  auto before = state_size().size() - last.state_size().size();
  return static_cast<int>(before) + last.output_state();
}

void StackedRNNCells::begin_sequence(std::int64_t batch) {
  for (const AnyLayer& cell : cells_) as_cell(cell).begin_sequence(batch);
}

void StackedRNNCells::end_sequence() {
  for (const AnyLayer& cell : cells_) as_cell(cell).end_sequence();
}

void StackedRNNCells::build(const Shape& input_shape) {
  Shape shape = input_shape;
  for (const AnyLayer& cell : cells_) {
    cell->ensure_built(shape);
    shape = as_cell(cell).output_shape().inserted(0, shape[0]);
  }
}

Tensors StackedRNNCells::step(const Tensor& x, const Tensors& states) {
  Tensors result{x};
  std::size_t first = 0;
  for (const AnyLayer& layer : cells_) {
    RNNCell& cell = as_cell(layer);
    std::size_t count = cell.state_size().size();
    Tensors own(states.begin() + static_cast<std::ptrdiff_t>(first),
                states.begin() + static_cast<std::ptrdiff_t>(first + count));
    own = cell.step(result[0], own);
    result[0] = own[0];
    result.insert(result.end(), own.begin() + 1, own.end());
    first += count;
  }
  return result;
}

}  // namespace keratin
