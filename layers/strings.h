// Strings in a shape, where a layer takes text: a tensor holds numbers only. Such layers are called
// before the model, model.fit(vectorize(texts), labels).
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <vector>

#include <keratin/core/shape.h>

namespace keratin {

/// One string, a row of them, or rows in rows of one length: "a", {"a", "b"}, {{"a"}, {"b"}}.
class Strings {
 public:
  template <std::convertible_to<std::string> Text>
  Strings(const Text& one) : values_{std::string(one)} {}
  Strings(std::initializer_list<Strings> rows);
  Strings(std::vector<std::string> values);
  Strings(const std::vector<std::vector<std::string>>& rows);
  /// Row-major.
  Strings(std::vector<std::string> values, const Shape& shape);

  const Shape& shape() const { return shape_; }
  const std::vector<std::string>& values() const { return values_; }

 private:
  void append(const Strings& row);

  std::vector<std::string> values_;
  Shape shape_;
};

}  // namespace keratin
