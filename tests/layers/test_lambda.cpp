// A function as a layer.

#include <doctest/doctest.h>

#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {

TEST_CASE("a function of one input or of several is a layer") {
  const Tensor x = Random(1).normal({2, 3}), y = Random(2).normal({2, 3});
  CHECK(all(Lambda([](const Tensor& t) { return t * t; })(x) == x * x).item() == 1);
  Lambda difference([](const Tensors& t) { return t[0] - t[1]; });
  CHECK(all(difference({x, y}) == x - y).item() == 1);
  Lambda both([](const Tensors& t) { return Tensors{t[0] + t[1], t[0]}; });
  CHECK(both({x, y}).count() == 2);
  CHECK(gradcheck(difference, {x, y}));
  CHECK(Lambda([](const Tensor& t) { return exp(t); })(x).dtype() == float32);
}

TEST_CASE("the function may ask whether it is part of training, and for masks") {
  Lambda noisy([](const Tensor& t, const CallOptions& call) { return call.training ? t : 2 * t; });
  const Tensor x = ones({1, 2, 3});
  CHECK(sum(noisy(x)).item() == 12);
  CHECK(sum(noisy(x, {.training = true})).item() == 6);
  Lambda counted(
      [](const Tensor& t, const CallOptions& call) {
        return sum(t * expand_dims(call.mask, -1).astype(t.dtype()), 1);
      },
      {.mask = [](const Tensors&, const Tensors& masks) { return any(masks[0], 1); }});
  auto [y, mask] = counted.call_with_mask(x, {.mask = tensor(std::vector<int>{1, 0}, {1, 2})});
  CHECK(sum(y).item() == 3);
  CHECK(mask.shape() == Shape{1});
}

TEST_CASE("a Lambda is part of models, but of no config and no CUDA graph") {
  clear_session();
  auto x = Input({4});
  Lambda doubled([](const Tensor& t) { return 2 * t; });
  auto y = doubled(Dense(3)(x));
  CHECK(y.shape() == Shape{None, 3});
  CHECK(Lambda([](const Tensor& t) { return t; }, {.output_shape = {7}})(x).shape() ==
        Shape{None, 7});
  Model model({x}, {y});
  model.compile({.loss = "mse"});
  model.fit(ones({8, 4}), ones({8, 3}), {.epochs = 1, .verbose = 0});
  CHECK_FALSE(doubled.supports_graph());
  CHECK(error_of([&] { model.get_config(); }) ==
        "lambda (Lambda): a function has no config: write a class of your own with fields() and "
        "register_keras_serializable");
  CHECK(error_of([] {
          layer_from_config("Lambda", {{"function", "f"}});
        }) == "Lambda: a function cannot be made from a config: make the layer in C++");
  CHECK(error_of([&] {
          doubled(Tensors{ones({1}), ones({1})});
        }).find("a function of several takes const Tensors&") != std::string::npos);
  Dense dense(2);
  Lambda hidden([dense](const Tensor& t) mutable { return Tensor(dense(t)); });
  CHECK(error_of([&] {
          hidden(ones({1, 2})), hidden(ones({1, 2}));
        }).find("which is not part of it") != std::string::npos);
}

}  // namespace keratin

TEST_SUITE_END();
