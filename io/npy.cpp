// The header of an .npy file is a Python dict written out. It is parsed here strictly: three known
// keys, once each, in any order; anything else is an error. Nothing is allocated before the header
// and the number of bytes behind it agree.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstring>
#include <optional>
#include <utility>

#include <keratin/core/internal/message.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/io/file.h>
#include <keratin/io/npy.h>

namespace keratin {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr bool little_endian = std::endian::native == std::endian::little;

struct Header {
  std::string descr;  // NumPy's name of the element type, such as "<f4"
  bool fortran_order = false;
  Shape shape;
};

// A reader of the few Python literals that a header consists of.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view who) : text_(text), who_(who) {}

  Header parse() {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    auto set = [&](const std::string& key, auto& slot, auto value) {
      if (slot) error(fmt::format("the key '{}' twice", key));
      slot = value;
    };
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        set(key, descr, type());
      } else if (key == "fortran_order") {
        set(key, fortran_order, boolean());
      } else if (key == "shape") {
        set(key, shape, tuple());
      } else {
        error(fmt::format("an unknown key '{}'", key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (text_.substr(at_) != "\n") error("no line end after the '}' that closes it");
    if (!descr) error("no 'descr'");
    if (!fortran_order) error("no 'fortran_order'");
    if (!shape) error("no 'shape'");
    return {*descr, *fortran_order, *shape};
  }

 private:
  [[noreturn]] void error(const std::string& found) const {
    fail_io("{}: not a valid .npy header: {} (byte {} of the header)", who_, found, at_);
  }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  char peek() {
    skip_spaces();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) error(fmt::format("no '{}' where one is due", c));
  }

  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') error("no quoted string where one is due");
    const std::size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] < ' ' || text_[at_] > '~' || text_[at_] == '\\')
        error("a string with unusual characters");
      ++at_;
    }
    expect(quote);
    return std::string(text_.substr(begin, at_ - 1 - begin));
  }

  std::string type() {
    if (peek() == '[' || peek() == '(') error("a structured dtype, which has no tensor");
    return string();
  }

  bool boolean() {
    skip_spaces();
    for (bool value : {false, true}) {
      const std::string_view name = value ? "True" : "False";
      if (text_.substr(at_, name.size()) != name) continue;
      at_ += name.size();
      return value;
    }
    error("'fortran_order' is neither True nor False");
  }

  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      if (shape.rank() == Dims::max_rank)
        error(fmt::format("a shape of more than {} axes", Dims::max_rank));
      shape.push_back(size());
      if (accept(',')) continue;
      expect(')');
      if (shape.rank() == 1) error("a shape that is no tuple");  // (3) is just 3 in Python
      break;
    }
    return shape;
  }

  std::int64_t size() {
    skip_spaces();
    std::int64_t value = 0;
    auto [end, fault] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (fault == std::errc::result_out_of_range) error("a size that does not fit 64 bits");
    if (fault != std::errc()) error("a size that is no integer");
    if (value < 0) error("a negative size");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  std::string_view text_;
  std::string_view who_;
  std::size_t at_ = 0;
};

// The bytes behind the header, and what an error about them has to say.
struct Elements {
  std::string_view bytes;
  std::int64_t count;
  bool swapped;  // not in this machine's byte order
  const Header& header;
  std::string_view who;
};

struct Float16 {
  std::uint16_t bits;
  explicit operator float() const {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                       : exponent == 0
                           ? std::ldexp(static_cast<float>(fraction), -24)
                           : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    return bits >> 15 != 0 ? -size : size;
  }
};

// The index in the array of the element at this position in the file.
Shape index_of(std::int64_t position, const Header& header) {
  Shape index = Shape::filled(header.shape.rank(), 0);
  for (int i = 0; i < index.rank(); ++i) {
    const int axis = header.fortran_order ? i : index.rank() - 1 - i;  // the fastest axis first
    index[axis] = position % header.shape[axis];
    position /= header.shape[axis];
  }
  return index;
}

template <class From, class To>
void convert(const Elements& from, void* memory) {
  auto* to = static_cast<To*>(memory);
  for (std::int64_t i = 0; i < from.count; ++i) {
    std::array<char, sizeof(From)> bytes;
    std::memcpy(bytes.data(), from.bytes.data() + i * sizeof(From), sizeof(From));
    if (from.swapped) std::ranges::reverse(bytes);
    const auto value = std::bit_cast<From>(bytes);
    if constexpr (std::integral<From> && std::same_as<To, std::int32_t>)
      if (!std::in_range<std::int32_t>(value))
        fail_io("{}: integers become int32, which cannot hold {} at {}", from.who, value,
                index_of(i, from.header));
    to[i] = static_cast<To>(value);
  }
}

struct ElementType {
  std::string_view name;  // NumPy's, without the byte order
  std::size_t bytes;
  DType dtype;
  void (*convert)(const Elements& from, void* to);
};
constexpr ElementType element_types[] = {
    {"b1", 1, boolean, convert<std::uint8_t, bool>},
    {"i1", 1, int32, convert<std::int8_t, std::int32_t>},
    {"u1", 1, int32, convert<std::uint8_t, std::int32_t>},
    {"i2", 2, int32, convert<std::int16_t, std::int32_t>},
    {"u2", 2, int32, convert<std::uint16_t, std::int32_t>},
    {"i4", 4, int32, convert<std::int32_t, std::int32_t>},
    {"u4", 4, int32, convert<std::uint32_t, std::int32_t>},
    {"i8", 8, int32, convert<std::int64_t, std::int32_t>},
    {"u8", 8, int32, convert<std::uint64_t, std::int32_t>},
    {"f2", 2, float32, convert<Float16, float>},
    {"f4", 4, float32, convert<float, float>},
    {"f8", 8, float64, convert<double, double>},
};

const ElementType& element_type(const std::string& descr, std::string_view who) {
  const std::string_view order = std::string_view(descr).substr(0, 1);
  for (const ElementType& type : element_types)
    if (std::string_view(descr).substr(order.size()) == type.name &&
        (order == "<" || order == ">" || (order == "|" && type.bytes == 1)))
      return type;
  const bool object = descr.find('O') != std::string::npos;
  fail_io("{}: elements of type '{}' have no tensor{}", who, descr,
          object ? ": they are Python objects, which are never unpickled"
                 : "; known are bool, integers, float16, float32 and float64");
}

// The header's text; `bytes` keeps what follows it.
std::string_view take_header(std::string_view& bytes, std::string_view who) {
  auto take = [&](std::size_t count) {
    if (bytes.size() < count) fail_io("{}: not a valid .npy file: it ends in its header", who);
    const std::string_view taken = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return taken;
  };
  if (take(magic.size()) != magic) fail_io("{}: not an .npy file: it does not begin as one", who);
  const int major = static_cast<unsigned char>(take(1)[0]);
  const int minor = static_cast<unsigned char>(take(1)[0]);
  if (major < 1 || major > 3 || minor != 0)
    fail_io("{}: .npy version {}.{} is not known; known are 1.0, 2.0 and 3.0", who, major, minor);
  const std::string_view size = take(major == 1 ? 2 : 4);
  std::size_t length = 0;
  for (std::size_t i = size.size(); i-- > 0;)
    length = length << 8 | static_cast<unsigned char>(size[i]);
  return take(length);
}

}  // namespace

Tensor parse_npy(std::string_view bytes, std::string_view who) {
  const Header header = HeaderParser(take_header(bytes, who), who).parse();
  const ElementType& type = element_type(header.descr, who);
  std::int64_t count = 0;
  try {
    count = header.shape.numel();
  } catch (const std::invalid_argument& error) {
    fail_io("{}: {}", who, error.what());
  }
  // No overflow: numel() stays below 2^60.
  const std::uint64_t expected = static_cast<std::uint64_t>(count) * type.bytes;
  if (bytes.size() != expected)
    fail_io("{}: shape {} of '{}' takes {} bytes, but {} follow the header", who, header.shape,
            header.descr, expected, bytes.size());

  Shape shape = header.shape;
  if (header.fortran_order) std::ranges::reverse(shape);
  Tensor tensor = empty(shape, type.dtype, Device());
  const bool swapped = (header.descr[0] == '<') != little_endian;
  type.convert({bytes, count, swapped, header, who}, raw<void>(tensor));
  if (!header.fortran_order) return on_device(tensor, default_device());
  Strides strides = tensor.strides();
  std::ranges::reverse(strides);
  return on_device(contiguous(make_view(tensor, header.shape, strides)), default_device());
}

std::string format_npy(const Tensor& tensor) {
  if (!tensor.defined()) fail("format_npy: the tensor is undefined");
  const char* descr = "";
  switch (tensor.dtype()) {
    case boolean:
      descr = "|b1";
      break;
    case int32:
      descr = little_endian ? "<i4" : ">i4";
      break;
    case float32:
      descr = little_endian ? "<f4" : ">f4";
      break;
    case float64:
      descr = little_endian ? "<f8" : ">f8";
      break;
  }
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}",
                                   descr, tensor.shape());
  // As NumPy does: room for the first size to grow to 21 digits in place, then spaces until the
  // data begins at a multiple of 64.
  if (tensor.rank() > 0) header.append(21 - std::to_string(tensor.shape()[0]).size(), ' ');
  const std::size_t preamble = magic.size() + 4;
  header.append(64 - (preamble + header.size() + 1) % 64, ' ');
  header += '\n';

  const Tensor elements = on_host(contiguous(tensor));
  std::string bytes(magic);
  bytes +=
      {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  bytes += header;
  bytes.append(raw<char>(elements),
               static_cast<std::size_t>(elements.numel()) * size_of(elements.dtype()));
  return bytes;
}

Tensor load_npy(const std::string& path) { return parse_npy(read_file(path), path); }

void save_npy(const std::string& path, const Tensor& tensor) {
  write_file(path, format_npy(tensor));
}

}  // namespace keratin
