// Two inputs and two outputs: from a text and a table of numbers, a topic and a score.

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <iostream>

using namespace keratin;

struct Articles {
  Tensor text, table, topic, score;
};

// Made up: each topic has words of its own among others, of different numbers; the score follows
// from the table and the topic.
Articles articles(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<double>> texts;
  std::vector<int> topics;
  std::vector<double> scores;
  Tensor table = random.normal({count, 4});
  for (std::int64_t i = 0; i < count; ++i) {
    const auto draw = [&](int n) { return static_cast<int>(random.uniform({}).item() * n); };
    const int topic = draw(3), words = 4 + draw(8);
    std::vector<double> text;
    for (int w = 0; w < words; ++w)
      text.push_back(draw(4) == 0 ? 1 + 5 * topic + draw(5) : 16 + draw(20));
    text[0] = 1 + 5 * topic;
    texts.push_back(text);
    topics.push_back(topic);
    scores.push_back(table.item(i, 0) - table.item(i, 1) + topic);
  }
  return {pad_sequences(texts, {.maxlen = 12, .padding = "post"}), table, tensor(topics),
          tensor(scores, {count, 1}).astype(float32)};
}

int main() {
  set_random_seed(1);
  auto text = Input({None}, {.dtype = int32, .name = "text"});
  auto table = Input({4}, {.name = "table"});
  auto words = Embedding(40, 8, {.mask_zero = true})(text);  // 0 is padding: masked from here on
  auto h = LSTM(16, {.return_sequences = true})(words);
  auto read = layer<AttentionLayer>(8)(h);  // a class of one's own enters a graph this way
  auto both = concatenate({read, Dense(8, {.activation = "relu"})(table)});
  auto topic = Dense(3, {.activation = "softmax", .name = "topic"})(both);
  auto score = Dense(1, {.name = "score"})(both);

  Model model({text, table}, {topic, score});
  model.summary();
  const Articles train = articles(600, 1), test = articles(200, 2);
  model.compile({.optimizer = Adam(0.01),
                 .loss = {{"topic", "sparse_categorical_crossentropy"}, {"score", "mse"}},
                 .loss_weights = {{"score", 0.2}},
                 .metrics = {{"topic", "accuracy"}, {"score", "mae"}}});
  model.fit({train.text, train.table}, {train.topic, train.score},
            {.epochs = 8,
             .verbose = 2,
             .validation_data = {{test.text, test.table}, {test.topic, test.score}}});

  const Tensors few{slice(test.text, {range(0, 4)}), slice(test.table, {range(0, 4)})};
  auto [topics, scores] = model.predict(few).unpack<2>();
  std::cout << "topics\n"
            << argmax(topics, -1) << " of " << slice(test.topic, {range(0, 4)}) << '\n';
  std::cout << gradcheck(model, few,
                         {slice(test.topic, {range(0, 4)}), slice(test.score, {range(0, 4)})}, {},
                         {.fast = true});
}
