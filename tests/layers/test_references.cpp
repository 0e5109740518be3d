// A layer is a reference: every copy means the same layer. clone() makes another one.

#include <doctest/doctest.h>

#include <optional>

#include <keratin/keratin.h>

#include "error_of.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && all(a == b).item() == 1;
}

// x + second(first(x)), tracked in the constructor or in build.
class Residual : public Layer {
 public:
  explicit Residual(int units, bool early = false) : first(units), second(units), early_(early) {
    if (early_) track_parts();
  }
  void build(const Shape&) override {
    if (!early_) track_parts();
  }
  Tensor call(const Tensor& x) override { return x + second(tanh(first(x))); }
  Dense first, second;

 private:
  void track_parts() {
    track(first);
    track(second);
  }
  bool early_;
};

// Makes its parts in build.
class Tower : public Layer {
 public:
  explicit Tower(int floors) : floors_(floors) {}
  void build(const Shape& input_shape) override {
    parts.clear();
    for (int i = 0; i < floors_; ++i) {
      parts.emplace_back(static_cast<int>(input_shape[-1]));
      track(parts.back());
    }
  }
  Tensor call(const Tensor& x) override {
    Tensor y = x;
    for (Dense& part : parts) y = part(y);
    return y;
  }
  std::vector<Dense> parts;

 private:
  int floors_;
};

class Net : public Model {
 public:
  void build(const Shape&) override {
    track(hidden);
    track(out);
  }
  Tensor call(const Tensor& x) override { return out(name("code", tanh(hidden(x)))); }
  Dense hidden{4}, out{2};
};

class Careless : public Layer {
 public:
  Tensor call(const Tensor& x) override { return inner(x); }
  Dense inner{2};
};

Residual returned(int units) {
  Residual local(units, /*early=*/true);
  local(zeros({1, units}));
  Residual other = local;
  return other;
}

}  // namespace

TEST_CASE("what a user holds is the layer that the model trains") {
  clear_session();
  Dense head(3);
  Sequential model({Dense(4, {.activation = "tanh"})});
  model.add(head);
  CHECK_FALSE(head.built());
  model.compile({.optimizer = "sgd", .loss = "mse"});
  Tensor x = Random(1).normal({8, 5}), y = Random(2).normal({8, 3});
  model.fit(x, y, {.epochs = 2, .verbose = 0});
  CHECK(head.built());
  CHECK(same(head.get_weights()[0], model.get_weights()[2]));
  CHECK(head.weights()[0] == model.weights()[2]);
  CHECK(head.weights()[0].path() == "sequential/dense_1/kernel");
  // It computes what the model's last layer computes, and is not trained when it says so.
  Tensor h = model.get_layer(0)(x);
  CHECK(same(head(h), model(x)));
  head.set_trainable(false);
  CHECK(model.trainable_weights().size() == 2);
  head.set_weights({zeros({4, 3}), ones({3})});
  CHECK(same(model(x), ones({8, 3})));
}

TEST_CASE("copies of a layer are the layer, whichever is built first") {
  Dense a(2), b = a;
  Tensor x = Random(1).normal({3, 4});
  Tensor y = b(x);
  CHECK(a.built());
  CHECK(a.is(b));
  CHECK(same(a(x), y));
  CHECK(a.weights().size() == 2);
  Dense c(7);
  c = a;
  CHECK(same(c(x), y));

  // build also assigns to a weight: a copy that comes later must not assign again.
  LSTM lstm(3), other = lstm;
  Tensor s = Random(2).normal({2, 5, 4});
  lstm(s);
  std::vector<Tensor> weights = lstm.get_weights();
  weights[2] = Random(3).normal(weights[2].shape());
  lstm.set_weights(weights);
  CHECK(same(other(s), lstm(s)));
  CHECK(same(other.get_weights()[2], weights[2]));

  // A copy may also come while a tape records, and leaves the recorded weights alone.
  LSTM third = LSTM(2), fourth = third;
  GradientTape tape;
  Tensor total = sum(third(s)) + sum(fourth(s));
  Tensor g = tape.gradient(total, third.weights()[0].value());
  CHECK(same(g, tape.gradient(sum(third(s)) * 2.0, third.weights()[0].value())));

  Sequential model({Dense(3), Dense(1)}), again = model;
  again.add(Dense(2));
  CHECK(model.layers().size() == 3);
  again.compile({.optimizer = "sgd", .loss = "mse"});
  CHECK(model.compiled());
  CHECK(same(model(x), again(x)));
}

TEST_CASE("layers made of layers can be copied, moved, returned and grown in any order") {
  const Tensor x = Random(1).normal({2, 3});
  for (bool early : {false, true}) {
    CAPTURE(early);
    std::optional<Residual> original(std::in_place, 3, early);
    Residual before = *original;  // before it is built
    Tensor y = (*original)(x);
    Residual after = *original;
    original.reset();
    CHECK(same(after(x), y));
    CHECK(same(before(x), y));
    CHECK(before.weights().size() == 4);
    Residual moved = std::move(before);
    CHECK(same(moved(x), y));
    Sequential model({moved, after.first});
    CHECK(model(x).shape() == Shape{2, 3});
    CHECK(model.weights().size() == 4);  // after.first is part of moved, too
    std::vector<Residual> many;
    for (int i = 0; i < 9; ++i) many.emplace_back(3, early);
    many.push_back(moved);
    Tensor z = many[0](x);
    many.erase(many.begin() + 1, many.begin() + 5);
    for (int i = 0; i < 50; ++i) many.emplace_back(3, early);
    CHECK(same(many[0](x), z));
    CHECK(same(many[5](x), y));
    CHECK(many[5].is(moved));
  }
  Residual back = returned(3);
  CHECK(back(x).shape() == Shape{2, 3});
  CHECK(back.trainable_weights().size() == 4);

  auto make_model = [] {
    Residual local(3);
    local(zeros({1, 3}));
    return Sequential({local});
  };
  Sequential model = make_model();
  CHECK(model(x).shape() == Shape{2, 3});
  CHECK(model.weights()[0].path() == model.name() + "/" + model.get_layer(0).name() + "/" +
                                         model.get_layer(0).sublayers()[0]->name() + "/kernel");
}

TEST_CASE("parts that build makes are the same for every copy") {
  Tower a(3), b = a;
  Tensor x = Random(1).normal({2, 4});
  Tensor y = a(x);
  CHECK(same(b(x), y));
  CHECK(b.weights().size() == 6);
  CHECK(b.parts[2].is(a.parts[2]));
  CHECK(a.sublayers().size() == 3);
}

TEST_CASE("a clone has the options and the name, and weights of its own") {
  Dense a(2, {.use_bias = false, .name = "head"});
  Tensor x = Random(1).normal({3, 4});
  Tensor y = a(x);
  Dense b = clone(a);
  CHECK(b.name() == "head");
  CHECK_FALSE(b.built());
  CHECK_FALSE(b.is(a));
  CHECK(b(x).shape() == y.shape());
  CHECK_FALSE(b.weights()[0] == a.weights()[0]);
  b.set_weights({zeros({4, 2})});
  CHECK(same(a(x), y));

  for (bool early : {false, true}) {
    Residual residual(4, early), copy = clone(residual);
    residual(x);
    copy(x);
    Residual later = clone(residual);
    later(x);
    for (const Residual& other : {copy, later}) {
      CHECK(other.weights().size() == 4);
      CHECK(other.first.is(*other.sublayers()[0]));
      for (std::size_t i = 0; i < 4; ++i) CHECK_FALSE(other.weights()[i] == residual.weights()[i]);
    }
  }

  Sequential model({Tower(2), Bidirectional(LSTM(2)), Dense(1)});
  Tensor s = Random(1).normal({2, 3, 4});
  model(s);
  model.compile({.loss = "mse"});
  Sequential other = clone(model);
  CHECK_FALSE(other.compiled());
  other(s);
  CHECK(other.weights().size() == model.weights().size());
  for (std::size_t i = 0; i < model.weights().size(); ++i)
    CHECK_FALSE(other.weights()[i] == model.weights()[i]);
  CHECK(other.weights().back().path() == model.weights().back().path());
  other.set_weights(model.get_weights());
  model(s);
  CHECK(same(other(s), model(s)));
}

TEST_CASE("a layer that is called without being part of its caller is an error") {
  clear_session();
  Careless layer;
  CHECK(error_of([&] {
          layer(zeros({1, 3}));
        }) ==
        "careless (Careless): calls dense (Dense), which is not part of it and would be neither "
        "trained nor saved; write track(...) for it in the constructor or in build");
  // A layer without weights may be used anywhere, and so may one that a caller further out owns.
  struct Free : Layer {
    Tensor call(const Tensor& x) override { return Activation("relu")(x); }
  } free;
  CHECK(same(free(ones({2})), ones({2})));
  struct Borrower : Layer {
    explicit Borrower(Dense& layer) : borrowed(layer) {}
    Tensor call(const Tensor& x) override { return borrowed(x); }
    Dense borrowed;
  };
  Dense shared(3);
  Sequential model({shared, Borrower(shared)});
  CHECK(model(zeros({2, 3})).shape() == Shape{2, 3});
  CHECK(model.weights().size() == 2);
}

TEST_CASE("weights made in call, models inside themselves, moved-from objects: errors") {
  clear_session();
  struct Late : Layer {
    Tensor call(const Tensor& x) override { return x * add_weight("w", {1}); }
  } late;
  CHECK(error_of([&] { late(zeros({1})); }) ==
        "late (Late): weight \"w\": add_weight was called in call; make weights in build");
  Sequential model({Dense(1)});
  CHECK(error_of([&] { model.add(model); }).find("cannot be part of itself") != std::string::npos);
  Sequential outer({model});
  CHECK(error_of([&] { model.add(outer); }) == "sequential cannot be part of itself");
  Dense a(2), b = std::move(a);
  CHECK(error_of([&] { a(zeros({1, 1})); }) == "Dense: this object was moved from");
  CHECK(error_of([&] { model.add(a); }) == "Dense: this object was moved from");
}

TEST_CASE("a build that fails leaves no part built") {
  struct Fails : Layer {
    Fails() { track(first); }
    void build(const Shape& input_shape) override {
      w = add_weight("w", {2});
      first.ensure_built(input_shape);
      track(second);
      second.ensure_built(input_shape);
      if (input_shape[-1] != 3) throw std::invalid_argument("three, please");
    }
    Tensor call(const Tensor& x) override { return first(x) + second(x); }
    Dense first{2}, second{2};
    Weight w;
  } layer;
  CHECK_THROWS_AS(layer(zeros({1, 5})), LayerError);
  CHECK_FALSE(layer.first.built());
  CHECK_FALSE(layer.second.built());
  CHECK(layer.weights().empty());
  CHECK(layer(zeros({1, 3})).shape() == Shape{1, 2});
  CHECK(layer.weights().size() == 5);
  CHECK(layer.weights()[1].shape() == Shape{3, 2});
}

TEST_CASE("a model of one's own loads what it saved, and captures what it computes") {
  clear_session();
  const TemporaryDirectory directory;
  const std::string file = directory / "weights.npz";
  Tensor x = Random(1).normal({5, 3});
  Net a, b;
  a(x);
  CHECK(a.weights()[2].path() == "net/dense_1/kernel");
  a.save_weights(file);
  b(x);
  b.load_weights(file);
  CHECK(same(a(x), b(x)));
  Sequential one({Dense(4, {.input_shape = {3}})});
  std::string error = error_of([&] { one.load_weights(file); });
  CHECK(error.find("net/dense_1/bias: not in the model") != std::string::npos);

  std::map<std::string, Tensor> seen = a.capture(x);
  CHECK(seen.size() == 3);
  CHECK(same(seen["net/code"], tanh(seen["dense"])));
  CHECK(same(seen["dense_1"], a(x)));
  // Inner models with equal names of their parts keep apart.
  auto inner = [](const std::string& name) { return Sequential({Dense(2, {.name = "d"})}, name); };
  Sequential outer({inner("left"), inner("right")});
  seen = outer.capture(x);
  CHECK(seen.count("left/d") == 1);
  CHECK(seen.count("right/d") == 1);
}

TEST_CASE("an error in the search for an output shape says what was tried") {
  clear_session();
  struct Five : Layer {
    Tensor call(const Tensor& x) override {
      if (x.size(1) != 5) throw std::invalid_argument("five steps, please");
      return x;
    }
  };
  CHECK(error_of([] {
          Sequential({Five()}).build({None, None, 2});
        })
            .find("five (Five): five steps, please, while finding the output shape with an input "
                  "of shape (2, 2, 2)") == 0);
}

}  // namespace keratin

TEST_SUITE_END();
