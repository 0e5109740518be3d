#include <algorithm>
#include <chrono>
#include <stdexcept>

#include <keratin/autograd/ops.h>
#include <keratin/core/internal/message.h>
#include <keratin/optim/optimizer.h>
#include <keratin/training/internal/event_file.h>
#include <keratin/training/model.h>
#include <keratin/training/tensorboard.h>

namespace keratin {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A weight as pictures (number, height, width, 1), or undefined where Keras shows none: a bias as a
// line, a matrix as wide as it is long, and of three axes each channel.
Tensor pictures_of(const Tensor& weight) {
  Tensor w = squeeze(weight);
  if (w.rank() == 1) return reshape(w, {1, w.size(0), 1, 1});
  if (w.rank() == 2) {
    if (w.size(0) > w.size(1)) w = transpose(w);
    return reshape(w, {1, w.size(0), w.size(1), 1});
  }
  if (w.rank() == 3) return expand_dims(moveaxis(w, 2, 0), -1);
  const bool shown = w.rank() == 4 && (w.size(3) == 1 || w.size(3) == 3 || w.size(3) == 4);
  return shown ? w : Tensor();
}

// The weights of a layer's attention as pictures (number, rows, columns, 1), the largest one white:
// (batch, time, 1) as one picture of all samples, (batch, queries, keys) as one for each sample,
// and of (batch, heads, queries, keys), with any number of axes for both, each head of the first
// sample.
Tensor attention_pictures(const Tensor& weights) {
  Tensor w = weights.rank() > 3 ? weights[0] : weights;
  std::int64_t queries = 1;
  for (int axis = 1; axis < (1 + w.rank()) / 2; ++axis) queries *= w.size(axis);
  const bool one_query = weights.rank() == 3 && w.size(2) == 1;
  w = one_query ? reshape(w, {1, w.size(0), w.size(1), 1})
                : reshape(w, {w.size(0), queries, -1, 1});
  return w / max(w);
}

// Whether a layer has this path: the names of the layers around it and its own.
bool is_layer(const std::vector<AnyLayer>& layers, const std::string& path) {
  return std::ranges::any_of(layers, [&](const AnyLayer& layer) {
    const std::string& name = layer->name();
    if (!path.starts_with(name)) return false;
    return path == name ||
           (path[name.size()] == '/' && is_layer(layer->sublayers(), path.substr(name.size() + 1)));
  });
}

}  // namespace

TensorBoard::UpdateFrequency::UpdateFrequency(const std::string& word)
    : batches(word == "batch" ? 1 : 0) {
  if (word != "batch" && word != "epoch")
    fail("TensorBoard: expected update_freq \"epoch\", \"batch\" or a number, got \"{}\"", word);
}

TensorBoard::TensorBoard(Options options) : options_(std::move(options)) {
  if (options_.histogram_freq < 0)
    fail("TensorBoard: expected histogram_freq of at least 0, got {}", options_.histogram_freq);
  if (options_.update_freq.batches < 0)
    fail("TensorBoard: expected update_freq of at least 0, got {}", options_.update_freq.batches);
  if (!has_event_files())
    fail_io(
        "TensorBoard: this build of Keratin cannot write event files; build it where "
        "libprotobuf-dev and protobuf-compiler are installed");
}

EventFile& TensorBoard::train() {
  if (train_ == nullptr) train_ = std::make_shared<EventFile>(options_.log_dir + "/train");
  return *train_;
}
EventFile& TensorBoard::validation() {
  if (validation_ == nullptr)
    validation_ = std::make_shared<EventFile>(options_.log_dir + "/validation");
  return *validation_;
}

void TensorBoard::on_train_begin() {
  train_ = validation_ = nullptr;
  batch_ = 0;
  if (!options_.write_graph) return;
  std::string json;
  try {
    json = model().to_json();
  } catch (const std::invalid_argument& error) {
    warn("TensorBoard: the graph is left out: {}", error.what());
    return;
  }
  train().graph(json);
  train().flush();
}

void TensorBoard::on_train_end(const Logs&) { train_ = validation_ = nullptr; }

void TensorBoard::on_epoch_begin(int) {
  if (!options_.write_steps_per_second) return;
  iterations_before_ = model().optimizer().iterations();
  epoch_began_ = seconds();
}

void TensorBoard::on_train_batch_begin(int) {
  ++batch_;
  batch_began_ = seconds();
}

void TensorBoard::on_train_batch_end(int, const Logs& logs) {
  if (options_.update_freq.batches == 0 || batch_ % options_.update_freq.batches != 0) return;
  if (options_.write_steps_per_second)
    train().scalar("batch_steps_per_second", 1 / (seconds() - batch_began_), batch_);
  for (const auto& [name, value] : logs) train().scalar("batch_" + name, value, batch_);
  train().flush();
}

void TensorBoard::on_test_end(const Logs& logs) {
  for (const auto& [name, value] : logs)
    validation().scalar("evaluation_" + name + "_vs_iterations", value,
                        model().optimizer().iterations());
  validation().flush();
}

void TensorBoard::on_epoch_end(int epoch, Logs& logs) {
  for (const auto& [name, value] : logs)
    if (name.starts_with("val_"))
      validation().scalar("epoch_" + name.substr(4), value, epoch);
    else if (name != "learning_rate")
      train().scalar("epoch_" + name, value, epoch);
  train().scalar("epoch_learning_rate", model().optimizer().learning_rate(), epoch);
  if (options_.write_steps_per_second) {
    const auto steps = static_cast<double>(model().optimizer().iterations() - iterations_before_);
    train().scalar("epoch_steps_per_second", steps / (seconds() - epoch_began_), epoch);
  }
  if (options_.histogram_freq > 0 && epoch % options_.histogram_freq == 0) write_weights(epoch);
  if (!options_.attention_of.empty()) write_attention(epoch);
  train().flush();
  if (validation_ != nullptr) validation_->flush();
}

void TensorBoard::write_weights(int epoch) {
  for (const Layer* layer : model().layers())
    for (const Weight& weight : layer->weights()) {
      train().histogram(weight.path() + "/histogram", weight.value(), epoch);
      if (!options_.write_images) continue;
      if (const Tensor pictures = pictures_of(weight.value()); pictures.defined())
        train().images(weight.path() + "/image", pictures, epoch);
    }
}

void TensorBoard::write_attention(int epoch) {
  for (const auto& [name, weights] : model().capture(options_.attention_of))
    if (name.ends_with("/attention") && !is_layer(model().sublayers(), name))
      train().images(name, attention_pictures(weights), epoch, /*most=*/16);
}

}  // namespace keratin
