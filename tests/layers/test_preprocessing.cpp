// Layers that prepare numbers and strings, beyond what the golden values show: copies, clones,
// models, functions of one's own, gradients, errors.

#include <doctest/doctest.h>

#include <cctype>

#include <keratin/keratin.h>
#include <keratin/layers/gradcheck.h>

#include "error_of.h"
#include "golden.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

using Words = std::vector<std::string>;

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && all(a == b).item() == 1;
}

const Words reviews{"a good film", "a bad film", "good good!", "bad, bad film"};

}  // namespace

TEST_CASE("what a layer learns, its copies know; a clone knows it, and learns by itself") {
  StringLookup lookup;
  StringLookup copy = lookup;
  lookup.adapt({"red", "green", "red"});
  CHECK(copy.get_vocabulary() == Words{"[UNK]", "red", "green"});
  StringLookup other = clone(lookup);
  other.adapt({"blue"});
  CHECK(other.get_vocabulary() == Words{"[UNK]", "blue"});
  CHECK(same(lookup({"green", "blue"}), tensor({2, 0}, int32)));

  TextVectorization vectorize;
  TextVectorization same_one = vectorize;
  vectorize.adapt(reviews);
  CHECK(same_one.vocabulary_size() == 6);
  TextVectorization cloned = clone(vectorize);
  cloned.adapt({"one"});
  CHECK(vectorize.vocabulary_size() == 6);

  Discretization bins({.num_bins = 2});
  Sequential model({bins});
  bins.adapt(tensor({1, 2, 3, 4}));
  CHECK(same(model.predict(tensor({{1, 4}})), tensor({{0, 1}}, int32)));

  Normalization normalize;
  Sequential normalizing({normalize});
  normalize.adapt(tensor({{1, 4}, {3, 4}}));
  CHECK(same(normalizing.predict(tensor({{3, 4}})), tensor({{1, 0}})));
}

TEST_CASE("texts are turned into numbers before a model, which learns from them") {
  set_random_seed(1);
  TextVectorization vectorize({.output_mode = "multi_hot"});
  vectorize.adapt(reviews);
  Sequential model({Dense(1, {.activation = "sigmoid"})});
  model.compile({.optimizer = Adam(0.1), .loss = "binary_crossentropy"});
  model.fit(vectorize(reviews), tensor({{1}, {0}, {1}, {0}}), {.epochs = 60, .verbose = 0});
  Tensor y = model.predict(vectorize({"good", "bad"}));
  CHECK(y.item(0, 0) > 0.5);
  CHECK(y.item(1, 0) < 0.5);
}

TEST_CASE("functions of one's own standardize and split") {
  TextVectorization vectorize({.standardize =
                                   [](const std::string& text) {
                                     std::string upper;
                                     for (char c : text)
                                       upper += static_cast<char>(std::toupper(c));
                                     return upper;
                                   },
                               .split =
                                   [](const std::string& text) {
                                     return Words{text.substr(0, 1), text.substr(1)};
                                   }});
  vectorize.adapt({"ab", "ac"});
  CHECK(vectorize.get_vocabulary() == Words{"", "[UNK]", "A", "C", "B"});
  CHECK(error_of([&] { vectorize.get_config(); }) ==
        "standardize: a function of one's own has no name for a config");
}

TEST_CASE("invalid UTF-8 becomes one U+FFFD for each part that could have begun a character") {
  TextVectorization characters({.split = "character", .vocabulary = {"\xef\xbf\xbd", "a", "b"}});
  CHECK(same(characters({"a\xff\xe4"
                         "b\xe2\x82"
                         "a\xf0\x9f\x98"}),
             tensor({{3, 2, 2, 4, 2, 3, 2}}, int32)));
  CHECK(same(characters({"\xed\xa0\x80"}), tensor({{2, 2, 2}}, int32)));  // a surrogate
}

TEST_CASE("bins end at the boundaries; without one there is one bin") {
  const Tensor x = tensor({-1, 0, 0.5, 3});
  CHECK(same(Discretization({.bin_boundaries = {0, 1}})(x), tensor({0, 1, 1, 2}, int32)));
  CHECK(same(Discretization({.bin_boundaries = std::vector<double>()})(x), zeros({4}, int32)));
}

TEST_CASE("hashing takes numbers of any type, and strings") {
  Hashing hash(10);
  CHECK(same(hash(tensor({3, 4}, int32)), hash(tensor({3, 4}))));
  CHECK(same(hash(tensor({3, 4}, int32)), hash(Strings{"3", "4"})));
}

TEST_CASE("a sample of more axes is encoded along the last one") {
  Tensor ids = tensor({{{0, 1, 1}, {2, 2, 2}}}, int32);
  Tensor expected = tensor({{{1, 2, 0}, {0, 0, 3}}});
  CHECK(same(CategoryEncoding(3, {.output_mode = "count"})(ids), expected));
  CHECK(same(CategoryEncoding(3)(ids), (expected > 0).astype(float32)));
  CHECK(CategoryEncoding(3)(zeros({0, 2}, int32)).shape() == Shape{0, 3});
}

TEST_CASE("in a functional model") {
  auto x = Input({3}), weights = Input({3}, {.name = "weights"});
  Model model({x, weights}, {CategoryEncoding(4, {.output_mode = "count"})({x, weights})});
  Tensor y = model.predict({tensor({{0, 1, 1}}), tensor({{1, 2, 3}})});
  CHECK(same(y, tensor({{1, 5, 0, 0}})));
  auto ids = IntegerLookup({.vocabulary = {7, 9}})(x);
  CHECK(same(Model(x, ids).predict(tensor({{9, 8, 7}})), tensor({{2, 0, 1}}, int32)));
}

TEST_CASE("normalization by numbers that are no float32") {
  Float64 scope;
  Normalization layer({.mean = 0.1, .variance = 1.0});
  CHECK(layer(full({2, 3}, 0.1, float64)).item(1, 2) == 0);
}

TEST_CASE("gradients of layers that prepare numbers") {
  const Tensor x = Random(1).normal({3, 4});
  CHECK(gradcheck(Normalization({.mean = 0.5, .variance = 2.0}), x));
  CHECK(gradcheck(Normalization({.axis = {1}, .invert = true}), x));
  Float64 scope;
  const Tensor ids = tensor({{0, 2, 2}, {1, 0, 1}}, int32),
               weights = tensor({{1, 2, 3}, {4, 5, 6}}, float64);
  CHECK(gradcheck(
      [&](const Tensor& w) {
        return Tensor(CategoryEncoding(3, {.output_mode = "count"})({ids, w}));
      },
      weights));
}

TEST_CASE("mistakes name the layer and the rule") {
  auto message = [](const auto& f) { return error_of(f); };
  CHECK(message([] { Normalization({.mean = 1.0}); }) ==
        "Normalization: mean and variance are given both, or neither");
  CHECK(message([] {
          Normalization({.mean = tensor({1, 2}), .variance = tensor({1, 2}), .name = "n"})(
              ones({2, 3}));
        }).starts_with("n (Normalization): broadcast_to: "));
  CHECK(message([] { Normalization({.name = "n", .input_shape = {}}).adapt(Tensors{}); }) ==
        "n (Normalization): adapt: expected data, got no batch");
  CHECK(message([] {
          Normalization({.mean = 1.0, .variance = 1.0, .name = "n"}).adapt(ones({2, 2}));
        }) == "n (Normalization): adapt: mean and variance are given as options");
  CHECK(message([] { Discretization({}); }) ==
        "Discretization: expected bin_boundaries, or num_bins for adapt");
  CHECK(message([] {
          Discretization({.bin_boundaries = {2, 1}});
        }) == "Discretization: expected bin_boundaries in ascending order, got [2, 1]");
  CHECK(message([] { Discretization({.num_bins = 2, .name = "d"})(ones({2})); }) ==
        "d (Discretization): the boundaries are not known: give bin_boundaries, or call adapt "
        "first");
  CHECK(message([] { Hashing(3, {.name = "h"})(tensor({1.5})); }) ==
        "h (Hashing): expected whole numbers, got 1.5");
  CHECK(message([] {
          IntegerLookup({.vocabulary = {1, 2, 1}});
        }) == "IntegerLookup: the token 1 is in the vocabulary twice");
  CHECK(message([] {
          IntegerLookup({.num_oov_indices = 0, .vocabulary = {1}, .name = "l"})(tensor({1, 5}));
        }) == "l (IntegerLookup): with num_oov_indices 0 all tokens must be known, got 5");
  CHECK(message([] { StringLookup({.name = "s"})({"a"}); }) ==
        "s (StringLookup): the vocabulary is empty: give it as an option, or call adapt first");
  CHECK(message([] { StringLookup({.vocabulary = {"a"}, .name = "s"}).adapt({"a"}); }) ==
        "s (StringLookup): adapt: the vocabulary is given as an option");
  CHECK(message([] {
          Sequential({TextVectorization({.name = "t"})}).predict(ones({1, 1}));
        }).find("t (TextVectorization): it takes strings, which no tensor holds") !=
        std::string::npos);
  CHECK(message([] { TextVectorization({.split = "words"}); }) ==
        "TextVectorization: expected split whitespace, character or none, or a function, got "
        "\"words\"");
  CHECK(message([] {
          TextVectorization({.name = "t"})({{"a", "b"}, {"c", "d"}});
        }) == "t (TextVectorization): expected one text, (n) texts or (n, 1) of them, got (2, 2)");
  CHECK(message([] {
          layer_from_config("StringLookup", {{"sparse", true}});
        }) == "StringLookup: sparse: only false is known, got true");
  CHECK(message([] {
          Strings{{"a", "b"}, {"c"}};
        }) == "strings: expected rows of one length, got (2,) and (1,)");
}

TEST_CASE("ids beyond the tokens are refused" * doctest::description("at once on the processor")) {
  CHECK(error_of([] {
          Tensor y = CategoryEncoding(3, {.name = "c"})(tensor({{0, 3}}));
          y.item(0, 0);
        })
            .find(std::getenv("KERATIN_DEVICE") == nullptr
                      ? "c (CategoryEncoding): expected ids in 0..2, got 0 to 3"
                      : "CategoryEncoding") != std::string::npos);
}

}  // namespace keratin

TEST_SUITE_END();
