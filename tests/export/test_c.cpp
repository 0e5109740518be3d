// Models as C files: what the files say. That they compile and predict the same is for
// test_c_compiled.cpp and export_c.sh.

#include <doctest/doctest.h>

#include <keratin/io/file.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "error_of.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("export");

namespace keratin {
namespace {

std::string c_of(const Model& model, const COptions& options = {}) {
  TemporaryDirectory folder;
  export_c(model, folder / "model.c", options);
  CHECK(folder.files() == 1);
  return read_file(folder / "model.c");
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

/// The numbers in the array of that name.
template <class T>
std::vector<T> numbers_of(const std::string& text, const std::string& array) {
  std::vector<T> numbers;
  const std::size_t start = text.find(" " + array + "[");
  REQUIRE(start != text.npos);
  const char* next = text.c_str() + text.find('{', start) + 1;
  while (*next != '}') {
    char* end = nullptr;
    if constexpr (sizeof(T) == sizeof(float))
      numbers.push_back(std::strtof(next, &end));
    else
      numbers.push_back(std::strtod(next, &end));
    if (end == next) break;
    next = end + std::strspn(end, "f, \n");
  }
  return numbers;
}

Sequential small() {
  return Sequential({LSTM(5, {.return_sequences = true, .input_shape = {6, 4}}), AttentionLayer(3),
                     Dense(2, {.activation = "softmax"})});
}

namespace mine {
class Dense : public keratin::Dense {
 public:
  using keratin::Dense::Dense;
  Tensor call(const Tensor& x) override { return keratin::Dense::call(x) * 2; }
};
}  // namespace mine

}  // namespace

TEST_CASE("a C file states sizes, the function and its memory, and holds what it needs alone") {
  const std::string text = c_of(small());
  for (const char* part :
       {"#define MODEL_X_SIZE 24\n", "#define MODEL_Y_SIZE 2\n", "} model_workspace;",
        "int model_predict(const float* x, float* y, model_workspace* work);", "#ifdef MODEL_TEST",
        "#ifndef MODEL_INTERFACE", "static void lstm(", "static void dense(", "(6, 4)"})
    CHECK(has(text, part));
  for (const char* part : {"static void gru(", "embedding", "convolution", "MAX_STEPS", "malloc"})
    CHECK_FALSE(has(text, part));
}

TEST_CASE("the names in a C file are those of the file, or given") {
  TemporaryDirectory folder;
  export_c(small(), folder / "1 my-model.v2.c");
  CHECK(has(read_file(folder / "1 my-model.v2.c"), "int x1_my_model_v2_predict("));
  CHECK(has(c_of(small(), {.name = "gestures"}), "#define GESTURES_X_SIZE 24\n"));
  CHECK(error_of([] { c_of(small(), {.name = "my model"}); }) ==
        "export_c: expected a name of letters, digits and single underscores, got \"my model\"");
}

TEST_CASE("several inputs and outputs have the names of their layers") {
  auto age = Input({1}, {.name = "age"}), text = Input({7}, {.dtype = int32, .name = "text"});
  auto words = GlobalAveragePooling1D()(Embedding(9, 3)(text));
  auto both = Concatenate()({age, words});
  Model model({age, text},
              {Dense(2, {.name = "topic"})(both), Dense(1, {.name = "score/of 1"})(both)});
  const std::string c = c_of(model);
  CHECK(has(c,
            "int model_predict(const float* x_age, const int* x_text, float* y_topic, "
            "float* y_score_of_1,\n                  model_workspace* work);"));
  CHECK(has(c, "#define MODEL_X_TEXT_SIZE 7\n"));
  CHECK(has(c, "#define MODEL_Y_SCORE_OF_1_SIZE 1\n"));
}

TEST_CASE("an axis of unknown size is an argument, of which the largest is given") {
  Sequential model({LSTM(3, {.return_sequences = true, .input_shape = {None, 2}})});
  CHECK(error_of([&] { c_of(model); })
            .find("(None, None, 2) has an axis of unknown size: give "
                  "max_steps, the largest it may be") != std::string::npos);
  const std::string c = c_of(model, {.max_steps = 9});
  CHECK(has(c, "model_predict(const float* x, int steps, float* y, "));
  CHECK(has(c, "#define MODEL_MAX_STEPS 9\n"));
  CHECK(has(c, "#define MODEL_Y_SIZE 27\n"));
  CHECK(error_of([&] { c_of(model, {.max_steps = -1}); }) ==
        "export_c: expected max_steps of at least 1, got -1");
}

TEST_CASE(
    "operations that a C file cannot do are refused, and indices beyond an axis are checked") {
  TemporaryDirectory folder;
  auto x = Input({5, 4}), any_length = Input({None, 4});
  auto reason = [&](const SymbolicTensor& input, const SymbolicTensor& y) {
    const std::string error =
        error_of([&] { export_c(Model({input}, {y}), folder / "model.c", {.max_steps = 6}); });
    const auto end_of_name = error.rfind(": ");
    return end_of_name == error.npos ? error : error.substr(end_of_name + 2);
  };
  CHECK(reason(x, reshape(x, {-1, 4})) ==
        "a reshape that changes the axis of the batch is not exported");
  CHECK(reason(x, transpose(x, {1, 0, 2})) ==
        "an operation that moves the axis of the batch is not exported");
  CHECK(reason(x, slice(x, {range(0, 1)})) == "a slice of the batch is not exported");
  CHECK(reason(x, sum(x)) == "an operation over all axes is not exported");
  CHECK(reason(any_length, slice(any_length, {All(), range(1, Range::open)})) ==
        "a slice of an axis whose size is not known is not exported");
  CHECK(reason(any_length, slice(any_length, {All(), -2})) == "no error");
  CHECK(read_file(folder / "model.c").find("< 2) return 1;") != std::string::npos);
  CHECK(reason(x, slice(x, {All(), range(4, 0, INT64_MIN + 1)})) == "no error");
}

TEST_CASE("what the export does not know is refused by layer and class, and an old file stays") {
  TemporaryDirectory folder;
  write_file(folder / "model.c", "old");
  auto refusal = [&](const Model& model) {
    const std::string error = error_of([&] { export_c(model, folder / "model.c"); });
    CHECK(read_file(folder / "model.c") == "old");
    CHECK(folder.files() == 1);
    return error;
  };
  CHECK(refusal(Sequential({Dense(4, {.input_shape = {3}}),
                            Lambda([](const Tensor& x) { return x; }, {.name = "own"})})) ==
        "export_c: own (Lambda): layers of this class are not exported");
  Sequential inner({Hashing(3, {.name = "bins"})}, "inner");
  CHECK(refusal(Sequential({InputLayer({4}), inner})) ==
        "export_c: inner/bins (Hashing): layers of this class are not exported");
  CHECK(refusal(Sequential({LSTM(2, {.stateful = true, .name = "carries", .input_shape = {4, 1}})}))
            .starts_with("export_c: carries (LSTM): a layer that is stateful"));
  CHECK(refusal(Sequential({Dense(2, {.activation = [](const Tensor& x) { return x * 2; },
                                      .name = "own",
                                      .input_shape = {3}})}))
            .starts_with("export_c: own (Dense): "));
  CHECK(refusal(Sequential({mine::Dense(2, {.name = "own", .input_shape = {3}})})) ==
        "export_c: own (Dense): layers of this class are not exported");
  auto x = Input({3});
  CHECK(refusal(Model({x}, {cumsum(x, 1)})) ==
        "export_c: cumsum (Cumsum): the operation \"cumsum\" is not exported");
  CHECK(refusal(Sequential({Dense(2)})).find("not built") != std::string::npos);
}

TEST_CASE_TEMPLATE("weights come back bit for bit", T, float, double) {
  const DType before = floatx();
  set_floatx(dtype_for<T>);
  Sequential model({Dense(4, {.name = "d", .input_shape = {3}})});
  set_floatx(before);
  using Limits = std::numeric_limits<T>;
  const std::vector<T> kernel{
      0,      T(-0.0),          T(1) / 3,      Limits::max(),        Limits::min(),
      T(0.1), T(1e10),          T(16777217.0), Limits::denorm_min(), -Limits::infinity(),
      T(-2),  Limits::epsilon()};
  model.set_weights({Tensor::view(kernel.data(), {3, 4}), zeros({4}, dtype_for<T>)});
  const std::string c =
      c_of(model, {.samples = ones({1, 3}), .predictions = zeros({1, 4}, dtype_for<T>)});
  std::vector<T> read = numbers_of<T>(c, "d_kernel");
  // strtod does not know the name that C gives infinity.
  REQUIRE(read.size() >= 9);
  for (std::size_t i = 0; i < 9; ++i) CHECK(std::memcmp(&read[i], &kernel[i], sizeof(T)) == 0);
  CHECK(has(c, "-INFINITY, -2.0"));
  CHECK(
      has(c, sizeof(T) == 4 ? "static const float d_kernel[12]" : "static const double d_kernel"));
  CHECK_FALSE(has(c, "exp("));
}

TEST_CASE("a shared layer has its weights once") {
  Dense dense(3, {.name = "d"});
  auto x = Input({3});
  const std::string c = c_of(Model({x}, {dense(dense(x))}));
  CHECK(has(c, "static const float d_kernel[9]"));
  CHECK_FALSE(has(c, "d_kernel_1"));
  CHECK(has(c, ": 12 weights."));
}

TEST_CASE("samples for the test are checked, and the same seed gives the same file") {
  Sequential model = small();
  CHECK(c_of(model) == c_of(model, {.seed = 1}));
  CHECK(c_of(model) != c_of(model, {.seed = 2}));
  CHECK(error_of([&] {
          c_of(model, {.samples = ones({2, 5, 4})});
        }).starts_with("export_c: samples: expected (None, 6, 4)"));
  CHECK(error_of([&] {
          c_of(model, {.samples = ones({2, 6, 4}), .predictions = ones({3, 2})});
        }) == "export_c: predictions: expected 2 samples, got (3, 2)");
  CHECK(has(c_of(model, {.samples = ones({2, 6, 4}), .predictions = full({2, 2}, 0.25)}),
            "expected_y[] = {\n    0.25f, 0.25f, 0.25f, 0.25f};"));
}

}  // namespace keratin

TEST_SUITE_END();
