// Tensors are strided memory: views, slices and broadcasting copy nothing.

#include <keratin/keratin.h>
#include <iostream>

using namespace keratin;

int main() {
  Tensor a = tensor({{1, 2, 3}, {4, 5, 6}});
  std::cout << "a has shape " << a.shape() << ":\n" << a << "\n\n";

  Tensor b = arange(12).reshape({3, 4}).transpose();  // a view: nothing is copied
  std::cout << "b, a transposed view, with strides " << b.strides()[0] << " and " << b.strides()[1]
            << ":\n"
            << b << "\n\n";

  Tensor c = a[0];                                    // a view of the first row
  Tensor d = slice(b, {all, range(0, 3, 2)});         // every other column
  Tensor backwards = slice(b, {range(3, 0, -1), 1});  // rows 3, 2, 1 of column 1
  std::cout << "a * 2 + c broadcasts:\n" << a * 2 + c << "\n\n";
  std::cout << "every other column of b:\n" << d << "\n\n";
  std::cout << "a step of -1: " << backwards << "\n\n";

  c.assign(0.0);  // a view shares its memory
  std::cout << "after writing to the view, a is\n" << a << "\n\n";

  std::vector<float> mine{1, 4, 9, 16, 25, 36};
  Tensor roots = sqrt(Tensor::view(mine.data(), {3, 2}));  // the caller's memory, not copied
  std::cout << "roots of a vector's numbers:\n" << roots << "\n\n";

  Tensor series = arange(0.0, 8.0);
  std::cout << "means of three neighbours: " << mean(sliding_window(series, 0, 3), 1) << "\n\n";

  Tensor r = Random(42).normal({2, 3});  // the same numbers on any machine
  std::cout << "six normal numbers:\n" << r << "\n\n";

  try {
    dot(a, tensor({1, 2}));
  } catch (const std::invalid_argument& error) {
    std::cout << "an error says who, which rule, what came:\n  " << error.what() << '\n';
  }
}
