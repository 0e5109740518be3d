// Ops against real Keras: tests/golden/random_ops.npz (see tests/golden/README.md).

#include <doctest/doctest.h>

#include <map>
#include <set>

#include <keratin/io/npz.h>

#include "op_table.h"

TEST_SUITE_BEGIN("keras");

namespace keratin::test {
namespace {

using Call = std::function<Tensor(const Inputs&)>;

// clang-format off
const std::map<std::string, Call>& calls() {
  static const std::map<std::string, Call> table = {
      {"softmax/axis_-1", [](const Inputs& x) { return softmax(x[0], -1); }},
      {"softmax/axis_0", [](const Inputs& x) { return softmax(x[0], 0); }},
      {"softmax/axis_1", [](const Inputs& x) { return softmax(x[0], 1); }},
      {"log_softmax/axis_-1", [](const Inputs& x) { return log_softmax(x[0], -1); }},
      {"log_softmax/axis_1", [](const Inputs& x) { return log_softmax(x[0], 1); }},
      {"logsumexp/all", [](const Inputs& x) { return logsumexp(x[0]); }},
      {"logsumexp/axis_1", [](const Inputs& x) { return logsumexp(x[0], 1); }},
      {"logsumexp/axis_0_2_keepdims", [](const Inputs& x) { return logsumexp(x[0], {0, 2}, true); }},
      {"logsumexp/large", [](const Inputs& x) { return logsumexp(500 * x[0], -1); }},
      {"sum/axis_0_2", [](const Inputs& x) { return sum(x[0], {0, 2}); }},
      {"mean/axis_1_keepdims", [](const Inputs& x) { return mean(x[0], 1, true); }},
      {"var/all", [](const Inputs& x) { return var(x[0]); }},
      {"var/axis_1", [](const Inputs& x) { return var(x[0], 1); }},
      {"var/axis_0_2_keepdims", [](const Inputs& x) { return var(x[0], {0, 2}, true); }},
      {"std/all", [](const Inputs& x) { return std(x[0]); }},
      {"std/axis_-1", [](const Inputs& x) { return std(x[0], -1); }},
      {"cumsum/axis_0", [](const Inputs& x) { return cumsum(x[0], 0); }},
      {"cumsum/axis_1", [](const Inputs& x) { return cumsum(x[0], 1); }},
      {"cumsum/flat", [](const Inputs& x) { return cumsum(reshape(x[0], {-1}), 0); }},
      {"norm/all", [](const Inputs& x) { return norm(x[0]); }},
      {"norm/axis_1", [](const Inputs& x) { return norm(x[0], 1); }},
      {"norm/axis_-1_keepdims", [](const Inputs& x) { return norm(x[0], -1, true); }},
      {"prod/all", [](const Inputs& x) { return prod(x[0]); }},
      {"prod/axis_1", [](const Inputs& x) { return prod(x[0], 1); }},
      {"prod/one_zero", [](const Inputs& x) { return prod(x[0], 1); }},
      {"prod/two_zeros", [](const Inputs& x) { return prod(x[0], 1); }},
      {"max/all_ties", [](const Inputs& x) { return max(x[0]); }},
      {"max/axis_1_ties", [](const Inputs& x) { return max(x[0], 1); }},
      {"max/axis_0", [](const Inputs& x) { return max(x[0], 0); }},
      {"min/axis_1_ties", [](const Inputs& x) { return min(x[0], 1); }},
      {"min/axis_0_2_keepdims", [](const Inputs& x) { return min(x[0], {0, 2}, true); }},
      {"tensordot/axes_1", [](const Inputs& x) { return dot(x[0], x[1]); }},
      {"tensordot/axes_0_2_and_1_0", [](const Inputs& x) { return einsum("abc,cad->bd", x); }},
      {"take/axis_0", [](const Inputs& x) { return take(x[0], x[1], 0); }},
      {"take/axis_1", [](const Inputs& x) { return take(x[0], x[1], 1); }},
      {"take/flat", [](const Inputs& x) { return take(x[0], x[1]); }},
      {"take_along_axis/axis_1", [](const Inputs& x) { return take_along_axis(x[0], x[1], 1); }},
      {"take_along_axis/axis_0", [](const Inputs& x) { return take_along_axis(x[0], x[1], 0); }},
      {"one_hot/5_classes", [](const Inputs& x) { return one_hot(x[0], 5, float64); }},
      {"one_hot/outside", [](const Inputs& x) { return one_hot(x[0], 3, float64); }},
      {"one_hot/axis_0", [](const Inputs& x) { return moveaxis(one_hot(x[0], 5, float64), -1, 0); }},
      {"tile/2_1_3", [](const Inputs& x) { return tile(x[0], {2, 1, 3}); }},
      {"tile/2_of_rank_2", [](const Inputs& x) { return tile(x[0], {2}); }},
      {"tile/longer_than_rank", [](const Inputs& x) { return tile(x[0], {2, 1, 2}); }},
      {"repeat/2_axis_1", [](const Inputs& x) { return repeat(x[0], 2, 1); }},
      {"repeat/3_flat", [](const Inputs& x) { return repeat(reshape(x[0], {-1}), 3, 0); }},
      {"repeat/counts_axis_0", [](const Inputs& x) { return take(x[0], tensor({0, 0, 1, 2, 2, 2}, int32), 0); }},
      {"pad/constant", [](const Inputs& x) { return pad(x[0], {{1, 2}, {0, 1}, {0, 0}}); }},
      {"pad/constant_-1.5", [](const Inputs& x) { return pad(x[0], {{1, 0}, {2, 1}}, -1.5); }},
      {"where/same_shape", [](const Inputs& x) { return where(x[0] != 0, x[1], x[2]); }},
      {"where/broadcast", [](const Inputs& x) { return where(x[0] != 0, x[1], x[2]); }},
      {"gelu/exact", [](const Inputs& x) { return gelu(x[0], false); }},
      {"gelu/tanh", [](const Inputs& x) { return gelu(x[0]); }},
      {"erf/default", [](const Inputs& x) { return erf(x[0]); }},
      {"log1p/default", [](const Inputs& x) { return log1p(x[0]); }},
      {"log1p/small", [](const Inputs& x) { return log1p(x[0]); }},
      {"expm1/default", [](const Inputs& x) { return expm1(x[0]); }},
      {"expm1/small", [](const Inputs& x) { return expm1(x[0]); }},
      {"power/x_3", [](const Inputs& x) { return power(x[0], 3); }},
      {"power/x_y", [](const Inputs& x) { return power(x[0], x[1]); }},
      {"power/x_y_broadcast", [](const Inputs& x) { return power(x[0], x[1]); }},
      {"power/x_0.5", [](const Inputs& x) { return power(x[0], 0.5); }},
      {"sqrt/default", [](const Inputs& x) { return sqrt(x[0]); }},
      {"rsqrt/default", [](const Inputs& x) { return rsqrt(x[0]); }},
      {"clip/-0.5_1", [](const Inputs& x) { return clip(x[0], -0.5, 1); }},
      {"clip/at_bounds", [](const Inputs& x) { return clip(x[0], -1, 2); }},
      {"maximum/default", [](const Inputs& x) { return maximum(x[0], x[1]); }},
      {"maximum/ties", [](const Inputs& x) { return maximum(x[0], x[1]); }},
      {"minimum/default", [](const Inputs& x) { return minimum(x[0], x[1]); }},
      {"minimum/ties", [](const Inputs& x) { return minimum(x[0], x[1]); }},
      {"absolute/zero", [](const Inputs& x) { return abs(x[0]); }},
      {"round/half", [](const Inputs& x) { return round(x[0]); }},
      {"log10/default", [](const Inputs& x) { return log10(x[0]); }},
      {"tril/default", [](const Inputs& x) { return tril(x[0]); }},
      {"tril/-1", [](const Inputs& x) { return tril(x[0], -1); }},
      {"triu/default", [](const Inputs& x) { return triu(x[0]); }},
      {"triu/1", [](const Inputs& x) { return triu(x[0], 1); }},
      {"roll/2_axis_1", [](const Inputs& x) { return roll(x[0], 2, 1); }},
      {"roll/-1_axis_-1", [](const Inputs& x) { return roll(x[0], -1, -1); }},
      {"roll/5_flat", [](const Inputs& x) { return roll(x[0], 5); }},
      {"top_k/values", [](const Inputs& x) { return top_k(x[0], 3)[0]; }},
      {"top_k/indices", [](const Inputs& x) { return top_k(x[0], 3)[1]; }},
      {"top_k/values_ties", [](const Inputs& x) { return top_k(x[0], 2)[0]; }},
      {"top_k/indices_ties", [](const Inputs& x) { return top_k(x[0], 2)[1]; }},
      {"searchsorted/left", [](const Inputs& x) { return searchsorted(x[0], x[1]); }},
      {"searchsorted/right", [](const Inputs& x) { return searchsorted(x[0], x[1], "right"); }},
      {"resize/default", [](const Inputs& x) { return resize(x[0], {6, 7}); }},
      {"resize/smaller", [](const Inputs& x) { return resize(x[0], {3, 2}); }},
      {"resize/one_image", [](const Inputs& x) { return resize(x[0], {2, 8}); }},
      {"resize/antialias", [](const Inputs& x) { return resize(x[0], {3, 2}, {.antialias = true}); }},
      {"resize/nearest", [](const Inputs& x) { return resize(x[0], {3, 7}, {.interpolation = "nearest"}); }},
      {"resize/channels_first", [](const Inputs& x) { return resize(x[0], {6, 2}, {.data_format = "channels_first"}); }},
      {"resize/crop", [](const Inputs& x) { return resize(x[0], {2, 4}, {.crop_to_aspect_ratio = true}); }},
      {"resize/pad", [](const Inputs& x) { return resize(x[0], {2, 4}, {.pad_to_aspect_ratio = true, .fill_value = 0.5}); }},
      {"sign/default", [](const Inputs& x) { return sign(x[0]); }},
  };
  return table;
}
// clang-format on

// Functions of Keras that are not ops here.
const std::set<std::string> absent = {"cumprod/axis_1", "norm/ord_1_axis_1",    "pad/reflect",
                                      "pad/symmetric",  "floor_divide/default", "mod/default"};

Call call_of(const std::string& name) {
  auto begins = [&](const char* text) { return name.rfind(text, 0) == 0; };
  if (begins("dot/")) return [](const Inputs& x) { return dot(x[0], x[1]); };
  if (begins("matmul/")) return [](const Inputs& x) { return matmul(x[0], x[1]); };
  if (begins("einsum/")) {
    std::string equation = name.substr(7);
    return [equation](const Inputs& x) { return einsum(equation, x); };
  }
  auto found = calls().find(name);
  return found == calls().end() ? Call() : found->second;
}

}  // namespace

TEST_CASE("ops give what real Keras gives") {
  auto arrays = load_npz(std::string(KERATIN_SOURCE_DIR) + "/tests/golden/random_ops.npz");
  constexpr Tolerance close{.relative = 1e-12, .floor = 1};
  for (const auto& [key, y] : arrays) {
    if (key.size() < 2 || key.substr(key.size() - 2) != "/y") continue;
    std::string name = key.substr(0, key.size() - 2);
    if (absent.count(name) == 1) continue;
    Call call = call_of(name);
    check("golden " + name + " has no call in test_ops_golden.cpp", static_cast<bool>(call));
    if (!call) continue;
    Inputs x;
    while (arrays.count(name + "/x" + std::to_string(x.size())) == 1)
      x.push_back(arrays.at(name + "/x" + std::to_string(x.size())));
    check("golden " + name, call(x), array_of(y), close);
    // At a bound or a corner JAX chooses another derivative than we do.
    if (arrays.count(name + "/gy") == 0 || name == "clip/at_bounds" || name == "absolute/zero")
      continue;
    Inputs g = gradients(call, x, arrays.at(name + "/gy"));
    for (std::size_t i = 0; i < g.size(); ++i)
      if (g[i].defined())
        check("golden " + name + ": gradient " + std::to_string(i), g[i],
              array_of(arrays.at(name + "/gx" + std::to_string(i))), close);
  }
}

}  // namespace keratin::test

TEST_SUITE_END();
