// The table's ops that join, fill, look up by index, or are there for the tape.

#include <algorithm>
#include <cmath>

#include "op_table.h"

namespace keratin::test {
namespace {

using Call = std::function<Tensor(const Inputs&)>;
using Reference = std::function<Array(const Arrays&)>;

Traits exact() { return {.whole = true}; }

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

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

Case triangle(const std::string& op, const Shape& shape, int k) {
  const bool lower = op == "tril";
  return {op,
          std::to_string(k),
          {shape},
          [=](const Inputs& x) { return lower ? tril(x[0], k) : triu(x[0], k); },
          [=](const Arrays& x) {
            return build(shape, [&](const Place& p) -> Real {
              const std::int64_t row = p[p.size() - 2], column = p.back();
              return (lower ? column <= row + k : column >= row + k) ? x[0].at(p) : 0;
            });
          },
          exact()};
}

// --- by size

// The places of the k largest entries of each row, each found by looking for what is left.
Array largest(const Array& x, std::int64_t k, bool places) {
  const std::int64_t n = x.shape[-1];
  Array y{x.shape.with(-1, k), {}};
  for (std::size_t row = 0; k > 0 && row < x.values.size(); row += at(static_cast<int>(n))) {
    std::vector<Real> left(x.values.begin() + static_cast<std::ptrdiff_t>(row),
                           x.values.begin() + static_cast<std::ptrdiff_t>(row) + n);
    for (std::int64_t i = 0; i < k; ++i) {
      auto top = std::max_element(left.begin(), left.end());
      y.values.push_back(places ? static_cast<Real>(top - left.begin()) : *top);
      *top = -INFINITY;
    }
  }
  return y;
}

Case top_values(const Shape& shape, std::int64_t k) {
  return {"top_k",
          "values, " + std::to_string(k),
          {shape},
          [k](const Inputs& x) { return top_k(x[0], k)[0]; },
          [k](const Arrays& x) { return largest(x[0], k, false); },
          exact()};
}

// Of few different numbers, so that some are equal.
Case top_places(const Shape& shape, std::int64_t k) {
  return {"top_k",
          "indices, " + std::to_string(k),
          {shape},
          [k](const Inputs& x) { return top_k(x[0], k)[1]; },
          [k](const Arrays& x) { return largest(x[0], k, true); },
          {.domains = {{-2, 2, int32}}, .differentiable = false}};
}

Case searched(std::int64_t n, const Shape& values, const std::string& side, Domain domain) {
  return {"searchsorted",
          side + " in " + std::string(name_of(domain.dtype)),
          {{n}, values},
          [side](const Inputs& x) { return searchsorted(sort(x[0]), x[1], side); },
          [=](const Arrays& x) {
            return build(values, [&](const Place& p) {
              return static_cast<Real>(
                  std::count_if(x[0].values.begin(), x[0].values.end(), [&](Real entry) {
                    return side == "left" ? entry < x[1].at(p) : entry <= x[1].at(p);
                  }));
            });
          },
          {.domains = {domain}, .differentiable = false}};
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

std::vector<Case> parts_table() {
  std::vector<Case> cases = by_index();
  for (Case& c : tape_ops()) cases.push_back(std::move(c));
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
  for (const char* op : {"tril", "triu"}) {
    for (int k : {0, 2, -1, 7, -7}) cases.push_back(triangle(op, {3, 5}, k));
    cases.push_back(triangle(op, {2, 1, 4, 3}, 1));
    cases.push_back(triangle(op, {2, 0, 3}, 0));
    cases.push_back(triangle(op, {3, 5}, INT32_MIN));
  }
  for (auto [shape, k] : std::vector<std::pair<Shape, std::int64_t>>{{{7}, 3},
                                                                     {{3, 5}, 1},
                                                                     {{3, 5}, 5},
                                                                     {{2, 3, 4}, 2},
                                                                     {{3, 5}, 0},
                                                                     {{0, 4}, 2},
                                                                     {{2, 0}, 0}}) {
    cases.push_back(top_values(shape, k));
    cases.push_back(top_places(shape, k));
  }
  for (const char* side : {"left", "right"}) {
    for (std::int64_t n : {0, 1, 2, 7, 8, 9}) cases.push_back(searched(n, {3, 5}, side, {}));
    cases.push_back(searched(13, {7}, side, {-3, 4, int32}));
    cases.push_back(searched(16, {}, side, {-3, 4, int32}));
    cases.push_back(searched(5, {2, 0}, side, {}));
  }
  return cases;
}

std::vector<Case> large_parts_table() {
  return {
      joined({{331, 150}, {331, 153}}, 1),
      stacked({33345}, 3, 1),
      padded({331, 303}, {{1, 2}, {3, 4}}, 0),
      taken({1009, 17}, {6001}, 0),
      taken({331, 303}, {331}, 1),
      taken_along({331, 303}, {331, 300}, 1),
      triangle("tril", {331, 303}, -5),
      top_values({331, 303}, 7),
      searched(10007, {331, 31}, "right", {}),
  };
}

}  // namespace keratin::test
