// Windows that move over the axes of a sample: what convolutions, poolings and ConvLSTMs share.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <keratin/export/internal/c_writer.h>

namespace keratin::c_export {

/// One number for all axes, or one for each.
std::vector<int> per_axis(const Config& config, const std::string& name, std::size_t axes);

/// The axes between batch and channels. In C there are three, depths, rows and columns; where a
/// layer has fewer, the first ones have size 1.
struct Windows {
  /// Over numbers (n..., channels), or as the layer's data_format has them.
  Windows(Writer& w, const Layer& layer, const Array& numbers, const Config& config);

  const Size& channels() const { return x.shape.back(); }
  Size in(std::size_t i) const { return x.shape[i]; }
  /// Adds the axis with the next number, of a layer whose windows are these.
  void add(int size, int stride, int dilation, const std::string& padding);
  void add(const Size& from, const Size& to, const std::string& rest);
  /// The names of depths, rows and columns, or of the last ones of these, behind their lines.
  std::array<std::string, 3> names(std::size_t count = 3);
  /// The shape of what windows see, with so many channels.
  Sizes shape(const Size& filters) const;
  Array result(const Size& filters) const { return w.numbers("out", shape(filters)); }
  Array back(const Array& y) const { return first ? axes_back(w, y, {0}) : y; }

  Writer& w;
  std::size_t axes;
  Array x;
  bool first = false;  // channels first
  Sizes out = {};
  std::vector<std::string> texts = {};
};

/// With strides, padding and dilation_rate of a config, and sizes from the option of this name.
Windows windows_of(Writer& w, const Layer& layer, const Array& x, const Config& config,
                   const std::string& size);

}  // namespace keratin::c_export
