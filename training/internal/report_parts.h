// The drawings of a report (training/report.h) and what the page needs to know of its curves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <keratin/training/report.h>

namespace keratin::drawing {

struct Point {
  double epoch, value;
};

/// The epoch with the lowest val_loss, or else loss.
struct Best {
  std::string name;
  Point point;
};

/// A log's values where they belong: epochs count from 1, as on the screen.
std::vector<Point> points_of(const History& history, const std::string& name);
std::optional<Best> best_of(const History& history);
/// What was measured, without val_: loss first.
std::vector<std::string> quantities(const History& history);

/// Training and validation over the epochs.
std::string curve_svg(const History& history, const std::string& name,
                      const std::optional<Best>& best);

/// From nearly white to dark blue, steadily darker.
std::string shade(double share);

/// One sequence and its weights, in at most about so many cells.
std::string draw_attention(const AttentionExample& example, std::int64_t cells);

}  // namespace keratin::drawing
