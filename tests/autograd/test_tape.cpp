// The life of a tape: what it records, what it answers, how tapes nest, and what it holds on to.
// Whether each op's derivative is right is tested with the ops.
#include <doctest/doctest.h>
#include <pthread.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <keratin/autograd/functional.h>
#include <keratin/autograd/internal/record.h>
#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/sanitized.h>
#include <keratin/core/memory.h>
#include <keratin/core/random.h>

#include "../on_processor.h"

TEST_SUITE_BEGIN("autograd");

using namespace keratin;

namespace {

using Values = std::vector<double>;
using Function = std::function<Tensor(const Tensor&)>;

Values values(const Tensor& x) { return x.to_vector<double>(); }

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// The gradient of the sum of f, as a function again.
Function derivative(const Function& f) {
  return [f](const Tensor& x) {
    GradientTape tape;
    tape.watch(x);
    return tape.gradient(f(x), x);
  };
}

void check_close(const Tensor& found, const Tensor& expected, double tolerance = 1e-12) {
  REQUIRE(found.shape() == expected.shape());
  Values a = values(found), b = values(expected);
  for (std::size_t i = 0; i < a.size(); ++i)
    CHECK(std::abs(a[i] - b[i]) <= tolerance * (1 + std::abs(b[i])));
}

// Calls f on a thread with a small stack.
void with_small_stack(const std::function<void()>& f) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, (sanitized ? 1024 : 256) * 1024);
  pthread_t thread;
  auto run = [](void* f) -> void* {
    (*static_cast<const std::function<void()>*>(f))();
    return nullptr;
  };
  auto* argument = const_cast<std::function<void()>*>(&f);
  REQUIRE(pthread_create(&thread, &attributes, run, argument) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace

// --- what gradient answers

TEST_CASE("asking again gives the same bits" * on_processor()) {
  Tensor x = Random(1).normal({5, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor y = sum(softmax(x * x) * tanh(x)) + max(x);
  Tensor first = tape.gradient(y, x), second = tape.gradient(y, x);
  CHECK(std::memcmp(first.data<float>(), second.data<float>(), 15 * sizeof(float)) == 0);
  Tensor later = exp(y);  // recording goes on
  CHECK(values(tape.gradient(y, x)) == values(first));
  CHECK(values(tape.gradient(later, y)) == values(exp(y)));
}

TEST_CASE("several sources are answered in their order, repeated ones too") {
  Tensor a = tensor({1, 2}), b = tensor({3, 4});
  GradientTape tape;
  tape.watch(a);
  tape.watch(b);
  auto g = tape.gradient(sum(a * b), {b, a, b});
  REQUIRE(g.size() == 3);
  CHECK(values(g[0]) == Values{1, 2});
  CHECK(values(g[1]) == Values{3, 4});
  CHECK(values(g[2]) == Values{1, 2});
}

TEST_CASE("a tensor used twice collects both shares") {
  Tensor x = tensor({2, 3});
  GradientTape tape;
  tape.watch(x);
  CHECK(values(tape.gradient(x * x, x)) == Values{4, 6});
  CHECK(values(tape.gradient(x + x, x)) == Values{2, 2});
  CHECK(values(tape.gradient(x - x, x)) == Values{0, 0});
  CHECK(values(tape.gradient(concatenate({x, x * x}), x)) == Values{5, 7});
}

TEST_CASE("intermediate results have gradients of their own") {
  Tensor x = tensor({0.5, 1});
  GradientTape tape;
  tape.watch(x);
  Tensor h = tanh(x);  // its rule reads its output, and nobody asks for its input
  Tensor k = h * h;
  Tensor y = sum(k * 3);
  CHECK(values(tape.gradient(y, k)) == Values{3, 3});
  CHECK(values(tape.gradient(y, h)) == values(6 * h));
  auto g = tape.gradient(y, {h, x, k});
  CHECK(values(g[0]) == values(6 * h));
  check_close(g[1], 6 * h * (1 - h * h), 1e-6);
  CHECK(values(g[2]) == Values{3, 3});
  CHECK(values(tape.gradient(k, k)) == Values{1, 1});
}

// Part of the message that says why a result has no gradient.
const char* const not_recorded = "was not recorded";

TEST_CASE("the gradient is zero where the result does not depend on the source") {
  Tensor x = tensor({1, 2}), other = ones({2, 3}, float64);
  Tensor before = x * 2;
  GradientTape tape;
  tape.watch(x);
  tape.watch(other);
  Tensor y = x * x;
  Tensor g = tape.gradient(y, other);
  CHECK(values(g) == Values(6, 0));
  CHECK(g.dtype() == float64);
  CHECK(values(tape.gradient(x, y)) == Values{0, 0});  // the source came later
}

TEST_CASE("a result that no tape recorded has no gradient, and the error says so") {
  Tensor x = tensor({1, 2}), before = x * 2;
  GradientTape tape;
  tape.watch(x);
  Tensor taken_out = zeros({2}) + sum(x).item();
  CHECK_FALSE(tape.follows(before));
  for (const Tensor& y : {before, zeros({3}), taken_out})
    CHECK(message_of([&] { tape.gradient(y, x); }).find(not_recorded) != std::string::npos);
  CHECK(message_of([&] {
          tape.gradient({sum(x), before}, {x});
        }).find("result 1 of shape (2,)") != std::string::npos);
}

TEST_CASE("a gradient that is a constant has derivatives of zero") {
  Tensor x = tensor({1, 2}), c = tensor({3, 4});
  GradientTape outer;
  outer.watch(x);
  Tensor g;
  {
    GradientTape inner;
    g = inner.gradient(sum(x * c), x);
  }
  CHECK(values(g) == values(c));
  CHECK(values(outer.gradient(g, x)) == Values{0, 0});
  CHECK(values(hessian([&](const Tensor& at) { return sum(at * c); })(x)) == Values(4, 0));
  CHECK(values(grad([&](const Tensor&) { return sum(c); })(x)) == Values{0, 0});
}

TEST_CASE("a source that was never watched is an error") {
  Tensor x = tensor({1, 2}), stranger = ones({3, 1});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x * 2;
  CHECK_THROWS_AS(tape.gradient(y, stranger), std::invalid_argument);
  CHECK(message_of([&] {
          tape.gradient(y, {x, stranger});
        }) == "gradient: input 1 of shape (3, 1) was not watched when the result was computed");
  CHECK_THROWS_AS(tape.gradient(y, Tensor()), std::invalid_argument);
  CHECK_THROWS_AS(tape.gradient(Tensor(), x), std::invalid_argument);
  CHECK(values(tape.gradient(y, x)) == Values{2, 2});
}

TEST_CASE("of a result that is no scalar, the gradient is that of its sum") {
  Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  GradientTape tape;
  tape.watch(x);
  CHECK(values(tape.gradient(x * x, x)) == Values{2, 4, 6, 8, 10, 12});
  CHECK(values(tape.gradient(broadcast_to(x, {4, 2, 3}), x)) == Values(6, 4));
}

TEST_CASE("output_gradient weights the result's elements") {
  Tensor x = tensor({1, 2, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x * x;
  CHECK(values(tape.gradient(y, x, tensor({1, 10, 100}))) == Values{2, 40, 600});
  CHECK(values(tape.gradient(y, x, tensor({1, 0, -1}, float64))) == Values{2, 0, -6});
  CHECK(tape.gradient(y, x, ones({3}, float64)).dtype() == float32);
  CHECK(values(tape.gradient(x, x, tensor({7, 8, 9}))) == Values{7, 8, 9});
  CHECK_THROWS_AS(tape.gradient(y, x, ones({2})), std::invalid_argument);
  CHECK_THROWS_AS(tape.gradient(y, x, Tensor(1.0)), std::invalid_argument);
}

TEST_CASE("several results give the gradient of the sum of all") {
  Tensor x = tensor({1, 2}), w = tensor({5, 5});
  GradientTape tape;
  tape.watch(x);
  tape.watch(w);
  Tensor a = x * x, b = sum(x * w);
  std::vector<Tensor> results{a, b, a}, sources{x, w};
  auto g = tape.gradient(results, sources);
  CHECK(values(g[0]) == Values{2 * 2 + 5, 2 * 4 + 5});
  CHECK(values(g[1]) == Values{1, 2});
  g = tape.gradient(results, sources, {tensor({1, 0}), Tensor(2.0), Tensor()});
  CHECK(values(g[0]) == Values{2 + 10 + 2, 0 + 10 + 4});
  CHECK_THROWS_AS(tape.gradient(results, sources, {ones({2})}), std::invalid_argument);
}

TEST_CASE("empty lists and empty tensors are no special case") {
  Tensor x = tensor({1, 2}), nothing = zeros({0, 3});
  GradientTape tape;
  tape.watch(x);
  tape.watch(nothing);
  Tensor y = x * x;
  CHECK(tape.gradient(y, std::vector<Tensor>{}).empty());
  auto g = tape.gradient(std::vector<Tensor>{}, std::vector<Tensor>{x});
  CHECK(values(g.at(0)) == Values{0, 0});
  CHECK(tape.gradient(std::vector<Tensor>{}, std::vector<Tensor>{}).empty());
  CHECK(tape.gradient(exp(nothing) * 2, nothing).shape() == Shape{0, 3});
  CHECK(tape.gradient(sum(nothing), nothing).shape() == Shape{0, 3});
  CHECK(tape.gradient(dot(nothing, ones({3, 2})), nothing).shape() == Shape{0, 3});
}

TEST_CASE("a tape with nothing on it answers") {
  Tensor x = tensor({1, 2});
  GradientTape tape;
  tape.watch(x);
  CHECK(tape.size() == 0);
  CHECK(values(tape.gradient(x, x)) == Values{1, 1});
}

TEST_CASE("only floats have gradients") {
  GradientTape tape;
  Tensor x = ones({2}), n = ones({2}, int32);
  CHECK_THROWS_AS(tape.watch(n), std::invalid_argument);
  CHECK_THROWS_AS(tape.watch(x > 0), std::invalid_argument);
  tape.watch(x);
  CHECK_THROWS_AS(tape.gradient(x.astype(int32), x), std::invalid_argument);
  CHECK_THROWS_AS(tape.gradient(x.astype(int32).astype(float32), x), std::invalid_argument);
  CHECK(values(tape.gradient(x.astype(float64) * n * 3, x)) == Values{3, 3});
}

TEST_CASE("watching twice, or a result, changes nothing") {
  Tensor x = tensor({3});
  GradientTape tape;
  tape.watch(x);
  tape.watch(x);
  Tensor y = x * x;
  tape.watch(y);
  CHECK(tape.gradient(y * y, x).item() == 4 * 27);
  CHECK(tape.gradient(y * y, y).item() == 2 * 9);
}

TEST_CASE("copies of a handle are the same source, copies of the elements are not") {
  Tensor x = tensor({3}), same = x;
  GradientTape tape;
  tape.watch(x);
  CHECK(tape.gradient(same * same, x).item() == 6);
  Tensor copied = x.copy();
  CHECK(tape.gradient(copied * copied, x).item() == 6);  // a recorded op like any other
  CHECK(tape.gradient(copied * copied, copied).item() == 6);
}

// --- life and death

TEST_CASE("a tape that is moved into gradient frees what it kept as it goes") {
  Tensor x = tensor({1, 2});
  std::weak_ptr<int> later;
  bool freed_by_then = false;
  GradientTape tape;
  tape.watch(x);
  Tensor h = custom_gradient(x, [&](const Tensor& g) {
    freed_by_then = later.expired();
    return g;
  });
  {
    auto kept = std::make_shared<int>(1);
    later = kept;
    h = custom_gradient(h, [kept](const Tensor& g) { return g * 2; });
  }
  CHECK_FALSE(later.expired());
  CHECK(values(tape.gradient(h, x)) == Values{2, 2});
  CHECK_FALSE(freed_by_then);
  CHECK(values(std::move(tape).gradient(h, x)) == Values{2, 2});
  CHECK(freed_by_then);
}

TEST_CASE("a tape that was moved into gradient is spent") {
  Tensor x = tensor({1, 2});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x * x;
  // A mistake in the call does not spend it.
  CHECK_THROWS_AS(std::move(tape).gradient(y, ones({1})), std::invalid_argument);
  CHECK_THROWS_AS(std::move(tape).gradient(y, x, ones({1})), std::invalid_argument);
  CHECK(values(std::move(tape).gradient(y, x)) == Values{2, 4});
  CHECK(message_of([&] { tape.gradient(y, x); }) ==
        "gradient: this tape was moved into an earlier gradient and is spent");
  GradientTape outer;
  outer.watch(x);
  GradientTape inner;
  Tensor z = x * x;
  std::move(inner).gradient(z, x);
  CHECK_THROWS_AS(inner.gradient(z, x), std::invalid_argument);
  CHECK(values(outer.gradient(z, x)) == Values{2, 4});  // still has all it needs
}

TEST_CASE("what a tape recorded means nothing to the next one") {
  Tensor x = tensor({1, 2}), y;
  {
    GradientTape tape;
    tape.watch(x);
    y = x * x;
  }
  GradientTape tape;
  CHECK_THROWS_AS(tape.gradient(y, x), std::invalid_argument);
  tape.watch(x);
  CHECK_FALSE(tape.follows(y));
  CHECK(values(tape.gradient(y * x, x)) == values(y));  // y is a constant here
}

TEST_CASE("a gradient outlives its tape") {
  Tensor x = tensor({1, 2}), g;
  {
    GradientTape tape;
    tape.watch(x);
    g = tape.gradient(sum(x * x * x), x);
  }
  CHECK(values(g * 2) == Values{6, 24});
}

TEST_CASE("a watched tensor may go before its tape") {
  GradientTape tape;
  Tensor y;
  {
    Tensor x = tensor({1, 2});
    tape.watch(x);
    y = x * x;
  }
  for (int i = 0; i < 20; ++i) {  // whoever takes its memory is not taken for it
    Tensor other = ones({2});
    CHECK_THROWS_AS(tape.gradient(y, other), std::invalid_argument);
  }
}

TEST_CASE("a tape answers on its own thread only") {
  Tensor x = tensor({1, 2});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x * x;
  std::string watched, asked, counted;
  Tensor elsewhere;
  std::thread([&] {
    watched = message_of([&] { tape.watch(x); });
    asked = message_of([&] { tape.gradient(y, x); });
    counted = message_of([&] { tape.size(); });
    elsewhere = x * x;
  }).join();
  CHECK(watched == "tape: it belongs to the thread that made it");
  CHECK(asked == watched);
  CHECK(counted == watched);
  CHECK_FALSE(tape.follows(elsewhere));
  CHECK(tape.size() == 1);
}

// --- scopes that record nothing

TEST_CASE("nothing is recorded inside NoGradient") {
  Tensor x = tensor({2, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor a = x * x, b;
  {
    NoGradient scope;
    b = a * x;
    {
      NoGradient nested;
      b = b * x;
    }
    b = b * x;
    CHECK(tape.size() == 1);
    CHECK(values(tape.gradient(a, x)) == Values{4, 6});
  }
  CHECK_FALSE(tape.follows(b));
  CHECK(values(tape.gradient(b * x, x)) == values(b));
}

TEST_CASE("a tape made inside NoGradient records, while those outside do not") {
  Tensor x = tensor({2, 3});
  GradientTape outer;
  outer.watch(x);
  {
    NoGradient scope;
    GradientTape inner;
    inner.watch(x);
    Tensor a = x * x;
    CHECK(inner.size() == 1);
    CHECK(values(inner.gradient(a, x)) == Values{4, 6});
  }
  Tensor b = x * x;
  CHECK(values(outer.gradient(b, x)) == Values{4, 6});
}

TEST_CASE("an exception leaves NoGradient behind") {
  Tensor x = tensor({2, 3});
  GradientTape tape;
  tape.watch(x);
  try {
    NoGradient scope;
    dot(x, ones({3}));
  } catch (const std::invalid_argument&) {
  }
  CHECK(values(tape.gradient(x * x, x)) == Values{4, 6});
}

TEST_CASE("stop_gradient keeps the values and cuts the path") {
  Tensor x = tensor({2, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor stopped = stop_gradient(x * x);
  CHECK(values(stopped) == Values{4, 9});
  CHECK(values(tape.gradient(stopped * x, x)) == Values{4, 9});
  CHECK_THROWS_AS(tape.gradient(stopped * x, stopped), std::invalid_argument);
}

// --- gradients of one's own

TEST_CASE("custom_gradient replaces the gradient of the identity") {
  Tensor x = tensor({-2, 0.5, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor y = custom_gradient(x, [](const Tensor& g) { return clip(g, -1, 1); });
  CHECK(values(y) == values(x));
  CHECK(values(tape.gradient(sum(y * y), x)) == Values{-1, 1, 1});
}

TEST_CASE("custom_gradient replaces the gradient of any function") {
  Tensor a = tensor({1, 2, 3}), b = tensor({4, 5, 6}), constant = ones({3});
  auto forward = [](const std::vector<Tensor>& x) { return x[0] * x[1] + x[2]; };
  auto vjp = [&](const Tensor& g) { return std::vector<Tensor>{g * 10, Tensor(), g}; };
  GradientTape tape;
  tape.watch(a);
  tape.watch(b);
  Tensor y = custom_gradient({a, b, constant}, forward, vjp);
  CHECK(tape.size() == 1);
  CHECK(values(y) == Values{5, 11, 19});
  auto g = tape.gradient(y, {a, b});
  CHECK(values(g[0]) == Values{10, 10, 10});
  CHECK(values(g[1]) == Values{0, 0, 0});
  Tensor first = custom_gradient(
      {a, b}, [](const std::vector<Tensor>& x) { return x[0]; },
      [](const Tensor& g) {
        return std::vector<Tensor>{g, g * 2};
      });
  CHECK(values(tape.gradient(first, b)) == Values{2, 2, 2});
}

TEST_CASE("a gradient of one's own can be differentiated again") {
  auto cube = [](const Tensor& x) {
    return custom_gradient(
        {x}, [](const std::vector<Tensor>& x) { return x[0] * x[0] * x[0]; },
        [x](const Tensor& g) { return std::vector<Tensor>{g * 3 * x * x}; });
  };
  Tensor x = tensor({1, 2, -3});
  CHECK(values(derivative(cube)(x)) == Values{3, 12, 27});
  CHECK(values(derivative(derivative(cube))(x)) == Values{6, 12, -18});
}

TEST_CASE("a gradient of the wrong shape is an error, also where it would broadcast") {
  Tensor x = tensor({{1, 2}, {3, 4}});
  GradientTape tape;
  tape.watch(x);
  auto wrong = [&](const Tensor& g) {
    Tensor y = custom_gradient(x, [=](const Tensor&) { return g; });
    return message_of([&] { tape.gradient(sum(y), x); });
  };
  CHECK(wrong(ones({2})) ==
        "gradient of custom_gradient: expected a gradient of shape (2, 2) for input 0, got (2,)");
  CHECK(wrong(ones({3, 2, 2})).find("got (3, 2, 2)") != std::string::npos);
  auto square_of = [](const std::vector<Tensor>& in) { return in[0] * in[0]; };
  Tensor y =
      custom_gradient({x}, square_of, [](const Tensor& g) { return std::vector<Tensor>{sum(g)}; });
  CHECK(message_of([&] { tape.gradient(sum(y), x); }).find("got ()") != std::string::npos);
}

TEST_CASE("a gradient function that returns the wrong number of tensors is an error") {
  Tensor x = tensor({1, 2});
  GradientTape tape;
  tape.watch(x);
  auto sum_of = [](const std::vector<Tensor>& x) { return x[0] + x[1]; };
  Tensor y =
      custom_gradient({x, x}, sum_of, [](const Tensor& g) { return std::vector<Tensor>{g}; });
  CHECK(message_of([&] { tape.gradient(y, x); }) ==
        "gradient of custom_gradient: 2 inputs, but the gradient function "
        "returned 1 tensors");
  Tensor z = custom_gradient(x, [](const Tensor&) { return ones({3}); });
  CHECK_THROWS_AS(tape.gradient(z, x), std::invalid_argument);
  Tensor u = custom_gradient(x, [](const Tensor&) { return Tensor(); });
  CHECK_THROWS_AS(tape.gradient(u, x), std::invalid_argument);
  CHECK_THROWS_AS(custom_gradient(
                      {x}, [](const auto&) { return Tensor(); }, nullptr),
                  std::invalid_argument);
  CHECK(values(tape.gradient(x * x, x)) == Values{2, 4});
}

TEST_CASE("an exception inside a gradient function leaves the tape usable") {
  Tensor x = tensor({1, 2});
  GradientTape outer;
  outer.watch(x);
  {
    GradientTape tape;
    tape.watch(x);
    int calls = 0;
    Tensor y = custom_gradient(x * x, [&](const Tensor& g) {
      if (++calls == 1) throw std::runtime_error("no luck");
      if (calls == 2) throw std::invalid_argument("wrong");
      return g;
    });
    CHECK(message_of([&] { tape.gradient(y, x); }) == "no luck");
    CHECK(message_of([&] { tape.gradient(y, x); }) == "gradient of custom_gradient: wrong");
    CHECK(values(tape.gradient(y, x)) == Values{2, 4});
    CHECK(values(tape.gradient(y * x, x)) == Values{3, 12});  // and it still records
  }
  CHECK(values(outer.gradient(x * x, x)) == Values{2, 4});
}

TEST_CASE("a gradient function may use a tape of its own") {
  Tensor x = tensor({1, 2});
  Function cube = [](const Tensor& x) { return x * x * x; };
  GradientTape tape;
  tape.watch(x);
  Tensor y = custom_gradient(x, [&](const Tensor& g) { return g * derivative(cube)(x); });
  CHECK(values(tape.gradient(y, x)) == Values{3, 12});
  CHECK(values(tape.gradient(y, x)) == Values{3, 12});
}

TEST_CASE("a tape asked for a gradient within its own backward pass refuses") {
  Tensor x = tensor({1, 2}), y;
  GradientTape tape;
  tape.watch(x);
  bool again = true;
  Tensor h = custom_gradient(x, [&](const Tensor& g) { return again ? tape.gradient(y, x) : g; });
  y = h * h;
  CHECK_THROWS_AS(tape.gradient(y, x), std::invalid_argument);
  again = false;
  CHECK(values(tape.gradient(y, x)) == Values{2, 4});
}

// --- tapes in tapes

TEST_CASE("nested tapes give derivatives of third order") {
  Tensor x = tensor({-1.5, 0.25, 2}, float64);
  Function fourth = [](const Tensor& x) { return x * x * x * x; };
  auto third = [](const Function& f) { return derivative(derivative(derivative(f))); };
  check_close(derivative(fourth)(x), 4 * x * x * x);
  check_close(derivative(derivative(fourth))(x), 12 * x * x);
  check_close(third(fourth)(x), 24 * x);
  check_close(third([](const Tensor& x) { return power(x, 4); })(x), 24 * x);
  check_close(third([](const Tensor& x) { return sin(x); })(x), -cos(x));
  check_close(third([](const Tensor& x) { return exp(2 * x); })(x), 8 * exp(2 * x));
  check_close(third([](const Tensor& x) { return square(square(x)); })(x), 24 * x);
  Tensor t = tanh(x);
  check_close(third([](const Tensor& x) { return tanh(x); })(x), (1 - t * t) * (6 * t * t - 2));
}

TEST_CASE("the third derivative of a softmax agrees with differences of the second") {
  Tensor x = tensor({0.3, -1, 0.8, 0.1}, float64), w = tensor({1, -2, 0.5, 3}, float64),
         u = tensor({0.2, 1, -0.4, 0.7}, float64), v = tensor({1, 0.3, 0.6, -0.5}, float64);
  for (auto* op : {softmax, log_softmax}) {
    Function f = [&](const Tensor& x) { return sum(op(x, 0) * w); };
    Function second = [&](const Tensor& x) {  // v . f''(x) . u
      return sum(derivative([&](const Tensor& x) { return sum(derivative(f)(x) * u); })(x) * v);
    };
    Tensor third = derivative(second)(x);
    constexpr double step = 1e-4;
    for (int i = 0; i < 4; ++i) {
      Tensor e = one_hot(Tensor(i), 4, float64) * step;
      double difference = (second(x + e).item() - second(x - e).item()) / (2 * step);
      CHECK(third.item(i) == doctest::Approx(difference).epsilon(1e-6));
    }
  }
}

TEST_CASE("an outer tape differentiates through an inner gradient") {
  Tensor x = tensor({1, 2, 3}, float64), w = tensor({2, 3, 4}, float64);
  GradientTape outer;
  outer.watch(w);
  outer.watch(x);
  Tensor g;
  {
    GradientTape inner;
    inner.watch(x);
    g = inner.gradient(sum(w * x * x * x), x);  // 3 w x^2
  }
  Tensor penalty = sum(g * g);
  auto second = outer.gradient(penalty, {w, x});
  check_close(second[0], 18 * w * x * x * x * x);
  check_close(second[1], 36 * w * w * x * x * x);
}

TEST_CASE("tapes side by side each see what was computed in their time") {
  Tensor x = tensor({2, 3});
  GradientTape first;
  first.watch(x);
  Tensor a = x * x;
  GradientTape second;
  second.watch(x);
  Tensor b = a * x;
  CHECK(first.size() == 2);
  CHECK(second.size() == 1);
  CHECK(values(first.gradient(b, x)) == Values{12, 27});
  CHECK(values(second.gradient(b, x)) == Values{4, 9});  // a is a constant to it
}

TEST_CASE("tapes one after the other under an outer one do not disturb each other") {
  Tensor x = tensor({2, 3});
  GradientTape outer;
  outer.watch(x);
  Tensor sum_of_gradients = zeros({2});
  for (int i = 1; i <= 3; ++i) {
    GradientTape inner;
    inner.watch(x);
    sum_of_gradients += inner.gradient(x * x * i, x);
  }
  CHECK(values(sum_of_gradients) == Values{24, 36});
  CHECK(values(outer.gradient(sum_of_gradients, x)) == Values{12, 12});
}

TEST_CASE("an outer tape may end before an inner one") {
  Tensor x = tensor({2, 3});
  auto outer = std::make_unique<GradientTape>();
  outer->watch(x);
  Tensor a = x * x;
  GradientTape inner;
  inner.watch(a);
  Tensor b = a * a;
  outer.reset();
  CHECK(values(inner.gradient(b * a, a)) == Values{48, 243});
}

TEST_CASE("eight threads with nested tapes on a shared tensor give the serial result" *
          doctest::test_suite("threads")) {
  Tensor shared = Random(3).normal({7, 5}), w = Random(4).normal({5, 4});
  auto work = [&] {
    GradientTape outer;
    outer.watch(w);
    outer.watch(shared);
    Tensor g;
    {
      GradientTape inner;
      inner.watch(shared);
      g = inner.gradient(sum(softmax(dot(tanh(shared), w))[2] * 3), shared);
    }
    return values(outer.gradient(sum(g * g) + sum(shared.transpose()), w));
  };
  Values expected = work();
  std::vector<std::thread> threads;
  std::vector<int> same(8, 0);
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) same[t] += work() == expected;
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(same == std::vector<int>(8, 20));
}

// --- writing in place

TEST_CASE("overwriting what the backward pass needs is an error that names the op") {
  Tensor x = tensor({1, 2, 3}), w = tensor({4, 5, 6});
  GradientTape tape;
  tape.watch(x);
  tape.watch(w);
  Tensor product = x * w, total = x + w, raised = exp(x);
  x.assign(0);
  CHECK(message_of([&] { tape.gradient(product, w); }) ==
        "gradient of multiply: a tensor of shape (3,) that the backward pass needs was "
        "overwritten in place since");
  CHECK(values(tape.gradient(total, x)) == Values{1, 1, 1});  // kept nothing
  CHECK(values(tape.gradient(raised, x)) == values(raised));  // kept its result
  CHECK(values(tape.gradient(x * w, x)) == Values{4, 5, 6});  // recorded since
  CHECK_THROWS_AS(tape.gradient(product + total, x), std::invalid_argument);
}

TEST_CASE("overwriting through a view, a copy of the handle or a pointer is noticed too" *
          on_processor()) {
  auto refused = [](const std::function<void(Tensor&)>& write) {
    Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
    GradientTape tape;
    tape.watch(x);
    Tensor y = square(x), watched = x;
    write(x);
    return !message_of([&] { tape.gradient(y, watched); }).empty();
  };
  CHECK(refused([](Tensor& x) { x[0].assign(0); }));
  CHECK(refused([](Tensor& x) { x.transpose().assign(0); }));
  CHECK(refused([](Tensor& x) { Tensor(x).assign(0); }));
  CHECK(refused([](Tensor& x) { x.mutable_data<float>()[0] = 0; }));
  CHECK_FALSE(refused([](Tensor& x) { x.copy().assign(0); }));
  CHECK_FALSE(refused([](Tensor& x) { x += 1; }));  // rebinds, writes nothing
  CHECK_FALSE(refused([](Tensor& x) { x = zeros({2, 3}); }));
}

TEST_CASE("reading a gradient cannot change the tape") {
  Tensor x = tensor({1, 2});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x * x;
  Tensor g = tape.gradient(y, x);
  g.assign(100);
  CHECK(values(tape.gradient(y, x)) == Values{2, 4});
}

// --- memory

TEST_CASE("a chain of 100,000 ops needs little stack and gives all its memory back" *
          on_processor()) {
  constexpr int length = 100'000;
  double found = 0;
  std::size_t recorded = 0;
  std::int64_t kept = -1, asked_again = -1;
  auto chain = [&] {
    Tensor x = tensor({1, 2, 3}, float64);
    GradientTape tape;
    tape.watch(x);
    Tensor y = x;
    for (int i = 0; i < length / 2; ++i) y = (y * 1.00001) + 1;
    recorded = tape.size();
    found = tape.gradient(y, x).item(1);
  };
  with_small_stack([&] {
    std::int64_t before = memory_stats().bytes_reserved;
    chain();
    std::int64_t asked = memory_stats().system_allocations;
    chain();
    asked_again = memory_stats().system_allocations - asked;
    release_cached_memory();
    kept = memory_stats().bytes_reserved - before;
  });
  CHECK(recorded == length);
  CHECK(found == doctest::Approx(std::pow(1.00001, length / 2)).epsilon(1e-9));
  CHECK(kept == 0);
  if (!sanitized) CHECK(asked_again == 0);
}

TEST_CASE("a wide sum of 100,000 terms and tapes within tapes need little stack" * on_processor()) {
  double found = 0, second = 0;
  with_small_stack([&] {
    Tensor x = tensor({1, 2}, float64);
    {
      GradientTape tape;
      tape.watch(x);
      std::vector<Tensor> terms;
      for (int i = 0; i < 100'000; ++i) terms.push_back(x * 2);
      found = std::move(tape).gradient(terms, {x})[0].item(0);
    }
    GradientTape outer;
    outer.watch(x);
    GradientTape inner;
    inner.watch(x);
    Tensor y = x;
    for (int i = 0; i < 10'000; ++i) y = y * 1.0001;
    Tensor g = inner.gradient(y * y, x);
    second = outer.gradient(g, x).item(0);
  });
  CHECK(found == 200'000);
  CHECK(second == doctest::Approx(2 * std::pow(1.0001, 20'000)).epsilon(1e-9));
}

TEST_CASE("ops whose backward needs nothing keep nothing, and gradients go once used") {
  release_cached_memory();
  std::int64_t before = memory_stats().bytes_reserved;
  constexpr std::int64_t mebibyte = 1 << 20;
  Tensor x = ones({mebibyte / 4});
  GradientTape tape;
  tape.watch(x);
  Tensor y = x;
  for (int i = 0; i < 200; ++i) y = flip((y + x).reshape({512, -1})).reshape({-1}) - x;
  CHECK(memory_stats().bytes_reserved - before < 8 * mebibyte);
  tape.gradient(y, x);
  CHECK(memory_stats().bytes_reserved - before < 12 * mebibyte);
}

#if defined(__GLIBC__)
TEST_CASE("a long loop of tapes keeps the heap as it is" * doctest::skip(sanitized) *
          on_processor()) {
  Tensor x = Random(1).normal({6, 5}), w = Random(2).normal({5, 3});
  auto step = [&] {
    GradientTape outer;
    outer.watch(w);
    Tensor g;
    {
      GradientTape inner;
      inner.watch(x);
      g = inner.gradient(sum(tanh(dot(x, w))), x);
    }
    w.assign(w - 0.01 * outer.gradient(sum(g * g), w));
  };
  for (int i = 0; i < 100; ++i) step();
  auto before = mallinfo2().uordblks;
  for (int i = 0; i < 10'000; ++i) step();
  CHECK(mallinfo2().uordblks == before);
}
#endif

// --- looking at a tape

TEST_CASE("a tape prints one line for each op") {
  Tensor x = tensor({0.5, 1.0, 2.0}), c = ones({2, 3});
  GradientTape tape;
  tape.watch(x);
  Tensor y = sum(tanh(x) * x * 2 + c);
  Tensor parts = unstack(x)[1];
  std::ostringstream out;
  out << tape;
  CHECK(out.str() ==
        "%2 (3,) = tanh(%1 (3,))\n"
        "%3 (3,) = multiply(%2 (3,), %1 (3,))\n"
        "%4 (3,) = multiply(%3 (3,), -)\n"
        "%5 (2, 3) = add(%4 (3,), -)\n"
        "%6 () = sum(%5 (2, 3))\n"
        "%7 (), %8 (), %9 () = unstack(%1 (3,))\n");
}

TEST_CASE("a tape draws itself in DOT") {
  Tensor x = tensor({0.5, 1.0, 2.0});
  GradientTape tape;
  tape.watch(x);
  Tensor y = sum(tanh(x) * x * 2);
  CHECK(tape.dot() ==
        "digraph tape {\n"
        "  node [shape=box, fontname=Helvetica];\n"
        "  n0 [label=\"tanh\\n(3,)\"];\n"
        "  v1 [label=\"(3,)\", shape=ellipse];\n"
        "  v1 -> n0;\n"
        "  n1 [label=\"multiply\\n(3,)\"];\n"
        "  n0 -> n1;\n"
        "  v1 -> n1;\n"
        "  n2 [label=\"multiply\\n(3,)\"];\n"
        "  n1 -> n2;\n"
        "  n3 [label=\"sum\\n()\"];\n"
        "  n2 -> n3;\n"
        "}\n");
}

TEST_CASE("the layer an op ran in is shown with it") {
  Tensor x = tensor({1, 2});
  GradientTape tape;
  tape.watch(x);
  recording->layer = "dense_1";
  Tensor y = x * x;
  recording->layer = nullptr;
  std::ostringstream out;
  out << tape;
  CHECK(out.str() ==
        "%2 (2,) = multiply(%1 (2,), %1 (2,))" + std::string(24, ' ') + "  # dense_1\n");
  CHECK(tape.dot().find("label=\"dense_1: multiply\\n(2,)\"") != std::string::npos);
}

TEST_CASE("an inner tape shows its own ops only") {
  Tensor x = tensor({1, 2});
  GradientTape outer;
  outer.watch(x);
  Tensor y = x * x;
  GradientTape inner;
  Tensor z = exp(y);
  std::ostringstream out;
  out << inner;
  CHECK(out.str() == "%3 (2,) = exp(%2 (2,))\n");
  CHECK(inner.dot() ==
        "digraph tape {\n"
        "  node [shape=box, fontname=Helvetica];\n"
        "  n1 [label=\"exp\\n(2,)\"];\n"
        "  v2 [label=\"(2,)\", shape=ellipse];\n"
        "  v2 -> n1;\n"
        "}\n");
}

TEST_SUITE_END();
