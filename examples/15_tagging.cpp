// Tagging with a conditional random field (Lafferty and others, 2001). In the occasionally
// dishonest casino a loaded die, which shows a six every other time, is swapped in now and then
// (Durbin and others, Biological Sequence Analysis, 1998). Which die was rolled when? A
// bidirectional LSTM scores the dice of each roll, and the field scores how they follow each other.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

class Tagger : public Model {
 public:
  Tagger() {
    track(read);
    track(field);
  }
  Tensor call(const Tensor& rolls) override { return field(read(rolls)); }

  Logs train_step(const Batch& batch) override {
    const Tensor &rolls = batch.x[0], &dice = batch.y[0];
    GradientTape tape;
    const Tensor scores = read(rolls, {.training = true});
    const Tensor loss = -mean(field.log_likelihood(scores, dice, rolls != 0));
    optimizer().apply(tape.gradient(loss, trainable_weights()), trainable_weights());
    loss_.update_state(loss.item());
    return {{"loss", loss_.result()}};
  }
  void reset_metrics() override { loss_.reset_state(); }

  Sequential read{{Embedding(7, 6, {.mask_zero = true}),
                   Bidirectional(LSTM(16, {.return_sequences = true})), Dense(2)},
                  "read"};
  ConditionalRandomField field;

 private:
  Mean loss_;
};

// Rolls 1 to 6 and the die of each, 1 where it is loaded; rows end early and are filled with 0.
std::pair<Tensor, Tensor> play(std::int64_t games, std::uint64_t seed) {
  constexpr int longest = 60;
  Random random(seed);
  const auto chance = random.uniform({games, longest, 2}, 0, 1).to_vector<double>();
  const auto length = random.integers({games}, longest / 2, longest + 1).to_vector<double>();
  std::vector<int> rolls(static_cast<std::size_t>(games * longest)), dice(rolls.size());
  for (std::size_t game = 0; game < length.size(); ++game)
    for (std::size_t t = 0, loaded = 0; t < length[game]; ++t) {
      const std::size_t i = game * longest + t;
      const double swap = chance[2 * i], roll = chance[2 * i + 1];
      if (swap < (loaded ? 0.10 : 0.05)) loaded = !loaded;
      dice[i] = static_cast<int>(loaded);
      rolls[i] =
          loaded && roll < 0.5 ? 6 : 1 + static_cast<int>((loaded ? 10 * (roll - 0.5) : 6 * roll));
    }
  return {tensor(rolls, {games, longest}), tensor(dice, {games, longest})};
}

std::string text_of(const Tensor& row, const std::string& letters) {
  std::string text;
  for (double i : row.to_vector<double>()) text += letters[static_cast<std::size_t>(i)];
  return text;
}

int main() {
  set_random_seed(1);
  const auto [x, y] = play(1000, 1);
  const auto [rolls, dice] = play(200, 2);
  Tagger model;
  model.compile({.optimizer = Adam(0.01)});
  model.fit(x, y, {.batch_size = 50, .epochs = 6, .verbose = 2});

  const Tensor found = model.predict(rolls).astype(int32), there = (rolls != 0).astype(float32);
  auto share = [&](const Tensor& right) {
    return (sum(right.astype(float32) * there) / sum(there)).item();
  };
  const auto game = static_cast<std::int64_t>(argmax(sum(dice, 1)).item());  // with the most loaded
  std::cout << "right: " << share(found == dice) << "; if all dice were fair: " << share(dice == 0)
            << '\n'
            << "transitions, fair and loaded:\n"
            << model.field.get_weights()[0] << '\n'
            << "rolls " << text_of(rolls[game], " 123456") << "\ndice  "
            << text_of(dice[game], " L") << "\nfound " << text_of(found[game], " L") << '\n';
}
