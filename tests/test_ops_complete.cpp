// The table is complete: every op that autograd/ops.h or core/catalogue.def declares has a row.

#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "op_table.h"

namespace keratin::test {
namespace {

std::string text_of(const std::string& file) {
  std::ifstream in(std::string(KERATIN_SOURCE_DIR) + "/" + file);
  REQUIRE_MESSAGE(in, "cannot read " << file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void add_matches(std::set<std::string>& names, const std::string& text, const char* pattern) {
  std::regex regex(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
    names.insert((*match)[1]);
}

std::set<std::string> declared_ops() {
  std::set<std::string> names;
  // Functions at the beginning of a line that return tensors, and the function object `all`.
  add_matches(names, "\n" + text_of("autograd/ops.h"),
              R"(\n(?:inline )?(?:Tensor|std::vector<Tensor>|std::array<Tensor, \d+>) (\w+)\()");
  add_matches(names, text_of("autograd/ops.h"), R"(\ninline constexpr \w+ (\w+)\{\};)");
  add_matches(names, text_of("core/catalogue.def"), R"(\nKERATIN_(?:UN|BIN)ARY\((\w+),)");
  return names;
}

// Prints once, after the last test.
struct CountReporter : doctest::IReporter {
  explicit CountReporter(const doctest::ContextOptions& options) : out(*options.cout) {}
  std::ostream& out;
  void test_run_end(const doctest::TestRunStats&) override {
    if (counts().checks > 0)
      out << "op table: " << counts().checks << " checks of " << counts().elements << " elements\n";
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("op table", 1, CountReporter);

}  // namespace

TEST_CASE("every op that is declared stands in the table") {
  std::set<std::string> declared = declared_ops(), tested;
  for (const Case& c : op_table()) tested.insert(c.op);
  CHECK(declared.size() > 100);
  for (const std::string& name : declared)
    check(name + " is declared in autograd/ops.h and missing in tests/op_table*.cpp",
          tested.count(name) == 1);
  for (const std::string& name : tested)
    check(name + " stands in the table and is declared nowhere", declared.count(name) == 1);
}

}  // namespace keratin::test
