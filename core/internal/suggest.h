// Errors for a name nobody knows: what is known, and what was probably meant.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <keratin/core/internal/message.h>

namespace keratin {

/// The fewest letters to insert, delete, replace or swap with a neighbour to turn `a` into `b`.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows of the usual table (optimal string alignment): one for each prefix of `a`.
  std::vector<std::size_t> before, last, row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

/// The known name closest to `word`, or an empty one when none is close.
inline std::string closest_name(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const std::string& name : known) {
    std::size_t distance = edit_distance(word, name);
    if (distance < least) least = distance, best = name;
  }
  return best;
}

/// ` Did you mean "adam"?`, or nothing when no name is close.
inline std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const std::string guess = closest_name(word, known);
  return guess.empty() ? "" : fmt::format(" Did you mean \"{}\"?", guess);
}

/// Throws `compile: unknown optimizer "adamm". Known: adam, sgd. Did you mean "adam"?`, given
/// "compile: unknown optimizer", "adamm" and {"adam", "sgd"}.
[[noreturn]] inline void fail_unknown(std::string_view what, std::string_view word,
                                      const std::vector<std::string>& known) {
  fail("{} \"{}\". Known: {}.{}", what, word, fmt::join(known, ", "), suggestion(word, known));
}

/// The same, the known names being the keys of a map.
template <class Map>
requires requires { typename Map::mapped_type; }
[[noreturn]] void fail_unknown(std::string_view what, std::string_view word, const Map& table) {
  std::vector<std::string> known;
  for (const auto& entry : table) known.emplace_back(entry.first);
  fail_unknown(what, word, known);
}

}  // namespace keratin
