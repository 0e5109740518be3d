// The main job: who is speaking? Nine men say the Japanese vowels /ae/; an LSTM with attention over
// its time steps learns to tell them apart (examples/data/README.md). Writes out/report.html, the
// model and the history.
//
//   05_vowels [folder of the data] [number of seeds to average over]

#include <keratin/io/hdf5.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <filesystem>
#include <iostream>

using namespace keratin;

struct Data {
  Tensor x_train, y_train, x_test, y_test, length_test;
};

Data load(const std::string& folder) {
  auto arrays = load_npz(folder + "/japanese_vowels.npz");
  return {arrays.at("x_train"), arrays.at("y_train"), arrays.at("x_test"), arrays.at("y_test"),
          arrays.at("length_test")};
}

Sequential make_model() {
  Sequential model({
      Masking(0, {.input_shape = {29, 12}}),
      LSTM(128, {.return_sequences = true}),
      AttentionLayer(64),
      Dense(9, {.activation = "softmax"}),
  });
  model.compile(
      {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}

// Rows: who spoke; columns: who was heard.
Tensor confusion(const Tensor& truth, const Tensor& predicted) {
  Tensor pairs = one_hot(truth, 9).transpose();
  return dot(pairs, one_hot(predicted, 9)).astype(int32);
}

// The test accuracy of training on all recordings, as the reference numbers of Keras were made.
void average_over_seeds(const Data& data, int seeds) {
  double total = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    set_random_seed(static_cast<std::uint64_t>(seed));
    Sequential model = make_model();
    model.fit(data.x_train, data.y_train, {.batch_size = 32, .epochs = 50, .verbose = 0});
    auto [loss, accuracy] = model.evaluate<2>(data.x_test, data.y_test);
    std::cout << "seed " << seed << ": test accuracy " << accuracy << std::endl;
    total += accuracy;
  }
  std::cout << "mean of " << seeds << " seeds: " << total / seeds << '\n';
}

int main(int argc, char** argv) {
  Data data = load(argc > 1 ? argv[1] : "examples/data");
  if (argc > 2) {
    average_over_seeds(data, std::atoi(argv[2]));
    return 0;
  }

  set_random_seed(1);
  // A fifth of the recordings is held back to see when to stop. They are sorted by speaker: mix
  // them.
  auto order = default_random().permutation(270);
  Tensor mixed = tensor(std::vector<std::int32_t>(order.begin(), order.end()));
  Tensor x = take(data.x_train, mixed, 0), y = take(data.y_train, mixed, 0);

  Sequential model = make_model();
  model.summary();
  std::filesystem::create_directories("out");
  History history =
      model.fit(x, y,
                {.batch_size = 32,
                 .epochs = 50,
                 .validation_split = 0.2,
                 .callbacks = {EarlyStopping({.patience = 12, .restore_best_weights = true}),
                               CSVLogger("out/history.csv")}});

  auto [loss, accuracy] = model.evaluate<2>(data.x_test, data.y_test);
  Tensor heard = argmax(model.predict(data.x_test), -1);
  Tensor matrix = confusion(data.y_test, heard);
  std::cout << "\ntest accuracy " << accuracy << " on " << data.y_test.numel()
            << " recordings; who spoke (rows), who was heard (columns):\n"
            << matrix << "\n\n";
  if (has_hdf5()) model.save("out/model.keras");  // which Python opens, too

  Report report;
  report.title = "Who is speaking? Nine men and the Japanese vowels";
  report.history = history;
  report.confusion = matrix;
  for (int speaker = 1; speaker <= 9; ++speaker)
    report.classes.push_back("speaker " + std::to_string(speaker));
  Tensor attention = model.capture(data.x_test)["attention_layer/attention"];  // (370, 29, 1)
  for (int i : {0, 120, 250, 350}) {
    int spoke = static_cast<int>(data.y_test[i].item()) + 1;
    int guess = static_cast<int>(heard[i].item()) + 1;
    report.attention.push_back({.title = "test recording " + std::to_string(i) + ": speaker " +
                                         std::to_string(spoke) + ", heard as " +
                                         std::to_string(guess),
                                .features = data.x_test[i],
                                .weights = attention[i],
                                .length = static_cast<std::int64_t>(data.length_test[i].item())});
  }
  report.notes = {"Masking, LSTM(128), AttentionLayer(64), Dense(9, softmax); Adam, batches of 32.",
                  "Data: UCI Machine Learning Repository, Japanese Vowels (Kudo, Toyama, Shimbo "
                  "1999), CC BY 4.0."};
  write_report("out/report.html", report);
  std::cout << "wrote out/report.html, out/model.keras and out/history.csv\n";
}
