// EinsumDense; what it computes is in test_layers_golden.cpp.

#include <doctest/doctest.h>

#include <cmath>

#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {

TEST_CASE("the gradients of EinsumDense") {
  const Tensor x = Random(1).normal({2, 3, 4});
  CHECK(gradcheck(EinsumDense("abc,cd->abd", {None, 5}, {.activation = "tanh", .bias_axes = "d"}),
                  x));
  CHECK(gradcheck(EinsumDense("...x,xyz->...yz", {2, 2}, {.bias_axes = "yz"}), x));
  CHECK(gradcheck(EinsumDense("ab...,bc->ac...", {2}, {.bias_axes = "c"}), x));
}

TEST_CASE("EinsumDense is Dense") {
  const Tensor x = Random(1).normal({2, 3, 4});
  Dense dense(5);
  EinsumDense einsum_dense("...x,xy->...y", {5}, {.bias_axes = "y"});
  const Tensor y = dense(x);
  einsum_dense.ensure_built(x.shape());
  einsum_dense.set_weights(dense.get_weights());
  CHECK(max(abs(einsum_dense(x) - y)).item() < 1e-6);
  CHECK(einsum_dense(x).dtype() == float32);
  CHECK(einsum_dense.compute_output_shape({None, None, 4}) == Shape{None, None, 5});
  CHECK(EinsumDense("abc,cd->adb", {5, None})(Input({None, 4})).shape() == Shape{None, 5, None});
}

// Glorot's limit is sqrt(6 / (in + out)), and here in is 4 and out 6, wherever the axes stand.
TEST_CASE("initializers by variance know which axes go in and which come out") {
  set_random_seed(1);
  for (const char* equation : {"abc,cde->abde", "abc,dce->abde", "abc,dec->abde"}) {
    EinsumDense layer(equation, {None, 2, 3});
    layer.ensure_built({None, 5, 4});
    const double largest = max(abs(layer.get_weights()[0])).item();
    CHECK(largest < std::sqrt(6.0 / 10));
    CHECK(largest > 0.8 * std::sqrt(6.0 / 10));
  }
}

TEST_CASE("wrong equations and shapes are refused by name") {
  clear_session();
  auto made = [](const char* equation, const Shape& shape, const char* bias = "") {
    return error_of([&] { EinsumDense(equation, shape, {.bias_axes = bias}); });
  };
  const std::string forms =
      "EinsumDense: equation: expected one such as \"ab,bc->ac\", \"...ab,bc->...ac\" or "
      "\"ab...,bc->ac...\", got ";
  CHECK(made("ab,bc", {3}) == forms + "\"ab,bc\"");
  CHECK(made("...ab,bc->ac", {3}) == forms + "\"...ab,bc->ac\"");
  CHECK(made("a1,bc->ac", {3}) == forms + "\"a1,bc->ac\"");
  CHECK(made("ab,bc->ad", {3}) ==
        "EinsumDense: equation \"ab,bc->ad\": axis d of the output is neither the input's nor the "
        "kernel's");
  CHECK(made("ab,bcd->ac", {3}) ==
        "EinsumDense: equation \"ab,bcd->ac\": axis d of the kernel is neither the input's nor the "
        "output's");
  CHECK(made("ab,bc->ac", {3}, "b") ==
        "EinsumDense: bias_axes: axis b is not in the output of \"ab,bc->ac\"");

  auto built = [](const char* equation, const Shape& shape, const Shape& input) {
    return error_of([&] { EinsumDense(equation, shape, {.name = "e"}).ensure_built(input); });
  };
  CHECK(built("ab,bc->ac", {3}, {None, 2, 4}) ==
        "e (EinsumDense): equation \"ab,bc->ac\": expected an input of rank 2, got 3");
  CHECK(built("abc,cd->abd", {3}, {None, 2, 4}) ==
        "e (EinsumDense): output_shape: expected sizes of the axes \"bd\", got (3,)");
  CHECK(built("abc,cd->abd", {5, 3}, {None, 2, 4}) ==
        "e (EinsumDense): output_shape: axis b has 5 in (5, 3), but 2 in the input (None, 2, 4)");
  CHECK(built("abc,cd->abd", {None, None}, {None, 2, 4}) ==
        "e (EinsumDense): equation \"abc,cd->abd\": the size of axis d must be known, got input "
        "(None, "
        "2, 4) and output_shape (None, None)");
  EinsumDense layer("abc,cd->abd", {None, 3}, {.name = "e"});
  layer(ones({2, 5, 4}));
  CHECK(error_of([&] {
          layer(ones({2, 5, 3}));
        }) == "e (EinsumDense): expected inputs (None, 5, 4), got (2, 5, 3)");
}

TEST_CASE("EinsumDense in a model learns, activity included") {
  set_random_seed(1);
  Sequential model({EinsumDense("abc,cd->abd", {None, 8},
                                {.activation = "relu",
                                 .bias_axes = "d",
                                 .activity_regularizer = L2(0.01),
                                 .input_shape = {3, 4}}),
                    Flatten(), Dense(1)});
  model.compile({.optimizer = Adam(0.01), .loss = "mse"});
  const Tensor x = Random(1).normal({64, 3, 4}), y = sum(x, {1, 2}).reshape({64, 1});
  History history = model.fit(x, y, {.epochs = 15, .verbose = 0});
  CHECK(history["loss"].back() < 0.5 * history["loss"].front());
}

}  // namespace keratin

TEST_SUITE_END();
