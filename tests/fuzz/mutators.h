// How the formats that hold others are changed: random bytes would only ever meet the checksum of
// the archive, or the end of the JSON. Each takes what LLVMFuzzerCustomMutator is given.
#pragma once

#include <cstddef>
#include <cstdint>

/// One value of a JSON text becomes another, moves, or goes; now and then random bytes.
std::size_t mutate_json(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// The same for a member of a zip archive, which is packed anew: .json as above, others as bytes.
std::size_t mutate_archive(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// A text, a name, or an array of an HDF5 file; every other time random bytes.
std::size_t mutate_hdf5(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
