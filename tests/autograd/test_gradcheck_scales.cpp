// gradcheck's verdict does not depend on the size of a function: wrong gradients are found and
// right ones pass, from 1e-12 to 1e12, with large constants added. Where rounding noise hides a
// gradient the check says so and does not pass.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include <keratin/keratin.h>

TEST_SUITE_BEGIN("autograd");

namespace keratin {
namespace {

using Function = std::function<Tensor(const Tensor&)>;

// The values of one function with the gradient of another one, then changed.
Function with_gradient_of(
    const Function& f, const Function& other,
    const Function& change = [](const Tensor& g) { return g; }) {
  return [=](const Tensor& x) {
    return custom_gradient(
        {x}, [=](const std::vector<Tensor>& in) { return f(in[0]); },
        [=](const Tensor& g) {
          Tensor own = stop_gradient(x);
          GradientTape tape;
          tape.watch(own);
          return std::vector<Tensor>{change(tape.gradient(other(own), own, g))};
        });
  };
}

Function moved(const Function& f, double scale, double constant) {
  return [=](const Tensor& x) { return scale * (f(x) + constant); };
}

Tensor cube(const Tensor& x) { return x * x * x; }
Tensor cube_and_square(const Tensor& x) { return x * x * x + 2.0 * x * x; }
Tensor rows(const Tensor& x) { return softmax(x, 1); }
Tensor columns(const Tensor& x) { return softmax(x, 0); }
Tensor product(const Tensor& x) { return dot(x, tensor({{1.0, 2.0}, {-3.0, 0.5}}, float64)); }
Tensor one_element_changed(const Tensor& g) {
  return g * tensor({{1.0, 1.0}, {0.5, 1.0}}, float64);
}

struct Wrong {
  std::string name;
  Function f, gradient_of;
  Function change = [](const Tensor& g) { return g; };
};

std::vector<Wrong> wrong_gradients() {
  auto times = [](double factor) { return [=](const Tensor& g) { return factor * g; }; };
  return {{"half", cube, cube, times(0.5)},
          {"double", cube, cube, times(2)},
          {"the sign", product, product, times(-1)},
          {"one per cent too large", cube, cube, times(1.01)},
          {"one per cent too small", product, product, times(0.99)},
          {"zero", cube, cube, times(0)},
          {"a missing term", cube_and_square, cube},
          {"the wrong axis", rows, columns},
          {"transposed", product, product, [](const Tensor& g) { return g.transpose(); }},
          {"one element", cube, cube, one_element_changed}};
}

// Away from zero, where the gradients of the cube are: noise hides what is small.
Tensor input(int seed) {
  return Random(static_cast<std::uint64_t>(seed)).uniform({2, 2}, 0.5, 1.5, float64);
}

GradientCheck check(const Function& f, const Tensor& x, const GradcheckOptions& options = {}) {
  return gradcheck([&](const std::vector<Tensor>& in) { return f(in[0]); }, {x}, options);
}

const std::vector<double> scales{1e-12, 1e-6, 1, 1e6, 1e12};

}  // namespace

TEST_CASE("gradcheck finds each of ten mistakes at every scale, with constants up to 1e8 added") {
  int cases = 0;
  for (const Wrong& wrong : wrong_gradients())
    for (double scale : scales)
      for (double constant : {0.0, 100.0, 1e8})
        for (bool fast : {false, true}) {
          int seed = cases++ % 7;
          Function f = with_gradient_of(moved(wrong.f, scale, constant),
                                        moved(wrong.gradient_of, scale, constant), wrong.change);
          GradientCheck found =
              check(f, input(seed), {.fast = fast, .seed = static_cast<std::uint64_t>(seed)});
          CAPTURE(wrong.name);
          CAPTURE(scale);
          CAPTURE(constant);
          CAPTURE(fast);
          CAPTURE(seed);
          CHECK_FALSE(found);
          CHECK(found.failed > 0);
          CHECK(found.kinks == 0);
        }
  CHECK(cases == 300);
}

TEST_CASE("gradcheck passes the right gradients at every scale, with constants up to 1e8 added") {
  int cases = 0;
  for (const Function& f : {Function(cube), Function(cube_and_square), Function(rows),
                            Function(columns), Function(product)})
    for (double scale : scales)
      for (double constant : {0.0, 100.0, 1e8})
        for (bool fast : {false, true})
          for (int seed : {1, 2}) {
            ++cases;
            GradientCheck found = check(moved(f, scale, constant), input(seed),
                                        {.fast = fast, .seed = static_cast<std::uint64_t>(seed)});
            CAPTURE(scale);
            CAPTURE(constant);
            CAPTURE(fast);
            CAPTURE(seed);
            CHECK(found);
            CHECK(found.failed == 0);
            CHECK(found.kinks == 0);
            CHECK(found.checked + found.unknown == (fast ? 1 : 4));
            if (constant < 1e8) CHECK(found.unknown == 0);
          }
  CHECK(cases == 300);
}

TEST_CASE("half the gradient of x^3 and a large constant never passes, the right one never fails") {
  Function half = with_gradient_of(cube, cube, [](const Tensor& g) { return 0.5 * g; });
  for (double constant : {1e8, 1e12, 1e16, 1e20}) {
    int passed = 0, found = 0, failed = 0, corners = 0;
    for (int seed = 0; seed < 60; ++seed)
      for (bool fast : {false, true}) {
        Tensor x = Random(static_cast<std::uint64_t>(seed)).normal({1});
        GradcheckOptions options{.fast = fast, .seed = static_cast<std::uint64_t>(seed)};
        GradientCheck wrong = check(moved(half, 1, constant), x, options);
        GradientCheck right = check(moved(cube, 1, constant), x, options);
        passed += wrong.passed;
        found += wrong.failed > 0;
        failed += right.failed > 0;
        corners += wrong.kinks + right.kinks > 0;
      }
    CAPTURE(constant);
    CHECK(passed == 0);
    CHECK(failed == 0);
    CHECK(corners == 0);
    if (constant == 1e8) CHECK(found >= 110);
    if (constant == 1e20) CHECK(found == 0);
  }
}

TEST_CASE("gradcheck does not pass when rounding hides everything, and says so") {
  Tensor x = input(1);
  for (bool fast : {false, true}) {
    GradientCheck found = check(moved(cube, 1, 1e20), x, {.fast = fast});
    CHECK_FALSE(found);
    CHECK(found.failed == 0);
    CHECK(found.checked == 0);
    CHECK(found.unknown == (fast ? 1 : 4));
  }
  std::ostringstream text;
  text << check(moved(cube, 1, 1e20), x);
  CHECK(text.str() ==
        "gradcheck: 0 elements agree, 0 do not, 4 cannot be told from rounding noise\n"
        "  nothing was compared of: input 0\n");
  // One input of two is enough for the check not to pass.
  auto f = [](const Tensor& a, const Tensor& b) { return 1e8 * a + 1e-6 * b; };
  GradientCheck of_two = gradcheck(f, x, x);
  CHECK_FALSE(of_two);
  CHECK(of_two.checked == 4);
  CHECK(of_two.unknown == 4);
  REQUIRE(of_two.unchecked.size() == 1);
  CHECK(of_two.unchecked[0] == "input 1");
}

TEST_CASE("gradcheck sees noise that cancellation hides inside a function") {
  for (double constant : {1e4, 1e8, 1e12}) {
    Function f = [=](const Tensor& x) { return (cube(x) + constant) - constant; };
    Function half = with_gradient_of(f, f, [](const Tensor& g) { return 0.5 * g; });
    Function spread = [=](const Tensor& x) {
      Tensor y = x + constant;
      return mean(square(y - mean(y)));
    };
    for (int seed = 0; seed < 20; ++seed)
      for (bool fast : {false, true}) {
        CAPTURE(constant);
        CAPTURE(seed);
        CAPTURE(fast);
        CHECK(check(f, input(seed), {.fast = fast}).failed == 0);
        if (constant < 1e12) CHECK(check(spread, input(seed), {.fast = fast}).failed == 0);
        CHECK_FALSE(check(half, input(seed), {.fast = fast}));
      }
  }
}

TEST_CASE("gradcheck knows a gradient of zero") {
  Tensor x = input(3);
  CHECK(gradcheck([](const Tensor& t) { return square(t); }, zeros({3})).checked == 3);
  CHECK(gradcheck([](const Tensor& t) { return cube(t) + 2.0; }, zeros({3})).checked == 3);
  // The rows that are not taken, and a shift that softmax does not see.
  Tensor table = Random(2).normal({4, 3});
  Tensor ids = tensor({2, 0}, int32);
  GradientCheck taken = gradcheck([&](const Tensor& t) { return exp(take(t, ids, 0)); }, table);
  CHECK(taken);
  CHECK(taken.checked == 12);
  auto shifted = [](const Tensor& a, const Tensor& b) { return softmax(a + b, 1); };
  CHECK(gradcheck(shifted, x, tensor({0.3})).checked == 5);
  // A linear function has no second derivative.
  auto linear = [](const std::vector<Tensor>& in) { return 3.0 * in[0]; };
  GradientCheck second = gradcheck(linear, {x}, {.order = 2});
  CHECK(second);
  CHECK(second.checked == 8);
}

TEST_CASE("gradcheck excuses at a corner what lies between the slopes of its two sides") {
  Tensor x = tensor({-1.0, 0.0, 2.0});
  for (double constant : {0.0, 1e8}) {
    for (double scale : scales) {
      Function rectified = moved([](const Tensor& t) { return relu(t); }, scale, constant);
      Function absolute = moved([](const Tensor& t) { return abs(t); }, scale, constant);
      CAPTURE(constant);
      CAPTURE(scale);
      for (const Function& f : {rectified, absolute}) {
        GradientCheck right = check(f, x);
        CHECK(right);
        CHECK(right.kinks == 1);
        CHECK(right.checked + right.unknown == 2);
      }
      auto add = [=](double wrong) {
        Tensor at_corner = tensor({0.0, wrong * scale, 0.0}, float64);
        return with_gradient_of(rectified, rectified,
                                [=](const Tensor& g) { return g + at_corner; });
      };
      CHECK(check(add(-3), x).failed == 1);
      CHECK(check(add(5), x).failed == 1);
    }
  }
  // A bend that is sharp and smooth is none.
  Function sharp = [](const Tensor& t) { return log(1.0 + exp(500.0 * t)); };
  Function half = with_gradient_of(sharp, sharp, [](const Tensor& g) { return 0.5 * g; });
  CHECK(check(sharp, zeros({2})).checked == 2);
  CHECK(check(half, zeros({2})).failed == 2);
}

TEST_CASE("the tolerances of gradcheck: next to the gradient, and in units of it") {
  Function f = with_gradient_of(cube, cube, [](const Tensor& g) { return 1.0001 * g; });
  Tensor x = input(4);
  CHECK_FALSE(check(f, x));
  CHECK(check(f, x, {.rtol = 1e-3}));
  CHECK(check(f, x, {.atol = 1e-2}));
  CHECK_FALSE(check(moved(f, 1e6, 0), x, {.atol = 1e-2}));
}

}  // namespace keratin

TEST_SUITE_END();
