// A forecast from series of different lengths: padding, masked, does not count.

#include <keratin/keratin.h>
#include <cmath>
#include <iostream>

using namespace keratin;

int main() {
  set_random_seed(5);
  Random random(11);
  // Waves of random pace and phase, 8 to 20 steps long, padded with zeros; the next value is asked.
  const int samples = 600, longest = 20;
  std::vector<float> series(samples * longest, 0), next(samples);
  std::vector<double> pace = random.uniform({samples}, 0.2, 0.9).to_vector<double>();
  std::vector<double> phase = random.uniform({samples}, 0.0, 6.28).to_vector<double>();
  std::vector<double> length = random.integers({samples}, 8, longest + 1).to_vector<double>();
  for (int i = 0; i < samples; ++i) {
    auto wave = [&](double t) { return static_cast<float>(std::sin(pace[i] * t + phase[i])); };
    int steps = static_cast<int>(length[i]);
    for (int t = 0; t < steps; ++t) series[i * longest + t] = wave(t);
    next[i] = wave(steps);
  }
  Tensor x = tensor(series, {samples, longest, 1}), y = tensor(next, {samples, 1});

  Sequential model({
      Masking(0, {.input_shape = {longest, 1}}),
      GRU(24),
      Dense(1),
  });
  model.compile({.optimizer = Adam({.learning_rate = 0.01, .clipnorm = 1.0}),
                 .loss = "mse",
                 .metrics = {"mae"}});
  model.fit(x, y,
            {.batch_size = 32,
             .epochs = 25,
             .verbose = 2,
             .validation_split = 0.2,
             .callbacks = {ReduceLROnPlateau({.factor = 0.5, .patience = 3})}});

  Tensor forecast = model.predict(slice(x, {range(0, 5)}));
  std::cout << "forecast and truth of the first five:\n"
            << concatenate({forecast, slice(y, {range(0, 5)})}, 1) << '\n';
  Tensor longer = concatenate({x, zeros({samples, 7, 1})}, 1);
  std::cout << "more padding changes a forecast by at most "
            << max(abs(model.predict(longer) - model.predict(x))) << '\n';
}
