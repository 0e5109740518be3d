// The tour shows lines of the library; they must be there. Blocks marked c++ are a reader's own
// code.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

TEST_SUITE_BEGIN("documents");

namespace {

namespace fs = std::filesystem;

const fs::path root = KERATIN_SOURCE_DIR;

// Without the spaces at its ends, and with single ones inside.
std::string plain(const std::string& line) {
  std::string text;
  for (char c : line)
    if (c != ' ' || (!text.empty() && text.back() != ' ')) text += c;
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

TEST_CASE("each line of code in the tour stands in a source file") {
  std::set<std::string> known;
  for (const char* folder : {"core", "autograd", "layers", "optim", "io", "training", "examples"})
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      std::ifstream in(entry.path());
      std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu" && extension != ".def")
        continue;
      for (std::string line; std::getline(in, line);) known.insert(plain(line));
    }
  std::ifstream tour(root / "docs/tour.md");
  REQUIRE(tour.is_open());
  bool code = false;
  int lines = 0;
  for (std::string line; std::getline(tour, line);) {
    if (line.rfind("```", 0) == 0) {
      code = line == "```cpp";
    } else if (code && !plain(line).empty()) {
      CAPTURE(line);
      CHECK(known.count(plain(line)) == 1);
      ++lines;
    }
  }
  CHECK(lines > 40);
}

TEST_SUITE_END();
