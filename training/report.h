// A report on a training run: one HTML page that needs nothing but a browser, can be printed, and
// is readable without colours. Drawings are SVG inside the page; the picture of attention can be
// had alone.
//
//   auto seen = model.capture(x_test);
//   Tensor a = seen["attention_layer/attention"];
//   write_report("report.html", {.title = "Japanese vowels",
//                                .history = history,
//                                .confusion = counts,
//                                .attention = {{.title = "speaker 1",
//                                               .features = x_test[0], .weights = a[0]}}});
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <keratin/core/tensor.h>
#include <keratin/training/callback.h>

namespace keratin {

/// One sequence and how much each of its steps counted.
struct AttentionExample {
  std::string title = {};
  Tensor features;                              ///< (time, features)
  Tensor weights;                               ///< (time), or (time, 1)
  std::int64_t length = 0;                      ///< steps that are not padding; 0: all
  std::vector<std::string> feature_names = {};  ///< numbers from 0 when empty
  std::string time_axis = "time step";          ///< with its unit: "time (ms)"
  std::string feature_axis = "feature";
  std::string value_axis = "value";
};

/// Whatever is empty is left out of the page.
struct Report {
  std::string title = "Training report";
  History history = {};
  Tensor confusion = {};                  ///< counts, (true class, predicted class)
  std::vector<std::string> classes = {};  ///< numbers from 0 when empty
  std::vector<AttentionExample> attention = {};
  std::vector<std::string> notes = {};  ///< a paragraph each
};

/// The page. The best epoch is the one with the lowest val_loss, or else loss. Throws
/// std::invalid_argument when shapes or the number of names do not fit.
std::string report_html(const Report& report);

/// Writes report_html to a file. Throws std::runtime_error as write_file does.
void write_report(const std::string& path, const Report& report);

/// The weights as bars above a heat map of the features, on one time axis: a complete SVG document.
/// Of long sequences neighbouring steps are averaged. What is not finite is left white.
std::string attention_svg(const AttentionExample& example);

}  // namespace keratin
