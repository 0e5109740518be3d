// What holds an ONNX file while it is being made.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include <onnx.pb.h>

#include <keratin/export/internal/onnx_value.h>
#include <keratin/layers/layer.h>

namespace keratin::onnx {

inline constexpr int opset = 18, ir_version = 8;

class Writer {
 public:
  Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Value input(const std::string& name, const Shape& shape, Type type);
  void output(const std::string& name, const Value& value);
  /// A constant, made once for each owner and name; readers see it as "<scope>/<name>".
  Value constant(const void* owner, const std::string& name, const std::function<Tensor()>& make);
  Value constant(const Tensor& tensor);
  Value number(double value, Type type);               ///< of rank 0
  Value integers(const std::vector<std::int64_t>& v);  ///< int64 of rank 1
  /// A name that nothing else has.
  std::string fresh(const std::string& name);

  std::string scope = {};            ///< the path of the layer that is being written
  std::string batch_axis = "batch";  ///< the name of axis 0 of the inputs
  proto::onnx::ModelProto file = {};
  proto::onnx::GraphProto* graph = nullptr;  ///< where nodes go: the file's, or the body of a loop
  std::vector<AnyLayer> kept = {};           ///< made here: constants are known by their owners

 private:
  Value add(const std::string& name, const Shape& shape, Type type, std::string bytes);
  std::set<std::string> names_ = {};
  std::map<std::pair<const void*, std::string>, Value> constants_ = {};
};

}  // namespace keratin::onnx
