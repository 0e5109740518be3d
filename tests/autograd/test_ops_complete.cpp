// The table is complete: every op that autograd/ops.h or core/catalogue.def declares has a row.

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <set>

#include "op_table.h"

TEST_SUITE_BEGIN("autograd");

namespace keratin::test {
namespace {

std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream in(std::string(KERATIN_SOURCE_DIR) + "/" + file);
  REQUIRE_MESSAGE(in, "cannot read " << file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// What follows one of the beginnings, up to one of the ends, if that is a name.
void add_name(std::set<std::string>& names, const std::string& line,
              std::initializer_list<const char*> beginnings, const char* ends) {
  for (std::string beginning : beginnings) {
    auto end = line.find_first_of(ends, beginning.size());
    if (line.rfind(beginning, 0) != 0 || end == std::string::npos) continue;
    std::string name = line.substr(beginning.size(), end - beginning.size());
    bool plain = std::all_of(name.begin(), name.end(),
                             [](unsigned char c) { return std::isalnum(c) || c == '_'; });
    if (plain) names.insert(name);
  }
}

std::set<std::string> declared_ops() {
  std::set<std::string> names;
  for (const std::string& line : lines_of("autograd/ops.h")) {
    // Functions that return tensors, but for operators; and the function object `all`.
    add_name(names, line,
             {"Tensor ", "inline Tensor ", "std::vector<Tensor> ", "std::array<Tensor, 2> "}, "(");
    add_name(names, line, {"inline constexpr All "}, "{");
  }
  for (const std::string& line : lines_of("core/catalogue.def"))
    add_name(names, line, {"KERATIN_UNARY(", "KERATIN_BINARY("}, ",");
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

TEST_SUITE_END();
