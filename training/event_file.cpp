// Event files: records in TFRecord's frames, each an Event as protobuf has it. The tensors and the
// names of plugins are those of TensorFlow 2's summaries
// (https://github.com/tensorflow/tensorboard/tree/master/tensorboard/plugins).

#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <system_error>

#include <keratin/core/internal/message.h>
#include <keratin/io/internal/checksum.h>
#include <keratin/io/internal/little_endian.h>
#include <keratin/io/internal/png.h>
#include <keratin/training/internal/event_file.h>

#ifdef KERATIN_PROTOBUF
#include <event.pb.h>
#endif

namespace keratin {

#ifndef KERATIN_PROTOBUF

bool has_event_files() { return false; }
EventFile::EventFile(const std::string& folder) {
  fail_io(
      "{}: this build of Keratin cannot write event files; build it where libprotobuf-dev and "
      "protobuf-compiler are installed",
      folder);
}
void EventFile::scalar(const std::string&, double, std::int64_t) {}
void EventFile::histogram(const std::string&, const Tensor&, std::int64_t) {}
void EventFile::images(const std::string&, const Tensor&, std::int64_t, std::int64_t) {}
void EventFile::graph(const std::string&) {}
void EventFile::flush() {}
void EventFile::record(const std::string&) {}

#else

using proto::event::Event;
using proto::event::SummaryMetadata;
using proto::event::TensorProto;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A value of one plugin; the caller fills in its tensor.
TensorProto& add_value(Event& event, const std::string& tag, std::int64_t step, const char* plugin,
                       SummaryMetadata::DataClass data_class) {
  event.set_wall_time(now());
  event.set_step(step);
  auto* value = event.mutable_summary()->add_value();
  value->set_tag(tag);
  value->mutable_metadata()->mutable_plugin_data()->set_plugin_name(plugin);
  value->mutable_metadata()->set_data_class(data_class);
  return *value->mutable_tensor();
}

void set_shape(TensorProto& tensor, TensorProto::DataType dtype, const Shape& shape) {
  tensor.set_dtype(dtype);
  tensor.mutable_tensor_shape();
  for (std::int64_t size : shape) tensor.mutable_tensor_shape()->add_dim()->set_size(size);
}

// Rows (from, to, how many).
std::vector<double> buckets(const Tensor& tensor) {
  std::vector<double> numbers = tensor.to_vector<double>();
  std::erase_if(numbers, [](double number) { return !std::isfinite(number); });
  if (numbers.empty()) return {};
  const auto [least, most] = std::ranges::minmax(numbers);
  if (least == most) return {least - 0.5, most + 0.5, static_cast<double>(numbers.size())};
  constexpr std::size_t parts = 30;
  const double width = (most - least) / parts;
  std::vector<double> counts(parts, 0.0), rows;
  for (double number : numbers)
    ++counts[std::min(static_cast<std::size_t>((number - least) / width), parts - 1)];
  for (std::size_t i = 0; i < parts; ++i)
    for (double number : {least + width * double(i),
                          i + 1 == parts ? most : least + width * double(i + 1), counts[i]})
      rows.push_back(number);
  return rows;
}

}  // namespace

bool has_event_files() { return true; }

// TensorBoard takes every file of the folder whose name has "tfevents" in it.
EventFile::EventFile(const std::string& folder) {
  static std::atomic<int> count{0};
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail_io("{}: cannot make the folder: {}", folder, error.message());
  path_ = fmt::format("{}/events.out.tfevents.{}.keratin.{}.{}.v2", folder,
                      static_cast<std::int64_t>(now()), ::getpid(), count++);
  errno = 0;
  file_.open(path_, std::ios::binary | std::ios::trunc);
  if (!file_) fail_io("{}: cannot write: {}", path_, std::generic_category().message(errno));
  Event event;
  event.set_wall_time(now());
  event.set_file_version("brain.Event:2");
  record(event.SerializeAsString());
  flush();
}

// The length, its checksum, the bytes, their checksum. The checksums are turned and moved, so that
// one of bytes that hold another is no accident.
void EventFile::record(const std::string& bytes) {
  auto checksum = [](const std::string& of) {
    const std::uint32_t crc = crc32(of, crc32c_polynomial);
    return little_endian_bytes((crc >> 15 | crc << 17) + 0xa282ead8, 4);
  };
  const std::string length = little_endian_bytes(bytes.size(), 8);
  file_ << length << checksum(length) << bytes << checksum(bytes);
}

void EventFile::flush() {
  errno = 0;
  file_.flush();
  if (!file_) fail_io("{}: cannot write: {}", path_, std::generic_category().message(errno));
}

void EventFile::scalar(const std::string& tag, double value, std::int64_t step) {
  Event event;
  TensorProto& tensor = add_value(event, tag, step, "scalars", SummaryMetadata::SCALAR);
  set_shape(tensor, TensorProto::FLOAT, {});
  tensor.add_float_val(static_cast<float>(value));
  record(event.SerializeAsString());
}

void EventFile::histogram(const std::string& tag, const Tensor& numbers, std::int64_t step) {
  Event event;
  TensorProto& tensor = add_value(event, tag, step, "histograms", SummaryMetadata::TENSOR);
  const std::vector<double> rows = buckets(numbers);
  set_shape(tensor, TensorProto::DOUBLE, {static_cast<std::int64_t>(rows.size() / 3), 3});
  for (double number : rows) tensor.add_double_val(number);
  record(event.SerializeAsString());
}

void EventFile::images(const std::string& tag, const Tensor& images, std::int64_t step,
                       std::int64_t most) {
  Event event;
  TensorProto& tensor = add_value(event, tag, step, "images", SummaryMetadata::BLOB_SEQUENCE);
  const std::int64_t count = std::min(images.size(0), most);
  set_shape(tensor, TensorProto::STRING, {count + 2});
  tensor.add_string_val(std::to_string(images.size(2)));
  tensor.add_string_val(std::to_string(images.size(1)));
  for (std::int64_t i = 0; i < count; ++i) tensor.add_string_val(format_png(images[i]));
  record(event.SerializeAsString());
}

void EventFile::graph(const std::string& json) {
  Event event;
  TensorProto& tensor =
      add_value(event, "keras", 0, "graph_keras_model", SummaryMetadata::BLOB_SEQUENCE);
  event.mutable_summary()->mutable_value(0)->mutable_metadata()->mutable_plugin_data()->set_content(
      "1");
  set_shape(tensor, TensorProto::STRING, {});
  tensor.add_string_val(json);
  record(event.SerializeAsString());
}

#endif

}  // namespace keratin
