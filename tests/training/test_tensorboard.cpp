// Event files for TensorBoard, read back.

#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/io/file.h>
#include <keratin/io/internal/checksum.h>
#include <keratin/io/internal/little_endian.h>
#include <keratin/io/internal/png.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/attention_heads.h>
#include <keratin/layers/attention_single.h>
#include <keratin/layers/dense.h>
#include <keratin/optim/optimizers.h>
#include <keratin/training/internal/event_file.h>
#include <keratin/training/model.h>
#include <keratin/training/sequential.h>
#include <keratin/training/tensorboard.h>

#include "error_of.h"
#include "temporary_directory.h"

#ifdef KERATIN_PROTOBUF
#include <event.pb.h>
#endif

TEST_SUITE_BEGIN("training");

namespace keratin {
namespace {

TEST_CASE("checksums of the digits are those that their inventors give") {
  CHECK(crc32("123456789", crc32_polynomial) == 0xcbf43926);
  CHECK(crc32("123456789", crc32c_polynomial) == 0xe3069283);
  CHECK(crc32("6789", crc32_polynomial, crc32("12345", crc32_polynomial)) == 0xcbf43926);
}

TEST_CASE("a PNG has its size, its kind and its rows") {
  const std::string png = format_png(reshape(tensor({0.0, 0.5, 1.0, -1.0, 2.0, 0.25}), {2, 3}));
  CHECK(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  CHECK(png.substr(16, 13) == std::string("\0\0\0\3\0\0\0\2\x08\0\0\0\0", 13));
  CHECK(png.substr(41 + 7, 8) == std::string("\0\0\x80\xff\0\0\xff\x40", 8));  // rows in a block
  CHECK(png.find("IEND") == png.size() - 8);
  CHECK(error_of([] {
          format_png(zeros({2, 3, 2}));
        }) ==
        "format_png: expected an image (height, width) or (height, width, 1, 3 or 4), got "
        "(2, 3, 2)");
}

TEST_CASE("TensorBoard refuses wrong options") {
  CHECK(error_of([] { TensorBoard({.update_freq = "step"}); }) ==
        "TensorBoard: expected update_freq \"epoch\", \"batch\" or a number, got \"step\"");
  CHECK(error_of([] { TensorBoard({.histogram_freq = -1}); }) ==
        "TensorBoard: expected histogram_freq of at least 0, got -1");
}

#ifdef KERATIN_PROTOBUF

using proto::event::Event;

/// The events of the only file in a folder; checks the frames.
std::vector<Event> events_in(const std::string& folder) {
  std::vector<Event> events;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    ++files;
    CHECK(entry.path().filename().string().starts_with("events.out.tfevents."));
    const std::string bytes = read_file(entry.path());
    auto checked = [&](std::size_t at, std::size_t size) {
      const std::string part = bytes.substr(at, size);
      const std::uint32_t crc = crc32(part, crc32c_polynomial),
                          masked = (crc >> 15 | crc << 17) + 0xa282ead8;
      CHECK(little_endian(bytes.substr(at + size, 4)) == masked);
      return part;
    };
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = little_endian(checked(at, 8));
      REQUIRE(events.emplace_back().ParseFromString(checked(at + 12, size)));
      at += 12 + size + 4;
    }
  }
  CHECK(files == 1);
  REQUIRE(!events.empty());
  CHECK(events[0].file_version() == "brain.Event:2");
  return events;
}

/// "tag at step", and the first number.
std::map<std::string, double> numbers_in(const std::string& folder) {
  std::map<std::string, double> numbers;
  for (const Event& event : events_in(folder))
    for (const auto& value : event.summary().value()) {
      const auto& tensor = value.tensor();
      numbers[value.tag() + " at " + std::to_string(event.step())] =
          tensor.float_val_size() > 0    ? tensor.float_val(0)
          : tensor.double_val_size() > 0 ? tensor.double_val(0)
                                         : 0;
    }
  return numbers;
}

struct Trained {
  TemporaryDirectory directory;
  Sequential model{Dense(2, {.kernel_regularizer = "l2", .name = "first", .input_shape = {3}}),
                   Dense(1)};
  History history;

  explicit Trained(TensorBoard::Options options) {
    model.compile({.optimizer = SGD(LearningRate(0.01)), .loss = "mse", .metrics = {"mae"}});
    options.log_dir = directory / "logs";
    const Tensor x = Random(1).normal({12, 3}), y = sum(x, 1, true);
    history = model.fit(x, y,
                        {.batch_size = 3,
                         .epochs = 2,
                         .verbose = 0,
                         .validation_split = 0.25,
                         .callbacks = {TensorBoard(options)}});
  }
};

TEST_CASE("epochs are recorded with Keras's tags") {
  Trained trained({});
  auto train = numbers_in(trained.directory / "logs/train"),
       validation = numbers_in(trained.directory / "logs/validation");
  for (int epoch = 0; epoch < 2; ++epoch)
    for (const char* name : {"loss", "mae"}) {
      const std::string tag = std::string("epoch_") + name + " at " + std::to_string(epoch);
      const auto i = static_cast<std::size_t>(epoch);
      CHECK(train.at(tag) == doctest::Approx(trained.history[name][i]));
      CHECK(validation.at(tag) == doctest::Approx(trained.history[std::string("val_") + name][i]));
    }
  CHECK(train.at("epoch_learning_rate at 1") == doctest::Approx(0.01));
  CHECK(train.count("keras at 0") == 1);
  CHECK(train.size() == 7);
  CHECK(validation.at("evaluation_loss_vs_iterations at 3") ==
        doctest::Approx(trained.history["val_loss"][0]));
  CHECK(validation.count("evaluation_mae_vs_iterations at 6") == 1);
  CHECK(validation.size() == 8);
}

TEST_CASE("the model is there as JSON, and a picture for each weight") {
  Trained trained({.histogram_freq = 2, .write_images = true});
  std::map<std::string, const proto::event::Summary::Value*> values;
  const std::vector<Event> events = events_in(trained.directory / "logs/train");
  for (const Event& event : events)
    for (const auto& value : event.summary().value()) values[value.tag()] = &value;
  CHECK(values.at("keras")->tensor().string_val(0) == trained.model.to_json());
  CHECK(values.at("keras")->metadata().plugin_data().plugin_name() == "graph_keras_model");
  std::string path;
  for (const auto& [tag, value] : values)
    if (tag.ends_with("first/kernel/histogram")) path = tag;
  REQUIRE(!path.empty());
  const auto& buckets = values.at(path)->tensor();
  CHECK(buckets.tensor_shape().dim(0).size() == 30);
  CHECK(buckets.tensor_shape().dim(1).size() == 3);
  double count = 0;
  for (int i = 2; i < buckets.double_val_size(); i += 3) count += buckets.double_val(i);
  CHECK(count == 6);
  const auto& image = values.at(path.substr(0, path.size() - 9) + "image")->tensor();
  CHECK(image.string_val(0) == "3");  // width and height of the matrix, lying
  CHECK(image.string_val(1) == "2");
  CHECK(image.string_val(2).substr(1, 3) == "PNG");
  CHECK(numbers_in(trained.directory / "logs/train").count(path + " at 1") == 0);
}

TEST_CASE("attention is drawn after each epoch, for the samples that were given") {
  const auto x = Input({5, 4});
  const auto h = MultiHeadAttention(2, 3, {.name = "heads"})({x, x});
  const auto s = Attention({.name = "single"})({h, h});
  const AttentionLayer attention(3);
  Model model({x}, {Dense(1)(AnyLayer(attention)(s))});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  TemporaryDirectory directory;
  const Tensor samples = Random(1).normal({3, 5, 4});
  TensorBoard board({.log_dir = directory / "logs", .attention_of = samples});
  model.fit(samples, ones({3, 1}), {.epochs = 2, .verbose = 0, .callbacks = {board}});
  const auto weights = model.capture(samples);
  auto largest_is_white = [](const Tensor& w) { return w / max(w); };
  const Tensor heads = largest_is_white(weights.at("heads/attention")[0]),
               single = largest_is_white(weights.at("single/attention")),
               steps = largest_is_white(weights.at(attention.name() + "/attention"));
  // What the last epoch has written: width, height, pictures.
  std::map<std::string, std::vector<std::string>> seen;
  for (const Event& event : events_in(directory / "logs/train"))
    for (const auto& value : event.summary().value())
      if (value.metadata().plugin_data().plugin_name() == "images" && event.step() == 1) {
        const auto& parts = value.tensor().string_val();
        seen[value.tag()] = {parts.begin(), parts.end()};
      }
  using Pictures = std::vector<std::string>;
  CHECK(seen.at("heads/attention") ==
        Pictures{"5", "5", format_png(heads[0]), format_png(heads[1])});
  CHECK(seen.at("single/attention") ==
        Pictures{"5", "5", format_png(single[0]), format_png(single[1]), format_png(single[2])});
  CHECK(seen.at(attention.name() + "/attention") == Pictures{"5", "3", format_png(squeeze(steps))});
  CHECK(seen.size() == 3);
}

TEST_CASE("a layer inside a model that is called attention is not taken for attention") {
  Sequential encoder({Dense(3, {.name = "attention", .input_shape = {4}})});
  Sequential model({encoder, Dense(1)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  TemporaryDirectory directory;
  const Tensor samples = Random(1).normal({5, 4});
  REQUIRE(model.capture(samples).count(encoder.name() + "/attention") == 1);  // its output
  TensorBoard board({.log_dir = directory / "logs", .attention_of = samples});
  model.fit(samples, ones({5, 1}), {.verbose = 0, .callbacks = {board}});
  for (const Event& event : events_in(directory / "logs/train"))
    for (const auto& value : event.summary().value())
      CHECK(value.metadata().plugin_data().plugin_name() != "images");
}

TEST_CASE("batches are recorded when they are asked for") {
  Trained trained({.write_graph = false, .write_steps_per_second = true, .update_freq = 2});
  const auto train = numbers_in(trained.directory / "logs/train");
  CHECK(train.count("batch_loss at 1") == 0);
  for (const char* tag : {"batch_loss at 2", "batch_mae at 4", "batch_steps_per_second at 6",
                          "epoch_steps_per_second at 0"})
    CHECK(train.count(tag) == 1);
  CHECK(train.count("keras at 0") == 0);
}

TEST_CASE("a folder that cannot be made is an error that names it") {
  TemporaryDirectory directory;
  write_file(directory / "file", "");
  CHECK(error_of([&] {
          EventFile(directory / "file/logs");
        }).starts_with(directory / "file/logs" + ": cannot make the folder: "));
}

#endif

}  // namespace
}  // namespace keratin

TEST_SUITE_END();
