// The files in tests/data were made by NumPy: tools/make_npy_cases.py.
#include <doctest/doctest.h>
#include <cmath>
#include <string>

#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>
#include <keratin/io/file.h>
#include <keratin/io/npy.h>
#include <keratin/io/npz.h>

#include "../on_processor.h"
#include "temporary_directory.h"

TEST_SUITE_BEGIN("io");

using namespace keratin;
using namespace std::string_literals;

namespace {

const std::string data = std::string(KERATIN_SOURCE_DIR) + "/tests/data/";

// An .npy file of version 1.0 with this header.
std::string npy(const std::string& header, const std::string& elements = "") {
  return "\x93NUMPY\1\0"s + static_cast<char>(header.size() & 255) +
         static_cast<char>(header.size() >> 8) + header + elements;
}

std::string header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

// The message of the error that parsing ends in. Any other exception fails the test.
std::string error_of(const std::string& bytes) {
  try {
    parse_npy(bytes, "x.npy");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

void check_error(const std::string& bytes, const std::string& reason) {
  const std::string error = error_of(bytes);
  CHECK_MESSAGE(error.starts_with("x.npy: "), error);
  CHECK_MESSAGE(error.find(reason) != std::string::npos, error, " should say ", reason);
}

void check_same(const Tensor& a, const Tensor& b) {
  CHECK(a.shape() == b.shape());
  CHECK(a.dtype() == b.dtype());
  CHECK(a.to_vector<double>() == b.to_vector<double>());
}

}  // namespace

TEST_CASE("the bytes written are NumPy's") {
  const std::string expected =
      "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }"s +
      std::string(58, ' ') + "\n" + "\0\0\x80\x3f\0\0\0\xc0"s;
  CHECK(format_npy(tensor({{1}, {-2}})) == expected);
}

TEST_CASE("every type and shape reads back as it was written") {
  for (DType dtype : {boolean, int32, float32, float64})
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3, 0, 5}, Shape{7}, Shape{2, 3},
                               Shape{1, 2, 1, 3, 1, 1, 2, 1}}) {
      const Tensor x = arange(0, static_cast<double>(shape.numel()), 1, dtype).reshape(shape);
      check_same(parse_npy(format_npy(x), "x"), x);
    }
}

TEST_CASE("views are written row-major") {
  const Tensor x = arange(0.0, 24.0, 1.0);
  for (const Tensor& view :
       {make_view(x, {4, 6}, {1, 4}), make_view(x, {3}, {-2}, 9), make_view(x, {3, 2}, {0, 1}, 5)})
    check_same(parse_npy(format_npy(view), "x"), contiguous(view));
}

TEST_CASE("a file reads back as it was written") {
  const TemporaryDirectory folder;
  save_npy(folder / "x.npy", tensor({{1, 2, 3}, {4, 5, 6}}));
  check_same(load_npy(folder / "x.npy"), tensor({{1, 2, 3}, {4, 5, 6}}));
}

TEST_CASE("NumPy's types are read in both byte orders") {
  const auto arrays = load_npz(data + "types.npz");
  CHECK(arrays.size() == 21);
  const Tensor floats = tensor({{-1.5, 0, INFINITY}, {65504, std::ldexp(1, -24), NAN}}, float64);
  const Tensor signed_ones = tensor({{-128, -1, 0}, {1, 100, 127}}, int32);
  const Tensor unsigned_ones = tensor({{0, 1, 2}, {100, 128, 255}}, int32);
  for (const auto& entry : arrays) {
    const std::string& type = entry.first;
    const Tensor& array = entry.second;
    CAPTURE(type);
    switch (type[1]) {
      case 'b':
        check_same(array, tensor({{1, 0, 1}, {0, 0, 1}}, boolean));
        break;
      case 'i':
        check_same(array, signed_ones);
        break;
      case 'u':
        check_same(array, unsigned_ones);
        break;
      case 'f':
        CHECK(array.dtype() == (type[2] == '8' ? float64 : float32));
        CHECK(array.str() == cast(floats, array.dtype()).str());  // equality does not hold for nan
    }
  }
}

TEST_CASE("every float16 is read exactly" * on_processor()) {
  std::string elements;
  for (int bits = 0; bits < 65536; ++bits)
    elements += {static_cast<char>(bits & 255), static_cast<char>(bits >> 8)};
  const Tensor x = parse_npy(npy(header("<f2", "(65536,)"), elements), "x");
  const float* values = x.data<float>();
  CHECK(values[0x0001] == std::ldexp(1.0f, -24));
  CHECK(values[0x03FF] == std::ldexp(1023.0f, -24));
  CHECK(values[0x0400] == std::ldexp(1.0f, -14));
  CHECK(values[0x3C00] == 1.0f);
  CHECK(values[0x7BFF] == 65504.0f);
  CHECK(std::signbit(values[0x8000]));
  bool ordered = true, odd = true;
  for (int bits = 0; bits < 0x7C00; ++bits) {
    ordered &= values[bits] < values[bits + 1];
    odd &= values[bits + 0x8000] == -values[bits];
  }
  CHECK(ordered);
  CHECK(odd);
  CHECK(std::isinf(values[0x7C00]));
  CHECK(std::isnan(values[0x7C01]));
}

TEST_CASE("NumPy's shapes and orders are read") {
  const auto arrays = load_npz(data + "shapes.npz");
  const Tensor counting = arange(0.0, 24.0, 1.0).reshape({2, 3, 4});
  check_same(arrays.at("none"), full({}, 7.5));
  check_same(arrays.at("zero"), zeros({0}));
  check_same(arrays.at("zero_inside"), zeros({3, 0, 5}));
  check_same(arrays.at("fortran"), counting);
  check_same(arrays.at("fortran_matrix"), counting[0]);
  check_same(arrays.at("view"),
             tensor({{{9, 10}, {5, 6}, {1, 2}}, {{21, 22}, {17, 18}, {13, 14}}}));
  check_same(arrays.at("layers/lstm/kernel"), counting);
  for (const auto& [name, array] : arrays) CHECK(array.is_contiguous());
}

TEST_CASE("versions 2.0 and 3.0 are read") {
  const Tensor expected = arange(0, 6, 1, float64).reshape({2, 3});
  check_same(load_npy(data + "version2.npy"), expected);
  check_same(load_npy(data + "version3.npy"), expected);
}

TEST_CASE("keys come in any order, in either quotes, with or without commas at the end") {
  const std::string six(6, '\1');
  const Tensor expected = full({2, 3}, 1, int32);
  for (const char* text : {"{'shape': (2, 3), 'fortran_order': False, 'descr': '|i1'}\n",
                           "{\"descr\":\"|i1\",\"fortran_order\":True,\"shape\":(2,3,)}    \n"})
    check_same(parse_npy(npy(text, six), "x"), expected);
}

TEST_CASE("a bool is true unless its byte is zero") {
  const Tensor x = parse_npy(npy(header("|b1", "(3,)"), "\2\0\xff"s), "x");
  check_same(x, tensor({1, 0, 1}, boolean));
}

TEST_CASE("an integer that int32 cannot hold is an error with its place") {
  const std::string big = "\0\0\0\x80"s, one = "\1\0\0\0"s;
  check_error(npy(header("<u4", "(2, 2)"), one + one + one + big), "2147483648 at (1, 1)");
  check_error(npy("{'descr': '<u4', 'fortran_order': True, 'shape': (3, 2)}\n",
                  one + one + big + one + one + one),
              "2147483648 at (2, 0)");
  check_error(npy(header("<i8", "()"), "\xff\xff\xff\x7f\xff\xff\xff\xff"s), "-2147483649 at ()");
  check_same(parse_npy(npy(header("<i8", "()"), "\0\0\0\x80\xff\xff\xff\xff"s), "x"),
             full({}, -2147483648.0, int32));
}

TEST_CASE("every truncation of a valid file is an error") {
  for (const std::string& bytes :
       {format_npy(tensor({{1, 2, 3}, {4, 5, 6}})), read_file(data + "version2.npy")})
    for (std::size_t size = 0; size < bytes.size(); ++size) check_error(bytes.substr(0, size), "");
}

TEST_CASE("bytes behind the array are an error") {
  check_error(format_npy(tensor({1, 2})) + "x", "takes 8 bytes, but 9 follow");
}

TEST_CASE("other magic and versions are an error that names them") {
  const std::string good = format_npy(tensor({1, 2}));
  check_error("PK\3\4" + good, "does not begin as one");
  for (char major : {0, 4, 99}) {
    std::string bytes = good;
    bytes[6] = major;
    check_error(bytes, "version " + std::to_string(major) + ".0");
  }
  std::string bytes = good;
  bytes[7] = 1;
  check_error(bytes, "version 1.1");
}

TEST_CASE("a header longer than the file is an error before anything is allocated") {
  check_error("\x93NUMPY\2\0\xff\xff\xff\xff"s, "ends in its header");
}

TEST_CASE("a header that is not the expected dict is an error that says why") {
  const std::string rest = "'fortran_order': False, 'shape': (2,)}\n";
  check_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"), "no line end");
  check_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)"), "no '}'");
  check_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x\n"), "no line end");
  check_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}}\n"), "no line end");
  check_error(npy("{'descr': '<f4', 'descr': '<f4', " + rest), "the key 'descr' twice");
  check_error(npy("{'descr': '<f4', 'more': 1, " + rest), "unknown key 'more'");
  check_error(npy("{" + rest), "no 'descr'");
  check_error(npy("{'descr': '<f4', 'shape': (2,)}\n"), "no 'fortran_order'");
  check_error(npy("{'descr': '<f4', 'fortran_order': False}\n"), "no 'shape'");
  check_error(npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}\n"), "neither True nor");
  check_error(npy("{'descr': 4, " + rest), "no quoted string");
  check_error(npy("{'descr': '<f\\x34', " + rest), "unusual characters");
  check_error(npy("{'descr': '<f4, " + rest), "no '}'");
  check_error(npy("{'descr' '<f4', " + rest), "no ':'");
  check_error(npy("['descr', '<f4']\n"), "no '{'");
  check_error(npy(""), "no '{'");
}

TEST_CASE("a shape that is none is an error that says why") {
  auto with_shape = [](const char* shape) { return npy(header("<f4", shape)); };
  check_error(with_shape("(-1,)"), "a negative size");
  check_error(with_shape("(2.5,)"), "no ')'");
  check_error(with_shape("(2 3)"), "no ')'");
  check_error(with_shape("(2,,)"), "no integer");
  check_error(with_shape("((2,),)"), "no integer");
  check_error(with_shape("(2)"), "no tuple");
  check_error(with_shape("2"), "no '('");
  check_error(with_shape("[2]"), "no '('");
  check_error(with_shape(("(" + std::string(200, '9') + ",)").c_str()), "does not fit 64 bits");
  check_error(with_shape("(1,1,1,1,1,1,1,1,1)"), "more than 8 axes");
  check_error(with_shape("(4294967296, 4294967296)"), "too many elements");
  check_error(with_shape("(4294967296, 4294967296, 0)"), "too many elements");
  check_error(with_shape("(4611686018427387904,)"), "too many elements");
  check_error(with_shape("(100000000000,)"), "takes 400000000000 bytes, but 0 follow");
}

TEST_CASE("types that have no tensor are refused, objects without unpickling") {
  auto with_type = [](const char* descr) {
    return npy(header(descr, "(1,)"), std::string(8, 'x'));
  };
  check_error(with_type("|O"), "never unpickled");
  for (const char* descr :
       {"<U2", "|S8", "<c8", "<M8[s]", "|V8", "<f16", "<f3", "f4", "|f4", "=f4", "<", "", "<f8 "})
    check_error(with_type(descr), "of type '"s + descr + "' have no tensor");
  check_error(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}\n"),
              "structured dtype");
}

TEST_CASE("any byte of a file may be wrong") {
  const std::string good = format_npy(tensor({{1, 2}, {3, 4}}));
  for (std::size_t i = 0; i < good.size(); ++i)
    for (int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      error_of(bytes);  // an error or another array, never anything else
    }
}

TEST_CASE("an undefined tensor cannot be written") {
  CHECK_THROWS_AS(format_npy(Tensor()), std::invalid_argument);
}

TEST_SUITE_END();
