// Models in files, as Keras writes and reads them (keras/src/saving/saving_lib.py):
//
//   Sequential model = load_model("from_python.keras");
//   model.fit(x, y, {.epochs = 3});
//   model.save("back_to_python.keras");
//
// A .keras file holds the layers, their weights, what was compiled and the state of the optimizer.
// Nothing in a file is ever run: a class is one of the library's, or one that was registered
// (layers/registry.h), or an error that names it.
#pragma once

#include <concepts>
#include <string>

#include <keratin/layers/registry.h>
#include <keratin/training/sequential.h>

namespace keratin {

struct LoadOptions {
  bool compile = true;  ///< false: without what was compiled, so that its classes need not be known
};

/// A model of the class that the file has: what load_model gives. It becomes a Model, a Sequential,
/// or a model of one's own; auto model = load_model(...) is used as model->fit(...).
class LoadedModel {
 public:
  explicit LoadedModel(AnyLayer model);

  Model& operator*() const { return *model_; }
  Model* operator->() const { return model_; }

  /// Every model is a Model. Throws std::invalid_argument when it is of another class.
  operator Model() const { return *model_; }
  template <std::derived_from<Model> M>
  requires(!std::same_as<M, Model>) operator M() const {
    auto* same = dynamic_cast<M*>(model_);
    if (same == nullptr) refuse(typeid(M));
    return *same;
  }

 private:
  [[noreturn]] void refuse(const std::type_info& wanted) const;
  AnyLayer layer_;
  Model* model_;
};

/// The model in a .keras file, or in a .h5 file of earlier versions of Keras, compiled and with the
/// state of its optimizer as it was saved, so that training goes on where it stopped. Throws
/// std::runtime_error naming the file, and what in it, when the file is damaged, when a class or an
/// option is not known, and when weights do not fit; and in a build without HDF5.
LoadedModel load_model(const std::string& path, const LoadOptions& options = {});

/// The model that to_json described, with new weights.
LoadedModel model_from_json(const std::string& json);

}  // namespace keratin
