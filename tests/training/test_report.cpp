#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <keratin/core/create.h>
#include <keratin/io/file.h>
#include <keratin/training/report.h>

#include "../on_processor.h"
#include "error_of.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("training");

using namespace keratin;

namespace {

// The first thing wrong with a document's tags, quotes and entities; empty when it is well formed.
std::string fault_in(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '&') {
      const std::size_t end = text.find(';', i);
      if (end == text.npos || end - i > 6) return "a bare & at " + text.substr(i, 20);
    }
    if (text[i] != '<') {
      if (text[i] == '>') return "a bare > at " + text.substr(i, 20);
      ++i;
      continue;
    }
    const std::size_t end = text.find('>', i);
    if (end == text.npos) return "an open tag at the end";
    const std::string tag = text.substr(i + 1, end - i - 1);
    if (tag.find('<') != tag.npos) return "< in a tag: " + tag;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return "an open quote in " + tag;
    i = end + 1;
    const std::string name = tag.substr(tag[0] == '/', tag.find(' ') - (tag[0] == '/'));
    if (tag[0] == '!' || tag[0] == '?' || tag.back() == '/') continue;
    if (tag[0] != '/') {
      open.push_back(name);
      if (name == "style") i = text.find("</style>", i);
    } else if (open.empty() || open.back() != name) {
      return "unexpected <" + tag + ">";
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

bool has(const std::string& text, const std::string& part) { return count_of(text, part) > 0; }

History falling() {
  History history;
  for (int epoch = 0; epoch < 6; ++epoch)
    history.append(epoch, {{"accuracy", 0.5 + 0.08 * epoch},
                           {"loss", 1.0 / (epoch + 1)},
                           {"val_accuracy", 0.5 + 0.05 * epoch},
                           {"val_loss", 0.3125 + 0.01 * std::abs(epoch - 3)}});
  return history;
}

AttentionExample example() {
  return {.title = "recording <1>",
          .features = tensor({{1, 2}, {3, -4}, {5, 6}, {7, 8}}),
          .weights = tensor({{0.125}, {0.5}, {0.375}, {0}}),
          .length = 3,
          .feature_names = {"a & b", "c"}};
}

}  // namespace

TEST_CASE("a report is one well-formed page that needs nothing else") {
  const std::string html = report_html({.title = "Vowels <& \"more\">",
                                        .history = falling(),
                                        .confusion = tensor({{12, 3}, {0, 15}}),
                                        .classes = {"<a>", "b's"},
                                        .attention = {example(), example()},
                                        .notes = {"1 < 2 && 3 > 2", "line"}});
  CHECK(fault_in(html) == "");
  CHECK(html.size() < 40'000);
  for (const char* outside : {"src=", "href=", "url(", "@import", "<script"}) {
    CAPTURE(outside);
    CHECK(!has(html, outside));
  }
  CHECK(has(html, "<h1>Vowels &lt;&amp; &quot;more&quot;&gt;</h1>"));
  CHECK(has(html, "<p>1 &lt; 2 &amp;&amp; 3 &gt; 2</p>"));
  CHECK(has(html, "<th>&lt;a&gt;</th>"));
  CHECK(has(html, "<th>b&#39;s</th>"));
  CHECK(has(html, "recording &lt;1&gt;</text>"));
  CHECK(has(html, "a &amp; b</text>"));
}

TEST_CASE("curves: training is solid, validation dashed, the best epoch marked") {
  const std::string html = report_html({.history = falling()});
  CHECK(fault_in(html) == "");
  CHECK(count_of(html, "<svg") == 2);  // loss and accuracy
  CHECK(count_of(html, "best epoch: 4</text>") == 2);
  CHECK(count_of(html, ">training</text>") == 2);
  CHECK(count_of(html, ">validation</text>") == 2);
  CHECK(has(html, "loss (mean per sample)</text>"));
  CHECK(has(html, ">epoch</text>"));
  // At the best epoch, and at the last.
  CHECK(has(html, "<tr><th>loss</th><td>0.25</td><td>0.3125</td><td>0.1667</td><td>0.3325</td>"));
  CHECK(has(html, "lowest loss in validation"));
}

TEST_CASE("a confusion matrix shows its counts and shares") {
  const std::string html = report_html({.confusion = tensor({{12, 3}, {0, 15}}, int32)});
  CHECK(fault_in(html) == "");
  CHECK(has(html, "27 of 30 correct (90.0 %)"));
  CHECK(has(html, ">12</td>"));
  CHECK(has(html, ">3</td>"));
  CHECK(has(html, ">80.0 %</td>"));  // recall of class 0
  CHECK(has(html, ">83.3 %</td>"));  // precision of class 1
  CHECK(has(html, "<th>1</th>"));    // classes without names are numbered
}

TEST_CASE("what is empty is left out") {
  const std::string html = report_html({});
  CHECK(fault_in(html) == "");
  CHECK(has(html, "<h1>Training report</h1>"));
  CHECK(!has(html, "<section>"));
}

TEST_CASE("histories of all kinds can be drawn") {
  auto draw = [](const std::vector<Logs>& epochs) {
    History history;
    for (std::size_t i = 0; i < epochs.size(); ++i) history.append(static_cast<int>(i), epochs[i]);
    const std::string html = report_html({.history = history});
    CHECK(fault_in(html) == "");
    CHECK(!has(html, "nan"));
    CHECK(!has(html, "inf"));
    return html;
  };
  draw({{{"loss", 1}}});                             // one epoch
  draw({{{"loss", 0}}, {{"loss", 0}}});              // no change
  draw({{{"loss", 1e-30}}, {{"loss", 1e30}}});       // vast range
  draw({{{"loss", -1}}, {{"loss", -2}}});            // negative
  draw({{}, {}});                                    // nothing logged
  CHECK(!has(draw({{{"mae", 1}}}), "best epoch"));   // nothing to choose by
  CHECK(has(draw({{{"val_f1", 1}}}), "F1</text>"));  // validation alone
  CHECK(has(draw({{{"loss", 1}}, {{"loss", 2}}}), "loss in training"));
  // Validation every second epoch: its second value belongs to epoch 4.
  CHECK(has(draw({{{"loss", 4}},
                  {{"loss", 3}, {"val_loss", 2}},
                  {{"loss", 2}},
                  {{"loss", 1}, {"val_loss", 1}}}),
            "best epoch: 4</text>"));

  History history;
  history.append(0, {{"loss", 2}});
  history.append(1, {{"loss", NAN}});
  history.append(2, {{"loss", 1}});
  const std::string html = report_html({.history = history});
  CHECK(fault_in(html) == "");
  CHECK(has(html, "best epoch: 3"));
  CHECK(has(html, "<td>1</td>"));
}

TEST_CASE("attention is a picture with axes, a scale, and the highest step named") {
  const std::string svg = attention_svg(example());
  CHECK(fault_in(svg) == "");
  CHECK(svg.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns="));
  for (const char* text : {"step 1: 0.5", "all equal: 1/3", "attention weight", "time step",
                           "feature", "value", "padding", "c"}) {
    CAPTURE(text);
    CHECK(has(svg, std::string(">") + text + "</text>"));
  }
}

TEST_CASE("long sequences stay small: neighbours are averaged" * on_processor()) {
  AttentionExample long_one{
      .title = "long", .features = zeros({5000, 100}), .weights = full({5000}, 1.0 / 5000)};
  // Every cell another shade than its neighbours.
  float* values = long_one.features.mutable_data<float>();
  for (int i = 0; i < 500'000; ++i) values[i] = static_cast<float>(i % 1009 * 7919 % 1000);
  const std::string svg = attention_svg(long_one);
  CHECK(fault_in(svg) == "");
  CHECK(svg.size() < 250'000);
  CHECK(has(svg, "time step (each cell the mean of 17 steps and 3 features)"));
  CHECK(has(svg, "steps 0 to 16: 0.0002"));
  CHECK(report_html({.attention = std::vector(8, long_one)}).size() < 400'000);
}

TEST_CASE("features and weights may hold anything") {
  AttentionExample odd{.title = "odd",
                       .features = tensor({{NAN, 1}, {INFINITY, 1}, {-INFINITY, 1}}),
                       .weights = tensor({NAN, -1, 0.5})};
  CHECK(fault_in(attention_svg(odd)) == "");
  CHECK(has(attention_svg(odd), "step 2: 0.5"));
  odd.features = full({3, 2}, 7);
  odd.weights = full({3}, NAN);
  CHECK(fault_in(attention_svg(odd)) == "");
  odd = {.title = "one", .features = ones({1, 1}), .weights = ones({1})};
  CHECK(fault_in(attention_svg(odd)) == "");
  odd.title = "control \1\2 and\nline";
  CHECK(has(attention_svg(odd), ">control  and line</text>"));
  odd.features = tensor({{1, 2, 3}, {4, 5, 6}}).transpose();
  odd.weights = tensor({0.5, 0.25, 0.25});
  odd.feature_names = {"a name of more than twenty letters", "größtmögliche Überlänge"};
  CHECK(has(attention_svg(odd), ">a name of more than…</text>"));
  CHECK(has(attention_svg(odd), ">größtmögliche Überl…</text>"));
}

TEST_CASE("a report says what does not fit") {
  CHECK(error_of([] {
          report_html({.confusion = ones({2, 3})});
        }) == "report: expected a confusion matrix of shape (classes, classes), got (2, 3)");
  CHECK(error_of([] {
          report_html({.confusion = ones({2, 2}), .classes = {"a"}});
        }) == "report: 1 class names for a confusion matrix of shape (2, 2)");
  AttentionExample bad{.title = "x", .features = ones({4, 2}), .weights = ones({3})};
  CHECK(error_of([&] { attention_svg(bad); }) ==
        "attention \"x\": expected a weight for each of 4 time steps, got (3,)");
  bad.weights = ones({4});
  bad.length = 5;
  CHECK(error_of([&] { attention_svg(bad); }) ==
        "attention \"x\": a length of 5 among 4 time steps");
  bad.length = 0;
  bad.feature_names = {"a"};
  CHECK(error_of([&] { attention_svg(bad); }) == "attention \"x\": 1 feature names for 2 features");
  bad.features = {};
  CHECK(error_of([&] { attention_svg(bad); }) ==
        "attention \"x\": expected features of shape (time, features), got nothing");
}

TEST_CASE("write_report writes the page to a file") {
  TemporaryDirectory folder;
  const Report report{.title = "T", .history = falling()};
  write_report(folder / "report.html", report);
  CHECK(read_file(folder / "report.html") == report_html(report));
}

TEST_SUITE_END();
