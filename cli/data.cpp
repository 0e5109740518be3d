#include <algorithm>
#include <filesystem>
#include <iostream>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>
#include <keratin/io/csv.h>
#include <keratin/io/npy.h>
#include <keratin/io/npz.h>

#include <keratin/cli/data.h>

namespace keratin::cli {
namespace {

std::string extension_of(const std::string& path) {
  return std::filesystem::path(path).extension().string();
}

/// One array, several by number, or several by the names of what they are for.
Arrays arrays_for(const std::map<std::string, Tensor>& all, const std::string& prefix,
                  const std::vector<std::string>& names) {
  if (auto found = all.find(prefix); found != all.end()) return Arrays(found->second);
  Tensors numbered;
  for (auto next = all.find(prefix + "_0"); next != all.end();
       next = all.find(prefix + "_" + std::to_string(numbered.size())))
    numbered.push_back(next->second);
  if (!numbered.empty()) return Arrays(numbered);
  std::map<std::string, Tensor> named;
  for (const std::string& name : names)
    if (auto found = all.find(name); found != all.end()) named.insert(*found);
  return named.empty() ? Arrays() : Arrays(named);
}

DataFile from_npz(const std::string& path, const Model& model) {
  const std::map<std::string, Tensor> all = load_npz(path);
  DataFile data;
  data.x = arrays_for(all, "x", model.input_names());
  data.y = arrays_for(all, "y", model.output_names());
  data.sample_weight = arrays_for(all, "sample_weight", {});
  data.predictions = arrays_for(all, "p", {});
  return data;
}

DataFile from_csv(const std::string& path, const Model& model, bool targets) {
  const Csv table = load_csv(path);
  auto column = [&](const std::string& name) {
    const auto found = std::ranges::find(table.columns, name);
    return found == table.columns.end() ? -1 : static_cast<int>(found - table.columns.begin());
  };
  const auto width = static_cast<int>(table.columns.size());
  const int weight = column("sample_weight");
  int target = column("y");
  if (target < 0 && targets) target = weight == width - 1 ? width - 2 : width - 1;
  std::vector<int> inputs;
  for (int i = 0; i < width; ++i)
    if (i != target && i != weight) inputs.push_back(i);
  if (inputs.empty() || table.values.size(0) == 0)
    fail_io("{}: expected a header, rows, and columns of inputs", path);
  auto values = [&](std::vector<int> columns) {
    std::vector<std::int32_t> numbers(columns.begin(), columns.end());
    return take(table.values, tensor(numbers), 1).astype(floatx());
  };
  // A table is what the first input is when its axes are one.
  Shape shape = model.input_shape();
  Tensor x = values(inputs);
  if (shape.rank() > 2) {
    shape[0] = x.size(0);
    if (std::ranges::find(shape, None) == shape.end() && shape.numel() == x.numel())
      x = reshape(x, shape);
  }
  DataFile data;
  data.x = x;
  if (target >= 0) data.y = values({target});
  if (weight >= 0) data.sample_weight = reshape(values({weight}), {-1});
  return data;
}

}  // namespace

DataFile load_data(const std::string& path, const Model& model, bool targets) {
  const std::string extension = extension_of(path);
  DataFile data;
  if (extension == ".npz")
    data = from_npz(path, model);
  else if (extension == ".npy")
    data.x = load_npy(path);
  else if (extension == ".csv")
    data = from_csv(path, model, targets);
  else
    fail_io("{}: expected a .npz, .npy or .csv file", path);
  if (data.x.empty())
    fail_io("{}: expected an array \"x\", or \"x_0\", \"x_1\", ..., or {}", path,
            fmt::join(model.input_names(), ", "));
  if (targets && data.y.empty())
    fail_io("{}: expected an array \"y\", or \"y_0\", \"y_1\", ..., or {}", path,
            fmt::join(model.output_names(), ", "));
  return data;
}

void save_predictions(const std::string& path, const Tensors& predictions) {
  const bool single = predictions.size() == 1;
  const std::string extension = path == "-" ? ".csv" : extension_of(path);
  if (extension == ".npz") {
    std::vector<std::pair<std::string, Tensor>> arrays;
    for (std::size_t i = 0; i < predictions.size(); ++i)
      arrays.emplace_back(single ? "y" : "y_" + std::to_string(i), predictions[i]);
    return save_npz(path, arrays);
  }
  if (!single)
    fail_io("{}: the model has {} outputs, which need a .npz file", path, predictions.size());
  if (extension == ".npy") return save_npy(path, predictions[0]);
  if (extension != ".csv") fail_io("{}: expected a .npz, .npy or .csv file", path);
  const Tensor rows = reshape(predictions[0], {predictions[0].size(0), -1});
  std::vector<std::string> columns;
  for (std::int64_t i = 0; i < rows.size(1); ++i) columns.push_back(fmt::format("y_{}", i));
  if (path != "-") return save_csv(path, columns, rows);
  std::cout << format_csv(columns, rows) << std::flush;
}

}  // namespace keratin::cli
