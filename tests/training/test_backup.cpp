// BackupAndRestore: what is interrupted and begun again ends like what was not, to the last bit.

#include <doctest/doctest.h>

#include <barrier>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <keratin/io/file.h>
#include <keratin/keratin.h>
#include <keratin/training/internal/signals.h>

#include "error_of.h"
#include "on_processor.h"
#include "temporary_directory.h"

using namespace keratin;

namespace {

constexpr int epochs = 6, steps = 7;  // of 27 samples in batches of 4

/// What a run leaves: compared as bytes.
struct Result {
  std::string history, log;
  std::vector<Tensor> weights;
};

bool same(const Result& a, const Result& b) {
  bool equal = a.history == b.history && a.log == b.log && a.weights.size() == b.weights.size();
  for (std::size_t i = 0; equal && i < a.weights.size(); ++i)
    equal = a.weights[i].shape() == b.weights[i].shape() &&
            a.weights[i].to_vector<float>() == b.weights[i].to_vector<float>();
  return equal;
}

std::string text_of(const History& history) {
  std::string text;
  for (const std::string& name : history.names()) {
    text += name;
    for (double value : history[name]) {
      char digits[40];
      std::snprintf(digits, sizeof digits, " %a", value);
      text += digits;
    }
    text += "\n";
  }
  return text;
}

/// While it lives, signals have their usual effect, not that of the test framework.
class UsualSignals {
 public:
  UsualSignals() : terminate_(std::signal(SIGTERM, SIG_DFL)), stop_(std::signal(SIGINT, SIG_DFL)) {}
  ~UsualSignals() {
    std::signal(SIGTERM, terminate_);
    std::signal(SIGINT, stop_);
  }

 private:
  void (*terminate_)(int), (*stop_)(int);
};

struct Stop : std::runtime_error {
  using runtime_error::runtime_error;
};

struct Setting {
  std::string folder;
  BackupAndRestore::Options backup = {};
  std::function<void(int step)> after_step = {};  ///< counted through all epochs of a process
  int batch_size = 4;
  bool dataset = false;
  std::string optimizer = "adam";
  OnSignal on_signal = OnSignal::end_process;
  int units = 5;
};

/// A model with all that has a state: noise, statistics, averaged weights, a rate that changes,
/// weights that are kept, and metrics of several kinds.
Result train(const Setting& setting) {
  set_random_seed(7);
  const Tensor x = default_random().normal({27, 3, 4}), y = (sum(x, {1, 2}) > 0.0).astype(int32);
  Sequential model(
      {InputLayer({3, 4}, {.name = "x"}),
       LSTM(setting.units, {.recurrent_dropout = 0.1, .name = "lstm"}), Dropout(0.3, {.seed = 3}),
       BatchNormalization(), Dense(1, {.activation = "sigmoid"})},
      "model");

  Adam adam({.learning_rate = 0.01, .use_ema = true, .gradient_accumulation_steps = 2});
  model.compile({.optimizer = setting.optimizer == "adam" ? AnyOptimizer(adam)
                                                          : AnyOptimizer(setting.optimizer),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy", AUC({.exact = true}), Precision(),
                             AUC({.num_thresholds = 20, .name = "coarse"})}});
  int step = 0;
  LambdaCallback after({.on_train_batch_end = [&](int, const Logs&) {
    if (setting.after_step) setting.after_step(step);
    ++step;
  }});
  FitOptions options{
      .batch_size = setting.batch_size,
      .epochs = epochs,
      .verbose = 0,
      .callbacks = {BackupAndRestore(setting.folder + "/backup", setting.backup),
                    EarlyStopping(
                        {.monitor = "loss", .patience = 10, .restore_best_weights = true}),
                    ReduceLROnPlateau({.monitor = "loss", .factor = 0.7, .patience = 1}),
                    CSVLogger(setting.folder + "/log.csv"),
                    ModelCheckpoint(setting.folder + "/best.npz",
                                    {.monitor = "loss", .save_best_only = true}),
                    after},
      .on_signal = setting.on_signal};
  const Tensor held = x.reshape({27, 3, 4});
  options.validation_data = {held, y};
  History history;
  if (setting.dataset) {
    options.steps_per_epoch = 5;  // an epoch begins where the one before ended
    history = model.fit(Dataset::from_tensors({x}, {y}).shuffle(10, 3).batch(4), options);
  } else {
    history = model.fit(x, y, options);
  }
  return {text_of(history), read_file(setting.folder + "/log.csv"), model.get_weights()};
}

Setting stopping_after(const Setting& setting, int step) {
  Setting stopped = setting;
  stopped.after_step = [step](int now) {
    if (now == step) throw Stop("here");
  };
  return stopped;
}

}  // namespace

TEST_SUITE_BEGIN("training");

TEST_CASE("training that goes on from a backup ends like training without interruption") {
  const TemporaryDirectory whole;
  const Result expected = train({.folder = whole / "."});
  for (int save_freq : {0, 1, 3}) {
    for (int step : {0, 1, 6, 7, 20, 30, 41}) {
      CAPTURE(save_freq);
      CAPTURE(step);
      const TemporaryDirectory folder;
      const Setting setting{.folder = folder / ".", .backup = {.save_freq = save_freq}};
      CHECK_THROWS_AS(train(stopping_after(setting, step)), Stop);
      CHECK(same(train(setting), expected));
      CHECK(!std::filesystem::exists(folder / "backup"));
    }
  }
}

TEST_CASE("a dataset goes on from a backup, too, and so does training interrupted again") {
  const TemporaryDirectory whole;
  Setting setting{
      .folder = whole / ".", .backup = {.save_freq = 2}, .dataset = true, .optimizer = "nadam"};
  const Result expected = train(setting);
  const TemporaryDirectory folder;
  setting.folder = folder / ".";
  for (int step : {3, 8, 5}) CHECK_THROWS_AS(train(stopping_after(setting, step)), Stop);
  CHECK(same(train(setting), expected));
}

TEST_CASE("a backup that does not fit is refused, and stays") {
  const TemporaryDirectory folder;
  const Setting setting{.folder = folder / ".", .backup = {.save_freq = 1}};
  CHECK_THROWS_AS(train(stopping_after(setting, 10)), Stop);
  const std::string path = folder / "./backup/latest.npz", bytes = read_file(path);
  Setting other = setting;
  other.batch_size = 5;
  CHECK(error_of([&] { train(other); }) ==
        path + ": it is of 27 samples in batches of 4, not of 27 in batches of 5");
  other = setting;
  other.units = 6;
  CHECK(error_of([&] { train(other); }) ==
        path + ": model/lstm/lstm_cell/kernel: expected (4, 24), found (4, 20)");
  other = setting;
  other.optimizer = "sgd";
  CHECK(error_of([&] { train(other); }) == path + ": the optimizer was Adam, and is SGD");
  CHECK(read_file(path) == bytes);
}

TEST_CASE("a damaged backup is an error, unless the one before is kept") {
  const TemporaryDirectory folder, whole;
  Setting setting{.folder = folder / ".", .backup = {.save_freq = 1}};
  CHECK_THROWS_AS(train(stopping_after(setting, 10)), Stop);
  const std::string path = folder / "./backup/latest.npz";
  write_file(path, read_file(path).substr(0, 500));
  CHECK(error_of([&] { train(setting); }).find(path) == 0);

  const TemporaryDirectory again;
  setting = {.folder = again / ".", .backup = {.save_freq = 1, .double_checkpoint = true}};
  CHECK_THROWS_AS(train(stopping_after(setting, 10)), Stop);
  write_file(again / "./backup/latest.npz", "");
  CHECK(same(train(setting), train({.folder = whole / "."})));
}

TEST_CASE("options of BackupAndRestore") {
  CHECK(error_of([] { BackupAndRestore(""); }) == "BackupAndRestore: backup_dir is empty");
  CHECK(error_of([] { BackupAndRestore("b", {.save_freq = -1}); }) ==
        "BackupAndRestore: expected save_freq of at least 0, got -1");
  Sequential model{Dense(1)};
  model.compile({.loss = "mse"});
  CHECK(
      error_of([&] {
        model.fit(ones({2, 2}), ones({2, 1}), {.verbose = 0, .callbacks = {BackupAndRestore("b")}});
      }).find("BackupAndRestore: the model is not built") != std::string::npos);

  const TemporaryDirectory folder;
  const Setting setting{.folder = folder / ".", .backup = {.delete_checkpoint = false}};
  train(setting);
  CHECK(std::filesystem::exists(folder / "backup/latest.npz"));
  write_file(folder / "backup/other", "stays");
  train({.folder = folder / "."});
  CHECK(!std::filesystem::exists(folder / "backup/latest.npz"));
  CHECK(read_file(folder / "backup/other") == "stays");
}

// --- processes that end

namespace {

/// Runs a test case that is skipped otherwise in a process of its own; its status, as waitpid
/// gives it.
int run_child(const std::string& name, const std::string& folder, int step, int signal) {
  ::setenv("KERATIN_CHILD_FOLDER", folder.c_str(), 1);
  ::setenv("KERATIN_CHILD_STEP", std::to_string(step).c_str(), 1);
  ::setenv("KERATIN_CHILD_SIGNAL", std::to_string(signal).c_str(), 1);
  const std::string test = "--test-case=" + name;
  const char* arguments[] = {"keratin_tests", test.c_str(), "--no-skip", nullptr};
  posix_spawn_file_actions_t quiet;
  ::posix_spawn_file_actions_init(&quiet);
  for (int stream : {1, 2})
    ::posix_spawn_file_actions_addopen(&quiet, stream, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, "/proc/self/exe", &quiet, nullptr,
                                  const_cast<char* const*>(arguments), environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  REQUIRE(error == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

TEST_CASE("child: trains and sends itself a signal" * doctest::skip()) {
  const std::string folder = environment("KERATIN_CHILD_FOLDER");
  const int step = std::atoi(environment("KERATIN_CHILD_STEP").c_str());
  const int signal = std::atoi(environment("KERATIN_CHILD_SIGNAL").c_str());
  const UsualSignals usual;
  const Result result =
      train({.folder = folder, .backup = {.save_freq = 2}, .after_step = [&](int now) {
               if (now == step) std::raise(signal);
             }});
  std::vector<std::pair<std::string, Tensor>> weights;
  for (std::size_t i = 0; i < result.weights.size(); ++i)
    weights.emplace_back(std::to_string(i), result.weights[i]);
  save_npz(folder + "/weights.npz", weights);
  write_file(folder + "/history.txt", result.history);
}

TEST_CASE("a process killed at any step goes on when it is started again" * on_processor()) {
  const char* child = "child: trains and sends itself a signal";
  const TemporaryDirectory whole;
  REQUIRE(run_child(child, whole / ".", -1, SIGKILL) == 0);
  Random random(11);
  for (int round = 0; round < 20; ++round) {
    const TemporaryDirectory folder;
    const int step = static_cast<int>(random.integers({}, 0, epochs * steps).item());
    CAPTURE(step);
    const int status = run_child(child, folder / ".", step, SIGKILL);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(run_child(child, folder / ".", -1, SIGKILL) == 0);
    for (const char* file : {"weights.npz", "history.txt", "log.csv", "best.npz"}) {
      CAPTURE(file);
      CHECK(read_file(folder / file) == read_file(whole / file));
    }
  }
}

TEST_CASE("Ctrl-C and SIGTERM finish the batch, back up, and end the process" * on_processor()) {
  const char* child = "child: trains and sends itself a signal";
  const TemporaryDirectory whole;
  REQUIRE(run_child(child, whole / ".", -1, SIGKILL) == 0);
  for (int signal : {SIGINT, SIGTERM}) {
    const TemporaryDirectory folder;
    const int status = run_child(child, folder / ".", 16, signal);
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
    Snapshot backup(load_npz(folder / "backup/latest.npz"), "backup");
    int epoch = 0, step = 0;
    backup.field("epoch", epoch);
    backup.field("step", step);
    CHECK(epoch == 2);  // the signal came after step 16 = 2 * 7 + 2
    CHECK(step == 3);
    REQUIRE(run_child(child, folder / ".", -1, SIGKILL) == 0);
    CHECK(read_file(folder / "weights.npz") == read_file(whole / "weights.npz"));
  }
}

TEST_CASE("a signal that comes to two threads at once is one signal") {
  for (int i = 0; i < 300; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const UsualSignals usual;
      const NotedSignals signals(true);
      std::barrier both(2);
      auto raise = [&] {
        both.arrive_and_wait();
        std::raise(SIGINT);
      };
      std::thread other(raise);
      raise();
      other.join();
      std::_Exit(signals.received() == SIGINT ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
  }
}

TEST_CASE("a program may have fit throw for a signal, or handle it itself") {
  const UsualSignals usual;
  const TemporaryDirectory folder;
  Setting setting{.folder = folder / ".", .after_step = [](int step) {
                    if (step == 8) std::raise(SIGTERM);
                  }};
  setting.on_signal = OnSignal::raise_error;
  int signal = 0;
  try {
    train(setting);
  } catch (const Interrupted& error) {
    signal = error.signal();
    CHECK(std::string(error.what()) == "fit: interrupted in epoch 2, after 2 batches");
  }
  CHECK(signal == SIGTERM);
  struct sigaction now {};
  ::sigaction(SIGTERM, nullptr, &now);
  CHECK((now.sa_handler == SIG_DFL));

  static volatile std::sig_atomic_t handled = 0;
  std::signal(SIGTERM, [](int) { handled = handled + 1; });
  const TemporaryDirectory other;
  setting.folder = other / ".";
  train(setting);
  CHECK(handled == 1);
}

TEST_CASE("a number that cannot be in a backup is refused, and never believed") {
  const TemporaryDirectory folder;
  Setting setting{.folder = folder / ".", .backup = {.save_freq = 1}, .after_step = [](int step) {
                    if (step == 8) throw Stop("stop");
                  }};
  CHECK_THROWS_AS(train(setting), Stop);
  const std::string path = folder / "backup/latest.npz";
  const auto good = load_npz(path);
  auto with = [&](const std::string& ending, const Tensor& value) {
    auto arrays = good;
    int changed = 0;
    for (auto& [name, array] : arrays)
      if (name.ends_with(ending)) array = value, ++changed;
    CHECK(changed > 0);
    save_npz(path, {arrays.begin(), arrays.end()});
    return error_of([&] { train(setting); });
  };
  auto numbers = [](const std::vector<double>& list) {
    return tensor(list, {static_cast<std::int64_t>(list.size())}, float64, Device());
  };
  CHECK(with("history/epochs", numbers({1e300})).find("the history has an epoch") !=
        std::string::npos);
  CHECK(with("source/next", numbers({4294967295.0, 4294967291.0})).find("sample -5 is next") !=
        std::string::npos);
  CHECK(with("source/order", zeros({3}, int32)).find("the order of 27 samples") !=
        std::string::npos);
  CHECK(with("/lists", numbers({3})).find("do not fit each other") != std::string::npos);
  CHECK(with("/sums", numbers({3})).find("/sums\": expected float64") != std::string::npos);
}

TEST_CASE("an interruption has ModelCheckpoint save, unless it keeps only the best") {
  const UsualSignals usual;
  const TemporaryDirectory folder;
  Sequential model{Dense(1, {.input_shape = Shape{2}})};
  model.compile({.loss = "mse"});
  auto fit = [&](const ModelCheckpoint& checkpoint) {
    model.fit(
        ones({8, 2}), ones({8, 1}),
        {.batch_size = 2,
         .verbose = 0,
         .callbacks = {ModelCheckpoint(checkpoint), LambdaCallback({.on_train_batch_end =
                                                                        [](int batch, const Logs&) {
                                                                          if (batch == 1)
                                                                            std::raise(SIGINT);
                                                                        }})},
         .on_signal = OnSignal::raise_error});
  };
  CHECK_THROWS_AS(fit(ModelCheckpoint(folder / "{epoch}.npz")), Interrupted);
  CHECK(std::filesystem::exists(folder / "1.npz"));
  CHECK_THROWS_AS(
      fit(ModelCheckpoint(folder / "best.npz", {.monitor = "loss", .save_best_only = true})),
      Interrupted);
  CHECK(!std::filesystem::exists(folder / "best.npz"));
}

TEST_SUITE_END();
