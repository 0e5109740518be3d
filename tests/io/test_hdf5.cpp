// HDF5 as bytes: what is written is read, and nothing else is believed.

#include <doctest/doctest.h>

#include <keratin/core/create.h>
#include <keratin/core/random.h>
#include <keratin/io/hdf5.h>
#include <keratin/io/internal/hdf5_attributes.h>
#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("io");

namespace keratin {
namespace {

Hdf5Group example() {
  Hdf5Group root;
  root.texts = {{"backend", "keratin"}};
  root.lists = {{"layer_names", {"lstm", "größe", ""}}};
  Hdf5Group& vars = root.make_group("layers/lstm/cell/vars");
  vars.texts = {{"name", "lstm_cell"}};
  vars.arrays = {{"0", tensor({{1, 2, 3}, {4, 5, 6}})},
                 {"1", tensor({0.1, 0.2}).astype(float64)},
                 {"2", full({}, 7, int32)},
                 {"3", zeros({0, 4})},
                 {"10", arange(6).reshape({2, 3}).transpose()}};
  return root;
}

}  // namespace

TEST_CASE("an HDF5 file holds groups, arrays and texts" * doctest::skip(!has_hdf5())) {
  const Hdf5Group read = parse_hdf5(format_hdf5(example()), "test.h5");
  CHECK(*read.text("backend") == "keratin");
  CHECK(*read.list("layer_names") == std::vector<std::string>{"lstm", "größe", ""});
  const Hdf5Group* vars = read.group("layers/lstm/cell/vars");
  REQUIRE(vars != nullptr);
  CHECK(*vars->text("name") == "lstm_cell");
  const Hdf5Group written = example();
  for (const auto& [name, array] : written.group("layers/lstm/cell/vars")->arrays) {
    const Tensor* found = vars->array(name);
    REQUIRE(found != nullptr);
    CHECK(found->shape() == array.shape());
    CHECK(found->dtype() == array.dtype());
    if (array.numel() > 0) CHECK(max(abs(found->to(array.device()) - array)).item() == 0);
  }
  CHECK(read.array("layers/lstm/cell/vars/2")->item() == 7);
  CHECK(read.group("layers/gru") == nullptr);
  CHECK(read.array("layers/lstm/cell/vars/4") == nullptr);
  CHECK(read.text("keras_version") == nullptr);
}

TEST_CASE("a list of texts may be longer than an attribute's 64 KiB" * doctest::skip(!has_hdf5())) {
  Hdf5Group root;
  root.texts = {{"model_config", std::string(200'000, 'x')}};
  CHECK(parse_hdf5(format_hdf5(root), "test.h5").text("model_config")->size() == 200'000);
}

TEST_CASE("an HDF5 file that ends early is an error, wherever it ends" *
          doctest::skip(!has_hdf5())) {
  const std::string bytes = format_hdf5(example());
  for (std::size_t size = 0; size < bytes.size(); size += size < 600 ? 1 : 61)
    CHECK(error_of([&] { parse_hdf5(bytes.substr(0, size), "test.h5"); }).starts_with("test.h5: "));
}

TEST_CASE("what is no HDF5 is called so" * doctest::skip(!has_hdf5())) {
  CHECK(error_of([] { parse_hdf5("", "a.h5"); }) == "a.h5: not an HDF5 file");
  CHECK(error_of([] { parse_hdf5("hello", "a.h5"); }) ==
        "a.h5: not an HDF5 file, or a damaged one");
}

TEST_CASE("a file of nothing but heads of trees is refused at once" * doctest::skip(!has_hdf5())) {
  std::string bytes;
  for (int i = 0; i < 300'000; ++i) bytes += std::string("TREE\0\0\xff\xff", 8);
  CHECK(error_of([&] { parse_hdf5(bytes, "a.h5"); }) == "a.h5: damaged HDF5: trees overlap");
}

TEST_CASE("texts of no length, which take no bytes, are not read") {
  auto number = [](std::uint64_t value, int size) {
    std::string bytes;
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
    return bytes;
  };
  // An attribute "names", a list of fixed texts; section IV.A.2.m of the format.
  auto texts_of_length = [&](std::uint64_t length, std::uint64_t count) {
    const std::string name("names\0\0\0", 8);
    const std::string type = number(0x13, 4) + number(length, 4);
    const std::string shape = number(0x101, 8) + number(count, 8);
    const std::string value = length == 0 ? "" : std::string(length * count, 'x');
    const std::string message = number(1, 2) + number(6, 2) + number(type.size(), 2) +
                                number(shape.size(), 2) + name + type + shape + value;
    const std::string part = number(0x0C, 2) + number(message.size(), 2) + number(0, 4) + message;
    return number(1, 8) + number(part.size(), 8) + part;
  };
  const std::string good = texts_of_length(3, 2), empty = texts_of_length(0, 100'000);
  const auto found = TextAttributes(good).read(0);
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "names");
  CHECK(found[0].texts == std::vector<std::string>{"xxx", "xxx"});
  CHECK(TextAttributes(empty).read(0).empty());
}

}  // namespace keratin
