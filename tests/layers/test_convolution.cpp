// Convolutions and poolings for themselves: gradients, shapes, errors, and the same bits for any
// number of threads. Their values are compared with Keras's in test_layers_golden.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/core/kernels.h>
#include <keratin/core/parallel.h>
#include <keratin/core/random.h>
#include <keratin/layers/convolution.h>
#include <keratin/layers/core_layers.h>
#include <keratin/layers/dense.h>
#include <keratin/layers/gradcheck.h>
#include <keratin/layers/pooling.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/sequential.h>

#include "../error_of.h"
#include "../on_processor.h"

TEST_SUITE_BEGIN("layers");

using namespace keratin;

namespace {

const Shape line{2, 9, 4}, image{2, 6, 7, 4}, cube{1, 4, 3, 4, 2};

void check_gradient(AnyLayer layer, const Shape& shape) {
  Tensor x = Random(1).normal(shape);
  const GradientCheck check = gradcheck(*layer, x);
  CAPTURE(layer->class_name());
  INFO(check);
  CHECK(check);
}

}  // namespace

TEST_CASE("gradients of convolutions and poolings agree with differences") {
  check_gradient(Conv1D(3, 3, {.padding = "causal", .dilation_rate = 2, .activation = "tanh"}),
                 line);
  check_gradient(Conv2D(4, {3, 2}, {.strides = {1, 2}, .padding = "same", .groups = 2}), image);
  check_gradient(Conv3D(2, 2), cube);
  check_gradient(Conv1DTranspose(3, 3, {.strides = 2, .padding = "same"}), line);
  check_gradient(Conv2DTranspose(2, 3, {.strides = 2, .output_padding = 1}), {1, 3, 2, 3});
  check_gradient(Conv3DTranspose(2, 2), {1, 2, 3, 2, 2});
  check_gradient(DepthwiseConv1D(3, {.padding = "same", .depth_multiplier = 2}), line);
  check_gradient(DepthwiseConv2D({2, 3}, {.strides = 2}), image);
  check_gradient(SeparableConv1D(3, 3), line);
  check_gradient(SeparableConv2D(3, 2, {.data_format = "channels_first"}), image);
  check_gradient(MaxPooling1D(3, {.strides = 2, .padding = "same"}), line);
  check_gradient(MaxPooling2D({2, 3}), image);
  check_gradient(MaxPooling3D(2), cube);
  check_gradient(AveragePooling1D(2, {.strides = 1}), line);
  check_gradient(AveragePooling2D(3, {.strides = 2, .padding = "same"}), image);
  check_gradient(AveragePooling3D(2), cube);
  check_gradient(GlobalMaxPooling2D(), image);
  check_gradient(GlobalAveragePooling3D({.keepdims = true}), cube);
}

TEST_CASE("shapes of outputs are known where those of inputs are") {
  CHECK(Conv1D(3, 4).compute_output_shape({None, None, 2}) == Shape{None, None, 3});
  CHECK(Conv1D(3, 4, {.strides = 2}).compute_output_shape({None, 9, 2}) == Shape{None, 3, 3});
  CHECK(Conv2D(3, 4, {.padding = "same", .data_format = "channels_first"})
            .compute_output_shape({None, 2, 9, None}) == Shape{None, 3, 9, None});
  CHECK(Conv2DTranspose(3, 4, {.strides = 3}).compute_output_shape({None, 5, None, 2}) ==
        Shape{None, 16, None, 3});
  CHECK(MaxPooling2D(2).compute_output_shape({None, 5, None, 2}) == Shape{None, 2, None, 2});
  CHECK(AveragePooling1D(2, {.padding = "same"}).compute_output_shape({None, 5, 2}) ==
        Shape{None, 3, 2});
  CHECK(GlobalAveragePooling2D().compute_output_shape({None, None, None, 3}) == Shape{None, 3});
  for (DType dtype : {float32, float64})
    CHECK(Tensor(Conv1D(3, 2)(ones(line, dtype))).dtype() == float32);
}

namespace {

/// y, and the gradients of a loss of y to second order, for a layer with relu as its activation or
/// with a function that the layer does not know.
struct Results {
  Tensor y;
  Tensors first, second;

  Results(bool known, DType dtype, int groups, bool use_bias, const std::string& data_format) {
    ActivationFunction activation = "relu";
    if (!known) activation = [](const Tensor& x) { return relu(x); };
    Conv2D layer(4, 3,
                 {.padding = "same",
                  .data_format = data_format,
                  .groups = groups,
                  .activation = activation,
                  .use_bias = use_bias,
                  .kernel_initializer = GlorotUniform({.seed = 3}),
                  .bias_initializer = RandomNormal({.seed = 4})});
    const Tensor x = Random(1).normal({2, 4, 6, 4}, 0, 1, dtype);
    layer(x);
    layer.set_dtype(dtype);
    Tensors sources{x};
    for (const Weight& weight : layer.weights()) sources.push_back(weight);
    GradientTape outer;
    for (const Tensor& source : sources) outer.watch(source);
    GradientTape inner;
    y = layer(x);
    // The gradient of a mean is a broadcast view, that of a product is not.
    const Tensor loss = sum(square(mean(y, {1, 2}))) + sum(y * y * y);
    first = inner.gradient(loss, sources);
    Tensor slope = sum(square(first[0]));
    for (std::size_t i = 1; i < first.size(); ++i) slope = slope + sum(square(first[i]));
    second = outer.gradient(slope, sources);
  }
};

double distance(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); }

}  // namespace

TEST_CASE("a convolution with relu is relu of the convolution") {
  for (DType dtype : {float32, float64})
    for (int groups : {1, 2, 4})  // the last is a depthwise convolution
      for (bool use_bias : {false, true})
        for (const char* data_format : {"channels_last", "channels_first"}) {
          CAPTURE(groups);
          CAPTURE(use_bias);
          CAPTURE(data_format);
          const Results one(true, dtype, groups, use_bias, data_format),
              two(false, dtype, groups, use_bias, data_format);
          CHECK(distance(one.y, two.y) == 0);
          CHECK(min(one.y).item() == 0);
          for (std::size_t i = 0; i < one.first.size(); ++i) {
            const double size = max(abs(two.second[i])).item();
            CHECK(distance(one.first[i], two.first[i]) <= 1e-5 * max(abs(two.first[i])).item());
            CHECK(size > 0.1);
            CHECK(distance(one.second[i], two.second[i]) <= 1e-5 * size);
          }
        }
}

TEST_CASE("one channel, whose windows are read by columns, is like any number" * on_processor()) {
  for (DType dtype : {float32, float64})
    for (std::int64_t stride : {1, 2}) {
      const Tensor x = Random(1).normal({5, 3, 40, 23, 1}, 0, 1, dtype),
                   kernel = Random(2).normal({2, 3, 3, 1, 9}, 0, 1, dtype),
                   bias = Random(3).normal({9}, 0, 1, dtype);
      Windows windows;
      windows.axis[0] = {2, 1, 1, 1, 0};
      windows.axis[1] = {3, 1, 2, 2, 1};
      windows.axis[2] = {3, stride, 1, 2, 1};
      const Shape shape{5, windows.axis[0].count(3), windows.axis[1].count(40),
                        windows.axis[2].count(23), 9};
      const Kernels& kernels = kernels_of(x);
      const Tensor y = zeros(shape, dtype), plain = zeros(shape, dtype);
      kernels.conv(y, x, kernel, bias, windows, /*relu=*/false);
      kernels.Kernels::conv(plain, x, kernel, bias, windows, /*relu=*/false);
      CHECK(distance(y, plain) < (dtype == float64 ? 1e-12 : 1e-4));
      const Tensor gk = zeros(kernel.shape(), dtype), plain_gk = zeros(kernel.shape(), dtype);
      kernels.conv_kernel_gradient(gk, x, y, windows);
      kernels.Kernels::conv_kernel_gradient(plain_gk, x, y, windows);
      CHECK(distance(gk, plain_gk) < (dtype == float64 ? 1e-10 : 1e-5) * max(abs(gk)).item());
    }
}

TEST_CASE("of several largest elements the first has the gradient, and NaN is the largest") {
  Tensor x = tensor({{{1}, {3}, {3}, {2}, {3}}});
  GradientTape tape;
  tape.watch(x);
  const Tensor y = max_pool(x, 3, {.strides = 2});
  CHECK(y.to_vector<double>() == std::vector<double>{3, 3});
  CHECK(tape.gradient(sum(y), x).to_vector<double>() == std::vector<double>{0, 1, 1, 0, 0});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor z = max_pool(tensor({{{1}, {nan}, {3}, {2}}}), 2);
  CHECK(std::isnan(z.item(0, 0, 0)));
  CHECK(z.item(0, 1, 0) == 3);
}

TEST_CASE("a mean over nothing but padding is 0") {
  GlobalAveragePooling1D layer;
  const Tensor x = tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}});
  const Tensor y = layer(x, {.mask = tensor({{0, 1}, {0, 0}}).astype(boolean)});
  CHECK(y.to_vector<double>() == std::vector<double>{3, 4, 0, 0});
}

TEST_CASE("a convolution has the same bits for any number of threads" * on_processor()) {
  const int before = num_threads();
  const Tensor x = Random(1).normal({9, 17, 15, 8}), kernel = Random(2).normal({3, 3, 4, 24});
  auto results = [&](int threads) {
    set_num_threads(threads);
    Tensor a = x.copy(), b = kernel.copy();
    GradientTape tape;
    tape.watch(a);
    tape.watch(b);
    const Tensor y = conv(a, b, {.padding = "same"});
    std::vector<std::vector<float>> all{y.to_vector<float>()};
    for (const Tensor& g : tape.gradient(sum(square(y)), std::vector<Tensor>{a, b}))
      all.push_back(g.to_vector<float>());
    return all;
  };
  const auto one = results(1);
  for (int threads : {2, 3, 8}) CHECK(results(threads) == one);
  set_num_threads(before);
}

TEST_CASE("convolution by blocks is convolution by whole matrices" * on_processor()) {
  const Tensor x = Random(1).normal({3, 4, 9, 7, 6}, 0, 1, float64);
  const Tensor kernel = Random(2).normal({2, 3, 3, 3, 8}, 0, 1, float64);
  Windows windows;
  windows.axis[0] = {2, 1, 2, 1, 0};
  windows.axis[1] = {3, 2, 1, 1, 1};
  windows.axis[2] = {3, 1, 1, 0, 2};
  const Shape shape{3, windows.axis[0].count(4), windows.axis[1].count(9), windows.axis[2].count(7),
                    8};
  const Kernels& kernels = kernels_of(x);
  auto difference = [](const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); };
  const Tensor y = zeros(shape, float64), plain = zeros(shape, float64);
  kernels.conv(y, x, kernel, Tensor(), windows, /*relu=*/false);
  kernels.Kernels::conv(plain, x, kernel, Tensor(), windows, /*relu=*/false);
  CHECK(difference(y, plain) < 1e-12);
  const Tensor gx = zeros(x.shape(), float64), plain_gx = zeros(x.shape(), float64);
  kernels.conv_input_gradient(gx, y, kernel, windows);
  kernels.Kernels::conv_input_gradient(plain_gx, y, kernel, windows);
  CHECK(difference(gx, plain_gx) < 1e-10);
  const Tensor gk = zeros(kernel.shape(), float64), plain_gk = zeros(kernel.shape(), float64);
  kernels.conv_kernel_gradient(gk, x, y, windows);
  kernels.Kernels::conv_kernel_gradient(plain_gk, x, y, windows);
  CHECK(difference(gk, plain_gk) < 1e-9);
}

TEST_CASE("a depthwise convolution, which has a kernel of its own, is one of many groups" *
          on_processor()) {
  for (DType dtype : {float32, float64}) {
    // 37 channels: neither one nor a whole number of batches of any instruction set.
    const Tensor x = Random(1).normal({2, 1, 6, 7, 37}, 0, 1, dtype);
    const Tensor kernel = Random(2).normal({1, 2, 3, 1, 37}, 0, 1, dtype);
    const Tensor bias = Random(3).normal({37}, 0, 1, dtype);
    Windows windows;
    windows.axis[1] = {2, 2, 1, 1, 0};
    windows.axis[2] = {3, 1, 2, 2, 1};
    const Shape shape{2, 1, windows.axis[1].count(6), windows.axis[2].count(7), 37};
    const Kernels& kernels = kernels_of(x);
    auto difference = [](const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); };
    const double tolerance = dtype == float64 ? 1e-12 : 1e-4;
    const Tensor y = zeros(shape, dtype), plain = zeros(shape, dtype);
    kernels.conv(y, x, kernel, bias, windows, /*relu=*/true);
    kernels.Kernels::conv(plain, x, kernel, bias, windows, /*relu=*/true);
    CHECK(difference(y, plain) < tolerance);
    const Tensor gx = ones(x.shape(), dtype), plain_gx = zeros(x.shape(), dtype);
    kernels.conv_input_gradient(gx, y, kernel, windows);
    kernels.Kernels::conv_input_gradient(plain_gx, y, kernel, windows);
    CHECK(difference(gx, plain_gx) < tolerance);
    const Tensor gk = ones(kernel.shape(), dtype), plain_gk = zeros(kernel.shape(), dtype);
    kernels.conv_kernel_gradient(gk, x, y, windows);
    kernels.Kernels::conv_kernel_gradient(plain_gk, x, y, windows);
    CHECK(difference(gk, plain_gk) < 10 * tolerance);
  }
}

TEST_CASE("the largest of a window is the first of equals, and NaN is larger than all") {
  const double nan = std::nan("");
  const Tensor x = tensor({{{1, nan, 2}, {3, 5, 2}, {3, nan, 1}, {0, 7, nan}}});
  Tensor a = x.copy();
  GradientTape tape;
  tape.watch(a);
  const Tensor y = max_pool(a, 4);
  CHECK(y.item(0, 0, 0) == 3);
  CHECK(std::isnan(y.item(0, 0, 1)));
  CHECK(std::isnan(y.item(0, 0, 2)));
  CHECK(tape.gradient(sum(y), a).to_vector<double>() ==
        std::vector<double>{0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1});
}

TEST_CASE("a convolutional model learns") {
  set_random_seed(2);
  Tensor x = Random(3).normal({128, 8, 8, 1});
  // Is the upper half brighter?
  Tensor y = (mean(slice(x, {all, range(0, 4)}), {1, 2, 3}) >
              mean(slice(x, {all, range(4, 8)}), {1, 2, 3}))
                 .astype(int32);
  Sequential model({Conv2D(8, 3, {.padding = "same", .activation = "relu"}), AveragePooling2D(2),
                    Conv2D(8, 3, {.activation = "relu"}), Flatten(),
                    Dense(2, {.activation = "softmax"})});
  model.compile({.optimizer = Adam(0.01),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  const History history = model.fit(x, y, {.batch_size = 16, .epochs = 15, .verbose = 0});
  CHECK(history["accuracy"].back() > 0.95);
}

TEST_CASE("mistakes with windows are told") {
  CHECK(error_of([] { Conv2D(0, 3); }) == "Conv2D: expected filters of at least 1, got 0");
  CHECK(error_of([] {
          Conv2D(1, {3, 3, 3});
        }) == "Conv2D: kernel_size: expected one number, or one for each of 2 axes, got 3");
  CHECK(error_of([] { Conv1D(1, 0); }) == "Conv1D: expected kernel_size of at least 1, got 0");
  CHECK(error_of([] { Conv1D(1, 2, {.padding = "full"}); }) ==
        "Conv1D: expected padding \"valid\", \"same\" or \"causal\", got \"full\"");
  CHECK(error_of([] { Conv2D(1, 2, {.padding = "causal"}); }) ==
        "Conv2D: expected padding \"valid\" or \"same\", got \"causal\"");
  CHECK(error_of([] { Conv1D(1, 2, {.strides = 2, .dilation_rate = 2}); }) ==
        "Conv1D: strides and dilation_rate cannot both be more than 1");
  CHECK(error_of([] {
          Conv1D(3, 2, {.groups = 2, .name = "c"})(ones({1, 4, 4}));
        }) == "c (Conv1D): 4 channels and 3 filters cannot be divided into 2 groups");
  CHECK(error_of([] {
          Conv1D(3, 5, {.name = "c"})(ones({1, 4, 2}));
        }) == "c (Conv1D): conv: a window that reaches over 5 elements does not fit an axis of 4");
  CHECK(error_of([] {
          Conv1D(3, 5, {.name = "c"})(ones({1, 4}));
        }) == "c (Conv1D): expected an input of rank 3, got (None, 4)");
  CHECK(error_of([] {
          MaxPooling1D(3, {.name = "p"})(ones({1, 2, 2}));
        }) ==
        "p (MaxPooling1D): max_pool: a window that reaches over 3 elements does not fit an axis of "
        "2");
  CHECK(error_of([] {
          conv(ones({2, 3}), ones({1, 3, 3}));
        }) == "conv: expected x (batch, ..., channels) with one to three axes between, got (2, 3)");
  CHECK(
      error_of([] {
        conv(ones({2, 5, 3}), ones({2, 2, 4}));
      }) ==
      "conv: a kernel (2, 2, 4) does not fit x (2, 5, 3): its last two axes are channels / groups "
      "and filters");
}

TEST_SUITE_END();
