#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/custom_objects.h>
#include <keratin/core/internal/message.h>
#include <keratin/core/internal/suggest.h>
#include <keratin/layers/regularizers.h>

namespace keratin {
namespace {

constexpr double epsilon = 1e-7;  // keras.config.epsilon()

}  // namespace

Regularizer L1L2(double l1, double l2) {
  if (!(l1 >= 0) || !(l2 >= 0)) fail("L1L2: expected factors of at least 0, got {} and {}", l1, l2);
  return {"L1L2", {{"l1", l1}, {"l2", l2}}, [=](const Tensor& w) -> Tensor {
            if (l2 == 0) return l1 * sum(abs(w));
            if (l1 == 0) return l2 * sum(square(w));
            return l1 * sum(abs(w)) + l2 * sum(square(w));
          }};
}
Regularizer L1(double l1) { return {"L1", {{"l1", l1}}, L1L2(l1, 0).function()}; }
Regularizer L2(double l2) { return {"L2", {{"l2", l2}}, L1L2(0, l2).function()}; }

// Keras: 0.5 factor sum |w_i . w_j| / pairs over all pairs of rows or columns, each of length 1.
Regularizer OrthogonalRegularizer(double factor, const std::string& mode) {
  if (mode != "rows" && mode != "columns")
    fail("OrthogonalRegularizer: expected mode rows or columns, got \"{}\"", mode);
  auto cost = [=](const Tensor& w) -> Tensor {
    if (w.rank() != 2)
      fail("OrthogonalRegularizer: expected a weight of rank 2, got {}", w.shape());
    Tensor rows = mode == "rows" ? w : w.transpose();
    rows = rows / maximum(norm(rows, 1, /*keepdims=*/true), 1e-12);
    const auto size = static_cast<double>(rows.size(0));
    Tensor others =
        dot(rows, transpose(rows)) * (1 - eye(rows.size(0), rows.size(0), w.dtype(), w.device()));
    return factor * 0.5 * sum(abs(others)) / (size * (size - 1) / 2);
  };
  return {"OrthogonalRegularizer", {{"factor", factor}, {"mode", mode}}, cost};
}

Constraint NonNeg() {
  return {"NonNeg", {}, [](const Tensor& w) { return maximum(w, 0.0); }};
}
Constraint MaxNorm(double max_value, int axis) {
  if (!(max_value >= 0)) fail("MaxNorm: expected max_value of at least 0, got {}", max_value);
  return {"MaxNorm", {{"max_value", max_value}, {"axis", axis}}, [=](const Tensor& w) {
            Tensor n = norm(w, axis, true);
            return w * (clip(n, 0.0, max_value) / (n + epsilon));
          }};
}
Constraint UnitNorm(int axis) {
  return {"UnitNorm", {{"axis", axis}}, [=](const Tensor& w) {
            return w / (norm(w, axis, true) + epsilon);
          }};
}
Constraint MinMaxNorm(double min_value, double max_value, double rate, int axis) {
  if (!(min_value >= 0 && max_value >= min_value))
    fail("MinMaxNorm: expected 0 <= min_value <= max_value, got {} and {}", min_value, max_value);
  return {"MinMaxNorm",
          {{"min_value", min_value}, {"max_value", max_value}, {"rate", rate}, {"axis", axis}},
          [=](const Tensor& w) {
            Tensor n = norm(w, axis, true);
            return w * ((rate * clip(n, min_value, max_value) + (1 - rate) * n) / (n + epsilon));
          }};
}

// --- by name, and from a config

namespace {

template <class T>
struct Known {
  std::vector<std::string> names;  // of strings, the class's own among them
  std::string class_name;
  std::function<T(const std::string& who, const Config& config)> make;
};

const std::vector<Known<Regularizer>>& known(const Regularizer*) {
  static const std::vector<Known<Regularizer>> table{
      {{"l1"},
       "L1",
       [](auto& who, auto& config) {
         double l1 = 0.01;
         configure(who, {{"l1", &l1}}, config);
         return L1(l1);
       }},
      {{"l2"},
       "L2",
       [](auto& who, auto& config) {
         double l2 = 0.01;
         configure(who, {{"l2", &l2}}, config);
         return L2(l2);
       }},
      {{"l1l2"},
       "L1L2",
       [](auto& who, auto& config) {
         double l1 = 0, l2 = 0;
         configure(who, {{"l1", &l1}, {"l2", &l2}}, config);
         return L1L2(l1, l2);
       }},
      {{"orthogonal_regularizer"}, "OrthogonalRegularizer", [](auto& who, auto& config) {
         double factor = 0.01;
         std::string mode = "rows";
         configure(who, {{"factor", &factor}, {"mode", &mode}}, config);
         return OrthogonalRegularizer(factor, mode);
       }}};
  return table;
}

const std::vector<Known<Constraint>>& known(const Constraint*) {
  static const std::vector<Known<Constraint>> table{
      {{"non_neg"},
       "NonNeg",
       [](auto& who, auto& config) {
         configure(who, {}, config);
         return NonNeg();
       }},
      {{"max_norm"},
       "MaxNorm",
       [](auto& who, auto& config) {
         double max_value = 2;
         int axis = 0;
         configure(who, {{"max_value", &max_value}, {"axis", &axis}}, config);
         return MaxNorm(max_value, axis);
       }},
      {{"unit_norm"},
       "UnitNorm",
       [](auto& who, auto& config) {
         int axis = 0;
         configure(who, {{"axis", &axis}}, config);
         return UnitNorm(axis);
       }},
      {{"min_max_norm"}, "MinMaxNorm", [](auto& who, auto& config) {
         double min_value = 0, max_value = 1, rate = 1;
         int axis = 0;
         configure(who,
                   {{"min_value", &min_value},
                    {"max_value", &max_value},
                    {"rate", &rate},
                    {"axis", &axis}},
                   config);
         return MinMaxNorm(min_value, max_value, rate, axis);
       }}};
  return table;
}

// Functions of users.
template <class T>
CustomObjects<T>& custom() {
  static CustomObjects<T> all;
  return all;
}

template <class T>
T named(const std::string& kind, const std::string& name) {
  if (auto own = custom<T>().find(name)) return *own;
  std::vector<std::string> names;
  for (const auto& entry : known(static_cast<const T*>(nullptr))) {
    names.insert(names.end(), entry.names.begin(), entry.names.end());
    names.push_back(entry.class_name);
    if (std::ranges::find(names, name) != names.end()) return entry.make(name, {});
  }
  fail_unknown("unknown " + kind, name, names);
}

template <class T>
T configured(const std::string& kind, const std::string& class_name, const Config& config) {
  std::vector<std::string> names;
  for (const auto& entry : known(static_cast<const T*>(nullptr))) {
    if (class_name == entry.class_name) return entry.make(class_name, config);
    names.push_back(entry.class_name);
  }
  fail_unknown("unknown " + kind + " class", class_name, names);
}

template <class T>
Option written(const std::string& kind, const T& value) {
  if (!value.function()) return {};
  if (value.class_name().empty())
    fail("{}: a function of one's own has no class name that a config could hold", kind);
  if (custom<T>().find(value.class_name())) return function_option(value.class_name());
  return object_option("keras." + kind + "s", value.class_name(), value.config());
}

template <class T>
bool read(const Option& option, T& value) {
  std::string name;
  if (option.is_none()) return value = T(), true;
  if (from_option(option, name)) return value = T(name), true;
  if (auto function = function_in(option)) return value = T(*function), true;
  auto object = object_in(option);
  return object && (value = T::from_config(object->first, object->second), true);
}

}  // namespace

Regularizer::Regularizer(const std::string& name)
    : Regularizer(named<Regularizer>("regularizer", name)) {}
Constraint::Constraint(const std::string& name)
    : Constraint(named<Constraint>("constraint", name)) {}
Regularizer Regularizer::from_config(const std::string& class_name, const Config& config) {
  return configured<Regularizer>("regularizer", class_name, config);
}
Constraint Constraint::from_config(const std::string& class_name, const Config& config) {
  return configured<Constraint>("constraint", class_name, config);
}
Option to_option(const Regularizer& value) { return written("regularizer", value); }
Option to_option(const Constraint& value) { return written("constraint", value); }
bool from_option(const Option& option, Regularizer& value) { return read(option, value); }
bool from_option(const Option& option, Constraint& value) { return read(option, value); }

void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Regularizer& f) {
  const std::string full = registered_name(package, name);
  custom<Regularizer>().add(full, Regularizer(full, {}, f.function()));
}
void register_keras_serializable(const std::string& package, const std::string& name,
                                 const Constraint& f) {
  const std::string full = registered_name(package, name);
  custom<Constraint>().add(full, Constraint(full, {}, f.function()));
}

}  // namespace keratin
