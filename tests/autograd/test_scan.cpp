// A recurrent layer as one op against the loop of its cell's formula, which is its definition.
#include <doctest/doctest.h>
#include <keratin/keratin.h>

#include <array>
#include <functional>
#include <optional>
#include <string>

TEST_SUITE_BEGIN("autograd");

namespace keratin {
namespace {

/// A cell of the library that the scan does not recognise, so that RNN runs its formula step by
/// step.
template <class Cell>
class StepByStep : public Cell {
 public:
  using Cell::Cell;
};

struct Case {
  RNNOptions cell = {};
  RNNLoopOptions loop = {.return_sequences = true};
  std::string mask = {};
  bool initial_states = false;
  std::int64_t batch = 3, time = 5;
  bool training = false;
};

/// Outputs, states, and gradients of x, the weights and the initial states.
struct Results {
  Tensors values, gradients, second;
};

Tensor noise(const Shape& shape, std::uint64_t seed) {
  return Random(seed).normal(shape, 0, 1, float64);
}

// "padding" ends, begins or interrupts some rows; one row has no valid step at all.
Tensor mask_of(const Case& c) {
  if (c.mask.empty()) return {};
  std::vector<bool> valid;
  for (std::int64_t row = 0; row < c.batch; ++row)
    for (std::int64_t t = 0; t < c.time; ++t)
      valid.push_back(row % 4 == 0   ? t < c.time - 2
                      : row % 4 == 1 ? t != 1
                      : row % 4 == 2 ? t > 0
                                     : false);
  return tensor(valid, {c.batch, c.time});
}

Results results_of(RNN& layer, const Case& c, bool second_order) {
  Tensor x = noise({c.batch, c.time, 4}, 1);
  layer.set_dtype(float64);
  layer.ensure_built(x.shape());
  Tensors weights, initial;
  for (std::uint64_t i = 0; i < layer.weights().size(); ++i) {
    Weight weight = layer.weights()[i];
    weight.assign(noise(weight.shape(), 10 + i) * 0.5);
    weights.push_back(weight.value());
  }
  if (c.initial_states)
    for (int size : layer.cell().state_size()) initial.push_back(noise({c.batch, size}, 5));
  Tensors sources{x};
  sources.insert(sources.end(), weights.begin(), weights.end());
  sources.insert(sources.end(), initial.begin(), initial.end());

  std::optional<GradientTape> outer;
  if (second_order) outer.emplace();
  GradientTape tape;
  for (const Tensor& source : sources) {
    tape.watch(source);
    if (outer) outer->watch(source);
  }
  Results r;
  Tensors inputs{x};
  inputs.insert(inputs.end(), initial.begin(), initial.end());
  r.values = layer(inputs, {c.training, mask_of(c)});
  Tensor total = 0.0;
  for (std::uint64_t i = 0; i < r.values.size(); ++i)
    total = total + sum(r.values[i] * noise(r.values[i].shape(), 20 + i));
  r.gradients = tape.gradient(total, sources);
  if (outer) {
    Tensor norm = 0.0;
    for (std::uint64_t i = 0; i < sources.size(); ++i)
      norm = norm + sum(r.gradients[i] * noise(sources[i].shape(), 30 + i));
    r.second = outer->gradient(norm, sources);
  } else {
    Tensors again = tape.gradient(total, sources);
    for (std::size_t i = 0; i < again.size(); ++i)
      CHECK(again[i].to_vector<double>() == r.gradients[i].to_vector<double>());
    r.gradients = std::move(tape).gradient(total, sources);  // which may overwrite what was kept
    for (std::size_t i = 0; i < again.size(); ++i)
      CHECK(again[i].to_vector<double>() == r.gradients[i].to_vector<double>());
  }
  return r;
}

void check_close(const char* what, const Tensors& got, const Tensors& expected) {
  CAPTURE(what);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    REQUIRE(got[i].shape() == expected[i].shape());
    if (got[i].numel() == 0) continue;
    double size = std::max(1.0, max(abs(expected[i])).item());
    CHECK(max(abs(got[i] - expected[i])).item() <= 1e-12 * size);
  }
}

template <class Cell>
void compare(const Case& c, bool second_order = false) {
  CAPTURE(c.loop.return_sequences);
  CAPTURE(c.loop.go_backwards);
  CAPTURE(c.loop.zero_output_for_mask);
  CAPTURE(c.mask);
  CAPTURE(c.initial_states);
  CAPTURE(c.cell.use_bias);
  CAPTURE(c.cell.dropout);
  CAPTURE(c.cell.recurrent_dropout);
  CAPTURE(c.batch);
  CAPTURE(c.time);
  RNN scan(Cell(6, c.cell), c.loop), loop(StepByStep<Cell>(6, c.cell), c.loop);
  {
    // The tape shows which of the two ran.
    GradientTape tape;
    Tensor x = zeros({2, 3, 4}, float64);
    tape.watch(x);
    scan.set_dtype(float64);
    scan(x);
    CHECK(tape.size() <= 4);
  }
  Results a = results_of(scan, c, second_order), b = results_of(loop, c, second_order);
  check_close("values", a.values, b.values);
  check_close("gradients", a.gradients, b.gradients);
  check_close("second order", a.second, b.second);
}

// Every case of the options, for one kind of cell.
template <class Cell>
void compare_all(const RNNOptions& cell) {
  for (bool sequences : {false, true})
    for (bool backwards : {false, true})
      for (const char* mask : {"", "padding"})
        for (bool initial : {false, true})
          compare<Cell>({.cell = cell,
                         .loop = {.return_sequences = sequences, .go_backwards = backwards},
                         .mask = mask,
                         .initial_states = initial});
  for (bool sequences : {false, true})
    compare<Cell>({.cell = cell,
                   .loop = {.return_sequences = sequences, .zero_output_for_mask = true},
                   .mask = "padding"});
  RNNOptions no_bias = cell;
  no_bias.use_bias = false;
  compare<Cell>({.cell = no_bias});
  // One step; one row; several blocks of rows, of unequal length.
  for (auto [batch, time] : {std::array<std::int64_t, 2>{3, 1}, {1, 4}, {37, 3}, {150, 2}})
    compare<Cell>({.cell = cell, .mask = batch > 1 ? "padding" : "", .batch = batch, .time = time});
  for (double dropout : {0.0, 0.4})
    for (double recurrent : {0.0, 0.3})
      for (std::int64_t batch : {3, 37}) {
        RNNOptions dropping = cell;
        dropping.dropout = dropout;
        dropping.recurrent_dropout = recurrent;
        dropping.seed = 8;
        compare<Cell>({.cell = dropping, .initial_states = true, .batch = batch, .training = true});
      }
}

}  // namespace

TEST_CASE("an LSTM as one op computes what its formula computes, step by step") {
  compare_all<LSTMCell>({});
}
TEST_CASE("a GRU as one op computes what its formula computes, step by step") {
  compare_all<GRUCell>({});
}
TEST_CASE("a GRU that resets before the product computes what its formula computes") {
  compare_all<GRUCell>({.reset_after = false});
}
TEST_CASE("a SimpleRNN as one op computes what its formula computes, step by step") {
  compare_all<SimpleRNNCell>({});
}

TEST_CASE("derivatives of a recurrent layer's gradient are those of its formula") {
  for (const char* mask : {"", "padding"}) {
    Case c{.mask = mask, .initial_states = true, .batch = 2, .time = 3};
    compare<LSTMCell>(c, true);
    compare<SimpleRNNCell>(c, true);
    compare<GRUCell>(c, true);
    c.cell.reset_after = false;
    compare<GRUCell>(c, true);
  }
}

TEST_CASE("what stands behind a mask reaches neither outputs nor gradients, NaN included") {
  for (bool sequences : {false, true}) {
    LSTM layer(3, {.return_sequences = sequences});
    Tensor x = Random(1).normal({2, 4, 5}),
           mask = tensor({{true, true, false, false}, {true, true, true, true}});
    Tensor clean = where(expand_dims(mask, -1), x, 0.0);
    Tensor dirty = where(expand_dims(mask, -1), x, std::numeric_limits<double>::quiet_NaN());
    layer.ensure_built(x.shape());
    auto run = [&](const Tensor& in) {
      GradientTape tape;
      tape.watch(in);
      Tensor y = layer(in, {.mask = mask});
      Tensors g = tape.gradient(sum(y * y), {in, layer.weights()[0], layer.weights()[1]});
      g.push_back(y);
      return g;
    };
    Tensors a = run(clean), b = run(dirty);
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(a[i].to_vector<float>() == b[i].to_vector<float>());
  }
}

TEST_CASE("a state has a gradient though inputs and weights are constants") {
  LSTM layer(3, {.return_state = true});
  layer.set_trainable(false);
  Tensor x = Random(1).normal({2, 4, 5}), h = Random(2).normal({2, 3}),
         c = Random(3).normal({2, 3});
  auto f = [&](const Tensor& h0, const Tensor& c0) { return layer({x, h0, c0})[1]; };
  layer.set_dtype(float64);
  layer.ensure_built(x.shape());
  CHECK(gradcheck(f, h, c));
}

TEST_CASE("cells that are stacked run as one, and as layers on top of each other") {
  RNN stacked(StackedRNNCells(LSTMCell(3), GRUCell(4)), {.return_sequences = true});
  Sequential layers({LSTM(3, {.return_sequences = true}), GRU(4, {.return_sequences = true})});
  Tensor x = Random(1).normal({2, 5, 6});
  stacked.ensure_built(x.shape());
  layers.build({None, 5, 6});
  layers.set_weights(stacked.get_weights());
  CHECK(max(abs(stacked(x) - layers(x))).item() < 2e-6);
  RNN with_states(StackedRNNCells(LSTMCell(3), GRUCell(4)), {.return_state = true});
  CHECK(with_states(x).count() == 4);  // outputs, h and c of the LSTM, h of the GRU
  CHECK(stacked.cell().output_state() == 2);
  CHECK(gradcheck(stacked, x));
}

TEST_CASE("a cell of one's own runs in RNN, forwards, backwards and in both directions") {
  class MinimalCell : public RNNCell {
   public:
    explicit MinimalCell(int units) : units_(units) {}
    std::vector<int> state_size() const override { return {units_}; }
    void build(const Shape& input_shape) override {
      W = add_weight("W", {input_shape[-1], units_});
      U = add_weight("U", {units_, units_}, "orthogonal");
    }
    Tensors step(const Tensor& x, const Tensors& states) override {
      auto h = tanh(dot(x, W) + dot(states[0], U));
      return {h, h};
    }

   private:
    int units_;
    Weight W, U;
  };
  Tensor x = Random(1).normal({2, 5, 3});
  RNN own(MinimalCell(4), {.return_sequences = true});
  SimpleRNN library(4, {.use_bias = false, .return_sequences = true});
  own.ensure_built(x.shape());
  library.ensure_built(x.shape());
  library.set_weights(own.get_weights());
  CHECK(max(abs(own(x) - library(x))).item() < 1e-6);
  CHECK(own.weights()[0].path() == own.name() + "/minimal_cell/W");
  CHECK(gradcheck(own, x));
  Bidirectional both(RNN(MinimalCell(4), {.return_sequences = true}));
  CHECK(both(x).shape() == Shape{2, 5, 8});
  CHECK(gradcheck(both, x));
}

TEST_CASE("a cell that forgets its states is told so") {
  class Forgetful : public RNNCell {
   public:
    std::vector<int> state_size() const override { return {2, 2}; }
    Tensors step(const Tensor& x, const Tensors&) override { return {x, x}; }
  };
  RNN layer(Forgetful(), {.name = "rnn"});
  CHECK_THROWS_WITH_AS(layer(zeros({1, 3, 2})),
                       "rnn (RNN): step: expected an output and 2 states, got 2 tensors",
                       LayerError);
  CHECK_THROWS_WITH_AS(LSTM(0), "LSTM: expected units of at least 1, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(GRU(2, {.dropout = 1.5}), "GRU: expected dropout between 0 and 1, got 1.5",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(LSTMCell(2, {.return_sequences = true}),
                       doctest::Contains("options of RNN, not of its cell"), std::invalid_argument);
}

}  // namespace keratin

TEST_SUITE_END();
