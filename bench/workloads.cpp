#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "workloads.h"

namespace bench {
namespace {

using namespace keratin;

constexpr double slice_seconds = 0.25;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Milliseconds per call: as many calls as fit into a slice, at least two.
template <class F>
double per_call(const F& call) {
  double start = now(), end = start;
  int calls = 0;
  do {
    call();
    ++calls;
    end = now();
  } while (end - start < slice_seconds || calls < 2);
  return (end - start) / calls * 1e3;
}

/// model.fit on random data, with shuffling and accuracy: what a user calls, the first epoch apart.
template <class M>
struct Training {
  M model;
  Tensor x, y;
  int batch_size, batches = 1;

  Training(M layers, int batch, const Shape& input, int classes)
      : model(std::move(layers)), batch_size(batch) {
    model.compile(
        {.optimizer = "adam", .loss = "categorical_crossentropy", .metrics = {"accuracy"}});
    data(input, classes);
    fit(2);
    double start = now();
    fit(1);
    batches = std::max(2, static_cast<int>(slice_seconds / (now() - start)));
    data(input, classes);
    fit(1);
  }

  void data(Shape input, int classes) {
    Random random(1);
    std::int64_t samples = std::int64_t{batch_size} * batches;
    x = random.normal(input.inserted(0, samples));
    y = one_hot(random.integers({samples}, 0, classes), classes);
  }

  void fit(int epochs) {
    model.fit(x, y, {.batch_size = batch_size, .epochs = epochs, .verbose = 0});
  }

  double slice() {
    double start = now();
    fit(1);
    return (now() - start) / batches * 1e3;
  }
};

template <class M>
std::function<double()> train(M layers, int batch, const Shape& input, int classes) {
  auto training = std::make_shared<Training<M>>(std::move(layers), batch, input, classes);
  return [training] { return training->slice(); };
}

Sequential with_attention(AnyLayer rnn, int classes) {
  Sequential model;
  model.add(std::move(rnn));
  model.add(AttentionLayer(64));
  model.add(Dense(classes, {.activation = "softmax"}));
  return model;
}

/// A gated cell as a user writes one: a GRU whose reset gate acts before the product.
class OwnCell : public RNNCell {
 public:
  explicit OwnCell(int units) : units_(units) {}
  std::vector<int> state_size() const override { return {units_}; }
  void build(const Shape& input_shape) override {
    for (int gate = 0; gate < 3; ++gate) {
      W[gate] = add_weight("W" + std::to_string(gate), {input_shape[-1], units_});
      U[gate] = add_weight("U" + std::to_string(gate), {units_, units_}, "orthogonal");
      b[gate] = add_weight("b" + std::to_string(gate), {units_}, "zeros");
    }
  }
  Tensors step(const Tensor& x, const Tensors& states) override {
    const Tensor& h = states[0];
    auto z = sigmoid(dot(x, W[0]) + dot(h, U[0]) + b[0]);
    auto r = sigmoid(dot(x, W[1]) + dot(h, U[1]) + b[1]);
    auto n = tanh(dot(x, W[2]) + dot(r * h, U[2]) + b[2]);
    auto next = z * h + (1 - z) * n;
    return {next, next};
  }

 private:
  int units_;
  Weight W[3], U[3], b[3];
};

Sequential lstm(int units, int classes) {
  return with_attention(LSTM(units, {.return_sequences = true}), classes);
}

std::function<double()> predict(Sequential layers, int batch, const Shape& input) {
  auto model = std::make_shared<Sequential>(std::move(layers));
  Tensor x = Random(1).normal(input.inserted(0, batch));
  model->predict_on_batch(x);
  return [model, x] { return per_call([&] { model->predict_on_batch(x); }); };
}

Sequential convolutional() {
  return Sequential({Conv2D(32, 3, {.activation = "relu"}), MaxPooling2D(2),
                     Conv2D(64, 3, {.activation = "relu"}), MaxPooling2D(2), Flatten(),
                     Dense(10, {.activation = "softmax"})});
}

Sequential separable() {
  return Sequential({SeparableConv2D(64, 3, {.activation = "relu"}), MaxPooling2D(2),
                     SeparableConv2D(128, 3, {.activation = "relu"}), GlobalAveragePooling2D(),
                     Dense(10, {.activation = "softmax"})});
}

Sequential temporal() {
  Sequential model;
  for (int dilation : {1, 2, 4, 8})
    model.add(
        Conv1D(64, 3, {.padding = "causal", .dilation_rate = dilation, .activation = "relu"}));
  model.add(GlobalAveragePooling1D());
  model.add(Dense(10, {.activation = "softmax"}));
  return model;
}

/// An encoder block with normalisation after each part.
Model transformer(int time, int width, int heads) {
  auto x = Input({time, width});
  auto h = LayerNormalization()(Add()({x, MultiHeadAttention(heads, width / heads)({x, x})}));
  auto thought = Dense(width)(Dense(4 * width, {.activation = "relu"})(h));
  auto y = GlobalAveragePooling1D()(LayerNormalization()(Add()({h, thought})));
  return Model({x}, {Dense(10, {.activation = "softmax"})(y)});
}

}  // namespace

const std::vector<Workload>& workloads() {
  const Shape seed{10, 32};
  static const std::vector<Workload> all = {
      {"seed", "LSTM(128), attention(64), Dense(10); batch 64, 10 steps of 32",
       [=] { return train(lstm(128, 10), 64, seed, 10); }},
      {"vowels", "LSTM(32), attention(64), Dense(9); batch 16, 29 steps of 12",
       [] {
         return train(lstm(32, 9), 16, {29, 12}, 9);
       }},
      {"long", "LSTM(256), attention(64), Dense(10); batch 32, 100 steps of 64",
       [] {
         return train(lstm(256, 10), 32, {100, 64}, 10);
       }},
      {"wide", "LSTM(512), attention(64), Dense(10); batch 64, 50 steps of 128",
       [] {
         return train(lstm(512, 10), 64, {50, 128}, 10);
       }},
      {"mlp", "Dense(512, relu) twice, Dense(10); batch 128 of 784",
       [] {
         Sequential model({Dense(512, {.activation = "relu"}), Dense(512, {.activation = "relu"}),
                           Dense(10, {.activation = "softmax"})});
         return train(std::move(model), 128, {784}, 10);
       }},
      {"conv", "Conv2D(32), pool, Conv2D(64), pool, Dense(10); batch 64 of 28x28x1",
       [] {
         return train(convolutional(), 64, {28, 28, 1}, 10);
       }},
      {"separable",
       "SeparableConv2D(64), pool, SeparableConv2D(128), average, Dense(10); batch 64 of 28x28x32",
       [] {
         return train(separable(), 64, {28, 28, 32}, 10);
       }},
      {"temporal",
       "four causal Conv1D(64), dilated by 1 to 8, average, Dense(10); batch 64, 64 steps of 32",
       [] {
         return train(temporal(), 64, {64, 32}, 10);
       }},
      {"transformer",
       "encoder block of 4 heads and Dense(512), average, Dense(10); batch 32, 64 steps of 128",
       [] {
         return train(transformer(64, 128, 4), 32, {64, 128}, 10);
       }},
      {"transformer-long", "the same; batch 2, 2048 steps of 128",
       [] {
         return train(transformer(2048, 128, 4), 2, {2048, 128}, 10);
       }},
      {"gru", "seed with a GRU",
       [=] {
         return train(with_attention(GRU(128, {.return_sequences = true}), 10), 64, seed, 10);
       }},
      {"bidirectional", "seed with a Bidirectional LSTM",
       [=] {
         Bidirectional both(LSTM(128, {.return_sequences = true}));
         return train(with_attention(std::move(both), 10), 64, seed, 10);
       }},
      {"masked", "Masking, LSTM(128), Dense(10); batch 64, 10 steps of 32",
       [=] {
         Sequential model({Masking(), LSTM(128), Dense(10, {.activation = "softmax"})});
         return train(std::move(model), 64, seed, 10);
       }},
      {"dropout", "seed with dropout and recurrent dropout of 0.2",
       [=] {
         LSTM lstm(128, {.return_sequences = true, .dropout = 0.2, .recurrent_dropout = 0.2});
         return train(with_attention(std::move(lstm), 10), 64, seed, 10);
       }},
      {"own-cell", "seed with a gated cell written as a user's class, in RNN(cell)",
       [=] {
         return train(with_attention(RNN(OwnCell(128), {.return_sequences = true}), 10), 64, seed,
                      10);
       }},
      {"predict-1", "seed, predict_on_batch of 1", [=] { return predict(lstm(128, 10), 1, seed); }},
      {"predict-64", "seed, predict_on_batch of 64",
       [=] { return predict(lstm(128, 10), 64, seed); }},
      {"predict-conv", "conv, predict_on_batch of 64",
       [] {
         return predict(convolutional(), 64, {28, 28, 1});
       }},
  };
  return all;
}

}  // namespace bench
