// The table's ops that rearrange, look up or leave alone: each result element is one input element.

#include <cmath>

#include "op_table.h"

namespace keratin::test {
namespace {

using Call = std::function<Tensor(const Inputs&)>;
using Reference = std::function<Array(const Arrays&)>;

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

// Several tensors side by side along an axis.
Case joined(const std::vector<Shape>& shapes, int axis) {
  Shape to = shapes[0];
  int a = axis < 0 ? axis + to.rank() : axis;
  to[a] = 0;
  for (const Shape& shape : shapes) to[a] += shape[a];
  return {"concatenate",
          "axis " + std::to_string(axis),
          shapes,
          [axis](const Inputs& x) { return concatenate(x, axis); },
          [=](const Arrays& x) {
            return build(to, [&](Place p) {
              std::size_t part = 0;
              while (p[at(a)] >= x[part].shape[a]) p[at(a)] -= x[part++].shape[a];
              return x[part].at(p);
            });
          },
          exact()};
}

Case stacked(const Shape& shape, std::size_t count, int axis) {
  int a = axis < 0 ? axis + shape.rank() + 1 : axis;
  Shape to = shape.inserted(a, static_cast<std::int64_t>(count));
  return {"stack",
          "axis " + std::to_string(axis),
          std::vector<Shape>(count, shape),
          [axis](const Inputs& x) { return stack(x, axis); },
          [=](const Arrays& x) {
            return build(to, [&](Place p) {
              auto part = static_cast<std::size_t>(p[at(a)]);
              p.erase(p.begin() + a);
              return x[part].at(p);
            });
          },
          exact()};
}

Case padded(const Shape& from, const std::vector<std::array<std::int64_t, 2>>& widths,
            double constant) {
  Shape to = from;
  for (int axis = 0; axis < to.rank(); ++axis)
    to[axis] += widths[at(axis)][0] + widths[at(axis)][1];
  return {"pad",
          "",
          {from},
          [=](const Inputs& x) { return pad(x[0], widths, constant); },
          [=](const Arrays& x) {
            return build(to, [&](Place p) {
              for (int axis = 0; axis < from.rank(); ++axis) {
                p[at(axis)] -= widths[at(axis)][0];
                if (p[at(axis)] < 0 || p[at(axis)] >= from[axis])
                  return static_cast<Real>(constant);
              }
              return x[0].at(p);
            });
          },
          {.whole = constant == std::trunc(constant)}};
}

Case updated(const Shape& shape, const std::vector<std::int64_t>& start, const Shape& block) {
  return {"slice_update",
          "",
          {shape, block},
          [=](const Inputs& x) { return slice_update(x[0], start, x[1]); },
          [=](const Arrays& x) {
            return build(shape, [&](const Place& p) {
              Place inside = p;
              for (int axis = 0; axis < shape.rank(); ++axis) {
                inside[at(axis)] -= start[at(axis)];
                if (inside[at(axis)] < 0 || inside[at(axis)] >= block[axis]) return x[0].at(p);
              }
              return x[1].at(inside);
            });
          },
          exact()};
}

// --- by index: the second input holds indices -n..n-1 into an axis of n

Traits indexing(std::int64_t n) {
  auto bound = static_cast<double>(n);
  return {.domains = {{}, {-bound, bound, int32}}, .whole = true};
}
std::int64_t counted(Real index, std::int64_t n) {
  auto i = static_cast<std::int64_t>(index);
  return i < 0 ? i + n : i;
}

Case taken(const Shape& from, const Shape& indices, int axis) {
  int a = axis < 0 ? axis + from.rank() : axis;
  Shape to = from.without(a);
  for (int i = 0; i < indices.rank(); ++i) to.insert(a + i, indices[i]);
  return {"take",
          "axis " + std::to_string(axis),
          {from, indices},
          [axis](const Inputs& x) { return take(x[0], x[1], axis); },
          [=](const Arrays& x) {
            return build(to, [&](Place p) {
              auto first = p.begin() + a, last = first + indices.rank();
              std::int64_t index = counted(x[1].at(Place(first, last)), from[a]);
              p.insert(p.erase(first, last), index);
              return x[0].at(p);
            });
          },
          indexing(from[a])};
}

Case taken_along(const Shape& from, const Shape& indices, int axis) {
  int a = axis < 0 ? axis + from.rank() : axis;
  Shape to = broadcast_shapes(from.with(a, 1), indices, "reference");
  return {"take_along_axis",
          "axis " + std::to_string(axis),
          {from, indices},
          [axis](const Inputs& x) { return take_along_axis(x[0], x[1], axis); },
          [=](const Arrays& x) {
            return build(to, [&](Place p) {
              p[at(a)] = counted(x[1].at(p), from[a]);
              return x[0].at(p);
            });
          },
          indexing(from[a])};
}

std::vector<Case> by_index() {
  Traits classes{.domains = {{-1, 6, int32}}, .differentiable = false};
  return {
      taken({7}, {3}, 0),
      taken({3, 5}, {4}, 1),
      taken({3, 5}, {}, 0),
      taken({2, 3, 4}, {2, 2}, 1),
      taken({2, 1, 3, 2}, {5}, -2),
      taken({3, 5}, {0}, 0),
      taken({3, 0}, {2}, 0),
      {"take",
       "flat",
       {{3, 5}, {2, 4}},
       [](const Inputs& x) { return take(x[0], x[1]); },
       [](const Arrays& x) {
         return build({2, 4}, [&](const Place& p) {
           return x[0].values[at(static_cast<int>(counted(x[1].at(p), 15)))];
         });
       },
       indexing(15)},
      taken_along({3, 5}, {3, 2}, 1),
      taken_along({3, 5}, {1, 5}, 0),
      taken_along({2, 3, 4}, {2, 1, 4}, 1),
      taken_along({3, 5}, {3, 0}, -1),
      {"one_hot",
       "5 classes",
       {{2, 3}},
       [](const Inputs& x) { return one_hot(x[0], 5); },
       [](const Arrays& x) {
         return build({2, 3, 5}, [&](const Place& p) -> Real {
           return static_cast<Real>(p[2]) == x[0].at({p[0], p[1]});
         });
       },
       classes},
      {"one_hot",
       "3 classes",
       {{}},
       [](const Inputs& x) { return one_hot(x[0], 3, float64); },
       [](const Arrays& x) {
         return build(
             {3}, [&](const Place& p) -> Real { return static_cast<Real>(p[0]) == x[0].at({}); });
       },
       classes},
  };
}

// --- what the tape sees

std::vector<Case> tape_ops() {
  Reference first = [](const Arrays& x) { return x[0]; };
  Reference product = [](const Arrays& x) {
    return build(x[0].shape, [&](const Place& p) { return x[0].at(p) * x[1].at(p); });
  };
  Call own_product = [](const Inputs& x) {
    return custom_gradient(
        x, [](const Inputs& v) { return v[0] * v[1]; },
        [x](const Tensor& g) {
          return Inputs{g * x[1], g * x[0]};
        });
  };
  return {
      {"astype",
       "float64",
       {{3, 5}},
       [](const Inputs& x) { return x[0].astype(float64); },
       first,
       {}},
      {"astype",
       "int32",
       {{3, 5}},
       [](const Inputs& x) { return astype(x[0], int32); },
       [](const Arrays& x) {
         return build({3, 5}, [&](const Place& p) { return std::trunc(x[0].at(p)); });
       },
       {.differentiable = false}},
      {"astype",
       "bool",
       {{7}},
       [](const Inputs& x) { return astype(x[0], boolean); },
       [](const Arrays& x) {
         return build({7}, [&](const Place& p) -> Real { return x[0].at(p) != 0; });
       },
       {.domains = {{-2, 3, int32}}, .differentiable = false}},
      {"stop_gradient",
       "",
       {{3, 5}},
       [](const Inputs& x) { return stop_gradient(x[0]); },
       first,
       {.differentiable = false, .whole = true}},
      {"custom_gradient",
       "one input",
       {{3, 5}},
       [](const Inputs& x) { return custom_gradient(x[0], [](const Tensor& g) { return g * 1; }); },
       first,
       {}},
      {"custom_gradient", "", {{3, 5}, {3, 5}}, own_product, product, {}},
      {"custom_gradient", "", {{0}, {0}}, own_product, product, {}},
  };
}

}  // namespace

std::vector<Case> shape_table() {
  std::vector<Case> cases = axes_moved();
  for (auto* group : {repeated, windows, by_index, tape_ops})
    for (Case& c : group()) cases.push_back(std::move(c));
  for (auto [shapes, axis] :
       std::vector<std::pair<std::vector<Shape>, int>>{{{{3, 5}, {2, 5}}, 0},
                                                       {{{3, 5}, {3, 1}, {3, 2}}, -1},
                                                       {{{7}}, 0},
                                                       {{{2, 3, 4}, {2, 0, 4}}, 1},
                                                       {{{0}, {0}}, 0}})
    cases.push_back(joined(shapes, axis));
  cases.push_back(stacked({}, 3, 0));
  cases.push_back(stacked({3, 5}, 2, 0));
  cases.push_back(stacked({3, 5}, 2, -1));
  cases.push_back(stacked({2, 0}, 3, 1));
  cases.push_back(padded({3, 5}, {{1, 2}, {0, 1}}, 0));
  cases.push_back(padded({2, 3, 1}, {{0, 0}, {1, 0}, {2, 2}}, -1.5));
  cases.push_back(padded({}, {}, 2));
  cases.push_back(padded({0, 2}, {{1, 1}, {0, 1}}, 0.5));
  cases.push_back(updated({3, 5}, {1, 2}, {2, 3}));
  cases.push_back(updated({7}, {0}, {7}));
  cases.push_back(updated({2, 3, 4}, {1, 0, 2}, {1, 3, 0}));
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
      joined({{331, 150}, {331, 153}}, 1),
      stacked({33345}, 3, 1),
      padded({331, 303}, {{1, 2}, {3, 4}}, 0),
      taken({1009, 17}, {6001}, 0),
      taken({331, 303}, {331}, 1),
      taken_along({331, 303}, {331, 300}, 1),
      moved(
          "repeat", "5, axis 0", {20003}, {100015}, [](const Tensor& x) { return repeat(x, 5, 0); },
          [](Place p) { return Place{p[0] / 5}; }),
  };
}

}  // namespace keratin::test
