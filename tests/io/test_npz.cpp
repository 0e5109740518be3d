// The files in tests/data were made by NumPy and Python's zipfile: tools/make_npy_cases.py. The
// hostile archives are made here, by changing bytes of good ones: headers carry no checksum.
#include <doctest/doctest.h>
#include <string>

#include <keratin/core/create.h>
#include <keratin/io/file.h>
#include <keratin/io/npy.h>
#include <keratin/io/npz.h>
#include <keratin/io/zip.h>

#include "temporary_directory.h"

TEST_SUITE_BEGIN("io");

using namespace keratin;
using namespace std::string_literals;

namespace {

const std::string data = std::string(KERATIN_SOURCE_DIR) + "/tests/data/";

// Where fields lie in the two headers of a zip member.
const std::string local_signature = "PK\3\4", central_signature = "PK\1\2",
                  end_signature = "PK\5\6";
enum Local { local_flags = 6, local_method = 8, local_crc = 14, local_size = 22 };
enum Central {
  central_flags = 8,
  central_method = 10,
  central_size = 24,
  central_attributes = 38,
  central_offset = 42
};

std::string number(std::uint64_t value, int size = 4) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string archive() {
  return format_zip({{"aa/x", "first"}, {"bb/y", "second"}}, ZipMethod::store);
}

// Overwrites bytes behind the first header with this signature.
std::string patched(std::string bytes, const std::string& signature, int field,
                    const std::string& value) {
  return bytes.replace(bytes.find(signature) + field, value.size(), value);
}

// Renames a member in both headers.
std::string renamed(std::string bytes, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  for (std::size_t at = 0; (at = bytes.find(from, at)) != bytes.npos;)
    bytes.replace(at, to.size(), to);
  return bytes;
}

// The message of the error that opening and reading everything ends in. Any exception of another
// type fails the test.
std::string error_of(const std::string& bytes) {
  try {
    const ZipArchive archive(bytes, "x.zip");
    for (std::size_t i = 0; i < archive.names().size(); ++i) archive.read(i);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

void check_error(const std::string& bytes, const std::string& reason) {
  const std::string error = error_of(bytes);
  CHECK_MESSAGE(error.starts_with("x.zip: "), error);
  CHECK_MESSAGE(error.find(reason) != std::string::npos, error, " should say ", reason);
}

void check_same(const Tensor& a, const Tensor& b) {
  CHECK(a.shape() == b.shape());
  CHECK(a.dtype() == b.dtype());
  CHECK(a.to_vector<double>() == b.to_vector<double>());
}

using Tensors = std::vector<std::pair<std::string, Tensor>>;

}  // namespace

TEST_CASE("named tensors read back as they were written") {
  const TemporaryDirectory folder;
  const Tensors tensors = {{"sequential/lstm/lstm_cell/kernel", tensor({{1, 2, 3}, {4, 5, 6}})},
                           {"counts", arange(5)},
                           {"mask", tensor({1, 0}, boolean)},
                           {"check", tensor({0.1, 0.2}, float64)},
                           {"none", full({}, 3)},
                           {"\xC3\xA9t\xC3\xA9", zeros({2, 0})}};
  save_npz(folder / "x.npz", tensors);
  const auto loaded = load_npz(folder / "x.npz");
  CHECK(loaded.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) check_same(loaded.at(name), tensor);
}

TEST_CASE("no tensors at all make a valid file") {
  CHECK(format_npz({}).size() == 22);
  CHECK(parse_npz(format_npz({}), "x").empty());
}

TEST_CASE("equal tensors give equal bytes") {
  CHECK(format_npz({{"a", arange(100)}}) == format_npz({{"a", arange(100)}}));
}

TEST_CASE("what compresses is compressed") {
  CHECK(format_npz({{"a", zeros({10000})}}).size() < 1000);
}

TEST_CASE("zip64 records and data descriptors are read") {
  for (const char* file : {"zip64.npz", "streamed.npz"}) {
    CAPTURE(file);
    const auto arrays = load_npz(data + file);
    CHECK(arrays.size() == 2);
    check_same(arrays.at("a"), full({2, 3}, 'a'));
    check_same(arrays.at("b"), full({2, 3}, 'b'));
  }
}

TEST_CASE("stored and deflated members keep order and bytes") {
  std::vector<std::pair<std::string, std::string>> members = {
      {"z", "\0\1\2"s}, {"a/b", ""}, {"m", std::string(3 << 20, 'x')}};
  for (ZipMethod method : {ZipMethod::store, ZipMethod::deflate}) {
    const ZipArchive archive(format_zip(members, method), "x");
    REQUIRE(archive.names().size() == 3);
    for (std::size_t i = 0; i < members.size(); ++i) {
      CHECK(archive.names()[i] == members[i].first);
      CHECK(archive.read(i) == members[i].second);
    }
  }
}

TEST_CASE("names that cannot be read are not written") {
  for (const auto& name : {""s, "/a"s, "../a"s, "a/../../b"s, "a\\b"s, "a\0b"s})
    CHECK_THROWS_AS(format_zip({{name, ""}}, ZipMethod::store), std::invalid_argument);
  CHECK_THROWS_AS(format_npz({{"a", zeros({1})}, {"a", zeros({1})}}), std::invalid_argument);
  CHECK_THROWS_AS(format_npz({{"a", Tensor()}}), std::invalid_argument);
}

TEST_CASE("members that are no arrays are an error that names them") {
  CHECK_THROWS_WITH_AS(parse_npz(archive(), "x.npz"),
                       "x.npz: expected .npy members only, found \"aa/x\"", std::runtime_error);
  const std::string bad = format_zip({{"w.npy", "nothing"}}, ZipMethod::store);
  CHECK_THROWS_WITH_AS(parse_npz(bad, "x.npz"),
                       "x.npz: w.npy: not an .npy file: it does not begin as one",
                       std::runtime_error);
}

TEST_CASE("every truncation of a valid archive is an error") {
  for (const std::string& bytes : {archive(), format_npz({{"a", arange(9)}, {"b", zeros({2, 3})}}),
                                   read_file(data + "zip64.npz"), read_file(data + "streamed.npz")})
    for (std::size_t size = 0; size < bytes.size(); ++size) check_error(bytes.substr(0, size), "");
}

TEST_CASE("any byte of an archive may be wrong") {
  for (const std::string& good : {archive(), format_npz({{"a", arange(4)}, {"b", zeros({2, 3})}}),
                                  read_file(data + "zip64.npz"), read_file(data + "streamed.npz")})
    for (std::size_t i = 0; i < good.size(); ++i)
      for (int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::string bytes = good;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        error_of(bytes);  // an error or harmless, never anything else
        try {
          parse_npz(bytes, "x");
        } catch (const std::runtime_error&) {
        }
      }
}

TEST_CASE("damaged contents are found by their checksum") {
  const std::string good = archive();
  check_error(renamed(good, "first", "fIrst"), "cannot be read");
  std::string bytes = format_npz({{"a", arange(50)}});
  bytes[60] = static_cast<char>(bytes[60] ^ 1);
  check_error(bytes, "cannot be read");
}

TEST_CASE("names that lead elsewhere are refused") {
  check_error(renamed(archive(), "aa/x", "../x"), "leads out of its folder");
  check_error(renamed(archive(), "aa/x", "a/.."), "leads out of its folder");
  check_error(renamed(archive(), "aa/x", "/abs"), "absolute path");
  check_error(renamed(archive(), "aa/x", "a\\xx"), "backslash");
  check_error(renamed(archive(), "aa/x", "a\0xx"s), "");
  check_error(renamed(archive(), "aa/x", "bb/y"), "");
}

TEST_CASE("links, encryption and unknown methods are refused") {
  const std::string link = number(0120777u << 16);
  check_error(patched(archive(), central_signature, central_attributes, link), "symbolic link");
  const std::string encrypted = patched(archive(), local_signature, local_flags, "\1");
  check_error(encrypted, "disagree");
  check_error(patched(encrypted, central_signature, central_flags, "\1"), "encrypted");
  const std::string bzip2 = patched(archive(), local_signature, local_method, "\14");
  check_error(patched(bzip2, central_signature, central_method, "\14"), "other than deflate");
}

TEST_CASE("headers that contradict each other are refused") {
  check_error(patched(archive(), local_signature, 30, "zz/x"), "");
  check_error(patched(archive(), local_signature, local_method, "\10"), "");
  check_error(patched(archive(), local_signature, local_crc, "xxxx"), "");
  check_error(patched(archive(), local_signature, local_size, number(4)), "");
  check_error(patched(archive(), central_signature, central_size, number(4)), "");
}

TEST_CASE("a member that declares ten gigabytes is refused unread") {
  const std::string local = patched(archive(), local_signature, local_size, number(0xF0000000));
  const std::string both = patched(local, central_signature, central_size, number(0xF0000000));
  check_error(both, "would inflate from 5 to 4026531840 bytes");
}

TEST_CASE("members that each stay below the limit may not exceed it together") {
  // Ten members of 250 MB as their headers say, each at most 256 MB.
  std::vector<std::pair<std::string, std::string>> members;
  for (char name = 'a'; name <= 'j'; ++name) members.push_back({std::string(1, name), "x"});
  std::string bytes = format_zip(members, ZipMethod::store);
  for (const auto& [signature, field] : {std::pair(local_signature, int{local_size}),
                                         std::pair(central_signature, int{central_size})})
    for (std::size_t at = 0; (at = bytes.find(signature, at)) != bytes.npos; ++at)
      bytes.replace(at + field, 4, number(250'000'000));
  check_error(bytes, "to 2500000000 bytes");
}

TEST_CASE("overlapping members are refused") {
  // "b" as a whole, headers included, is the contents of "a", and the directory lists both.
  const std::string inner = format_zip({{"b", "contents"}}, ZipMethod::store);
  const std::size_t inner_directory = inner.find(central_signature);
  const std::string outer = format_zip({{"a", inner.substr(0, inner_directory)}}, ZipMethod::store);
  const std::size_t end = outer.find(end_signature);
  std::string entry = inner.substr(inner_directory, inner.find(end_signature) - inner_directory);
  entry.replace(central_offset, 4, number(31));
  std::string bytes = outer.substr(0, end) + entry + outer.substr(end);
  bytes = patched(bytes, end_signature, 8, number(2, 2) + number(2, 2));
  const std::size_t directory = outer.find(central_signature);
  bytes = patched(bytes, end_signature, 12, number(end + entry.size() - directory));
  check_error(bytes, "overlaps");
}

TEST_CASE("anything behind the archive is refused") {
  check_error(archive() + "x", "");
  std::string commented = archive();
  commented.replace(commented.size() - 2, 2, "\1\0"s);
  check_error(commented + "x", "something after its end");
}

TEST_SUITE_END();
