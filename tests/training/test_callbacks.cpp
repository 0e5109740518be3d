// The expected numbers and messages are those of Keras 3.15.1 for the same values.
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include <keratin/core/create.h>
#include <keratin/io/csv.h>
#include <keratin/io/file.h>
#include <keratin/io/npz.h>
#include <keratin/layers/dense.h>
#include <keratin/optim/metrics.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/callbacks.h>
#include <keratin/training/sequential.h>

#include "error_of.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("training");

using namespace keratin;

namespace {

using Values = std::vector<double>;

// What a stream says while this lives.
class Captured {
 public:
  explicit Captured(std::ostream& stream) : stream_(stream), old_(stream.rdbuf(text_.rdbuf())) {}
  ~Captured() { stream_.rdbuf(old_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::ostream& stream_;
  std::streambuf* old_;
};

// A model with one weight.
struct Scale : Model {
  void build(const Shape&) override { s = add_weight("s", {1}, "zeros"); }
  Tensor call(const Tensor& x) override { return x * s; }
  Weight s;
};

Scale compiled_scale() {
  Scale model;
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  model.ensure_built({None, 1});
  return model;
}

// What fit would do in epochs that give these values; the weight is the epoch's number.
int train(Model& model, Callback& callback, const Values& values,
          const std::string& monitor = "val_loss") {
  model.stop_training = false;
  callback.attach(model, {static_cast<int>(values.size()), 1, 0});
  callback.on_train_begin();
  int epoch = 0;
  Logs logs;
  while (epoch < static_cast<int>(values.size()) && !model.stop_training) {
    callback.on_epoch_begin(epoch);
    model.set_weights({full({1}, epoch)});
    logs = {{monitor, values[static_cast<std::size_t>(epoch)]}};
    callback.on_epoch_end(epoch++, logs);
  }
  callback.on_train_end(logs);
  return epoch;
}

}  // namespace

TEST_CASE("logs of a batch are found when they are looked at, and a copy looks") {
  int looks = 0;
  auto make = [&] {
    return Logs([&looks] {
      ++looks;
      return Logs::Map{{"loss", 2.0}};
    });
  };
  {
    Logs never = make(), moved = std::move(never);
    CHECK(looks == 0);
  }
  Logs logs = make();
  CHECK(logs.at("loss") == 2);
  CHECK(logs["loss"] == 2);
  CHECK(looks == 1);
  const Logs later = make(), copy = later;
  CHECK(looks == 2);
  CHECK(copy == later);
  CHECK(looks == 2);
  CHECK(copy.find("loss")->second == 2);
  CHECK(copy.contains("loss"));
  CHECK(copy.count("accuracy") == 0);
  CHECK(copy.map() == std::map<std::string, double>{{"loss", 2.0}});
  CHECK_THROWS_AS(copy.at("accuracy"), std::out_of_range);
  logs["accuracy"] = 1;
  CHECK(logs.size() == 2);
  CHECK(logs.erase("loss") == 1);
  CHECK(logs == Logs{{"accuracy", 1.0}});
  CHECK(!(logs == later));
  CHECK(Logs().empty());
  double sum = 0;
  for (const auto& [name, value] : later) sum += value;
  for (auto& [name, value] : logs) sum += value;
  CHECK(sum == 3);
}

TEST_CASE("EarlyStopping stops when patience is over, and can restore the best weights") {
  Scale model = compiled_scale();
  EarlyStopping stopping({.patience = 2, .restore_best_weights = true});
  CHECK(train(model, stopping, {3, 2, 2.5, 2.4, 2.3, 1}) == 4);
  CHECK(stopping.stopped_epoch() == 3);
  CHECK(stopping.best_epoch() == 1);
  CHECK(stopping.best() == 2.0);
  CHECK(stopping.wait() == 2);
  CHECK(model.get_weights()[0].item() == 1);

  // Also when training ran to its end; and the object may be used again.
  CHECK(train(model, stopping, {3, 2, 2.5}) == 3);
  CHECK(stopping.stopped_epoch() == 0);
  CHECK(model.get_weights()[0].item() == 1);
}

TEST_CASE("EarlyStopping keeps the last weights unless told to restore") {
  Scale model = compiled_scale();
  EarlyStopping stopping;
  CHECK(train(model, stopping, {1, 1, 1}) == 2);
  CHECK(model.get_weights()[0].item() == 1);
  CHECK(train(model, stopping, {2, 1, 0.5}) == 3);
}

TEST_CASE("EarlyStopping: min_delta, baseline, mode, first epoch, NaN") {
  struct Case {
    EarlyStopping::Options options;
    Values values;
    int epochs, stopped, best_epoch;
  };
  const Case cases[] = {
      {{.min_delta = 0.1, .patience = 2}, {1, 0.95, 0.9, 0.8, 0.7}, 3, 2, 0},
      {{.patience = 2, .mode = "max"}, {0.5, 0.6, 0.55, 0.6, 0.9}, 4, 3, 1},
      {{.patience = 2, .baseline = 1.5}, {5, 4, 3, 2, 1}, 5, 0, 4},
      {{.patience = 3, .baseline = 1.5}, {5, 4, 1, 2, 1.2, 0.5}, 6, 0, 5},
      {{.patience = 1, .start_from_epoch = 2}, {1, 2, 3, 4, 5}, 4, 3, 2},
      {{.patience = 2}, {NAN, 1, 0.5}, 3, 0, 2},  // NaN is not the best
  };
  for (const Case& c : cases) {
    CAPTURE(c.values);
    Scale model = compiled_scale();
    EarlyStopping stopping(c.options);
    CHECK(train(model, stopping, c.values) == c.epochs);
    CHECK(stopping.stopped_epoch() == c.stopped);
    CHECK(stopping.best_epoch() == c.best_epoch);
  }
}

TEST_CASE("mode auto: a loss shrinks, a metric says itself, else it is an error") {
  Scale model = compiled_scale();
  model.compile({.loss = "mse", .metrics = {"accuracy", "mse"}});
  const std::map<std::string, int> expected{{"loss", 2}, {"val_accuracy", 3}, {"mse", 2}};
  for (const auto& [name, epochs] : expected) {
    const std::string monitor = name;
    CAPTURE(monitor);
    EarlyStopping stopping({.monitor = monitor});
    CHECK(train(model, stopping, {1, 2, 3}, monitor) == epochs);
  }
  EarlyStopping unknown({.monitor = "val_beauty"});
  CHECK(error_of([&] { train(model, unknown, {1}, "val_beauty"); }) ==
        "EarlyStopping: cannot tell whether \"val_beauty\" should grow or shrink: pass .mode = "
        "\"max\" or \"min\"");

  Captured err(std::cerr);
  EarlyStopping wrong({.mode = "down"});
  CHECK(err.text() == "Warning: EarlyStopping mode 'down' is unknown, fallback to auto mode.\n");
  CHECK(train(model, wrong, {1, 2, 3}) == 2);
}

TEST_CASE("a value that is not there is warned of once") {
  Scale model = compiled_scale();
  EarlyStopping stopping;
  Captured err(std::cerr);
  CHECK(train(model, stopping, {1, 2, 3}, "loss") == 3);
  CHECK(err.text() ==
        "Warning: Early stopping conditioned on metric `val_loss` which is not available. "
        "Available metrics are: loss\n");
}

TEST_CASE("ReduceLROnPlateau multiplies the learning rate by its factor") {
  auto rates = [](const ReduceLROnPlateau::Options& options, const Values& values) {
    Scale model = compiled_scale();
    ReduceLROnPlateau reduce(options);
    reduce.attach(model, {});
    reduce.on_train_begin();
    Values rates;
    for (double value : values) {
      const double before = model.optimizer().learning_rate();
      Logs logs{{"val_loss", value}};
      reduce.on_epoch_end(static_cast<int>(rates.size()), logs);
      CHECK(logs["learning_rate"] == before);
      rates.push_back(model.optimizer().learning_rate());
    }
    return rates;
  };
  CHECK(rates({.factor = 0.5, .patience = 2}, {1, 1, 1, 1, 1, 1}) ==
        Values{0.1, 0.1, 0.05, 0.05, 0.025, 0.025});
  CHECK(rates({.factor = 0.5, .patience = 1, .cooldown = 2}, {1, 1, 1, 1, 1, 1, 1}) ==
        Values{0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125});
  CHECK(rates({.patience = 1, .min_lr = 0.005}, {1, 1, 1, 1}) ==
        Values{0.1, 0.1 * 0.1, 0.005, 0.005});
  CHECK(rates({.factor = 0.5, .patience = 1}, {1, 0.99995, 0.9998, 0.9998}) ==
        Values{0.1, 0.05, 0.05, 0.025});
  CHECK(error_of([] { ReduceLROnPlateau({.factor = 1}); }) ==
        "ReduceLROnPlateau: expected a factor below 1, got 1");
}

TEST_CASE("LearningRateScheduler sets the learning rate of each epoch") {
  Scale model = compiled_scale();
  LearningRateScheduler scheduler(
      [](int epoch, double rate) { return epoch < 2 ? rate : rate / 2; }, {.verbose = 1});
  Captured out(std::cout);
  scheduler.attach(model, {});
  for (int epoch = 0; epoch < 4; ++epoch) {
    scheduler.on_epoch_begin(epoch);
    Logs logs;
    scheduler.on_epoch_end(epoch, logs);
    CHECK(logs["learning_rate"] == Values{0.1, 0.1, 0.05, 0.025}[static_cast<std::size_t>(epoch)]);
  }
  CHECK(out.text().ends_with("\nEpoch 4: LearningRateScheduler setting learning rate to 0.025.\n"));
}

TEST_CASE("ModelCheckpoint saves each epoch, or the best ones, under a formatted name") {
  TemporaryDirectory folder;
  Scale model = compiled_scale();
  auto saved = [&](const char* name, ModelCheckpoint::Options options, const Values& values) {
    std::filesystem::remove_all(folder / "to");
    ModelCheckpoint checkpoint(folder / "to/be/" + name, options);
    train(model, checkpoint, values);
    std::string files;
    std::set<std::filesystem::path> paths;
    for (const auto& file : std::filesystem::directory_iterator(folder / "to/be"))
      paths.insert(file.path().filename());
    for (const auto& path : paths) files += path.string() + " ";
    return files;
  };
  const char* all = "{epoch:02d}-{val_loss:.2f}-{val_loss}-{{x}}.npz";
  CHECK(saved(all, {}, {1, 2}) == "01-1.00-1.0-{x}.npz 02-2.00-2.0-{x}.npz ");
  CHECK(saved(all, {.save_best_only = true}, {1, 0.5, 0.75, 0.25}) ==
        "01-1.00-1.0-{x}.npz 02-0.50-0.5-{x}.npz 04-0.25-0.25-{x}.npz ");
  CHECK(saved(all, {.save_best_only = true, .initial_value_threshold = 0.6}, {1, 0.5, 0.75}) ==
        "02-0.50-0.5-{x}.npz ");

  CHECK(saved("best.npz", {.save_best_only = true}, {1, 0.5, 0.75}) == "best.npz ");
  const auto arrays = load_npz(folder / "to/be/best.npz");
  REQUIRE(arrays.size() == 1);
  CHECK(arrays.begin()->second.item() == 1);
}

TEST_CASE("ModelCheckpoint saves every so many batches, across epochs") {
  TemporaryDirectory folder;
  Scale model = compiled_scale();
  ModelCheckpoint checkpoint(folder / "e{epoch}-b{batch:03d}-{loss:8.3e}-{epoch:.1f}.npz",
                             {.save_freq = 4});
  checkpoint.attach(model, {});
  checkpoint.on_train_begin();
  for (int epoch = 0; epoch < 3; ++epoch) {
    checkpoint.on_epoch_begin(epoch);
    for (int batch = 0; batch < 3; ++batch)
      checkpoint.on_train_batch_end(batch, {{"loss", 1.0 / (batch + 1)}});
    Logs logs{{"loss", 1}};
    checkpoint.on_epoch_end(epoch, logs);
  }
  CHECK(folder.files() == 2);
  CHECK(std::filesystem::exists(folder / "e2-b001-1.000e+00-2.0.npz"));
  CHECK(std::filesystem::exists(folder / "e3-b002-5.000e-01-3.0.npz"));
}

TEST_CASE("ModelCheckpoint says what is wrong with a path") {
  CHECK(error_of([] { ModelCheckpoint("best.h5"); }) ==
        "ModelCheckpoint: \"best.h5\": expected a path that ends in .keras, or for weights only in "
        ".weights.h5 or .npz");
  CHECK(
      error_of([] { ModelCheckpoint("best.keras", {.save_weights_only = true}); }) ==
      "ModelCheckpoint: \"best.keras\": weights only are saved to a path that ends in .weights.h5 "
      "or .npz");
  Scale model = compiled_scale();
  auto error = [&](const std::string& path) {
    ModelCheckpoint checkpoint(path);
    return error_of([&] { train(model, checkpoint, {1}); });
  };
  CHECK(error("{val_los}.npz") ==
        "ModelCheckpoint: \"{val_los}.npz\": there is no \"val_los\". Known: epoch,val_loss");
  CHECK(error("{batch}.npz").find("there is no \"batch\"") != std::string::npos);
  CHECK(error("{epoch.npz") == "ModelCheckpoint: \"{epoch.npz\": a brace without its other half");
  CHECK(error("epoch}.npz").find("a brace") != std::string::npos);
  CHECK(error("{val_loss:2d}.npz").starts_with("ModelCheckpoint: \"{val_loss:2d}.npz\": {val_l"));
}

TEST_CASE("the messages are those of Keras") {
  TemporaryDirectory folder;
  Scale model = compiled_scale();
  model.optimizer().set_learning_rate(0.01);
  EarlyStopping stopping({.patience = 3, .verbose = 1, .restore_best_weights = true});
  ReduceLROnPlateau reduce({.patience = 1, .verbose = 1});
  ModelCheckpoint checkpoint(folder / "{epoch:02d}-{val_loss:.2f}.npz",
                             {.verbose = 1, .save_best_only = true});
  Captured out(std::cout);
  std::vector<Callback*> callbacks{&checkpoint, &reduce, &stopping};
  for (Callback* callback : callbacks) {
    callback->attach(model, {});
    callback->on_train_begin();
  }
  int epoch = 0;
  for (double value : {1.0, 0.5, 0.6, 0.7, 0.7}) {
    Logs logs{{"val_loss", value}};
    for (Callback* callback : callbacks) {
      callback->on_epoch_begin(epoch);
      callback->on_epoch_end(epoch, logs);
    }
    ++epoch;
  }
  for (Callback* callback : callbacks) callback->on_train_end({});
  const std::string first = folder / "01-1.00.npz", second = folder / "02-0.50.npz";
  CHECK(out.text() ==
        "\nEpoch 1: val_loss improved from None to 1.00000, saving model to " + first +
            "\n\nEpoch 1: finished saving model to " + first +
            "\n\nEpoch 2: val_loss improved from 1.00000 to 0.50000, saving model to " + second +
            "\n\nEpoch 2: finished saving model to " + second +
            "\n\nEpoch 3: val_loss did not improve from 0.50000\n"
            "\nEpoch 3: ReduceLROnPlateau reducing learning rate to 0.001.\n"
            "\nEpoch 4: val_loss did not improve from 0.50000\n"
            "\nEpoch 4: ReduceLROnPlateau reducing learning rate to 0.0001.\n"
            "\nEpoch 5: val_loss did not improve from 0.50000\n"
            "\nEpoch 5: ReduceLROnPlateau reducing learning rate to 1e-05.\n"
            "Epoch 5: early stopping\n"
            "Restoring model weights from the end of the best epoch: 2.\n");
}

TEST_CASE("CSVLogger writes a row for each epoch as Keras does") {
  TemporaryDirectory folder;
  Scale model;
  const std::string path = folder / "log.csv";
  CSVLogger logger(path);
  logger.attach(model, {});
  logger.on_train_begin();
  Logs epochs[] = {{{"a,b", 1e-5}, {"loss", 1}},
                   {{"a,b", -NAN}, {"loss", 0.1}, {"val_loss", -INFINITY}},
                   {{"loss", 1e16}, {"val_loss", 123456789}}};
  for (int epoch = 0; epoch < 3; ++epoch) logger.on_epoch_end(epoch, epochs[epoch]);
  const std::string expected =
      "epoch,\"a,b\",loss,\"val_a,b\",val_loss\r\n0,1e-05,1.0,NA,NA\r\n1,nan,0.1,NA,-inf\r\n"
      "2,NA,1e+16,NA,123456789.0\r\n";
  CHECK(read_file(path) == expected);  // before training ends
  logger.on_train_end({});

  SUBCASE("append goes on without a header") {
    CSVLogger more(path, {.append = true});
    more.attach(model, {});
    more.on_train_begin();
    Logs logs{{"a,b", 0.5}, {"loss", 1}, {"val_a,b", 2}, {"val_loss", 1e-4}};
    more.on_epoch_end(3, logs);
    more.on_train_end({});
    CHECK(read_file(path) == expected + "3,0.5,1.0,2.0,0.0001\r\n");
  }
  SUBCASE("without append the file begins anew, also in a second fit") {
    logger.attach(model, {.validation = false});
    logger.on_train_begin();
    Logs logs{{"val_loss", 2}};
    logger.on_epoch_end(0, logs);
    logger.on_train_end({});
    CHECK(read_file(path) == "epoch,val_loss\r\n0,2.0\r\n");
    CHECK(load_csv(path).values.item(0, 1) == 2);
  }
}

TEST_CASE("CSVLogger has columns of validation only where there is validation") {
  TemporaryDirectory folder;
  const std::string path = folder / "log.csv";
  Scale model = compiled_scale();
  for (bool validation : {false, true}) {
    CSVLogger logger(path);
    logger.attach(model, {.validation = validation});
    logger.on_train_begin();
    logger.on_train_batch_end(0, {{"loss", 2}});
    Logs logs{{"learning_rate", 0.5}, {"loss", 1}};  // one of them from a callback
    logger.on_epoch_end(0, logs);
    CHECK(read_file(path) == (validation ? "epoch,learning_rate,loss,val_loss\r\n0,0.5,1.0,NA\r\n"
                                         : "epoch,learning_rate,loss\r\n0,0.5,1.0\r\n"));
  }
}

TEST_CASE("CSVLogger appends in the file's order, after a line that was cut short") {
  TemporaryDirectory folder;
  const std::string path = folder / "log.csv";
  Scale model = compiled_scale();
  for (const std::string header :
       {"epoch,val_loss,loss\r\n", "epoch,val_loss,loss\n", "epoch,\"val_loss\",\"loss\"\r\n"}) {
    write_file(path, header + "0,1.");
    CSVLogger more(path, {.append = true});
    more.attach(model, {});
    more.on_train_begin();
    Logs logs{{"loss", 0.1 + 0.2}, {"val_loss", 1}};
    more.on_epoch_end(1, logs);
    CHECK(read_file(path) == header + "0,1.\r\n1,1.0,0.30000000000000004\r\n");
  }
}

TEST_CASE("CSVLogger refuses to append to other columns, and leaves the file alone") {
  TemporaryDirectory folder;
  const std::string path = folder / "log.csv";
  Sequential model({Dense(1)});
  model.compile({.loss = "mse"});
  auto refused = [&](const std::string& text, bool validation, CSVLogger::Options options = {}) {
    write_file(path, text);
    options.append = true;
    CSVLogger logger(path, options);
    logger.attach(model, {.validation = validation});
    std::string message = error_of([&] { logger.on_train_begin(); });
    CHECK(read_file(path) == text);
    const std::string begin = "CSVLogger: " + path + ": cannot append, as the columns differ. ";
    CHECK(message.starts_with(begin));
    return message.substr(std::min(begin.size(), message.size()));
  };
  CHECK(refused("epoch,loss\r\n0,1.", true) ==
        "The file has: epoch, loss. To be written are: epoch, loss, val_loss");
  CHECK(refused("epoch,loss,val_loss\r\n0,1.0,2.0\r\n", false) ==
        "The file has: epoch, loss, val_loss. To be written are: epoch, loss");
  CHECK(refused("epoch;loss;val_loss\r\n", true) ==
        "The file has: epoch;loss;val_loss. To be written are: epoch, loss, val_loss");
  CHECK(refused("0,1.5\r\n1,1.25\r\n", false) ==
        "The file has: 0, 1.5. To be written are: epoch, loss");
  CHECK(refused("epoch,\"lo\"\"s,\ns\"\r\n", false) ==
        "The file has: epoch, lo\"s,\ns. To be written are: epoch, loss");
}

TEST_CASE("CSVLogger refuses other columns of a model's own steps after the first one") {
  TemporaryDirectory folder;
  const std::string path = folder / "log.csv";
  Scale model = compiled_scale();  // which may log anything, for all that is known of its class
  for (const std::string text : {"epoch,d,g,val_d\r\n0,1.", "epoch,loss\r\n"}) {
    write_file(path, text);
    CSVLogger logger(path, {.append = true});
    logger.attach(model, {});
    logger.on_train_begin();
    const std::string message = error_of([&] {
      logger.on_train_batch_end(0, {{"d", 1}, {"g", 2}});
    });
    if (text.starts_with("epoch,d")) {
      Logs logs{{"d", 1}, {"g", 2}, {"val_d", 3}};
      logger.on_epoch_end(1, logs);
      CHECK(read_file(path) == text + "\r\n1,1.0,2.0,3.0\r\n");
    } else {
      CHECK(message == "CSVLogger: " + path +
                           ": cannot append, as the columns differ. The file has: epoch, loss. To "
                           "be written are: epoch, d, g");
      CHECK(read_file(path) == text);
    }
  }
}

TEST_CASE("CSVLogger refuses other columns of callbacks after the first epoch") {
  TemporaryDirectory folder;
  const std::string path = folder / "log.csv";
  Scale model = compiled_scale();
  for (bool in_file : {false, true}) {
    const std::string text = in_file ? "epoch,learning_rate,loss\r\n0,1.0,2." : "epoch,loss\r\n";
    write_file(path, text);
    CSVLogger logger(path, {.append = true});
    logger.attach(model, {.validation = false});
    logger.on_train_begin();
    Logs logs{{"loss", 1}};
    if (!in_file) logs["learning_rate"] = 0.5;
    std::string message = error_of([&] { logger.on_epoch_end(1, logs); });
    CHECK(message == "CSVLogger: " + path +
                         (in_file ? ": cannot append, as the columns differ. The file has: epoch, "
                                    "learning_rate, loss. To be written are: epoch, loss"
                                  : ": cannot append, as the columns differ. The file has: epoch, "
                                    "loss. To be written are: epoch, learning_rate, loss"));
    CHECK(read_file(path) == text);
  }
}

TEST_CASE("CSVLogger in fit goes on where another fit ended") {
  TemporaryDirectory folder;
  const std::string path = folder / "log.csv";
  Sequential model({Dense(1)});
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse", .metrics = {"mae"}});
  const Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}, {7, 8}}), y = tensor({{0}, {1}, {0}, {1}});
  auto rate = [](int, double learning_rate) { return learning_rate / 2; };
  for (int run = 0; run < 2; ++run)
    model.fit(x, y,
              {.epochs = 2,
               .verbose = 0,
               .validation_data = {x, y},
               .validation_freq = run == 0 ? 2 : 1,
               .callbacks = {LearningRateScheduler(rate), CSVLogger(path, {.append = true})}});
  const std::string text = read_file(path);
  CHECK(text.starts_with("epoch,learning_rate,loss,mae,val_loss,val_mae\r\n0,0.05,"));
  CHECK(std::ranges::count(text, '\n') == 5);
  CHECK(std::ranges::count(text, ',') == 5 * 5);
  CHECK(text.find("NA,NA\r\n1,0.025,") != std::string::npos);
}

TEST_CASE("CSVLogger names the file that it cannot write") {
  Scale model = compiled_scale();
  CSVLogger nowhere("no/such/folder/log.csv");
  CHECK(error_of([&] { nowhere.on_train_begin(); }) ==
        "no/such/folder/log.csv: cannot write: No such file or directory");
  if (!std::filesystem::exists("/dev/full")) return;
  CSVLogger disk("/dev/full");
  disk.attach(model, {});
  disk.on_train_begin();
  Logs logs{{"loss", 1}};
  CHECK(error_of([&] { disk.on_epoch_end(0, logs); }) ==
        "/dev/full: cannot write: No space left on device");
}

TEST_CASE("TerminateOnNaN ends training when the loss is not a number") {
  for (double loss : {NAN, INFINITY, -INFINITY}) {
    Scale model;
    TerminateOnNaN callback;
    Captured out(std::cout);
    callback.attach(model, {});
    callback.on_train_batch_end(0, {{"loss", 1}, {"accuracy", NAN}});
    CHECK(!model.stop_training);
    callback.on_train_batch_end(7, {{"loss", loss}});
    CHECK(model.stop_training);
    CHECK(out.text() == "Batch 7: Invalid loss, terminating training\n");
  }
  TerminateOnNaN strict({.raise_error = true});
  CHECK(error_of([&] {
          strict.on_train_batch_end(7, {{"loss", NAN}});
        }) ==
        "NaN or Inf loss encountered at batch 7. Loss value: nan. Terminating training "
        "immediately.");
}

TEST_CASE("LambdaCallback calls its functions, and needs none") {
  std::string seen;
  LambdaCallback callback(
      {.on_epoch_begin = [&](int epoch) { seen += "epoch " + std::to_string(epoch) + " "; },
       .on_epoch_end = [&](int, Logs& logs) { logs["seen"] = 1; },
       .on_train_batch_end = [&](int, const Logs& logs) { seen += logs.begin()->first; }});
  Logs logs;
  callback.on_train_begin();
  callback.on_epoch_begin(3);
  callback.on_train_batch_begin(0);
  callback.on_train_batch_end(0, {{"loss", 1}});
  callback.on_test_begin();
  callback.on_test_batch_begin(0);
  callback.on_test_batch_end(0, {});
  callback.on_test_end({});
  callback.on_epoch_end(3, logs);
  callback.on_train_end(logs);
  CHECK(seen == "epoch 3 loss");
  CHECK(logs.contains("seen"));
}

TEST_CASE("History keeps the values of each log and names them when asked for another") {
  History history;
  history.append(4, {{"loss", 1}});
  history.append(5, {{"loss", 0.5}, {"val_loss", 2}});
  CHECK(history["loss"] == Values{1, 0.5});
  CHECK(history["val_loss"] == Values{2});
  CHECK(history.epoch() == std::vector{4, 5});
  CHECK(history.names() == std::vector<std::string>{"loss", "val_loss"});
  CHECK(error_of([&] { history["los"]; }) ==
        "History: there is no \"los\". Logged: loss, val_loss");
}

TEST_CASE("callbacks work in fit, and can be read afterwards") {
  TemporaryDirectory folder;
  Sequential model({Dense(1)});
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse", .metrics = {"mae"}});
  const Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}, {7, 8}}), y = tensor({{0}, {1}, {0}, {1}});
  EarlyStopping stopping({.monitor = "loss", .patience = 1, .mode = "max"});
  std::vector<double> losses;
  const History history = model.fit(
      x, y,
      {.epochs = 9,
       .verbose = 0,
       .callbacks = {
           LearningRateScheduler([](int epoch, double) { return 1e-3 / (epoch + 1); }),
           LambdaCallback(
               {.on_epoch_end = [&](int, const Logs& l) { losses.push_back(l.at("loss")); }}),
           CSVLogger(folder / "log.csv"), ModelCheckpoint(folder / "last.npz"), stopping}});
  // The loss shrinks, so the greatest is the first.
  CHECK(stopping.stopped_epoch() == 1);
  CHECK(stopping.best_epoch() == 0);
  CHECK(history["loss"] == losses);
  CHECK(history["learning_rate"] == Values{1e-3, 5e-4});
  CHECK(read_file(folder / "log.csv").starts_with("epoch,learning_rate,loss,mae\r\n0,"));
  CHECK(load_npz(folder / "last.npz").size() == 2);
}

TEST_CASE("the compiled metric says which way it is better") {
  struct Wrong : MeanMetric {  // the share of wrong answers
    Wrong() : MeanMetric("accuracy", Direction::down) {}
    Tensor values(const Tensor&, const Tensor& p) override { return p; }
  };
  Sequential model({Dense(1, {.activation = "sigmoid", .input_shape = {2}})});
  model.compile({.loss = "mse", .metrics = {AUC({.name = "roc"}), Wrong(), CosineSimilarity()}});
  auto best_of = [&](const std::string& monitor, const Values& values) {
    EarlyStopping stopping({.monitor = monitor, .patience = 9});
    stopping.attach(model, {});
    stopping.on_train_begin();
    for (int epoch = 0; epoch < static_cast<int>(values.size()); ++epoch) {
      Logs logs{{monitor, values[static_cast<std::size_t>(epoch)]}};
      stopping.on_epoch_end(epoch, logs);
    }
    return stopping.best_epoch();
  };
  CHECK(best_of("val_roc", {0.5, 0.9, 0.7}) == 1);
  CHECK(best_of("accuracy", {0.5, 0.9, 0.1}) == 2);
  CHECK(best_of("cosine_similarity", {-0.5, -0.9, 0.1}) == 1);  // the loss: best at -1
  CHECK(best_of("val_loss", {3, 1, 2}) == 1);
}

TEST_CASE("NaN is never the best, and what cannot work is refused before the first step") {
  const double nan = std::nan("");
  Sequential model({Dense(1, {.input_shape = {2}})});
  model.compile({.optimizer = Adam({.learning_rate = CosineDecay(1e-3, 10)}), .loss = "mse"});
  EarlyStopping stopping({.patience = 2});
  stopping.attach(model, {});
  stopping.on_train_begin();
  int epoch = 0;
  for (double loss : {nan, 1.0, 0.5, 0.6, 0.7}) {
    CHECK_FALSE(model.stop_training);
    Logs logs{{"val_loss", loss}};
    stopping.on_epoch_end(epoch++, logs);
  }
  CHECK(model.stop_training);
  CHECK(stopping.best_epoch() == 2);
  CHECK(stopping.stopped_epoch() == 4);

  TemporaryDirectory folder;
  ModelCheckpoint checkpoint(folder / "best.npz", {.monitor = "loss", .save_best_only = true});
  checkpoint.attach(model, {});
  checkpoint.on_train_begin();
  Logs logs{{"loss", nan}};
  checkpoint.on_epoch_end(0, logs);
  CHECK_FALSE(std::filesystem::exists(folder / "best.npz"));

  CHECK(error_of([] { EarlyStopping({.patience = -1}); }) ==
        "EarlyStopping: expected patience of at least 0, got -1");
  CHECK(error_of([] { ReduceLROnPlateau({.patience = -2}); }) ==
        "ReduceLROnPlateau: expected patience of at least 0, got -2");
  const Tensor x = zeros({4, 2}), before = model.get_weights()[0];
  CHECK(error_of([&] {
          model.fit(x, zeros({4, 1}), {.verbose = 0, .callbacks = {ReduceLROnPlateau()}});
        }) ==
        "ReduceLROnPlateau: the optimizer's learning rate follows a schedule and cannot be set");
  CHECK(all(model.get_weights()[0] == before).item() == 1);
}

TEST_SUITE_END();
