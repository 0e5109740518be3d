// The commands that compare and convert files.

#include <keratin/autograd/ops.h>
#include <keratin/training/plot.h>
#include <keratin/training/saving.h>

#include <cmath>
#include <iostream>
#include <set>

#include <keratin/core/internal/message.h>
#include <keratin/io/file.h>
#include <keratin/io/json.h>

#include <keratin/cli/commands.h>

namespace keratin::cli {
namespace {

LoadedModel open(const std::string& path) {
  if (path.ends_with(".json")) return model_from_json(read_file(path));
  return load_model(path);
}

/// Class and name of each layer, and the weights with their shapes.
struct Outline {
  std::vector<std::string> layers;
  std::map<std::string, Weight> weights;
};

Outline outline_of(const Model& model) {
  Outline outline;
  for (const Layer* layer : model.layers())
    outline.layers.push_back(fmt::format("{} ({})", layer->name(), layer->class_name()));
  for (const Weight& weight : model.weights()) outline.weights.emplace(weight.path(), weight);
  return outline;
}

}  // namespace

int convert(const std::string& from, const std::string& to) {
  const LoadedModel model = open(from);
  if (to.ends_with(".keras"))
    model->save(to);
  else if (to.ends_with(".h5") || to.ends_with(".npz"))
    model->save_weights(to);
  else if (to.ends_with(".json"))
    write_file(to, model->to_json());
  else
    fail_io("{}: expected a path that ends in .keras, .weights.h5, .h5, .npz or .json", to);
  return 0;
}

int plot(const std::string& path, const std::string& out) {
  plot_model(*open(path), out);
  return 0;
}

int diff(const std::string& a, const std::string& b, double tolerance) {
  const LoadedModel first = open(a), second = open(b);
  const Outline left = outline_of(*first), right = outline_of(*second);
  bool same = left.layers == right.layers;
  auto only = [&](const std::vector<std::string>& these, const std::vector<std::string>& others,
                  char sign) {
    const std::set<std::string> known(others.begin(), others.end());
    for (const std::string& layer : these)
      if (!known.contains(layer)) std::cout << fmt::format("{} layer {}\n", sign, layer);
  };
  only(left.layers, right.layers, '-');
  only(right.layers, left.layers, '+');

  double largest = 0;
  std::string where;
  for (const auto& [path, weight] : left.weights) {
    const auto other = right.weights.find(path);
    if (other == right.weights.end()) {
      std::cout << fmt::format("- weight {} {}\n", path, weight.shape());
      same = false;
    } else if (weight.shape() != other->second.shape()) {
      std::cout << fmt::format("weight {}: {} and {}\n", path, weight.shape(),
                               other->second.shape());
      same = false;
    } else if (weight.value().numel() > 0) {
      const double difference = max(abs(weight.value() - other->second.value())).item();
      if (!(difference <= tolerance)) {
        std::cout << fmt::format("weight {}: differs by up to {:.3g}\n", path, difference);
        same = false;
      }
      if (!(difference <= largest)) largest = difference, where = path;
    }
  }
  for (const auto& [path, weight] : right.weights)
    if (!left.weights.contains(path)) {
      std::cout << fmt::format("+ weight {} {}\n", path, weight.shape());
      same = false;
    }
  if (same && largest > 0)
    std::cout << fmt::format("the same; the largest difference of a weight is {:.3g}, in {}\n",
                             largest, where);
  std::cout << std::flush;
  return same ? 0 : 1;
}

}  // namespace keratin::cli
