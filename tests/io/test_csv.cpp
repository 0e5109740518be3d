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

// The message of the error that an action ends in.
template <class Error, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// What is wrong with a file.
std::string error_of(const std::string& text, const CsvOptions& options = {}) {
  return message_of<std::runtime_error>([&] { parse_csv(text, "x.csv", options); });
}

// What is wrong with the options.
std::string refusal_of(const std::string& text, const CsvOptions& options) {
  return message_of<std::invalid_argument>([&] { parse_csv(text, "x.csv", options); });
}

std::string refusal_of(const Csv& table, const CsvOptions& options = {}) {
  return message_of<std::invalid_argument>([&] { format_csv(table, options); });
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

TEST_CASE("lines may end in carriage returns alone") {
  const Csv csv = parse_csv("a,b\r1,2\r3,4\r", "x");
  CHECK(csv.columns == Names{"a", "b"});
  check_same(csv.values, tensor({{1, 2}, {3, 4}}, float64));
}

TEST_CASE("cells that mean a missing number are NaN on request") {
  const std::string text = "a,b,c\n1,,NA\n \t,\"\",-999\n";
  CHECK(error_of(text) == "x.csv: line 2, column 2: expected a number, found nothing");
  CHECK(error_of(text, {.missing = {""}}) ==
        "x.csv: line 2, column 3: expected a number, found \"NA\"");
  const Tensor values = parse_csv(text, "x", {.missing = {"", "NA", "-999"}}).values;
  CHECK(values.shape() == Shape{2, 3});
  CHECK(values.item(0, 0) == 1);
  CHECK(std::isnan(values.item(0, 1)));
  CHECK(std::isnan(values.item(0, 2)));
  for (int column : {0, 1, 2}) CHECK(std::isnan(values.item(1, column)));
}

TEST_CASE("an empty line between others is a row of one empty cell") {
  const Tensor values = parse_csv("a\n1\n\n2\n\n", "x", {.missing = {""}}).values;
  CHECK(values.shape() == Shape{3, 1});
  CHECK(std::isnan(values.item(1, 0)));
  CHECK(error_of("a,b\n1,2\n\n3,4\n", {.missing = {""}}) ==
        "x.csv: line 3, column 1: the row ends here, the first one has 2 columns");
}

TEST_CASE("columns named as text are strings, the others numbers") {
  const Csv csv = parse_csv("date,rain,zip,wind\n2024-02-29,1.5,007, 2\n,3, x y ,4\n", "x",
                            {.text_columns = {"zip", "date"}});
  CHECK(csv.columns == Names{"rain", "wind"});
  check_same(csv.values, tensor({{1.5, 2}, {3, 4}}, float64));
  CHECK(csv.text.size() == 2);
  CHECK(csv.text.at("date") == Names{"2024-02-29", ""});
  CHECK(csv.text.at("zip") == Names{"007", "x y"});
}

TEST_CASE("columns with a word in them are text when text is to be detected") {
  const CsvOptions options{.missing = {"NA"}};
  CsvOptions detecting = options;
  detecting.detect_text = true;
  const std::string text = "n,late,gap,named\n1,1,NA,1\n2,,2,2\n3,x,3,3\n";
  CHECK(error_of(text, options) == "x.csv: line 3, column 2: expected a number, found nothing");
  detecting.text_columns = {"named"};
  const Csv csv = parse_csv(text, "x", detecting);
  CHECK(csv.columns == Names{"n", "gap"});
  CHECK(csv.text.at("late") == Names{"1", "", "x"});
  CHECK(csv.text.at("named") == Names{"1", "2", "3"});
  CHECK(csv.values.item(2, 1) == 3);
  CHECK(std::isnan(csv.values.item(0, 1)));
}

TEST_CASE("neither an empty cell nor a number out of range makes a column text") {
  CHECK(error_of("a,b\n1,x\n,y\n", {.detect_text = true}) ==
        "x.csv: line 3, column 1: expected a number, found nothing");
  CHECK(error_of("a\n1e999\n", {.detect_text = true}) ==
        "x.csv: line 2, column 1: 1e999 is beyond the range of float64");
}

TEST_CASE("a table of nothing but text has values without columns") {
  const Csv csv = parse_csv("a\nx\n\"\"\n", "x", {.text_columns = {"a"}});
  CHECK(csv.columns.empty());
  CHECK(csv.values.shape() == Shape{2, 0});
  CHECK(csv.text.at("a") == Names{"x", ""});
  CHECK(format_csv(csv) == "a\nx\n\"\"\n");
}

TEST_CASE("only the columns asked for are read, in that order") {
  const std::string text = "a,b,word,c\n1,2,x,3\n4,5,y,6\n";
  const Csv numbers = parse_csv(text, "x", {.columns = {"c", "a"}});
  CHECK(numbers.columns == Names{"c", "a"});
  CHECK(numbers.text.empty());
  check_same(numbers.values, tensor({{3, 1}, {6, 4}}, float64));

  const Csv both = parse_csv(text, "x", {.columns = {"word", "b"}, .detect_text = true});
  CHECK(both.columns == Names{"b"});
  check_same(both.values, tensor({{2}, {5}}, float64));
  CHECK(both.text.at("word") == Names{"x", "y"});
}

TEST_CASE("a column that is not there is an error with the known ones and a guess") {
  const std::string text = "height,weight\n1,2\n";
  const std::string message =
      "x.csv: there is no column \"hieght\". Known: height, weight. Did you mean \"height\"?";
  CHECK(refusal_of(text, {.columns = {"hieght"}}) == message);
  CHECK(refusal_of(text, {.text_columns = {"hieght"}}) == message);
  CHECK(refusal_of(text, {.header = false, .columns = {"height"}}) ==
        "x.csv: there is no column \"height\". Known: 1, 2.");
  CHECK(refusal_of(text, {.columns = {"height", "height"}}) ==
        "x.csv: the column \"height\" is asked for twice");
}

TEST_CASE("columns of one name are read together, but not told apart") {
  CHECK(parse_csv("a,a\n1,2\n", "x").columns == Names{"a", "a"});
  CHECK(refusal_of("a,a\n1,2\n", {.columns = {"a"}}) ==
        "x.csv: 2 columns are called \"a\", which one is not clear");
  CHECK(error_of("a,a\nx,y\n", {.detect_text = true}) ==
        "x.csv: two columns of text are called \"a\"");
}

TEST_CASE("a header is detected where no cell of the first line is a number") {
  const CsvOptions detect{.header = std::nullopt};
  CHECK(parse_csv("a,\n1,2\n", "x", detect).columns == Names{"a", ""});
  CHECK(parse_csv("a,b\n", "x", detect).values.shape() == Shape{0, 2});
  const Csv csv = parse_csv("1,2\n3,4\n", "x", detect);
  CHECK(csv.columns.empty());
  check_same(csv.values, tensor({{1, 2}, {3, 4}}, float64));
  const Csv mixed = parse_csv("x,1\ny,2\n", "x", {.header = std::nullopt, .detect_text = true});
  CHECK(mixed.text.at("1") == Names{"x", "y"});
  CHECK(parse_csv("1,2\n3,4\n", "x", {.header = true}).columns == Names{"1", "2"});
}

TEST_CASE("without a header columns are called by their numbers") {
  const std::string text = "1,x,2\n3,y,4\n";
  const Csv csv = parse_csv(text, "x", {.header = false, .text_columns = {"2"}});
  CHECK(csv.columns == Names{"1", "3"});
  check_same(csv.values, tensor({{1, 2}, {3, 4}}, float64));
  CHECK(csv.text.at("2") == Names{"x", "y"});
  const Csv turned = parse_csv(text, "x", {.header = false, .columns = {"3", "1"}});
  CHECK(turned.columns == Names{"3", "1"});
  check_same(turned.values, tensor({{2, 1}, {4, 3}}, float64));
  CHECK(format_csv(csv, {.header = false, .columns = {"1", "2", "3"}}) == text);
}

TEST_CASE("text in quotes holds separators, line ends, spaces and quotes") {
  const std::string text =
      "n,\"the\r\ntext\"\r\n1,\"a,\"\"b\"\"\r\n\nc\" \r\n2,\" d \"\r\n3,5\" pipe\r\n4,\"\"\"\"\r\n";
  const Csv csv = parse_csv(text, "x", {.text_columns = {"the\r\ntext"}});
  CHECK(csv.text.at("the\r\ntext") == Names{"a,\"b\"\r\n\nc", " d ", "5\" pipe", "\""});
  check_same(csv.values, tensor({{1}, {2}, {3}, {4}}, float64));
}

TEST_CASE("errors after line ends in quotes name the line of the file") {
  const CsvOptions options{.text_columns = {"t"}};
  CHECK(error_of("t,n\n\"a\n\nb\",x\n", options) ==
        "x.csv: line 4, column 2: expected a number, found \"x\"");
  CHECK(error_of("t,n\n\"a\nb\",1\nc\n", options) ==
        "x.csv: line 4, column 1: the row ends here, the first one has 2 columns");
  CHECK(error_of("t,n\na,1\n\"b,2\nc,3\n", options) ==
        "x.csv: line 3, column 1: a quote is not closed");
  CHECK(error_of("t,n\n\"b\"\"", options) == "x.csv: line 2, column 1: a quote is not closed");
  CHECK(error_of("t,n\n\"a\" b,1\n", options) ==
        "x.csv: line 2, column 1: the cell goes on after the closing quote");
}

TEST_CASE("a tab or a space may separate cells") {
  const Csv csv = parse_csv("a\tb\n\t 1\n", "x", {.separator = '\t', .text_columns = {"a"}});
  CHECK(csv.text.at("a") == Names{""});
  CHECK(csv.values.item() == 1);
  check_same(parse_csv("1 2\n3 4\n", "x", {.header = false, .separator = ' '}).values,
             tensor({{1, 2}, {3, 4}}, float64));
  for (char separator : {'"', '\n', '\r', '.', '-', '7', 'e'}) {
    CHECK(refusal_of("a\n1\n", {.separator = separator}).ends_with("cannot separate cells"));
    CHECK(refusal_of({{"a"}, zeros({1, 1})}, {.separator = separator})
              .ends_with("cannot separate cells"));
  }
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

TEST_CASE("text reads back as it was written") {
  const TemporaryDirectory folder;
  const Names odd{"",  " ",    "a,b", "say \"c\"", "\"",  "\n",
                  "x", "\r\n", "\ty", "007",       "1;2", "\"\",\n\"a"};
  Tensor values = arange(24).astype(float64).reshape({12, 2});
  for (char separator : {',', ';', '\t', ' '}) {
    CAPTURE(separator);
    Csv table{
        {"n", "m\n,\""}, values, {{"words", odd}, {" more ", Names(odd.rbegin(), odd.rend())}}};
    save_csv(folder / "x.csv", table, {.separator = separator});
    const Csv csv =
        load_csv(folder / "x.csv", {.separator = separator, .text_columns = {"words", " more "}});
    CHECK(csv.columns == table.columns);
    CHECK(csv.text == table.text);
    check_same(csv.values, values);
  }
}

TEST_CASE("a byte order mark in a name reads back as part of the name") {
  const std::string name = "\xEF\xBB\xBFx";
  CHECK(parse_csv(format_csv({name}, ones({1, 1})), "x").columns == std::vector{name});
}

TEST_CASE("missing numbers read back as NaN") {
  const Csv csv = parse_csv("a,t\n,\nnan,x\n", "x", {.text_columns = {"t"}, .missing = {""}});
  CHECK(format_csv(csv) == "a,t\nnan,\nnan,x\n");
  const Csv again = parse_csv(format_csv(csv), "x", {.text_columns = {"t"}});
  CHECK(std::isnan(again.values.item(0, 0)));
  CHECK(again.text == csv.text);
}

TEST_CASE("numbers are written before text, or columns as the options say") {
  const Csv table{
      {"a", "b"}, tensor({{1, 2}, {3, 4}}, int32), {{"z", {"p", "q"}}, {"y", {"", "s"}}}};
  CHECK(format_csv(table) == "a,b,y,z\n1,2,,p\n3,4,s,q\n");
  CHECK(format_csv(table, {.header = false, .separator = ';', .columns = {"z", "b"}}) ==
        "p;2\nq;4\n");
  CHECK(format_csv(table, {.header = std::nullopt, .columns = {"y"}}) == "y\n\"\"\ns\n");
  CHECK(format_csv({.text = {{"t", {"x"}}}}) == "t\nx\n");
  CHECK(format_csv({{}, tensor({{1, 2}}), {}}, {.columns = {"2"}}) == "2\n");
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
  CHECK(refusal_of(Csv()) ==
        "save_csv: expected values of shape (rows, columns), got an undefined tensor");
  CHECK(refusal_of({{"a"}, zeros({2, 1}), {{"t", {"x"}}}}) ==
        "save_csv: the text column \"t\" has 1 rows, the table 2");
  CHECK(refusal_of({{}, zeros({1, 2}), {{"t", {"x"}}}}) ==
        "save_csv: beside text, 2 columns without names; name them, or set header to false");
  CHECK(refusal_of({{"loss"}, zeros({1, 1}), {{"t", {"x"}}}}, {.columns = {"los"}}) ==
        "save_csv: there is no column \"los\". Known: loss, t. Did you mean \"loss\"?");
  CHECK(refusal_of({{"t"}, zeros({1, 1}), {{"t", {"x"}}}}, {.columns = {"t"}}) ==
        "save_csv: 2 columns are called \"t\", which one is not clear");
}

TEST_SUITE_END();
