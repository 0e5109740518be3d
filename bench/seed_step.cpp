// One training step of the seed model inside model.fit: batch 64, 10 steps, 32 features, LSTM(128),
// AttentionLayer(64), Dense(10). Prints the median over epochs.

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <algorithm>
#include <chrono>
#include <iostream>

using namespace keratin;

// Seconds of each epoch.
class EpochTimes : public Callback {
 public:
  explicit EpochTimes(std::vector<double>& seconds) : seconds_(seconds) {}
  void on_epoch_begin(int) override { start_ = now(); }
  void on_epoch_end(int, Logs&) override { seconds_.push_back(now() - start_); }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  std::vector<double>& seconds_;
  double start_ = 0;
};

int main() {
  constexpr int batches = 50;
  Random random(1);
  Tensor x = random.normal({64 * batches, 10, 32});
  Tensor y = one_hot(random.integers({64 * batches}, 0, 10), 10);

  Sequential model;
  model.add(LSTM(128, {.return_sequences = true, .input_shape = {10, 32}}));
  model.add(AttentionLayer(64));
  model.add(Dense(10, {.activation = "softmax"}));
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy", .metrics = {"accuracy"}});

  for (int threads : {1, 2}) {
    set_num_threads(threads);
    std::vector<double> seconds;
    model.fit(x, y,
              {.batch_size = 64, .epochs = 12, .verbose = 0, .callbacks = {EpochTimes(seconds)}});
    std::sort(seconds.begin() + 1, seconds.end());
    std::cout << "seed model, " << threads << " thread" << (threads > 1 ? "s" : "") << ": "
              << seconds[seconds.size() / 2] / batches * 1e3 << " ms a step (fastest "
              << seconds[1] / batches * 1e3 << ")\n";
  }
}
