// Ways to make a tensor: braces, vectors, constants, ranges.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>

TEST_SUITE_BEGIN("core");

using namespace keratin;

namespace {

using Values = std::vector<double>;

Values values(const Tensor& x) { return x.to_vector<double>(); }

}  // namespace

TEST_CASE("nested braces become axes") {
  Tensor a = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(a.shape() == Shape{2, 3});
  CHECK(a.dtype() == float32);
  CHECK(values(a) == Values{1, 2, 3, 4, 5, 6});
  CHECK(tensor(7).rank() == 0);
  CHECK(tensor(7).item() == 7);
  CHECK(tensor({7}).shape() == Shape{1});
  CHECK(tensor({{1, 2, 3}}).shape() == Shape{1, 3});
  CHECK(tensor({{{1}}, {{2}}}).shape() == Shape{2, 1, 1});
  CHECK(tensor({{{1, 2}, {3, 4}, {5, 6}}}).shape() == Shape{1, 3, 2});
  CHECK(tensor({}).shape() == Shape{0});
  CHECK(tensor({{}, {}}).shape() == Shape{2, 0});
  CHECK(tensor({{{{{{{{1}}}}}}}}).shape() == Shape::filled(8, 1));
}

TEST_CASE("numbers of any type may be mixed in braces") {
  CHECK(values(tensor({1, 2.5, 3.5f, true})) == Values{1, 2.5, 3.5, 1});
  CHECK(values(tensor({1, -2}, int32)) == Values{1, -2});
  CHECK(tensor({0.1}, float64).item() == 0.1);
  CHECK(tensor({0.1}).item() == static_cast<double>(0.1f));
  CHECK(values(tensor({true, false, true}, boolean)) == Values{1, 0, 1});
}

TEST_CASE("ragged braces are refused") {
  CHECK_THROWS_AS(tensor({{1, 2}, {3}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{1}, {2, 3}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({1, {2}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{1}, 2}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{}, {1}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{1}, {}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7}}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{{1}}, {{{1}}}}), std::invalid_argument);
  CHECK_THROWS_AS(tensor({{{{{{{{{1}}}}}}}}}), std::invalid_argument);  // nine axes
}

TEST_CASE("a vector's elements are copied in its own type") {
  std::vector<double> mine{1, 2, 3, 4, 5, 6};
  Tensor a = tensor(mine, {3, 2});
  mine[0] = 100;
  CHECK(a.dtype() == float64);
  CHECK(values(a) == Values{1, 2, 3, 4, 5, 6});
  CHECK(tensor(std::vector<float>{1, 2}).dtype() == float32);
  CHECK(tensor(std::vector<std::int32_t>{1, 2}).dtype() == int32);
  CHECK(tensor(std::vector<bool>{true, false}).dtype() == boolean);
  CHECK(values(tensor(std::vector<double>{1.5, -1.5}, {2}, int32)) == Values{1, -1});
  CHECK(tensor(std::vector<float>{}).shape() == Shape{0});
  CHECK(tensor(std::vector<float>{5}, Shape{}).rank() == 0);
  CHECK_THROWS_AS(tensor(mine, {4, 2}), std::invalid_argument);
  CHECK_THROWS_AS(tensor(mine, {-2, -3}), std::invalid_argument);
}

TEST_CASE("zeros, ones and full fill any shape and dtype") {
  for (DType dtype : {boolean, int32, float32, float64}) {
    CHECK(values(zeros({2, 3}, dtype)) == Values(6, 0));
    CHECK(values(ones({3, 1, 2}, dtype)) == Values(6, 1));
    CHECK(ones({}, dtype).dtype() == dtype);
  }
  CHECK(values(full({2}, 2.5)) == Values{2.5, 2.5});
  CHECK(values(full({2}, 2.5, int32)) == Values{2, 2});
  CHECK(values(full({2}, 2.5, boolean)) == Values{1, 1});
  CHECK(full({0, 4}, 1).numel() == 0);
}

TEST_CASE("zeros_like and ones_like take shape and dtype, never layout") {
  Tensor a = broadcast_to(ones({1, 3}, float64), {2, 3}).transpose();
  Tensor zero = zeros_like(a), one = ones_like(a);
  CHECK(zero.shape() == Shape{3, 2});
  CHECK(zero.dtype() == float64);
  CHECK(zero.is_contiguous());
  CHECK(values(one) == Values(6, 1));
  one.assign(2);  // memory of its own
  CHECK(values(a) == Values(6, 1));
}

TEST_CASE("arange counts from start to below stop") {
  CHECK(values(arange(4)) == Values{0, 1, 2, 3});
  CHECK(arange(4).dtype() == int32);
  CHECK(arange(2.5).dtype() == float32);
  CHECK(values(arange(2.5)) == Values{0, 1, 2});
  CHECK(arange(3, float64).dtype() == float64);
  CHECK(values(arange(2, 11, 3)) == Values{2, 5, 8});
  CHECK(values(arange(5, 0, -2)) == Values{5, 3, 1});
  CHECK(values(arange(0.0, 1.0, 0.25)) == Values{0, 0.25, 0.5, 0.75});
  CHECK(arange(0).shape() == Shape{0});
  CHECK(arange(5, 2).shape() == Shape{0});
  CHECK(arange(-3).shape() == Shape{0});
  CHECK_THROWS_AS(arange(0, 3, 0), std::invalid_argument);
  CHECK_THROWS_AS(arange(0.0, 1.0 / 0.0, 1.0), std::invalid_argument);
  CHECK_THROWS_AS(arange(0.0, std::nan(""), 1.0), std::invalid_argument);
  CHECK_THROWS_AS(arange(0.0, 1e300, 1.0), std::invalid_argument);
  CHECK(arange(2147483646LL, 2147483648LL).item(1) == 2147483647);
  CHECK_THROWS_AS(arange(2147483646LL, 2147483649LL), std::invalid_argument);
  CHECK_THROWS_AS(arange(-3e9, 0.0, 1e9, int32), std::invalid_argument);
}

TEST_CASE("linspace includes both ends exactly") {
  CHECK(values(linspace(-1, 1, 5)) == Values{-1, -0.5, 0, 0.5, 1});
  Tensor a = linspace(0.1, 0.7, 7, float64);
  CHECK(a.item(0) == 0.1);
  CHECK(a.item(-1) == 0.7);
  CHECK(values(linspace(3, 9, 1)) == Values{3});
  CHECK(linspace(3, 9, 0).shape() == Shape{0});
  CHECK(values(linspace(2, -2, 3)) == Values{2, 0, -2});
  CHECK_THROWS_AS(linspace(0, 1, -1), std::invalid_argument);
}

TEST_CASE("eye has ones on the diagonal of any matrix") {
  CHECK(values(eye(2)) == Values{1, 0, 0, 1});
  CHECK(values(eye(2, 3)) == Values{1, 0, 0, 0, 1, 0});
  CHECK(values(eye(3, 2, int32)) == Values{1, 0, 0, 1, 0, 0});
  CHECK(eye(0).shape() == Shape{0, 0});
  CHECK(eye(3, 0).shape() == Shape{3, 0});
  CHECK_THROWS_AS(eye(-1), std::invalid_argument);
}

TEST_SUITE_END();
