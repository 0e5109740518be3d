// gradcheck finds what is wrong, passes what is right, and says which is which; the small functions
// over tapes (grad, jacobian, hessian) and a user's own pointwise op are checked with it.

#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

TEST_SUITE_BEGIN("autograd");

namespace keratin {
namespace {

struct Swish1 {
  auto operator()(auto x) const { return x * sigmoid(x); }
};
struct Branches {
  double slope;
  auto operator()(auto x, auto y) const {
    return where(x > y, slope * x, power(x, 2.0) + exp(-y)) / (1.0 + maximum(abs(x), 0.5));
  }
};

Tensor wrong_square(const Tensor& x) {
  return custom_gradient(
      {x}, [](const std::vector<Tensor>& in) { return square(in[0]); },
      [x](const Tensor& g) { return std::vector<Tensor>{g * x}; });
}

// Its inner layer makes its weights when it is first called.
class Late : public Layer {
 public:
  explicit Late(double factor) : factor_(factor) {}
  void build(const Shape&) override { track(inner_); }
  Tensor call(const Tensor& x) override {
    inner_.ensure_built(x.shape());
    Tensor kernel = inner_.trainable_weights()[0];
    return custom_gradient(
        {x, kernel}, [](const std::vector<Tensor>& in) { return dot(in[0], in[1]); },
        [x, kernel, factor = factor_](const Tensor& g) {
          return std::vector<Tensor>{dot(g, kernel.transpose()), factor * dot(x.transpose(), g)};
        });
  }
  const Layer& inner() const { return inner_; }

 private:
  Dense inner_{3, {.use_bias = false}};
  double factor_;
};

}  // namespace

TEST_CASE("gradcheck passes right gradients to second order") {
  Random random(1);
  Tensor x = random.normal({3, 4}), w = random.normal({4, 2});
  auto f = [](const std::vector<Tensor>& in) { return log_softmax(dot(in[0], in[1]), 1); };
  GradientCheck check = gradcheck(f, {x, w}, {.order = 2});
  CHECK(check);
  CHECK(check.checked == 2 * (12 + 8));
  CHECK(check.failed == 0);
  CHECK(check.worst_error < 0.1);
}

TEST_CASE("gradcheck names the worst element of a wrong gradient with both values") {
  Tensor x = tensor({{1, 2}, {3, -4}});
  GradientCheck check = gradcheck(wrong_square, x);
  CHECK_FALSE(check);
  CHECK(check.failed == 4);
  CHECK(check.worst.input == "input 0");
  CHECK(check.worst.numeric == doctest::Approx(2 * check.worst.analytic).epsilon(1e-8));
  std::ostringstream text;
  text << check;
  CHECK(text.str().find("gradcheck: 0 elements agree, 4 do not\n  worst: input 0[") == 0);
}

TEST_CASE("gradcheck names the place of a wrong element") {
  Tensor right = ones({2, 3}, float64);
  slice(right, {1, 2}).assign(0.0);
  auto f = [&](const Tensor& x) {
    return custom_gradient(x, [=](const Tensor& g) { return g * right; });
  };
  GradientCheck check = gradcheck(f, ones({2, 3}, float64));
  CHECK(check.failed == 1);
  CHECK(check.worst.index == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("gradcheck along a random direction finds one wrong element among many") {
  Tensor x = Random(3).normal({50, 40});
  auto right = [](const std::vector<Tensor>& in) { return tanh(in[0]); };
  CHECK(gradcheck(right, {x}, {.fast = true}));
  auto wrong = [](const std::vector<Tensor>& in) {
    Tensor one = zeros({50, 40}, float64);
    one[7].assign(1.0);
    return tanh(in[0]) + stop_gradient(in[0] * one);
  };
  CHECK_FALSE(gradcheck(wrong, {x}, {.fast = true}));
}

TEST_CASE("gradcheck leaves out the elements where the function has a corner") {
  Tensor x = tensor({-1.0, 0.0, 2.0});
  GradientCheck check = gradcheck([](const Tensor& t) { return relu(t); }, x);
  CHECK(check);
  CHECK(check.kinks == 1);
  CHECK(check.checked == 2);
}

TEST_CASE("gradcheck converts floats to float64 and passes integers on") {
  Tensor x = Random(2).normal({4, 3});
  Tensor ids = tensor({2, 0}, int32);
  CHECK(gradcheck([](const Tensor& t, const Tensor& i) { return exp(take(t, i, 0)); }, x, ids));
}

TEST_CASE("gradcheck refuses a result that is not finite") {
  CHECK_THROWS_WITH(gradcheck([](const Tensor& t) { return log(t); }, tensor({0.0, 1.0})),
                    "gradcheck: the result is not finite at the given inputs");
}

TEST_CASE("layers are checked with all their weights, in training with fixed noise") {
  Random random(4);
  Tensor x = random.normal({2, 4, 3});
  Tensor mask = tensor(std::vector<bool>{1, 1, 0, 1, 0, 1, 1, 0}, {2, 4});
  CHECK(gradcheck(LSTM(3, {.return_sequences = true}), x, {.mask = mask}, {.order = 2}));
  CHECK(gradcheck(LSTM(3, {.dropout = 0.3, .recurrent_dropout = 0.2}), x, {.training = true}));
  CHECK(gradcheck(GRU(3), x, {.mask = mask}, {.order = 2}));
  CHECK(gradcheck(SimpleRNN(3, {.go_backwards = true}), x));
  CHECK(gradcheck(SimpleRNN(3, {.return_sequences = true}), x, {.mask = mask}));
  CHECK(gradcheck(LSTM(3, {.return_sequences = true, .dropout = 0.3, .recurrent_dropout = 0.2}), x,
                  {.training = true, .mask = mask}, {.order = 2}));
  CHECK(gradcheck(GRU(3, {.recurrent_dropout = 0.4}), x, {.training = true, .mask = mask}));
  CHECK(gradcheck(SimpleRNN(3, {.recurrent_dropout = 0.4}), x, {.training = true}, {.order = 2}));
  CHECK(gradcheck(BatchNormalization(), x, {.training = true}));
  CHECK(gradcheck(LayerNormalization(), x, {}, {.order = 2}));
  CHECK(gradcheck(AttentionLayer(5), x, {.mask = mask}));
  Dense dense(4, {.activation = "gelu"});
  dense(x);
  std::vector<Tensor> before = dense.get_weights();
  CHECK(gradcheck(dense, x));
  CHECK(dense.get_weights()[0].dtype() == float32);
  CHECK(all(dense.get_weights()[0] == before[0]).item() == 1);
}

TEST_CASE("weights that a layer inside makes at its first call are checked and counted") {
  Tensor x = Random(8).normal({3, 2});
  Late right(1), wrong(0.5);
  GradientCheck check = gradcheck(right, x);
  CHECK(check);
  CHECK(check.checked == 6 + 6);
  CHECK(check.weights == 1);
  std::ostringstream text;
  text << check;
  CHECK(text.str() == "gradcheck: 12 elements agree, 0 do not, 1 weight checked\n");
  CHECK(right.inner().weights()[0].value().dtype() == float32);
  GradientCheck found = gradcheck(wrong, x);
  CHECK(found.failed == 6);
  CHECK(found.worst.input == wrong.inner().weights()[0].path());
}

TEST_CASE("a layer's check does not pass when nothing of a weight was compared") {
  class Hiding : public Layer {
   public:
    void build(const Shape&) override { s_ = add_weight("s", {2}, "ones"); }
    Tensor call(const Tensor& x) override { return concatenate({x * x, x * s_ * s_ + 1e20}); }

   private:
    Weight s_;
  };
  GradientCheck check = gradcheck(Hiding(), Random(9).normal({3, 2}));
  CHECK_FALSE(check);
  CHECK(check.failed == 0);
  CHECK(check.weights == 0);
  CHECK(check.unchecked.size() == 2);
}

TEST_CASE("gradcheck leaves statistics that training moves as they were") {
  for (DType dtype : {float32, float64}) {
    Tensor x = Random(10).normal({4, 3}).astype(dtype);
    BatchNormalization layer;
    layer.set_dtype(dtype);
    layer(x, {.training = true});
    std::vector<Tensor> before = layer.get_weights();
    CHECK(gradcheck(layer, x, {.training = true}));
    for (std::size_t i = 0; i < before.size(); ++i)
      CHECK(all(layer.get_weights()[i] == before[i]).item() == 1);
  }
}

TEST_CASE("a compiled model is checked with its loss and regularizers") {
  Sequential model({Masking(0, {.input_shape = {5, 3}}), LSTM(4, {.return_sequences = true}),
                    AttentionLayer(3),
                    Dense(2, {.activation = "softmax", .kernel_regularizer = L2(0.1)})});
  model.compile({.loss = "sparse_categorical_crossentropy"});
  Tensor x = Random(5).normal({3, 5, 3});
  slice(x, {1, range(3, 5)}).assign(0.0);
  Tensor y = tensor({0, 1, 1}, int32);
  GradientCheck check = gradcheck(model, x, y);
  CHECK(check);
  CHECK(check.checked + check.kinks == 45 + model.count_params());
}

TEST_CASE("a user's pointwise op has loops and derivatives of any order") {
  Tensor x = Random(6).normal({5, 50}), y = Random(7).normal({50});
  auto swish = [](const std::vector<Tensor>& in) { return pointwise<Swish1>(in[0]); };
  CHECK(gradcheck(swish, {x}, {.order = 2}));
  CHECK(gradcheck([](const Tensor& a, const Tensor& b) { return pointwise(Branches{3}, a, b); }, x,
                  y));
  Tensor expected = x * sigmoid(x);
  CHECK(max(abs(pointwise<Swish1>(x) - expected)).item() < 1e-6);
  CHECK(pointwise<Swish1>(x.transpose()).shape() == Shape{50, 5});
  CHECK(pointwise<Swish1>(zeros({0, 3})).shape() == Shape{0, 3});
  CHECK_THROWS_WITH(pointwise(Branches{1}, x, tensor({1, 2})),
                    "pointwise: shapes (5, 50) and (2,) do not broadcast");
}

TEST_CASE("grad, jacobian and hessian of functions") {
  auto f = [](const Tensor& x) { return sum(exp(-square(x))); };
  Tensor x = tensor({0.3, -0.5, 1.0}, float64);
  Tensor g = grad(f)(x), h = hessian(f)(x);
  REQUIRE(h.shape() == Shape{3, 3});
  for (int i = 0; i < 3; ++i) {
    double v = x.item(i), e = std::exp(-v * v);
    CHECK(g.item(i) == doctest::Approx(-2 * v * e).epsilon(1e-12));
    for (int j = 0; j < 3; ++j)
      CHECK(h.item(i, j) == doctest::Approx(i == j ? (4 * v * v - 2) * e : 0).epsilon(1e-12));
  }
  Tensor v = tensor({1.0, 2.0, -1.0}, float64);
  CHECK(max(abs(hessian_vector_product(f, x, v) - dot(h, v))).item() < 1e-12);
  Tensor j = jacobian([](const Tensor& t) { return stack({t * t, sin(t)}); })(x);
  REQUIRE(j.shape() == Shape{2, 3, 3});
  CHECK(j.item(1, 1, 1) == doctest::Approx(std::cos(-0.5)).epsilon(1e-12));
  CHECK(j.item(1, 0, 1) == 0);
  auto cube = [](const Tensor& t) { return sum(t * t * t); };
  CHECK(max(abs(grad(grad(grad(cube)))(x) - 6.0)).item() < 1e-12);
}

}  // namespace keratin

TEST_SUITE_END();
