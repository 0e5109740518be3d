// What a tape holds: a flat list of nodes, and the numbers of the tensors they connect.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include <keratin/autograd/internal/closure.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {

/// A tensor that a tape follows has a number, its index in Record::variables. Number 0 stands for
/// every tensor that no tape follows.
using VariableId = std::uint32_t;

struct Variable {
  Shape shape;
  DType dtype;
  Device device;
};

/// One op: its inputs, its outputs, and the function that computes the inputs' gradients.
struct Node {
  const char* op;
  const char* layer;     // the layer that the op ran in, or null
  std::uint32_t inputs;  // the index of the first input in Record::inputs
  std::uint32_t input_count;
  VariableId output;  // the first output; the others follow it
  std::uint32_t output_count;
  Closure vjp;
};

/// Sees every op as it is recorded: for finding the op where numbers go wrong.
class OpWatcher {
 public:
  virtual ~OpWatcher() = default;
  virtual void saw(const char* op, const char* layer, std::span<const Tensor> outputs) = 0;
};

/// What the tapes of one thread have recorded. Nested tapes share it: each begins where the list
/// ended when the tape was made.
struct Record {
  std::uint64_t epoch = 0;  // marks the tensors of this record; numbers of an older one are void
  std::vector<Node> nodes;
  std::vector<VariableId> inputs;
  std::vector<Variable> variables;
  std::unordered_map<const TensorData*, VariableId> watched;
  std::vector<Tensor> watched_tensors;  // keeps them alive: no new tensor gets a watched address
  int tapes = 0;                        // alive
  int active = 0;                       // alive and not computing a gradient of their own
  int silenced = 0;                     // NoGradient scopes
  Record* outer = nullptr;              // the record of the tapes outside such a scope
  const char* layer = nullptr;          // the layer whose ops run now, for printing
  OpWatcher* watcher = nullptr;

  VariableId variable_of(const Tensor& tensor);
  VariableId watch(const Tensor& tensor);
  /// Adds a node whose inputs are those in `inputs` from `first_input` on.
  void append(const char* op, std::size_t first_input, std::span<const Tensor> outputs,
              Closure vjp);
};

/// The record that this thread's ops append to; null when no tape is recording.
extern constinit thread_local Record* recording;

}  // namespace keratin
