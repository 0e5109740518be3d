// Layers made of a few ops, beyond what the golden values show: gradients, noise, shapes that are
// not known, dtypes, errors. Each layer is in made(), where most tests find it.

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <keratin/keratin.h>
#include <keratin/layers/gradcheck.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

struct Made {
  AnyLayer layer;
  Shape shape;  // of an input
};

const Shape matrix{3, 4}, cube{2, 5, 4}, image{2, 3, 4, 2}, volume{2, 3, 3, 4, 2};

std::vector<Made> made() {
  const std::string first = "channels_first";
  return {
      {ReLU(), cube},
      {ReLU({.max_value = 1, .negative_slope = 0.25, .threshold = 0.5}), cube},
      {LeakyReLU({.negative_slope = 0.1}), cube},
      {PReLU({.alpha_initializer = "ones"}), cube},
      {PReLU({.shared_axes = {1, 2}}), image},
      {ELU({.alpha = 0.5}), cube},
      {Softmax(), cube},
      {Softmax({.axis = {1, 2}}), cube},
      {Dropout(0.5, {.noise_shape = {None, 1, 4}}), cube},
      {SpatialDropout1D(0.5), cube},
      {SpatialDropout2D(0.5), image},
      {SpatialDropout3D(0.5, {.data_format = first}), volume},
      {GaussianNoise(0.5), cube},
      {GaussianDropout(0.5), cube},
      {AlphaDropout(0.25), cube},
      {ActivityRegularization({.l1 = 0.5, .l2 = 0.25}), cube},
      {GroupNormalization({.groups = 2}), cube},
      {GroupNormalization({.groups = -1, .axis = 1}), image},
      {UnitNormalization(), cube},
      {UnitNormalization({.axis = {1, 2}}), cube},
      {RMSNormalization(), cube},
      {RMSNormalization({.axis = {1}}), cube},
      {Resizing(4, 3), image},
      {Resizing(2, 6, {.interpolation = "nearest", .data_format = first}), image},
      {CenterCrop(2, 3), image},
      {RandomFlip({.mode = "vertical"}), image},
      {RandomRotation(0.1, {.fill_mode = "constant"}), image},
      {RandomZoom({0.1, 0.2}), image},
      {RandomZoom(0.1, {.width_factor = RandomRange(-0.2, 0.1), .interpolation = "nearest"}),
       image},
      {RandomTranslation({0.1, 0.2}, 0.1, {.data_format = first}), image},
      {RandomBrightness({-0.1, 0.2}), image},
      {RandomContrast(0.2, {.value_range = {-5, 5}}), image},
      {ZeroPadding1D({.padding = {2, 1}, .data_format = first}), cube},
      {ZeroPadding2D({.padding = {{1, 0}, {0, 2}}}), image},
      {ZeroPadding3D({.padding = {0, 1, 2}}), volume},
      {Cropping1D({.cropping = {2, 1}}), cube},
      {Cropping2D({.cropping = {{1, 0}, {0, 1}}, .data_format = first}), image},
      {Cropping3D({.cropping = {1, 0, 1}}), volume},
      {UpSampling1D(), cube},
      {UpSampling2D({.size = {2, 3}}), image},
      {UpSampling2D({.size = {2, 3}, .data_format = first, .interpolation = "bilinear"}), image},
      {UpSampling3D({.size = {1, 2, 3}}), volume},
      {Rescaling(0.5, {.offset = -1}), cube},
      {Rescaling({0.5, 2, 1, -1}, {.offset = {1, 2, 3, 4}}), cube},
      {IdentityLayer(), cube},
      {Flatten({.data_format = first}), image}};
}

Tensor normal(const Shape& shape, DType dtype = float32) {
  return Random(1).normal(shape, 0, 1, dtype);
}
bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && all(a == b).item() == 1;
}
double largest(const Tensor& x) { return max(abs(x)).item(); }
/// Whether x is the same all along these axes.
bool constant_along(const Tensor& x, const std::vector<int>& axes) {
  return same(max(x, axes), min(x, axes));
}

}  // namespace

// --- what all of them do

TEST_CASE("the gradients of simple layers are those of differences, with and without noise") {
  for (const Made& one : made()) {
    CAPTURE(one.layer->class_name());
    for (bool training : {false, true})
      CHECK(gradcheck_layer(*one.layer, {normal(one.shape)}, {.training = training}));
  }
  SpectralNormalization spectral(Dense(3));
  CHECK(gradcheck(spectral, normal(matrix)));
  Tensor mask = tensor({{1, 0, 1, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}}).astype(boolean);
  CHECK(gradcheck(Softmax(), normal(matrix), {.mask = mask}));
  for (AnyLayer layer : {AnyLayer(GroupNormalization({.groups = 2})), AnyLayer(UnitNormalization()),
                         AnyLayer(RMSNormalization()), AnyLayer(Softmax({.axis = {0, 1}}))})
    CHECK(gradcheck_layer(*layer, {normal(matrix)}, {}, {.order = 2}));
}

TEST_CASE("float32 stays float32, and float64 stays float64") {
  for (DType dtype : {float32, float64})
    for (const Made& one : made()) {
      CAPTURE(one.layer->class_name());
      one.layer->set_dtype(dtype);
      for (bool training : {false, true}) {
        Tensor y = (*one.layer)(normal(one.shape, dtype), {.training = training});
        CHECK(y.dtype() == dtype);
      }
    }
}

TEST_CASE("the shapes that layers state are those of their outputs; None stays None") {
  for (const Made& one : made()) {
    CAPTURE(one.layer->class_name());
    const Shape shape = Tensor((*one.layer)(normal(one.shape))).shape();
    CHECK(one.layer->compute_output_shape(one.shape) == shape);
    CHECK(one.layer->compute_output_shape(one.shape.with(0, None)) == shape.with(0, None));
  }
  CHECK(Cropping2D().compute_output_shape({None, None, 7, 3}) == Shape{None, None, 5, 3});
  CHECK(ZeroPadding1D().compute_output_shape({None, None, 3}) == Shape{None, None, 3});
  CHECK(UpSampling3D({.size = {1, 2, 3}, .data_format = "channels_first"})
            .compute_output_shape({None, 2, 5, None, 5}) == Shape{None, 2, 5, None, 15});
  CHECK(Flatten({.data_format = "channels_first"}).compute_output_shape({None, 2, None}) ==
        Shape{None, None});
}

TEST_CASE("layers around a mask pass it on as in Keras") {
  Tensor x = ones(cube), mask = ones({2, 5}, boolean);
  for (AnyLayer layer : {AnyLayer(ReLU()), AnyLayer(PReLU()), AnyLayer(SpatialDropout1D(0.5)),
                         AnyLayer(GroupNormalization({.groups = 2})), AnyLayer(IdentityLayer()),
                         AnyLayer(Rescaling(2)), AnyLayer(ActivityRegularization()),
                         AnyLayer(SpectralNormalization(Dense(2)))})  // as the layer inside
    CHECK(layer->call_with_mask(x, {.mask = mask}).second.defined());
  for (AnyLayer layer :
       {AnyLayer(RMSNormalization()), AnyLayer(SpectralNormalization(Conv1D(2, 1)))})
    CHECK_FALSE(layer->call_with_mask(x, {.mask = mask}).second.defined());
}

TEST_CASE("a model of many simple layers learns") {
  set_random_seed(1);
  Sequential model({ZeroPadding2D({.padding = 1, .input_shape = {4, 4, 2}}), Cropping2D(),
                    UpSampling2D({.interpolation = "bilinear"}), GroupNormalization({.groups = 2}),
                    PReLU({.shared_axes = {1, 2}}), SpatialDropout2D(0.1), GaussianNoise(0.1),
                    Flatten({.data_format = "channels_first"}),
                    SpectralNormalization(Dense(8, {.activation = "selu"})), AlphaDropout(0.1),
                    RMSNormalization(), ActivityRegularization({.l2 = 0.01}), GaussianDropout(0.1),
                    Rescaling({1, 2, 1, 2, 1, 2, 1, 2}, {.offset = 0.5}), LeakyReLU(), Dense(2),
                    UnitNormalization(), Softmax()});
  Tensor x = Random(2).normal({64, 4, 4, 2}), label = (mean(x, {1, 2, 3}) > 0.0).astype(int32);
  model.compile({.optimizer = Adam(0.01), .loss = "sparse_categorical_crossentropy"});
  History history = model.fit(x, label, {.batch_size = 16, .epochs = 8, .verbose = 0});
  CHECK(history["loss"].back() < 0.9 * history["loss"].front());
}

// --- activations

TEST_CASE("softmax's mask of whole steps has one truth for all features of a step") {
  Tensor x = normal({2, 3, 4}), mask = tensor({{1, 0, 1}, {0, 0, 0}}).astype(boolean);
  Tensor y = Softmax({.axis = {1}})(x, {.mask = mask});
  CHECK(largest(slice(y, {0, 1})) == 0);
  CHECK(largest(y[1]) == 0);
  CHECK(largest(sum(y[0], 0) - 1.0) < 1e-6);
}

TEST_CASE("NaN behind softmax's mask reaches neither values nor gradients") {
  Tensor x = tensor({{1, std::nan(""), 2}}), mask = tensor({{1, 0, 1}}).astype(boolean);
  for (std::vector<int> axis : {std::vector<int>{-1}, std::vector<int>{0, 1}}) {
    GradientTape tape;
    tape.watch(x);
    Tensor y = Softmax({.axis = axis})(x, {.mask = mask});
    CHECK(all(isfinite(y)).item() == 1);
    CHECK(all(isfinite(tape.gradient(y * y, x))).item() == 1);
  }
}

// --- noise

TEST_CASE("spatial dropout leaves out whole channels, and keeps the mean") {
  struct Case {
    AnyLayer layer;
    Shape shape;
    std::vector<int> places;
  };
  const Case cases[]{
      {SpatialDropout1D(0.25), {50, 3, 60}, {1}},
      {SpatialDropout2D(0.25), {50, 2, 3, 60}, {1, 2}},
      {SpatialDropout2D(0.25, {.data_format = "channels_first"}), {50, 60, 2, 3}, {2, 3}},
      {SpatialDropout3D(0.25), {50, 2, 3, 2, 60}, {1, 2, 3}},
      {SpatialDropout3D(0.25, {.data_format = "channels_first"}), {50, 60, 2, 3, 2}, {2, 3, 4}}};
  set_random_seed(3);
  for (const Case& one : cases) {
    CAPTURE(one.shape);
    Tensor x = ones(one.shape), y = (*one.layer)(x, {.training = true});
    CHECK(constant_along(y, one.places));
    Tensor dropped = max(y, one.places) == 0.0;  // (batch, channels)
    CHECK(mean(dropped.astype(float64)).item() == doctest::Approx(0.25).epsilon(0.1));
    CHECK_FALSE(constant_along(dropped.astype(int32), {0}));
    CHECK_FALSE(constant_along(dropped.astype(int32), {1}));
    CHECK(largest(where(y == 0.0, 0.0, y - 4.0 / 3)) < 1e-6);
    CHECK(same((*one.layer)(x), x));
  }
}

TEST_CASE("a noise shape says which axes share the noise") {
  set_random_seed(3);
  Tensor x = ones({20, 6, 30});
  Tensor y = Dropout(0.5, {.noise_shape = {None, 1, 30}})(x, {.training = true});
  CHECK(constant_along(y, {1}));
  CHECK_FALSE(constant_along(y, {0}));
  CHECK_FALSE(constant_along(y, {2}));
  y = AlphaDropout(0.5, {.noise_shape = {1, None, None}})(x, {.training = true});
  CHECK(constant_along(y, {0}));
  CHECK_FALSE(constant_along(y, {1}));
}

TEST_CASE("Gaussian noise has the mean and the spread that its layer says") {
  set_random_seed(3);
  Tensor x = full({300, 400}, 3);
  auto spread = [](const Tensor& t) { return keratin::std(t).item(); };
  Tensor y = GaussianNoise(0.5)(x, {.training = true});
  CHECK(mean(y).item() == doctest::Approx(3).epsilon(0.003));
  CHECK(spread(y) == doctest::Approx(0.5).epsilon(0.01));
  y = GaussianDropout(0.2)(x, {.training = true});  // times 1, give or take sqrt(0.2 / 0.8)
  CHECK(mean(y).item() == doctest::Approx(3).epsilon(0.01));
  CHECK(spread(y) == doctest::Approx(1.5).epsilon(0.01));
  CHECK(same(GaussianNoise(0.5)(x), x));
  CHECK(same(GaussianDropout(0.5)(x), x));
  CHECK(same(GaussianNoise(0)(x, {.training = true}), x));
}

TEST_CASE("alpha dropout keeps mean 0 and variance 1") {
  set_random_seed(3);
  Tensor x = Random(5).normal({300, 400});
  for (double rate : {0.1, 0.5}) {
    Tensor y = AlphaDropout(rate)(x, {.training = true});
    CHECK(std::abs(mean(y).item()) < 0.01);
    CHECK(var(y).item() == doctest::Approx(1).epsilon(0.02));
    const double least = -1.7580993408473766,
                 a = 1 / std::sqrt((1 - rate) * (1 + rate * least * least));
    Tensor dropped = abs(y - a * (1 - rate) * least) < 1e-5;
    CHECK(mean(dropped.astype(float64)).item() == doctest::Approx(rate).epsilon(0.03));
    Tensor kept = where(dropped, 0.0, y - (a * x - a * rate * least));
    CHECK(largest(kept) < 1e-5);
  }
}

TEST_CASE("a seed repeats the noise of a layer, call by call") {
  Tensor x = ones({4, 3, 2, 5});
  auto check = [&](const auto& make) {
    AnyLayer a = make(7), b = make(7), c = make(8);
    const CallOptions training{.training = true};
    Tensor first = a(x, training), second = a(x, training);
    CHECK(same(first, b(x, training)));
    CHECK(same(second, b(x, training)));
    CHECK_FALSE(same(first, second));
    CHECK_FALSE(same(first, c(x, training)));
  };
  using Seed = std::uint64_t;
  check([](Seed seed) { return AnyLayer(SpatialDropout2D(0.5, {.seed = seed})); });
  check([](Seed seed) { return AnyLayer(GaussianNoise(0.5, {.seed = seed})); });
  check([](Seed seed) { return AnyLayer(GaussianDropout(0.5, {.seed = seed})); });
  check([](Seed seed) { return AnyLayer(AlphaDropout(0.5, {.seed = seed})); });
}

TEST_CASE("activity regularization costs l1 and l2 of the inputs, divided by the batch size") {
  LayerLosses losses;
  ActivityRegularization layer({.l1 = 0.5, .l2 = 0.25});
  layer(tensor({{1, -2}, {3, 0}}));
  REQUIRE(losses.values().size() == 1);
  CHECK(losses.values()[0].item() == doctest::Approx((0.5 * 6 + 0.25 * 14) / 2));
  AnyLayer again = layer_from_config("ActivityRegularization", layer.get_config());
  again(tensor({{1, -2}, {3, 0}}));
  CHECK(losses.values()[1].item() == losses.values()[0].item());
}

// --- normalisation

TEST_CASE("a vector of zeros stays one, with a finite gradient") {
  Tensor x = zeros({1, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor y = UnitNormalization()(x);
  CHECK(largest(y) == 0);
  CHECK(all(isfinite(tape.gradient(y, x))).item() == 1);
}

TEST_CASE("root mean square normalization scales along its own axis, whichever it is") {
  Tensor x = normal({2, 3, 3}, float64);
  RMSNormalization layer({.axis = {1}}), last;
  layer.set_dtype(float64);
  last.set_dtype(float64);
  layer.ensure_built(x.shape());
  last.ensure_built(x.shape());
  layer.set_weights({tensor({1, 2, 3}, float64)});
  last.set_weights({tensor({1, 2, 3}, float64)});
  CHECK(largest(layer(x) - swapaxes(last(swapaxes(x, 1, 2)), 1, 2)) < 1e-12);
}

TEST_CASE("training makes the spectral norm of a kernel 1") {
  set_random_seed(3);
  SpectralNormalization layer(Dense(3), {.power_iterations = 50});
  Tensor x = normal(matrix);
  layer(x);
  Tensor before = layer.get_weights()[0];
  CHECK(same(layer.get_weights()[0], before));  // nothing changes but in training
  layer(x, {.training = true});
  std::vector<Tensor> after = layer.get_weights();  // kernel, u, bias
  // The largest of |W v| over many unit vectors v.
  Tensor v = UnitNormalization()(Random(4).normal({20000, 3}));
  CHECK(max(norm(dot(v, transpose(after[0])), -1)).item() == doctest::Approx(1).epsilon(1e-3));
  Tensor ratio = before / after[0];
  CHECK(largest(ratio / mean(ratio) - 1.0) < 1e-4);
  CHECK(norm(after[1]).item() == doctest::Approx(1));

  layer.set_weights({zeros({4, 3}), after[1], after[2]});
  layer(x, {.training = true});
  CHECK(largest(layer.get_weights()[0]) == 0);
  CHECK(same(layer.get_weights()[1], after[1]));
}

TEST_CASE("spectral normalization takes embeddings, and gives floats for ids") {
  SpectralNormalization layer(Embedding(5, 3, {.mask_zero = true}), {.power_iterations = 50});
  Tensor y = layer(tensor({{1, 0}}, int32), {.training = true});
  CHECK(y.shape() == Shape{1, 2, 3});
  CHECK(y.dtype() == float32);
  Tensor table = layer.get_weights()[0];
  CHECK(same(slice(y, {0, 0}), table[1]));
  Tensor v = UnitNormalization()(Random(4).normal({20000, 3}));
  CHECK(max(norm(dot(v, transpose(table)), -1)).item() == doctest::Approx(1).epsilon(1e-3));
}

TEST_CASE("the weights of spectral normalization come once, in Keras's order, in every copy") {
  SpectralNormalization layer(Dense(3, {.name = "d"}), {.name = "s"});
  Sequential model({layer, Dense(2, {.name = "e"})});
  model.build(matrix);
  auto paths = [](const std::vector<Weight>& weights) {
    std::vector<std::string> list;
    for (const Weight& weight : weights) list.push_back(weight.path());
    return list;
  };
  const std::string name = model.name();
  CHECK(paths(model.weights()) == std::vector<std::string>{name + "/s/d/kernel",
                                                           name + "/s/vector_u", name + "/s/d/bias",
                                                           name + "/e/kernel", name + "/e/bias"});
  CHECK(model.count_params() == 12 + 3 + 3 + 8);  // each 4 by 3, then 3 by 2 and a bias
  layer(normal(matrix));                          // another object of the layer in the model
  CHECK(layer.weights().size() == 3);
  CHECK(layer.trainable_weights().size() == 2);
  SpectralNormalization other = clone(layer);
  other(normal(matrix));
  CHECK(other.weights().size() == 3);
  CHECK(other.weights()[0].path() == "s/d/kernel");
  CHECK_FALSE(other.weights()[0] == layer.weights()[0]);
}

TEST_CASE("spectral normalization gives the gradient with respect to the divided kernel") {
  SpectralNormalization layer(Dense(3));
  Tensor x = normal(matrix);
  layer.ensure_built(matrix);
  GradientTape tape;
  Tensor y = layer(x, {.training = true});
  std::vector<Tensor> g = tape.gradient(sum(y * y), {layer.trainable_weights()[0].value()});
  GradientTape again;
  Tensor z = layer(x);
  std::vector<Tensor> expected = again.gradient(sum(z * z), {layer.trainable_weights()[0].value()});
  CHECK(same(y, z));
  CHECK(largest(g[0] - expected[0]) < 1e-5);
  GradientTape twice;
  twice.watch(x);
  Tensor sum_of_two = sum(layer(x, {.training = true}) + layer(x, {.training = true}));
  CHECK(error_of([&] {
          twice.gradient(sum_of_two, x);
        }).ends_with("that the backward pass needs was overwritten in place since"));
}

// --- shapes and values

TEST_CASE("bilinear upsampling is a straight line between the middles of entries") {
  Tensor x = tensor({{1, 5}}).reshape({1, 2, 1, 1});
  Tensor y = UpSampling2D({.size = {4, 1}, .interpolation = "bilinear"})(x);
  CHECK(same(y.reshape({8}), tensor({1, 1, 1.5, 2.5, 3.5, 4.5, 5, 5})));
  Tensor one = UpSampling2D({.size = 3, .interpolation = "bilinear"})(ones({1, 1, 1, 2}));
  CHECK(same(one, ones({1, 3, 3, 2})));
}

TEST_CASE("rescaling takes integers, and a number for each channel") {
  Tensor x = tensor({{0, 255}, {51, 102}}, int32);
  Tensor y = Rescaling(1 / 127.5, {.offset = -1})(x);
  CHECK(y.dtype() == float32);
  CHECK(largest(y - tensor({{-1, 1}, {-0.6, -0.2}})) < 1e-6);
  y = Rescaling({1, 2}, {.offset = {10, 20}})(x);
  CHECK(same(y, tensor({{10, 530}, {61, 224}})));
  // Keras writes an array of NumPy as an object.
  const Config array{{"class_name", "__numpy__"},
                     {"config", Config{{"value", std::vector<Option>{1, 2}}}}};
  AnyLayer read = layer_from_config("Rescaling", {{"scale", array}, {"offset", 1}});
  CHECK(same(read(x), tensor({{1, 511}, {52, 205}})));
}

TEST_CASE("the identity takes several inputs, and gives them back") {
  Tensors both = IdentityLayer()({ones({2, 3}), zeros({2, 4})});
  REQUIRE(both.size() == 2);
  CHECK(both[1].shape() == Shape{2, 4});
  clear_session();
  CHECK(IdentityLayer().name() == "identity");
}

TEST_CASE("margins and factors are one for all axes or one for each, in C++ and in configs") {
  auto config = [](const Layer& layer) { return layer.get_config(); };
  auto option = [&](const Layer& layer, const char* name) {
    return text_of(*find_option(static_cast<const Config&>(config(layer)), name));
  };
  CHECK(option(ZeroPadding1D({.padding = 2}), "padding") == "[2, 2]");
  CHECK(option(ZeroPadding1D({.padding = {2, 0}}), "padding") == "[2, 0]");
  CHECK(option(ZeroPadding2D({.padding = 2}), "padding") == "[[2, 2], [2, 2]]");
  CHECK(option(ZeroPadding2D({.padding = {2, 0}}), "padding") == "[[2, 2], [0, 0]]");
  CHECK(option(ZeroPadding2D({.padding = {{2, 0}, {0, 0}}}), "padding") == "[[2, 0], [0, 0]]");
  CHECK(option(Cropping3D({.cropping = {{1, 0}, {0, 2}, {3, 3}}}), "cropping") ==
        "[[1, 0], [0, 2], [3, 3]]");
  CHECK(option(UpSampling1D({.size = 3}), "size") == "3");
  CHECK(option(UpSampling2D({.size = 3}), "size") == "[3, 3]");
  CHECK(option(UpSampling3D({.size = {1, 2, 3}}), "size") == "[1, 2, 3]");
  AnyLayer read = layer_from_config("ZeroPadding2D", {{"padding", 3}});
  CHECK(option(*read, "padding") == "[[3, 3], [3, 3]]");
  read = layer_from_config("Cropping2D", {{"cropping", std::vector<Option>{1, 2}}});
  CHECK(option(*read, "cropping") == "[[1, 1], [2, 2]]");
  read = layer_from_config("UpSampling3D", {{"size", 4}});
  CHECK(option(*read, "size") == "[4, 4, 4]");
}

// --- errors

TEST_CASE("wrong options of simple layers are refused when a layer is made") {
  const std::string first = "first";
  CHECK(error_of([] { ReLU({.max_value = -1}); }) ==
        "ReLU: expected max_value of at least 0, got -1");
  CHECK(error_of([] { LeakyReLU({.negative_slope = -1}); }) ==
        "LeakyReLU: expected negative_slope of at least 0, got -1");
  CHECK(error_of([] { Softmax({.axis = {}}); }) ==
        "Softmax: expected axis of at least one number, got none");
  CHECK(error_of([] { LayerNormalization({.axis = {}}); }) ==
        "LayerNormalization: expected axis of at least one number, got none");
  CHECK(error_of([] { SpatialDropout1D(2); }) ==
        "SpatialDropout1D: expected rate between 0 and 1, got 2");
  CHECK(error_of([&] { SpatialDropout2D(0.5, {.data_format = first}); }) ==
        "SpatialDropout2D: expected data_format channels_last or channels_first, got \"first\"");
  CHECK(error_of([] { GaussianNoise(1.5); }) ==
        "GaussianNoise: expected stddev between 0 and 1, got 1.5");
  CHECK(error_of([] { GaussianDropout(1); }) ==
        "GaussianDropout: expected rate of at least 0 and below 1, got 1");
  CHECK(error_of([] { AlphaDropout(1); }) ==
        "AlphaDropout: expected rate of at least 0 and below 1, got 1");
  CHECK(error_of([] {
          Dropout(0.5, {.noise_shape = {2, 0}});
        }) == "Dropout: expected noise_shape of at least 1, or None, for each axis, got [2, 0]");
  CHECK(error_of([] { GroupNormalization({.groups = 0}); }) ==
        "GroupNormalization: expected groups of at least 1, or -1, got 0");
  CHECK(error_of([] { SpectralNormalization(Dense(1), {.power_iterations = 0}); }) ==
        "SpectralNormalization: expected power_iterations of at least 1, got 0");
  CHECK(error_of([] {
          ZeroPadding2D({.padding = {1, 2, 3}});
        }) == "ZeroPadding2D: expected padding for all axes or for each of 2, got 3");
  CHECK(error_of([] {
          ZeroPadding3D({.padding = {1, {0, -1}, 0}});
        }) == "ZeroPadding3D: expected padding of at least 0, got [[1, 1], [0, -1], [0, 0]]");
  CHECK(error_of([] { Cropping1D({.cropping = -1}); }) ==
        "Cropping1D: expected cropping of at least 0, got [-1, -1]");
  CHECK(error_of([] {
          UpSampling2D({.size = {2, 0}});
        }) == "UpSampling2D: expected size of at least 1, got [2, 0]");
  CHECK(error_of([] { UpSampling2D({.interpolation = "bicubic"}); }) ==
        "UpSampling2D: expected interpolation nearest or bilinear, got \"bicubic\"");
  CHECK(error_of([] { Rescaling({}, {}); }) ==
        "Rescaling: expected scale of at least one number, got []");
  CHECK(error_of([] { Flatten({.data_format = "channels"}); }) ==
        "Flatten: expected data_format channels_last or channels_first, got \"channels\"");
  CHECK(error_of([] {
          layer_from_config("ZeroPadding2D", {{"padding", std::vector<Option>{1, 2, 3}}});
        }) == "ZeroPadding2D: the value of option \"padding\" has the wrong type");
}

TEST_CASE("inputs that do not fit simple layers are refused, and the layer is named") {
  clear_session();
  auto error = [](AnyLayer layer, const Shape& shape, bool training = false) {
    return error_of([&] { layer(ones(shape), {.training = training}); });
  };
  PReLU prelu({.shared_axes = {1}});
  CHECK(error(PReLU({.shared_axes = {3}}), {2, 3, 4}) ==
        "p_re_lu (PReLU): expected shared_axes between 1 and 2 for an input of shape (None, 3, 4), "
        "got 3");
  prelu(ones({2, 3, 4}));
  CHECK(error(prelu, {2, 3, 5}) ==
        "p_re_lu_1 (PReLU): expected input like (None, 3, 4), got (2, 3, 5)");
  CHECK(error_of([&] { prelu(ones({2, 7, 4})); }) == "no error");
  CHECK(error(SpatialDropout2D(0.5), {2, 3, 4}) ==
        "spatial_dropout2d (SpatialDropout2D): expected an input of rank 4, got (None, 3, 4)");
  CHECK(
      error(AlphaDropout(0.5, {.noise_shape = {2, 2}}), {2, 3}, true) ==
      "alpha_dropout (AlphaDropout): expected a noise_shape that broadcasts to (2, 3), got (2, 2)");
  CHECK(error(GroupNormalization({.groups = 3}), {2, 4}) ==
        "group_normalization (GroupNormalization): expected a number of groups that divides the 4 "
        "channels, got 3");
  CHECK(error(GroupNormalization({.axis = 0}), {2, 4}) ==
        "group_normalization_1 (GroupNormalization): expected an axis 0 of known size after the "
        "batch, got (None, 4)");
  CHECK(error(SpectralNormalization(LSTM(3)), {2, 3, 4}) ==
        "spectral_normalization (SpectralNormalization): expected a layer with a weight \"kernel\" "
        "or "
        "\"embeddings\", got lstm (LSTM)");
  CHECK(error(ZeroPadding2D(), {2, 3, 4}) ==
        "zero_padding2d (ZeroPadding2D): expected an input of rank 4, got (2, 3, 4)");
  CHECK(error(Cropping1D(), {2, 2, 4}) ==
        "cropping1d (Cropping1D): expected more along axis 1 than is cut off, got (2, 2, 4)");
  CHECK(error(Rescaling({1, 2}, {}), {2, 3}) ==
        "rescaling (Rescaling): expected input with last axis 2, as scale has, got (2, 3)");
  CHECK(error_of([] {
          Cropping1D({.cropping = 2})(Input({4, 2}));
        })
            .starts_with("cropping1d_1 (Cropping1D): expected more along axis 1 than is cut off, "
                         "got (None, 4, 2)"));
}

}  // namespace keratin

TEST_SUITE_END();
