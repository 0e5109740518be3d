#include <doctest/doctest.h>

#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

using namespace keratin;

namespace {

const CallOptions in_training{.training = true};

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && all(a == b).item() == 1;
}

/// A batch in which all images are the same.
Tensor alike(std::int64_t count, const Tensor& image) {
  return broadcast_to(image, image.shape().with(0, count)).copy();
}

}  // namespace

TEST_CASE("half of the images are mirrored") {
  const Tensor image = Random(1).normal({1, 3, 4, 2});
  const Tensor images = alike(400, image);
  for (const char* mode : {"horizontal", "vertical", "horizontal_and_vertical"}) {
    const Tensor y = RandomFlip({.mode = mode, .seed = 3})(images, in_training);
    const Tensor other = mode == std::string("horizontal") ? flip(image, {2})
                         : mode == std::string("vertical") ? flip(image, {1})
                                                           : flip(image, {1, 2});
    const Tensor kept = min((y == image).astype(float32), {1, 2, 3}),
                 turned = min((y == other).astype(float32), {1, 2, 3});
    CHECK(sum(kept + turned).item() == 400);
    CHECK(sum(turned).item() > 160);
    CHECK(sum(turned).item() < 240);
  }
  CHECK(same(RandomFlip()(images), images));
}

TEST_CASE("a quarter of a turn, and whole pixels of translation, move pixels") {
  const Tensor images = reshape(arange(18.0), {2, 3, 3, 1});
  // Pixel (x, y) comes from (2 - y, x): counter-clockwise.
  CHECK(max(abs(Tensor(RandomRotation({0.25, 0.25})(images, in_training)) -
                flip(swapaxes(images, 1, 2), {1})))
            .item() < 1e-5);
  const Tensor moved = RandomTranslation(
      {1 / 3., 1 / 3.}, {-2 / 3., -2 / 3.},
      {.fill_mode = "constant", .interpolation = "nearest", .fill_value = -1})(images, in_training);
  CHECK(same(reshape(slice(moved, {0}), {3, 3}), tensor({{-1, -1, -1}, {2, -1, -1}, {5, -1, -1}})));
}

TEST_CASE("each image varies in its own way, within the range, and the same for one seed") {
  const Tensor images = alike(200, full({1, 2, 2, 1}, 100));
  auto brighter = [&] {
    return Tensor(RandomBrightness({-0.1, 0.3}, {.seed = 7})(images, in_training)) - 100;
  };
  const Tensor added = brighter();
  CHECK(same(max(added, {1, 2, 3}), min(added, {1, 2, 3})));
  CHECK(min(added).item() >= -25.5);
  CHECK(min(added).item() < -22);
  CHECK(max(added).item() <= 76.5);
  CHECK(max(added).item() > 73);
  CHECK(same(brighter(), added));
  CHECK(max(Tensor(RandomBrightness({1, 1})(images, in_training))).item() == 255);
}

TEST_CASE("contrast moves numbers away from the mean of their channel") {
  const Tensor image = tensor({{{1.0, 10.0}, {3.0, 20.0}}}).astype(float32);  // one row
  const Tensor images = alike(300, expand_dims(image, 0));
  const Tensor y = RandomContrast(0.5)(images, in_training);
  const Tensor first = slice(y, {All(), 0, 0, 0}), last = slice(y, {All(), 0, 1, 1});
  const Tensor factor = 2 - first;  // the means are 2 and 15
  CHECK(max(abs(15 + 5 * factor - last)).item() < 1e-5);
  CHECK(min(factor).item() >= 1);
  CHECK(max(factor).item() <= 1.5);
  CHECK(max(factor).item() > 1.45);
  const Tensor both =
      2 - slice(Tensor(RandomContrast({0.5, 0.5})(images, in_training)), {All(), 0, 0, 0});
  CHECK(min(both).item() < 0.6);
}

TEST_CASE("ids of colours become floats, and other ranks and wrong options are refused") {
  const Tensor ids = Random(1).integers({2, 4, 4, 3}, 0, 256);
  CHECK(Tensor(CenterCrop(2, 2)(ids)).dtype() == float32);
  CHECK(Tensor(Resizing(2, 2)(ids)).dtype() == float32);
  CHECK(error_of([] {
          RandomFlip()(ones({4, 4, 3}));
        }).ends_with("expected images (batch, height, width, channels), got (4, 4, 3)"));
  CHECK(error_of([] {
          RandomFlip({.mode = "diagonal"});
        }).starts_with("RandomFlip: expected mode horizontal, vertical or "));
  CHECK(error_of([] { RandomRotation(1.5); }) ==
        "RandomRotation: expected factor from -1 to 1, got [-1.5, 1.5]");
  CHECK(error_of([] { RandomContrast(-0.5); }) ==
        "RandomContrast: expected factor from 0 to 1, got [0, 0.5]");
  CHECK(error_of([] { RandomContrast(RandomRange(-0.5, -0.1)); }) ==
        "RandomContrast: expected factor from 0 to 1, got [-0.5, -0.1]");
  CHECK(error_of([] {
          RandomBrightness(0.1, {.value_range = {255, 0}});
        }) ==
        "RandomBrightness: expected value_range of two numbers, the smaller one first, got "
        "[255, 0]");
  CHECK(error_of([] { RandomZoom(-1); }) ==
        "RandomZoom: expected height_factor above -1 and at most 1, got -1");
  CHECK(error_of([] {
          RandomTranslation(0.5, 0.5, {.fill_mode = "mirror"});
        }).starts_with("RandomTranslation: expected fill_mode reflect, wrap, constant or "));
  CHECK(error_of([] { Resizing(0, 3); }) == "Resizing: expected height of at least 1, got 0");
}

TEST_SUITE_END();
