// Classes of layers by name: what a config is made into a layer by, and what lets a layer be copied
// of which only the base class is known.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <typeinfo>
#include <utility>

#include <keratin/layers/layer.h>

namespace keratin {

/// What is known of one class.
struct LayerClass {
  std::string name = {};     ///< Keras's class name
  std::string package = {};  ///< of a class of one's own; Keras calls the class "package>name"
  std::string module = "keras.layers";                      ///< where Keras has the class
  AnyLayer (*reference)(const Layer&) = nullptr;            ///< an object that is the same layer
  std::function<AnyLayer()> make = {};                      ///< a layer with any options
  std::function<AnyLayer(const Config&)> from_config = {};  ///< of a class without fields
  bool any_shape = false;  ///< Keras builds it in its constructor and keeps no shape
  bool built_in = false;   ///< a class of the library
};
void register_layer_class(const std::type_info& type, LayerClass known);

/// A class of one's own, which states its options in fields(), joins: its objects can be called on
/// symbolic tensors without layer<L>, and layer_from_config makes one. `make` gives a layer with
/// any options, which those of the config replace; a class that can be made without arguments needs
/// none. The name is by default that of the class.
///
///   register_keras_serializable<AttentionLayer>("my_package", [] { return AttentionLayer(1); });
template <std::derived_from<Layer> L>
void register_keras_serializable(const std::string& package, std::string name,
                                 std::function<L()> make = nullptr) {
  LayerClass known{
      .name = std::move(name), .package = package, .reference = [](const Layer& layer) {
        return AnyLayer(L(static_cast<const L&>(layer)));
      }};
  known.make = maker_of<AnyLayer>(make);
  register_layer_class(typeid(L), std::move(known));
}
template <std::derived_from<Layer> L>
void register_keras_serializable(const std::string& package = "Custom",
                                 std::function<L()> make = nullptr) {
  register_keras_serializable<L>(package, "", std::move(make));
}

/// A new layer of this class ("Dense", or "package>Name") with the options of the config. Throws
/// std::invalid_argument for a class or an option that is not known.
AnyLayer layer_from_config(const std::string& class_name, const Config& config);

/// The same layer as another object. Throws LayerError for a class that is not registered.
AnyLayer reference_to(const Layer& layer);

/// A layer as an object of a config.
Option to_option(const AnyLayer& layer);
bool from_option(const Option& option, AnyLayer& layer);
Option to_option(const std::vector<AnyLayer>& layers);
bool from_option(const Option& option, std::vector<AnyLayer>& layers);

}  // namespace keratin
