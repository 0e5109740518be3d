// What Keras exports (tests/golden/keras_classes.json, made by tools/keras_classes.py) is
// registered here, or stands in one of two tables of docs/coming-from-keras.md, and never both.

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

#include <keratin/io/file.h>
#include <keratin/io/json.h>
#include <keratin/keratin.h>

#include "error_of.h"

TEST_SUITE_BEGIN("documents");

namespace keratin {
namespace {

// Callbacks have no registry: this compiles where the classes are.
template <class C>
const char* known_callback(const char* name) {
  static_assert(sizeof(C) > 0);
  return name;
}
const std::set<std::string> callbacks{
    known_callback<BackupAndRestore>("BackupAndRestore"),
    known_callback<Callback>("Callback"),
    known_callback<CSVLogger>("CSVLogger"),
    known_callback<EarlyStopping>("EarlyStopping"),
    known_callback<History>("History"),
    known_callback<LambdaCallback>("LambdaCallback"),
    known_callback<LearningRateScheduler>("LearningRateScheduler"),
    known_callback<ModelCheckpoint>("ModelCheckpoint"),
    known_callback<ReduceLROnPlateau>("ReduceLROnPlateau"),
    known_callback<TensorBoard>("TensorBoard"),
    known_callback<TerminateOnNaN>("TerminateOnNaN")};

/// Whether one of the ways to make an object knows the name. Other errors than that, such as one
/// about arguments, come from a class that is known.
template <class... Ways>
bool knows(const std::string& name, const Ways&... ways) {
  auto known = [&](const std::function<void(const std::string&)>& way) {
    return error_of([&] { way(name); }).find("unknown") == std::string::npos;
  };
  return (known(ways) || ...);
}

bool is_registered(const std::string& module, const std::string& name) {
  if (module == "callbacks") return callbacks.contains(name);
  if (module == "layers")
    return knows(name, [](const std::string& n) { layer_from_config(n, {}); });
  if (module == "metrics")
    return knows(
        name, [](const std::string& n) { AnyMetric::from_config(n, {}); },
        [](const std::string& n) { AnyMetric metric = n; });
  if (module == "losses")
    return knows(
        name, [](const std::string& n) { Loss::from_config(n, {}); },
        [](const std::string& n) { Loss loss = n; });
  if (module == "optimizers")
    return knows(name, [](const std::string& n) { AnyOptimizer::from_config(n, {}); });
  if (module == "optimizers.schedules")
    return knows(name, [](const std::string& n) { schedule_from_config(n, {}); });
  if (module == "initializers")
    return knows(name, [](const std::string& n) { Initializer::from_config(n, {}); });
  if (module == "regularizers")
    return knows(name, [](const std::string& n) { Regularizer::from_config(n, {}); });
  if (module == "constraints")
    return knows(name, [](const std::string& n) { Constraint::from_config(n, {}); });
  return knows(name, [](const std::string& n) { ActivationFunction activation = n; });
}

/// `module.Name` in the first column of the tables under a heading.
std::set<std::string> names_under(const std::string& page, const std::string& heading) {
  const std::size_t start = page.find("\n## " + heading + "\n");
  REQUIRE_MESSAGE(start != std::string::npos, heading);
  const std::string section = page.substr(start, page.find("\n## ", start + 4) - start);
  std::set<std::string> names;
  for (std::size_t line = section.find("\n| "); line != std::string::npos;
       line = section.find("\n| ", line + 1)) {
    const std::string cell = section.substr(line + 3, section.find(" |", line + 3) - line - 3);
    for (std::size_t i = cell.find('`'); i != std::string::npos; i = cell.find('`', i + 1)) {
      const std::size_t end = cell.find('`', i + 1);
      const std::string name = cell.substr(i + 1, end - i - 1);
      CHECK_MESSAGE(names.insert(name).second, "stands twice under ", heading, ": ", name);
      i = end;
    }
  }
  return names;
}

}  // namespace

TEST_CASE("what Keras exports is here, or the page for those who come from Keras says why not") {
  const std::string file = KERATIN_SOURCE_DIR "/tests/golden/keras_classes.json";
  const std::string page = read_file(KERATIN_SOURCE_DIR "/docs/coming-from-keras.md");
  std::set<std::string> listed = names_under(page, "Under another name");
  for (const std::string& name : names_under(page, "What is missing"))
    CHECK_MESSAGE(listed.insert(name).second, "stands in both tables: ", name);
  std::set<std::string> exported;
  const Option all = parse_json(read_file(file), file);
  for (const auto& [module, names] : std::get<Config>(all))
    for (const Option& option : std::get<std::vector<Option>>(names)) {
      const auto& name = std::get<std::string>(option);
      const std::string full = module + "." + name;
      exported.insert(full);
      const bool registered = is_registered(module, name);
      CHECK_MESSAGE((registered || listed.contains(full)), "neither here nor in a table: ", full);
      CHECK_MESSAGE(!(registered && listed.contains(full)), "is here, but in a table: ", full);
    }
  for (const std::string& name : listed)
    CHECK_MESSAGE(exported.contains(name), "in a table, but not in Keras: ", name);
}

}  // namespace keratin

TEST_SUITE_END();
