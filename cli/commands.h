// What the command line does, one function for each of its commands. Each returns the exit code
// and throws for what goes wrong.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace keratin::cli {

struct FitArguments {
  std::string model, data;
  int epochs = 1;
  int batch_size = 32;
  bool no_shuffle = false;
  std::optional<std::uint64_t> seed = {};
  double validation_split = 0;
  std::string validation_data = {};
  std::string optimizer = {};  ///< these four replace what the file says
  std::optional<double> learning_rate = {};
  std::string loss = {};
  std::vector<std::string> metrics = {};
  std::optional<int> early_stopping = {};  ///< patience
  std::string checkpoint = {}, backup = {};
  std::string out = {}, history = {}, report = {}, tensorboard = {};
};

struct ExportArguments {
  std::string model, out;
  std::string samples = {};  ///< a data file
  std::string name = {};
  int max_steps = 0;
};

int summary(const std::string& model);
int predict(const std::string& model, const std::string& input, const std::string& out,
            int batch_size);
int evaluate(const std::string& model, const std::string& data, int batch_size);
int fit(const FitArguments& arguments);
/// 1 when a gradient is wrong.
int gradcheck(const std::string& model, const std::string& data, int samples);
/// Draws the model.
int plot(const std::string& model, const std::string& out);
/// In a format that the ending of `out` says.
int export_model(const ExportArguments& arguments);
int convert(const std::string& from, const std::string& to);
/// 0 when both are the same, 1 when they differ.
int diff(const std::string& a, const std::string& b, double tolerance);

}  // namespace keratin::cli
