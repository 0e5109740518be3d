// Expected texts are what print(array) of NumPy 2.4.6 writes.
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <sstream>

#include <keratin/core/create.h>
#include <keratin/core/internal/tensor_data.h>

TEST_SUITE_BEGIN("core");

using namespace keratin;

TEST_CASE("floats drop trailing zeros and align at the point") {
  CHECK(tensor({1, 2, 3}).str() == "[1. 2. 3.]");
  CHECK(tensor({1.5, 2, -3.25}).str() == "[ 1.5   2.   -3.25]");
  CHECK(tensor({{1, 2, 3}, {4, 5, 6}}).str() ==
        R"([[1. 2. 3.]
 [4. 5. 6.]])");
  CHECK(tensor({{0.1, 22.75}, {-333, 4}}).str() ==
        R"([[ 1.000e-01  2.275e+01]
 [-3.330e+02  4.000e+00]])");
  CHECK(tensor({-0.0, 0.0}).str() == "[-0.  0.]");
  CHECK(tensor({7}).str() == "[7.]");
}

TEST_CASE("float32 has its own shortest digits, float64 at most 8 after the point") {
  CHECK(tensor({0.1, 1.0 / 3}).str() == "[0.1        0.33333334]");
  CHECK(tensor({0.1, 1.0 / 3}, float64).str() == "[0.1        0.33333333]");
  CHECK(tensor({2.0 / 3, 0.123456785, 12.3456789012}, float64).str() ==
        "[ 0.66666667  0.12345678 12.3456789 ]");
  CHECK(tensor({0.999999999, 0.10000000001}, float64).str() == "[1.  0.1]");
  CHECK(tensor({16777216, 65536.5}).str() == "[1.6777216e+07 6.5536500e+04]");
}

TEST_CASE("large, small and far-apart numbers are written with an exponent") {
  CHECK(tensor({1e8, 1e8}, float64).str() == "[1.e+08 1.e+08]");
  CHECK(tensor({99999999, 1e6}, float64).str() == "[99999999.  1000000.]");
  CHECK(tensor({1e6, 2e6}).str() == "[1.e+06 2.e+06]");
  CHECK(tensor({999999, 1000}).str() == "[999999.   1000.]");
  CHECK(tensor({0.0001, 0.0002}, float64).str() == "[0.0001 0.0002]");
  CHECK(tensor({0.00009}, float64).str() == "[9.e-05]");
  CHECK(tensor({0.001, 1.0}, float64).str() == "[0.001 1.   ]");
  CHECK(tensor({0.001, 1.001}, float64).str() == "[1.000e-03 1.001e+00]");
  CHECK(tensor({0, 1e-10, -2.5}).str() == "[ 0.0e+00  1.0e-10 -2.5e+00]");
  CHECK(tensor({1e-300, 1e10, 5e-324}, float64).str() == "[1.e-300 1.e+010 5.e-324]");
  CHECK(tensor({1e-7, 39.22003173828125}).str() == "[1.000000e-07 3.922003e+01]");
}

TEST_CASE("nan and inf take part in the alignment only") {
  CHECK(tensor({1, NAN, -INFINITY}).str() == "[  1.  nan -inf]");
  CHECK(tensor({NAN, INFINITY}).str() == "[nan inf]");
  CHECK(tensor({-INFINITY, NAN, INFINITY}, float64).str() == "[-inf  nan  inf]");
  CHECK(tensor({1e-9, NAN, INFINITY, 123.456}).str() ==
        "[1.00000e-09         nan         inf 1.23456e+02]");
  CHECK(tensor({-0.5, NAN}).str() == "[-0.5  nan]");
}

TEST_CASE("integers and booleans align right") {
  CHECK(tensor({1, -20, 300}, int32).str() == "[  1 -20 300]");
  CHECK(tensor({-2147483648, 2147483647}, int32).str() == "[-2147483648  2147483647]");
  CHECK(tensor({{1, 0}, {0, 1}}, boolean).str() ==
        R"([[ True False]
 [False  True]])");
  CHECK(arange(12).reshape({3, 4}).str() ==
        R"([[ 0  1  2  3]
 [ 4  5  6  7]
 [ 8  9 10 11]])");
}

TEST_CASE("a tensor without axes prints as a number") {
  CHECK(full({}, 1).str() == "1.0");
  CHECK(full({}, 0.1).str() == "0.1");
  CHECK(full({}, 1e6).str() == "1e+06");
  CHECK(full({}, 1234567).str() == "1.234567e+06");
  CHECK(full({}, 1e-4).str() == "1e-04");
  CHECK(full({}, -0.0).str() == "-0.0");
  CHECK(full({}, NAN).str() == "nan");
  CHECK(full({}, -INFINITY).str() == "-inf");
  CHECK(full({}, 1.0 / 3, float64).str() == "0.3333333333333333");
  CHECK(full({}, 1e15, float64).str() == "1000000000000000.0");
  CHECK(full({}, 1e16, float64).str() == "1e+16");
  CHECK(full({}, -42, int32).str() == "-42");
  CHECK(full({}, 1, boolean).str() == "True");
  CHECK(full({}, 0, boolean).str() == "False");
}

TEST_CASE("an empty tensor prints as brackets") {
  CHECK(zeros({0}).str() == "[]");
  CHECK(zeros({3, 0, 5}).str() == "[]");
}

TEST_CASE("each further axis adds brackets and an empty line") {
  CHECK(arange(8).reshape({2, 2, 2}).str() ==
        R"([[[0 1]
  [2 3]]

 [[4 5]
  [6 7]]])");
  CHECK(arange(8).reshape({2, 1, 2, 2}).str() ==
        R"([[[[0 1]
   [2 3]]]


 [[[4 5]
   [6 7]]]])");
  CHECK(zeros({1, 1, 1, 1, 2}).str() == "[[[[[0. 0.]]]]]");
}

TEST_CASE("rows longer than a line are wrapped") {
  CHECK(arange(30).str() ==
        R"([ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
 24 25 26 27 28 29])");
  CHECK(arange(0.0, 3.0, 0.125, float32).str() ==
        R"([0.    0.125 0.25  0.375 0.5   0.625 0.75  0.875 1.    1.125 1.25  1.375
 1.5   1.625 1.75  1.875 2.    2.125 2.25  2.375 2.5   2.625 2.75  2.875])");
  CHECK(arange(46).reshape({2, 23}).astype(float64).str() ==
        R"([[ 0.  1.  2.  3.  4.  5.  6.  7.  8.  9. 10. 11. 12. 13. 14. 15. 16. 17.
  18. 19. 20. 21. 22.]
 [23. 24. 25. 26. 27. 28. 29. 30. 31. 32. 33. 34. 35. 36. 37. 38. 39. 40.
  41. 42. 43. 44. 45.]])");
}

TEST_CASE("more than 1000 elements show their edges only") {
  CHECK(arange(1001).str() == "[   0    1    2 ...  998  999 1000]");
  CHECK(zeros({40, 30}).str() ==
        R"([[0. 0. 0. ... 0. 0. 0.]
 [0. 0. 0. ... 0. 0. 0.]
 [0. 0. 0. ... 0. 0. 0.]
 ...
 [0. 0. 0. ... 0. 0. 0.]
 [0. 0. 0. ... 0. 0. 0.]
 [0. 0. 0. ... 0. 0. 0.]])");
  CHECK(arange(1200).reshape({300, 4}).str() ==
        R"([[   0    1    2    3]
 [   4    5    6    7]
 [   8    9   10   11]
 ...
 [1188 1189 1190 1191]
 [1192 1193 1194 1195]
 [1196 1197 1198 1199]])");
  CHECK(arange(1400).reshape({7, 2, 100}).str() ==
        R"([[[   0    1    2 ...   97   98   99]
  [ 100  101  102 ...  197  198  199]]

 [[ 200  201  202 ...  297  298  299]
  [ 300  301  302 ...  397  398  399]]

 [[ 400  401  402 ...  497  498  499]
  [ 500  501  502 ...  597  598  599]]

 ...

 [[ 800  801  802 ...  897  898  899]
  [ 900  901  902 ...  997  998  999]]

 [[1000 1001 1002 ... 1097 1098 1099]
  [1100 1101 1102 ... 1197 1198 1199]]

 [[1200 1201 1202 ... 1297 1298 1299]
  [1300 1301 1302 ... 1397 1398 1399]]])");
}

TEST_CASE("1000 elements are all shown") {
  const std::string text = zeros({1000}).str();
  CHECK(text.find("...") == std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '.') == 1000);
}

TEST_CASE("a view prints as its contiguous copy") {
  const Tensor x = arange(0.0, 1.5, 0.0625, float32);  // 24 elements
  const Tensor strided = make_view(x, {2, 3}, {1, 8}, 2);
  CHECK(strided.str() == contiguous(strided).str());
  const Tensor flipped = make_view(x, {4}, {-5}, 20);
  CHECK(flipped.str() == "[1.25   0.9375 0.625  0.3125]");
  const Tensor expanded = make_view(x, {2, 2}, {0, 1}, 1);
  CHECK(expanded.str() == contiguous(expanded).str());
}

TEST_CASE("the stream operator writes str(), an undefined tensor has a text too") {
  std::ostringstream out;
  out << tensor({1, 2}) << Tensor();
  CHECK(out.str() == "[1. 2.]Tensor()");
}

TEST_SUITE_END();
