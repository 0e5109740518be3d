// Layers that prepare numbers and strings against real Keras (tests/golden/preprocessing.npz and
// .json; the table is tools/golden/preprocessing.py). A layer is made from the config that Keras
// gives, and learns from the data that Keras's learnt from.

#include <doctest/doctest.h>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/layers/layers.h>

#include "golden.h"
#include "golden_configs.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

using List = std::vector<Option>;
using Words = std::vector<std::string>;

void compare(const std::string& what, const Tensor& found, const Tensor& expected) {
  INFO(what, ": expected ", expected, ", got ", found);
  CHECK(max_relative_difference(found, expected, 1e-3) <= 1e-9);
}

AnyLayer made(const std::string& name) {
  static const std::map<std::string, GoldenConfig> objects = golden_cases("layer");
  REQUIRE(objects.contains(name));
  return layer_from_config(objects.at(name).class_name, objects.at(name).config);
}

Tensors batches(const Golden& file, const std::string& name) {
  Tensors data;
  while (file.has(name + "/data" + std::to_string(data.size())))
    data.push_back(file[name + "/data" + std::to_string(data.size())]);
  return data;
}

void learn_and_compare(const Golden& file, const std::string& name, Layer& layer) {
  const Tensors data = batches(file, name);
  if (auto* normalization = dynamic_cast<Normalization*>(&layer)) {
    if (!data.empty()) normalization->adapt(data);
    for (std::size_t i = 0; i < layer.get_weights().size(); ++i)
      compare("weight", layer.get_weights()[i], file[name + "/w" + std::to_string(i)]);
  }
  if (auto* discretization = dynamic_cast<Discretization*>(&layer)) {
    if (!data.empty()) discretization->adapt(data);
    if (!data.empty())
      compare("boundaries", tensor(discretization->bin_boundaries()), file[name + "/boundaries"]);
  }
  if (auto* lookup = dynamic_cast<IntegerLookup*>(&layer)) {
    if (!data.empty()) lookup->adapt(data[0]);
    const std::vector<std::int64_t> words = lookup->get_vocabulary();
    compare("vocabulary", tensor(std::vector<double>(words.begin(), words.end())),
            file[name + "/vocabulary"]);
  }
}

Strings strings_in(const Option& option) {
  if (auto* one = std::get_if<std::string>(&option)) return *one;
  const List& list = std::get<List>(option);
  std::vector<Words> rows;
  Words row;
  for (const Option& part : list) {
    const Strings inside = strings_in(part);
    if (inside.shape().rank() == 0)
      row.push_back(inside.values()[0]);
    else
      rows.push_back(inside.values());
  }
  return rows.empty() ? Strings(row) : Strings(rows);
}

template <class L>
void adapt(L& layer, const Config& row) {
  if (const Option* data = find_option(row, "adapt")) layer.adapt(strings_in(*data));
  CHECK(layer.get_vocabulary() == strings_in(*find_option(row, "vocabulary")).values());
}

}  // namespace

TEST_CASE("layers that prepare numbers learn and compute what Keras' do") {
  Float64 scope;
  const Golden& file = golden("preprocessing");
  int count = 0;
  for (const std::string& name : file.cases()) {
    if (name == "count_weights" || !file.has(name + "/x")) continue;
    CAPTURE(name);
    ++count;
    AnyLayer layer = made(name);
    learn_and_compare(file, name, *layer);
    Tensor x = file[name + "/x"];
    GradientTape tape;
    if (file.has(name + "/gy")) tape.watch(x);
    const Tensor y = layer(x);
    compare("y", y, file[name + "/y"]);
    if (x.rank() > 0) CHECK(layer->compute_output_shape(x.shape()) == y.shape());
    CHECK((name.find("count") == name.npos || is_floating(y.dtype())));
    if (file.has(name + "/gy"))
      compare("gx", tape.gradient(y, x, file[name + "/gy"]), file[name + "/gx"]);
  }
  CHECK(count > 60);
  compare("weights",
          CategoryEncoding(5, {.output_mode = "count"})(
              {file["count_weights/x"], file["count_weights/weights"]}),
          file["count_weights/y"]);
}

TEST_CASE("layers that take strings learn and compute what Keras' do") {
  Float64 scope;
  const Golden& file = golden("preprocessing");
  const std::string path = KERATIN_SOURCE_DIR "/tests/golden/preprocessing.json";
  const Option all = parse_json(read_file(path), path);
  for (const auto& entry : std::get<Config>(all)) {
    const std::string& name = entry.first;
    const Config& row = std::get<Config>(entry.second);
    CAPTURE(name);
    AnyLayer layer = made(name);
    const Option& x = *find_option(row, "x");
    if (auto* lookup = dynamic_cast<StringLookup*>(&*layer)) {
      adapt(*lookup, row);
      std::vector<int> indices;
      if (const Option* y = find_option(row, "y")) {
        REQUIRE(from_option(x, indices));
        CHECK(lookup->to_strings(tensor(indices)) == strings_in(*y).values());
      } else {
        compare("y", (*lookup)(strings_in(x)), file[name + "/y"]);
      }
    } else if (auto* vectorization = dynamic_cast<TextVectorization*>(&*layer)) {
      adapt(*vectorization, row);
      compare("y", (*vectorization)(strings_in(x)), file[name + "/y"]);
    } else {
      compare("y", dynamic_cast<Hashing&>(*layer)(strings_in(x)), file[name + "/y"]);
    }
  }
}

}  // namespace keratin

TEST_SUITE_END();
