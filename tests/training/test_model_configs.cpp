// Models made from Keras's configs: what they compute, and the config they give back
// (tests/golden/models.npz and configs.json).

#include <doctest/doctest.h>

#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "error_of.h"
#include "golden.h"
#include "golden_configs.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

Tensors numbered(const Golden& file, const std::string& prefix) {
  Tensors found;
  for (int i = 0; file.has(prefix + std::to_string(i)); ++i)
    found.push_back(file[prefix + std::to_string(i)]);
  return found;
}

/// Without the arguments that some calls of Keras spell out though they are at rest.
Option at_rest_left_out(Option option) {
  if (auto* list = std::get_if<std::vector<Option>>(&option))
    for (Option& part : *list) part = at_rest_left_out(part);
  if (auto* config = std::get_if<Config>(&option))
    for (auto& [name, value] : *config) {
      value = at_rest_left_out(value);
      if (name == "kwargs")
        std::erase_if(std::get<Config>(value), [](const auto& argument) {
          auto* flag = std::get_if<bool>(&argument.second);
          return argument.second.is_none() || (flag != nullptr && !*flag);
        });
    }
  return option;
}

std::string text_of(const Config& config) { return format_json(at_rest_left_out(config)); }

}  // namespace

TEST_CASE("models made from Keras's configs compute what Keras's do, and give the config back") {
  Float64 scope;
  const Golden& file = golden("models");
  std::map<std::string, GoldenConfig> objects = golden_cases("model");
  CHECK(objects.size() == 8);
  for (const std::string& name : file.cases()) {
    CAPTURE(name);
    REQUIRE(objects.contains(name));
    const GoldenConfig& object = objects[name];
    AnyLayer model = layer_from_config(object.class_name, object.config);
    model->set_weights(numbered(file, name + "/w"));
    Tensors y = model(numbered(file, name + "/x")), expected = numbered(file, name + "/y");
    REQUIRE(y.size() == expected.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      CAPTURE(i);
      CHECK(max_relative_difference(y[i], expected[i], 1e-3) < 1e-9);
    }
    CHECK(text_of(model->get_config()) == text_of(object.config));
  }
}

TEST_CASE("a model is made again from its own config") {
  auto x = Input({4, 3}, {.name = "x"}), y = Input({3}, {.name = "y"});
  GRU gru(3, {.name = "gru"});
  auto h = gru({x, y * tensor({1, 2, 3})});
  auto parts = split(concatenate({h, maximum(y, 0.5)}, -1), 2, -1);
  Model model({x, y}, {Dense(2)(parts[0]), parts[1], slice(x, {All(), range(0, 4, 2), -1})}, "own");
  AnyLayer again = layer_from_config("Functional", model.get_config());
  CHECK(format_json(again->get_config()) == format_json(model.get_config()));
}

TEST_CASE("a model holds models and classes of one's own in its config") {
  class Twice : public Layer {
   public:
    Tensor call(const Tensor& x) override { return 2 * x; }
  };
  register_keras_serializable<Twice>("tests");
  Sequential inner({Dense(2, {.name = "d"}), Twice()}, "inner");
  Sequential outer({TimeDistributed(inner, {.name = "each"})}, "outer");
  Tensor x = Random(1).normal({2, 3, 4});
  Tensor y = outer(x);
  AnyLayer again = layer_from_config("Sequential", outer.get_config());
  CHECK(again->built());
  again->set_weights(outer.get_weights());
  CHECK(all(again(x) == y).item() == 1);

  class Own : public Model {
   public:
    Tensor call(const Tensor& x) override { return x; }
  };
  CHECK(error_of([] { Own().get_config(); }) ==
        "own (Own): a model of one's own has a config when it overrides fields()");
  auto in = Input({2});
  Model custom({in},
               {operation("halve", [](const Tensors& t) { return Tensors{t[0] / 2}; }, {in})});
  CHECK(error_of([&] { custom.get_config(); }) ==
        "halve: an operation by a function of one's own has no class that a config could hold");
}

TEST_CASE("a model that begins inside another graph has an InputLayer of its own") {
  auto x = Input({4});
  Dense d(4, {.name = "d"});
  auto h = d(x), y = d(h);
  Model model({h}, {y, y * 2}, "inside");
  AnyLayer again = layer_from_config("Functional", model.get_config());
  again->set_weights(model.get_weights());
  const Tensor t = Random(1).normal({2, 4});
  CHECK(all(Tensors(again(t))[1] == Tensors(model(t))[1]).item() == 1);
  CHECK(model.input_names()[0].starts_with("input_layer"));

  Model both({h, y}, {tanh(h) + y});
  CHECK(both.layers()[0]->name() == both.input_names()[0]);
  CHECK(both.layers()[1]->name() == both.input_names()[1]);
}

TEST_CASE("types, batch sizes and numbers survive a config") {
  auto ids = Input({5}, {.batch_size = 2, .dtype = int32});
  Model model({ids}, {one_hot(ids, 4) * 0.1});
  const std::string text = format_json(model.get_config());
  CHECK(text.find(R"("batch_shape":[2,5],"dtype":"int32")") != text.npos);
  CHECK(text.find("},0.1],") != text.npos);
  AnyLayer again = layer_from_config("Functional", std::get<Config>(parse_json(text, "text")));
  CHECK(format_json(again->get_config()) == text);
  CHECK(again(zeros({2, 5}, int32)).shape() == Shape{2, 5, 4});

  Config functional, sequential;
  {
    Float64 scope;
    auto x = Input({3});
    // A number of rank 0 with a dtype is no plain number.
    functional = Model({x}, {Dense(2)(x) * tensor({0.5}).reshape({})}).get_config();
    Sequential chain({Dense(2)});
    chain(ones({1, 3}, float64));
    sequential = chain.get_config();
  }
  AnyLayer f = layer_from_config("Functional", functional),
           s = layer_from_config("Sequential", sequential);
  CHECK(f->weights()[0].value().dtype() == float64);
  CHECK(f(ones({1, 3}, float64)).dtype() == float64);
  CHECK(s->weights()[0].value().dtype() == float64);
  CHECK(format_json(f->get_config()) == format_json(functional));
}

TEST_CASE("a nested model with one input has all of its outputs") {
  auto i = Input({4});
  Model inner({i}, {Dense(3)(i), Dense(2)(i)});
  auto x = Input({4});
  auto outputs = inner(x);
  CHECK(outputs.count() == 2);
  Model model({x}, {outputs[1] + 1});
  CHECK(model(ones({2, 4})).shape() == Shape{2, 2});
}

TEST_CASE("an empty model, and one with a layer named input_layer, are made again") {
  CHECK(layer_from_config("Sequential", Sequential().get_config())->sublayers().empty());
  Sequential named({Dense(2, {.name = "input_layer"})});
  named(ones({1, 3}));
  CHECK(layer_from_config("Sequential", named.get_config())->built());
}

TEST_CASE("a layer takes the mask that a config gives in its call, and the config keeps it") {
  clear_session();
  auto x = Input({4, 2}, {.name = "x"}), m = Input({4}, {.dtype = boolean, .name = "m"});
  Model model({x, m}, {LSTM(3, {.name = "lstm"})(x)}, "masked");
  std::string text = format_json(model.get_config());
  const std::string kwargs = R"("kwargs":{})";
  REQUIRE(text.find(kwargs) != std::string::npos);
  text.replace(text.find(kwargs), kwargs.size(),
               R"("kwargs":{"mask":{"class_name":"__keras_tensor__","config":{"shape":[null,4],)"
               R"("dtype":"bool","keras_history":["m",0,0]}}})");
  AnyLayer masked = layer_from_config("Functional", std::get<Config>(parse_json(text, "text")));
  // The input "m" now comes before the layer that reads it.
  CHECK(format_json(masked->get_config()).find(R"("keras_history":["m",0,0]}}}}])") !=
        std::string::npos);
  CHECK(format_json(layer_from_config("Functional", masked->get_config())->get_config()) ==
        format_json(masked->get_config()));
  masked->set_weights(model.get_weights());
  const Tensor values = Random(1).normal({2, 4, 2});
  const Tensor mask = tensor({{1, 1, 0, 0}, {1, 0, 1, 1}}).astype(boolean);
  LSTM alone(3);
  alone.ensure_built(values.shape());
  alone.set_weights(model.get_weights());
  const Tensor y = masked(Tensors{values, mask});
  CHECK(all(y == alone(values, {.mask = mask})).item() == 1);
  CHECK(any(y != alone(values)).item() == 1);
}

TEST_CASE("the config keeps `training` in a layer's call, which fit and predict overrule") {
  clear_session();
  auto x = Input({40}, {.name = "x"});
  const Model model({x}, {Dropout(0.5, {.name = "drop"})(x)}, "always");
  const std::string text = format_json(model.get_config()), kwargs = R"("kwargs":{})";
  for (const char* flag : {"true", "false"}) {
    std::string changed = text;
    changed.replace(changed.find(kwargs), kwargs.size(),
                    std::string(R"("kwargs":{"training":)") + flag + "}");
    const AnyLayer read =
        layer_from_config("Functional", std::get<Config>(parse_json(changed, "text")));
    CHECK(format_json(read->get_config()) == changed);
    const Tensor at_rest = read(ones({2, 40})),
                 in_training = read(ones({2, 40}), {.training = true});
    CHECK(min(at_rest).item() == 1);
    CHECK(min(in_training).item() == 0);
  }
}

TEST_CASE("what is wrong in a model's config is named") {
  clear_session();
  auto x = Input({3}, {.name = "x"});
  Model model({x}, {Dense(2, {.name = "d"})(x) * 2}, "m");
  const std::string text = format_json(model.get_config());
  auto error_with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    for (std::size_t at = 0; (at = changed.find(from, at)) != std::string::npos; at += to.size())
      changed.replace(at, from.size(), to);
    REQUIRE(changed != text);
    return error_of(
        [&] { layer_from_config("Functional", std::get<Config>(parse_json(changed, "text"))); });
  };
  CHECK(error_with(R"("keras_history":["x",0,0])", R"("keras_history":["z",0,0])") ==
        "Functional: there is no layer \"z\"");
  CHECK(error_with(R"("keras_history":["x",0,0])", R"("keras_history":["x",0])") ==
        "Functional: expected [layer, call, output]");
  CHECK(error_with(R"("keras_history":["x",0,0])", R"("keras_history":["d",7,0])") ==
        "Functional: what the layer \"d\" is called on is not in the graph");
  CHECK(error_with(R"("class_name":"Multiply")", R"("class_name":"Multiplied")")
            .starts_with("unknown op class \"Multiplied\""));
  CHECK(error_with(R"("output_layers":["multiply",0,0])", R"("output_layers":["multiply",1,0])") ==
        "Functional: output_layers: there is no such tensor in the graph");
  CHECK(error_with(R"("layers":[)", R"("layer":[)") ==
        "Functional: expected \"layers\" to be a list");
  CHECK(error_with(R"("kwargs":{})", R"("kwargs":{"mask":true})") ==
        "Functional: the mask of layer \"d\" is no tensor of the graph");
  CHECK(error_with(R"(,2],"kwargs")", R"(,"two"],"kwargs")") ==
        "Functional: a constant has an entry that is no number");
  CHECK(error_with(R"("units":2)", R"("units":0)") == "Dense: expected units of at least 1, got 0");
  CHECK(error_with(R"(,2],"kwargs")", R"(],"kwargs")") ==
        "multiply: expected 2 operands, got 1, while finding the output shape with an input of "
        "shape (2, 2).\n  x (None, 3) -> d (None, 2) -> multiply");
  CHECK(error_with(R"("keras_history":["x",0,0])", R"("keras_history":["x",0,5])") ==
        "Functional: the layer \"x\" has one output, not 6");
  CHECK(error_with(R"(,2],"kwargs":{})", R"(,2],"kwargs":{"initial_state":5})") ==
        "Functional: the layer \"multiply\" is called with initial_state, which is not known");
  auto sequential = [](const Config& config) { layer_from_config("Sequential", config); };
  CHECK(error_of([&] {
          sequential({{"layers", 3}});
        }) == "Sequential: the value of option \"layers\" has the wrong type");
  CHECK(error_of([&] {
          sequential({{"dtype", "complex"}});
        }) == "Sequential: the value of option \"dtype\" has the wrong type");
  CHECK(error_of([] { parse_json(std::string(100000, '['), "deep"); }) ==
        "deep: lists and dictionaries in each other, more than 500 deep");
  std::string without = format_json(Model({x}, {clip(x, 0, 1)}, "c").get_config());
  const std::string limit = R"(,"x_max":1.0)";
  without.erase(without.find(limit), limit.size());
  CHECK(error_of([&] {
          layer_from_config("Functional", std::get<Config>(parse_json(without, "text")));
        }) == "Clip: option \"x_max\" is missing");
}

}  // namespace keratin

TEST_SUITE_END();
