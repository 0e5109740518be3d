// Attention with one head and with several; what it computes is in test_several_inputs_golden.cpp.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <keratin/core/memory.h>
#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "../on_processor.h"
#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

Tensor normal(const Shape& shape, std::uint64_t seed = 1) { return Random(seed).normal(shape); }

Tensor flags(const std::vector<int>& values, const Shape& shape) {
  return tensor(values, shape).astype(boolean);
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

/// One of each class, with the flags of the call.
std::vector<AnyLayer> attentions(bool causal = false, bool scores = false, double dropout = 0) {
  return {Attention({.use_scale = true,
                     .dropout = dropout,
                     .use_causal_mask = causal,
                     .return_attention_scores = scores}),
          Attention({.use_scale = true,
                     .score_mode = "concat",
                     .dropout = dropout,
                     .use_causal_mask = causal,
                     .return_attention_scores = scores}),
          AdditiveAttention(
              {.dropout = dropout, .use_causal_mask = causal, .return_attention_scores = scores}),
          MultiHeadAttention(2, 3,
                             {.dropout = dropout,
                              .use_gate = true,
                              .use_causal_mask = causal,
                              .return_attention_scores = scores}),
          GroupQueryAttention(
              3, 4, 2,
              {.dropout = dropout, .use_causal_mask = causal, .return_attention_scores = scores})};
}

const Shape query_shape{2, 3, 4}, value_shape{2, 5, 4};

}  // namespace

TEST_CASE("the gradients of attention") {
  const Tensor query = normal(query_shape), value = normal(value_shape, 2),
               key = normal(value_shape, 3);
  const Tensors masks{flags({1, 1, 0, 1, 0, 1}, {2, 3}),
                      flags({1, 1, 0, 1, 0, 1, 0, 0, 0, 1}, {2, 5})};
  for (AnyLayer& layer : attentions()) {
    CAPTURE(layer->class_name());
    CHECK(gradcheck(*layer, {query, value}));
    CHECK(gradcheck(*layer, {query, value, key}, {.masks = masks}));
  }
  for (AnyLayer& layer : attentions(true, true))
    CHECK(gradcheck(*layer, {query, value}, {.masks = masks}));
  for (AnyLayer& layer : attentions(false, false, 0.5))
    CHECK(gradcheck(*layer, {query, value}, {.training = true}));
  CHECK(gradcheck(
      MultiHeadAttention(2, 3, {.value_dim = 2, .output_shape = {2, 3}, .sliding_window = 2}),
      {query, value, key, normal({2, 3, 5}) > -1.0}));
  CHECK(gradcheck(MultiHeadAttention(2, 3, {.attention_axes = {1, 2}}),
                  {normal({2, 2, 3, 4}), normal({2, 2, 3, 4}, 2)}));
}

TEST_CASE("attention over float32 gives float32, and has the shapes that it states") {
  for (AnyLayer& layer : attentions(false, true)) {
    CAPTURE(layer->class_name());
    auto outputs = layer({normal(query_shape), normal(value_shape, 2)}).unpack<2>();
    for (const Tensor& y : outputs) CHECK(y.dtype() == float32);
    const Shapes stated = layer->compute_output_shape(Shapes{{None, None, 4}, {None, 5, 4}});
    CHECK(stated[0] == Shape{None, None, 4});
    CHECK(stated[1].with(0, 2).with(-2, 3) == outputs[1].shape());
    CHECK(max(abs(sum(outputs[1], -1) - 1.0)).item() < 1e-5);
  }
}

TEST_CASE("padding reaches nothing, NaN included; attention over nothing is 0") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor query = normal(query_shape), value = normal(value_shape, 2);
  const Tensor query_mask = flags({1, 1, 0, 1, 1, 1}, {2, 3}),
               value_mask = flags({1, 1, 0, 1, 0, 0, 0, 0, 0, 0}, {2, 5});
  for (AnyLayer& layer : attentions(false, true)) {
    CAPTURE(layer->class_name());
    layer({query, value});  // built
    for (Weight weight : layer->weights())
      if (weight.name() == "bias") weight.assign(zeros(weight.shape()));
    const CallOptions masks{.masks = {query_mask, value_mask}};
    Tensors clean = layer({query, value}, masks);
    Tensor bad_query = query.copy(), bad_value = value.copy();
    bad_query[0][2].assign(full({4}, nan));
    bad_value[1].assign(full({5, 4}, nan));
    bad_value[0][2].assign(full({4}, nan));
    GradientTape tape;
    tape.watch(bad_query);
    tape.watch(bad_value);
    Tensors y = layer({bad_query, bad_value}, masks);
    CHECK(all(y[0] == clean[0]).item() == 1);
    CHECK(max(abs(y[0][1])).item() == 0);  // nothing to attend to
    CHECK(max(abs(y[1][1])).item() == 0);
    CHECK(max(abs(y[0][0][2])).item() == 0);  // a padded query
    Tensors watched{bad_query, bad_value};
    for (const Weight& weight : layer->weights()) watched.push_back(weight.value());
    for (const Tensor& g : tape.gradient(sum(y[0] * y[0]), watched))
      if (g.defined()) CHECK(all(isfinite(g)).item() == 1);
  }
}

TEST_CASE("a causal query sees nothing that comes later") {
  const Tensor x = normal({1, 4, 4}), later = x.copy();
  Tensor(later)[0][3].assign(full({4}, 9.0));
  for (AnyLayer& layer : attentions(true)) {
    CAPTURE(layer->class_name());
    const Tensor y = layer({x, x}), z = layer({later, later});
    CHECK(max(abs(slice(y, {all, range(0, 3)}) - slice(z, {all, range(0, 3)}))).item() < 1e-6);
    CHECK(max(abs(y[0][3] - z[0][3])).item() > 1e-3);
  }
}

TEST_CASE("the output has the query's mask") {
  const Tensor query_mask = flags({1, 1, 0, 1, 0, 1}, {2, 3});
  for (AnyLayer& layer : attentions()) {
    auto [y, masks] = layer->call_with_mask(Tensors{normal(query_shape), normal(value_shape)},
                                            {.masks = {query_mask, Tensor()}});
    CHECK(all(masks[0] == query_mask.astype(boolean)).item() == 1);
    auto [z, none] = layer->call_with_mask(Tensors{normal(query_shape), normal(value_shape)});
    CHECK_FALSE(none[0].defined());
  }
}

TEST_CASE("an attention mask without a key is given behind an undefined tensor") {
  MultiHeadAttention layer(2, 3);
  const Tensor x = normal(query_shape), only_first = flags({1, 0, 0, 1, 0, 0, 1, 0, 0}, {3, 3});
  const Tensor y = layer({x, x, Tensor(), only_first}), z = layer({x, x, x, only_first});
  CHECK(all(y == z).item() == 1);
  CHECK(max(abs(y[0][1] - y[0][2])).item() < 1e-6);  // all see the same
}

TEST_CASE("attention drops weights in training, the same ones for the same seed") {
  const Tensor x = normal({2, 6, 4});
  for (int kind = 0; kind < 3; ++kind) {
    auto made = [&]() -> AnyLayer {
      if (kind == 0) return Attention({.dropout = 0.5, .seed = 7});
      if (kind == 1)
        return MultiHeadAttention(2, 3, {.dropout = 0.5, .kernel_initializer = "ones", .seed = 7});
      return GroupQueryAttention(3, 4, 2,
                                 {.dropout = 0.5, .kernel_initializer = "ones", .seed = 7});
    };
    AnyLayer a = made(), b = made();
    const CallOptions training{.training = true};
    CHECK(all(Tensor(a({x, x}, training)) == Tensor(b({x, x}, training))).item() == 1);
    CHECK(max(abs(a({x, x}) - a({x, x}, training))).item() > 1e-3);
    CHECK(all(Tensor(a({x, x})) == Tensor(a({x, x}))).item() == 1);
  }
}

namespace {

/// The output of a layer, and the gradients of its inputs and weights; {query, value, key, ...}.
Tensors with_gradients(AnyLayer layer, const Tensors& inputs, const Tensors& masks) {
  GradientTape tape;
  for (const Tensor& x : inputs)
    if (is_floating(x.dtype())) tape.watch(x);
  const Tensors outputs = layer(inputs, {.masks = masks});
  CHECK_NOTHROW(tape.gradient(outputs[0], inputs[0]));  // of an input alone
  const Tensor factors = Random(5).normal(outputs[0].shape());
  Tensors sources(inputs.begin(), inputs.begin() + 3), results{outputs[0]};
  for (const Weight& weight : layer->trainable_weights()) sources.push_back(weight);
  for (const Tensor& g : std::move(tape).gradient(sum(outputs[0] * factors), sources))
    results.push_back(g);
  return results;
}

/// How far the results of `layer` are from those of `whole`, the same layer with its weights shown,
/// which has all scores at once; as a part of the largest number of each. (The gradient of a key's
/// bias would be nothing but rounding: it shifts all scores of a query alike.)
double distance_of_blocks(AnyLayer layer, AnyLayer whole, const Tensors& inputs,
                          const Tensors& masks = {}) {
  layer(inputs);
  whole(inputs);
  whole->set_weights(layer->get_weights());
  const Tensors found = with_gradients(layer, inputs, masks),
                expected = with_gradients(whole, inputs, masks);
  double most = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    most = std::max(most, (max(abs(found[i] - expected[i])) / max(abs(expected[i]))).item());
  return most;
}

}  // namespace

TEST_CASE("attention over many steps goes block by block, to the same result" * on_processor()) {
  const Tensors near{normal({2, 1100, 6}), normal({2, 1030, 6}, 2), normal({2, 1030, 6}, 3)};
  const Tensors masks{Random(4).uniform({2, 1100}) < 0.9, Random(5).uniform({2, 1030}) < 0.9};
  auto heads = [&](bool causal, std::optional<int> window, bool shown) -> AnyLayer {
    return MultiHeadAttention(2, 3,
                              {.use_bias = false,
                               .sliding_window = window,
                               .use_causal_mask = causal,
                               .return_attention_scores = shown});
  };
  CHECK(distance_of_blocks(heads(true, {}, false), heads(true, {}, true), near) < 1e-4);
  CHECK(distance_of_blocks(heads(true, 100, false), heads(true, 100, true), near, masks) < 1e-4);
  CHECK(distance_of_blocks(heads(false, 7, false), heads(false, 7, true), near, masks) < 1e-4);
  auto groups = [](bool shown) -> AnyLayer {
    return GroupQueryAttention(
        3, 4, 1, {.use_bias = false, .use_causal_mask = true, .return_attention_scores = shown});
  };
  CHECK(distance_of_blocks(groups(false), groups(true), near, masks) < 1e-4);

  const Tensors far{normal({2, 1600, 4}), normal({2, 1500, 4}, 2), normal({2, 1500, 4}, 3)};
  Tensors given = far;
  given.push_back(Random(6).uniform({2, 1600, 1500}) < 0.5);
  auto four_heads = [](bool shown) -> AnyLayer {
    return MultiHeadAttention(4, 2, {.use_bias = false, .return_attention_scores = shown});
  };
  CHECK(distance_of_blocks(four_heads(false), four_heads(true), far) < 1e-4);
  CHECK(distance_of_blocks(four_heads(false), four_heads(true), given) < 1e-4);

  // Over two axes, around one that stays apart; and the samples in blocks.
  const Tensors apart{normal({3, 50, 2, 60, 4}), normal({3, 48, 2, 50, 4}, 2),
                      normal({3, 48, 2, 50, 4}, 3)};
  auto over_two = [](bool shown) -> AnyLayer {
    return MultiHeadAttention(
        1, 2, {.use_bias = false, .attention_axes = {3, 1}, .return_attention_scores = shown});
  };
  CHECK(distance_of_blocks(over_two(false), over_two(true), apart) < 1e-4);
}

TEST_CASE("attention without heads goes block by block, too" * on_processor()) {
  const Tensors inputs{normal({3, 700, 3}), normal({3, 710, 3}, 2), normal({3, 710, 3}, 3)};
  const Tensors masks{Random(4).uniform({3, 700}) < 0.9, Random(5).uniform({3, 710}) < 0.9};
  for (const char* mode : {"dot", "concat"}) {
    auto one = [&](bool shown) -> AnyLayer {
      return Attention({.use_scale = true,
                        .score_mode = mode,
                        .use_causal_mask = true,
                        .return_attention_scores = shown});
    };
    const Tensors longer{normal({1, 2100, 2}), normal({1, 2050, 2}, 2), normal({1, 2050, 2}, 3)};
    CHECK(distance_of_blocks(one(false), one(true), mode == std::string("dot") ? longer : inputs) <
          1e-4);
  }
  auto additive = [](bool shown) -> AnyLayer {
    return AdditiveAttention({.use_causal_mask = true, .return_attention_scores = shown});
  };
  CHECK(distance_of_blocks(additive(false), additive(true), inputs, masks) < 1e-4);
}

TEST_CASE("the memory of attention grows with its steps, not with their square" * on_processor()) {
  auto bytes_of = [](std::int64_t steps) {
    MultiHeadAttention layer(2, 2, {.use_causal_mask = true});
    Tensor x = normal({1, steps, 4});
    layer({x, x});
    release_cached_memory();
    const std::int64_t before = memory_stats().bytes_reserved;
    GradientTape tape;
    tape.watch(x);
    const Tensor y = sum(Tensor(layer({x, x})));
    std::move(tape).gradient(y, x);
    return static_cast<double>(memory_stats().bytes_reserved - before);  // unused blocks are kept
  };
  const double one = bytes_of(2048), two = bytes_of(4096);
  CHECK(one < 2048.0 * 2048 * 4);  // less than the scores of a single head
  CHECK(two < 2 * one);
}

TEST_CASE("the weights of attention have Keras's names, and can be captured") {
  clear_session();
  MultiHeadAttention heads(2, 3, {.use_gate = true});
  GroupQueryAttention groups(3, 4, 2);
  const Tensor x = normal(query_shape);
  heads({x, x});
  groups({x, x});
  std::vector<std::string> paths;
  for (const Weight& weight : heads.weights()) paths.push_back(weight.path());
  const std::string h = "multi_head_attention/";
  CHECK(paths == std::vector<std::string>{
                     h + "query/kernel", h + "query/bias", h + "key/kernel", h + "key/bias",
                     h + "gate/kernel", h + "gate/bias", h + "value/kernel", h + "value/bias",
                     h + "attention_output/kernel", h + "attention_output/bias"});
  CHECK(heads.weights()[0].shape() == Shape{4, 2, 3});
  CHECK(heads.weights()[8].shape() == Shape{2, 3, 4});
  CHECK(groups.weights()[0].path() == "grouped_query_attention/query/kernel");
  CHECK(groups.weights()[2].shape() == Shape{4, 2, 3});

  auto in = Input({3, 4});
  Attention one_head;
  Model model({in}, {Add()({one_head({in, in}), heads({in, in})})});
  auto values = model.capture(x);
  CHECK(values.at("attention/attention").shape() == Shape{2, 3, 3});
  CHECK(values.at("multi_head_attention/attention").shape() == Shape{2, 2, 3, 3});
}

TEST_CASE("copies of attention are the same layer, and clones are others") {
  const Tensor x = normal(query_shape);
  MultiHeadAttention first(2, 3), copy_before = first;
  const Tensor y = first({x, x});
  MultiHeadAttention copy_after = first;
  CHECK(all(Tensor(copy_before({x, x})) == y).item() == 1);
  CHECK(all(Tensor(copy_after({x, x})) == y).item() == 1);
  CHECK(copy_before.weights().size() == 8);
  MultiHeadAttention other = clone(first);
  CHECK_FALSE(other.built());
  CHECK(max(abs(other({x, x}) - y)).item() > 1e-3);
  other.set_weights(first.get_weights());
  CHECK(all(Tensor(other({x, x})) == y).item() == 1);
  CHECK(all(Tensor(first({x, x})) == y).item() == 1);
}

TEST_CASE("each projection's activity costs something, and a frozen layer stays as it is") {
  MultiHeadAttention layer(
      1, 2, {.use_bias = false, .kernel_initializer = "ones", .activity_regularizer = L2(1.0)});
  const Tensor x = ones({1, 1, 1});
  layer({x, x});
  LayerLosses losses;
  layer({x, x});
  CHECK(losses.values().size() == 4);  // query, key, value, output
  double sum_of_all = 0;
  for (const Tensor& loss : losses.values()) sum_of_all += loss.item();
  CHECK(sum_of_all == doctest::Approx(2 + 2 + 2 + 4));
  layer.set_trainable(false);
  CHECK(layer.trainable_weights().empty());
}

TEST_CASE("what does not fit is refused by name") {
  clear_session();
  auto error = [](Layer&& layer, const Shapes& shapes) {
    Tensors inputs;
    for (const Shape& shape : shapes) inputs.push_back(zeros(shape));
    return error_of([&] { layer(inputs); });
  };
  CHECK(error(Attention(), {{2, 3, 4}}) ==
        "attention (Attention): expected the inputs query, value and perhaps key, got 1");
  CHECK(
      error(Attention(), {{2, 3}, {2, 3}}) ==
      "attention_1 (Attention): expected inputs (batch, time, features), got (None, 3), (None, 3)");
  CHECK(
      error(AdditiveAttention(), {{2, 3, 4}, {2, 5, 3}}) ==
      "additive_attention (AdditiveAttention): expected a query and keys of one width, and as many "
      "keys as values, got (None, 3, 4), (None, 5, 3)");
  CHECK(error_of([] { Attention({.score_mode = "sum"}); }) ==
        "Attention: expected score_mode dot or concat, got \"sum\"");
  CHECK(error_of([] { AdditiveAttention({.dropout = 2}); }) ==
        "AdditiveAttention: expected dropout between 0 and 1, got 2");
  CHECK(error_of([] { MultiHeadAttention(0, 3); }) ==
        "MultiHeadAttention: expected num_heads of at least 1, got 0");
  CHECK(error_of([] { MultiHeadAttention(2, 3, {.sliding_window = 0}); }) ==
        "MultiHeadAttention: expected sliding_window of at least 1, got 0");
  CHECK(error_of([] { GroupQueryAttention(3, 4, 3); }) ==
        "GroupQueryAttention: expected num_query_heads that num_key_value_heads divides, got 4 and "
        "3");
  CHECK(error_of([] {
          layer_from_config("GroupQueryAttention",
                            {{"head_dim", 2}, {"num_query_heads", 4}, {"num_key_value_heads", 3}});
        }).starts_with("GroupQueryAttention: expected num_query_heads that"));
  CHECK(contains(error(MultiHeadAttention(2, 3), {{2, 3}, {2, 3}}),
                 "expected inputs of one rank, 3 or more, got (None, 3), (None, 3)"));
  CHECK(contains(error(MultiHeadAttention(2, 3), {{2, 3, 4}, {2, 5, 4}, {2, 6, 4}}),
                 "expected as many keys as values, and one size of the other axes"));
  CHECK(contains(error(MultiHeadAttention(2, 3, {.attention_axes = {2}}), {{2, 3, 4}, {2, 5, 4}}),
                 "attention_axes: expected axes between batch and features, got 2"));
  CHECK(contains(
      error(MultiHeadAttention(2, 3, {.use_causal_mask = true}), {{2, 3, 4, 5}, {2, 3, 4, 5}}),
      "use_causal_mask and sliding_window are about one axis, but attention_axes are 1, 2"));
  CHECK(contains(error(GroupQueryAttention(2, 2, 1), {{2, 3, 4, 5}, {2, 3, 4, 5}}),
                 "expected a query (batch, time, features), got rank 4"));
  MultiHeadAttention built(2, 3, {.name = "m"});
  built({zeros(query_shape), zeros(value_shape)});
  CHECK(
      error_of([&] {
        built({zeros({2, 3, 5}), zeros(value_shape)});
      }) ==
      "m (MultiHeadAttention): expected a query, value and key of width 4, 4 and 4, got (2, 3, 5), "
      "(2, 5, 4)");
  CHECK(
      error_of([&] {
        built({zeros(query_shape), zeros(value_shape), Tensor(), ones({2, 3, 4})});
      }) ==
      "m (MultiHeadAttention): expected an attention mask that fits (2, 2, 3, 5), which is (batch, "
      "heads, queries, keys), got (2, 3, 4)");
  CHECK(contains(
      error_of([&] {
        built({zeros(query_shape), zeros(value_shape)}, {.masks = {ones(query_shape), Tensor()}});
      }),
      "expected a mask of steps, such as (batch, time), got (2, 3, 4)"));
}

TEST_CASE("a functional model tells attention what Keras tells it in the call") {
  auto x = Input({5, 4}, {.name = "x"}), may = Input({5, 5}, {.dtype = boolean, .name = "may"});
  auto h = MultiHeadAttention(2, 3, {.use_causal_mask = true, .name = "m"})({x, x, x, may});
  auto a = Attention({.return_attention_scores = true, .name = "a"})({h, x});
  Model model({x, may}, {a[0], a[1]});
  const std::string config = format_json(model.get_config());
  CHECK(contains(config, "\"use_causal_mask\":true"));
  CHECK(contains(config, "\"return_attention_scores\":true"));
  CHECK(contains(config, "\"key\":{"));
  CHECK(contains(config, "\"attention_mask\":{"));
  CHECK(contains(config, R"({"shapes_dict":{"query_shape":[null,5,4],"value_shape":[null,5,4],)"
                         R"("key_shape":[null,5,4]}})"));
  AnyLayer again = layer_from_config("Functional", model.get_config());
  again->set_weights(model.get_weights());
  const Tensors in{normal({2, 5, 4}), normal({2, 5, 5}) > 0.0};
  Tensors expected = model(in), found = again(in);
  for (std::size_t i = 0; i < 2; ++i) CHECK(all(found[i] == expected[i]).item() == 1);
  CHECK(format_json(again->get_config()) == config);
}

TEST_CASE("a layer that Keras calls with a flag and without is refused") {
  auto x = Input({5, 4}, {.name = "x"});
  MultiHeadAttention shared(2, 3, {.use_causal_mask = true, .name = "m"});
  Model model({x}, {shared({shared({x, x}), x})});
  std::string text = format_json(model.get_config());
  const std::string flag = "\"use_causal_mask\":true";
  text.erase(text.rfind(flag), flag.size());
  const Option config = parse_json(text, "text");
  CHECK(contains(
      error_of([&] { layer_from_config("Functional", std::get<Config>(config)); }),
      "the layer \"m\" is called with use_causal_mask and without, which takes two layers"));
}

TEST_CASE("masks find their way through a model of attention, and it learns") {
  set_random_seed(2);
  auto ids = Input({None}, {.dtype = int32});
  auto words = Embedding(9, 8, {.mask_zero = true})(ids);
  auto h = LayerNormalization()(Add()({words, MultiHeadAttention(2, 4)({words, words})}));
  auto g = GroupQueryAttention(4, 2, 1)({h, h});
  auto both = AdditiveAttention()({g, Attention()({h, words})});
  Model model({ids}, {Dense(9, {.activation = "softmax"})(LSTM(8)(both))});
  Tensor x = Random(1).uniform({128, 6}, 1, 9).astype(int32);
  const Tensor y = slice(x, {all, 0}).copy();
  for (std::int64_t i = 0; i < 128; i += 2) slice(x, {i, range(4, 6)}).assign(zeros({2}, int32));
  model.compile({.optimizer = Adam(0.02), .loss = "sparse_categorical_crossentropy"});
  History history = model.fit(x, y, {.epochs = 40, .verbose = 0});
  CHECK(history["loss"].back() < 0.75 * history["loss"].front());

  // Padding decides nothing: more of it changes nothing.
  Tensor longer = zeros({128, 9}, int32);
  slice(longer, {all, range(0, 6)}).assign(x);
  CHECK(max(abs(model(longer) - model(x))).item() < 1e-6);
}

}  // namespace keratin

TEST_SUITE_END();
