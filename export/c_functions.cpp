// The C functions that a file needs, and no others.

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include <keratin/export/internal/c_file.h>

namespace keratin::c_export {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// f for each word, which is letters, digits and underscores; the rest stays as it is.
template <class F>
std::string with_words(const std::string& code, const F& f) {
  std::string result;
  for (std::size_t i = 0; i < code.size();) {
    std::size_t end = i;
    while (end < code.size() && is_word(code[end])) ++end;
    if (end == i) {
      result += code[i++];
      continue;
    }
    result += f(code.substr(i, end - i));
    i = end;
  }
  return result;
}

std::set<std::string> words_in(const std::string& code) {
  std::set<std::string> words;
  with_words(code, [&](const std::string& word) { return words.insert(word), word; });
  return words;
}

struct Function {
  std::string name, text;
};

/// What a declaration declares: "} name;", "(*name)(" or "static ... name(".
std::string name_in(const std::string& text) {
  std::size_t end = 0;
  if (text.find("typedef struct") != text.npos)
    end = text.rfind(';');
  else if (text.find("typedef") != text.npos)
    end = text.find(")(");
  else
    end = text.find('(', text.find("static "));
  std::size_t begin = end;
  while (begin > 0 && is_word(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

std::string without_comments(const std::string& code) {
  std::string result;
  for (std::size_t from = 0; from < code.size();) {
    const std::size_t begin = std::min(code.find("/*", from), code.size());
    result += code.substr(from, begin - from);
    const std::size_t end = code.find("*/", begin);
    from = end == code.npos ? code.size() : end + 2;
  }
  return result;
}

std::vector<Function> all_functions() {
  std::vector<Function> functions;
  for (const Part& part : parts()) {
    const std::string text = part.functions;
    for (std::size_t from = 1; from < text.size();) {
      std::size_t end = text.find("\n\n", from);
      if (end == text.npos) end = text.size() - 1;
      const std::string one = text.substr(from, end - from);
      functions.push_back({name_in(one), one});
      from = end + 2;
    }
  }
  return functions;
}

}  // namespace

std::vector<std::string> function_names() {
  std::vector<std::string> names;
  for (const Function& function : all_functions()) names.push_back(function.name);
  return names;
}

std::string functions_for(const std::string& code) {
  const std::vector<Function> all = all_functions();
  std::vector<const Function*> open, taken;
  auto take = [&](const std::string& text) {
    const std::set<std::string> words = words_in(without_comments(text));
    for (const Function& function : all)
      if (words.contains(function.name) && std::ranges::find(taken, &function) == taken.end()) {
        taken.push_back(&function);
        open.push_back(&function);
      }
  };
  take(code);
  while (!open.empty()) {
    const Function* next = open.back();
    open.pop_back();
    take(next->text);
  }
  std::string text;
  for (const Function& function : all)
    if (std::ranges::find(taken, &function) != taken.end()) text += function.text + "\n\n";
  return text;
}

std::string in_double(const std::string& code) {
  static const std::set<std::string> of_math{
      "ceilf",  "cosf",   "erff", "expf", "expm1f", "fabsf", "floorf", "fmaxf", "fminf",
      "log10f", "log1pf", "logf", "powf", "rintf",  "sinf",  "sqrtf",  "tanhf"};
  return with_words(code, [](const std::string& word) -> std::string {
    if (word == "float") return "double";
    const bool number = std::isdigit(static_cast<unsigned char>(word[0])) != 0;
    if (word.ends_with('f') && (number || of_math.contains(word)))
      return word.substr(0, word.size() - 1);
    return word;
  });
}

std::string comment(const std::string& text) {
  std::string safe;
  for (char c : text) {
    if (c == '/' && safe.ends_with('*')) safe += ' ';
    if (c == '*' && safe.ends_with('/')) safe += ' ';
    safe += c == '\n' || c == '\\' ? ' ' : c;
  }
  return safe;
}

}  // namespace keratin::c_export
