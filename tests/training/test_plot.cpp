// Pictures of models: what stands in them, and that no two boxes overlap.

#include <doctest/doctest.h>

#include <regex>

#include <keratin/io/file.h>
#include <keratin/keratin.h>

#include "error_of.h"
#include "temporary_directory.h"

using namespace keratin;

namespace {

struct Box {
  double x, y, width, height;
};

std::vector<Box> boxes_of(const std::string& svg) {
  static const std::regex rect(
      R"re(<rect x="([-0-9.]+)" y="([-0-9.]+)" width="([-0-9.]+)" height="([-0-9.]+)")re");
  std::vector<Box> boxes;
  for (std::sregex_iterator i(svg.begin(), svg.end(), rect), end; i != end; ++i)
    boxes.push_back(
        {std::stod((*i)[1]), std::stod((*i)[2]), std::stod((*i)[3]), std::stod((*i)[4])});
  return boxes;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

Model branches() {
  const auto x = Input({8}, {.name = "x"}), y = Input({3}, {.name = "y"});
  const auto a = Dense(4, {.name = "a"})(x), b = Dense(4, {.name = "b"})(x);
  const auto deep = Dense(4, {.name = "deep"})(Dense(4, {.name = "first"})(a));
  const auto sum = Add({.name = "sum"})({deep, b, Dense(4, {.name = "of_y"})(y)});
  return Model({x, y}, {Dense(1, {.name = "out"})(sum), Concatenate()({sum, x})});
}

}  // namespace

TEST_SUITE_BEGIN("training");

TEST_CASE("the picture of a model has a box for each call, and an arrow for each value read") {
  const std::string svg = model_svg(branches());
  const std::vector<Box> boxes = boxes_of(svg);
  CHECK(boxes.size() == 10);
  CHECK(count(svg, "l-4 -8h8z") == 11);  // arrow heads
  CHECK(svg.find("a (Dense)") != svg.npos);
  CHECK(svg.find("(None, 12)") != svg.npos);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    CHECK(boxes[i].x >= 0);
    for (std::size_t j = 0; j < i; ++j) {
      const Box &p = boxes[i], &q = boxes[j];
      const bool apart = p.x + p.width <= q.x || q.x + q.width <= p.x || p.y + p.height <= q.y ||
                         q.y + q.height <= p.y;
      CHECK(apart);
    }
  }
}

TEST_CASE("options of the picture, and the file") {
  const Model model = branches();
  const std::string plain =
      model_svg(model, {.show_shapes = false, .show_dtype = true, .show_layer_names = false});
  CHECK(plain.find("None") == plain.npos);
  CHECK(plain.find("float32") != plain.npos);
  CHECK(plain.find("of_y") == plain.npos);
  const TemporaryDirectory folder;
  plot_model(model, folder / "m.svg");
  CHECK(read_file(folder / "m.svg") == model_svg(model));
  CHECK(error_of([&] { plot_model(Sequential{Dense(2)}, folder / "n.svg"); }).find("plot_model") !=
        std::string::npos);
  CHECK(error_of([&] {
          plot_model(model, folder / "m.png");
        }).find("expected a path that ends in .svg") != std::string::npos);
  CHECK(folder.files() == 1);
}

TEST_SUITE_END();
