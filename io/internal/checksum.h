// Checksums of the formats that are written by hand.
#pragma once

#include <cstdint>
#include <string_view>

namespace keratin {

inline constexpr std::uint32_t crc32_polynomial = 0xedb88320;   ///< of PNG and zip
inline constexpr std::uint32_t crc32c_polynomial = 0x82f63b78;  ///< Castagnoli's, of records

/// A cyclic redundancy check of 32 bits, the lowest bit first. It may go on from that of the bytes
/// before.
inline std::uint32_t crc32(std::string_view bytes, std::uint32_t polynomial,
                           std::uint32_t before = 0) {
  std::uint32_t crc = ~before;
  for (char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
  }
  return ~crc;
}

}  // namespace keratin
