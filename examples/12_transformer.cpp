// A transformer's encoder block reads words backwards. Attention itself knows no order, so that the
// letters come with an embedding of their positions.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

constexpr int length = 7, letters = 26, width = 32;

// (batch, time) -> (batch, time, width): what each letter is, plus where it stands.
class LettersAndPositions : public Layer {
 public:
  LettersAndPositions() {
    track(letter_);
    track(position_);
  }
  Tensor call(const Tensor& ids) override {
    return Tensor(letter_(ids)) + position_(arange(length, int32, ids.device()));
  }

 private:
  Embedding letter_{letters, width}, position_{length, width};
};

// Vaswani et al., arXiv:1706.03762, figure 1, on the left.
SymbolicTensor encoder_block(const SymbolicTensor& x) {
  auto read = MultiHeadAttention(4, width / 4, {.dropout = 0.1})({x, x});
  auto h = LayerNormalization()(Add()({x, read}));
  auto thought = Dense(width)(Dense(2 * width, {.activation = "relu"})(h));
  return LayerNormalization()(Add()({h, thought}));
}

// Random words, and the same from the last letter to the first.
std::pair<Tensor, Tensor> words(std::int64_t count, std::uint64_t seed) {
  Tensor x = Random(seed).uniform({count, length}, 0, letters).astype(int32);
  return {x, flip(x, 1)};
}

std::string text_of(const Tensor& ids) {
  std::string text;
  for (double id : ids.to_vector<double>()) text += static_cast<char>('a' + static_cast<int>(id));
  return text;
}

int main() {
  set_random_seed(1);
  auto x = Input({length}, {.dtype = int32, .name = "word"});
  auto h = encoder_block(layer<LettersAndPositions>()(x));
  Model model({x}, {Dense(letters, {.activation = "softmax"})(h)}, "backwards");
  model.summary();

  const auto [train_x, train_y] = words(4000, 1);
  const auto [test_x, test_y] = words(500, 2);
  model.compile({.optimizer = Adam(0.005),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  model.fit(train_x, train_y,
            {.batch_size = 64, .epochs = 4, .verbose = 2, .validation_data = {test_x, test_y}});

  std::vector<int> ids;
  for (char c : std::string("keratin")) ids.push_back(c - 'a');
  const Tensor word = tensor(ids, {1, length});
  std::cout << "keratin -> " << text_of(argmax(model.predict(word), -1)) << '\n';

  // Which letter each of the four heads looks at for the first place: the last one.
  Tensor weights = model.capture(word).at("multi_head_attention/attention");
  std::cout << "the heads look at letter " << argmax(slice(weights, {0, all, 0}), -1) << '\n';

  const double accuracy = model.evaluate<2>(test_x, test_y)[1];
  return accuracy > 0.95 ? 0 : 1;
}
