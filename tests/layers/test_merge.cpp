// Layers that make one tensor of several; what they compute is in test_several_inputs_golden.cpp.

#include <doctest/doctest.h>

#include <cmath>

#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

Tensor normal(const Shape& shape, std::uint64_t seed = 1) { return Random(seed).normal(shape); }

Tensor flags(const std::vector<int>& values, const Shape& shape) {
  return tensor(values, shape).astype(boolean);
}

std::vector<AnyLayer> number_by_number() {
  return {Add(), Subtract(), Multiply(), Average(), Maximum(), Minimum()};
}

}  // namespace

TEST_CASE("the gradients of the merges") {
  for (AnyLayer layer : number_by_number()) {
    CAPTURE(layer->class_name());
    CHECK(gradcheck(*layer, {normal({2, 3, 4}), normal({2, 1, 4}, 2)}));
    CHECK(gradcheck(*layer, {normal({2, 4}), normal({2, 3, 4}, 2)}));
    const Tensor first = flags({1, 0, 1, 1, 1, 0}, {2, 3}),
                 second = flags({1, 1, 0, 0, 1, 0}, {2, 3});
    CHECK(gradcheck(*layer, {normal({2, 3, 4}), normal({2, 3, 4}, 2)}, {.masks = {first, second}}));
  }
  CHECK(gradcheck(Concatenate(), {normal({2, 3}), normal({2, 1}, 2), normal({2, 2}, 3)}));
  CHECK(gradcheck(Concatenate(1), {normal({2, 3, 2}), normal({2, 1, 2}, 2)}));
  CHECK(gradcheck(Dot({2, 1}), {normal({2, 3, 4}), normal({2, 4, 5}, 2)}));
  CHECK(gradcheck(Dot(1, {.normalize = true}), {normal({2, 4}), normal({2, 4}, 2)}));
}

TEST_CASE("merges of float32 give float32") {
  for (AnyLayer layer : number_by_number())
    CHECK(layer({normal({2, 3}), normal({2, 3}, 2)}).dtype() == float32);
  CHECK(Concatenate()({normal({2, 3}), normal({2, 3}, 2)}).dtype() == float32);
  CHECK(Dot(1, {.normalize = true})({normal({2, 3}), normal({2, 3}, 2)}).dtype() == float32);
}

TEST_CASE("views and empty batches are merged") {
  Tensor x = transpose(normal({3, 2})), y = normal({2, 3}, 2);
  CHECK(all(Add()({x, y}) == x + y).item() == 1);
  CHECK(Add()({zeros({0, 3}), zeros({0, 3})}).shape() == Shape{0, 3});
  CHECK(Concatenate()({zeros({0, 3}), zeros({0, 2})}).shape() == Shape{0, 5});
  CHECK(Dot(1)({zeros({0, 3}), zeros({0, 3})}).shape() == Shape{0, 1});
}

TEST_CASE("a vector of zeros has no direction: its cosine is 0, and so is its gradient") {
  Tensor x = zeros({1, 3}), y = normal({1, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor cosine = Dot(1, {.normalize = true})({x, y});
  CHECK(cosine.item() == 0);
  CHECK(std::isfinite(sum(tape.gradient(cosine, x)).item()));
}

TEST_CASE("a padded step that may hold anything leaves the others' maximum alone") {
  Tensor x = normal({1, 2, 3}), y = normal({1, 2, 3}, 2);
  x[0][1].assign(full({3}, 1e30));
  const CallOptions masks{.masks = {flags({1, 0}, {1, 2}), flags({1, 1}, {1, 2})}};
  auto [z, counts] = Maximum().call_with_mask(Tensors{x, y}, masks);
  CHECK(all(z[0][0][1] == y[0][1]).item() == 1);
  CHECK(all(counts[0]).item() == 1);
}

TEST_CASE("merges of symbolic tensors know their shapes") {
  auto x = Input({None, 4}), y = Input({5, 4}), z = Input({4}), w = Input({1, 4});
  CHECK(Add()({x, x}).shape() == Shape{None, None, 4});
  CHECK(Add()({x, y}).shape() == Shape{None, None, 4});
  CHECK(Add()({y, z}).shape() == Shape{None, 5, 4});
  CHECK(Multiply()({w, y, z}).shape() == Shape{None, 5, 4});
  CHECK(Average()({x, w}).shape() == Shape{None, None, 4});
  CHECK(Concatenate(1)({x, y}).shape() == Shape{None, None, 4});
  CHECK(Concatenate(1)({y, y}).shape() == Shape{None, 10, 4});
  CHECK(Concatenate()({x, y}).shape() == Shape{None, 5, 8});
  CHECK(Dot({2, 2})({x, y}).shape() == Shape{None, None, 5});
  CHECK(Dot(1)({z, z}).shape() == Shape{None, 1});
}

TEST_CASE("what does not fit is refused by name") {
  clear_session();
  auto error = [](Layer&& layer, const Tensors& inputs) {
    return error_of([&] { layer(inputs); });
  };
  CHECK(error(Add(), {zeros({2, 3}), zeros({2, 4})}) ==
        "add (Add): expected inputs that broadcast, got (None, 3), (None, 4)");
  Multiply built;
  built({zeros({2, 3}), zeros({2, 3})});
  CHECK(error_of([&] {
          built({zeros({2, 3}), zeros({4, 3})});
        }) == "multiply (Multiply): expected inputs of one batch size, got (2, 3), (4, 3)");
  CHECK(error(Subtract(), {zeros({2, 3})}) == "subtract (Subtract): expected 2 inputs, got 1");
  CHECK(error(Average(), {zeros({2, 3}), Tensor(), zeros({2, 3})}) ==
        "average (Average): input 2 of 3 is missing");
  CHECK(error(Concatenate(), {zeros({2, 3, 4}), zeros({2, 2, 4})}) ==
        "concatenate (Concatenate): expected inputs of one shape apart from axis -1, got (None, 3, "
        "4), "
        "(None, 2, 4)");
  CHECK(error(Concatenate(2), {zeros({2, 3}), zeros({2, 3})}).find("axis") != std::string::npos);
  CHECK(error(Dot({2, 1}), {zeros({2, 3, 4}), zeros({2, 3, 4})}) ==
        "dot (Dot): expected axis 2 of the first input as long as axis 1 of the second, got (None, "
        "3, 4) and (None, 3, 4)");
  CHECK(error(Dot(0), {zeros({2, 3}), zeros({2, 3})}) ==
        "dot_1 (Dot): axes: the batch axis cannot be summed over, got 0");
  CHECK(error_of([] {
          Dot(std::vector<int>{1, 2, 3});
        }) == "Dot: expected axes one axis or two, got [1, 2, 3]");
  auto x = Input({3, 4}), y = Input({2, 4});
  CHECK(error_of([&] {
          Add()({x, y});
        }).find("expected inputs that broadcast") != std::string::npos);
  Add twice;
  twice({x, x});
  CHECK(error_of([&] { twice({x, y}); }).starts_with("add_2 (Add): expected inputs that"));
}

TEST_CASE("a model of merges learns, and is made again from its config") {
  set_random_seed(3);
  auto x = Input({4}, {.name = "x"}), y = Input({4}, {.name = "y"});
  auto a = Dense(8, {.activation = "tanh"})(x), b = Dense(8, {.activation = "tanh"})(y);
  auto all_of_them = Concatenate()({Add()({a, b}), Subtract()({a, b}), Multiply()({a, b}),
                                    Average()({a, b}), Maximum()({a, b}), Minimum()({a, b}),
                                    Dot(1)({a, b}), Dot(1, {.normalize = true})({a, b})});
  CHECK(all_of_them.shape() == Shape{None, 50});
  Model model({x, y}, {Dense(1)(all_of_them)});
  model.compile({.optimizer = Adam(0.01), .loss = "mse"});
  const Tensors in{normal({128, 4}), normal({128, 4}, 2)};
  const Tensor target = sum(in[0] * in[1], 1, true);
  History history = model.fit(in, {target}, {.epochs = 15, .verbose = 0});
  CHECK(history["loss"].back() < 0.3 * history["loss"].front());

  AnyLayer again = layer_from_config("Functional", model.get_config());
  again->set_weights(model.get_weights());
  CHECK(max(abs(again(in) - model(in))).item() == 0);
  CHECK(format_json(again->get_config()) == format_json(model.get_config()));
}

}  // namespace keratin

TEST_SUITE_END();
