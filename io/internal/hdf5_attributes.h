// The attributes of text in an HDF5 file's bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <keratin/io/internal/little_endian.h>

namespace keratin {

/// Read without the HDF5 library, which is not made for damage here: version
/// 1.10.8 crashes on what it finds. By the format's sections IV.A.1.a (object headers), IV.A.2.b, d
/// and m (shapes, types, attributes) and III.E (heaps, where texts of any length lie). Attributes
/// in the newest form of headers are not found.
class TextAttributes {
 public:
  struct Attribute {
    std::string name;
    std::vector<std::string> texts;
    bool alone;  // no list
  };

  explicit TextAttributes(std::string_view bytes) : bytes_(bytes), unread_(bytes.size()) {}

  /// Those of the object whose header is at this place. A file whose headers and texts are longer
  /// than itself, because it uses the same bytes many times, has no more of them.
  std::vector<Attribute> read(std::uint64_t header) {
    std::vector<Attribute> attributes;
    if (!has(bytes_, header, 16) || number(bytes_, header, 1) != 1) return attributes;
    // The messages lie behind the header, and where a message says that they go on.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> parts{
        {header + 16, number(bytes_, header + 8, 4)}};
    for (std::size_t i = 0; i < parts.size() && i < most_parts; ++i) {
      if (!has(bytes_, parts[i].first, parts[i].second) || !may_read(parts[i].second)) break;
      std::string_view part = bytes_.substr(parts[i].first, parts[i].second);
      while (part.size() >= 8 && attributes.size() < most_attributes) {
        const std::uint64_t type = number(part, 0, 2), length = number(part, 2, 2);
        if (length > part.size() - 8) break;
        const std::string_view message = part.substr(8, length);
        if (type == continuation && length >= 16)
          parts.emplace_back(number(message, 0, 8), number(message, 8, 8));
        if (type == attribute)
          if (auto found = attribute_in(message)) attributes.push_back(*found);
        part.remove_prefix(8 + length);
      }
    }
    return attributes;
  }

 private:
  static constexpr std::uint64_t attribute = 0x0C, continuation = 0x10;  // kinds of messages
  static constexpr std::uint64_t fixed_text = 3, of_any_length = 9;      // classes of types
  static constexpr std::size_t most_parts = 1000, most_attributes = 1000;
  static constexpr std::uint64_t most_texts = 100'000;
  static constexpr std::uint64_t most_steps = 10'000'000;  // through heaps, in a file

  static bool has(std::string_view bytes, std::uint64_t at, std::uint64_t size) {
    return at <= bytes.size() && size <= bytes.size() - at;
  }
  /// The bytes must be there.
  static std::uint64_t number(std::string_view bytes, std::uint64_t at, std::uint64_t size) {
    return little_endian(bytes.substr(at, size));
  }

  /// An attribute of text, from the message that holds its name, type, shape and value.
  std::optional<Attribute> attribute_in(std::string_view message) {
    const std::uint64_t version = message.size() < 9 ? 0 : number(message, 0, 1);
    if (version < 1 || version > 3) return {};
    std::uint64_t at = version == 3 ? 9 : 8;
    auto next = [&](std::uint64_t size_at) {
      const std::uint64_t size = number(message, size_at, 2),
                          space = version == 1 ? (size + 7) / 8 * 8 : size;
      const std::string_view part =
          has(message, at, space) ? message.substr(at, size) : std::string_view();
      at += space;
      return part;
    };
    const std::string_view name = next(2), type = next(4), shape = next(6);
    if (name.empty() || type.size() < 8 || shape.size() < 4 || at > message.size()) return {};
    const auto count = count_of(shape);
    if (!count || *count > most_texts) return {};
    const std::string_view value = message.substr(at);
    const std::uint64_t kind = number(type, 0, 1) & 15, size = number(type, 4, 4);
    if (kind != fixed_text && (kind != of_any_length || size != 16)) return {};
    if (size == 0 || *count > value.size() / size) return {};
    Attribute found{std::string(name.substr(0, name.find('\0'))), {}, shape[1] == 0};
    for (std::uint64_t i = 0; i < *count; ++i) {
      const std::string_view one = value.substr(i * size, size);
      const auto text = kind == fixed_text ? std::optional(one) : text_at(one);
      if (!text || !may_read(text->size())) return {};
      found.texts.emplace_back(text->substr(0, text->find('\0')));
    }
    if (found.alone && found.texts.size() != 1) return {};
    return found;
  }

  /// The number of elements of a shape.
  static std::optional<std::uint64_t> count_of(std::string_view shape) {
    const std::uint64_t version = number(shape, 0, 1), rank = number(shape, 1, 1),
                        begin = version == 1 ? 8 : 4;
    if (version < 1 || version > 2 || !has(shape, begin, 8 * rank)) return {};
    std::uint64_t count = version == 2 && number(shape, 3, 1) == 2 ? 0 : 1;  // 2: no elements
    for (std::uint64_t i = 0; i < rank; ++i)
      if (__builtin_mul_overflow(count, number(shape, begin + 8 * i, 8), &count)) return {};
    return count;
  }

  /// A reference is a length, and the place of a heap and a number in it.
  std::optional<std::string_view> text_at(std::string_view reference) {
    const std::uint64_t length = number(reference, 0, 4), heap = number(reference, 4, 8),
                        index = number(reference, 12, 4);
    if (length == 0) return std::string_view();
    if (!has(bytes_, heap, 16) || bytes_.substr(heap, 4) != "GCOL") return {};
    const std::uint64_t heap_size = number(bytes_, heap + 8, 8);
    if (!has(bytes_, heap, heap_size) || heap_size < 16) return {};
    std::string_view objects = bytes_.substr(heap + 16, heap_size - 16);
    while (objects.size() >= 16 && steps_++ < most_steps) {
      const std::uint64_t found = number(objects, 0, 2), size = number(objects, 8, 8);
      if (found == 0 || size > objects.size() - 16) return {};
      if (found == index)
        return size < length ? std::nullopt : std::optional(objects.substr(16, length));
      objects.remove_prefix(std::min<std::uint64_t>(16 + (size + 7) / 8 * 8, objects.size()));
    }
    return {};
  }

  bool may_read(std::uint64_t size) {
    if (size > unread_) return false;
    unread_ -= size;
    return true;
  }

  std::string_view bytes_;
  std::uint64_t unread_;  // how much may still be read
  std::uint64_t steps_ = 0;
};

}  // namespace keratin
