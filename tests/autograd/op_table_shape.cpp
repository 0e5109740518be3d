// The table's ops that rearrange one tensor: each result element is one input element.

#include "op_table.h"

namespace keratin::test {
namespace {

Traits exact() { return {.whole = true}; }

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

// A view or copy of one tensor: the shape of the result, and where each element comes from.
Case moved(const char* op, const std::string& variant, const Shape& from, const Shape& to,
           std::function<Tensor(const Tensor&)> call, std::function<Place(Place)> source) {
  return {op,
          variant,
          {from},
          [call = std::move(call)](const Inputs& x) { return call(x[0]); },
          [=](const Arrays& x) {
            return build(to, [&](const Place& place) { return x[0].at(source(place)); });
          },
          exact()};
}

Case reshaped(const char* op, const std::string& variant, const Shape& from, const Shape& to,
              std::function<Tensor(const Tensor&)> call) {
  return {op,
          variant,
          {from},
          [call = std::move(call)](const Inputs& x) { return call(x[0]); },
          [to](const Arrays& x) {
            return Array{to, x[0].values};
          },
          exact()};
}

Place moved_axis(Place p, int from, int to) {
  std::int64_t index = p[at(from)];
  p.erase(p.begin() + from);
  p.insert(p.begin() + to, index);
  return p;
}

std::vector<Case> axes_moved() {
  return {
      moved(
          "transpose", "", {3, 5}, {5, 3}, [](const Tensor& x) { return transpose(x); },
          [](Place p) {
            return Place{p[1], p[0]};
          }),
      moved(
          "transpose", "", {}, {}, [](const Tensor& x) { return transpose(x); },
          [](Place p) { return p; }),
      moved(
          "transpose", "(2, 0, 1)", {2, 3, 4}, {4, 2, 3},
          [](const Tensor& x) {
            return transpose(x, {2, 0, 1});
          },
          [](Place p) {
            return Place{p[1], p[2], p[0]};
          }),
      moved(
          "transpose", "(-1, 0, 1)", {0, 3, 4}, {4, 0, 3},
          [](const Tensor& x) {
            return transpose(x, {-1, 0, 1});
          },
          [](Place p) {
            return Place{p[1], p[2], p[0]};
          }),
      moved(
          "transpose", "", {2, 3, 1, 2, 2}, {2, 2, 1, 3, 2},
          [](const Tensor& x) { return transpose(x); },
          [](Place p) { return Place(p.rbegin(), p.rend()); }),
      moved(
          "swapaxes", "0, -1", {2, 3, 4}, {4, 3, 2},
          [](const Tensor& x) { return swapaxes(x, 0, -1); },
          [](Place p) {
            return Place{p[2], p[1], p[0]};
          }),
      moved(
          "swapaxes", "1, 1", {3, 5}, {3, 5}, [](const Tensor& x) { return swapaxes(x, 1, 1); },
          [](Place p) { return p; }),
      moved(
          "moveaxis", "0, 2", {2, 3, 4}, {3, 4, 2},
          [](const Tensor& x) { return moveaxis(x, 0, 2); },
          [](Place p) { return moved_axis(p, 2, 0); }),
      moved(
          "moveaxis", "-1, 1", {2, 3, 1, 4}, {2, 4, 3, 1},
          [](const Tensor& x) { return moveaxis(x, -1, 1); },
          [](Place p) { return moved_axis(p, 1, 3); }),
      reshaped("expand_dims", "0", {3, 5}, {1, 3, 5},
               [](const Tensor& x) { return expand_dims(x, 0); }),
      reshaped("expand_dims", "-1", {3, 5}, {3, 5, 1},
               [](const Tensor& x) { return expand_dims(x, -1); }),
      reshaped("expand_dims", "0", {}, {1}, [](const Tensor& x) { return expand_dims(x, 0); }),
      reshaped("expand_dims", "-2", {0, 2}, {0, 1, 2},
               [](const Tensor& x) { return expand_dims(x, -2); }),
      reshaped("squeeze", "", {1, 3, 1, 2}, {3, 2}, [](const Tensor& x) { return squeeze(x); }),
      reshaped("squeeze", "-2", {1, 3, 1, 2}, {1, 3, 2},
               [](const Tensor& x) { return squeeze(x, -2); }),
      reshaped("squeeze", "{0, 2}", {1, 0, 1}, {0},
               [](const Tensor& x) {
                 return squeeze(x, {0, 2});
               }),
      reshaped("squeeze", "", {1, 1}, {}, [](const Tensor& x) { return squeeze(x); }),
      reshaped("reshape", "(2, 6)", {3, 4}, {2, 6},
               [](const Tensor& x) {
                 return reshape(x, {2, 6});
               }),
      reshaped("reshape", "(-1,)", {2, 3, 1, 2}, {12},
               [](const Tensor& x) { return reshape(x, {-1}); }),
      reshaped("reshape", "(2, -1, 3)", {4, 3}, {2, 2, 3},
               [](const Tensor& x) {
                 return reshape(x, {2, -1, 3});
               }),
      reshaped("reshape", "()", {1, 1}, {}, [](const Tensor& x) { return reshape(x, {}); }),
      reshaped("reshape", "(1, 1)", {}, {1, 1},
               [](const Tensor& x) {
                 return reshape(x, {1, 1});
               }),
      reshaped("reshape", "(0, 5)", {3, 0}, {0, 5},
               [](const Tensor& x) {
                 return reshape(x, {0, 5});
               }),
      reshaped("reshape", "(2, 1, 3, 1, 2)", {12}, {2, 1, 3, 1, 2},
               [](const Tensor& x) {
                 return reshape(x, {2, 1, 3, 1, 2});
               }),
      moved(
          "flip", "", {3, 5}, {3, 5}, [](const Tensor& x) { return flip(x); },
          [](Place p) {
            return Place{2 - p[0], 4 - p[1]};
          }),
      moved(
          "flip", "1", {2, 3, 4}, {2, 3, 4}, [](const Tensor& x) { return flip(x, 1); },
          [](Place p) {
            return Place{p[0], 2 - p[1], p[2]};
          }),
      moved(
          "flip", "{-1, 0}", {2, 0, 4}, {2, 0, 4},
          [](const Tensor& x) {
            return flip(x, {-1, 0});
          },
          [](Place p) { return p; }),
      moved(
          "flip", "", {}, {}, [](const Tensor& x) { return flip(x); }, [](Place p) { return p; }),
  };
}

std::vector<Case> rolled() {
  return {
      moved(
          "roll", "2, axis 0", {7}, {7}, [](const Tensor& x) { return roll(x, 2, 0); },
          [](Place p) { return Place{(p[0] + 5) % 7}; }),
      moved(
          "roll", "-1, axis -1", {3, 5}, {3, 5}, [](const Tensor& x) { return roll(x, -1, -1); },
          [](Place p) {
            return Place{p[0], (p[1] + 1) % 5};
          }),
      moved(
          "roll", "11, axis 1", {2, 3, 4}, {2, 3, 4},
          [](const Tensor& x) { return roll(x, 11, 1); },
          [](Place p) {
            return Place{p[0], (p[1] + 1) % 3, p[2]};
          }),
      moved(
          "roll", "-6, axis 0", {3, 5}, {3, 5}, [](const Tensor& x) { return roll(x, -6, 0); },
          [](Place p) { return p; }),
      moved(
          "roll", "4, axis 1", {3, 0}, {3, 0}, [](const Tensor& x) { return roll(x, 4, 1); },
          [](Place p) { return p; }),
      moved(
          "roll", "flat, 7", {3, 5}, {3, 5}, [](const Tensor& x) { return roll(x, 7); },
          [](Place p) {
            const std::int64_t from = (p[0] * 5 + p[1] + 8) % 15;
            return Place{from / 5, from % 5};
          }),
      moved(
          "roll", "flat, 3", {}, {}, [](const Tensor& x) { return roll(x, 3); },
          [](Place p) { return p; }),
  };
}

std::vector<Case> repeated() {
  auto same = [](Place p) { return p; };  // Array::at repeats axes of size 1
  return {
      moved(
          "broadcast_to", "(3, 5)", {5}, {3, 5},
          [](const Tensor& x) {
            return broadcast_to(x, {3, 5});
          },
          same),
      moved(
          "broadcast_to", "(2, 3, 4)", {3, 1}, {2, 3, 4},
          [](const Tensor& x) {
            return broadcast_to(x, {2, 3, 4});
          },
          same),
      moved(
          "broadcast_to", "(2, 1, 3, 1, 2)", {}, {2, 1, 3, 1, 2},
          [](const Tensor& x) {
            return broadcast_to(x, {2, 1, 3, 1, 2});
          },
          same),
      moved(
          "broadcast_to", "(0, 3)", {1, 3}, {0, 3},
          [](const Tensor& x) {
            return broadcast_to(x, {0, 3});
          },
          same),
      moved(
          "broadcast_to", "(3, 5)", {3, 5}, {3, 5},
          [](const Tensor& x) {
            return broadcast_to(x, {3, 5});
          },
          same),
      moved(
          "repeat", "3, axis 0", {3, 2}, {9, 2}, [](const Tensor& x) { return repeat(x, 3, 0); },
          [](Place p) {
            return Place{p[0] / 3, p[1]};
          }),
      moved(
          "repeat", "2, axis -1", {2, 3, 4}, {2, 3, 8},
          [](const Tensor& x) { return repeat(x, 2, -1); },
          [](Place p) {
            return Place{p[0], p[1], p[2] / 2};
          }),
      moved(
          "repeat", "0, axis 0", {3, 2}, {0, 2}, [](const Tensor& x) { return repeat(x, 0, 0); },
          same),
      moved(
          "tile", "(2, 3)", {3, 2}, {6, 6},
          [](const Tensor& x) {
            return tile(x, {2, 3});
          },
          [](Place p) {
            return Place{p[0] % 3, p[1] % 2};
          }),
      moved(
          "tile", "(2)", {3, 2}, {3, 4}, [](const Tensor& x) { return tile(x, {2}); },
          [](Place p) {
            return Place{p[0], p[1] % 2};
          }),
      moved(
          "tile", "(2, 1, 3)", {2, 2}, {2, 2, 6},
          [](const Tensor& x) {
            return tile(x, {2, 1, 3});
          },
          [](Place p) {
            return Place{p[1], p[2] % 2};
          }),
      moved(
          "tile", "(0, 2)", {3, 2}, {0, 4},
          [](const Tensor& x) {
            return tile(x, {0, 2});
          },
          same),
  };
}

std::vector<Case> windows() {
  return {
      moved(
          "diagonal", "", {3, 5}, {3}, [](const Tensor& x) { return diagonal(x); },
          [](Place p) {
            return Place{p[0], p[0]};
          }),
      moved(
          "diagonal", "2", {2, 4, 3}, {2, 1}, [](const Tensor& x) { return diagonal(x, 2); },
          [](Place p) {
            return Place{p[0], p[1], p[1] + 2};
          }),
      moved(
          "diagonal", "-1", {4, 3}, {3}, [](const Tensor& x) { return diagonal(x, -1); },
          [](Place p) {
            return Place{p[0] + 1, p[0]};
          }),
      moved(
          "diagonal", "7", {4, 3}, {0}, [](const Tensor& x) { return diagonal(x, 7); },
          [](Place p) { return p; }),
      moved(
          "sliding_window", "axis 0, 3", {7}, {5, 3},
          [](const Tensor& x) { return sliding_window(x, 0, 3); },
          [](Place p) { return Place{p[0] + p[1]}; }),
      moved(
          "sliding_window", "axis 1, 2 by 3", {2, 8, 3}, {2, 3, 3, 2},
          [](const Tensor& x) { return sliding_window(x, 1, 2, 3); },
          [](Place p) {
            return Place{p[0], 3 * p[1] + p[3], p[2]};
          }),
      moved(
          "sliding_window", "axis -1, 3", {0, 3}, {0, 1, 3},
          [](const Tensor& x) { return sliding_window(x, -1, 3); },
          [](Place p) {
            return Place{p[0], p[1] + p[2]};
          }),
      moved(
          "slice", "[1]", {3, 5}, {5}, [](const Tensor& x) { return slice(x, {1}); },
          [](Place p) {
            return Place{1, p[0]};
          }),
      moved(
          "slice", "[1, -2]", {3, 5}, {},
          [](const Tensor& x) {
            return slice(x, {1, -2});
          },
          [](Place) {
            return Place{1, 3};
          }),
      moved(
          "slice", "[:, 1:4:2]", {3, 5}, {3, 2},
          [](const Tensor& x) {
            return slice(x, {all, range(1, 4, 2)});
          },
          [](Place p) {
            return Place{p[0], 1 + 2 * p[1]};
          }),
      moved(
          "slice", "[::-1, 3::-2]", {3, 5}, {3, 2},
          [](const Tensor& x) {
            return slice(x, {Range{.step = -1}, Range{.start = 3, .step = -2}});
          },
          [](Place p) {
            return Place{2 - p[0], 3 - 2 * p[1]};
          }),
      moved(
          "slice", "[-2:, 0, ..., :2]", {4, 2, 3}, {2, 2},
          [](const Tensor& x) {
            return slice(x, {Range{.start = -2}, 0, range(2)});
          },
          [](Place p) {
            return Place{2 + p[0], 0, p[1]};
          }),
      moved(
          "slice", "[2:1]", {3, 5}, {0, 5}, [](const Tensor& x) { return slice(x, {range(2, 1)}); },
          [](Place p) { return p; }),
      moved(
          "slice", "[:100]", {0, 3}, {0, 3}, [](const Tensor& x) { return slice(x, {range(100)}); },
          [](Place p) { return p; }),
      moved(
          "slice", "[]", {2, 1, 3, 1, 2}, {2, 1, 3, 1, 2},
          [](const Tensor& x) { return slice(x, {}); }, [](Place p) { return p; }),
      moved(
          "unstack", "axis 1, part 2", {2, 3, 4}, {2, 4},
          [](const Tensor& x) { return unstack(x, 1)[2]; },
          [](Place p) {
            return Place{p[0], 2, p[1]};
          }),
      moved(
          "unstack", "axis -1, two parts", {3, 2}, {6},
          [](const Tensor& x) {
            std::vector<Tensor> y = unstack(x, -1);
            return concatenate({y[1], y[0]});
          },
          [](Place p) {
            return Place{p[0] % 3, p[0] < 3 ? 1 : 0};
          }),
      moved(
          "split", "3 parts, axis 1, part 1", {2, 6}, {2, 2},
          [](const Tensor& x) { return split(x, 3, 1)[1]; },
          [](Place p) {
            return Place{p[0], 2 + p[1]};
          }),
      moved(
          "split", "before 1 and 4, last part", {5, 2}, {1, 2},
          [](const Tensor& x) {
            return split(x, std::vector<std::int64_t>{1, 4})[2];
          },
          [](Place p) {
            return Place{p[0] + 4, p[1]};
          }),
      moved(
          "split", "before 2 and 2, empty part", {5, 2}, {0, 2},
          [](const Tensor& x) {
            return split(x, std::vector<std::int64_t>{2, 2})[1];
          },
          [](Place p) { return p; }),
  };
}

}  // namespace

std::vector<Case> shape_table() {
  std::vector<Case> cases = axes_moved();
  for (auto* group : {rolled, repeated, windows})
    for (Case& c : group()) cases.push_back(std::move(c));
  return cases;
}

std::vector<Case> large_shape_table() {
  return {
      moved(
          "transpose", "", {331, 303}, {303, 331},
          [](const Tensor& x) { return transpose(x).copy(); },
          [](Place p) {
            return Place{p[1], p[0]};
          }),
      moved(
          "slice", "[:, ::-3]", {3, 33345}, {3, 11115},
          [](const Tensor& x) {
            return slice(x, {all, Range{.step = -3}});
          },
          [](Place p) {
            return Place{p[0], 33344 - 3 * p[1]};
          }),
      moved(
          "sliding_window", "axis 0, 5", {25003}, {24999, 5},
          [](const Tensor& x) { return sliding_window(x, 0, 5) * 1; },
          [](Place p) { return Place{p[0] + p[1]}; }),
      moved(
          "repeat", "5, axis 0", {20003}, {100015}, [](const Tensor& x) { return repeat(x, 5, 0); },
          [](Place p) { return Place{p[0] / 5}; }),
  };
}

}  // namespace keratin::test
