// The engine on one page: matrices, a tape, seven ops with their derivatives, and an LSTM with
// attention that learns by them. The page needs nothing but the standard library:
//
//   g++ -std=c++20 -O2 examples/00_on_one_page.cpp && ./a.out

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

// --- Matrices: numbers only, no derivatives yet

struct Matrix {
  int rows, cols;
  std::vector<double> numbers;

  Matrix(double number) : rows(1), cols(1), numbers{number} {}
  Matrix(int rows, int cols) : rows(rows), cols(cols), numbers(rows * cols) {}
  Matrix(int rows, int cols, auto formula) : Matrix(rows, cols) {
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < cols; ++j) (*this)(i, j) = formula(i, j);
  }

  // Broadcasting: a single row or column stands for as many as are asked for.
  int index(int i, int j) const { return (rows > 1 ? i : 0) * cols + (cols > 1 ? j : 0); }
  double& operator()(int i, int j) { return numbers[index(i, j)]; }
  double operator()(int i, int j) const { return numbers[index(i, j)]; }

  // The reverse: a single row or column gets the sum of many. A bias has such a gradient.
  Matrix& operator+=(const Matrix& x) {
    for (int i = 0; i < std::max(rows, x.rows); ++i)
      for (int j = 0; j < std::max(cols, x.cols); ++j) (*this)(i, j) += x(i, j);
    return *this;
  }
};

Matrix map(double f(double), const Matrix& x) {
  return {x.rows, x.cols, [&](int i, int j) { return f(x(i, j)); }};
}
Matrix zip(auto f, const Matrix& a, const Matrix& b) {
  return {std::max(a.rows, b.rows), std::max(a.cols, b.cols),
          [&](int i, int j) { return f(a(i, j), b(i, j)); }};
}
Matrix operator+(const Matrix& a, const Matrix& b) { return zip(std::plus(), a, b); }
Matrix operator-(const Matrix& a, const Matrix& b) { return zip(std::minus(), a, b); }
Matrix operator*(const Matrix& a, const Matrix& b) { return zip(std::multiplies(), a, b); }
Matrix operator/(const Matrix& a, const Matrix& b) { return zip(std::divides(), a, b); }
Matrix sum(const Matrix& x, int axis) {
  return Matrix(axis == 0 ? 1 : x.rows, axis == 1 ? 1 : x.cols) += x;
}
Matrix transposed(const Matrix& x) {
  return {x.cols, x.rows, [&](int i, int j) { return x(j, i); }};
}
Matrix dot(const Matrix& a, const Matrix& b) {
  Matrix y(a.rows, b.cols);
  for (int i = 0; i < y.rows; ++i)
    for (int j = 0; j < y.cols; ++j)
      for (int k = 0; k < a.cols; ++k) y(i, j) += a(i, k) * b(k, j);
  return y;
}

// --- The tape: everything that was computed, in that order

using Backward = std::function<void(const Matrix& grad)>;
const Backward nothing = [](auto&) {};

struct Node {
  Matrix value, grad;  // grad: the gradient of the loss with respect to the value
  Backward backward;   // hands grad on to the arrays that the value was computed from
};
std::vector<Node> tape;

// An array is a place on the tape: to make one is to record it.
struct Array {
  std::size_t place = tape.size();
  Array(const Matrix& x, const Backward& b = nothing) { tape.push_back({x, 0 * x, b}); }
  Array(double number) : Array(Matrix(number)) {}
  Node* operator->() const { return &tape[place]; }
};

// An array is computed from earlier ones. So on the way from the end of the tape to its beginning
// each gradient is complete before it is handed on, and the backward pass is one loop.
void backward(Array loss) {
  for (Node& node : tape) node.grad = 0 * node.value;
  loss->grad = 1;
  for (std::size_t n = tape.size(); n-- > 0;) tape[n].backward(tape[n].grad);
}

// --- The ops: each returns its value and, beside it, its derivative
//
// The chain rule: if y is computed from x, then dL/dx = dL/dy * dy/dx, added up over all such y.
// Below, g is dL/dy, and each op adds its share to dL/dx, which is x->grad.

Array tanh(Array x) {
  Matrix y = map(std::tanh, x->value);
  return {y, [=](auto& g) { x->grad += g * (1 - y * y); }};
}
Array log(Array x) {
  return {map(std::log, x->value), [=](auto& g) { x->grad += g / x->value; }};
}
Array operator+(Array a, Array b) {
  return {a->value + b->value, [=](auto& g) { a->grad += g, b->grad += g; }};
}
Array operator*(Array a, Array b) {
  return {a->value * b->value, [=](auto& g) { a->grad += g * b->value, b->grad += g * a->value; }};
}
Array dot(Array a, Array b) {
  return {dot(a->value, b->value), [=](auto& g) {
            a->grad += dot(g, transposed(b->value));
            b->grad += dot(transposed(a->value), g);
          }};
}
Array sum(Array x, int axis) {
  return {sum(x->value, axis), [=](auto& g) { x->grad += g; }};
}
// A library would subtract the largest x first, so that exp never overflows.
Array softmax(Array x, int axis) {
  Matrix e = map(std::exp, x->value), y = e / sum(e, axis);
  return {y, [=](auto& g) { x->grad += y * (g - sum(g * y, axis)); }};
}
// What is made of ops needs no derivative of its own.
Array sigmoid(Array x) { return 0.5 * tanh(0.5 * x) + 0.5; }

// --- The task: one letter of each word is a capital. Is it A, B or C?

const std::vector<std::string> words{
    "ccbbbcBa", "bbcBabac", "bbaCbbbc", "ccAacabb", "cbbccbbC", "caaccbAa", "Abcbcccc", "accbCaba",
    "bcCacccb", "acabbaCc", "abBaabab", "Bbacaaab", "Cabcacaa", "ccabcBba", "abbcBcbb", "aabbabcB",
    "aCaabbac", "acaccCba", "cacbaabA", "cAbbabaa", "aBcbaaaa", "abacAcaa", "abccbAbb", "abbAbcba"};
const int length = 8, features = 4, units = 6, attention_dim = 4, classes = 3;

Matrix one_hot(int n, int size) {
  return {1, size, [=](int, int j) { return j == n; }};
}

// --- The model. Its weights are the first arrays on the tape, and stay there.

std::mt19937 dice(2);
Matrix random(int rows, int cols) {  // between -1 and 1
  return {rows, cols, [](int, int) { return dice() / 2147483648.0 - 1; }};
}
struct Gate {
  Array W = random(features, units), U = random(units, units), b = Matrix(1, units);
} input, forget, candidate, output;
Array W = random(units, attention_dim), b = Matrix(1, attention_dim), u = random(attention_dim, 1);
Array V = random(units, classes), d = Matrix(1, classes);
const std::size_t weights = tape.size();

struct Prediction {
  Array probabilities, attention;
};
Prediction predict(const std::string& word) {
  Array h = Matrix(1, units), c = Matrix(1, units), inputs = Matrix(length, units);
  for (int t = 0; t < length; ++t) {  // the LSTM keeps some of c, adds some, shows some
    Matrix x = one_hot(std::tolower(word[t]) - 'a', features);  // a, b or c?
    x(0, 3) = std::isupper(word[t]) ? 1 : 0;                    // a capital?
    auto gate = [&](Gate& w) { return dot(x, w.W) + dot(h, w.U) + w.b; };
    Array i = sigmoid(gate(input)), f = sigmoid(gate(forget)), o = sigmoid(gate(output));
    c = f * c + i * tanh(gate(candidate));
    h = o * tanh(c);
    inputs = inputs + dot(transposed(one_hot(t, length)), h);  // h becomes row t
  }
  // The attention: a score for each step, made a share of the whole; then a weighted sum.
  Array e = tanh(dot(inputs, W) + b);                    // (time, attention_dim)
  Array a = softmax(dot(e, u), /*axis=*/0);              // (time, 1)
  Array context = sum(inputs * a, /*axis=*/0);           // (1, units)
  return {softmax(dot(context, V) + d, /*axis=*/1), a};  // (1, classes)
}

// One step of gradient descent. Returns the loss before it, the mean of -log p(right class).
double train(double rate) {
  tape.erase(tape.begin() + weights, tape.end());  // of the step before
  Array loss = 0;
  for (auto& word : words) {
    Matrix truth = one_hot(word[word.find_first_of("ABC")] - 'A', classes);
    loss = loss + -1.0 / words.size() * sum(truth * log(predict(word).probabilities), 1);
  }
  backward(loss);
  for (std::size_t n = 0; n < weights; ++n) tape[n].value += -rate * tape[n].grad;
  return loss->value(0, 0);
}

int main() {
  for (int step = 0; step <= 80; ++step) {
    double loss = train(1.0);
    if (step % 10 == 0) std::printf("step %2d: loss %.4f\n", step, loss);
  }
  std::string word = "cabBacba";
  std::printf("\nHow much each letter counts in %s, a new word:\n", word.c_str());
  Array a = predict(word).attention;
  for (int t = 0; t < length; ++t) {
    std::string bar(std::lround(60 * a->value(t, 0)), '#');
    std::printf("  %c  %.2f  %s\n", word[t], a->value(t, 0), bar.c_str());
  }
  return a->value(3, 0) > 0.5 ? 0 : 1;  // has it found the B?
}
