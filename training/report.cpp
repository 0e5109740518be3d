// The page is text put together with fmt. Drawings carry their style in attributes, so that they
// look the same in the page and alone, and use no ids, so that there may be many in one page.
#include <iterator>
#include <optional>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/training/internal/report_parts.h>
#include <keratin/training/internal/svg.h>
#include <keratin/training/report.h>

namespace keratin {

using namespace drawing;

namespace {

constexpr const char* style = R"(
  body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #222;
         background: #fff; max-width: 900px; margin: 2.5rem auto; padding: 0 1.2rem;
         -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 1rem; }
  h2 { font-size: 1.1rem; font-weight: 600; margin: 2.4rem 0 .8rem; padding-bottom: .3rem;
       border-bottom: 1px solid #ddd; }
  p { margin: .5rem 0; max-width: 45rem; }
  svg { display: block; width: 100%; height: auto; }
  .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr));
            gap: 1.2rem; }
  .attention { margin: 0 0 1.6rem; break-inside: avoid; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem .7rem; text-align: right; }
  th { font-weight: 600; }
  .values { margin-top: 1.2rem; }
  .values th:first-child { text-align: left; }
  .values thead th { border-bottom: 1px solid #999; }
  .values tbody tr + tr > * { border-top: 1px solid #eee; }
  .matrix { font-size: .87rem; }
  .matrix td, .matrix th { padding: .25rem .45rem; min-width: 1.8rem; }
  .matrix tbody th, .matrix td { white-space: nowrap; }
  .matrix tbody td { border: 1px solid #ddd; text-align: center; }
  .matrix thead th { text-align: center; vertical-align: bottom; }
  .matrix .hit { font-weight: 700; border: 2px solid #222; }
  .matrix .none { color: #888; }
  .matrix .share { border: 0; color: #555; font-weight: 400; }
  .matrix .axis { color: #555; font-weight: 400; }
  @media print {
    body { margin: 0 auto; padding: 0; font-size: 11pt; }
    section:not(:last-child) { break-inside: avoid; }
    .wide { overflow: visible; }
    .matrix { font-size: 8pt; }
    .matrix td, .matrix th { padding: .2rem .25rem; min-width: 0; }
  }
)";

// --- the page's parts

void add_values(std::string& html, const History& history, const std::optional<Best>& best) {
  auto cell = [&](const std::string& name, double epoch) {
    for (const Point& point : points_of(history, name))
      if (point.epoch == epoch) return number(point.value);
    return std::string("–");
  };
  const double last = history.epoch().back() + 1.0;
  html += "<div class=\"wide\">\n<table class=\"values\">\n<thead><tr><th></th>";
  if (best)
    add(html,
        "<th>training,<br/>best epoch ({0:.0f})</th><th>validation,<br/>best epoch ({0:.0f})</th>",
        best->point.epoch);
  add(html,
      "<th>training,<br/>last epoch ({0:.0f})</th><th>validation,<br/>last epoch "
      "({0:.0f})</th></tr></thead>\n<tbody>\n",
      last);
  for (const std::string& name : quantities(history)) {
    add(html, "<tr><th>{}</th>", escape(name));
    for (double epoch : {best ? best->point.epoch : last, last}) {
      add(html, "<td>{}</td><td>{}</td>", cell(name, epoch), cell("val_" + name, epoch));
      if (!best) break;
    }
    html += "</tr>\n";
  }
  html += "</tbody>\n</table>\n</div>\n";
  if (best)
    add(html, "<p>The best epoch is the one with the lowest {}.</p>\n",
        best->name == "val_loss" ? "loss in validation" : "loss in training");
}

void add_history(std::string& html, const History& history) {
  const auto best = best_of(history);
  html += "<section>\n<h2>Training</h2>\n<div class=\"charts\">\n";
  for (const std::string& name : quantities(history)) html += curve_svg(history, name, best);
  html += "</div>\n";
  add_values(html, history, best);
  html += "</section>\n";
}

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : "–";
}

void add_confusion(std::string& html, const Tensor& confusion, std::vector<std::string> classes) {
  if (confusion.rank() != 2 || confusion.size(0) != confusion.size(1))
    fail("report: expected a confusion matrix of shape (classes, classes), got {}",
         confusion.shape());
  const auto n = static_cast<std::size_t>(confusion.size(0));
  if (classes.empty())
    for (std::size_t i = 0; i < n; ++i) classes.push_back(std::to_string(i));
  if (classes.size() != n)
    fail("report: {} class names for a confusion matrix of shape {}", classes.size(),
         confusion.shape());
  const auto counts = confusion.to_vector<double>();
  std::vector<double> truly(n), predicted(n);
  double hits = 0, total = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      const double count = counts[i * n + j];
      truly[i] += count, predicted[j] += count, total += count;
      if (i == j) hits += count;
    }

  add(html,
      "<section>\n<h2>Confusion matrix</h2>\n<p>{:g} of {:g} correct ({}). Darker: a larger share "
      "of "
      "the row.</p>\n<div class=\"wide\">\n<table class=\"matrix\">\n<thead>\n"
      "<tr><th></th><th class=\"axis\" colspan=\"{}\">predicted class</th><th></th></tr>\n"
      "<tr><th class=\"axis\">true class</th>",
      hits, total, percent(hits, total), n);
  for (const std::string& name : classes) add(html, "<th>{}</th>", escape(name));
  html += "<th class=\"share\">recall</th></tr>\n</thead>\n<tbody>\n";
  for (std::size_t i = 0; i < n; ++i) {
    add(html, "<tr><th>{}</th>", escape(classes[i]));
    for (std::size_t j = 0; j < n; ++j) {
      const double count = counts[i * n + j];
      const double share = truly[i] > 0 ? count / truly[i] : 0;
      // Never so dark that black figures would not stand out.
      add(html, "<td{} style=\"background:{}\">{:g}</td>",
          i == j       ? " class=\"hit\""
          : count == 0 ? " class=\"none\""
                       : "",
          count == 0 ? "#fff" : shade(0.05 + 0.4 * share), count);
    }
    add(html, "<td class=\"share\">{}</td></tr>\n", percent(counts[i * n + i], truly[i]));
  }
  html += "<tr><th class=\"share\">precision</th>";
  for (std::size_t j = 0; j < n; ++j)
    add(html, "<td class=\"share\">{}</td>", percent(counts[j * n + j], predicted[j]));
  html += "<td class=\"share\"></td></tr>\n</tbody>\n</table>\n</div>\n</section>\n";
}

void add_attention(std::string& html, const std::vector<AttentionExample>& examples) {
  html +=
      "<section>\n<h2>Attention</h2>\n<p>Above, how much each time step counted; below, what the "
      "model saw at that step.</p>\n";
  const auto cells = 20000 / static_cast<std::int64_t>(examples.size());
  for (const AttentionExample& example : examples)
    html += "<figure class=\"attention\">\n" + draw_attention(example, cells) + "</figure>\n";
  html += "</section>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  std::string html;
  add(html,
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escape(report.title), style);
  for (const std::string& note : report.notes) add(html, "<p>{}</p>\n", escape(note));
  if (!report.history.epoch().empty()) add_history(html, report.history);
  if (report.confusion.defined()) add_confusion(html, report.confusion, report.classes);
  if (!report.attention.empty()) add_attention(html, report.attention);
  return html + "</body>\n</html>\n";
}

void write_report(const std::string& path, const Report& report) {
  write_file(path, report_html(report));
}

std::string attention_svg(const AttentionExample& example) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + draw_attention(example, 12000);
}

}  // namespace keratin
