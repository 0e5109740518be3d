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
namespace one_page {
#define main one_page_main
#include "../examples/00_on_one_page.cpp"
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

// The page has a matrix for each gate, the library one for all, in the order i, f, c, o. `part`
// takes the value of an array or its gradient. The order of the list is that of the layers'
// weights.
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
  LSTM lstm(one_page::units, {.return_sequences = true});
  AttentionLayer attention(one_page::attention_dim);
  Dense dense(one_page::classes, {.activation = "softmax"});
  attention.set_name("attention");
  Tensor x = inputs_of_page(), y = labels_of_page();
  auto predict = [&] { return dense(attention(lstm(x))); };
  for (Layer* layer : std::initializer_list<Layer*>{&lstm, &attention, &dense})
    layer->set_dtype(float64);
  predict();  // builds the layers
  auto w = weights_of_page(&one_page::Node::value);
  lstm.set_weights({w[0], w[1], w[2]});
  attention.set_weights({w[3], w[4], w[5]});
  dense.set_weights({w[6], w[7]});

  std::vector<Weight> weights;
  std::vector<Tensor> values;
  for (Layer* layer : std::initializer_list<Layer*>{&lstm, &attention, &dense})
    for (const Weight& weight : layer->weights()) {
      weights.push_back(weight);
      values.push_back(weight);
    }
  Loss crossentropy = "sparse_categorical_crossentropy";
  const double rate = 1.0;
  SGD descent(rate);
  for (int step = 0; step < 10; ++step) {
    CAPTURE(step);
    GradientTape tape;
    Tensor loss = crossentropy(y, predict());
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
  predict();
  Tensor attention_of_words = capture.values().at("attention/attention");
  for (int n = 0; n < x.shape()[0]; ++n) {
    Tensor a = to_tensor(one_page::predict(one_page::words[n]).attention->value);
    CHECK(largest_difference(attention_of_words[n], a) < tolerance);
  }
}

}  // namespace keratin
