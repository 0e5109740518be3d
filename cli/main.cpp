// keratin: what can be done with a model file without writing a program.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>

#include <keratin/cli/commands.h>
#include <keratin/cli/shell.h>

using namespace keratin::cli;

namespace {

constexpr int wrong_usage = 2;

/// What a number must be, said in words.
template <class Rule>
CLI::Validator number(const char* wanted, Rule rule) {
  return {[=](const std::string& text) {
            double value = 0;
            return CLI::detail::lexical_cast(text, value) && rule(value)
                       ? std::string()
                       : std::string("expected a number ") + wanted + ", got " + text;
          },
          ""};
}
const CLI::Validator above_zero = number("above 0", [](double value) { return value > 0; });
const CLI::Validator at_least_zero =
    number("of at least 0", [](double value) { return value >= 0; });

constexpr const char* examples = R"(Examples:
  keratin summary model.keras
  keratin predict model.keras samples.npz -o predictions.npy
  keratin evaluate model.keras test.npz
  keratin fit model.keras train.npz --epochs 20 --validation-split 0.1 -o trained.keras
  keratin diff model.keras trained.keras
  keratin convert trained.keras trained.weights.h5
  keratin export trained.keras -o trained.c
  keratin export trained.keras -o trained.onnx

Data: .npz with arrays x and y (of several inputs or outputs x_0, x_1, ..., or their names; and
sample_weight), .npy with x alone, .csv with a header, where column y or the last one is the target.
Exit codes: 0 done; 1 an error, a difference, a wrong gradient; 2 wrong usage; 130 and 143 when
Ctrl-C or SIGTERM ended fit, which first finishes its batch and saves the model so far.)";

/// One line, whatever an error has to say.
std::string in_one_line(const std::string& text) {
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') {
      line += text[i];
      continue;
    }
    while (i + 1 < text.size() && text[i + 1] == ' ') ++i;
    line += line.ends_with(':') ? " " : "; ";
  }
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains, runs, compares and converts models in Keras's files.", "keratin");
  app.require_subcommand(1);
  app.footer(examples);
  app.set_version_flag("--version", KERATIN_VERSION);
  app.get_formatter()->column_width(34);
  // For who installs the command.
  auto prints = [&](const char* flag, const std::function<std::string()>& text) {
    auto print = [text] {
      std::cout << text() << std::flush;
      throw CLI::Success();
    };
    app.add_flag_callback(flag, print)->group("");
  };
  prints("--man", [&] { return man_page(app, KERATIN_VERSION); });
  prints("--completion", [&] { return bash_completion(app); });
  std::function<int()> command;
  std::string model, data, out = "-", other, picture = "model.svg";
  int batch_size = 32, samples = 4;
  double tolerance = 0;
  FitArguments fit_arguments;
  ExportArguments export_arguments;

  auto add = [&](const char* name, const char* description, std::function<int()> run) {
    CLI::App* sub = app.add_subcommand(name, description);
    sub->callback([&command, run = std::move(run)] { command = run; });
    return sub;
  };
  auto with_batch_size = [&](CLI::App* sub, int& size) {
    sub->add_option("--batch-size", size, "samples at a time")
        ->capture_default_str()
        ->check(above_zero);
  };

  CLI::App* sub =
      add("summary", "Print the layers and their sizes", [&] { return summary(model); });
  sub->add_option("MODEL", model, "a .keras or .h5 file")->required();

  sub = add("predict", "Write the model's outputs",
            [&] { return predict(model, data, out, batch_size); });
  sub->add_option("MODEL", model, "a .keras or .h5 file")->required();
  sub->add_option("INPUT", data, "samples: .npz, .npy or .csv")->required();
  sub->add_option("-o,--out", out, ".npy, .npz or .csv; - prints CSV")->capture_default_str();
  with_batch_size(sub, batch_size);

  sub =
      add("evaluate", "Print loss and metrics", [&] { return evaluate(model, data, batch_size); });
  sub->add_option("MODEL", model, "a compiled .keras or .h5 file")->required();
  sub->add_option("DATA", data, "samples and targets")->required();
  with_batch_size(sub, batch_size);

  sub = add("fit", "Train the model", [&] { return fit(fit_arguments); });
  sub->add_option("MODEL", fit_arguments.model, "a .keras or .h5 file")->required();
  sub->add_option("DATA", fit_arguments.data, "samples and targets")->required();
  sub->add_option("--epochs", fit_arguments.epochs, "times through the data")
      ->capture_default_str()
      ->check(above_zero);
  with_batch_size(sub, fit_arguments.batch_size);
  sub->add_flag("--no-shuffle", fit_arguments.no_shuffle, "take the samples in their order");
  sub->add_option("--seed", fit_arguments.seed, "of all random numbers");
  sub->add_option("--validation-split", fit_arguments.validation_split,
                  "the share at the end of the data that is held back")
      ->check(CLI::Range(0.0, 1.0));
  sub->add_option("--validation-data", fit_arguments.validation_data, "a file to validate with");
  sub->add_option("--optimizer", fit_arguments.optimizer, "in place of the file's, as adam");
  sub->add_option("--learning-rate", fit_arguments.learning_rate, "in place of the file's");
  sub->add_option("--loss", fit_arguments.loss, "in place of the file's, as mse");
  sub->add_option("--metrics", fit_arguments.metrics, "in place of the file's, as mae,accuracy")
      ->delimiter(',');
  sub->add_option("--early-stopping", fit_arguments.early_stopping,
                  "epochs to wait for a better loss; the best weights are kept")
      ->check(at_least_zero);
  sub->add_option("--checkpoint", fit_arguments.checkpoint, "a .keras file for the best epoch");
  sub->add_option("--backup", fit_arguments.backup,
                  "a folder: fit goes on from the backup in it, and keeps one there while it runs");
  sub->add_option("-o,--out", fit_arguments.out, "the trained model: a .keras file");
  sub->add_option("--history", fit_arguments.history, "a .csv file with a row for each epoch");
  sub->add_option("--report", fit_arguments.report, "an .html file with the curves");
  sub->add_option("--tensorboard", fit_arguments.tensorboard, "a folder for TensorBoard");

  sub = add("gradcheck", "Compare the gradients with numeric ones",
            [&] { return gradcheck(model, data, samples); });
  sub->add_option("MODEL", model, "a compiled .keras or .h5 file")->required();
  sub->add_option("DATA", data, "samples and targets")->required();
  sub->add_option("--samples", samples, "how many to use")
      ->capture_default_str()
      ->check(above_zero);

  sub = add("convert", "Write a model in another format", [&] { return convert(model, other); });
  sub->add_option("FROM", model, ".keras, .h5 or .json")->required();
  sub->add_option("TO", other, ".keras; weights as .weights.h5, .h5 or .npz; .json")->required();

  sub = add("plot", "Draw the layers and how they are connected",
            [&] { return plot(model, picture); });
  sub->add_option("MODEL", model, ".keras, .h5 or .json")->required();
  sub->add_option("-o,--out", picture, "an .svg file")->capture_default_str();

  sub = add("export", "Write the model for other programs",
            [&] { return export_model(export_arguments); });
  sub->add_option("MODEL", export_arguments.model, "a .keras or .h5 file")->required();
  sub->add_option("-o,--out", export_arguments.out,
                  "an .onnx file, or a .c file: C99 that needs no library")
      ->required();
  sub->add_option("--max-steps", export_arguments.max_steps,
                  "where the size of an axis is not fixed: the largest it may have")
      ->check(above_zero);
  sub->add_option("--name", export_arguments.name, "of the C functions, in place of the file's");
  sub->add_option("--samples", export_arguments.samples,
                  "data for the test in the C file, in place of random numbers; a .npz file may "
                  "have what is to come out as p, or p_0, p_1, ...");

  sub = add("diff", "Compare two models: layers, shapes, weights",
            [&] { return diff(model, other, tolerance); });
  sub->add_option("A", model, ".keras, .h5 or .json")->required();
  sub->add_option("B", other, ".keras, .h5 or .json")->required();
  sub->add_option("--tolerance", tolerance, "by which weights may differ")->capture_default_str();

  auto is_meant = [&](const CLI::App* known) { return known->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_meant).empty()) {
    std::cerr << "keratin: unknown command \"" << argv[1] << "\"; see keratin --help\n";
    return wrong_usage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;  // for help or the version
    if (!asked) {
      std::cerr << "keratin: " << in_one_line(error.what()) << "; see keratin --help\n";
      return wrong_usage;
    }
    return app.exit(error);
  }
  std::signal(SIGPIPE, SIG_DFL);  // as in a pipe into head
  try {
    return command();
  } catch (const std::exception& error) {
    std::cerr << "keratin: " << in_one_line(error.what()) << '\n';
    return 1;
  }
}
