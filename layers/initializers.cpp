#include <algorithm>
#include <cmath>
#include <map>

#include <keratin/autograd/ops.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/initializers.h>
#include <keratin/layers/layer.h>

namespace keratin {
namespace {

// The rows of a (m, n) matrix, m <= n, made orthonormal: Q^T of the QR decomposition of its
// transpose, with the signs that make R's diagonal positive. Gram and Schmidt's method; cleaning
// each row twice is enough (Giraud et al., 2005).
Tensor orthonormal_rows(Tensor a) {
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    Tensor v = a[i], before = slice(a, {range(0, i)});
    for (int pass = 0; pass < 2 && i > 0; ++pass) v = v - dot(dot(before, v), before);
    a[i].assign(v / norm(v));
  }
  return a;
}

Tensor orthogonal(const Shape& shape, DType dtype, Random& random, double gain) {
  if (shape.rank() < 2) fail("orthogonal: expected a shape of rank 2 or more, got {}", shape);
  std::int64_t columns = shape[-1], rows = shape.numel() / std::max<std::int64_t>(columns, 1);
  std::int64_t tall = std::max(rows, columns), wide = std::min(rows, columns);
  const Device there = default_device();
  auto scope = device("cpu");  // each row is a few small steps
  Tensor q = orthonormal_rows(random.normal({wide, tall}, 0, 1, float64));
  Tensor matrix = rows < columns ? q : q.transpose();
  return (matrix * gain).reshape(shape).astype(dtype).to(there);
}

Tensor variance_scaled(const Shape& shape, DType dtype, Random& random,
                       const VarianceScalingOptions& options) {
  Fans fans = fans_of(shape);
  double n = options.mode == "fan_in"    ? fans.in
             : options.mode == "fan_out" ? fans.out
                                         : (fans.in + fans.out) / 2;
  double variance = options.scale / std::max(1.0, n);
  if (options.distribution == "uniform") {
    double limit = std::sqrt(3 * variance);
    return random.uniform(shape, -limit, limit, dtype);
  }
  double stddev = std::sqrt(variance);
  if (options.distribution == "untruncated_normal") return random.normal(shape, 0, stddev, dtype);
  // Cutting at two standard deviations takes this much of the spread away.
  return random.truncated_normal(shape, 0, stddev / 0.87962566103423978, dtype);
}

// The options of each class, in Keras's order.
std::vector<Field> fields(NormalOptions& o) {
  return {{"seed", &o.seed}, {"mean", &o.mean}, {"stddev", &o.stddev}};
}
std::vector<Field> fields(UniformOptions& o) {
  return {{"seed", &o.seed}, {"minval", &o.minval}, {"maxval", &o.maxval}};
}
std::vector<Field> fields(VarianceScalingOptions& o) {
  return {{"seed", &o.seed},
          {"scale", &o.scale},
          {"mode", &o.mode, one_of({"fan_in", "fan_out", "fan_avg"})},
          {"distribution", &o.distribution,
           one_of({"truncated_normal", "untruncated_normal", "uniform"})},
          Field::fixed("input_axes", {}),
          Field::fixed("output_axes", {})};
}
std::vector<Field> fields(GainOptions& o) { return {{"seed", &o.seed}, {"gain", &o.gain}}; }
std::vector<Field> fields(SeedOption& o) {
  return {{"seed", &o.seed}, Field::fixed("input_axes", {}), Field::fixed("output_axes", {})};
}

// The initializer that `draw` is, with these options.
template <class Options, class Draw>
Initializer made(const char* class_name, Options options, Draw draw) {
  check_fields(class_name, fields(options));
  return Initializer(draw)
      .with_seed(options.seed)
      .described_as(class_name, config_of(fields(options)));
}

Initializer scaled(const char* class_name, double scale, const char* mode, const char* distribution,
                   SeedOption options) {
  return VarianceScaling({scale, mode, distribution, options.seed})
      .described_as(class_name, config_of(fields(options)));
}

template <class Options>
Initializer read(const char* class_name, Initializer (*make)(const Options&),
                 const Config& config) {
  Options options;
  configure(class_name, fields(options), config);
  return make(options);
}

struct Known {
  const char* class_name;
  Initializer (*make)(const char* class_name, const Config& config);
};

// By the names that Keras takes as strings, without those of the classes.
const std::map<std::string, Known>& by_name() {
  using Name = const char*;
  static const Known zeros{"Zeros",
                           [](Name n, const Config&c) { return configure(n, {}, c), Zeros(); }},
      ones{"Ones", [](Name n, const Config&c) { return configure(n, {}, c), Ones(); }},
      normal{"RandomNormal", [](Name n, const Config&c) { return read(n, &RandomNormal, c); }},
      uniform{"RandomUniform", [](Name n, const Config&c) { return read(n, &RandomUniform, c); }};
  static const std::map<std::string, Known> table{
      {"zeros", zeros},
      {"zero", zeros},
      {"ones", ones},
      {"one", ones},
      {"constant",
       {"Constant",
        [](Name n, const Config& c) {
          double value = 0;
          configure(n, {{"value", &value}}, c);
          return Constant(value);
        }}},
      {"random_normal", normal},
      {"normal", normal},
      {"random_uniform", uniform},
      {"uniform", uniform},
      {"truncated_normal",
       {"TruncatedNormal", [](Name n, const Config& c) { return read(n, &TruncatedNormal, c); }}},
      {"variance_scaling",
       {"VarianceScaling", [](Name n, const Config& c) { return read(n, &VarianceScaling, c); }}},
      {"glorot_uniform",
       {"GlorotUniform", [](Name n, const Config& c) { return read(n, &GlorotUniform, c); }}},
      {"glorot_normal",
       {"GlorotNormal", [](Name n, const Config& c) { return read(n, &GlorotNormal, c); }}},
      {"he_uniform", {"HeUniform", [](Name n, const Config& c) { return read(n, &HeUniform, c); }}},
      {"he_normal", {"HeNormal", [](Name n, const Config& c) { return read(n, &HeNormal, c); }}},
      {"lecun_uniform",
       {"LecunUniform", [](Name n, const Config& c) { return read(n, &LecunUniform, c); }}},
      {"lecun_normal",
       {"LecunNormal", [](Name n, const Config& c) { return read(n, &LecunNormal, c); }}},
      {"orthogonal",
       {"Orthogonal", [](Name n, const Config& c) { return read(n, &Orthogonal, c); }}},
      {"identity",
       {"Identity",
        [](Name n, const Config& c) {
          double gain = 1;
          configure(n, {{"gain", &gain}}, c);
          return Identity(gain);
        }}},
  };
  return table;
}

// Functions of users.
CustomObjects<Initializer>& custom() {
  static CustomObjects<Initializer> all;
  return all;
}

}  // namespace

void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Initializer& function) {
  const std::string full = registered_name(package, name);
  custom().add(full, function.described_as(full, {}));
}

Initializer::Initializer(const std::string& name) {
  if (auto own = custom().find(name)) {
    *this = *own;
    return;
  }
  auto found = by_name().find(name);
  if (found == by_name().end()) {  // a class name: "GlorotUniform", "OrthogonalInitializer"
    std::string words = to_snake_case(name);
    if (words.ends_with("_initializer")) words.resize(words.size() - 12);
    if (words != name) found = by_name().find(words);
  }
  if (found == by_name().end()) fail_unknown("unknown initializer", name, by_name());
  *this = found->second.make(found->second.class_name, {});
}

Tensor Initializer::operator()(const Shape& shape, DType dtype) const {
  NoGradient scope;
  if (!seed_) return function_(shape, dtype, default_random());
  Random random(*seed_);
  return function_(shape, dtype, random);
}

Initializer& Initializer::with_seed(std::optional<std::uint64_t> seed) {
  seed_ = seed;
  return *this;
}

// Of a shape with more than two axes, all but the last two are the receptive field of a
// convolution.
Fans fans_of(const Shape& shape) {
  if (shape.rank() == 0) return {1, 1};
  if (shape.rank() == 1) return {double(shape[0]), double(shape[0])};
  double field = 1;
  for (int axis = 0; axis < shape.rank() - 2; ++axis) field *= double(shape[axis]);
  return {double(shape[-2]) * field, double(shape[-1]) * field};
}

Initializer Constant(double value) {
  return Initializer(
             [=](const Shape& shape, DType dtype, Random&) { return full(shape, value, dtype); })
      .described_as("Constant", {{"value", value}});
}
Initializer Zeros() { return Constant(0).described_as("Zeros", {}); }
Initializer Ones() { return Constant(1).described_as("Ones", {}); }

Initializer RandomNormal(const NormalOptions& o) {
  return made("RandomNormal", o, [o](const Shape& shape, DType dtype, Random& random) {
    return random.normal(shape, o.mean, o.stddev, dtype);
  });
}

Initializer TruncatedNormal(const NormalOptions& o) {
  return made("TruncatedNormal", o, [o](const Shape& shape, DType dtype, Random& random) {
    return random.truncated_normal(shape, o.mean, o.stddev, dtype);
  });
}

Initializer RandomUniform(const UniformOptions& o) {
  return made("RandomUniform", o, [o](const Shape& shape, DType dtype, Random& random) {
    return random.uniform(shape, o.minval, o.maxval, dtype);
  });
}

Initializer VarianceScaling(const VarianceScalingOptions& o) {
  if (!(o.scale > 0)) fail("VarianceScaling: expected a positive scale, got {}", o.scale);
  return made("VarianceScaling", o, [o](const Shape& shape, DType dtype, Random& random) {
    return variance_scaled(shape, dtype, random, o);
  });
}

Initializer GlorotUniform(const SeedOption& o) {
  return scaled("GlorotUniform", 1, "fan_avg", "uniform", o);
}
Initializer GlorotNormal(const SeedOption& o) {
  return scaled("GlorotNormal", 1, "fan_avg", "truncated_normal", o);
}
Initializer HeUniform(const SeedOption& o) {
  return scaled("HeUniform", 2, "fan_in", "uniform", o);
}
Initializer HeNormal(const SeedOption& o) {
  return scaled("HeNormal", 2, "fan_in", "truncated_normal", o);
}
Initializer LecunUniform(const SeedOption& o) {
  return scaled("LecunUniform", 1, "fan_in", "uniform", o);
}
Initializer LecunNormal(const SeedOption& o) {
  return scaled("LecunNormal", 1, "fan_in", "truncated_normal", o);
}

Initializer Orthogonal(const GainOptions& o) {
  return made("Orthogonal", o, [o](const Shape& shape, DType dtype, Random& random) {
    return orthogonal(shape, dtype, random, o.gain);
  });
}

Initializer Identity(double gain) {
  Initializer identity([=](const Shape& shape, DType dtype, Random&) {
    if (shape.rank() != 2) fail("identity: expected a shape of rank 2, got {}", shape);
    return eye(shape[0], shape[1], dtype) * gain;
  });
  // Keras's config of Identity leaves the gain out.
  return identity.described_as("Identity", gain == 1 ? Config() : Config{{"gain", gain}});
}

Initializer Initializer::described_as(std::string class_name, Config config) const {
  Initializer other = *this;
  other.class_name_ = std::move(class_name);
  other.config_ = std::move(config);
  return other;
}

Initializer Initializer::from_config(const std::string& class_name, const Config& config) {
  std::vector<std::string> names;
  for (const auto& [name, known] : by_name()) {
    // Keras once wrote OrthogonalInitializer.
    if (class_name == known.class_name ||
        class_name == std::string(known.class_name) + "Initializer")
      return known.make(known.class_name, config);
    names.emplace_back(known.class_name);
  }
  fail_unknown("unknown initializer class", class_name, names);
}

Option to_option(const Initializer& initializer) {
  if (!initializer.defined()) return {};
  if (initializer.class_name().empty())
    fail("initializer: a function of one's own has no class name that a config could hold");
  if (custom().find(initializer.class_name())) return function_option(initializer.class_name());
  return object_option("keras.initializers", initializer.class_name(), initializer.config());
}
bool from_option(const Option& option, Initializer& initializer) {
  std::string name;
  if (option.is_none()) return initializer = Initializer(), true;
  if (auto function = function_in(option)) return initializer = Initializer(*function), true;
  if (from_option(option, name)) return initializer = Initializer(name), true;
  auto object = object_in(option);
  return object && (initializer = Initializer::from_config(object->first, object->second), true);
}

}  // namespace keratin
