// How an op puts itself on the tape. An op computes its result y, then returns
//
//   record("multiply", y, wrt(a, [b = save(b)](const Tensor& g) { return g * *b; }),
//                         wrt(b, [a = save(a)](const Tensor& g) { return g * *a; }));
//
// one function for each input, from the gradient of y to that of the input, written with ops. Each
// is called only when somebody needs it; a gradient of broadcast shape is summed to that of the
// input.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include <keratin/autograd/tape.h>
#include <keratin/core/internal/pool.h>
#include <keratin/core/internal/tensor_data.h>

namespace keratin {

class Backward;

/// A function object in a block of the pool: moved, never copied.
class Closure {
 public:
  Closure() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Closure>) explicit Closure(F&& f)
      : type_(&type_of<std::remove_cvref_t<F>>) {
    object_ = new (pool_allocate(type_->bytes)) std::remove_cvref_t<F>(std::forward<F>(f));
  }
  Closure(Closure&& other) noexcept { swap(other); }
  Closure& operator=(Closure&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Closure() { reset(); }

  void reset() noexcept {
    if (object_ == nullptr) return;
    type_->destroy(object_);
    pool_free(std::exchange(object_, nullptr), type_->bytes);
  }
  explicit operator bool() const { return object_ != nullptr; }
  void operator()(Backward& backward) const { type_->call(object_, backward); }

 private:
  struct Type {
    void (*call)(void*, Backward&);
    void (*destroy)(void*);
    std::size_t bytes;
  };
  template <class F>
  static constexpr Type type_of{[](void* f, Backward& b) { (*static_cast<F*>(f))(b); },
                                [](void* f) { static_cast<F*>(f)->~F(); }, sizeof(F)};
  void swap(Closure& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(type_, other.type_);
  }

  void* object_ = nullptr;
  const Type* type_ = nullptr;
};

/// A value that a tape follows; its number is its place in Record::variables. Number 0 is nobody.
using VariableId = std::uint32_t;

struct Variable {
  Shape shape;
  DType dtype;
};

struct Node {
  const char* op;
  const char* scope;     // the layer it ran in, or null
  std::uint32_t inputs;  // where its inputs begin in Record::inputs
  std::uint32_t input_count;
  VariableId output;  // its first output; the others follow
  std::uint32_t output_count;
  Closure vjp;
};

/// What one thread's tapes have recorded. Nested tapes share it: each begins where the list ended.
struct Record {
  std::uint64_t epoch = 0;  // tags of tensors recorded in an earlier life do not match
  std::vector<Node> nodes;
  std::vector<VariableId> inputs;
  std::vector<Variable> variables;
  std::unordered_map<const TensorData*, VariableId> watched;
  std::vector<Tensor> watched_tensors;  // keeps their addresses taken
  int tapes = 0;                        // alive
  int active = 0;                       // alive and not computing their own gradient
  int silenced = 0;                     // NoGradient scopes
  Record* outer = nullptr;              // the record of the tapes outside such a scope

  VariableId variable_of(const Tensor& tensor);
  VariableId watch(const Tensor& tensor);
  /// Adds a node whose inputs are those in `inputs` from `first_input` on.
  void append(const char* op, std::size_t first_input, std::span<const Tensor> outputs,
              Closure vjp);
};

/// A tape that one thread after the other goes on with. It is this thread's while it is made, then
/// from each join to the next leave; tapes that the thread has besides record nothing meanwhile.
class WanderingTape {
 public:
  WanderingTape();
  ~WanderingTape();
  WanderingTape(const WanderingTape&) = delete;
  WanderingTape& operator=(const WanderingTape&) = delete;
  void leave();
  void join();
  /// gradient(y, x, output_gradient), to be written into memory that nobody else reads meanwhile.
  /// The last one spends the tape.
  GradientSums gradient_sums(const Tensor& y, const std::vector<Tensor>& x,
                             const Tensor& output_gradient, bool last,
                             const std::vector<Tensor>& places);
  /// The number of tensors it watches, unasked or not.
  std::size_t watched() const;
  GradientTape* operator->() { return &*tape_; }

 private:
  std::optional<GradientTape> tape_;
};

/// The record that ops append to; null when no tape of this thread is recording.
extern thread_local Record* recording;

/// The name of the layer whose ops run now, for printing; null outside.
extern thread_local const char* current_scope;

/// Sees every op as it is recorded; for finding where numbers go wrong.
class OpWatcher {
 public:
  virtual ~OpWatcher() = default;
  virtual void saw(const char* op, const char* scope, std::span<const Tensor> outputs) = 0;
};
extern thread_local OpWatcher* op_watcher;

/// A tensor kept for the backward pass, with a guard against its being overwritten meanwhile.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor) : tensor_(tensor), version_(version_of(tensor)) {}
  const Tensor& operator*() const {
    if (version_of(tensor_) != version_) overwritten();
    return tensor_;
  }
  const Tensor* operator->() const { return &**this; }
  bool defined() const { return tensor_.defined(); }

 private:
  [[noreturn]] void overwritten() const;
  Tensor tensor_;
  std::uint32_t version_ = 0;
};
inline Saved save(const Tensor& tensor) { return Saved(tensor); }

/// The gradient of one variable while it is being summed up. A product that belongs to the sum is
/// kept as its two factors until somebody reads the sum: a weight used at every time step collects
/// one for each step, and where these lie side by side in memory they are one product over all
/// steps, (a1 a2 ...) (b1 b2 ...)^T = a1 b1^T + a2 b2^T + ..., several times as fast.
class GradientSum {
 public:
  bool defined() const { return sum_.defined() || waiting_.depth > 0; }
  /// The sum; undefined when nothing was added.
  const Tensor& value();
  /// The multiplications that wait.
  std::int64_t waiting() const {
    return waiting_.depth > 0 ? waiting_.a.size(0) * waiting_.depth * waiting_.b.size(1) : 0;
  }
  /// Where to sum up products, if there is nothing yet; nobody else may read it meanwhile.
  void set_place(const Tensor& place) { place_ = place; }
  /// Copies the sum there, unless that is where it is; zeros when nothing was added.
  void write_into(const Tensor& place);
  /// Whether nobody but the sum holds its memory, so that it may be added to in place.
  bool exclusive() const;

  void add(const Tensor& gradient);
  /// The same of a gradient in memory that nobody else will read.
  void give(const Tensor& gradient);
  void add_product(const Tensor& a, const Tensor& b);
  /// Adds what multiply(sum, accumulate) computes: a tensor (rows, columns).
  template <class Multiply>
  void add_in_place(std::int64_t rows, std::int64_t columns, DType dtype,
                    const Multiply& multiply) {
    bool first = make_room(rows, columns, dtype);
    multiply(sum_, !first);
  }

 private:
  /// The matrix product of a and b, or of several: `depth` columns of a, and as many rows of b,
  /// from where these begin in memory. None of them when it has been computed.
  struct Product {
    Tensor a, b;
    std::int64_t depth = 0;
    /// Takes in one that lies before or behind this in memory; false if it does not.
    bool joins(const Product& next);
  };

  void settle();
  bool make_room(std::int64_t rows, std::int64_t columns, DType dtype);
  Tensor sum_, place_;
  Product waiting_;
  bool given_ = false;
};

/// The gradients that were asked for. Products may still wait in them, for any thread to compute.
struct GradientSums {
  std::vector<GradientSum> sums;
  std::vector<std::size_t> places;  // of each among the sums: who is asked for twice has one
  GradientSum& operator[](std::size_t i) { return sums[places[i]]; }
};

/// What a node's closure sees of the backward pass: the gradients of its outputs come in, those of
/// its inputs go out.
class Backward {
 public:
  /// Undefined when nothing depends on that output.
  const Tensor& output_gradient(std::uint32_t output) const;
  /// Zeros instead.
  Tensor output_gradient_or_zeros(std::uint32_t output) const;
  /// Whether nobody will read the gradient of that output after this node, whose closure may then
  /// hand on its memory in parts.
  bool owns_output_gradient(std::uint32_t output) const;
  /// Whether the tape is spent on this backward pass, so that what the closure saved may be
  /// overwritten.
  bool is_last() const { return last_; }
  bool wants(std::uint32_t input) const;
  void add(std::uint32_t input, const Tensor& gradient);
  /// Adds a gradient whose memory nobody else will read.
  void give(std::uint32_t input, const Tensor& gradient);
  /// Adds the product of two matrices.
  void add_product(std::uint32_t input, const Tensor& a, const Tensor& b);
  /// Adds what multiply(sum, accumulate) computes: a tensor (rows, columns).
  template <class Multiply>
  void add_in_place(std::uint32_t i, std::int64_t rows, std::int64_t columns, DType dtype,
                    const Multiply& multiply) {
    if (wants(i)) sum_of(input(i)).add_in_place(rows, columns, dtype, multiply);
  }

 private:
  friend class GradientTape;
  GradientSum& sum_of(VariableId id) const { return (*gradients_)[id - first_]; }
  VariableId input(std::uint32_t i) const { return record_->inputs[node_->inputs + i]; }

  Record* record_;
  const Node* node_;
  std::vector<GradientSum>* gradients_;  // by variable, from `first_` on
  const std::vector<char>* needed_;
  const std::vector<char>* asked_;
  VariableId first_;
  bool last_;
};

template <class F>
struct Wrt {
  const Tensor& input;
  F gradient;
};
template <class F>
Wrt<F> wrt(const Tensor& input, F gradient) {
  return {input, std::move(gradient)};
}

/// Whether the tape follows any of these.
inline bool follows(std::span<const Tensor> tensors) {
  if (recording == nullptr) return false;
  for (const Tensor& tensor : tensors)
    if (tensor.defined() && recording->variable_of(tensor) != 0) return true;
  return false;
}

/// Puts an op with any number of inputs and outputs on the tape; `vjp` is called with a Backward.
template <class F>
void record_node(const char* op, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                 F vjp) {
  std::size_t first = recording->inputs.size();
  for (const Tensor& input : inputs)
    recording->inputs.push_back(input.defined() ? recording->variable_of(input) : 0);
  recording->append(op, first, outputs, Closure(std::move(vjp)));
}

template <class... F>
Tensor record(const char* op, const Tensor& y, Wrt<F>... inputs) {
  if (recording == nullptr) return y;
  VariableId ids[] = {recording->variable_of(inputs.input)...};
  if (std::all_of(std::begin(ids), std::end(ids), [](VariableId id) { return id == 0; })) return y;
  std::size_t first = recording->inputs.size();
  recording->inputs.insert(recording->inputs.end(), std::begin(ids), std::end(ids));
  recording->append(op, first, {&y, 1},
                    Closure([... gradient = std::move(inputs.gradient)](Backward& backward) {
                      const Tensor& g = backward.output_gradient(0);
                      std::uint32_t i = 0;
                      ((backward.wants(i) ? backward.add(i, gradient(g)) : void(), ++i), ...);
                    }));
  return y;
}

}  // namespace keratin
