#include <doctest/doctest.h>

#include <cmath>

#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("layers");

namespace keratin {
namespace {

/// All rows of tags that there are, their scores summed and searched.
struct AllPaths {
  double log_sum = 0, best_score = -INFINITY;
  std::vector<int> best;

  AllPaths(const Tensor& scores, const Tensor& transitions, int length) {  // (time, tags)
    const int tags = static_cast<int>(scores.size(1));
    std::vector<int> path(static_cast<std::size_t>(length), 0);
    double sum = 0;
    for (;;) {
      const double score = score_of(scores, transitions, path);
      sum += std::exp(score);
      if (score > best_score) best_score = score, best = path;
      std::size_t i = 0;
      while (i < path.size() && ++path[i] == tags) path[i++] = 0;
      if (i == path.size()) break;
    }
    log_sum = std::log(sum);
  }

  static double score_of(const Tensor& scores, const Tensor& transitions,
                         const std::vector<int>& path) {
    double score = 0;
    for (std::size_t t = 0; t < path.size(); ++t) {
      score += scores.item(static_cast<std::int64_t>(t), path[t]);
      if (t > 0) score += transitions.item(path[t - 1], path[t]);
    }
    return score;
  }
};

struct Rows {
  Tensor scores = Random(1).normal({3, 5, 3}, 0, 1, float64);
  Tensor tags = tensor({{0, 1, 2, 2, 0}, {2, 2, 1, 0, 0}, {1, 0, 0, 0, 0}}).astype(int32);
  Tensor mask = tensor({{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}, {1, 0, 0, 0, 0}}).astype(boolean);
  std::vector<int> lengths{5, 3, 1};
  Tensor transitions = Random(2).normal({3, 3}, 0, 1, float64);
  ConditionalRandomField field;

  Rows() {
    field.set_dtype(float64);
    field.ensure_built(scores.shape());
    field.set_weights({transitions});
  }
};

}  // namespace

TEST_CASE("a conditional random field sums over all paths and finds the best of them") {
  Rows rows;
  const Tensor likelihood = rows.field.log_likelihood(rows.scores, rows.tags, rows.mask);
  const Tensor found = rows.field(rows.scores, {.mask = rows.mask});
  CHECK(found.shape() == Shape{3, 5});
  for (int row = 0; row < 3; ++row) {
    CAPTURE(row);
    const int length = rows.lengths[static_cast<std::size_t>(row)];
    const AllPaths all_paths(rows.scores[row], rows.transitions, length);
    std::vector<int> given, best;
    for (int t = 0; t < length; ++t) {
      given.push_back(static_cast<int>(rows.tags.item(row, t)));
      best.push_back(static_cast<int>(found.item(row, t)));
    }
    CHECK(best == all_paths.best);
    CHECK(likelihood.item(row) ==
          doctest::Approx(AllPaths::score_of(rows.scores[row], rows.transitions, given) -
                          all_paths.log_sum)
              .epsilon(1e-12));
    for (int t = length; t < 5; ++t) CHECK(found.item(row, t) == found.item(row, length - 1));
  }
}

TEST_CASE("the likelihood of a conditional random field has the right gradient") {
  Rows rows;
  auto likelihood = [&](const Tensors& x) {
    return rows.field.log_likelihood(x[0], rows.tags, rows.mask);
  };
  CHECK(gradcheck_with_weights(rows.field, likelihood, {rows.scores}));
}

TEST_CASE("what lies behind a row changes nothing in a conditional random field, NaN included") {
  Rows rows;
  const Tensor spoilt = where(expand_dims(rows.mask, 2), rows.scores, std::nan(""));
  Tensor x = spoilt.copy();
  GradientTape tape;
  tape.watch(x);
  const Tensor value = rows.field.log_likelihood(x, where(rows.mask, rows.tags, -7), rows.mask);
  CHECK(value.to_vector<double>() ==
        rows.field.log_likelihood(rows.scores, rows.tags, rows.mask).to_vector<double>());
  for (double g : tape.gradient(sum(value), x).to_vector<double>()) CHECK(std::isfinite(g));
  CHECK(all(rows.field(spoilt, {.mask = rows.mask}) == rows.field(rows.scores, {.mask = rows.mask}))
            .item() == 1);
}

TEST_CASE("without transitions each step of a conditional random field stands for itself") {
  Rows rows;
  ConditionalRandomField field;
  field.set_dtype(float64);
  CHECK(all(field(rows.scores) == argmax(rows.scores, 2)).item() == 1);
  const Tensor each = sum(log_softmax(rows.scores) * one_hot(rows.tags, 3, float64), {1, 2});
  CHECK(max(abs(field.log_likelihood(rows.scores, rows.tags) - each)).item() < 1e-12);
}

TEST_CASE("a row without steps is certain for a conditional random field") {
  Rows rows;
  const Tensor none = logical_and(tensor({{0}, {1}, {1}}) != 0, rows.mask);
  const Tensor all_rows = rows.field.log_likelihood(rows.scores, rows.tags, rows.mask);
  const Tensor two_rows = rows.field.log_likelihood(rows.scores, rows.tags, none);
  CHECK(two_rows.item(0) == 0);
  CHECK(two_rows.item(1) == all_rows.item(1));
}

TEST_CASE("mistakes with a conditional random field are told") {
  Rows rows;
  CHECK(error_of([&] {
          rows.field.log_likelihood(rows.scores, slice(rows.tags, {0}));
        }).find("expected tags (3, 5) for scores (3, 5, 3), got (5,)") != std::string::npos);
  CHECK(error_of([&] {
          rows.field.log_likelihood(rows.scores, rows.tags, ones({3, 4}));
        }).find("expected a mask (3, 5), got (3, 4)") != std::string::npos);
  CHECK(error_of([&] {
          rows.field.log_likelihood(rows.scores, rows.tags + 1, rows.mask).to_vector<double>();
        }).find(default_device().is_cpu() ? "expected ids in 0..2, got 0 to 3" : "tags: index 3") !=
        std::string::npos);
  CHECK(error_of([&] {
          rows.field(ones({2, 0, 3}, float64));
        }).find("expected at least one step, got scores (2, 0, 3)") != std::string::npos);
  CHECK(error_of([] {
          ConditionalRandomField()(ones({2, 3}));
        }).find("(ConditionalRandomField): expected scores (batch, time, tags), got (None, 3)") !=
        std::string::npos);
}

}  // namespace keratin
