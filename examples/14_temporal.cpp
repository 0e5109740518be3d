// Two ways to read a series: an LSTM keeps a state, a temporal convolutional network looks back
// through layers of dilated convolutions (Bai and others, arXiv:1803.01271). Both learn who says
// the vowels of 05_vowels.
//
//   14_temporal [folder of the data]

#include <keratin/keratin.h>
#include <chrono>
#include <iomanip>
#include <iostream>

using namespace keratin;

constexpr int width = 48;

// Two causal convolutions beside a way around them: what is not needed can be left as it is.
SymbolicTensor residual_block(const SymbolicTensor& x, int dilation) {
  auto convolution = [&] {
    return Conv1D(width, 3, {.padding = "causal", .dilation_rate = dilation, .activation = "relu"});
  };
  auto h = convolution()(SpatialDropout1D(0.1)(convolution()(x)));
  auto around = x.shape()[-1] == width ? x : Conv1D(width, 1)(x);
  return Add()({h, around});
}

// Blocks dilated by 1, 2 and 4 see 1 + 2 (2 + 4 + 8) = 29 steps: the longest series.
Model temporal_network() {
  auto x = Input({29, 12});
  auto h = x;
  for (int dilation : {1, 2, 4}) h = residual_block(h, dilation);
  return Model({x}, {Dense(9, {.activation = "softmax"})(GlobalMaxPooling1D()(h))}, "temporal");
}

Model recurrent_network() {
  auto x = Input({29, 12});
  auto h = LSTM(64)(Masking()(x));
  return Model({x}, {Dense(9, {.activation = "softmax"})(h)}, "recurrent");
}

int main(int argc, char** argv) {
  auto data = load_npz(std::string(argc > 1 ? argv[1] : "examples/data") + "/japanese_vowels.npz");
  std::cout << std::setw(12) << "" << std::setw(10) << "weights" << std::setw(10) << "accuracy"
            << std::setw(10) << "seconds" << '\n';
  for (Model (*make)() : {recurrent_network, temporal_network}) {
    set_random_seed(2);
    Model model = make();
    model.compile({.optimizer = Adam(0.003),
                   .loss = "sparse_categorical_crossentropy",
                   .metrics = {"accuracy"}});
    const auto start = std::chrono::steady_clock::now();
    model.fit(data.at("x_train"), data.at("y_train"),
              {.batch_size = 32, .epochs = 40, .verbose = 0});
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    auto [loss, accuracy] = model.evaluate<2>(data.at("x_test"), data.at("y_test"));
    std::cout << std::setw(12) << model.name() << std::setw(10) << model.count_params()
              << std::setw(10) << std::setprecision(3) << accuracy << std::setw(10) << spent.count()
              << '\n';
  }
}
