// Configs: every class is made from what Keras's get_config gives and gives the same back
// (tests/golden/configs.json, made by tools/golden/configs.py).

#include <doctest/doctest.h>

#include <algorithm>

#include <keratin/io/json.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include "error_of.h"
#include "golden.h"
#include "golden_configs.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

/// Keras's text and ours, key for key in one order.
template <class F>
void check_all(const std::string& kind, std::size_t count, const F& config_by_way_of) {
  Float64 scope;
  const std::vector<GoldenConfig> all = golden_configs(kind);
  CHECK(all.size() == count);
  for (const GoldenConfig& row : all) {
    CAPTURE(row.class_name);
    std::string ours = error_of([&] { config_by_way_of(row.class_name, row.config); });
    if (ours == "no error") ours = format_json(config_by_way_of(row.class_name, row.config));
    CHECK(ours == format_json(row.config));
  }
}

}  // namespace

TEST_CASE("a layer made from Keras's config gives that config back") {
  check_all("layer", 552, [](const std::string& name, const Config& config) {
    return layer_from_config(name, config)->get_config();
  });
}

TEST_CASE("initializers, regularizers and constraints give Keras's config back") {
  check_all("initializer", 17, [](const std::string& name, const Config& config) {
    return Initializer::from_config(name, config).config();
  });
  check_all("regularizer", 4, [](const std::string& name, const Config& config) {
    return Regularizer::from_config(name, config).config();
  });
  check_all("constraint", 4, [](const std::string& name, const Config& config) {
    return Constraint::from_config(name, config).config();
  });
}

TEST_CASE("losses give Keras's config back, and what Keras leaves out") {
  // Keras 3.15 loses the options of these classes in get_config.
  check_all("loss", 69, [](const std::string& name, const Config& config) {
    Config ours = Loss::from_config(name, config).config();
    std::erase_if(ours,
                  [&](const auto& entry) { return find_option(config, entry.first) == nullptr; });
    Config ordered;
    for (const auto& [key, value] : config)
      if (const Option* found = find_option(ours, key)) ordered.emplace_back(key, *found);
    return ordered;
  });
}

TEST_CASE("metrics, optimizers and schedules give Keras's config back") {
  check_all("metric", 68, [](const std::string& name, const Config& config) {
    return AnyMetric::from_config(name, config)->config();
  });
  check_all("optimizer", 54, [](const std::string& name, const Config& config) {
    return AnyOptimizer::from_config(name, config)->config();
  });
  check_all("schedule", 20, [](const std::string& name, const Config& config) {
    return schedule_from_config(name, config).schedule()->config();
  });
}

TEST_CASE("layers from a config compute what the original computes") {
  Float64 scope;
  Bidirectional original(
      LSTM(3, {.recurrent_activation = "hard_sigmoid", .return_sequences = true}),
      {.merge_mode = "sum"});
  Tensor x = Random(1).normal({2, 4, 3}, 0, 1, float64);
  Tensor y = original(x);
  AnyLayer copy = layer_from_config("Bidirectional", original.get_config());
  copy->ensure_built(x.shape());
  copy->set_weights(original.get_weights());
  CHECK(max(abs(copy(x) - y)).item() == 0);
  CHECK_FALSE(copy->is(original));
  AnyLayer attention = layer_from_config("Custom>AttentionLayer", AttentionLayer(5).get_config());
  CHECK(attention(x).shape() == Shape{2, 3});
  CHECK(attention->weights()[0].shape() == Shape{3, 5});
}

TEST_CASE("wrong configs are refused, and name the class, the option and the value") {
  auto dense = [](Config config) { layer_from_config("Dense", config); };
  CHECK(error_of([&] { dense({{"units", 0}}); }) == "Dense: expected units of at least 1, got 0");
  CHECK(error_of([&] {
          dense({{"units", "many"}});
        }) == "Dense: the value of option \"units\" has the wrong type");
  CHECK(error_of([&] { dense({{"unit", 3}}); }) == "Dense: unknown option \"unit\"");
  CHECK(error_of([&] {
          dense({{"quantization_config", "int8"}});
        }) == "Dense: quantization_config: only none is known, got \"int8\"");
  CHECK(error_of([] { layer_from_config("Dens", {}); }).find("Did you mean \"Dense\"?") !=
        std::string::npos);
  CHECK(error_of([&] {
          dense({{"dtype", "mixed_float16"}});
        }) == "Dense: dtype: only float32 and float64 are known, got \"mixed_float16\"");
  Dense own(2, {.kernel_initializer = [](const Shape& shape, DType dtype, Random&) {
              return zeros(shape, dtype);
            }});
  CHECK(error_of([&] { own.get_config(); }) ==
        "initializer: a function of one's own has no class name that a config could hold");
}

TEST_CASE("a class of one's own joins by registering") {
  class Scale : public Layer {
   public:
    explicit Scale(double factor) : factor_(factor) {}
    Tensor call(const Tensor& x) override { return x * factor_; }
    std::vector<Field> fields() override { return {{"factor", &factor_}}; }

   private:
    double factor_;
  };
  register_keras_serializable<Scale>("tests", [] { return Scale(1); });
  TimeDistributed each(Scale(2.5), {.name = "each"});
  const std::string text = format_json(each.get_config());
  CHECK(text.find(R"("registered_name":"tests>Scale")") != std::string::npos);
  AnyLayer again = layer_from_config("TimeDistributed", std::get<Config>(parse_json(text, "text")));
  CHECK(again->name() == "each");
  CHECK(again(ones({1, 2, 3})).item(0, 1, 2) == 2.5);
}

TEST_CASE("JSON is read and written as Python writes it") {
  const std::string text = R"({"a":[1,2.5,null,true,"x\"y"],"b":{},"c":-3})";
  CHECK(format_json(parse_json(text, "t")) == text);
  CHECK(error_of([] { parse_json("{", "file.json"); }).starts_with("file.json: "));
  CHECK(error_of([] { format_json(std::nan("")); }) == "json: nan cannot be written");
}

}  // namespace keratin
