// Images of another size. Rows and columns are resized one after the other: by looking up, or as a
// product with a matrix of weights, nearly all of which are 0.

#include <algorithm>

#include <keratin/autograd/ops.h>
#include <keratin/core/create.h>
#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

using Size = std::array<std::int64_t, 2>;  // {height, width}

/// The middles of the new pixels of an axis, float64, where old pixel j reaches from j to j + 1.
Tensor middles(std::int64_t size, std::int64_t old_size, Device device) {
  const Tensor i = arange(size, float64, device);
  return (i + 0.5) * static_cast<double>(old_size) / static_cast<double>(size);
}

Tensor nearest(const Tensor& x, std::int64_t size, int axis) {
  return take(x, floor(middles(size, x.size(axis), x.device())).astype(int32), axis);
}

// Over the middle of a new pixel stands a triangle, which reaches one old pixel to both sides; with
// antialias, where the image shrinks, one new pixel. Its heights at the middles of the old pixels
// are their weights, which are made to sum to 1: at the edges of the image it is cut off.
Tensor bilinear(const Tensor& x, std::int64_t size, int axis, bool antialias) {
  const std::int64_t n = x.size(axis);
  const double scale = static_cast<double>(n) / static_cast<double>(size);
  const double reach = antialias ? std::max(scale, 1.0) : 1.0;
  const Tensor middle = reshape(middles(size, n, x.device()), {-1, 1});
  const Tensor height = maximum(1 - abs(middles(n, n, x.device()) - middle) / reach, 0);
  const Tensor weight = (height / sum(height, 1, true)).astype(x.dtype());  // (size, n)
  if (axis == x.rank() - 1) return dot(x, transpose(weight));
  std::int64_t outer = 1;
  for (int i = 0; i < axis; ++i) outer *= x.size(i);
  const Tensor y = matmul(weight, reshape(x, {outer, n, -1}));
  return reshape(y, x.shape().with(axis, size));
}

/// The largest window in the middle of images that has the shape of the new size.
Tensor cropped(const Tensor& x, Size size, int axis) {
  const std::int64_t h = x.size(axis), w = x.size(axis + 1);
  const std::int64_t height = std::clamp<std::int64_t>(w * size[0] / size[1], 1, h);
  const std::int64_t width = std::clamp<std::int64_t>(h * size[1] / size[0], 1, w);
  const std::int64_t top = (h - height) / 2, left = (w - width) / 2;
  std::vector<Index> kept(static_cast<std::size_t>(axis), all);
  kept.insert(kept.end(), {range(top, top + height), range(left, left + width)});
  return slice(x, kept);
}

/// Images in the middle of a canvas that has the shape of the new size.
Tensor padded(const Tensor& x, Size size, int axis, double value) {
  const std::int64_t h = x.size(axis), w = x.size(axis + 1);
  const std::int64_t above = (std::max(h, w * size[0] / size[1]) - h) / 2;
  const std::int64_t before = (std::max(w, h * size[1] / size[0]) - w) / 2;
  std::vector<std::array<std::int64_t, 2>> widths(static_cast<std::size_t>(x.rank()), {0, 0});
  widths[static_cast<std::size_t>(axis)] = {above, above};
  widths[static_cast<std::size_t>(axis + 1)] = {before, before};
  return pad(x, widths, value);
}

void check(const Tensor& images, Size size, const ResizeOptions& o) {
  const Shape& shape = images.shape();
  if (shape.rank() != 3 && shape.rank() != 4)
    fail("resize: expected images of rank 3 or 4, got {}", shape);
  if (size[0] < 1 || size[1] < 1)
    fail("resize: expected a size of at least 1, got {} by {}", size[0], size[1]);
  if (o.interpolation != "nearest" && o.interpolation != "bilinear")
    fail("resize: interpolation \"{}\" is neither \"nearest\" nor \"bilinear\"", o.interpolation);
  if (o.data_format != "channels_last" && o.data_format != "channels_first")
    fail("resize: data_format \"{}\" is neither \"channels_last\" nor \"channels_first\"",
         o.data_format);
  if (o.crop_to_aspect_ratio && o.pad_to_aspect_ratio)
    fail("resize: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other");
  const int axis = o.data_format == "channels_last" ? -3 : -2;
  if (shape[axis] == 0 || shape[axis + 1] == 0) fail("resize: no pixels in shape {}", shape);
}

}  // namespace

Tensor resize(const Tensor& images, const Size& size, const ResizeOptions& o) {
  check(images, size, o);
  const int axis = images.rank() - (o.data_format == "channels_last" ? 3 : 2);
  const bool real = is_floating(images.dtype());
  Tensor x = real ? images : images.astype(floatx());
  if (o.crop_to_aspect_ratio) x = cropped(x, size, axis);
  if (o.pad_to_aspect_ratio) x = padded(x, size, axis, o.fill_value);
  for (int i : {0, 1}) {
    const std::int64_t wanted = size[static_cast<std::size_t>(i)];
    if (wanted == x.size(axis + i)) continue;
    x = o.interpolation == "nearest" ? nearest(x, wanted, axis + i)
                                     : bilinear(x, wanted, axis + i, o.antialias);
  }
  return real ? x : round(x).astype(images.dtype());
}

}  // namespace keratin
