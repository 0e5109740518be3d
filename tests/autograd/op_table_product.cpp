// The table's products.

#include <cmath>

#include "op_table.h"

namespace keratin::test {
namespace {

// Another layout may be multiplied in another order, so its bits may differ.
Traits product_traits(double floor) { return {.ulps = 4, .floor = floor, .bits = false}; }

std::string letters(int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>('a' + first + i);
  return text;
}

/// Sum over every letter that the output lacks, of the products: Einstein's rule taken literally.
Array einstein(const std::string& left, const std::string& right, const std::string& output,
               const Arrays& x) {
  std::string summed;
  std::vector<std::int64_t> extent(128, 1);
  auto meet = [&](const std::string& labels, const Shape& shape) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      auto c = static_cast<std::size_t>(labels[i]);
      if ((output + summed).find(labels[i]) == std::string::npos) summed += labels[i];
      // A broadcast axis has the larger size.
      if (extent[c] == 1) extent[c] = shape[static_cast<int>(i)];
    }
  };
  meet(left, x[0].shape);
  if (x.size() > 1) meet(right, x[1].shape);
  auto shape_of = [&](const std::string& labels) {
    Shape shape;
    for (char c : labels) shape.push_back(extent[static_cast<std::size_t>(c)]);
    return shape;
  };
  std::vector<std::int64_t> index(128, 0);
  auto set = [&](const std::string& labels, const Place& place) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      index[static_cast<std::size_t>(labels[i])] = place[i];
  };
  auto entry = [&](const Array& array, const std::string& labels) {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      std::int64_t size = array.shape[static_cast<int>(i)];
      offset = offset * size + (size == 1 ? 0 : index[static_cast<std::size_t>(labels[i])]);
    }
    return array.values[static_cast<std::size_t>(offset)];
  };
  return build(shape_of(output), [&](const Place& place) {
    set(output, place);
    Real sum = 0;
    build(shape_of(summed), [&](const Place& inner) {
      set(summed, inner);
      return sum += entry(x[0], left) * (x.size() > 1 ? entry(x[1], right) : 1);
    });
    return sum;
  });
}

Case dot_case(const Shape& a, const Shape& b) {
  // (..., k) . (..., k, n): k is z, and every other axis is an output.
  std::string left = letters(0, a.rank()), right = letters(8, b.rank());
  if (a.rank() > 0 && b.rank() > 0)
    left.back() = right[right.size() - (b.rank() == 1 ? 1 : 2)] = 'z';
  std::string output;
  for (char c : left + right)
    if (c != 'z') output += c;
  return {"dot",
          "",
          {a, b},
          [](const Inputs& x) { return dot(x[0], x[1]); },
          [=](const Arrays& x) { return einstein(left, right, output, x); },
          product_traits(4)};
}

Case linear_case(const Shape& a, const Shape& b) {
  std::string left = letters(0, a.rank());
  left.back() = 'z';
  std::string output = left.substr(0, left.size() - 1) + "n";
  return {"linear",
          "",
          {a, b, {b[1]}},
          [](const Inputs& x) { return linear(x[0], x[1], x[2]); },
          [=](const Arrays& x) {
            Array product = einstein(left, "zn", output, {x[0], x[1]});
            for (std::size_t i = 0; i < product.values.size(); ++i)
              product.values[i] += x[2].values[i % x[2].values.size()];
            return product;
          },
          product_traits(5)};
}

Case matmul_case(const Shape& a, const Shape& b) {
  int batch = std::max({a.rank() - 2, b.rank() - 2, 0});
  std::string shared = letters(0, batch);
  auto tail = [&](int rank, const std::string& matrix, const std::string& vector) {
    return rank == 1 ? vector
                     : shared.substr(static_cast<std::size_t>(batch - (rank - 2))) + matrix;
  };
  std::string output = shared + (a.rank() > 1 ? "m" : "") + (b.rank() > 1 ? "n" : "");
  std::string left = tail(a.rank(), "mz", "z"), right = tail(b.rank(), "zn", "z");
  return {"matmul",
          "",
          {a, b},
          [](const Inputs& x) { return matmul(x[0], x[1]); },
          [=](const Arrays& x) { return einstein(left, right, output, x); },
          product_traits(4)};
}

Case einsum_case(const std::string& equation, const std::vector<Shape>& shapes) {
  auto arrow = equation.find("->"), comma = equation.find(',');
  std::string left = equation.substr(0, std::min(arrow, comma));
  std::string right = shapes.size() < 2 ? "" : equation.substr(comma + 1, arrow - comma - 1);
  std::string output = equation.substr(arrow + 2);
  return {"einsum",
          equation,
          shapes,
          [equation](const Inputs& x) { return einsum(equation, x); },
          [=](const Arrays& x) { return einstein(left, right, output, x); },
          product_traits(4)};
}

}  // namespace

std::vector<Case> product_table() {
  std::vector<Case> cases;
  for (auto [a, b] : std::vector<std::pair<Shape, Shape>>{{{7}, {7}},
                                                          {{3, 5}, {5, 2}},
                                                          {{1, 1}, {1, 1}},
                                                          {{1, 5}, {5, 1}},
                                                          {{5, 1}, {1, 3}},
                                                          {{3, 5}, {5}},
                                                          {{5}, {5, 3}},
                                                          {{2, 3, 4}, {4, 5}},
                                                          {{2, 3, 4}, {3, 4, 2}},
                                                          {{2, 1, 3, 2}, {2, 2, 3}},
                                                          {{2, 1, 3, 1, 2}, {2, 3}},
                                                          {{}, {3}},
                                                          {{2, 3}, {}},
                                                          {{17, 19}, {19, 16}},
                                                          {{3, 0}, {0, 2}},
                                                          {{0, 3}, {3, 2}},
                                                          {{2, 3}, {3, 0}}})
    cases.push_back(dot_case(a, b));
  for (auto [a, b] : std::vector<std::pair<Shape, Shape>>{{{5}, {5, 3}},
                                                          {{3, 5}, {5, 2}},
                                                          {{1, 1}, {1, 1}},
                                                          {{2, 3, 4}, {4, 5}},
                                                          {{2, 1, 3, 2}, {2, 3}},
                                                          {{17, 19}, {19, 16}},
                                                          {{3, 0}, {0, 2}},
                                                          {{0, 3}, {3, 2}},
                                                          {{2, 3}, {3, 0}}})
    cases.push_back(linear_case(a, b));
  for (auto [a, b] : std::vector<std::pair<Shape, Shape>>{{{7}, {7}},
                                                          {{3, 5}, {5, 2}},
                                                          {{1, 1}, {1, 1}},
                                                          {{3, 5}, {5}},
                                                          {{5}, {5, 3}},
                                                          {{2, 3, 4}, {4, 5}},
                                                          {{3, 4}, {2, 4, 5}},
                                                          {{2, 3, 4}, {2, 4, 5}},
                                                          {{1, 3, 4}, {2, 4, 1}},
                                                          {{3, 1, 2, 3}, {2, 3, 2}},
                                                          {{2, 1, 1, 2, 3}, {3, 1, 3, 2}},
                                                          {{2, 3, 4}, {4}},
                                                          {{4}, {2, 4, 3}},
                                                          {{0, 2, 3}, {3, 2}},
                                                          {{2, 3, 0}, {2, 0, 2}},
                                                          {{0, 2, 3}, {1, 3, 2}}})
    cases.push_back(matmul_case(a, b));
  for (auto [equation, shapes] : std::vector<std::pair<std::string, std::vector<Shape>>>{
           {"ij->ji", {{3, 5}}},
           {"ij->i", {{3, 5}}},
           {"ij->", {{3, 5}}},
           {"abc->cab", {{2, 3, 4}}},
           {"i,j->ij", {{3}, {4}}},
           {"i,i->", {{7}, {7}}},
           {"ij,ij->", {{3, 5}, {3, 5}}},
           {"ij,ij->ij", {{3, 5}, {3, 5}}},
           {"ij,jk->ik", {{3, 5}, {5, 2}}},
           {"ij,kj->ki", {{3, 5}, {2, 5}}},
           {"bij,bjk->bik", {{2, 3, 4}, {2, 4, 5}}},
           {"abc,cd->abd", {{2, 3, 4}, {4, 2}}},
           {"btnh,bsnh->bnts", {{2, 3, 1, 4}, {2, 5, 1, 4}}},
           {"bnts,bsnh->btnh", {{2, 2, 3, 1}, {2, 1, 2, 2}}},
           {"ij,k->jk", {{3, 5}, {2}}},
           {"ij,jk->k", {{3, 5}, {5, 2}}},
           {",i->i", {{}, {3}}},
           {"abcde,ea->dcb", {{2, 1, 3, 1, 2}, {2, 2}}},
           {"ij,jk->ik", {{3, 0}, {0, 2}}},
           {"ij,jk->ik", {{0, 3}, {3, 2}}}})
    cases.push_back(einsum_case(equation, shapes));
  return cases;
}

std::vector<Case> large_product_table() {
  std::vector<Case> cases{dot_case({211, 223}, {223, 227}),
                          dot_case({100001}, {100001}),
                          dot_case({33345, 3}, {3, 1}),
                          dot_case({3, 33345}, {33345, 2}),
                          matmul_case({61, 31, 47}, {47, 3}),
                          matmul_case({61, 31, 47}, {61, 47, 5}),
                          einsum_case("btnh,bsnh->bnts", {{3, 31, 4, 37}, {3, 29, 4, 37}})};
  for (Case& c : cases)
    if (!c.traits.bits) c.traits.ulps = 16, c.traits.floor = 256;
  return cases;
}

}  // namespace keratin::test
