// Files that real Keras wrote (tools/keras_files.py), from 2.15 to 3.15: the models in them predict
// and train on as they do there. Files in which one thing is wrong are refused. KERATIN_KERAS_FILES
// names a folder with more of the first kind; what is saved beside them, Keras can check.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include <keratin/io/file.h>
#include <keratin/io/hdf5.h>
#include <keratin/io/json.h>
#include <keratin/io/zip.h>
#include <keratin/keratin.h>
#include <keratin/layers/attention.h>

#include "error_of.h"
#include "golden.h"
#include "on_processor.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("keras");

namespace keratin {
namespace {

const auto with_hdf5 = doctest::skip(!has_hdf5());
const std::string golden_files = KERATIN_SOURCE_DIR "/tests/golden/files/",
                  hostile_files = KERATIN_SOURCE_DIR "/tests/golden/hostile/";

Tensors numbered(const std::map<std::string, Tensor>& all, const std::string& prefix) {
  Tensors found;
  for (auto next = all.find(prefix + "0"); next != all.end();
       next = all.find(prefix + std::to_string(found.size())))
    found.push_back(next->second);
  return found;
}

double largest_difference(const Tensors& ours, const Tensors& keras) {
  double largest = ours.size() == keras.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; largest < HUGE_VAL && i < ours.size(); ++i)
    largest = std::max(largest, max_relative_difference(ours[i], keras[i], 0.01));
  return largest;
}

/// What a model that Keras saved does otherwise here than there; empty where nothing. `arrays` are
/// those of the .npz file beside it; the model is saved again as `out`, unless that is empty.
std::string compare_with_keras(const std::string& path, const std::string& arrays,
                               const std::string& out) {
  const LoadedModel model = load_model(path);
  const auto all = load_npz(arrays);
  const Tensors x = numbered(all, "x_"), y = numbered(all, "y_"), p = numbered(all, "p_");
  const double tolerance = p.at(0).dtype() == float64 ? 1e-9 : 1e-5;
  if (!(largest_difference(Tensors(model->predict(x)), p) <= tolerance)) return "other predictions";
  if (all.contains("losses")) {
    std::vector<double> losses;
    for (int i = 0; i < 4; ++i) losses.push_back(model->train_on_batch(x, y).at("loss"));
    if (!(largest_difference({tensor(losses, {4}).astype(float64)},
                             {all.at("losses").astype(float64)}) <= 10 * tolerance))
      return "other losses when training goes on";
    if (!(largest_difference(Tensors(model->predict(x)), numbered(all, "q_")) <= 10 * tolerance))
      return "other predictions after training";
  }
  if (out.empty()) return {};
  model->save(out);
  const LoadedModel again = load_model(out);
  model->reset_states();  // which no file holds
  if (largest_difference(Tensors(again->predict(x)), Tensors(model->predict(x))) != 0)
    return "other predictions after saving";
  if (again->compiled() && again->optimizer().iterations() != model->optimizer().iterations())
    return "other iterations after saving";
  if (again->to_json() != model->to_json())
    return "another model, or compiled otherwise, after saving";
  return {};
}

/// Compares all models of a folder; those named in `refused` must be. Returns how many agree.
int compare_all(const std::string& folder, const std::string& out,
                const std::map<std::string, std::string>& refused = {}) {
  int agreed = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string path = file.path().string(), name = file.path().filename().string();
    const bool whole = name.ends_with(".keras") || name.ends_with(".h5");
    if (!whole || file.is_directory() || name.find(".out.") != name.npos ||
        name.find("weights.h5") != name.npos)
      continue;
    const std::string stem = file.path().stem().string();
    const std::string arrays = std::filesystem::exists(folder + stem + ".npz")
                                   ? folder + stem + ".npz"
                                   : folder + "optimizer_adam.npz";
    CAPTURE(path);
    std::string found;
    const std::string error = error_of([&] {
      const std::string saved = out + (name.ends_with(".h5") ? name : stem) + ".out.keras";
      found = compare_with_keras(path, arrays, out.empty() ? "" : saved);
    });
    if (auto reason = refused.find(name); reason != refused.end()) {
      CHECK(error.find(reason->second) != std::string::npos);
      continue;
    }
    CHECK(error == "no error");
    CHECK(found == "");
    agreed += found.empty() && error == "no error";
  }
  return agreed;
}

/// The attention layer of the files, which was not registered there.
class BareAttentionLayer : public AttentionLayer {
 public:
  using AttentionLayer::AttentionLayer;
};

}  // namespace

TEST_CASE("models that Keras saved predict, train on and are saved the same here" * with_hdf5 *
          on_processor()) {
  register_keras_serializable<BareAttentionLayer>("Custom", [] { return BareAttentionLayer(1); });
  TemporaryDirectory out;
  const std::map<std::string, std::string> refused{
      {"narrow_weights.keras", "only float32 and float64 are known, got \"bfloat16\""},
      {"string_lookup.keras", "got \"string\""},  // strings enter before a model
      {"string_lookup_vocabulary.keras", "got \"string\""},
      {"text_vectorization.keras", "got \"string\""},
      {"text_vectorization_tf_idf.keras", "got \"string\""},
      {"integer_lookup.keras", ""},  // has no arrays to compare with but those below
      {"integer_lookup_tf_idf.keras", ""},
      // Keras on PyTorch overwrites the weights' average before it reads it.
      {"optimizer_schedule_free_adamw.keras", ""}};
  CHECK(compare_all(golden_files, out / "", refused) == 73);
  if (const char* folder = std::getenv("KERATIN_KERAS_FILES")) {
    const std::string path = std::string(folder) + "/";
    std::cout << compare_all(path, path) << " files of Keras agree\n";
  }
}

TEST_CASE("a lookup's vocabulary, learnt from data, is in a file beside the weights" * with_hdf5) {
  TemporaryDirectory folder;
  for (const std::string name : {"integer_lookup", "integer_lookup_tf_idf"}) {
    CAPTURE(name);
    const Tensor x = tensor({{7, 3, 12}, {5, 7, 7}}, int32);
    const Tensor expected = load_npz(golden_files + name + ".npz").at("p_0");
    const LoadedModel model = load_model(golden_files + name + ".keras");
    CHECK(max(abs(Tensor(model->predict_on_batch(x)) - expected)).item() < 1e-6);
    model->save(folder / "again.keras");
    const LoadedModel again = load_model(folder / "again.keras");
    CHECK(max(abs(Tensor(again->predict_on_batch(x)) - expected)).item() < 1e-6);
    // As Keras writes it, to the byte.
    auto text = [&](const std::string& path) {
      const ZipArchive archive(read_file(path), path);
      const auto& names = archive.names();
      const std::string member = "assets/layers/integer_lookup/vocabulary.txt";
      const auto found = std::ranges::find(names, member);
      REQUIRE(found != names.end());
      return archive.read(static_cast<std::size_t>(found - names.begin()));
    };
    CHECK(text(folder / "again.keras") == text(golden_files + name + ".keras"));
  }
}

TEST_CASE("a vocabulary that is none is refused, and names its file" * with_hdf5) {
  TemporaryDirectory folder;
  const std::string path = golden_files + "integer_lookup.keras";
  const ZipArchive archive(read_file(path), path);
  for (const auto& [text, reason] :
       {std::pair{"-1\n7\nseven", "line 3: expected a whole number, got \"seven\""},
        std::pair{"-1\n7\n7", "the token 7 is in the vocabulary twice"},
        std::pair{"99999999999999999999", "line 1: expected a whole number"},
        std::pair{"", "expected a vocabulary of at least one token"}}) {
    std::vector<std::pair<std::string, std::string>> members;
    for (std::size_t i = 0; i < archive.names().size(); ++i)
      members.emplace_back(archive.names()[i],
                           archive.names()[i].ends_with(".txt") ? text : archive.read(i));
    write_file(folder / "odd.keras", format_zip(members, ZipMethod::store));
    const std::string error = error_of([&] { load_model(folder / "odd.keras"); });
    CAPTURE(error);
    CHECK(error.find("odd.keras: assets/layers/integer_lookup/vocabulary.txt: ") !=
          std::string::npos);
    CHECK(error.find(reason) != std::string::npos);
  }
}

TEST_CASE("weights of files of every kind are those of the model" * with_hdf5) {
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(golden_files)) {
    const std::string name = file.path().filename().string();
    if (!name.ends_with("weights.h5") || name.starts_with("sharded")) continue;
    std::string stem = name.substr(0, name.find('.', name.starts_with("old_") ? 9 : 0));
    if (auto at = stem.find("_legacy_weights"); at != stem.npos) stem.resize(at);
    CAPTURE(name);
    const LoadedModel model = load_model(golden_files + stem + ".keras");
    const std::vector<Tensor> weights = model->get_weights();
    for (Weight weight : model->weights()) weight.assign(zeros(weight.shape()));
    model->load_weights(file.path().string());
    for (std::size_t i = 0; i < weights.size(); ++i)
      if (weights[i].numel() > 0) CHECK(max(abs(weights[i] - model->get_weights()[i])).item() == 0);
    ++files;
  }
  CHECK(files == 4);
}

TEST_CASE("weights in several files, of which a list says what is where" * with_hdf5) {
  TemporaryDirectory folder;
  const LoadedModel model = load_model(golden_files + "nested_sequential.keras");
  const std::vector<Tensor> weights = model->get_weights();
  Tensors variables, nothing;
  for (const auto& [name, value] : model->optimizer().variables()) {
    variables.push_back(value.copy());
    nothing.push_back(zeros_like(value));
  }
  for (Weight weight : model->weights()) weight.assign(zeros(weight.shape()));
  model->optimizer().set_variables(nothing);
  model->load_weights(golden_files + "sharded.weights.json");
  for (std::size_t i = 0; i < weights.size(); ++i)
    CHECK(max(abs(weights[i] - model->get_weights()[i])).item() == 0);
  for (std::size_t i = 0; i < variables.size(); ++i)
    CHECK(max(abs(variables[i] - model->optimizer().variables()[i].second)).item() == 0);
  CHECK(max(variables[0]).item() > 0);  // steps

  auto refused = [&](const std::string& list, const std::string& reason) {
    write_file(folder / "odd.weights.json", list);
    const std::string error = error_of([&] { model->load_weights(folder / "odd.weights.json"); });
    CAPTURE(error);
    CHECK(error.find("odd.weights.json: " + reason) != std::string::npos);
  };
  refused("[]", "expected a weight_map");
  refused(R"({"weight_map": {"/a": 3}})", "/a: expected the names of files");
  refused(R"({"weight_map": {"/a": "../x.weights.h5"}})",
          "/a: expected the name of a .h5 file in the same folder, got \"../x.weights.h5\"");
  CHECK_THROWS_AS(model->save_weights(folder / "new.weights.json"), std::invalid_argument);
}

TEST_CASE("files in which one thing is wrong are refused, and name the file" * with_hdf5) {
  const std::string text = read_file(hostile_files + "index.json");
  const Option index = parse_json(text, "index.json");
  // Our own choices.
  const std::set<std::string> refused_here{
      "zip_comment.keras",         // whether something follows an archive is not left to be guessed
      "weights_layer_more.keras",  // weights that no layer takes are no model's
  };
  // What the HDF5 library passes over, and reads right.
  const std::set<std::string> loaded_here{"hdf5_header_messages.weights.h5"};
  int refused = 0, loaded = 0;
  for (const auto& [file, value] : std::get<Config>(index)) {
    const std::string name = file;  // clang 14 captures no binding
    const std::string verdict = std::get<std::string>(std::get<std::vector<Option>>(value)[0]);
    CAPTURE(name);
    const std::string path = hostile_files + name;
    const std::string error = error_of([&] {
      if (!path.ends_with(".weights.h5")) {
        load_model(path);
        return;
      }
      const LoadedModel model = load_model(hostile_files + "good_dense.keras");
      model->load_weights(path);
    });
    const bool fine = error == "no error";
    if (!fine) CHECK(error.find(name) != std::string::npos);
    if (verdict == "refuse" && !loaded_here.contains(name)) CHECK_FALSE(fine);
    if (verdict == "load" && !refused_here.contains(name)) CHECK(error == "no error");
    ++(fine ? loaded : refused);
  }
  CHECK(refused + loaded == 307);
}

}  // namespace keratin
