// Convolutional LSTMs, beyond what the golden values show: gradients with dropout, shapes, other
// layers around them, errors.

#include <doctest/doctest.h>

#include <keratin/keratin.h>
#include <keratin/layers/gradcheck.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

/// The sum of all it has seen, for pictures; its state is a matrix whatever x is.
class SumOfPictures : public RNNCell {
 public:
  std::vector<int> state_size() const override { return {6}; }
  Shapes state_shapes() const override { return {{2, 3}}; }
  Shape output_shape() const override { return {2, 3}; }
  int input_rank() const override { return 4; }
  Tensors step(const Tensor& x, const Tensors& states) override {
    const Tensor total = states[0] + reshape(sum(x, {1, 2, 3}), {-1, 1, 1});
    return {total, total};
  }
};

/// Twice a matrix, which is also its state.
class Doubled : public RNNCell {
 public:
  std::vector<int> state_size() const override { return {6}; }
  Shapes state_shapes() const override { return {{2, 3}}; }
  Shape output_shape() const override { return {2, 3}; }
  int input_rank() const override { return 3; }
  Tensors step(const Tensor& x, const Tensors&) override { return {2 * x, 2 * x}; }
};

Tensor pictures(const Shape& shape = {2, 3, 4, 3, 2}) { return Random(1).normal(shape); }

}  // namespace

TEST_CASE("gradients of convolutional LSTMs, with dropout and with a mask") {
  CHECK(gradcheck(ConvLSTM1D(2, 2, {.dropout = 0.5, .recurrent_dropout = 0.25}),
                  pictures({2, 2, 4, 2}), {.training = true}));
  CHECK(gradcheck(ConvLSTM2D(2, {2, 1}, {.strides = {1, 2}, .return_sequences = true}), pictures(),
                  {.mask = tensor({{1, 0, 1}, {0, 0, 1}})}));
  CHECK(gradcheck(ConvLSTM3D(1, 2, {.padding = "same", .data_format = "channels_first"}),
                  pictures({1, 2, 1, 2, 3, 2})));
}

TEST_CASE("a mask fits states of another rank than the inputs") {
  const Tensor x = ones({2, 3, 1, 2, 2});
  RNN sums(SumOfPictures{}, {.return_sequences = true});
  const Tensor y = sums(x, {.mask = tensor({{1, 0, 1}, {1, 1, 0}})});
  CHECK(y.shape() == Shape{2, 3, 2, 3});
  CHECK(slice(y, {all, all, 1, 2}).to_vector<double>() == std::vector<double>{4, 4, 8, 4, 8, 8});
}

TEST_CASE("stacked cells have the states of each") {
  StackedRNNCells cells(SumOfPictures{}, Doubled{});
  RNN stacked(cells, {.return_state = true});
  const auto [y, first, second] = stacked(ones({2, 3, 1, 2, 2})).unpack<3>();
  CHECK(first.shape() == Shape{2, 2, 3});
  CHECK(second.shape() == Shape{2, 2, 3});
  CHECK(all(first == 12).item() == 1);
  CHECK(all(y == 2 * first).item() == 1);
}

TEST_CASE("recurrent dropout of a convolutional LSTM draws one mask for all steps") {
  ConvLSTM2D layer(2, 2, {.padding = "same", .dropout = 0.5, .seed = 3, .return_sequences = true});
  const Tensor step = pictures({2, 1, 4, 3, 2});
  const Tensor x = repeat(step, 2, 1);
  ConvLSTM2D without(2, 2, {.padding = "same", .return_sequences = true});
  without.ensure_built(x.shape());
  layer.ensure_built(x.shape());
  without.set_weights(layer.get_weights());
  CHECK(all(layer(x) == without(x)).item() == 1);
  CHECK(any(layer(x, {.training = true}) != without(x)).item() == 1);
}

TEST_CASE("a convolutional LSTM knows its output's shape, its weights and its layout") {
  ConvLSTM2D layer(3, 2, {.return_sequences = true, .return_state = true, .name = "c"});
  const Shapes shapes = layer.compute_output_shape(Shapes{{None, None, 4, 3, 2}});
  CHECK(shapes[0] == Shape{None, None, 3, 2, 3});
  CHECK(shapes[1] == Shape{None, 3, 2, 3});
  CHECK(shapes[2] == shapes[1]);
  CHECK(layer.weights()[0].path() == "c/conv_lstm_cell/kernel");
  CHECK(layer.weights()[0].shape() == Shape{2, 2, 2, 12});
  const Tensor bias = layer.get_weights()[2];
  CHECK(all(slice(bias, {range(3, 6)}) == 1).item() == 1);
  CHECK(sum(bias).item() == 3);
  CHECK(layer(zeros({2, 0, 4, 3, 2})).unpack<3>()[0].shape() == Shape{2, 0, 3, 2, 3});
}

TEST_CASE("in a model, in both directions, and again from its config") {
  set_random_seed(1);
  Sequential model({Bidirectional(ConvLSTM2D(2, 2)), Flatten(), Dense(1)});
  model.compile({.optimizer = Adam(0.05), .loss = "mse"});
  Tensor x = pictures({8, 3, 4, 3, 2}), y = mean(x, {1, 2, 3, 4}).reshape({8, 1});
  auto history = model.fit(x, y, {.epochs = 30, .verbose = 0});
  CHECK(history["loss"].back() < 0.5 * history["loss"].front());

  ConvLSTM1D original(2, 3, {.padding = "same"});
  Tensor lines = pictures({2, 3, 5, 2}), expected = original(lines);
  AnyLayer copy = layer_from_config("ConvLSTM1D", original.get_config());
  copy->ensure_built(lines.shape());
  copy->set_weights(original.get_weights());
  CHECK(all(copy(lines) == expected).item() == 1);
}

TEST_CASE("mistakes with convolutional LSTMs") {
  CHECK(error_of([] { ConvLSTM2D(0, 2); }) == "ConvLSTM2D: expected filters of at least 1, got 0");
  CHECK(error_of([] { ConvLSTM2D(1, {2, 2, 2}); }).starts_with("ConvLSTM2D: "));
  CHECK(error_of([] { ConvLSTM2D(1, 2, {.strides = 2, .dilation_rate = 2}); }) ==
        "ConvLSTM2D: strides and dilation_rate cannot both be more than 1");
  CHECK(error_of([] { ConvLSTM1D(1, 2, {.padding = "causal"}); }).starts_with("ConvLSTM1D: "));
  CHECK(error_of([] {
          ConvLSTM2D(1, 2, {.name = "c"})(ones({2, 3, 4}));
        }) == "c (ConvLSTM2D): expected inputs of rank 5, batch and time first, got (None, 3, 4)");
  ConvLSTM2D layer(1, 2, {.name = "c"});
  layer(pictures());
  CHECK(error_of([&] {
          layer(pictures({2, 3, 4, 4, 2}));
        }) == "c (ConvLSTM2D): expected inputs (batch, time, 4, 3, 2), got (2, 3, 4, 4, 2)");
  CHECK(error_of([&] {
          layer({pictures(), ones({2, 1}), ones({2, 1})});
        }) == "c (ConvLSTM2D): expected a state of shape (2, 3, 2, 1), got (2, 1)");
  CHECK(error_of([] {
          ConvLSTM2D(1, 2, {.name = "c"}).ensure_built({None, 3, None, 4, 2});
        }).find("all sizes but batch and time must be known") != std::string::npos);
}

}  // namespace keratin

TEST_SUITE_END();
