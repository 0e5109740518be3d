// What the files of models have in common: weights as the groups of an HDF5 file.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include <keratin/io/hdf5.h>
#include <keratin/training/model.h>

namespace keratin {

/// What keeps a file from fitting a model, line by line.
class Differences {
 public:
  explicit Differences(std::string who) : who_(std::move(who)) {}
  void add(const std::string& line) { lines_ += "\n  " + line; }
  void expect_shape(const std::string& path, const Shape& expected, const Shape& found);
  /// Throws std::runtime_error when there are any.
  void check() const;

 private:
  std::string who_, lines_;
};

/// As Keras lays out a model (keras/src/saving/saving_lib.py, _save_state): a layer's weights are
/// numbered arrays in its group "vars"; its parts are groups beside that. Keras looks for a part by
/// its place among the parts of its class ("layers/dense_1"), and never by its name.
Hdf5Group weights_as_groups(const Model& model);

/// Throws std::runtime_error, which `who` begins, and loads nothing when a weight is missing, when
/// one has another shape, and when the file has weights of layers that the model has not. The
/// optimizer's state is loaded when it fits; else a warning says that it is left out.
void load_groups(Model& model, const Hdf5Group& groups, const std::string& who);

/// What lookups of numbers have learnt and no config says, as Keras's text files: by path.
std::map<std::string, std::string> vocabularies_of(const Model& model);
/// `read` gives the text at a path, if there is one; weights of tokens are in the groups. Throws
/// std::runtime_error, which `who` begins.
void load_vocabularies(Model& model, const Hdf5Group& groups,
                       const std::function<std::optional<std::string>(const std::string&)>& read,
                       const std::string& who);

/// The same for the .h5 files of earlier versions, where weights belong to layers by their order.
Hdf5Group legacy_weights(const Model& model);
void load_legacy_weights(Model& model, const Hdf5Group& root, const std::string& who);
/// The model in such a file, as an object of today, with "compile_config" if it was compiled.
Config legacy_config(const Hdf5Group& root, const std::string& who);

/// Gives the optimizer its state; one that does not fit is left out with a warning.
void load_optimizer(Model& model, const std::vector<const Tensor*>& arrays, const std::string& who);

/// Gives a config of Keras 2 the form of today; one of today stays as it is. Throws
/// std::invalid_argument for calls of a form that is not known.
void modernize(Option& config);

/// The version of Keras whose configs are written. Keras itself does not look at it.
inline constexpr const char* keras_version = "3.15.1";

/// Throws std::invalid_argument, which names the model and `who`, when the weights are on meta.
void check_elements(const char* who, const Model& model);
/// The same, and when there are layers without weights.
void check_built(const char* who, const Model& model);

}  // namespace keratin
