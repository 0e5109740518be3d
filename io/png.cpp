// A picture's rows lie in a zlib stream (RFC 1950) whose blocks are stored as they are (RFC 1951).

#include <algorithm>

#include <keratin/core/internal/message.h>
#include <keratin/io/internal/checksum.h>
#include <keratin/io/internal/png.h>

namespace keratin {
namespace {

std::string big_endian_bytes(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

std::string chunk(const std::string& kind, const std::string& content) {
  return big_endian_bytes(static_cast<std::uint32_t>(content.size())) + kind + content +
         big_endian_bytes(crc32(kind + content, crc32_polynomial));
}

std::string stored(const std::string& bytes) {
  constexpr std::size_t largest = 0xffff;
  std::string stream = "\x78\x01";
  for (std::size_t at = 0; at == 0 || at < bytes.size(); at += largest) {
    const std::string block = bytes.substr(at, largest);
    const auto size = static_cast<std::uint16_t>(block.size());
    stream += at + largest >= bytes.size() ? '\1' : '\0';  // whether it is the last
    for (std::uint16_t number : {size, static_cast<std::uint16_t>(~size)}) {
      stream += static_cast<char>(number & 0xff);
      stream += static_cast<char>(number >> 8);
    }
    stream += block;
  }
  std::uint32_t a = 1, b = 0;  // Adler's checksum
  for (char byte : bytes) {
    a = (a + static_cast<unsigned char>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  return stream + big_endian_bytes(b << 16 | a);
}

}  // namespace

std::string format_png(const Tensor& image) {
  const std::int64_t channels = image.rank() == 3 ? image.size(2) : 1;
  const bool fits = image.rank() >= 2 && image.rank() <= 3 && image.numel() > 0 &&
                    (channels == 1 || channels == 3 || channels == 4);
  if (!fits)
    fail("format_png: expected an image (height, width) or (height, width, 1, 3 or 4), got {}",
         image.shape());
  const auto numbers = image.to_vector<double>();
  const auto width = static_cast<std::size_t>(image.size(1) * channels);
  std::string rows;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i % width == 0) rows += '\0';  // a row as it is, without a filter
    const double number = numbers[i] > 0 ? std::min(numbers[i], 1.0) : 0.0;
    rows += static_cast<char>(static_cast<unsigned char>(number * 255 + 0.5));
  }
  const char kind = channels == 1 ? 0 : channels == 3 ? 2 : 6;
  const std::string header = big_endian_bytes(static_cast<std::uint32_t>(image.size(1))) +
                             big_endian_bytes(static_cast<std::uint32_t>(image.size(0))) + '\x08' +
                             kind + std::string(3, '\0');
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", stored(rows)) +
         chunk("IEND", "");
}

}  // namespace keratin
