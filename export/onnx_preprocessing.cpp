// What comes before a network: numbers brought to a scale, and categories, as
// layers/preprocessing.cpp, lookup.cpp and categories.cpp state them.

#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/export/internal/onnx_layers.h>
#include <keratin/export/internal/onnx_writer.h>
#include <keratin/layers/lookup.h>

namespace keratin::onnx {

Value one_hot(const Value& ids, std::int64_t depth, Type type) {
  const Value numbers = cast(arange(*ids.writer, depth), ids.type);
  return cast(equal(expand_dims(ids, {ids.rank()}), numbers), type);
}

namespace {

// --- scales

// A number or nested lists of them.
Tensor numbers_in(const Option& option) {
  auto* list = std::get_if<std::vector<Option>>(&option);
  double number = 0;
  if (list == nullptr) {
    if (!from_option(option, number)) fail("expected numbers, got {}", text_of(option));
    return full({}, number, float64);
  }
  std::vector<Tensor> rows;
  for (const Option& row : *list) rows.push_back(numbers_in(row));
  return stack(rows);
}

Values normalization(Call& call) {
  const DType dtype = call.layer.dtype();
  const Value x = cast(call.x(), type_of(dtype));
  std::vector<int> axes = call.axes();
  for (int& axis : axes) axis = normalize_axis(axis, x.rank(), "axis");
  std::ranges::sort(axes);
  auto numbers = [&](const char* name) {
    const auto weight = call.weight_tensor(name);
    const Tensor t = (weight ? *weight : numbers_in(call.option(name))).astype(dtype);
    Shape shape = Shape::filled(x.rank(), 1);
    for (int i = 1; i <= t.rank(); ++i) shape[axes[axes.size() - std::size_t(i)]] = t.size(-i);
    return keratin::reshape(t, shape);
  };
  const Value center = call.constant("mean", [&] { return numbers("mean"); });
  const Value spread =
      call.constant("spread", [&] { return keratin::maximum(sqrt(numbers("variance")), 1e-7); });
  if (call.flag("invert")) return {x * spread + center};
  return {(x - center) / spread};
}

Values rescaling(Call& call) {
  const Value x = cast(call.x(), type_of(call.layer.dtype()));
  auto numbers = [&](const char* name) {
    return call.constant(name,
                         [&] { return numbers_in(call.option(name)).astype(call.layer.dtype()); });
  };
  return {x * numbers("scale") + numbers("offset")};
}

// --- categories

// As in layers/categories.cpp.
Value encoded(Call& call, Value ids, const std::string& mode, std::int64_t depth,
              const Value& weights = {}) {
  const Type type = type_of(call.layer.dtype());
  if (mode == "int") return ids;
  if (mode == "one_hot") {
    if (ids.rank() > 1 && ids.shape[-1] == 1) ids = squeeze(ids, {-1});
    return one_hot(ids, depth, type);
  }
  const Value each = one_hot(ids, depth, type);
  if (mode == "multi_hot") return reduce("ReduceMax", each, {-2});
  return reduce("ReduceSum",
                weights.defined() ? each * expand_dims(weights, {weights.rank()}) : each, {-2});
}

Values discretization(Call& call) {
  const auto boundaries = call.option<std::vector<double>>("bin_boundaries");
  if (boundaries.empty()) fail("the boundaries are not known");
  const Value x = cast(call.x(), type_of(call.layer.dtype()));
  const Value limits = call.constant("bin_boundaries", [&] {
    return numbers_in(call.option("bin_boundaries")).astype(call.layer.dtype());
  });
  const Value above = cast(logical_not(expand_dims(x, {x.rank()}) < limits), Type::int32);
  return {encoded(call, reduce("ReduceSum", above, {-1}), call.option<std::string>("output_mode"),
                  static_cast<std::int64_t>(boundaries.size()) + 1)};
}

Values category_encoding(Call& call) {
  return {encoded(call, cast(call.x(), Type::int32), call.option<std::string>("output_mode"),
                  call.option<int>("num_tokens"),
                  call.inputs.size() > 1 ? call.inputs[1] : Value())};
}

// The place of each number in the vocabulary, behind the mask token and the unknown ones.
Values integer_lookup(Call& call) {
  const auto& layer = static_cast<const IntegerLookup&>(call.layer);
  const int unknown = call.option<int>("num_oov_indices");
  const std::string mode = call.option<std::string>("output_mode");
  if (call.flag("invert")) fail("with the option invert it has no form in ONNX here");
  if (unknown != 1) fail("with num_oov_indices {} it has no form in ONNX here", unknown);
  const std::vector<std::int64_t> known = layer.get_vocabulary(false);
  if (known.empty()) fail("the vocabulary is empty");
  const bool has_mask = call.has_option("mask_token");
  const std::int64_t depth =
      call.flag("pad_to_max_tokens") ? call.option<int>("max_tokens") : layer.vocabulary_size();
  const double of_unknown = has_mask && mode == "int" ? 1 : 0;

  const Value x = cast(call.x(), Type::int64);
  const Value same = equal(expand_dims(x, {x.rank()}), call.writer.integers(known));
  const Value place = cast(node("ArgMax", {cast(same, Type::int32)}, x.shape, Type::int64,
                                {{"axis", std::int64_t{-1}}, {"keepdims", std::int64_t{0}}}),
                           Type::int32);
  Value index = where(any(same, {-1}), place + (of_unknown + 1), of_unknown);
  if (has_mask)
    index = where(equal(x, call.option<double>("mask_token")),
                  mode == "int" ? 0.0 : static_cast<double>(depth), index);
  const Value codes = encoded(call, index, mode == "tf_idf" ? "count" : mode, depth);
  if (mode != "tf_idf") return {codes};
  return {codes * call.constant("idf_weights", [&] {
    auto weights = call.option<std::vector<double>>("idf_weights");
    weights.resize(static_cast<std::size_t>(depth), 0.0);
    return tensor(weights, {depth}, call.layer.dtype());
  })};
}

/// Images in floats, as the layers for images make them.
Value images(Call& call) {
  return is_floating(call.x().type) ? call.x() : cast(call.x(), type_of(call.layer.dtype()));
}

Values same_images(Call& call) { return {images(call)}; }

Values center_crop(Call& call) {
  Value y = images(call);
  const int first = call.channels_first() ? 2 : 1;
  for (int i = 0; i < 2; ++i) {
    const std::int64_t n = y.shape[first + i], to = call.option<int>(i == 0 ? "height" : "width");
    if (n == None || n < to) fail("a crop of images that may be smaller has no form in ONNX here");
    y = slice(y, first + i, (n - to) / 2, (n - to) / 2 + to);
  }
  return {y};
}

Values resizing(Call& call) {
  call.inputs[0] = images(call);
  return resize(call, call.option<int>("height"), call.option<int>("width"));
}

}  // namespace

const ExportTable& preprocessing_exports() {
  static const ExportTable table{
      {"CategoryEncoding", category_encoding},
      {"CenterCrop", center_crop},
      {"Discretization", discretization},
      {"IntegerLookup", integer_lookup},
      {"Normalization", normalization},
      {"RandomBrightness", same_images},
      {"RandomContrast", same_images},
      {"RandomFlip", same_images},
      {"RandomRotation", same_images},
      {"RandomTranslation", same_images},
      {"RandomZoom", same_images},
      {"Rescaling", rescaling},
      {"Resizing", resizing},
  };
  return table;
}

}  // namespace keratin::onnx
