// Lookups: an index for each whole number or string of a vocabulary, which is given or learnt from
// data (keras/src/layers/preprocessing/index_lookup.py, integer_lookup.py, string_lookup.py).
//
//   StringLookup lookup;
//   lookup.adapt({"red", "green", "red"});
//   Tensor ids = lookup({"green", "blue"});   // 2, and 0 for a word that is not known
//
// The vocabulary is in the memory of the processor, and so is the work of looking up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <keratin/autograd/ops.h>
#include <keratin/layers/layer.h>
#include <keratin/layers/strings.h>

namespace keratin {

/// Options of a lookup of tokens of type T. Indices begin with that of the mask token, where there
/// is one and the output mode is "int"; then come those for unknown tokens, then the vocabulary.
template <class T>
struct LookupOptions {
  /// The largest size of the vocabulary, mask token and unknown tokens included.
  std::optional<int> max_tokens = {};
  /// How many indices unknown tokens share. With 0 an unknown token is an error. With several,
  /// oov_method says which one it has.
  int num_oov_indices = 1;
  std::optional<T> mask_token = {};  ///< has index 0; in other output modes it leaves no trace
  std::optional<T> oov_token = [] {
    if constexpr (std::is_same_v<T, std::string>)
      return std::string("[UNK]");
    else
      return T{-1};
  }();                                   ///< what an index of an unknown token is turned back into
  std::vector<T> vocabulary = {};        ///< with or without the tokens above in front; none: adapt
  std::vector<double> idf_weights = {};  ///< of the vocabulary, for the output mode tf_idf
  bool invert = false;                   ///< from indices to tokens
  std::string output_mode = "int";       ///< or one_hot, multi_hot, count, tf_idf
  bool pad_to_max_tokens = false;        ///< codes are max_tokens wide, whatever the vocabulary
  std::string oov_method = "floormod";   ///< of numbers: token mod num_oov_indices; or farmhash
  PerAxis salt = {};  ///< unknown tokens are hashed by SipHash with this key; see Hashing
  std::string name = {};
  Shape input_shape = {};
};
using IntegerLookupOptions = LookupOptions<std::int64_t>;
using StringLookupOptions = LookupOptions<std::string>;

/// What lookups of numbers and of strings share.
template <class T>
class IndexLookup : public Layer {
 public:
  std::vector<Field> fields() override;
  void configured() override;
  Shape compute_output_shape(const Shape& input_shape) override;
  bool supports_graph() const override { return false; }  // the processor looks up

  /// Puts these tokens in the place of the vocabulary; in the output mode tf_idf with their
  /// weights. Throws std::invalid_argument where a token is there twice, or there are too many.
  void set_vocabulary(const std::vector<T>& vocabulary,
                      const std::vector<double>& idf_weights = {});
  /// In the order of their indices.
  std::vector<T> get_vocabulary(bool include_special_tokens = true) const;
  /// Mask token and unknown tokens included.
  std::int64_t vocabulary_size() const;
  /// In the mode tf_idf, the weight of each index.
  std::vector<double> idf_weights() const;

 protected:
  struct Table;
  IndexLookup(const char* class_name, const LookupOptions<T>& options);

  /// Learns the tokens of documents, the most frequent ones first. In the mode tf_idf a token has
  /// the weight log(1 + documents / (1 + documents with the token)).
  void learn(const std::vector<std::vector<T>>& documents);
  /// The codes of tokens in this shape; one beyond the vocabulary for what leaves no trace.
  Tensor look_up(const std::vector<T>& tokens, const Shape& shape, Device device) const;
  std::vector<std::int32_t> indices_of(const std::vector<T>& tokens) const;
  Tensor encoded(const std::vector<std::int32_t>& indices, const Shape& shape, Device device) const;
  std::vector<T> tokens_of(const std::vector<std::int64_t>& indices) const;
  std::int64_t depth() const;
  /// Rows of tokens: of each number or string one, of rows the tokens of each.
  static std::vector<std::vector<T>> documents_in(const std::vector<T>& tokens, const Shape& shape);

  LookupOptions<T> options_;

 private:
  const Table& table() const;
  std::int32_t index_of_unknown(const T& token) const;
  int oov_start() const { return options_.mask_token && options_.output_mode == "int" ? 1 : 0; }
  int token_start() const { return oov_start() + options_.num_oov_indices; }
  void keep(std::vector<T> tokens, std::vector<double> idf_weights);

  std::optional<std::int64_t> stated_size_ = {};  // of a config without the vocabulary
};

/// Whole numbers to their index in a vocabulary, or to codes made of it.
class IntegerLookup : public IndexLookup<std::int64_t> {
 public:
  explicit IntegerLookup(const IntegerLookupOptions& options = {});
  Tensor call(const Tensor& inputs) override;
  /// Learns the vocabulary. Each row of the data is a document; in a tensor of rank 1 each number.
  void adapt(const Tensor& data);
};

/// Strings to their index in a vocabulary, or to codes made of it. It is called before a model.
class StringLookup : public IndexLookup<std::string> {
 public:
  explicit StringLookup(const StringLookupOptions& options = {});
  std::vector<Field> fields() override;
  Tensor call(const Tensor& inputs) override;  ///< throws: a tensor holds no strings
  Tensor operator()(const Strings& inputs) const;
  /// The tokens of indices, with `invert`; in the order of the indices, row-major.
  std::vector<std::string> to_strings(const Tensor& indices) const;
  /// Learns the vocabulary. Each row of the data is a document; of one row each string.
  void adapt(const Strings& data);

 private:
  friend class TextVectorization;
};

}  // namespace keratin
