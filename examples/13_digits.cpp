// Which digit was written? A convolutional network on images of 8 by 8 pixels
// (examples/data/README.md). Draws the first layer's filters, and a digit seen through each of
// them, as out/filters.svg.
//
//   13_digits [folder of the data]

#include <keratin/keratin.h>
#include <filesystem>
#include <fstream>
#include <iostream>

using namespace keratin;

constexpr int filters = 16;

Sequential make_model() {
  return Sequential({
      Conv2D(filters, 3, {.padding = "same", .activation = "relu", .input_shape = {8, 8, 1}}),
      MaxPooling2D(2),
      Conv2D(32, 3, {.padding = "same", .activation = "relu"}),
      GlobalMaxPooling2D(),
      Dropout(0.2),
      Dense(10, {.activation = "softmax"}),
  });
}

// The elements of an image as squares: from -1, blue, over white to 1, red.
void draw(std::ostream& svg, const Tensor& image, int left, int top, int side) {
  for (int row = 0; row < image.size(0); ++row)
    for (int column = 0; column < image.size(1); ++column) {
      const double value = std::clamp(image[row][column].item(), -1.0, 1.0);
      const int pale = static_cast<int>(255 * (1 - std::abs(value)));
      svg << "<rect x='" << left + side * column << "' y='" << top + side * row << "' width='"
          << side << "' height='" << side << "' fill='rgb(" << (value < 0 ? pale : 255) << ','
          << pale << ',' << (value < 0 ? 255 : pale) << ")'/>\n";
    }
}

void draw_filters(const std::string& path, Sequential& model, const Tensor& digit) {
  const Tensor kernel = model.get_layer(0).get_weights()[0];               // (3, 3, 1, filters)
  const Tensor seen = model.capture(digit).at(model.get_layer(0).name());  // (1, 8, 8, filters)
  const double strongest = max(abs(kernel)).item(), brightest = max(seen).item();
  std::ofstream svg(path);
  svg << "<svg xmlns='http://www.w3.org/2000/svg' width='" << 90 * (filters + 1)
      << "' height='180'>\n"
      << "<rect width='100%' height='100%' fill='#eee'/>\n";
  draw(svg, reshape(digit, {8, 8}), 10, 95, 9);
  for (int i = 0; i < filters; ++i) {
    draw(svg, slice(kernel, {all, all, 0, i}) / strongest, 90 * (i + 1) + 10, 10, 24);
    draw(svg, slice(seen, {0, all, all, i}) / brightest, 90 * (i + 1) + 10, 95, 9);
  }
  svg << "</svg>\n";
}

int main(int argc, char** argv) {
  auto data = load_npz(std::string(argc > 1 ? argv[1] : "examples/data") + "/digits.npz");
  const Tensor x = expand_dims(data.at("x").astype(float32) / 16, -1), y = data.at("y");
  // The last 360 images are held back.
  auto part = [&](const Tensor& t, int begin, int end) { return slice(t, {range(begin, end)}); };

  set_random_seed(1);
  Sequential model = make_model();
  model.summary();
  model.compile({.optimizer = Adam(0.003),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  const Tensor x_test = part(x, 1437, 1797), y_test = part(y, 1437, 1797);
  model.fit(part(x, 0, 1437), part(y, 0, 1437),
            {.batch_size = 32, .epochs = 15, .verbose = 2, .validation_data = {x_test, y_test}});

  std::filesystem::create_directories("out");
  draw_filters("out/filters.svg", model, part(x_test, 3, 4));
  const Tensor guess = argmax(model.predict(x_test), -1);
  const auto truth = y_test.to_vector<double>(), guessed = guess.to_vector<double>();
  std::cout << "taken for another digit:";
  for (std::size_t i = 0; i < truth.size(); ++i)
    if (truth[i] != guessed[i]) std::cout << ' ' << truth[i] << "->" << guessed[i];
  std::cout << "\nThe filters are drawn in out/filters.svg.\n";
}
