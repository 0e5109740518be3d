// Models as C files that are compiled and run: their tests compare them with what Keratin predicts.

#include <doctest/doctest.h>

#include <keratin/io/file.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include <cstdlib>

#include "temporary_directory.h"

TEST_SUITE_BEGIN("export");

namespace keratin {
namespace {

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

const auto with_compiler = doctest::skip(!shell("command -v cc >/dev/null 2>&1"));

/// Whether the model as C predicts the same, and without warnings and faults.
bool same_in_c(const Model& model, const COptions& options = {}) {
  TemporaryDirectory folder;
  export_c(model, folder / "model.c", options);
  const std::string program = folder / "model";
  return shell("cc -std=c99 -Wall -Wextra -Wpedantic -Werror -DMODEL_TEST -o " + program + " " +
               program + ".c -lm") &&
         shell(program + " >/dev/null");
}

/// The weights of all layers at random, so that none is what it begins with.
void draw_weights(const Model& model) {
  Random random(5);
  for (Weight weight : model.weights())
    weight.assign(weight.name().find("variance") == std::string::npos
                      ? random.normal(weight.shape(), 0, 0.5)
                      : random.uniform(weight.shape(), 0.5, 2));
}

bool layers_same(std::initializer_list<AnyLayer> layers, const COptions& options = {}) {
  Sequential model(layers);
  draw_weights(model);
  return same_in_c(model, options);
}

bool layer_same(const AnyLayer& layer, const Shape& input) {
  return layers_same({InputLayer(input), layer});
}

}  // namespace

TEST_CASE("activations in C" * with_compiler) {
  std::vector<SymbolicTensor> outputs;
  auto x = Input({5, 6});
  for (const char* name :
       {"celu",           "elu",         "exponential", "gelu",       "glu",      "hard_shrink",
        "hard_sigmoid",   "hard_silu",   "hard_tanh",   "leaky_relu", "linear",   "log_sigmoid",
        "log_softmax",    "mish",        "relu",        "relu6",      "selu",     "sigmoid",
        "silu",           "soft_shrink", "softmax",     "softplus",   "softsign", "sparse_plus",
        "sparse_sigmoid", "sparsemax",   "squareplus",  "swish",      "tanh",     "tanh_shrink"})
    outputs.push_back(Activation(name)(x));
  outputs.push_back(ReLU({.max_value = 1.5, .negative_slope = 0.2, .threshold = 0.3})(x));
  outputs.push_back(LeakyReLU()(x));
  outputs.push_back(ELU({.alpha = 0.7})(x));
  outputs.push_back(PReLU({.alpha_initializer = "random_normal"})(x));
  outputs.push_back(PReLU({.alpha_initializer = "random_normal", .shared_axes = {1}})(x));
  outputs.push_back(Softmax({.axis = {1}})(x));
  outputs.push_back(Softmax({.axis = {1, 2}})(x));
  CHECK(same_in_c(Model({x}, outputs)));

  const AnyLayer dense = layer_from_config(
      "Dense", {{"name", "dense"},
                {"units", 3},
                {"activation", to_option(AnyLayer(LeakyReLU({.negative_slope = 0.4})))}});
  CHECK(layer_same(dense, {4}));
}

TEST_CASE("recurrent layers in C" * with_compiler) {
  for (const bool sequences : {false, true})
    for (const bool backwards : {false, true}) {
      const RNNOptions options{.return_sequences = sequences, .go_backwards = backwards};
      RNNOptions before = options;
      before.reset_after = false;
      before.use_bias = false;
      before.activation = "softsign";
      before.recurrent_activation = "hard_sigmoid";
      for (const AnyLayer& layer :
           {AnyLayer(LSTM(3, options)), AnyLayer(LSTM(3, before)), AnyLayer(GRU(3, options)),
            AnyLayer(GRU(3, before)), AnyLayer(SimpleRNN(3, options))})
        CHECK(layers_same({InputLayer({None, 4}), Masking(0.5), layer}, {.max_steps = 7}));
    }
  for (const char* mode : {"concat", "sum", "mul", "ave", "none"}) {
    auto x = Input({6, 4});
    const auto lstm = LSTM(3, {.return_sequences = true, .return_state = true});
    const auto all = Bidirectional(lstm, {.merge_mode = mode})(Masking()(x));
    std::vector<SymbolicTensor> outputs;
    for (std::size_t i = 0; i < all.count(); ++i) outputs.push_back(all[static_cast<int>(i)]);
    Model model({x}, outputs);
    draw_weights(model);
    CHECK(same_in_c(model));
  }
  CHECK(layer_same(Bidirectional(GRU(3)), {6, 4}));
  CHECK(layer_same(RNN(GRUCell(3)), {6, 4}));
  for (const bool backwards : {false, true})
    CHECK(layers_same({InputLayer({6, 4}), Masking(),
                       RNN(StackedRNNCells(LSTMCell(3), GRUCell(2), SimpleRNNCell(4)),
                           {.return_sequences = true,
                            .go_backwards = backwards,
                            .zero_output_for_mask = true})}));
  auto x = Input({6, 4}), h = Input({3}), c = Input({3});
  CHECK(same_in_c(Model({x, h, c}, {LSTM(3)({x, h, c})})));
}

TEST_CASE("convolutional LSTMs in C" * with_compiler) {
  for (const char* format : {"channels_last", "channels_first"})
    for (const bool sequences : {false, true}) {
      ConvLSTMOptions options{.strides = 2,
                              .padding = "same",
                              .data_format = format,
                              .recurrent_activation = "hard_sigmoid",
                              .return_sequences = sequences};
      CHECK(layer_same(ConvLSTM1D(3, 2, options), {4, 5, 6}));
      options.go_backwards = true;
      options.use_bias = false;
      CHECK(layer_same(ConvLSTM2D(3, {2, 3}, options), {4, 5, 6, 7}));
      options.strides = 1;
      options.dilation_rate = {2, 1, 1};
      options.padding = "valid";
      CHECK(layer_same(ConvLSTM3D(2, 2, options), {3, 4, 3, 3, 4}));
      CHECK(layer_same(
          Bidirectional(ConvLSTM1D(3, 2, {.data_format = format, .return_sequences = sequences})),
          {4, 5, 6}));
    }
  CHECK(layers_same({InputLayer({6, 8}), Masking(), TimeDistributed(Reshape({4, 2})),
                     ConvLSTM1D(3, 3, {.return_sequences = true, .zero_output_for_mask = true})}));
  CHECK(layers_same({InputLayer({None, 4, 2}), ConvLSTM1D(3, 3)}, {.max_steps = 7}));
  auto x = Input({3, 2, 6}), h = Input({4, 5}), c = Input({4, 5});
  const auto all =
      ConvLSTM1D(4, 2, {.data_format = "channels_first", .return_state = true})({x, h, c});
  CHECK(same_in_c(Model({x, h, c}, {all[0], all[1], all[2]})));
}

TEST_CASE("convolutions and poolings in C" * with_compiler) {
  for (const char* format : {"channels_last", "channels_first"})
    for (const char* padding : {"valid", "same"}) {
      const ConvolutionOptions one{.strides = 2, .padding = padding, .data_format = format};
      const ConvolutionOptions two{.padding = padding,
                                   .data_format = format,
                                   .dilation_rate = {2, 1},
                                   .groups = 2,
                                   .activation = "softmax"};
      CHECK(layer_same(Conv1D(4, 3, one), {8, 6}));
      CHECK(layer_same(Conv2D(4, {3, 2}, two), {8, 6, 8}));
      CHECK(layer_same(DepthwiseConv1D(3, {.padding = padding, .data_format = format}), {8, 6}));
      CHECK(layer_same(
          DepthwiseConv2D(
              {3, 2},
              {.strides = 2, .padding = padding, .depth_multiplier = 3, .data_format = format}),
          {8, 6, 5}));
      CHECK(layer_same(SeparableConv1D(5, 3, {.padding = padding, .data_format = format}), {8, 6}));
      CHECK(layer_same(SeparableConv2D(5, {2, 3}, {.padding = padding, .data_format = format}),
                       {8, 6, 5}));
      CHECK(layer_same(
          Conv1DTranspose(5, 3, {.strides = 2, .padding = padding, .data_format = format}),
          {8, 6}));
      CHECK(layer_same(Conv2DTranspose(5, {2, 3},
                                       {.strides = {3, 2},
                                        .padding = padding,
                                        .output_padding = PerAxis{1},
                                        .data_format = format}),
                       {8, 6, 5}));
      CHECK(layer_same(MaxPooling1D(3, {.strides = 2, .padding = padding, .data_format = format}),
                       {8, 6}));
      CHECK(layer_same(AveragePooling2D({3, 2}, {.padding = padding, .data_format = format}),
                       {8, 6, 5}));
      CHECK(layer_same(GlobalMaxPooling2D({.data_format = format, .keepdims = true}), {8, 6, 5}));
      CHECK(layer_same(Conv3D(4, {2, 3, 2}, one), {6, 5, 4, 4}));
      CHECK(layer_same(Conv3DTranspose(4, {2, 3, 2}, {.strides = 2, .padding = padding}),
                       {3, 4, 2, 3}));
      CHECK(layer_same(MaxPooling3D(2, {.padding = padding, .data_format = format}), {5, 4, 6, 4}));
      CHECK(layer_same(AveragePooling3D({2, 3, 2}, {.padding = padding, .data_format = format}),
                       {5, 4, 6, 4}));
      CHECK(layer_same(ZeroPadding3D({.padding = {{1, 0}, {0, 2}, {1, 1}}, .data_format = format}),
                       {2, 3, 4, 3}));
      CHECK(layer_same(Cropping3D({.cropping = 1, .data_format = format}), {4, 3, 5, 4}));
      CHECK(layer_same(UpSampling3D({.size = {2, 1, 3}, .data_format = format}), {2, 3, 2, 4}));
      CHECK(layer_same(ZeroPadding2D({.padding = {{1, 2}, {0, 3}}, .data_format = format}),
                       {4, 5, 3}));
      CHECK(
          layer_same(Cropping2D({.cropping = {{1, 1}, {0, 2}}, .data_format = format}), {4, 5, 3}));
      CHECK(layer_same(UpSampling2D({.size = {2, 3}, .data_format = format}), {4, 5, 3}));
      CHECK(layer_same(
          UpSampling2D({.size = {2, 3}, .data_format = format, .interpolation = "bilinear"}),
          {4, 5, 3}));
    }
  CHECK(layers_same({InputLayer({None, 3}), ZeroPadding1D(), Conv1D(4, 3, {.padding = "causal"}),
                     Conv1D(4, 2, {.strides = 2, .padding = "same"}), MaxPooling1D(2),
                     Conv1DTranspose(3, 2), UpSampling1D(), Cropping1D(), GlobalAveragePooling1D()},
                    {.max_steps = 21}));
  CHECK(layers_same({InputLayer({6, 3}), Masking(), GlobalAveragePooling1D()}));
}

TEST_CASE("normalizations in C" * with_compiler) {
  CHECK(layer_same(BatchNormalization(), {3, 4}));
  CHECK(layer_same(BatchNormalization({.axis = 1, .center = false}), {3, 4, 2}));
  CHECK(layer_same(LayerNormalization(), {3, 4}));
  CHECK(layer_same(LayerNormalization({.axis = {1, -1}, .scale = false}), {3, 4, 2}));
  CHECK(layer_same(GroupNormalization({.groups = 2}), {3, 4}));
  CHECK(layer_same(GroupNormalization({.groups = -1, .axis = 1}), {3, 4, 2}));
  CHECK(layer_same(RMSNormalization({.axis = {1}}), {3, 4}));
  CHECK(layer_same(UnitNormalization({.axis = {1, 2}}), {3, 4}));
  CHECK(layer_same(SpectralNormalization(Dense(3)), {4}));
  CHECK(layer_same(Rescaling({2, 3}, {.offset = {-1, 0.5}}), {3, 2}));
  Normalization by_data({.axis = {1}});
  by_data.adapt(Random(1).normal({20, 3, 4}, 2, 3));
  CHECK(same_in_c(Sequential({InputLayer({3, 4}), by_data})));
  const std::vector<float> mean{1, 2}, variance{4, 9};
  CHECK(layer_same(Normalization({.mean = Tensor::view(mean.data(), {2}),
                                  .variance = Tensor::view(variance.data(), {2}),
                                  .invert = true}),
                   {3, 2}));
}

TEST_CASE("attention in C" * with_compiler) {
  auto q = Input({None, 4}), v = Input({None, 4});
  auto query = Masking()(q), value = Masking()(v);
  std::vector<SymbolicTensor> outputs{
      Attention({.use_scale = true})({query, value}),
      Attention({.use_scale = true, .score_mode = "concat"})({q, value}),
      AdditiveAttention({.use_causal_mask = true})({query, value, v}),
      MultiHeadAttention(2, 3, {.value_dim = 2, .output_shape = {5}})({query, value}),
      MultiHeadAttention(2, 3, {.use_bias = false, .sliding_window = 2, .use_gate = true})({q, v}),
      GroupQueryAttention(3, 4, 2, {.use_causal_mask = true})({q, value}),
      AttentionLayer(3)(value)};
  const auto both = MultiHeadAttention(2, 3, {.return_attention_scores = true})({query, v});
  outputs.push_back(both[0]);
  outputs.push_back(both[1]);
  Model model({q, v}, outputs);
  draw_weights(model);
  CHECK(same_in_c(model, {.max_steps = 5}));
}

TEST_CASE("attention over several axes in C" * with_compiler) {
  auto x = Input({3, 4, 6}), other = Input({2, 5, 6});
  for (const std::vector<int>& axes :
       {std::vector<int>{}, std::vector<int>{1, 2}, std::vector<int>{2, 1}, std::vector<int>{1},
        std::vector<int>{2}, std::vector<int>{-2}}) {
    for (int axis : axes) CAPTURE(axis);
    MultiHeadAttention attention(
        2, 3, {.output_shape = {5}, .attention_axes = axes, .return_attention_scores = true});
    const auto self = attention({x, x});
    std::vector<SymbolicTensor> outputs{self[0], self[1]};
    if (axes.size() != 1)
      outputs.push_back(MultiHeadAttention(2, 3, {.attention_axes = axes})({x, other}));
    else
      outputs.push_back(MultiHeadAttention(2, 3, {.attention_axes = axes})({x, x * 2, x + 1}));
    std::vector<SymbolicTensor> inputs{x};
    if (axes.size() != 1) inputs.push_back(other);
    Model model(inputs, outputs);
    draw_weights(model);
    CHECK(same_in_c(model));
  }
}

TEST_CASE("merges and shapes in C" * with_compiler) {
  auto a = Input({5, 4}), b = Input({5, 4}), small = Input({4});
  auto x = Masking()(a), y = Masking()(b);
  std::vector<SymbolicTensor> outputs{Add()({x, y, small}),
                                      Subtract()({a, b}),
                                      Multiply()({x, y}),
                                      Multiply()({x, b}),
                                      Average()({a, b, a}),
                                      Maximum()({x, y}),
                                      Maximum()({x, b}),
                                      Minimum()({a, y}),
                                      Concatenate()({x, b}),
                                      Concatenate(1)({x, b}),
                                      Dot(2, {.normalize = true})({a, b}),
                                      Dot({2, 1})({a, small}),
                                      Dot(1)({small, small}),
                                      Permute({2, 1})(a),
                                      Reshape({2, -1})(a),
                                      Flatten()(a),
                                      RepeatVector(3)(small),
                                      Flatten({.data_format = "channels_first"})(a)};
  // Masks behind the merges.
  for (std::size_t i : {0, 2, 5, 8, 9}) outputs.push_back(LSTM(2)(outputs[i]));
  Model model({a, b, small}, outputs);
  draw_weights(model);
  CHECK(same_in_c(model));
}

TEST_CASE("operations between symbolic tensors in C" * with_compiler) {
  auto a = Input({5, 4}), b = Input({5, 4}), column = Input({5, 1});
  std::vector<SymbolicTensor> outputs{a + b,
                                      2 / (abs(a) + 1),
                                      a * column - 0.5,
                                      tanh(a) * sigmoid(b) + square(a),
                                      maximum(a, b),
                                      power(abs(a) + 0.1, 1.5),
                                      exp(-a),
                                      log(abs(a) + 1),
                                      sum(a, {1}),
                                      mean(a, {2}, true),
                                      max(a, {1, 2}),
                                      min(a, {-1}),
                                      softmax(a, 1),
                                      gelu(a, false),
                                      leaky_relu(a),
                                      a + full({4}, 0.25),
                                      a * full({1, 5, 1}, 3.0)};
  CHECK(same_in_c(Model({a, b, column}, outputs)));
}

TEST_CASE("images in C" * with_compiler) {
  CHECK(layers_same({InputLayer({7, 8, 2}), RandomFlip(), RandomRotation(0.1), RandomZoom(0.1),
                     RandomTranslation(0.1, 0.1), RandomBrightness(0.1), RandomContrast(0.1),
                     CenterCrop(4, 5), Flatten()}));
  CHECK(layer_same(CenterCrop(4, 4, {.data_format = "channels_first"}), {2, 7, 8}));
}

TEST_CASE("operations that move numbers, in C" * with_compiler) {
  auto a = Input({5, 4}), b = Input({5, 4}), image = Input({3, 4, 2});
  std::vector<SymbolicTensor> outputs{
      slice(a, {All(), -1}),
      slice(a, {All(), All(), 2}),
      slice(image, {All(), range(1, 3), 0, range(Range::open, Range::open, -1)}),
      slice(image, {All(), All(), range(-1, Range::open, -2)}),
      reshape(a, {-1, 2, 10}),
      expand_dims(a, 1),
      expand_dims(a, -1),
      squeeze(expand_dims(a, 2), {2}),
      transpose(a, {0, 2, 1}),
      transpose(image, {0, 3, 1, 2}),
      swapaxes(image, 1, -1),
      moveaxis(image, 1, 3),
      concatenate({a, b}, 1),
      concatenate({a, b, a}),
      stack({a, b}, 1),
      stack({a, b}, -1),
      flip(image, {1, 3}),
      clip(a, -0.5, 0.75),
      where(a > b, a, b),
      where(a < 0.0, 0.25, a),
      any(a > 1.0, {1}),
      any(a > 0.5, {2}, true)};
  const auto parts = split(image, 2, 2);
  outputs.push_back(parts[0]);
  outputs.push_back(parts[1] * 2);
  CHECK(same_in_c(Model({a, b, image}, outputs)));

  auto x = Input({None, 4});
  CHECK(same_in_c(Model({x}, {slice(x, {All(), -2}), slice(x, {All(), All(), range(1, 3)}),
                              flip(x, {1}), transpose(x, {0, 2, 1}), concatenate({x, x}, 1),
                              any(x > 1.0, {1}), clip(expand_dims(x, 1), 0, 1)}),
                  {.max_steps = 6}));
}

TEST_CASE("a mask for attention, and an input that nothing reads, in C" * with_compiler) {
  auto x = Input({6, 4}), m = Input({6}), may = Input({6, 6}, {.dtype = boolean});
  Model model({x, m, may}, {MultiHeadAttention(2, 3)({x, x, x, may}), LSTM(3)(x)});
  CHECK(same_in_c(model));
}

TEST_CASE("sums of products along any axes in C" * with_compiler) {
  CHECK(layers_same({InputLayer({5, 4}), EinsumDense("abc,cd->abd", {None, 6}, {.bias_axes = "d"}),
                     EinsumDense("abc,bd->acd", {6, 3}, {.activation = "tanh", .bias_axes = "cd"}),
                     EinsumDense("abc,bcde->ade", {2, 7}, {.bias_axes = "d"}),
                     EinsumDense("...x,xy->...y", {3})}));
  CHECK(layers_same({InputLayer({None, 4}),
                     EinsumDense("...bc,cd->...bd", {None, 3}, {.bias_axes = "d"}), LSTM(2)},
                    {.max_steps = 6}));
}

TEST_CASE("a layer or a model on each step in C" * with_compiler) {
  CHECK(layers_same({InputLayer({None, 4, 4, 1}), TimeDistributed(Conv2D(2, 2)),
                     TimeDistributed(Flatten()), GRU(3)},
                    {.max_steps = 4}));
  Sequential inner({Dense(3, {.activation = "tanh", .input_shape = {4}}), Dense(2)});
  CHECK(layers_same({InputLayer({5, 4}), TimeDistributed(inner), Flatten(), Dense(2)}));
}

TEST_CASE("ids, texts of several lengths, and float64 in C" * with_compiler) {
  auto text = Input({None}, {.dtype = int32}), other = Input({None});
  auto words = Embedding(9, 3, {.mask_zero = true})(text);
  auto h = LSTM(4)(words), g = GRU(4, {.go_backwards = true})(Embedding(5, 3)(other));
  CHECK(same_in_c(Model({text, other}, {Dense(2)(Concatenate()({h, g}))}), {.max_steps = 6}));

  set_floatx(float64);
  Sequential model({LSTM(4, {.activation = "selu", .input_shape = {5, 3}}),
                    Dense(3, {.activation = "gelu"}), Dense(2, {.activation = "softplus"})});
  set_floatx(float32);
  CHECK(same_in_c(model));
}

}  // namespace keratin

TEST_SUITE_END();
