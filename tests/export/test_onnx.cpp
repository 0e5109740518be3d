// Models as ONNX files. tools/onnx_check.py lets ONNX Runtime compute what such files say; here
// they are read.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include <keratin/io/file.h>
#include <keratin/io/hdf5.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/crf.h>

#include "error_of.h"
#include "temporary_directory.h"

#ifdef KERATIN_PROTOBUF
#include <onnx.pb.h>
#endif

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

#ifndef KERATIN_PROTOBUF

TEST_CASE("without Protocol Buffers an export says what is missing") {
  TemporaryDirectory directory;
  Sequential model({Dense(2, {.input_shape = {3}})});
  CHECK_FALSE(has_onnx());
  CHECK(error_of([&] { export_onnx(model, directory / "m.onnx"); }) ==
        directory / "m.onnx" +
            ": this build of Keratin cannot write ONNX; build it where libprotobuf-dev and "
            "protobuf-compiler are installed");
}

#else

using proto::onnx::GraphProto;
using proto::onnx::ModelProto;
using proto::onnx::NodeProto;

ModelProto exported(const Model& model) {
  TemporaryDirectory directory;
  export_onnx(model, directory / "m.onnx");
  ModelProto file;
  REQUIRE(file.ParseFromString(read_file(directory / "m.onnx")));
  return file;
}

/// "LSTM 1, MatMul 2": how often each operator is there, in bodies of loops, too.
void count(const GraphProto& graph, std::map<std::string, int>& counts) {
  for (const NodeProto& node : graph.node()) {
    ++counts[node.op_type()];
    for (const auto& attribute : node.attribute())
      if (attribute.has_g()) count(attribute.g(), counts);
  }
}
std::map<std::string, int> operators_of(const ModelProto& file) {
  std::map<std::string, int> counts;
  count(file.graph(), counts);
  return counts;
}

std::vector<float> numbers_of(const ModelProto& file, const std::string& name) {
  for (const auto& tensor : file.graph().initializer()) {
    if (tensor.name() != name) continue;
    std::vector<float> numbers(tensor.raw_data().size() / sizeof(float));
    std::memcpy(numbers.data(), tensor.raw_data().data(), tensor.raw_data().size());
    return numbers;
  }
  FAIL("no constant ", name);
  return {};
}

/// "(batch, 3)"
std::string shape_of(const proto::onnx::ValueInfoProto& value) {
  std::string text;
  for (const auto& dim : value.type().tensor_type().shape().dim())
    text += (text.empty() ? "" : ", ") +
            (dim.has_dim_param() ? dim.dim_param() : std::to_string(dim.dim_value()));
  return "(" + text + ")";
}

/// Whether each node reads what is there, and each name means one thing.
bool is_well_formed(const GraphProto& graph, std::set<std::string> known = {}) {
  bool fine = true;
  auto define = [&](const std::string& name) { fine = known.insert(name).second && fine; };
  for (const auto& tensor : graph.initializer()) define(tensor.name());
  for (const auto& input : graph.input()) define(input.name());
  for (const NodeProto& node : graph.node()) {
    for (const std::string& input : node.input())
      fine = fine && (input.empty() || known.contains(input));
    for (const auto& attribute : node.attribute())
      if (attribute.has_g()) fine = fine && is_well_formed(attribute.g(), known);
    for (const std::string& output : node.output()) define(output);
  }
  for (const auto& output : graph.output()) fine = fine && known.contains(output.name());
  return fine;
}

TEST_CASE("a dense layer is a product, a sum and an activation, over any number of samples") {
  Sequential model({Dense(2, {.activation = "relu", .name = "first", .input_shape = {3}})});
  const ModelProto file = exported(model);
  CHECK(file.ir_version() == 8);
  REQUIRE(file.opset_import_size() == 1);
  CHECK(file.opset_import(0).domain() == "");
  CHECK(file.opset_import(0).version() == 18);
  CHECK(operators_of(file) ==
        std::map<std::string, int>{{"MatMul", 1}, {"Add", 1}, {"Relu", 1}, {"Identity", 1}});
  CHECK(numbers_of(file, "first/kernel") == model.get_weights()[0].to_vector<float>());
  CHECK(numbers_of(file, "first/bias") == model.get_weights()[1].to_vector<float>());
  REQUIRE(file.graph().input_size() == 1);
  CHECK(shape_of(file.graph().input(0)) == "(batch, 3)");
  CHECK(shape_of(file.graph().output(0)) == "(batch, 2)");
  CHECK(is_well_formed(file.graph()));
}

TEST_CASE("inputs and outputs keep their names, and open axes stay open") {
  SymbolicTensor ids = Input({None}, {.dtype = int32, .name = "ids"}),
                 more = Input({4}, {.name = "more"});
  SymbolicTensor h = Embedding(9, 4)(ids);
  Model model({ids, more}, {Dense(3, {.name = "steps"})(h), Dense(1, {.name = "total"})(more)});
  TemporaryDirectory directory;
  export_onnx(model, directory / "m.onnx", {.batch_axis = "N"});
  ModelProto file;
  REQUIRE(file.ParseFromString(read_file(directory / "m.onnx")));
  const GraphProto& graph = file.graph();
  CHECK(graph.input(0).name() == "ids");
  CHECK(graph.input(0).type().tensor_type().elem_type() == 6);
  CHECK(shape_of(graph.input(0)) == "(N, ids_axis_1)");
  CHECK(graph.input(1).name() == "more");
  CHECK(graph.output(0).name() == "steps");
  CHECK(shape_of(graph.output(0)) == "(N, steps_axis_1, 3)");
  CHECK(graph.output(1).name() == "total");
}

TEST_CASE("an LSTM is ONNX's own where it means the same, and else a Scan") {
  auto of = [](const RNNOptions& options) {
    return operators_of(exported(Sequential({InputLayer({5, 2}), LSTM(3, options)})));
  };
  CHECK(of({})["LSTM"] == 1);
  CHECK(of({.return_sequences = true})["Scan"] == 0);
  CHECK(of({.activation = "relu"})["LSTM"] == 0);
  CHECK(of({.activation = "relu"})["Scan"] == 1);
  const ModelProto masked = exported(Sequential({InputLayer({5, 2}), Masking(), LSTM(3)}));
  CHECK(operators_of(masked)["Scan"] == 1);
  CHECK(operators_of(masked)["LSTM"] == 0);
  CHECK(is_well_formed(masked.graph()));
}

TEST_CASE("the gates of an LSTM come in ONNX's order, as rows") {
  Sequential model({InputLayer({5, 1}), LSTM(1, {.name = "lstm"})});
  Tensor kernel = reshape(tensor({1.0f, 2.0f, 3.0f, 4.0f}), {1, 4});
  Tensor bias = tensor({5.0f, 6.0f, 7.0f, 8.0f});
  model.set_weights({kernel, kernel, bias});
  const ModelProto file = exported(model);  // i, f, c, o -> i, o, f, c
  CHECK(numbers_of(file, "lstm/kernel_rows") == std::vector<float>{1, 4, 2, 3});
  CHECK(numbers_of(file, "lstm/biases") == std::vector<float>{5, 8, 6, 7, 0, 0, 0, 0});
}

TEST_CASE("a layer that is called twice has its weights once") {
  SymbolicTensor x = Input({4}), y = Input({4});
  Dense shared(3, {.name = "shared"});
  const ModelProto file = exported(Model({x, y}, {shared(x), shared(y)}));
  CHECK(operators_of(file)["MatMul"] == 2);
  CHECK(std::ranges::count_if(file.graph().initializer(), [](const auto& tensor) {
          return tensor.name().starts_with("shared/kernel");
        }) == 1);
  CHECK(is_well_formed(file.graph()));
}

TEST_CASE("ops on symbolic tensors are operators, and numbers take on the type of what they meet") {
  SymbolicTensor x = Input({3, 4});
  const ModelProto file = exported(Model({x}, {cumprod(2 * x + 1, 1)}));
  auto operators = operators_of(file);
  CHECK(operators["Mul"] == 2);  // one in the body of the loop
  CHECK(operators["Add"] == 1);
  CHECK(operators["Scan"] == 1);
  CHECK(numbers_of(file, "2") == std::vector<float>{2});
  CHECK(is_well_formed(file.graph()));
  SymbolicTensor own =
      operation("twice", [](const Tensors& in) -> Tensors { return {in[0] + in[0]}; }, {x});
  CHECK(error_of([&] { exported(Model({x}, {own})); }).find("a function of one's own") !=
        std::string::npos);
}

TEST_CASE("models inside are opened, and dropout is left out") {
  Sequential inner({Dense(3, {.name = "dense", .input_shape = {4}}), Dropout(0.5)});
  inner.set_name("inner");
  const ModelProto file = exported(Sequential({InputLayer({4}), inner, GaussianNoise(0.1)}));
  CHECK(numbers_of(file, "inner/dense/kernel").size() == 12);
  CHECK(file.graph().node_size() == 3);
}

TEST_CASE("float64 stays float64") {
  set_floatx(float64);
  const ModelProto file =
      exported(Sequential({Dense(2, {.activation = "gelu", .input_shape = {3}})}));
  set_floatx(float32);
  CHECK(file.graph().input(0).type().tensor_type().elem_type() == 11);
  CHECK(file.graph().output(0).type().tensor_type().elem_type() == 11);
}

class Doubled : public Layer {
 public:
  Tensor call(const Tensor& x) override { return 2 * x; }
};
class OwnDense : public Dense {
 public:
  using Dense::Dense;
  Tensor call(const Tensor& x) override { return 2 * Dense::call(x); }
};

class OwnLSTM : public LSTM {
 public:
  using LSTM::LSTM;
  Tensors call(const Tensors& inputs) override { return {2 * LSTM::call(inputs)[0]}; }
};

TEST_CASE("a class of one's own is found inside wrappers, too") {
  register_keras_serializable<OwnDense>("test_onnx", [] { return OwnDense(1); });
  register_keras_serializable<OwnLSTM>("test_onnx", [] { return OwnLSTM(1); });
  auto error = [](AnyLayer layer) {
    Sequential model({InputLayer({5, 3}), std::move(layer)});
    model.set_name("wrapped");
    return error_of([&] { exported(model); });
  };
  const std::string first = "export_onnx: wrapped has layers that ONNX cannot hold:\n  ",
                    reason = "a class of one's own, of which an export knows nothing";
  CHECK(error(TimeDistributed(OwnDense(2), {.name = "each"})) ==
        first + "each (TimeDistributed): " + reason);
  CHECK(error(Bidirectional(OwnLSTM(2), {.name = "both"})) ==
        first + "both (Bidirectional): OwnLSTM is " + reason);
}

TEST_CASE("what ONNX cannot hold is named, all of it in one error, and the old file stays") {
  TemporaryDirectory directory;
  const std::string path = directory / "m.onnx";
  write_file(path, "old");
  Sequential model({InputLayer({5, 3}),
                    LSTM(3, {.return_sequences = true, .stateful = true, .name = "memory"}),
                    Dense(4, {.activation = [](const Tensor& x) { return x * x; }, .name = "own"}),
                    Lambda([](const Tensor& x) { return x; }, {.name = "lambda"}), Doubled(),
                    OwnDense(4, {.name = "own_dense"}), ConditionalRandomField()});
  model.set_name("refused");
  const std::string error = error_of([&] { export_onnx(model, path); });
  CHECK(error.starts_with("export_onnx: refused has layers that ONNX cannot hold:\n"));
  for (const char* line :
       {"memory (LSTM): it is stateful: what it carries from call to call is no part of a file",
        "own (Dense): activation: a function of one's own has no name that a config could hold",
        "lambda (Lambda): has no form in ONNX",
        "doubled (Doubled): a class of one's own, of which an export knows nothing",
        "own_dense (OwnDense): a class of one's own, of which an export knows nothing",
        "conditional_random_field (ConditionalRandomField): has no form in ONNX"}) {
    CAPTURE(error);
    CHECK(error.find(std::string("\n  ") + line) != std::string::npos);
  }
  CHECK(read_file(path) == "old");
  CHECK(directory.files() == 1);
}

TEST_CASE("a model without weights yet is refused") {
  Sequential model({Dense(2)});
  model.set_name("empty");
  CHECK(error_of([&] { export_onnx(model, "m.onnx"); }) ==
        "empty (Sequential): export_onnx: the model is not built: give its first layer an "
        "input_shape");
}

TEST_CASE("every golden file that can be exported makes a graph where all names are known" *
          doctest::skip(!has_hdf5())) {
  int written = 0;
  const std::filesystem::path files = std::string(KERATIN_SOURCE_DIR) + "/tests/golden/files";
  for (const auto& entry : std::filesystem::directory_iterator(files)) {
    if (entry.path().extension() != ".keras") continue;
    CAPTURE(entry.path().string());
    TemporaryDirectory directory;
    const std::string path = directory / "m.onnx";
    const std::string error =
        error_of([&] { export_onnx(load_model(entry.path(), {.compile = false}), path); });
    if (error != "no error") continue;
    ModelProto file;
    REQUIRE(file.ParseFromString(read_file(path)));
    CHECK(is_well_formed(file.graph()));
    ++written;
  }
  CHECK(written >= 59);
}

#endif

}  // namespace
}  // namespace keratin

TEST_SUITE_END();
