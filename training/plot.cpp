// A layered drawing of a graph, in the manner of Sugiyama, Tagawa and Toda (1981): each box stands
// in the row below all that it reads; rows are ordered so that few lines cross; a line through
// several rows has a place of its own in each.

#include <algorithm>
#include <numeric>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/training/internal/plan.h>
#include <keratin/training/internal/svg.h>
#include <keratin/training/plot.h>

namespace keratin {
namespace {

constexpr double line_height = 17, gap = 28, row_gap = 42, margin = 16, letter = 7.6;

/// A box, or the place where a line crosses a row.
struct Item {
  std::vector<std::string> lines = {};  // none of a line's place
  int row = 0;
  std::vector<std::size_t> above = {}, below = {};  // in the rows next to this one
  double width = 0, x = 0, y = 0;                   // the middle of the upper edge

  double height() const { return lines.empty() ? 0 : line_height * lines.size() + 10; }
};

struct Drawing {
  std::vector<Item> items;
  std::vector<std::vector<std::size_t>> rows;

  std::size_t add(Item item) {
    const auto row = static_cast<std::size_t>(item.row);
    if (rows.size() <= row) rows.resize(row + 1);
    rows[row].push_back(items.size());
    items.push_back(std::move(item));
    return items.size() - 1;
  }

  void connect(std::size_t from, std::size_t to) {
    for (int row = items[from].row + 1; row < items[to].row; ++row) {
      const std::size_t place = add({.row = row});
      link(from, place);
      from = place;
    }
    link(from, to);
  }
  void link(std::size_t from, std::size_t to) {
    items[from].below.push_back(to);
    items[to].above.push_back(from);
  }

  double middle_of(const std::vector<std::size_t>& neighbours, double otherwise) const {
    if (neighbours.empty()) return otherwise;
    double sum = 0;
    for (std::size_t n : neighbours) sum += items[n].x;
    return sum / static_cast<double>(neighbours.size());
  }

  /// Each item as near to the middle of its neighbours as the others of its row allow.
  void place_row(std::vector<std::size_t>& row, std::vector<std::size_t> Item::*neighbours) {
    std::vector<double> wish(items.size());
    for (std::size_t i : row) wish[i] = middle_of(items[i].*neighbours, items[i].x);
    std::ranges::stable_sort(row, [&](auto a, auto b) { return wish[a] < wish[b]; });
    double end = 0, moved = 0;
    for (std::size_t i : row) {
      Item& item = items[i];
      const double first = end + item.width / 2;
      item.x = end == 0 ? wish[i] : std::max(wish[i], first);
      end = item.x + item.width / 2 + gap;
      moved += item.x - wish[i];
    }
    // What was pushed to the right goes back by half of it.
    const double back = moved / static_cast<double>(row.size());
    for (std::size_t i : row) items[i].x -= back;
  }

  void arrange() {
    for (auto& row : rows) {
      double end = 0;
      for (std::size_t i : row) {
        items[i].x = end + items[i].width / 2;
        end += items[i].width + gap;
      }
    }
    for (int round = 0; round < 8; ++round) {
      for (auto& row : rows) place_row(row, &Item::above);
      if (round == 7) break;
      for (auto row = rows.rbegin(); row != rows.rend(); ++row) place_row(*row, &Item::below);
    }
    double y = margin;
    for (const auto& row : rows) {
      double height = 0;
      for (std::size_t i : row) height = std::max(height, items[i].height());
      for (std::size_t i : row) items[i].y = y + (height - items[i].height()) / 2;
      y += height + row_gap;
    }
    double left = 0;
    for (const Item& item : items) left = std::min(left, item.x - item.width / 2);
    for (Item& item : items) item.x += margin - left;
  }
};

std::vector<std::string> description(const ModelPlan& plan, const std::string& name,
                                     const std::string& class_name,
                                     const std::vector<std::size_t>& values,
                                     const PlotOptions& options) {
  std::vector<std::string> lines{options.show_layer_names ? fmt::format("{} ({})", name, class_name)
                                                          : class_name};
  for (std::size_t value : values) {
    std::string line;
    if (options.show_shapes) line = plan.values[value].shape.str();
    if (options.show_dtype)
      line += (line.empty() ? "" : " ") + std::string(name_of(plan.values[value].dtype));
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

Drawing drawing_of(const ModelPlan& plan, const PlotOptions& options) {
  Drawing drawing;
  std::vector<std::size_t> maker(plan.values.size());  // the box that gives a value
  auto add = [&](std::vector<std::string> lines, int row) {
    Item item{.lines = std::move(lines), .row = row};
    for (const std::string& line : item.lines)
      item.width = std::max(item.width, letter * static_cast<double>(line.size()) + 20);
    return drawing.add(std::move(item));
  };
  for (std::size_t i = 0; i < plan.inputs.size(); ++i)
    maker[plan.inputs[i]] =
        add(description(plan, plan.input_names[i], "InputLayer", {plan.inputs[i]}, options), 0);
  for (const ModelPlan::Call& call : plan.calls) {
    std::vector<std::size_t> sources = call.inputs;
    if (call.mask) sources.push_back(*call.mask);
    int row = 0;
    for (std::size_t value : sources) row = std::max(row, drawing.items[maker[value]].row + 1);
    const std::size_t box =
        add(description(plan, call.path, call.layer->class_name(), call.outputs, options), row);
    for (std::size_t value : sources) drawing.connect(maker[value], box);
    for (std::size_t value : call.outputs) maker[value] = box;
  }
  drawing.arrange();
  return drawing;
}

}  // namespace

std::string model_svg(const Model& model, const PlotOptions& options) {
  using namespace drawing;
  const Drawing picture = drawing_of(plan_of("plot_model", model), options);
  double width = 0, height = 0;
  for (const Item& item : picture.items) {
    width = std::max(width, item.x + item.width / 2 + margin);
    height = std::max(height, item.y + item.height() + margin);
  }
  std::string svg;
  open_svg(svg, std::ceil(width), std::ceil(height), model.name());
  for (const Item& from : picture.items)
    for (std::size_t below : from.below) {
      const Item& to = picture.items[below];
      const double y1 = from.y + from.height(), middle = (y1 + to.y) / 2;
      add(svg,
          "<path d=\"M{0:.1f} {1:.1f}C{0:.1f} {2:.1f} {3:.1f} {2:.1f} {3:.1f} {4:.1f}\" "
          "fill=\"none\" stroke=\"{5}\"/>\n",
          from.x, y1, middle, to.x, to.y, ink);
      if (!to.lines.empty())
        add(svg, "<path d=\"M{:.1f} {:.1f}l-4 -8h8z\" fill=\"{}\"/>\n", to.x, to.y, ink);
    }
  for (const Item& item : picture.items) {
    if (item.lines.empty()) continue;
    add(svg,
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"4\" "
        "fill=\"#fff\" stroke=\"{}\"/>\n",
        item.x - item.width / 2, item.y, item.width, item.height(), ink);
    for (std::size_t i = 0; i < item.lines.size(); ++i)
      add_text(svg, item.x, item.y + 17 + line_height * static_cast<double>(i), item.lines[i],
               i == 0 ? std::string(centred) + " font-weight=\"600\"" : centred);
  }
  return svg + "</svg>\n";
}

void plot_model(const Model& model, const std::string& to_file, const PlotOptions& options) {
  if (!to_file.ends_with(".svg"))
    fail("plot_model: expected a path that ends in .svg, got {}", to_file);
  write_file(to_file, model_svg(model, options));
}

}  // namespace keratin
