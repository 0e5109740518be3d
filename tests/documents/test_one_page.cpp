// The library against the engine on one page, an example that shares no code with it: the same
// model with the same weights, in float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

// The headers that the page includes are already here, so that nothing but the page itself lands in
// the namespace.
TEST_SUITE_BEGIN("documents");

namespace one_page {
#define main one_page_main
#include "../../examples/00_on_one_page.cpp"
#undef main
}  // namespace one_page

namespace keratin {
namespace {

const double tolerance = 1e-10;

Tensor to_tensor(const one_page::Matrix& x) { return tensor(x.numbers, {x.rows, x.cols}); }

double largest_difference(const Tensor& x, const Tensor& y) {
  REQUIRE(x.shape() == y.shape());
  return max(abs(x - y)).item();
}

// Values or gradients, in the order of the library's weights. The page has a matrix for each gate,
// the library one for all.
std::vector<Tensor> weights_of_page(one_page::Matrix one_page::Node::*part) {
  using namespace one_page;
  auto of = [&](Array x) { return to_tensor((*x.operator->()).*part); };
  auto vector_of = [&](Array x) { return reshape(of(x), {-1}); };
  std::vector<Tensor> kernels, recurrent_kernels, biases;
  for (const Gate& gate : {one_page::input, forget, candidate, output}) {
    kernels.push_back(of(gate.W));
    recurrent_kernels.push_back(of(gate.U));
    biases.push_back(vector_of(gate.b));
  }
  return {concatenate(kernels),
          concatenate(recurrent_kernels),
          concatenate(biases),
          of(W),
          vector_of(one_page::b),
          of(u),
          of(V),
          vector_of(d)};
}

// (words, time, 4): one-hot letters, and whether they are capitals.
Tensor inputs_of_page() {
  std::vector<Tensor> samples;
  for (const std::string& word : one_page::words) {
    std::vector<double> x;
    for (char letter : word)
      for (double feature :
           {double(letter == 'a' || letter == 'A'), double(letter == 'b' || letter == 'B'),
            double(letter == 'c' || letter == 'C'), double(letter < 'a')})
        x.push_back(feature);
    samples.push_back(tensor(x, {one_page::length, one_page::features}));
  }
  return stack(samples);
}

Tensor labels_of_page() {
  std::vector<std::int32_t> labels;
  for (const std::string& word : one_page::words)
    labels.push_back(word[word.find_first_of("ABC")] - 'A');
  return tensor(labels);
}

}  // namespace

TEST_CASE("the library and the engine on one page have the same losses, gradients and attention") {
  AttentionLayer attention(one_page::attention_dim);
  attention.set_name("attention");
  Sequential model({LSTM(one_page::units, {.return_sequences = true}), attention,
                    Dense(one_page::classes, {.activation = "softmax"})});
  model.set_dtype(float64);
  Tensor x = inputs_of_page(), y = labels_of_page();
  model.ensure_built({None, one_page::length, one_page::features});
  model.set_weights(weights_of_page(&one_page::Node::value));
  std::vector<Weight> weights = model.trainable_weights();
  std::vector<Tensor> values(weights.begin(), weights.end());

  Loss crossentropy = "sparse_categorical_crossentropy";
  const double rate = 1.0;
  SGD descent(rate);
  for (int step = 0; step < 10; ++step) {
    CAPTURE(step);
    GradientTape tape;
    Tensor loss = crossentropy(y, model(x));
    auto gradients = tape.gradient(loss, values);
    double loss_of_page = one_page::train(rate);
    auto gradients_of_page = weights_of_page(&one_page::Node::grad);
    CHECK(std::abs(loss.item() - loss_of_page) < tolerance);
    for (std::size_t n = 0; n < weights.size(); ++n) {
      CAPTURE(weights[n].name());
      CHECK(norm(gradients[n]).item() > 1e-4);
      CHECK(largest_difference(gradients[n], gradients_of_page[n]) < tolerance);
    }
    descent.apply(gradients, weights);
  }

  Capture capture;
  model(x);
  Tensor attention_of_words = capture.values().at("attention/attention");
  for (int n = 0; n < x.shape()[0]; ++n) {
    Tensor a = to_tensor(one_page::predict(one_page::words[n]).attention->value);
    CHECK(largest_difference(attention_of_words[n], a) < tolerance);
  }
}

}  // namespace keratin

TEST_SUITE_END();
