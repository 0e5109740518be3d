// How a range goes over an axis.
#pragma once

#include <algorithm>
#include <cstdint>

#include <keratin/autograd/ops.h>
#include <keratin/core/internal/message.h>

namespace keratin {

/// `count` elements of an axis, from `start` on, `step` apart.
struct Walk {
  std::int64_t start = 0, count = 0, step = 1;
};

/// Python's rule: a limit counts from the end where it is negative, and then stays where a walk in
/// this direction can be. Throws std::invalid_argument for a step of 0.
inline Walk walk_of(const Range& range, std::int64_t extent) {
  if (range.step == 0) fail("slice: the step is 0");
  const bool forward = range.step > 0;
  const std::int64_t lowest = forward ? 0 : -1, highest = forward ? extent : extent - 1;
  auto bounded = [&](std::int64_t limit, std::int64_t open) {
    if (limit == Range::open) return open;
    return std::clamp(limit < 0 ? limit + extent : limit, lowest, highest);
  };
  const std::int64_t start = bounded(range.start, forward ? lowest : highest),
                     stop = bounded(range.stop, forward ? highest : lowest),
                     distance = forward ? stop - start : start - stop;
  const auto step = static_cast<std::uint64_t>(range.step), pace = forward ? step : -step;
  if (distance <= 0) return {start, 0, 1};
  const auto count =
      static_cast<std::int64_t>((static_cast<std::uint64_t>(distance) - 1) / pace) + 1;
  return {start, count, count > 1 ? range.step : 1};
}

}  // namespace keratin
