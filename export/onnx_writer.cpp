// The parts of an ONNX file: inputs, constants and outputs.

#include <bit>

#include <keratin/autograd/ops.h>
#include <keratin/core/internal/message.h>
#include <keratin/export/internal/onnx_writer.h>

namespace keratin::onnx {

Type type_of(DType dtype) {
  switch (dtype) {
    case boolean:
      return Type::boolean;
    case int32:
      return Type::int32;
    case float32:
      return Type::float32;
    case float64:
      return Type::float64;
  }
  fail("onnx: unknown dtype");
}

Writer::Writer() {
  file.set_ir_version(ir_version);
  file.set_producer_name("keratin");
  file.add_opset_import()->set_version(opset);
  file.mutable_opset_import(0)->set_domain("");
  graph = file.mutable_graph();
}

std::string Writer::fresh(const std::string& name) {
  std::string free = name;
  for (int i = 1; !names_.insert(free).second; ++i) free = fmt::format("{}_{}", name, i);
  return free;
}

namespace {

// A size that is not known has a name of its own, but for that of the batch.
void describe(proto::onnx::ValueInfoProto& info, const std::string& name, const Shape& shape,
              Type type, const std::string& batch_axis) {
  info.set_name(name);
  auto* tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int>(type));
  tensor->mutable_shape();
  for (int axis = 0; axis < shape.rank(); ++axis) {
    auto* dim = tensor->mutable_shape()->add_dim();
    if (shape[axis] != None)
      dim->set_dim_value(shape[axis]);
    else
      dim->set_dim_param(axis == 0 ? batch_axis : fmt::format("{}_axis_{}", name, axis));
  }
}

// The numbers as they lie in a file: row-major, the lowest byte first.
std::string bytes_of(const Tensor& tensor) {
  static_assert(std::endian::native == std::endian::little);
  const Tensor t = tensor.to(Device()).copy();
  auto bytes = [&]<class T>(const T* data) {
    return std::string(reinterpret_cast<const char*>(data),
                       static_cast<std::size_t>(t.numel()) * sizeof(T));
  };
  switch (t.dtype()) {
    case boolean:
      return bytes(t.data<bool>());
    case int32:
      return bytes(t.data<std::int32_t>());
    case float32:
      return bytes(t.data<float>());
    case float64:
      return bytes(t.data<double>());
  }
  fail("onnx: unknown dtype");
}

template <class T>
std::string bytes_of(const std::vector<T>& numbers) {
  return std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T));
}

}  // namespace

Value Writer::input(const std::string& name, const Shape& shape, Type type) {
  const std::string free = fresh(name);
  describe(*graph->add_input(), free, shape, type, batch_axis);
  return {*this, free, shape, type};
}

void Writer::output(const std::string& name, const Value& value) {
  const std::string free = fresh(name);
  auto* node = graph->add_node();
  node->set_op_type("Identity");
  node->set_name(free);
  node->add_input(value.name);
  node->add_output(free);
  describe(*graph->add_output(), free, value.shape, value.type, batch_axis);
}

// Constants stand in the outermost graph, where the bodies of loops see them.
Value Writer::add(const std::string& name, const Shape& shape, Type type, std::string bytes) {
  auto* tensor = file.mutable_graph()->add_initializer();
  const std::string free = fresh(name);
  tensor->set_name(free);
  for (std::int64_t size : shape) tensor->add_dims(size);
  tensor->set_data_type(static_cast<int>(type));
  tensor->set_raw_data(std::move(bytes));
  return {*this, free, shape, type};
}

Value Writer::constant(const void* owner, const std::string& name,
                       const std::function<Tensor()>& make) {
  Value& known = constants_[{owner, name}];
  if (!known.defined()) {
    const Tensor tensor = make();
    known = add(scope + "/" + name, tensor.shape(), type_of(tensor.dtype()), bytes_of(tensor));
  }
  return known;
}

Value Writer::constant(const Tensor& tensor) {
  return add(scope + "/constant", tensor.shape(), type_of(tensor.dtype()), bytes_of(tensor));
}

Value Writer::number(double value, Type type) {
  Value& known = constants_[{nullptr, fmt::format("{} {}", value, static_cast<int>(type))}];
  if (known.defined()) return known;
  std::string bytes;
  switch (type) {
    case Type::float32:
      bytes = bytes_of(std::vector{static_cast<float>(value)});
      break;
    case Type::float64:
      bytes = bytes_of(std::vector{value});
      break;
    case Type::int32:
      bytes = bytes_of(std::vector{static_cast<std::int32_t>(value)});
      break;
    case Type::int64:
      bytes = bytes_of(std::vector{static_cast<std::int64_t>(value)});
      break;
    case Type::boolean:
      bytes = std::string(1, value != 0 ? '\1' : '\0');
      break;
  }
  return known = add(fmt::format("{}", value), {}, type, bytes);
}

Value Writer::integers(const std::vector<std::int64_t>& v) {
  const std::string text = fmt::format("[{}]", fmt::join(v, ","));
  Value& known = constants_[{nullptr, text}];
  if (known.defined()) return known;
  return known = add(text, {static_cast<std::int64_t>(v.size())}, Type::int64, bytes_of(v));
}

}  // namespace keratin::onnx
