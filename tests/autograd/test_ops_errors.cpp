// Mistakes in the use of each op: std::invalid_argument, with a message that names the op and says
// what came, and the same one whether or not a tape records.

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "../on_processor.h"
#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

struct Mistake {
  const char* op;
  std::vector<std::string> says;              // in the message, besides the op
  std::function<void(const Tensor& x)> make;  // x: (2, 3) floats
};

const Tensor four = zeros({4});
const Tensor picture = zeros({4, 5, 1});
const Tensor index = zeros({2}, int32);
const Tensor huge = broadcast_to(zeros({1, 1}), {1 << 16, 1 << 16});  // one element, shown often
using Indices = std::vector<std::int64_t>;

// clang-format off
const std::vector<Mistake>& mistakes() {
  static const std::vector<Mistake> all_of_them = {
      {"where", {"(2, 3)", "(4,)"}, [](const Tensor& x) { where(x > 0, x, four); }},
      {"where", {"(4,)", "(2, 3)"}, [](const Tensor& x) { where(four, x, x); }},
      {"clip", {"2", "1"}, [](const Tensor& x) { clip(x, 2, 1); }},
      {"clip", {"nan"}, [](const Tensor& x) { clip(x, NAN, 1); }},
      {"soft_shrink", {"-0.5"}, [](const Tensor& x) { soft_shrink(x, -0.5); }},
      {"squareplus", {"b > 0", "0"}, [](const Tensor& x) { squareplus(x, 0); }},
      {"max", {"(0, 3)"}, [](const Tensor& x) { max(slice(x, {range(0)}), 0); }},
      {"min", {"(0, 3)"}, [](const Tensor& x) { min(slice(x, {range(0)})); }},
      {"argmax", {"(0, 3)"}, [](const Tensor& x) { argmax(slice(x, {range(0)}), 0); }},
      {"argmin", {"(0,)"}, [](const Tensor& x) { argmin(slice(x, {range(0)})); }},
      {"argmax", {"2147483647", "4294967296"}, [](const Tensor&) { argmax(huge); }},
      {"argmin", {"2147483647", "4294967296"}, [](const Tensor&) { argmin(broadcast_to(zeros({1}), {huge.numel()}), 0); }},
      {"argsort", {"2147483647", "4294967296"}, [](const Tensor&) { argsort(broadcast_to(zeros({1}), {huge.numel()})); }},
      {"argmax", {"axis 2"}, [](const Tensor& x) { argmax(x, 2); }},
      {"argmin", {"axis -3"}, [](const Tensor& x) { argmin(x, -3); }},
      {"sum", {"named twice"}, [](const Tensor& x) { sum(x, {0, -2}); }},
      {"cumsum", {"axis 2"}, [](const Tensor& x) { cumsum(x, 2); }},
      {"cumprod", {"axis 2"}, [](const Tensor& x) { cumprod(x, 2); }},
      {"sort", {"axis 2"}, [](const Tensor& x) { sort(x, 2); }},
      {"sort", {"axis -1"}, [](const Tensor& x) { sort(sum(x)); }},
      {"argsort", {"axis -3"}, [](const Tensor& x) { argsort(x, -3); }},
      {"top_k", {"0..3", "(2, 3)", "4"}, [](const Tensor& x) { top_k(x, 4); }},
      {"top_k", {"0..3", "-1"}, [](const Tensor& x) { top_k(x, -1); }},
      {"top_k", {"axis -1"}, [](const Tensor& x) { top_k(sum(x), 1); }},
      {"searchsorted", {"rank 1", "(2, 3)"}, [](const Tensor& x) { searchsorted(x, x); }},
      {"searchsorted", {"\"left\"", "\"right\"", "\"middle\""}, [](const Tensor& x) { searchsorted(four, x, "middle"); }},
      {"searchsorted", {"2147483647", "4294967296"}, [](const Tensor& x) { searchsorted(broadcast_to(zeros({1}), {huge.numel()}), x); }},
      {"tril", {"rank 2", "(4,)"}, [](const Tensor&) { tril(four); }},
      {"triu", {"rank 2", "(4,)"}, [](const Tensor&) { triu(four); }},
      {"roll", {"axis 2"}, [](const Tensor& x) { roll(x, 1, 2); }},
      {"roll", {"axis 0", "rank 0"}, [](const Tensor& x) { roll(sum(x), 1, 0); }},
      {"resize", {"rank 3 or 4", "(2, 3)"}, [](const Tensor& x) { resize(x, {2, 2}); }},
      {"resize", {"at least 1", "2 by 0"}, [](const Tensor&) { resize(picture, {2, 0}); }},
      {"resize", {"\"bicubic\"", "\"nearest\"", "\"bilinear\""}, [](const Tensor&) { resize(picture, {2, 2}, {.interpolation = "bicubic"}); }},
      {"resize", {"\"first\"", "\"channels_first\""}, [](const Tensor&) { resize(picture, {2, 2}, {.data_format = "first"}); }},
      {"resize", {"crop_to_aspect_ratio", "pad_to_aspect_ratio"}, [](const Tensor&) { resize(picture, {2, 2}, {.crop_to_aspect_ratio = true, .pad_to_aspect_ratio = true}); }},
      {"resize", {"no pixels", "(0, 5, 1)"}, [](const Tensor&) { resize(slice(picture, {range(0)}), {2, 2}); }},
      {"softmax", {"axis 2"}, [](const Tensor& x) { softmax(x, 2); }},
      {"softmax", {"axis -1"}, [](const Tensor& x) { softmax(sum(x)); }},
      {"log_softmax", {"axis -3"}, [](const Tensor& x) { log_softmax(x, -3); }},
      {"sparsemax", {"axis 2"}, [](const Tensor& x) { sparsemax(x, 2); }},
      {"glu", {"axis -3"}, [](const Tensor& x) { glu(x, -3); }},
      {"glu", {"even", "axis -1", "(2, 3)"}, [](const Tensor& x) { glu(x); }},
      {"sum_to", {"(2, 3)", "(4,)"}, [](const Tensor& x) { sum_to(x, {4}); }},
      {"dot", {"(2, 3)"}, [](const Tensor& x) { dot(x, x); }},
      {"dot", {"(2, 3)", "(4,)"}, [](const Tensor& x) { dot(x, four); }},
      {"matmul", {"(2, 3)"}, [](const Tensor& x) { matmul(x, x); }},
      {"matmul", {"()"}, [](const Tensor& x) { matmul(x, 2.0); }},
      {"matmul", {"(2,)", "(3,)"}, [](const Tensor& x) { matmul(tile(x, {2, 1, 1}), zeros({3, 3, 2})); }},
      {"einsum", {"ij,jk->ik"}, [](const Tensor& x) { einsum("ij,jk->ik", {x, x}); }},
      {"einsum", {"operands"}, [](const Tensor& x) { einsum("ij,jk,kl->il", {x, x, x}); }},
      {"einsum", {"operands"}, [](const Tensor&) { einsum("->", {}); }},
      {"einsum", {"ij"}, [](const Tensor& x) { einsum("ij", {x}); }},
      {"einsum", {"ii->i"}, [](const Tensor& x) { einsum("ii->i", {x}); }},
      {"einsum", {"ij->k"}, [](const Tensor& x) { einsum("ij->k", {x}); }},
      {"einsum", {"ij->ii"}, [](const Tensor& x) { einsum("ij->ii", {x}); }},
      {"einsum", {"i->i", "(2, 3)"}, [](const Tensor& x) { einsum("i->i", {x}); }},
      {"einsum", {"1j->j"}, [](const Tensor& x) { einsum("1j->j", {x}); }},
      {"einsum", {"inputs"}, [](const Tensor& x) { einsum("ij,jk->ik", {x}); }},
      {"einsum", {"...j->j"}, [](const Tensor& x) { einsum("...j->j", {x}); }},
      {"reshape", {"(2, 3)", "(4,)"}, [](const Tensor& x) { reshape(x, {4}); }},
      {"reshape", {"only one"}, [](const Tensor& x) { reshape(x, Shape::filled(2, -1)); }},
      {"reshape", {"-2"}, [](const Tensor& x) { reshape(x, {-2, 3}); }},
      {"reshape", {"(2, 3)"}, [](const Tensor& x) { reshape(x, {-1, 4}); }},
      {"reshape", {"(2, 3)"}, [](const Tensor& x) { reshape(x, {-1, 0}); }},
      {"shape", {"4611686018427387904"}, [](const Tensor& x) { reshape(x, {-1, std::int64_t{1} << 62, 4}); }},
      {"transpose", {"(2, 3)"}, [](const Tensor& x) { transpose(x, {0}); }},
      {"transpose", {"named twice"}, [](const Tensor& x) { transpose(x, {0, 0}); }},
      {"transpose", {"axis 2"}, [](const Tensor& x) { transpose(x, {0, 2}); }},
      {"swapaxes", {"axis 2"}, [](const Tensor& x) { swapaxes(x, 0, 2); }},
      {"moveaxis", {"axis -3"}, [](const Tensor& x) { moveaxis(x, -3, 0); }},
      {"moveaxis", {"axis 2"}, [](const Tensor& x) { moveaxis(x, 0, 2); }},
      {"expand_dims", {"axis 3"}, [](const Tensor& x) { expand_dims(x, 3); }},
      {"squeeze", {"axis 1", "(2, 3)"}, [](const Tensor& x) { squeeze(x, 1); }},
      {"squeeze", {"axis 2"}, [](const Tensor& x) { squeeze(x, 2); }},
      {"flip", {"axis 2"}, [](const Tensor& x) { flip(x, 2); }},
      {"broadcast_to", {"(2, 3)", "(4, 3)"}, [](const Tensor& x) { broadcast_to(x, {4, 3}); }},
      {"broadcast_to", {"(2, 3)", "(3,)"}, [](const Tensor& x) { broadcast_to(x, {3}); }},
      {"diagonal", {"(4,)"}, [](const Tensor&) { diagonal(four); }},
      {"sliding_window", {"axis 0", "(2, 3)"}, [](const Tensor& x) { sliding_window(x, 0, 3); }},
      {"sliding_window", {"step 0"}, [](const Tensor& x) { sliding_window(x, 1, 1, 0); }},
      {"sliding_window", {"window of 0"}, [](const Tensor& x) { sliding_window(x, 1, 0); }},
      {"sliding_window", {"axis 2"}, [](const Tensor& x) { sliding_window(x, 2, 1); }},
      {"concatenate", {"(2, 3)", "(4, 2)"}, [](const Tensor& x) { concatenate({x, zeros({4, 2})}, 0); }},
      {"concatenate", {"(2, 3)", "(4,)"}, [](const Tensor& x) { concatenate({x, four}, 0); }},
      {"concatenate", {"at least one"}, [](const Tensor&) { concatenate({}); }},
      {"concatenate", {"axis 2"}, [](const Tensor& x) { concatenate({x, x}, 2); }},
      {"concatenate", {"axis -1"}, [](const Tensor& x) { concatenate({sum(x)}); }},
      {"stack", {"(2, 3)", "(4,)"}, [](const Tensor& x) { stack({x, four}); }},
      {"stack", {"at least one"}, [](const Tensor&) { stack({}); }},
      {"stack", {"axis 3"}, [](const Tensor& x) { stack({x, x}, 3); }},
      {"unstack", {"axis 2"}, [](const Tensor& x) { unstack(x, 2); }},
      {"split", {"(2, 3)", "2 parts"}, [](const Tensor& x) { split(x, 2, 1); }},
      {"split", {"0 parts"}, [](const Tensor& x) { split(x, 0); }},
      {"split", {"axis 2"}, [](const Tensor& x) { split(x, 1, 2); }},
      {"split", {"axis -3"}, [](const Tensor& x) { split(x, Indices{1}, -3); }},
      {"split", {"cut 1"}, [](const Tensor& x) { split(x, Indices{2, 1}, 1); }},
      {"split", {"cut 4", "(2, 3)"}, [](const Tensor& x) { split(x, Indices{4}, 1); }},
      {"tile", {"-1"}, [](const Tensor& x) { tile(x, {-1}); }},
      {"repeat", {"-1"}, [](const Tensor& x) { repeat(x, -1, 0); }},
      {"repeat", {"axis 2"}, [](const Tensor& x) { repeat(x, 2, 2); }},
      {"pad", {"(2, 3)"}, [](const Tensor& x) { pad(x, {{1, 1}}); }},
      {"pad", {"axis 1"}, [](const Tensor& x) { pad(x, {{1, 1}, {0, -1}}); }},
      {"slice", {"2", "axis 0", "(2, 3)"}, [](const Tensor& x) { slice(x, {2}); }},
      {"slice", {"-4", "axis 1"}, [](const Tensor& x) { slice(x, {all, -4}); }},
      {"slice", {"(2, 3)"}, [](const Tensor& x) { slice(x, {all, all, all}); }},
      {"slice", {"step is 0"}, [](const Tensor& x) { slice(x, {range(0, 2, 0)}); }},
      {"slice", {"0", "axis 0"}, [](const Tensor& x) { slice(slice(x, {range(0)}), {0}); }},
      {"slice_update", {"(4,)", "(2, 3)"}, [](const Tensor& x) { slice_update(x, {0, 0}, four); }},
      {"slice_update", {"(2, 3)"}, [](const Tensor& x) { slice_update(x, {0}, x); }},
      {"slice_update", {"axis 1", "(2, 3)"}, [](const Tensor& x) { slice_update(x, {0, 1}, x); }},
      {"slice_update", {"-1", "axis 0"}, [](const Tensor& x) { slice_update(x, {-1, 0}, zeros({1, 1})); }},
      {"take", {"float32"}, [](const Tensor& x) { take(x, zeros({2}), 0); }},
      {"take", {"index 6", "position 1"}, [](const Tensor& x) { take(x, tensor({0, 6}, int32)); }},
      {"take", {"index -3"}, [](const Tensor& x) { take(x, tensor({-3}, int32), 0); }},
      {"take", {"axis 2"}, [](const Tensor& x) { take(x, index, 2); }},
      {"take", {"index 0"}, [](const Tensor& x) { take(slice(x, {range(0)}), index, 0); }},
      {"take_along_axis", {"(2,)", "(2, 3)"}, [](const Tensor& x) { take_along_axis(x, index, 0); }},
      {"take_along_axis", {"(4, 1)", "(2, 1)"}, [](const Tensor& x) { take_along_axis(x, zeros({4, 1}, int32), 1); }},
      {"take_along_axis", {"index 3"}, [](const Tensor& x) { take_along_axis(x, full({2, 1}, 3, int32), 1); }},
      {"take", {"2147483647", "4294967296"}, [](const Tensor&) { take(huge, index); }},
      {"take_along_axis", {"2147483647", "4294967296"}, [](const Tensor&) { take_along_axis(huge, zeros({1, 1}, int32), 1); }},
      {"take_along_axis", {"float32"}, [](const Tensor& x) { take_along_axis(x, zeros({2, 1}), 1); }},
      {"take_along_axis", {"axis 2"}, [](const Tensor& x) { take_along_axis(x, zeros({2, 1}, int32), 2); }},
      {"one_hot", {"float32"}, [](const Tensor&) { one_hot(four, 3); }},
      {"one_hot", {"-1"}, [](const Tensor&) { one_hot(index, -1); }},
      {"custom_gradient", {"no tensor"}, [](const Tensor& x) {
         custom_gradient(Inputs{x}, [](const Inputs&) { return Tensor(); }, [](const Tensor& g) { return Inputs{g}; }); }},
  };
  return all_of_them;
}
// clang-format on

// The message of what it throws; "" when it throws nothing.
std::string message_of(const std::function<void(const Tensor&)>& make, const Tensor& x) {
  try {
    make(x);
  } catch (const std::invalid_argument& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("not std::invalid_argument: ") + error.what();
  }
  return "";
}

void check_mistake(const std::string& op, const std::vector<std::string>& says,
                   const std::function<void(const Tensor&)>& make) {
  Tensor x = tensor({{1, -2, 3}, {4, 5, 6}});
  std::string plain = message_of(make, x), recorded;
  {
    GradientTape tape;
    tape.watch(x);
    recorded = message_of(make, x);
  }
  std::string what = op + ": \"" + plain + "\"";
  check(what + " begins with the op", plain.rfind(op + ": ", 0) == 0);
  for (const std::string& text : says)
    check(what + " says " + text, plain.find(text) != std::string::npos);
  check(what + " is also said on a tape, not \"" + recorded + "\"", recorded == plain);
}

}  // namespace

TEST_CASE("mistakes throw, and say who, which rule and what came" * on_processor()) {
  for (const Mistake& m : mistakes()) check_mistake(m.op, m.says, m.make);
}

TEST_CASE("shapes that do not broadcast are refused by every op of two inputs") {
  for (const PointwiseOp& op : pointwise_table()) {
    if (op.inputs != 2) continue;
    auto make = [&](const Tensor& x) { op.call({x, four}); };
    check_mistake(op.op == "mul" ? "multiply" : op.op, {"(2, 3)", "(4,)"}, make);
  }
}

TEST_CASE("axes out of range are refused by every reduction") {
  std::set<std::string> seen;
  for (const Case& c : reduce_table()) {
    if (c.variant.rfind("over 0", 0) != 0 || c.shapes[0].rank() != 1) continue;
    if (!seen.insert(c.op).second) continue;
    // The same call on a number, which has no axis 0.
    check_mistake(c.op, {"axis 0", "rank 0"}, [&](const Tensor& x) { c.call({sum(x)}); });
  }
  check("every reduction was tried", seen.size() == 11);
}

TEST_CASE("an undefined tensor is refused by every op") {
  for (const Case& c : op_table()) {
    if (c.shapes[0] != Shape{3, 5} && c.shapes[0] != Shape{7} && c.op.find("cell") == c.op.npos)
      continue;
    Inputs x = samples(c, float32);
    for (Tensor& input : x) {
      Tensor whole = std::exchange(input, Tensor());
      std::string said = message_of([&](const Tensor&) { c.call(x); }, {});
      check(c.name() + ": an undefined input: \"" + said + "\"",
            said.find("undefined") != std::string::npos);
      input = whole;
    }
  }
}

TEST_CASE("a gradient function of the wrong size is refused") {
  Tensor x = ones({2});
  auto forward = [](const Inputs& v) { return v[0] * 2; };
  auto message = [&](const std::function<Inputs(const Tensor&)>& vjp) {
    GradientTape tape;
    tape.watch(x);
    Tensor y = custom_gradient(Inputs{x}, forward, vjp);
    return message_of([&](const Tensor&) { tape.gradient(y, x); }, x);
  };
  check("custom_gradient: too many", message([](const Tensor& g) {
                                       return Inputs{g, g};
                                     }).find("custom_gradient: 1 inputs") != std::string::npos);
  check("custom_gradient: another shape", message([](const Tensor&) {
                                            return Inputs{ones({3})};
                                          }).find("custom_gradient") != std::string::npos);
}

}  // namespace keratin::test

TEST_SUITE_END();
