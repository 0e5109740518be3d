#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include <keratin/core/create.h>
#include <keratin/layers/internal/categories.h>
#include <keratin/layers/internal/hashes.h>
#include <keratin/layers/internal/named.h>
#include <keratin/layers/internal/options.h>
#include <keratin/layers/lookup.h>

namespace keratin {

/// What a lookup knows: the tokens without mask token and unknown ones, the place of each, and the
/// weight of each index in the mode tf_idf.
template <class T>
struct IndexLookup<T>::Table {
  std::vector<T> tokens = {};
  std::unordered_map<T, std::int32_t> places = {};
  std::vector<double> idf_weights = {};
};

template <class T>
IndexLookup<T>::IndexLookup(const char* class_name, const LookupOptions<T>& options)
    : options_(options) {
  apply_common(*this, options);
  check_fields(class_name, IndexLookup<T>::fields());
  try {
    IndexLookup<T>::configured();
  } catch (const std::invalid_argument& error) {
    fail("{}: {}", class_name, error.what());
  }
}

template <class T>
std::vector<Field> IndexLookup<T>::fields() {
  LookupOptions<T>& o = options_;
  auto size = [this]() -> Option {
    if (learnt().has_value()) return vocabulary_size();
    return stated_size_ ? Option(*stated_size_) : Option();
  };
  auto set_size = [this](const Option& value) { return from_option(value, stated_size_); };
  std::vector<Field> fields{
      {"invert", &o.invert},
      {"max_tokens", &o.max_tokens, at_least(2)},
      {"num_oov_indices", &o.num_oov_indices, at_least(0)},
      {"oov_token", &o.oov_token},
      {"mask_token", &o.mask_token},
      {"output_mode", &o.output_mode, one_of({"int", "one_hot", "multi_hot", "count", "tf_idf"})},
      Field::fixed("sparse", false),
      {"pad_to_max_tokens", &o.pad_to_max_tokens},
      Field::fixed("vocabulary_dtype", "int64"),
      tokens_field("idf_weights", o.idf_weights),
      tokens_field("vocabulary", o.vocabulary),
      {"vocabulary_size", size, set_size},
      {"oov_method", &o.oov_method, one_of({"floormod", "farmhash"})},
      salt_field(o.salt)};
  if constexpr (std::is_same_v<T, std::string>)
    std::erase_if(fields, [](const Field& field) { return field.name == "vocabulary_dtype"; });
  return fields;
}

template <class T>
void IndexLookup<T>::configured() {
  const LookupOptions<T>& o = options_;
  if (o.pad_to_max_tokens && !o.max_tokens) fail("pad_to_max_tokens needs max_tokens");
  if (o.invert && o.output_mode != "int")
    fail("invert needs the output mode \"int\", got \"{}\"", o.output_mode);
  if (std::is_same_v<T, std::int64_t> && !o.salt.empty() && o.oov_method != "farmhash")
    fail("a salt needs the oov_method \"farmhash\", got \"{}\"", o.oov_method);
  if (!o.vocabulary.empty())
    set_vocabulary(o.vocabulary, o.idf_weights);
  else if (!o.idf_weights.empty())
    fail("idf_weights are given without a vocabulary");
}

// --- the vocabulary

template <class T>
const typename IndexLookup<T>::Table& IndexLookup<T>::table() const {
  static const Table nothing;
  auto* known = std::any_cast<Table>(&learnt());
  return known == nullptr ? nothing : *known;
}

template <class T>
void IndexLookup<T>::keep(std::vector<T> tokens, std::vector<double> idf_weights) {
  Table table{std::move(tokens), {}, std::move(idf_weights)};
  for (const T& token : table.tokens)
    if (!table.places.emplace(token, static_cast<std::int32_t>(table.places.size())).second)
      fail("the token {} is in the vocabulary twice", text_of(token));
  learnt() = std::move(table);
}

template <class T>
void IndexLookup<T>::set_vocabulary(const std::vector<T>& vocabulary,
                                    const std::vector<double>& idf_weights) {
  const LookupOptions<T>& o = options_;
  if (vocabulary.empty()) fail("expected a vocabulary of at least one token");
  if ((o.output_mode == "tf_idf") != !idf_weights.empty())
    fail("a vocabulary has idf_weights in the output mode \"tf_idf\", and in no other");
  if (!idf_weights.empty() && idf_weights.size() != vocabulary.size())
    fail("expected {} idf_weights, one for each token, got {}", vocabulary.size(),
         idf_weights.size());
  std::vector<std::optional<T>> special(static_cast<std::size_t>(oov_start()), o.mask_token);
  special.insert(special.end(), static_cast<std::size_t>(o.num_oov_indices), o.oov_token);
  const bool complete = vocabulary.size() >= special.size() &&
                        std::equal(special.begin(), special.end(), vocabulary.begin());
  std::vector<T> tokens(
      vocabulary.begin() + (complete ? static_cast<std::ptrdiff_t>(special.size()) : 0),
      vocabulary.end());
  auto has = [&](const std::optional<T>& token) {
    return token && std::ranges::find(tokens, *token) != tokens.end();
  };
  if (has(o.mask_token)) fail("the mask token stands inside the vocabulary");
  if (o.invert && has(o.oov_token)) fail("the token of unknown ones stands inside the vocabulary");
  const std::size_t size = special.size() + tokens.size();
  if (o.max_tokens && size > static_cast<std::size_t>(*o.max_tokens))
    fail("expected at most {} tokens, got {}", *o.max_tokens, size);
  std::vector<double> weights = idf_weights;
  if (!weights.empty() && !complete)  // unknown tokens weigh what tokens weigh on average
    weights.insert(
        weights.begin(), special.size(),
        std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size()));
  keep(std::move(tokens), std::move(weights));
}

template <class T>
std::vector<T> IndexLookup<T>::get_vocabulary(bool include_special_tokens) const {
  std::vector<T> all = table().tokens;
  if (!include_special_tokens) return all;
  all.insert(all.begin(), static_cast<std::size_t>(options_.num_oov_indices),
             options_.oov_token.value_or(T{}));
  if (oov_start() == 1) all.insert(all.begin(), *options_.mask_token);
  return all;
}

template <class T>
std::int64_t IndexLookup<T>::vocabulary_size() const {
  return token_start() + static_cast<std::int64_t>(table().tokens.size());
}

template <class T>
std::vector<double> IndexLookup<T>::idf_weights() const {
  return table().idf_weights;
}

template <class T>
std::vector<std::vector<T>> IndexLookup<T>::documents_in(const std::vector<T>& tokens,
                                                         const Shape& shape) {
  const std::size_t length = shape.rank() > 1 ? static_cast<std::size_t>(shape[-1]) : 1;
  std::vector<std::vector<T>> documents;
  for (std::size_t at = 0; at < tokens.size(); at += length)
    documents.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                           tokens.begin() + static_cast<std::ptrdiff_t>(at + length));
  return documents;
}

template <class T>
void IndexLookup<T>::learn(const std::vector<std::vector<T>>& documents) {
  const LookupOptions<T>& o = options_;
  if (!o.vocabulary.empty()) fail("adapt: the vocabulary is given as an option");
  struct Count {
    std::int64_t uses = 0, documents = 0;
  };
  std::map<T, Count> counts;
  for (const std::vector<T>& document : documents) {
    for (const T& token : document) ++counts[token].uses;
    for (const T& token : std::set<T>(document.begin(), document.end())) ++counts[token].documents;
  }
  for (const std::optional<T>& special : {o.mask_token, o.oov_token})
    if (special) counts.erase(*special);
  std::vector<std::pair<T, Count>> sorted(counts.rbegin(), counts.rend());  // of equals the last
  std::ranges::stable_sort(
      sorted, [](const auto& a, const auto& b) { return a.second.uses > b.second.uses; });
  if (o.max_tokens)
    sorted.resize(std::min(sorted.size(),
                           static_cast<std::size_t>(std::max(*o.max_tokens - token_start(), 0))));
  std::vector<T> tokens;
  std::vector<double> weights;
  const auto total = static_cast<double>(documents.size());
  for (const auto& [token, count] : sorted) {
    tokens.push_back(token);
    weights.push_back(std::log(1 + total / (1 + static_cast<double>(count.documents))));
  }
  if (tokens.empty() && !sorted.empty())
    fail("adapt: max_tokens = {} leaves no room beside the special tokens", *o.max_tokens);
  if (tokens.empty()) fail("adapt: expected data, found no token in it");
  const double average =
      std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size());
  weights.insert(weights.begin(), static_cast<std::size_t>(token_start()), average);
  if (o.output_mode != "tf_idf") weights.clear();
  keep(std::move(tokens), std::move(weights));
}

// --- looking up

template <class T>
std::int64_t IndexLookup<T>::depth() const {
  if (options_.pad_to_max_tokens) return *options_.max_tokens;
  return learnt().has_value() ? vocabulary_size() : stated_size_.value_or(vocabulary_size());
}

template <class T>
std::int32_t IndexLookup<T>::index_of_unknown(const T& token) const {
  const std::int64_t n = options_.num_oov_indices;
  if (n == 0) fail("with num_oov_indices 0 all tokens must be known, got {}", text_of(token));
  if (n == 1) return oov_start();
  std::int64_t bin = 0;
  if constexpr (std::is_same_v<T, std::int64_t>)
    bin = options_.oov_method == "floormod" ? ((token % n) + n) % n
                                            : hash_bin(text_of(token), n, options_.salt);
  else
    bin = hash_bin(token, n, options_.salt);
  return static_cast<std::int32_t>(oov_start() + bin);
}

template <class T>
std::vector<std::int32_t> IndexLookup<T>::indices_of(const std::vector<T>& tokens) const {
  const Table& known = table();
  if (known.tokens.empty())
    fail("the vocabulary is empty: give it as an option, or call adapt first");
  if (options_.invert) fail("with invert indices are turned into tokens, and not tokens into them");
  const auto of_mask = static_cast<std::int32_t>(options_.output_mode == "int" ? 0 : depth());
  std::vector<std::int32_t> indices;
  for (const T& token : tokens) {
    const auto place = known.places.find(token);
    if (options_.mask_token && token == *options_.mask_token)
      indices.push_back(of_mask);
    else if (place != known.places.end())
      indices.push_back(token_start() + place->second);
    else
      indices.push_back(index_of_unknown(token));
  }
  return indices;
}

template <class T>
Tensor IndexLookup<T>::encoded(const std::vector<std::int32_t>& indices, const Shape& shape,
                               Device device) const {
  const bool weighs = options_.output_mode == "tf_idf";
  const Tensor codes = encode(tensor(indices, shape, int32, device),
                              weighs ? "count" : options_.output_mode, depth(), dtype());
  if (!weighs) return codes;
  std::vector<double> weights = table().idf_weights;
  weights.resize(static_cast<std::size_t>(depth()), 0.0);
  return codes * tensor(weights, {depth()}, dtype(), device);
}

template <class T>
Tensor IndexLookup<T>::look_up(const std::vector<T>& tokens, const Shape& shape,
                               Device device) const {
  return encoded(indices_of(tokens), shape, device);
}

template <class T>
std::vector<T> IndexLookup<T>::tokens_of(const std::vector<std::int64_t>& indices) const {
  const Table& known = table();
  if (known.tokens.empty())
    fail("the vocabulary is empty: give it as an option, or call adapt first");
  std::vector<T> tokens;
  for (std::int64_t index : indices) {
    const std::int64_t place = index - token_start();
    if (place >= 0 && place < static_cast<std::int64_t>(known.tokens.size()))
      tokens.push_back(known.tokens[static_cast<std::size_t>(place)]);
    else if (index == 0 && options_.mask_token)
      tokens.push_back(*options_.mask_token);
    else if (options_.oov_token)
      tokens.push_back(*options_.oov_token);
    else
      fail("the index {} is that of no token, and there is no oov_token", index);
  }
  return tokens;
}

template <class T>
Shape IndexLookup<T>::compute_output_shape(const Shape& input_shape) {
  ensure_built(input_shape);
  return encoded_shape(input_shape, options_.output_mode, depth());
}

template class IndexLookup<std::int64_t>;
template class IndexLookup<std::string>;

// --- IntegerLookup

IntegerLookup::IntegerLookup(const IntegerLookupOptions& options)
    : IndexLookup("IntegerLookup", options) {}

Tensor IntegerLookup::call(const Tensor& inputs) {
  const std::vector<std::int64_t> numbers = whole_numbers(inputs);
  if (!options_.invert) return look_up(numbers, inputs.shape(), inputs.device());
  std::vector<std::int32_t> tokens;
  for (std::int64_t token : tokens_of(numbers)) {
    if (token < INT32_MIN || token > INT32_MAX)
      fail("the token {} does not fit into int32, which is what outputs are", token);
    tokens.push_back(static_cast<std::int32_t>(token));
  }
  return tensor(tokens, inputs.shape(), int32, inputs.device());
}

void IntegerLookup::adapt(const Tensor& data) {
  named(*this, [&] { learn(documents_in(whole_numbers(data), data.shape())); });
}

// --- StringLookup

StringLookup::StringLookup(const StringLookupOptions& options)
    : IndexLookup("StringLookup", options) {}

std::vector<Field> StringLookup::fields() {
  std::vector<Field> fields = IndexLookup::fields();
  fields.push_back(Field::fixed("encoding", "utf-8"));
  return fields;
}

Tensor StringLookup::call(const Tensor&) {
  fail("it takes strings, which no tensor holds: call it on them before the model");
}

Tensor StringLookup::operator()(const Strings& inputs) const {
  return named(*this, [&] { return look_up(inputs.values(), inputs.shape(), default_device()); });
}

std::vector<std::string> StringLookup::to_strings(const Tensor& indices) const {
  return named(*this, [&] {
    if (!options_.invert) fail("to_strings: it needs the option invert");
    return tokens_of(whole_numbers(indices));
  });
}

void StringLookup::adapt(const Strings& data) {
  named(*this, [&] { learn(documents_in(data.values(), data.shape())); });
}

}  // namespace keratin
