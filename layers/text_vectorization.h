// From texts to numbers: TextVectorization (keras/src/layers/preprocessing/text_vectorization.py).
//
//   TextVectorization vectorize({.output_sequence_length = 20});
//   vectorize.adapt(texts);
//   model.fit(vectorize(texts), labels);
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <keratin/layers/lookup.h>

namespace keratin {

/// A step on the way from a text to tokens: its name in Keras, "none" for none, or a function.
template <class Result>
class TextFunction {
 public:
  using Function = std::function<Result(const std::string&)>;
  TextFunction(const char* name) : name_(name) {}
  TextFunction(std::string name) : name_(std::move(name)) {}
  template <class F>
  requires std::is_invocable_r_v<Result, F, const std::string&> TextFunction(F function)
      : function_(std::move(function)) {}

  const std::string& name() const { return name_; }  ///< empty: a function
  const Function& function() const { return function_; }

 private:
  std::string name_;
  Function function_;
};

/// How many words in a row make a token: none, up to n of them, or each of several numbers.
struct Ngrams {
  std::optional<int> most = {};
  std::vector<int> widths = {};
  Ngrams() = default;
  Ngrams(int n) : most(n) {}
  Ngrams(std::initializer_list<int> each) : widths(each) {}
};

struct TextVectorizationOptions {
  std::optional<int> max_tokens = {};  ///< of the vocabulary, with those for padding and unknown
  /// What becomes of a text first: "lower_and_strip_punctuation", "lower", "strip_punctuation",
  /// "none", or a function. Punctuation and letters are those of ASCII.
  TextFunction<std::string> standardize = "lower_and_strip_punctuation";
  /// What it is cut into: "whitespace" (of ASCII), "character" (of UTF-8), "none", or a function.
  TextFunction<std::vector<std::string>> split = "whitespace";
  Ngrams ngrams = {};  ///< rows of words that become tokens: 2 or {1, 2} for single words and pairs
  std::string output_mode = "int";  ///< or multi_hot, count, tf_idf; see StringLookup
  std::optional<int> output_sequence_length = {};  ///< with "int": longer texts are cut off
  bool pad_to_max_tokens = false;                  ///< codes are max_tokens wide
  std::vector<std::string> vocabulary = {};        ///< without "" and "[UNK]"; none: adapt
  std::vector<double> idf_weights = {};            ///< of the vocabulary, for tf_idf
  std::string name = {};
};

/// Texts to rows of indices (texts, tokens): 0 where a text has ended, 1 for a token that is not
/// known, 2 and more for the vocabulary. Or, in other output modes, to one row of codes each.
/// Invalid UTF-8 becomes U+FFFD where a text is cut into characters.
class TextVectorization : public Layer {
 public:
  explicit TextVectorization(const TextVectorizationOptions& options = {});
  std::vector<Field> fields() override;
  void configured() override;
  Tensor call(const Tensor& inputs) override;  ///< throws: a tensor holds no strings
  bool supports_graph() const override { return false; }

  /// Of one text, (n) texts or (n, 1) of them. Where they are not split, rows of tokens (n, m).
  Tensor operator()(const Strings& texts) const;
  /// Learns the vocabulary, the most frequent tokens first.
  void adapt(const Strings& texts);
  void set_vocabulary(const std::vector<std::string>& vocabulary,
                      const std::vector<double>& idf_weights = {});
  std::vector<std::string> get_vocabulary(bool include_special_tokens = true) const;
  std::int64_t vocabulary_size() const;

 private:
  std::vector<std::string> tokens_of(const std::vector<std::string>& texts) const;
  std::vector<std::vector<std::string>> rows_of(const Strings& texts) const;

  TextVectorizationOptions options_;
  StringLookup lookup_;
};

}  // namespace keratin
