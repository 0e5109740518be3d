#include <doctest/doctest.h>
#include <clocale>
#include <cmath>
#include <string>

#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/io/csv.h>
#include <keratin/io/file.h>

#include "temporary_directory.h"

TEST_SUITE_BEGIN("io");

using namespace keratin;
using namespace std::string_literals;

namespace {

using Names = std::vector<std::string>;

// The message of the error that parsing ends in.
std::string error_of(const std::string& text, const CsvOptions& options = {}) {
  try {
    parse_csv(text, "x.csv", options);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

void check_same(const Tensor& a, const Tensor& b) {
  CHECK(a.shape() == b.shape());
  CHECK(a.dtype() == b.dtype());
  CHECK(a.to_vector<double>() == b.to_vector<double>());
}

}  // namespace

TEST_CASE("a table is its names and its numbers") {
  const Csv csv = parse_csv("height,weight\n1.5,2\n-3e2,+4\n", "x");
  CHECK(csv.columns == Names{"height", "weight"});
  check_same(csv.values, tensor({{1.5, 2}, {-300, 4}}, float64));
}

TEST_CASE("a table without header has numbers only") {
  const Csv csv = parse_csv("1;2;3\n4;5;6", "x", {.header = false, .separator = ';'});
  CHECK(csv.columns.empty());
  check_same(csv.values, tensor({{1, 2, 3}, {4, 5, 6}}, float64));
}

TEST_CASE("spaces, quotes, line ends of Windows, a byte order mark and empty last lines are fine") {
  const Csv csv =
      parse_csv("\xEF\xBB\xBF\"a, b\" , \"say \"\"c\"\"\"\r\n \"1\" ,\t2 \r\n\r\n\n", "x");
  CHECK(csv.columns == Names{"a, b", "say \"c\""});
  check_same(csv.values, tensor({{1, 2}}, float64));
}

TEST_CASE("a header alone makes a table without rows") {
  CHECK(parse_csv("a,b\n", "x").values.shape() == Shape{0, 2});
}

TEST_CASE("infinities and nan are numbers") {
  const Csv csv = parse_csv("inf,-inf,nan", "x", {.header = false});
  CHECK(csv.values.item(0, 0) == INFINITY);
  CHECK(csv.values.item(0, 1) == -INFINITY);
  CHECK(std::isnan(csv.values.item(0, 2)));
}

TEST_CASE("what is no table of numbers is an error with line and column") {
  CHECK(error_of("") == "x.csv: an empty table");
  CHECK(error_of("\n\n") == "x.csv: an empty table");
  CHECK(error_of("a,b\n1,two\n") == "x.csv: line 2, column 2: expected a number, found \"two\"");
  CHECK(error_of("a,b\n1,2\n3,\n") == "x.csv: line 3, column 2: expected a number, found nothing");
  CHECK(error_of("a\n1\n\n2\n") == "x.csv: line 3, column 1: expected a number, found nothing");
  CHECK(error_of("a,b\n1,2\n3\n") ==
        "x.csv: line 3, column 1: the row ends here, the first one has 2 columns");
  CHECK(error_of("a,b\n1,2,3\n") ==
        "x.csv: line 2, column 3: one value more than the 2 columns of the first line");
  CHECK(error_of("1,2\n1,2,3\n", {.header = false}) ==
        "x.csv: line 2, column 3: one value more than the 2 columns of the first line");
  CHECK(error_of("a\n1e999\n") == "x.csv: line 2, column 1: 1e999 is beyond the range of float64");
  CHECK(error_of("a\n\"1\n") == "x.csv: line 2, column 1: a quote is not closed");
  for (const char* text : {"1.2.3", "0x10", "1,5", "+-1", "--1", "1 2", "+", "1e", "\"\""})
    CHECK(error_of("a\n"s + text + "\n").starts_with("x.csv: line 2, column "));
  CHECK(error_of("a\tb\n1\t\n", {.separator = '\t'}) ==
        "x.csv: line 2, column 2: expected a number, found nothing");
}

TEST_CASE("a table reads back as it was written, to the last bit") {
  const TemporaryDirectory folder;
  const Tensor values = tensor({{0.1, 1.0 / 3, 1e-310}, {1e300, -0.0, 123456789}}, float64);
  save_csv(folder / "x.csv", {"a", "with, comma", " \"quoted\" "}, values);
  const Csv csv = load_csv(folder / "x.csv");
  CHECK(csv.columns == Names{"a", "with, comma", " \"quoted\" "});
  check_same(csv.values, values);
}

TEST_CASE("elements are written with the fewest digits of their own type") {
  CHECK(format_csv({}, tensor({{0.1, 2}, {-0.25, 1e20}})) == "0.1,2\n-0.25,1e+20\n");
  CHECK(format_csv({"n"}, tensor({{-7}}, int32)) == "n\n-7\n");
  CHECK(format_csv({}, tensor({{1, 0}}, boolean)) == "1,0\n");
  const Tensor transposed = make_view(tensor({{1, 2}, {3, 4}}), {2, 2}, {1, 2});
  CHECK(format_csv({}, transposed) == "1,3\n2,4\n");
}

TEST_CASE("the locale makes no difference") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  // Where this locale is not installed, the test says nothing.
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  CHECK(format_csv({}, tensor({{1.5}})) == "1.5\n");
  CHECK(parse_csv("1.5", "x", {.header = false}).values.item() == 1.5);
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("names and shape must fit together") {
  CHECK_THROWS_AS(format_csv({"a"}, zeros({2, 2})), std::invalid_argument);
  CHECK_THROWS_AS(format_csv({}, zeros({2})), std::invalid_argument);
  CHECK_THROWS_AS(format_csv({}, Tensor()), std::invalid_argument);
  CHECK_THROWS_AS(format_csv({"a\nb"}, zeros({1, 1})), std::invalid_argument);
}

TEST_SUITE_END();
