#include <algorithm>
#include <map>
#include <mutex>
#include <typeindex>

#include <keratin/core/internal/class_name.h>
#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/attention.h>
#include <keratin/layers/call_arguments.h>
#include <keratin/layers/internal/layer_state.h>
#include <keratin/layers/internal/operation.h>
#include <keratin/layers/layers.h>
#include <keratin/layers/registry.h>

namespace keratin {
namespace {

using List = std::vector<Option>;

struct Registry {
  std::mutex mutex;
  std::map<std::type_index, LayerClass> classes;
};

template <class L>
std::pair<const std::type_index, LayerClass> entry(const char* name, AnyLayer (*make)(),
                                                   const char* package = "",
                                                   bool any_shape = false) {
  return {
      typeid(L),
      LayerClass{
          .name = name,
          .package = package,
          .reference = [](const Layer& layer) { return AnyLayer(L(static_cast<const L&>(layer))); },
          .make = make,
          .any_shape = any_shape,
          .built_in = true}};
}

// A layer that Keras builds in its constructor: its record says nothing of shapes.
template <class L>
std::pair<const std::type_index, LayerClass> entry_of_any_shape(const char* name,
                                                                AnyLayer (*make)()) {
  return entry<L>(name, make, "", true);
}

AnyLayer lambda_from_config() {
  fail("Lambda: a function cannot be made from a config: make the layer in C++");
}

// The layers of the library: one line each.
Registry& registry() {
  static Registry all{
      {},
      {entry_of_any_shape<Activation>("Activation", [] { return AnyLayer(Activation("linear")); }),
       entry_of_any_shape<ActivityRegularization>(
           "ActivityRegularization", [] { return AnyLayer(ActivityRegularization()); }),
       entry<Add>("Add", [] { return AnyLayer(Add()); }),
       entry<AdditiveAttention>("AdditiveAttention", [] { return AnyLayer(AdditiveAttention()); }),
       entry_of_any_shape<AlphaDropout>("AlphaDropout", [] { return AnyLayer(AlphaDropout(0)); }),
       entry<Attention>("Attention", [] { return AnyLayer(Attention()); }),
       entry<Average>("Average", [] { return AnyLayer(Average()); }),
       entry<AveragePooling1D>("AveragePooling1D", [] { return AnyLayer(AveragePooling1D()); }),
       entry<AveragePooling2D>("AveragePooling2D", [] { return AnyLayer(AveragePooling2D()); }),
       entry<AveragePooling3D>("AveragePooling3D", [] { return AnyLayer(AveragePooling3D()); }),
       entry<BatchNormalization>("BatchNormalization",
                                 [] { return AnyLayer(BatchNormalization()); }),
       entry<Bidirectional>("Bidirectional", [] { return AnyLayer(Bidirectional(LSTM(1))); }),
       entry<CategoryEncoding>("CategoryEncoding", [] { return AnyLayer(CategoryEncoding(1)); }),
       entry<CenterCrop>("CenterCrop", [] { return AnyLayer(CenterCrop(1, 1)); }),
       entry<Concatenate>("Concatenate", [] { return AnyLayer(Concatenate()); }),
       entry<Conv1D>("Conv1D", [] { return AnyLayer(Conv1D(1, 1)); }),
       entry<Conv1DTranspose>("Conv1DTranspose", [] { return AnyLayer(Conv1DTranspose(1, 1)); }),
       entry<Conv2D>("Conv2D", [] { return AnyLayer(Conv2D(1, 1)); }),
       entry<Conv2DTranspose>("Conv2DTranspose", [] { return AnyLayer(Conv2DTranspose(1, 1)); }),
       entry<ConvLSTM1D>("ConvLSTM1D", [] { return AnyLayer(ConvLSTM1D(1, 1)); }),
       entry<ConvLSTM2D>("ConvLSTM2D", [] { return AnyLayer(ConvLSTM2D(1, 1)); }),
       entry<ConvLSTM3D>("ConvLSTM3D", [] { return AnyLayer(ConvLSTM3D(1, 1)); }),
       entry<Conv3D>("Conv3D", [] { return AnyLayer(Conv3D(1, 1)); }),
       entry<Conv3DTranspose>("Conv3DTranspose", [] { return AnyLayer(Conv3DTranspose(1, 1)); }),
       entry<Cropping1D>("Cropping1D", [] { return AnyLayer(Cropping1D()); }),
       entry<Cropping2D>("Cropping2D", [] { return AnyLayer(Cropping2D()); }),
       entry<Cropping3D>("Cropping3D", [] { return AnyLayer(Cropping3D()); }),
       entry<Dense>("Dense", [] { return AnyLayer(Dense(1)); }),
       entry<DepthwiseConv1D>("DepthwiseConv1D", [] { return AnyLayer(DepthwiseConv1D(1)); }),
       entry<DepthwiseConv2D>("DepthwiseConv2D", [] { return AnyLayer(DepthwiseConv2D(1)); }),
       entry<Discretization>("Discretization",
                             [] { return AnyLayer(Discretization({.num_bins = 1})); }),
       entry<Dot>("Dot", [] { return AnyLayer(Dot(1)); }),
       entry_of_any_shape<Dropout>("Dropout", [] { return AnyLayer(Dropout(0)); }),
       entry<EinsumDense>("EinsumDense", [] { return AnyLayer(EinsumDense("ab,bc->ac", {1})); }),
       entry_of_any_shape<ELU>("ELU", [] { return AnyLayer(ELU()); }),
       entry<Embedding>("Embedding", [] { return AnyLayer(Embedding(1, 1)); }),
       entry<Flatten>("Flatten", [] { return AnyLayer(Flatten()); }),
       entry_of_any_shape<GaussianDropout>("GaussianDropout",
                                           [] { return AnyLayer(GaussianDropout(0)); }),
       entry_of_any_shape<GaussianNoise>("GaussianNoise",
                                         [] { return AnyLayer(GaussianNoise(0)); }),
       entry<GlobalAveragePooling1D>("GlobalAveragePooling1D",
                                     [] { return AnyLayer(GlobalAveragePooling1D()); }),
       entry<GlobalAveragePooling2D>("GlobalAveragePooling2D",
                                     [] { return AnyLayer(GlobalAveragePooling2D()); }),
       entry<GlobalAveragePooling3D>("GlobalAveragePooling3D",
                                     [] { return AnyLayer(GlobalAveragePooling3D()); }),
       entry<GlobalMaxPooling1D>("GlobalMaxPooling1D",
                                 [] { return AnyLayer(GlobalMaxPooling1D()); }),
       entry<GlobalMaxPooling2D>("GlobalMaxPooling2D",
                                 [] { return AnyLayer(GlobalMaxPooling2D()); }),
       entry<GlobalMaxPooling3D>("GlobalMaxPooling3D",
                                 [] { return AnyLayer(GlobalMaxPooling3D()); }),
       entry<GroupNormalization>("GroupNormalization",
                                 [] { return AnyLayer(GroupNormalization()); }),
       entry<GroupQueryAttention>("GroupQueryAttention",
                                  [] { return AnyLayer(GroupQueryAttention(1, 1, 1)); }),
       entry<GRU>("GRU", [] { return AnyLayer(GRU(1)); }),
       entry<GRUCell>("GRUCell", [] { return AnyLayer(GRUCell(1)); }),
       entry<Hashing>("Hashing", [] { return AnyLayer(Hashing(1)); }),
       entry_of_any_shape<IdentityLayer>("Identity", [] { return AnyLayer(IdentityLayer()); }),
       entry<InputLayer>("InputLayer", [] { return AnyLayer(InputLayer({})); }),
       entry<IntegerLookup>("IntegerLookup", [] { return AnyLayer(IntegerLookup()); }),
       entry<Lambda>("Lambda", &lambda_from_config),
       entry<LayerNormalization>("LayerNormalization",
                                 [] { return AnyLayer(LayerNormalization()); }),
       entry_of_any_shape<LeakyReLU>("LeakyReLU", [] { return AnyLayer(LeakyReLU()); }),
       entry<LSTM>("LSTM", [] { return AnyLayer(LSTM(1)); }),
       entry<LSTMCell>("LSTMCell", [] { return AnyLayer(LSTMCell(1)); }),
       entry_of_any_shape<Masking>("Masking", [] { return AnyLayer(Masking()); }),
       entry<Maximum>("Maximum", [] { return AnyLayer(Maximum()); }),
       entry<MaxPooling1D>("MaxPooling1D", [] { return AnyLayer(MaxPooling1D()); }),
       entry<MaxPooling2D>("MaxPooling2D", [] { return AnyLayer(MaxPooling2D()); }),
       entry<MaxPooling3D>("MaxPooling3D", [] { return AnyLayer(MaxPooling3D()); }),
       entry<Minimum>("Minimum", [] { return AnyLayer(Minimum()); }),
       entry<MultiHeadAttention>("MultiHeadAttention",
                                 [] { return AnyLayer(MultiHeadAttention(1, 1)); }),
       entry<Multiply>("Multiply", [] { return AnyLayer(Multiply()); }),
       entry<Normalization>("Normalization", [] { return AnyLayer(Normalization()); }),
       entry<Permute>("Permute", [] { return AnyLayer(Permute({})); }),
       entry<PReLU>("PReLU", [] { return AnyLayer(PReLU()); }),
       entry<RandomBrightness>("RandomBrightness", [] { return AnyLayer(RandomBrightness(0)); }),
       entry<RandomContrast>("RandomContrast", [] { return AnyLayer(RandomContrast(0)); }),
       entry<RandomFlip>("RandomFlip", [] { return AnyLayer(RandomFlip()); }),
       entry<RandomRotation>("RandomRotation", [] { return AnyLayer(RandomRotation(0)); }),
       entry<RandomTranslation>("RandomTranslation",
                                [] { return AnyLayer(RandomTranslation(0, 0)); }),
       entry<RandomZoom>("RandomZoom", [] { return AnyLayer(RandomZoom(0)); }),
       entry_of_any_shape<ReLU>("ReLU", [] { return AnyLayer(ReLU()); }),
       entry<RepeatVector>("RepeatVector", [] { return AnyLayer(RepeatVector(1)); }),
       entry<Rescaling>("Rescaling", [] { return AnyLayer(Rescaling(1)); }),
       entry<Reshape>("Reshape", [] { return AnyLayer(Reshape({})); }),
       entry<Resizing>("Resizing", [] { return AnyLayer(Resizing(1, 1)); }),
       entry<RMSNormalization>("RMSNormalization", [] { return AnyLayer(RMSNormalization()); }),
       entry<RNN>("RNN", [] { return AnyLayer(RNN(LSTMCell(1))); }),
       entry<SeparableConv1D>("SeparableConv1D", [] { return AnyLayer(SeparableConv1D(1, 1)); }),
       entry<SeparableConv2D>("SeparableConv2D", [] { return AnyLayer(SeparableConv2D(1, 1)); }),
       entry<SimpleRNN>("SimpleRNN", [] { return AnyLayer(SimpleRNN(1)); }),
       entry<SimpleRNNCell>("SimpleRNNCell", [] { return AnyLayer(SimpleRNNCell(1)); }),
       entry_of_any_shape<Softmax>("Softmax", [] { return AnyLayer(Softmax()); }),
       entry_of_any_shape<SpatialDropout1D>("SpatialDropout1D",
                                            [] { return AnyLayer(SpatialDropout1D(0)); }),
       entry_of_any_shape<SpatialDropout2D>("SpatialDropout2D",
                                            [] { return AnyLayer(SpatialDropout2D(0)); }),
       entry_of_any_shape<SpatialDropout3D>("SpatialDropout3D",
                                            [] { return AnyLayer(SpatialDropout3D(0)); }),
       entry<SpectralNormalization>("SpectralNormalization",
                                    [] { return AnyLayer(SpectralNormalization(Dense(1))); }),
       entry<StackedRNNCells>("StackedRNNCells",
                              [] { return AnyLayer(StackedRNNCells(LSTMCell(1))); }),
       entry<StringLookup>("StringLookup", [] { return AnyLayer(StringLookup()); }),
       entry<Subtract>("Subtract", [] { return AnyLayer(Subtract()); }),
       entry<TextVectorization>("TextVectorization", [] { return AnyLayer(TextVectorization()); }),
       entry<TimeDistributed>("TimeDistributed",
                              [] { return AnyLayer(TimeDistributed(Dense(1))); }),
       entry_of_any_shape<UnitNormalization>("UnitNormalization",
                                             [] { return AnyLayer(UnitNormalization()); }),
       entry<UpSampling1D>("UpSampling1D", [] { return AnyLayer(UpSampling1D()); }),
       entry<UpSampling2D>("UpSampling2D", [] { return AnyLayer(UpSampling2D()); }),
       entry<UpSampling3D>("UpSampling3D", [] { return AnyLayer(UpSampling3D()); }),
       entry<ZeroPadding1D>("ZeroPadding1D", [] { return AnyLayer(ZeroPadding1D()); }),
       entry<ZeroPadding2D>("ZeroPadding2D", [] { return AnyLayer(ZeroPadding2D()); }),
       entry<ZeroPadding3D>("ZeroPadding3D", [] { return AnyLayer(ZeroPadding3D()); }),
       entry<AttentionLayer>(
           "AttentionLayer", [] { return AnyLayer(AttentionLayer(1)); }, "Custom"),
       entry<ConditionalRandomField>(
           "ConditionalRandomField", [] { return AnyLayer(ConditionalRandomField()); }, "Custom")}};
  return all;
}

std::string full_name(const LayerClass& known) {
  return known.package.empty() ? known.name : known.package + ">" + known.name;
}

std::optional<LayerClass> class_of(const Layer& layer) {
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  auto found = all.classes.find(typeid(layer));
  if (found == all.classes.end()) return {};
  LayerClass known = found->second;
  return known;
}

// Of a class that is not Keras's own, a file may have the name without a package, or with the one
// it was registered with in Python: its name alone is enough.
LayerClass class_named(const std::string& name) {
  // Of one layer a .h5 file has the name inside Keras, which is not the one for users.
  if (name == "GroupedQueryAttention") return class_named("GroupQueryAttention");
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  std::vector<std::string> names;
  const LayerClass* in_package = nullptr;
  for (const auto& [type, known] : all.classes) {
    if (name == full_name(known)) return known;
    if (!known.package.empty() && name.substr(name.find('>') + 1) == known.name)
      in_package = &known;
    names.push_back(full_name(known));
  }
  if (in_package != nullptr) return *in_package;
  fail("unknown layer class \"{}\".{} A class of one's own joins by register_keras_serializable",
       name, suggestion(name, names));
}

// Whether the layer's config has this type by itself, as that of Hashing has int64.
bool has_type(const Layer& layer, const Option& dtype) {
  const auto given = object_in(dtype);
  const Config config = layer.get_config();
  const Option* own = find_option(config, "dtype");
  const auto known = own == nullptr ? std::nullopt : object_in(*own);
  const Option *a = given ? find_option(given->second, "name") : nullptr,
               *b = known ? find_option(known->second, "name") : nullptr;
  return a != nullptr && b != nullptr && text_of(*a) == text_of(*b);
}

// Keras has more types of whole numbers.
bool is_whole(const Option& dtype) {
  static constexpr const char* names[] = {"int64",  "int16",  "int8",  "uint8",
                                          "uint16", "uint32", "uint64"};
  std::string name;
  return from_option(dtype, name) && std::ranges::find(names, name) != std::end(names);
}

// A policy as its name.
std::string dtype_text(const Option& dtype) {
  const auto policy = object_in(dtype);
  const Option* name = policy ? find_option(policy->second, "name") : nullptr;
  return text_of(name == nullptr ? dtype : *name);
}

}  // namespace

void register_layer_class(const std::type_info& type, LayerClass known) {
  if (known.name.empty()) known.name = class_name_of(type);
  if (!known.from_config) registered_name(known.package, known.name);  // checks them
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  std::erase_if(all.classes,
                [&](const auto& other) { return full_name(other.second) == full_name(known); });
  all.classes.insert_or_assign(type, std::move(known));
}

AnyLayer reference_to(const Layer& layer) {
  auto known = class_of(layer);
  if (!known)
    throw LayerError(fmt::format(
        "{0} ({1}): its class is not registered: write "
        "register_keras_serializable<{1}>(...), or layer<{1}>(...)(x) to call it in a graph",
        layer.name(), layer.class_name()));
  return known->reference(layer);
}

AnyLayer layer_from_config(const std::string& class_name, const Config& config) {
  const LayerClass known = class_named(class_name);
  if (known.from_config) return known.from_config(config);
  if (!known.make)
    fail(
        "{}: no layer of this class can be made from a config: give register_keras_serializable a "
        "function that makes one",
        class_name);
  AnyLayer layer = known.make();
  if (class_name != full_name(known) && !known.package.empty())
    layer->state().class_in_file = class_name;
  Config own;
  for (const auto& [name, value] : config) {
    bool trainable = true;
    std::string text;
    Regularizer regularizer;
    DType dtype = float32;
    if (name == "name" && from_option(value, text))
      layer->set_name(text);
    else if (name == "dtype" && from_option(value, dtype))
      layer->set_dtype(dtype);
    else if (name == "dtype" && has_type(*layer, value))
      continue;  // one that only this class knows
    else if (name == "dtype" && known.name == "InputLayer" && is_whole(value))
      layer->set_dtype(int32);
    else if (name == "dtype")
      fail("{}: dtype: only float32 and float64 are known, got {}", class_name, dtype_text(value));
    else if (name == "activity_regularizer" && from_option(value, regularizer))
      layer->set_activity_regularizer(regularizer);
    else if (name == "trainable" && from_option(value, trainable))
      layer->set_trainable(trainable);
    else
      own.emplace_back(name, value);
  }
  configure(class_name, layer->fields(), own);
  layer->configured();
  return layer;
}

namespace {

// Whether a value speaks of a function or a class of one's own, "package>name".
bool has_own_object(const Option& value) {
  if (auto* text = std::get_if<std::string>(&value)) return text->find('>') != std::string::npos;
  if (auto* list = std::get_if<List>(&value)) return std::ranges::any_of(*list, has_own_object);
  if (auto* object = std::get_if<Config>(&value))
    return std::ranges::any_of(*object, [](const auto& o) { return has_own_object(o.second); });
  return false;
}

// Whether what an option holds runs in a step and answers for itself nowhere else: unlike what
// makes and mends weights, and unlike layers.
bool runs_in_step(const Field& field) {
  static constexpr const char* others[] = {"cell", "cells", "layer", "backward_layer"};
  return !field.name.ends_with("initializer") && !field.name.ends_with("constraint") &&
         std::ranges::find(others, field.name) == std::end(others);
}

}  // namespace

bool is_built_in(const Layer& layer) {
  const auto known = class_of(layer);
  return known && known->built_in;
}

// A part that is not registered is the library's, or belongs to a layer that is of the user.
bool has_own_code(const Layer& layer) { return class_of(layer) && !layer.Layer::supports_graph(); }

bool Layer::supports_graph() const {
  const auto known = class_of(*this);
  const Regularizer& activity = activity_regularizer();
  if (!known || !known->built_in) return false;
  if (activity.function() &&
      (activity.class_name().empty() || has_own_object(activity.class_name())))
    return false;
  try {
    return std::ranges::none_of(const_cast<Layer*>(this)->fields(), [](const Field& field) {
      return runs_in_step(field) && has_own_object(field.get());
    });
  } catch (const std::invalid_argument&) {  // a function that no config can state
    return false;
  }
}

std::vector<Field> Layer::fields() { return {}; }

Config Layer::get_config() const {
  Config config{
      {"name", name()},
      {"trainable", trainable()},
      {"dtype", object_option("keras", "DTypePolicy", {{"name", std::string(name_of(dtype()))}})}};
  const bool regularized = activity_regularizer().function() != nullptr;
  if (regularized) config.emplace_back("activity_regularizer", to_option(activity_regularizer()));
  for (auto& option : config_of(const_cast<Layer*>(this)->fields()))
    if (!regularized || option.first != "activity_regularizer") config.push_back(std::move(option));
  return config;
}

bool takes_states(const Layer& layer) {
  return dynamic_cast<const RNN*>(&layer) != nullptr ||
         dynamic_cast<const Bidirectional*>(&layer) != nullptr;
}

namespace {

// The shapes that a layer was built for: what Keras builds it for again.
Option build_config(const Layer& layer) {
  const Shapes& shapes = layer.input_shapes();
  List all;
  for (const Shape& shape : shapes) all.push_back(to_option(shape));
  if (all.size() == 1) return Config{{"input_shape", all[0]}};
  if (auto* told = dynamic_cast<const CallArguments*>(&layer))
    if (const auto names = told->input_arguments(); !names.empty()) {
      Config by_name;  // the shapes of masks are not kept
      for (std::size_t i = 0; i < all.size(); ++i)
        if (!names[i].ends_with("mask") && shapes[i].rank() > 0)
          by_name.emplace_back(names[i] + "_shape", all[i]);
      return Config{{"shapes_dict", by_name}};
    }
  if (!takes_states(layer)) return Config{{"input_shape", all}};
  return Config{{"shapes_dict", Config{{"sequences_shape", all[0]},
                                       {"initial_state_shape", List(all.begin() + 1, all.end())}}}};
}

}  // namespace

namespace {

// What is called Dense in someone's own module is not Keras's.
void check_module(const Config& object, const std::string& class_name) {
  const Option* option = find_option(object, "module");
  std::string module;
  if (option == nullptr || !from_option(*option, module)) return;
  if (!module.starts_with("keras") && class_named(class_name).package.empty())
    fail("unknown layer class \"{}\" of the module \"{}\"", class_name, module);
}

}  // namespace

Option to_option(const AnyLayer& layer) {
  LayerClass known;
  if (auto* operation = dynamic_cast<const Operation*>(&*layer)) {
    known = {.name = operation->class_name(), .module = "keras.src.ops"};
    if (operation->op() != nullptr) known.module += "." + operation->op()->module;
  } else if (auto found = class_of(*layer)) {
    // A Model may mean a Sequential.
    const bool is_sequential = found->name == "Functional" && layer->class_name() == "Sequential";
    known = is_sequential ? class_named("Sequential") : *found;
  } else {
    fail("{} ({}): its class is not registered: write register_keras_serializable<{}>(...)",
         layer->name(), layer->class_name(), layer->class_name());
  }
  const std::string& in_file = layer->state().class_in_file;
  Config object = std::get<Config>(object_option(
      known.module, in_file.empty() ? full_name(known) : in_file, layer->get_config()));
  const bool begins = known.name == "InputLayer", an_op = known.module.starts_with("keras.src.ops");
  if (known.name == "Functional")
    object.emplace_back("build_config", Config{{"input_shape", {}}});
  else if (layer->built() && !begins && !an_op && !known.any_shape)
    object.emplace_back("build_config", build_config(*layer));
  if (known.from_config) object.emplace_back("compile_config", Config{});
  return object;
}
bool from_option(const Option& option, AnyLayer& layer) {
  auto object = object_in(option);
  if (!object) return false;
  check_module(std::get<Config>(option), object->first);
  layer = layer_from_config(object->first, object->second);
  return true;
}
Option to_option(const std::vector<AnyLayer>& layers) {
  List list;
  for (const AnyLayer& layer : layers) list.push_back(to_option(layer));
  return list;
}
bool from_option(const Option& option, std::vector<AnyLayer>& layers) {
  auto* list = std::get_if<List>(&option);
  if (list == nullptr || list->empty()) return false;
  layers.clear();
  for (const Option& one : *list) {
    AnyLayer layer = IdentityLayer();
    if (!from_option(one, layer)) return false;
    layers.push_back(layer);
  }
  return true;
}

}  // namespace keratin
