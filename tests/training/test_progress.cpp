// The expected bytes are what Keras 3.15.1 printed for the same logs and the same clock.
#include <doctest/doctest.h>
#include <cmath>
#include <sstream>
#include <string>

#include <keratin/training/progress.h>
#include <keratin/training/sequential.h>

TEST_SUITE_BEGIN("training");

using namespace keratin;

namespace {

std::string times(int count, const std::string& text) {
  std::string repeated;
  for (int i = 0; i < count; ++i) repeated += text;
  return repeated;
}

std::string back(int width) { return times(width, "\b") + "\r"; }
std::string bold(const std::string& text) { return "\33[1m" + text + "\33[0m"; }
std::string bar(int done) {
  return (done > 0 ? "\33[32m" + times(done, "━") + "\33[0m" : "") + "\33[37m" +
         times(20 - done, "━") + "\33[0m";
}

struct Training {
  int verbose = 1;
  int steps = 3;
  int epochs = 1;
  double first_step = 0.2, other_steps = 0.03;  // seconds
  bool known = true;                            // that there will be so many steps
};

// What is printed while a model trains.
std::string screen(const Training& training) {
  std::ostringstream out;
  double now = 1000;
  Sequential model;
  ProgbarLogger logger(training.verbose, out, [&] { return now; });
  logger.attach(model, {training.epochs, training.known ? training.steps : 0, training.verbose});
  logger.on_train_begin();
  for (int epoch = 0; epoch < training.epochs; ++epoch) {
    logger.on_epoch_begin(epoch);
    for (int step = 0; step < training.steps; ++step) {
      now += step == 0 ? training.first_step : training.other_steps;
      logger.on_train_batch_end(step,
                                {{"accuracy", 0.5 + 0.01 * step}, {"loss", 2.0 / (step + 1)}});
    }
    logger.on_test_begin();
    logger.on_test_batch_end(0, {{"loss", 1}});
    logger.on_test_end({{"loss", 1}});
    now += 0.02;
    Logs logs{{"accuracy", 0.75},
              {"learning_rate", 0.001},
              {"loss", 0.0005},
              {"val_accuracy", 0},
              {"val_loss", -0.25}};
    logger.on_epoch_end(epoch, logs);
  }
  logger.on_train_end({});
  return out.str();
}

const std::string last_values =
    " - accuracy: 0.7500 - loss: 5.0000e-04 - val_accuracy: 0.0000e+00 - val_loss: -0.2500"
    " - learning_rate: 1.0000e-03\n";

}  // namespace

TEST_CASE("the bar is drawn over itself, at most every 0.05 s, and ends with all values") {
  // Step 2 comes 0.03 s after step 1: it is not drawn.
  const std::string epoch =
      back(0) + bold("1/3") + " " + bar(6) + " " + bold("0s") +
      " 200ms/step - accuracy: 0.5000 - loss: 2.0000" + back(72) + bold("3/3") + " " + bar(20) +
      " " + bold("0s") + " 30ms/step - accuracy: 0.5200 - loss: 0.6667 " + back(71) + bold("3/3") +
      " " + bar(20) + " " + bold("0s") + " 40ms/step" + last_values;
  CHECK(screen({}) == epoch);
  CHECK(screen({.epochs = 2}) == "Epoch 1/2\n" + epoch + "Epoch 2/2\n" + epoch);
}

TEST_CASE("the time that remains is in seconds, minutes or hours, and shorter lines are padded") {
  auto line = [](const std::string& count, int done, const std::string& time, int step) {
    return bold(count) + " " + bar(done) + " " + bold(time) + " " + std::to_string(step) +
           "s/step - accuracy: ";
  };
  CHECK(screen({.steps = 4, .first_step = 1300, .other_steps = 1300}) ==
        back(0) + line("1/4", 5, "1:05:00", 1300) + "0.5000 - loss: 2.0000" + back(77) +
            line("2/4", 10, "43:20", 1300) + "0.5100 - loss: 1.0000  " + back(75) +
            line("3/4", 15, "21:40", 1300) + "0.5200 - loss: 0.6667" + back(75) +
            line("4/4", 20, "0s", 1300) + "0.5300 - loss: 0.5000   " + back(72) + bold("4/4") +
            " " + bar(20) + " " + bold("5200s") + " 1300s/step" + last_values);
  const std::string twelve = screen({.steps = 12, .first_step = 10, .other_steps = 10});
  CHECK(twelve.starts_with(back(0) + line(" 1/12", 1, "1:50", 10)));
  CHECK(twelve.find(back(74) + line(" 6/12", 10, "60s", 10) + "0.5500 - loss: 0.3333 " +
                    back(73)) != std::string::npos);
}

TEST_CASE("an unknown number of steps is counted, and known at the end") {
  CHECK(screen({.steps = 2, .other_steps = 0.2, .known = false}) ==
        back(0) + "      1/Unknown " + bold("0s") +
            " 200ms/step - accuracy: 0.5000 - loss: 2.0000" + back(63) + "      2/Unknown " +
            bold("0s") + " 200ms/step - accuracy: 0.5100 - loss: 1.0000" + back(63) + bold("2/2") +
            " " + bar(20) + " " + bold("0s") + " 220ms/step" + last_values);
}

TEST_CASE("the time of a step is in seconds, milliseconds or microseconds") {
  CHECK(screen({.steps = 1, .first_step = 2e-4}) ==
        back(0) + bold("1/1") + " " + bar(20) + " " + bold("0s") +
            " 200us/step - accuracy: 0.5000 - loss: 2.0000" + back(72) + bold("1/1") + " " +
            bar(20) + " " + bold("0s") + " 20ms/step" + last_values);
}

TEST_CASE("verbose 2 prints a line for each epoch") {
  // Keras writes negative values in this mode with an exponent.
  const std::string values =
      " - accuracy: 0.7500 - loss: 5.0000e-04 - val_accuracy: 0.0000e+00"
      " - val_loss: -2.5000e-01 - learning_rate: 1.0000e-03\n";
  CHECK(screen({.verbose = 2, .epochs = 2, .other_steps = 0.115}) ==
        "Epoch 1/2\n3/3 - 0s - 150ms/step" + values + "Epoch 2/2\n3/3 - 0s - 150ms/step" + values);
  CHECK(screen({.verbose = 2, .steps = 2, .other_steps = 0.2, .known = false}) ==
        "2/2 - 0s - 210ms/step" + values);
}

TEST_CASE("verbose 0 prints nothing") { CHECK(screen({.verbose = 0, .epochs = 2}).empty()); }

TEST_CASE("evaluate has a bar of its own") {
  std::ostringstream out;
  double now = 0;
  Sequential model;
  ProgbarLogger logger(1, out, [&] { return now; });
  logger.attach(model, {1, 2, 1});
  logger.on_test_begin();
  now += 0.1;
  logger.on_test_batch_end(0, {{"loss", 1.0}});
  now += 0.1;
  logger.on_test_batch_end(1, {{"loss", 0.5}});
  logger.on_test_end({{"loss", 0.5}});
  const std::string end =
      bold("2/2") + " " + bar(20) + " " + bold("0s") + " 100ms/step - loss: 0.5000";
  CHECK(out.str() == back(0) + bold("1/2") + " " + bar(10) + " " + bold("0s") +
                         " 100ms/step - loss: 1.0000" + back(53) + end + back(53) + end + "\n");
}

TEST_CASE("a name of several bytes a letter is as wide as its letters") {
  std::ostringstream out;
  double now = 0;
  Sequential model;
  ProgbarLogger logger(1, out, [&] { return now += 1; });
  logger.attach(model, {1, 2, 1});
  logger.on_epoch_begin(0);
  logger.on_train_batch_end(0, {{"größe", 1.0}});
  logger.on_train_batch_end(1, {{"größe", -NAN}});
  CHECK(out.str() == back(0) + bold("1/2") + " " + bar(10) + " " + bold("1s") +
                         " 1s/step - größe: 1.0000" + back(51) + bold("2/2") + " " + bar(20) + " " +
                         bold("0s") + " 1s/step - größe: nan   ");
}

TEST_SUITE_END();
