#include <algorithm>

#include <keratin/core/create.h>
#include <keratin/layers/internal/categories.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/text_vectorization.h>

namespace keratin {
namespace {

using Words = std::vector<std::string>;

// --- the steps, on bytes: the locale has no say

constexpr std::string_view punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
constexpr std::string_view whitespace = " \t\n\v\f\r";

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string without_punctuation(std::string text) {
  std::erase_if(text, [](char c) { return punctuation.find(c) != punctuation.npos; });
  return text;
}

Words split_at_whitespace(const std::string& text) {
  Words words;
  for (std::size_t end = 0;;) {
    const std::size_t begin = text.find_first_not_of(whitespace, end);
    if (begin == text.npos) return words;
    end = std::min(text.find_first_of(whitespace, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
  }
}

/// How many bytes from `at` on are a character of UTF-8, or the valid beginning of one.
struct Character {
  std::size_t bytes;
  bool valid;
};
Character character_at(const std::string& text, std::size_t at) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return {1, true};
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return {1, false};
  // The second byte excludes longer forms than needed, surrogates, and what is beyond U+10FFFF.
  unsigned char low = 0x80, high = 0xbf;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  for (std::size_t i = 1; i < bytes; ++i, low = 0x80, high = 0xbf)
    if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {i, false};
  return {bytes, true};
}

Words split_into_characters(const std::string& text) {
  Words characters;
  for (std::size_t at = 0; at < text.size();) {
    const Character next = character_at(text, at);
    characters.push_back(next.valid ? text.substr(at, next.bytes) : "\xef\xbf\xbd");
    at += next.bytes;
  }
  return characters;
}

/// The words themselves, or so many in a row, with spaces between; of each width all in turn.
Words in_ngrams(const Words& words, const Ngrams& ngrams) {
  std::vector<int> widths = ngrams.widths;
  for (int n = 1; n <= ngrams.most.value_or(0); ++n) widths.push_back(n);
  if (widths.empty()) return words;
  Words tokens;
  for (int width : widths)
    for (std::size_t i = 0; i + static_cast<std::size_t>(width) <= words.size(); ++i) {
      std::string token = words[i];
      for (std::size_t j = 1; j < static_cast<std::size_t>(width); ++j) token += " " + words[i + j];
      tokens.push_back(std::move(token));
    }
  return tokens;
}

// --- the options in a config

template <class Result>
Field step_field(const std::string& name, TextFunction<Result>& step) {
  auto read = [name, &step]() -> Option {
    if (step.name().empty()) fail("{}: a function of one's own has no name for a config", name);
    return step.name() == "none" ? Option() : Option(step.name());
  };
  auto write = [&step](const Option& value) {
    std::string text = "none";
    const bool fits = value.is_none() || from_option(value, text);
    if (fits) step = TextFunction<Result>(text);
    return fits;
  };
  return {name, read, write};
}

template <class Result>
void check_step(const char* name, const TextFunction<Result>& step, const Words& words) {
  const Check known = one_of(words);
  if (!step.name().empty() && !known.holds(step.name()))
    fail("TextVectorization: expected {} {}, or a function, got \"{}\"", name, known.rule,
         step.name());
}

Field ngrams_field(Ngrams& ngrams) {
  auto read = [&ngrams]() -> Option {
    return ngrams.most ? Option(*ngrams.most) : to_option(ngrams.widths);
  };
  auto write = [&ngrams](const Option& value) {
    ngrams = {};
    int most = 0;
    if (from_option(value, most)) return ngrams.most = most, true;
    return from_option(value, ngrams.widths);
  };
  return {"ngrams", read, write, {"of at least 1", [&ngrams](const Option&) {
                                    return ngrams.most.value_or(1) >= 1 &&
                                           std::ranges::all_of(ngrams.widths,
                                                               [](int n) { return n >= 1; });
                                  }}};
}

StringLookupOptions of_lookup(const TextVectorizationOptions& o) {
  StringLookupOptions lookup{.max_tokens = o.max_tokens,
                             .mask_token = "",
                             .vocabulary = o.vocabulary,
                             .idf_weights = o.idf_weights,
                             .output_mode = o.output_mode,
                             .pad_to_max_tokens = o.pad_to_max_tokens};
  return lookup;
}

}  // namespace

TextVectorization::TextVectorization(const TextVectorizationOptions& options) : options_(options) {
  configured();
  apply_common(*this, options);
}

std::vector<Field> TextVectorization::fields() {
  TextVectorizationOptions& o = options_;
  return {
      {"max_tokens", &o.max_tokens, at_least(2)},
      step_field("standardize", o.standardize),
      step_field("split", o.split),
      ngrams_field(o.ngrams),
      {"output_mode", &o.output_mode, one_of({"int", "one_hot", "multi_hot", "count", "tf_idf"})},
      {"output_sequence_length", &o.output_sequence_length, at_least(1)},
      {"pad_to_max_tokens", &o.pad_to_max_tokens},
      Field::fixed("sparse", false),
      Field::fixed("ragged", false),
      tokens_field("vocabulary", o.vocabulary),
      tokens_field("idf_weights", o.idf_weights),
      Field::fixed("encoding", "utf-8"),
      {"vocabulary_size", [this] { return Option(vocabulary_size()); },
       [](const Option&) { return true; }}};
}

void TextVectorization::configured() {
  const TextVectorizationOptions& o = options_;
  check_fields("TextVectorization", fields());
  check_step("standardize", o.standardize,
             {"lower_and_strip_punctuation", "lower", "strip_punctuation", "none"});
  check_step("split", o.split, {"whitespace", "character", "none"});
  if (o.output_mode != "int" && o.output_sequence_length)
    fail("TextVectorization: output_sequence_length is for the output mode \"int\", not for \"{}\"",
         o.output_mode);
  if (o.output_mode == "one_hot" && o.split.name() != "none")
    fail(
        "TextVectorization: the output mode \"one_hot\" needs split \"none\", so that all rows "
        "have one length");
  lookup_ = StringLookup(of_lookup(o));
}

Tensor TextVectorization::call(const Tensor&) {
  fail("it takes strings, which no tensor holds: call it on them before the model");
}

// Of one text, or of one row of tokens.
std::vector<std::string> TextVectorization::tokens_of(const Words& texts) const {
  const TextVectorizationOptions& o = options_;
  Words words;
  for (std::string text : texts) {
    const std::string& standard = o.standardize.name();
    if (standard.empty()) text = o.standardize.function()(text);
    if (standard.starts_with("lower")) text = lower(text);
    if (standard.ends_with("strip_punctuation")) text = without_punctuation(text);
    Words parts{text};
    if (o.split.name().empty()) parts = o.split.function()(text);
    if (o.split.name() == "whitespace") parts = split_at_whitespace(text);
    if (o.split.name() == "character") parts = split_into_characters(text);
    words.insert(words.end(), parts.begin(), parts.end());
  }
  return in_ngrams(words, o.ngrams);
}

std::vector<Words> TextVectorization::rows_of(const Strings& texts) const {
  const Shape& shape = texts.shape();
  const bool splits = options_.split.name() != "none";
  if (shape.rank() > 2 || (shape.rank() == 2 && splits && shape[1] != 1))
    fail("expected one text, (n) texts or (n, 1) of them{}, got {}",
         splits ? "" : ", or with split \"none\" rows of tokens (n, m)", shape);
  const auto length = static_cast<std::ptrdiff_t>(shape.rank() == 2 ? shape[1] : 1);
  std::vector<Words> rows(static_cast<std::size_t>(shape.rank() == 0 ? 1 : shape[0]));
  auto at = texts.values().begin();
  for (Words& row : rows) {
    row = tokens_of({at, at + length});
    at += length;
  }
  return rows;
}

Tensor TextVectorization::operator()(const Strings& texts) const {
  return named(*this, [&] {
    const bool as_indices = options_.output_mode == "int";
    std::vector<std::vector<std::int32_t>> rows;
    std::size_t length = as_indices ? 0 : 1;
    for (const Words& words : rows_of(texts)) {
      rows.push_back(lookup_.indices_of(words));
      length = std::max(length, rows.back().size());
    }
    if (options_.output_sequence_length)
      length = static_cast<std::size_t>(*options_.output_sequence_length);
    std::vector<std::int32_t> all;  // behind a text stands what means nothing
    const auto nothing = as_indices ? 0 : static_cast<std::int32_t>(lookup_.depth());
    for (std::vector<std::int32_t>& row : rows) {
      row.resize(length, nothing);
      all.insert(all.end(), row.begin(), row.end());
    }
    const Shape one{static_cast<std::int64_t>(length)};
    const Shape shape =
        texts.shape().rank() == 0 ? one : one.inserted(0, static_cast<std::int64_t>(rows.size()));
    const Tensor y = lookup_.encoded(all, shape, default_device());
    return as_indices ? y : y.astype(dtype());
  });
}

void TextVectorization::adapt(const Strings& texts) {
  named(*this, [&] { lookup_.learn(rows_of(texts)); });
}

void TextVectorization::set_vocabulary(const Words& vocabulary,
                                       const std::vector<double>& idf_weights) {
  named(*this, [&] { lookup_.set_vocabulary(vocabulary, idf_weights); });
}

Words TextVectorization::get_vocabulary(bool include_special_tokens) const {
  return lookup_.get_vocabulary(include_special_tokens);
}

std::int64_t TextVectorization::vocabulary_size() const { return lookup_.vocabulary_size(); }

}  // namespace keratin
