// Models of symbolic inputs and outputs, and layers of several inputs and outputs.

#include <doctest/doctest.h>

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include "error_of.h"

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

double difference(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); }

Tensor noise(const Shape& shape, std::uint64_t seed) { return Random(seed).normal(shape); }

/// x + weight * y: two inputs, one of them optional.
class Plus : public Layer {
 public:
  void build(const Shapes& shapes) override { w = add_weight("w", {shapes[0][-1]}, "ones"); }
  Tensors call(const Tensors& inputs) override {
    if (inputs.size() < 2 || !inputs[1].defined()) return {inputs[0]};
    return {inputs[0] + w * inputs[1]};
  }

 private:
  Weight w;
};

/// Two outputs: the halves of the last axis.
class Halves : public Layer {
 public:
  Tensors call(const Tensors& inputs) override { return split(inputs[0], 2, -1); }
};

}  // namespace

TEST_CASE("a layer takes a list, of which inputs may be left out, and returns one") {
  Plus plus;
  Tensor x = noise({2, 4}, 1), y = noise({2, 4}, 2);
  CHECK(difference(plus({x, y}), x + y) == 0);
  CHECK(difference(plus(x), x) == 0);
  CHECK(difference(plus({x, Tensor()}), x) == 0);
  CHECK(plus.input_shapes() == Shapes{{None, 4}, {None, 4}});
  CHECK(gradcheck(plus, {x, y}));

  Halves halves;
  Outputs parts = halves(x);
  CHECK(parts.count() == 2);
  CHECK(parts[1].shape() == Shape{2, 2});
  auto [left, right] = halves(x).unpack<2>();
  CHECK(difference(concatenate({left, right}, -1), x) == 0);
  CHECK(halves.compute_output_shape(Shapes{{None, 6}}) == Shapes{{None, 3}, {None, 3}});
  CHECK(error_of([&] { halves(x).unpack<3>(); }) == "unpack<3>: there are 2 outputs");
  CHECK(error_of([&] {
          Dense(2, {.name = "d"})({x, y});
        }) == "d (Dense): expected one input, got 2");
  CHECK(gradcheck(halves, x));
}

TEST_CASE("an LSTM begins where another one ended, also in both directions") {
  Tensor x = noise({2, 6, 3}, 1);
  Tensor first = slice(x, {all, range(0, 4)}), second = slice(x, {all, range(4, 6)});
  LSTM whole(5), part(5, {.return_state = true});
  Tensor y = whole(x);
  part.ensure_built(x.shape());
  part.set_weights(whole.get_weights());
  auto states = part(first);
  CHECK(states.count() == 3);
  CHECK(difference(part({second, states[1], states[2]})[0], y) < 1e-6);

  Bidirectional both(LSTM(5, {.return_state = true}), {.merge_mode = "none"});
  Outputs outputs = both(x);
  REQUIRE(outputs.count() == 6);  // forward, backward, and h and c of each
  CHECK(difference(outputs[0], outputs[2]) == 0);
  CHECK(difference(outputs[1], outputs[4]) == 0);
  CHECK(both.compute_output_shape(Shapes{{None, 6, 3}}).size() == 6);
  CHECK(difference(both({x, outputs[2], outputs[3], outputs[4], outputs[5]})[0], outputs[0]) >
        1e-3);
}

TEST_CASE("a backward layer of another kind, which must run backwards and fit the first") {
  Tensor x = noise({2, 6, 3}, 1);
  GRU backward(4, {.go_backwards = true});
  Bidirectional both(LSTM(5), {.backward_layer = backward});
  Tensor y = both(x);
  CHECK(y.shape() == Shape{2, 9});
  CHECK(difference(slice(y, {all, range(5, 9)}), backward(x)) == 0);
  CHECK(error_of([&] { Bidirectional(LSTM(5), {.backward_layer = GRU(5)}); }) ==
        "Bidirectional: expected go_backwards of either the layer or backward_layer");
  CHECK(error_of([&] {
          Bidirectional(LSTM(5), {.backward_layer =
                                      GRU(5, {.return_sequences = true, .go_backwards = true})});
        }) ==
        "Bidirectional: expected one return_sequences of the layer and backward_layer, got false "
        "and true");
}

TEST_CASE("a functional model computes what its layers compute one after the other") {
  auto x = Input({6, 3}, {.name = "series"});
  LSTM lstm(5, {.return_sequences = true});
  auto h = lstm(x);
  CHECK(h.shape() == Shape{None, 6, 5});
  AnyLayer attention = layer<AttentionLayer>(4);
  auto a = attention(h);
  Dense dense(2);
  auto y = dense(tanh(a) * 2 + 1);
  Model model({x}, {y, a}, "forecast");
  CHECK(model.built());
  CHECK(model.input_names() == std::vector<std::string>{"series"});
  CHECK(model.output_names() == std::vector<std::string>{dense.name(), attention->name()});

  Tensor data = noise({4, 6, 3}, 1);
  auto [p, q] = model(data).unpack<2>();
  Tensor expected = attention(lstm(data));
  CHECK(difference(q, expected) == 0);
  CHECK(difference(p, dense(tanh(expected) * 2 + 1)) == 0);
  CHECK(model.weights().size() == 3 + 3 + 2);
  CHECK(model.weights()[0].path().starts_with("forecast/"));
  CHECK(gradcheck(model, data));

  Model copy = clone(model);
  copy(data);
  copy.set_weights(model.get_weights());
  CHECK(difference(copy(data)[0], p) == 0);
  CHECK_FALSE(copy.get_layer(dense.name()).is(dense));
}

TEST_CASE("the activations that need options are operations of a graph, too") {
  SymbolicTensor x = Input({4});
  Model model({x}, {hard_shrink(x, 1), soft_shrink(x, 1), squareplus(x, 8), threshold(x, 1, -3),
                    sparsemax(x), glu(x)});
  Tensor v = tensor({{0.5, -1.5, 1, 2}, {3, 0.25, -2, 1}});
  Tensors expected{hard_shrink(v, 1),   soft_shrink(v, 1), squareplus(v, 8),
                   threshold(v, 1, -3), sparsemax(v),      glu(v)};
  Tensors y = model(v);
  REQUIRE(y.size() == expected.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    REQUIRE(y[i].shape() == expected[i].shape());
    CHECK(all(y[i] == expected[i]).item() == 1);
  }
}

TEST_CASE("a shared layer is called on two inputs and learns from both") {
  auto left = Input({3}), right = Input({3});
  Dense shared(4, {.activation = "tanh"});
  auto similar = sum(shared(left) * shared(right), 1, /*keepdims=*/true);
  Model model({left, right}, {similar});
  CHECK(model.weights().size() == 2);
  Tensor a = noise({5, 3}, 1), b = noise({5, 3}, 2);
  CHECK(difference(model({a, b}), sum(shared(a) * shared(b), 1, true)) == 0);
  CHECK(gradcheck(model, {a, b}));
}

TEST_CASE("masks travel along the graph, each with its tensor") {
  auto text = Input({None}, {.dtype = int32, .name = "text"});
  Embedding embedding(9, 4, {.mask_zero = true});
  auto embedded = embedding(text);
  CHECK(embedded.shape() == Shape{None, None, 4});
  LSTM lstm(3);
  auto h = lstm(embedded);
  Model model({text}, {h});
  Tensor ids = tensor({{1, 2, 3, 0, 0}, {4, 5, 0, 0, 0}}, int32);
  Tensor expected = lstm(embedding(ids), {.mask = ids != 0});
  CHECK(difference(model(ids), expected) == 0);
  CHECK(difference(model(ids), lstm(embedding(ids))) > 1e-4);
}

TEST_CASE("models are layers of a graph, and a model may begin in the middle of one") {
  auto x = Input({4});
  Sequential encoder({Dense(3, {.activation = "relu"}), Dense(2)});
  auto code = encoder(x);
  CHECK(code.shape() == Shape{None, 2});
  auto y = Dense(4)(code);
  Model whole({x}, {y}), decoder({code}, {y});
  Tensor data = noise({3, 4}, 1);
  CHECK(difference(decoder(encoder(data)), whole(data)) == 0);

  auto z = Input({4});
  Model twice({z}, {whole(whole(z))});
  CHECK(difference(twice(data), whole(whole(data))) == 0);
  CHECK(twice.weights().size() == whole.weights().size());
}

TEST_CASE("states in a graph: several outputs, and initial states as inputs") {
  auto x = Input({6, 3}), z = Input({2, 3});
  auto states = LSTM(5, {.return_state = true})(x);
  CHECK(states.count() == 3);
  LSTM decoder(5);
  Model model({x, z}, {decoder({z, states[1], states[2]})});
  Tensor a = noise({2, 6, 3}, 1), b = noise({2, 2, 3}, 2);
  CHECK(model({a, b}).shape() == Shape{2, 5});
  CHECK(gradcheck(model, {a, b}));
  CHECK(error_of([&] { tanh(states); }).ends_with("choose one by its number, [0] for example"));
}

TEST_CASE("mistakes in a graph say where they are") {
  auto x = Input({6, 3}, {.name = "series"}), other = Input({2}, {.name = "other"});
  auto h = LSTM(5, {.return_sequences = true, .name = "lstm"})(x);
  CHECK(error_of([&] {
          LSTM(2, {.name = "next"})
          (Dense(3, {.name = "head"})(other));
        }) ==
        "next (LSTM): expected inputs (batch, time, features), got (None, 3).\n"
        "  other (None, 2) -> head (None, 3) -> next");
  CHECK(error_of([&] {
          dot(h, ones({4, 2}));
        }).find("series (None, 6, 3) -> lstm (None, 6, 5)") != std::string::npos);
  CHECK(error_of([&] { Model({other}, {h}, "m"); }) ==
        "m (Functional): an output depends on the input \"series\", which is not among the inputs");
  CHECK(error_of([&] {
          Plus plus;
          plus(x);
        }).find("or layer<Plus>(...)(x) to call it in a graph") != std::string::npos);
  CHECK(error_of([&] { Model({x}, {Dense(1, {.name = "d"})(Dense(1, {.name = "d"})(h))}, "m"); }) ==
        "m (Functional): two layers are named \"d\"");
  Model model({x}, {h}, "m");
  CHECK(error_of([&] {
          model(ones({2, 5, 3}));
        }) == "m (Functional): input \"series\": expected (None, 6, 3), got (2, 5, 3)");
  CHECK(error_of([&] {
          model({ones({2, 6, 3}), ones({2, 2})});
        }) == "m (Functional): expected 1 inputs (series), got 2");
  register_keras_serializable<Plus>();
  Plus plus;
  CHECK(plus(h).shape() == Shape{None, 6, 5});
}

TEST_CASE("summary says what each layer is connected to, as Keras prints it") {
  clear_session();
  auto text = Input({None}, {.dtype = int32, .name = "text"});
  auto table = Input({12}, {.name = "table"});
  auto h = LSTM(8, {.return_state = true})(Embedding(5000, 32)(text));
  auto both = concatenate({h[0], Dense(16)(table)});
  const std::string summary = Model({text, table}, {Dense(9)(both)}).summary_text();
  for (const char* row :
       {"│ text (InputLayer)             │ (None, None)              │               0 │ -     ",
        "│ embedding (Embedding)         │ (None, None, 32)          │         160,000 │ "
        "text[0][0]  ",
        "│ lstm (LSTM)                   │ [(None, 8), (None, 8),    │           1,312 │ "
        "embedding[0]",
        "│                               │ (None, 8)]                │                 │         ",
        "│ concatenate (Concatenate)     │ (None, 24)                │               0 │ "
        "lstm[0][0], "
        "dense[0][0]    │\n"}) {
    INFO(summary);
    CHECK(summary.find(row) != std::string::npos);
  }
  // One layer after the other: three columns.
  auto x = Input({4});
  CHECK(Model({x}, {Dense(2)(x)}).summary_text().find("Connected to") == std::string::npos);
}

TEST_CASE("a class derived from Sequential or Model may override call, in either form") {
  class Total : public Sequential {
   public:
    Total() : Sequential({Dense(3, {.kernel_initializer = "ones", .input_shape = {2}})}) {}
    Tensor call(const Tensor& x) override { return sum(Sequential::call(x), -1, true); }
  };
  class TotalOfList : public Sequential {
   public:
    TotalOfList() : Sequential({Dense(3, {.kernel_initializer = "ones", .input_shape = {2}})}) {}
    Tensors call(const Tensors& x) override { return {sum(Sequential::call(x)[0], -1, true)}; }
  };
  class Doubled : public Model {
   public:
    explicit Doubled(const SymbolicTensor& x)
        : Model({x}, {Dense(1, {.kernel_initializer = "ones"})(x)}) {}
    Tensor call(const Tensor& x) override { return 2.0 * Model::call(x); }
  };
  Total total;
  TotalOfList total_of_list;
  Doubled doubled(Input({2}));
  const Tensor x = ones({4, 2});
  CHECK(total.predict(x).to_vector<float>() == std::vector<float>(4, 6.0f));
  CHECK(total_of_list.predict(x).to_vector<float>() == std::vector<float>(4, 6.0f));
  CHECK(doubled.predict(x).to_vector<float>() == std::vector<float>(4, 4.0f));
  total.compile({.loss = "mse"});
  CHECK(total.evaluate(x, zeros({4, 1}))["loss"] == 36);
  CHECK(error_of([&] { total.to_json(); }).find("(Total): its class is not registered") !=
        std::string::npos);
  // Inside another model its shape is that of its call; a copy as a Sequential is its layers alone.
  Sequential outer{layer<Total>(), Dense(1)};
  outer.build({None, 2});
  CHECK(outer.output_shapes()[0] == Shape{None, 1});
  CHECK(Sequential(total).predict(x).to_vector<float>() == std::vector<float>(12, 2.0f));
}

TEST_CASE("a class without call says so") {
  class Nothing : public Layer {};
  CHECK(error_of([&] {
          Nothing nothing;
          nothing.set_name("n");
          nothing(ones({1}));
        }) == "n (Nothing): this class has no call: override call");
}

}  // namespace keratin
