// translate IN.ptx OUT.cpp: turns the PTX that nvcc makes of the kernels into C++ that the emulator
// can run. A register becomes a variable, an instruction a call of a function in ptx.h. What is not
// known here is an error that names it.

#include <cctype>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using Strings = std::vector<std::string>;

/// An instruction, a declaration, a label with its colon, the head of a function, or a brace.
struct Statement {
  std::string text;  // with single spaces
  int line;
};

bool is_head(const std::string& text) {
  return text.find(".entry ") != text.npos || text.find(".func ") != text.npos;
}

std::vector<Statement> read_statements(std::istream& in) {
  static const std::regex target("^\\s*\\.(version|target|address_size) ");
  std::vector<Statement> statements;
  std::string pending, line;
  int braces = 0;  // open ones within the statement
  int first_line = 0, number = 0;
  auto end = [&] {
    while (!pending.empty() && pending.back() == ' ') pending.pop_back();
    if (!pending.empty()) statements.push_back({pending, first_line});
    pending.clear();
  };
  while (std::getline(in, line)) {
    ++number;
    line = line.substr(0, line.find("//")) + " ";
    if (std::regex_search(line, target)) continue;
    for (char c : line) {
      if (pending.empty()) first_line = number;
      if (c == '{' && (pending.empty() || is_head(pending))) {
        end();
        statements.push_back({"{", number});
      } else if (c == '}' && braces == 0) {
        end();
        statements.push_back({"}", number});
      } else if (c == ';') {
        if (is_head(pending)) pending += ";";
        end();
      } else if (c == ':' && pending.starts_with("$")) {
        pending += c;
        end();
      } else if (std::isspace(static_cast<unsigned char>(c))) {
        if (!pending.empty() && pending.back() != ' ') pending += ' ';
      } else {
        pending += c;
        braces += (c == '{') - (c == '}');
      }
    }
  }
  end();
  return statements;
}

/// Splits at the separator where no bracket is open; without the spaces around the parts.
Strings split(const std::string& text, char separator) {
  Strings parts(1);
  int depth = 0;
  for (char c : text) {
    depth += (c == '[' || c == '{' || c == '(') - (c == ']' || c == '}' || c == ')');
    if (c == separator && depth == 0)
      parts.emplace_back();
    else if (c != ' ' || !parts.back().empty())
      parts.back() += c;
  }
  for (std::string& part : parts)
    while (part.ends_with(' ')) part.pop_back();
  if (parts.back().empty()) parts.pop_back();
  return parts;
}

/// What is inside the outermost brackets.
std::string inside(const std::string& text) { return text.substr(1, text.size() - 2); }

std::string join(const Strings& parts, const std::string& separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

/// A name of PTX as one of C++.
std::string identifier(std::string name) {
  for (char& c : name)
    if (c == '%' || c == '$') c = '_';
  return name;
}

/// nvcc names an anonymous namespace by a number and the file, g++ by _GLOBAL__N_1.
std::string as_named_by_gcc(std::string name) {
  static const std::regex anonymous("([1-9][0-9]*)_GLOBAL__N_");
  for (std::smatch m; std::regex_search(name, m, anonymous) && m[1] != "12";) {
    const auto length = m[1].length() + std::stoi(m[1]);
    name = m.prefix().str() + "12_GLOBAL__N_1" +
           name.substr(static_cast<std::size_t>(m.position() + length));
  }
  return name;
}

// --- types

const std::map<std::string, std::string> types = {
    {"pred", "bool"},        {"b8", "std::uint8_t"},   {"u8", "std::uint8_t"},
    {"s8", "std::int8_t"},   {"b16", "std::uint16_t"}, {"u16", "std::uint16_t"},
    {"s16", "std::int16_t"}, {"b32", "std::uint32_t"}, {"u32", "std::uint32_t"},
    {"s32", "std::int32_t"}, {"b64", "std::uint64_t"}, {"u64", "std::uint64_t"},
    {"s64", "std::int64_t"}, {"f32", "float"},         {"f64", "double"}};

const std::string& type(const std::string& name) {
  auto found = types.find(name);
  if (found == types.end()) throw std::runtime_error("unknown type ." + name);
  return found->second;
}
std::size_t bytes(const std::string& name) {
  type(name);
  return name == "pred" ? 1 : std::stoul(name.substr(1)) / 8;
}
/// What holds the bits of such a register.
std::string register_type(const std::string& name) {
  return name == "pred" ? "bool" : type("b" + name.substr(1));
}

// --- instructions

/// Those that are a function of their operands, which ptx.h has by the same name. The letters tell
/// the types of the operands: T that of the instruction, U 32 bits, P a predicate, W twice T, C the
/// carry.
const std::map<std::string, std::string> functions = {
    {"add", "TT"},           {"sub", "TT"},          {"mul", "TT"},
    {"mul.lo", "TT"},        {"mul.hi", "TT"},       {"mul.wide", "TT"},
    {"mad.lo", "TTT"},       {"mad.wide", "TTW"},    {"div", "TT"},
    {"rem", "TT"},           {"neg", "T"},           {"abs", "T"},
    {"min", "TT"},           {"max", "TT"},          {"add.rn", "TT"},
    {"sub.rn", "TT"},        {"mul.rn", "TT"},       {"div.rn", "TT"},
    {"rcp.rn", "T"},         {"sqrt.rn", "T"},       {"fma.rn", "TTT"},
    {"fma.rm", "TTT"},       {"add.rz", "TT"},       {"copysign", "TT"},
    {"ex2.approx", "T"},     {"lg2.approx", "T"},    {"ex2.approx.ftz", "T"},
    {"rcp.approx.ftz", "T"}, {"and", "TT"},          {"or", "TT"},
    {"xor", "TT"},           {"not", "T"},           {"shl", "TU"},
    {"shr", "TU"},           {"clz", "T"},           {"popc", "T"},
    {"bfi", "TTUU"},         {"selp", "TTP"},        {"add.cc", "TTC"},
    {"addc", "TTC"},         {"addc.cc", "TTC"},     {"sub.cc", "TTC"},
    {"subc", "TTC"},         {"subc.cc", "TTC"},     {"mad.lo.cc", "TTTC"},
    {"madc.lo.cc", "TTTC"},  {"madc.hi.cc", "TTTC"}, {"madc.hi", "TTTC"}};

const std::map<std::string, std::string> named_otherwise = {{"and", "bit_and"},
                                                            {"or", "bit_or"},
                                                            {"xor", "bit_xor"},
                                                            {"not", "bit_not"},
                                                            {"selp", "select"}};

const std::set<std::string> comparisons = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                           "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
const std::set<std::string> conversions = {"cvt",     "cvt.rn",  "cvt.rni", "cvt.rzi",
                                           "cvt.rmi", "cvt.rpi", "cvt.sat"};
const std::map<std::string, std::string> special = {
    {"%tid.x", "threadIdx.x"},  {"%tid.y", "threadIdx.y"},  {"%ntid.x", "blockDim.x"},
    {"%ntid.y", "blockDim.y"},  {"%ctaid.x", "blockIdx.x"}, {"%ctaid.y", "blockIdx.y"},
    {"%nctaid.x", "gridDim.x"}, {"%nctaid.y", "gridDim.y"}};

/// An operand that is read, as a C++ expression of a type of PTX.
std::string value(const std::string& operand, const std::string& t) {
  static const std::regex real("0[fFdD]([0-9A-Fa-f]+)"), integer("-?(0x[0-9A-Fa-f]+|[0-9]+)");
  std::smatch m;
  if (special.contains(operand)) return "ptx::as<" + type(t) + ">(" + special.at(operand) + ")";
  if (operand.starts_with("%")) {
    if (operand.find('.') != operand.npos) throw std::runtime_error("unknown register " + operand);
    return "ptx::as<" + type(t) + ">(" + identifier(operand) + ")";
  }
  if (std::regex_match(operand, m, real))
    return "ptx::as<" + type(t) + ">(0x" + m[1].str() + "ull)";
  if (std::regex_match(operand, integer)) {
    if (operand == "-9223372036854775808") return type(t) + "(1ull << 63)";
    return type(t) + "(" + operand + (operand.starts_with("-") ? "ll)" : "ull)");
  }
  return type(t) + "(ptx::address(" + identifier(operand) + "))";
}

std::string set(const std::string& target, const std::string& expression) {
  return "ptx::set(" + identifier(target) + ", " + expression + ");";
}

/// [base+offset] of a state space, for an access of so many bytes.
std::string place(const std::string& operand, bool shared, std::size_t count) {
  const Strings sum = split(inside(operand), '+');
  const std::string offset = sum.size() > 1 ? sum[1] : "0";
  return std::string(shared ? "ptx::shared_place(" : "ptx::place(") + value(sum[0], "u64") +
         " + (" + offset + "), " + std::to_string(count) + ")";
}

/// ld and st, also of vectors.
std::string memory_access(const Strings& words, const Strings& operands) {
  static const std::set<std::string> known = {"global", "shared", "local", "param",
                                              "nc",     "v2",     "v4"};
  bool shared = false;
  std::size_t elements = 1;
  for (std::size_t i = 1; i + 1 < words.size(); ++i) {
    if (!known.contains(words[i]))
      throw std::runtime_error("unknown instruction " + join(words, "."));
    shared |= words[i] == "shared";
    if (words[i] == "v2" || words[i] == "v4") elements = words[i] == "v2" ? 2 : 4;
  }
  const std::string& t = words.back();
  const bool load = words[0] == "ld";
  const std::string &where = operands.at(load ? 1 : 0), &registers = operands.at(load ? 0 : 1);
  std::string text = "{ std::byte* at = " + place(where, shared, elements * bytes(t)) + ";";
  std::size_t i = 0;
  for (const std::string& r : elements == 1 ? Strings{registers} : split(inside(registers), ',')) {
    const std::string at = "at + " + std::to_string(i++ * bytes(t));
    text += " " + (load ? set(r, "ptx::load<" + type(t) + ">(" + at + ")")
                        : "ptx::store<" + type(t) + ">(" + at + ", " + value(r, t) + ");");
  }
  if (i != elements) throw std::runtime_error("a vector of another length");
  return text + " }";
}

/// mov, which also takes 64 bits apart, and puts them together.
std::string move(const std::string& t, const Strings& operands) {
  const std::string &to = operands.at(0), &from = operands.at(1);
  if (to.starts_with("{") || from.starts_with("{")) {
    if (t != "b64") throw std::runtime_error("unknown instruction mov." + t + " of parts");
    const Strings parts = split(inside(to.starts_with("{") ? to : from), ',');
    const std::string &low = parts.at(0), &high = parts.at(1);
    if (from.starts_with("{"))
      return set(to, value(low, "u32") + " | std::uint64_t{" + value(high, "u32") + "} << 32");
    return "{ std::uint64_t both = " + value(from, t) + "; " + set(low, "std::uint32_t(both)") +
           " " + set(high, "std::uint32_t(both >> 32)") + " }";
  }
  return set(to, value(from, t));
}

std::string instruction(const std::string& opcode, const Strings& operands, const std::string& file,
                        int line) {
  const Strings words = split(opcode, '.');
  const std::string& t = words.back();
  const std::string name = opcode.substr(0, opcode.rfind('.'));
  auto typed_call = [&](const std::string& function, const std::string& letters) {
    if (operands.size() != letters.size() + 1 - letters.ends_with('C'))
      throw std::runtime_error("another number of operands for " + opcode);
    Strings arguments;
    for (std::size_t i = 0; i < letters.size(); ++i)
      arguments.push_back(letters[i] == 'C'   ? "carry"
                          : letters[i] == 'U' ? value(operands[i + 1], "u32")
                          : letters[i] == 'P' ? value(operands[i + 1], "pred")
                          : letters[i] == 'W' ? value(operands[i + 1], t[0] + std::string("64"))
                                              : value(operands[i + 1], t));
    return set(operands[0],
               "ptx::" + function + "<" + type(t) + ">(" + join(arguments, ", ") + ")");
  };
  auto underlined = [](std::string text) {
    for (char& c : text)
      if (c == '.') c = '_';
    return text;
  };
  if (words[0] == "ld" || words[0] == "st") return memory_access(words, operands);
  if (name == "mov" || name == "cvta.to.global") return move(t, operands);
  if (opcode == "bra" || opcode == "bra.uni") return "goto " + identifier(operands.at(0)) + ";";
  if (opcode == "ret") return "return;";
  if (opcode == "bar.sync" && operands == Strings{"0"})
    return "emulator::wait_for_block({\"" + file + "\", " + std::to_string(line) + "});";
  if (opcode == "call.uni") {
    Strings arguments;
    for (std::size_t i : {0, 2})
      if (i < operands.size())
        for (const std::string& a : split(inside(operands[i]), ',')) arguments.push_back(a);
    return identifier(operands.at(1)) + "(" + join(arguments, ", ") + ");";
  }
  if (words[0] == "setp" && words.size() == 3 && comparisons.contains(words[1]))
    return typed_call(words[1], "TT");
  if (words[0] == "cvt" && words.size() >= 3) {
    const std::string& to = words[words.size() - 2];
    const std::string how = join(Strings(words.begin(), words.end() - 2), ".");
    if (conversions.contains(how))
      return set(operands.at(0), "ptx::" + underlined(how) + "<" + type(to) + ", " + type(t) +
                                     ">(" + value(operands.at(1), t) + ")");
  }
  if (auto found = functions.find(name); found != functions.end()) {
    auto other = named_otherwise.find(name);
    return typed_call(other != named_otherwise.end() ? other->second : underlined(name),
                      found->second);
  }
  throw std::runtime_error("unknown instruction " + opcode);
}

// --- declarations and functions

class Translation {
 public:
  Translation(std::string file, std::ostream& out) : file_(std::move(file)), out_(out) {}

  void run(const std::vector<Statement>& statements) {
    out_ << "#include \"ptx.h\"\n\nnamespace {\n";
    for (const Statement& s : statements) try {
        translate(s);
      } catch (const std::exception& error) {
        throw std::runtime_error(file_ + ":" + std::to_string(s.line) + ": " + error.what());
      }
    for (const std::string& name : entries_)
      out_ << "const ptx::Registered of" << name << "(\"" << as_named_by_gcc(name) << "\", " << name
           << ");\n";
    out_ << "}\n";
  }

 private:
  void translate(const Statement& s) {
    if (s.text == "{" || s.text == "}" || s.text.ends_with(":")) {
      out_ << identifier(s.text) << (s.text.ends_with(":") ? ";\n" : "\n");
      if (s.text == "{") out_ << std::exchange(at_begin_, "");
    } else if (is_head(s.text)) {
      head(s.text);
    } else if (s.text.starts_with(".reg ")) {
      registers(s.text);
    } else if (s.text.starts_with(".pragma ")) {
    } else if (s.text.starts_with(".")) {
      variable(s.text);
    } else {
      static const std::regex parts("(@(!?)(%\\w+) )?(\\S+)( .*)?");
      std::smatch m;
      std::regex_match(s.text, m, parts);
      if (m[1].matched) out_ << "if (" << m[2] << identifier(m[3]) << ") ";
      out_ << instruction(m[4], split(m[5], ','), file_, s.line) << "\n";
    }
  }

  // .entry NAME(PARAMETERS), or .func (RESULT) NAME(PARAMETERS)
  void head(const std::string& text) {
    static const std::regex parts(
        "(?:\\.(?:visible|weak) )?\\.(entry|func) ?(\\([^)]*\\))? ?([\\w$]+) ?(\\([^)]*\\))? "
        "?(;?)");
    std::smatch m;
    if (!std::regex_match(text, m, parts)) throw std::runtime_error("unknown declaration " + text);
    Strings names;
    for (const std::string& list : {m[2].str(), m[4].str()})
      for (const std::string& p : list.empty() ? Strings{} : split(inside(list), ',')) {
        const std::string name = p.substr(p.rfind(' ') + 1);
        names.push_back(identifier(name.substr(0, name.find('['))));
      }
    const std::string name = identifier(m[3]);
    shared_bytes_ = 0;
    at_begin_ = "std::uint32_t carry = 0;\n";
    if (m[1] == "entry") {
      entries_.push_back(name);
      out_ << "void " << name << "(const void* const* arguments)\n";
      for (std::size_t i = 0; i < names.size(); ++i)
        at_begin_ += "const void* " + names[i] + " = arguments[" + std::to_string(i) + "];\n";
    } else {
      for (std::string& p : names) p = "std::byte* " + p;
      out_ << "void " << name << "(" << join(names, ", ") << ")" << m[5] << "\n";
    }
  }

  // .reg .TYPE %NAME<COUNT>, or names
  void registers(const std::string& text) {
    const Strings words = split(text, ' ');
    const std::string list = text.substr(words[0].size() + words[1].size() + 2);
    Strings names;
    for (const std::string& name : split(list, ',')) {
      const auto bracket = name.find('<');
      if (bracket == name.npos)
        names.push_back(name);
      else
        for (int i = 0; i < std::stoi(name.substr(bracket + 1)); ++i)
          names.push_back(name.substr(0, bracket) + std::to_string(i));
    }
    for (std::string& name : names) name = identifier(name) + "{}";
    out_ << register_type(words[1].substr(1)) << " " << join(names, ", ") << ";\n";
  }

  // .SPACE .align N .TYPE NAME[COUNT] = {...}
  void variable(const std::string& text) {
    static const std::regex parts(
        "(?:\\.(?:visible|weak) )?\\.(\\w+) (?:\\.align (\\d+) )?\\.(\\w+) "
        "([\\w$]+)(?:\\[(\\d+)\\])?(?: = (.*))?");
    std::smatch m;
    if (!std::regex_match(text, m, parts)) throw std::runtime_error("unknown declaration " + text);
    const std::string space = m[1], name = identifier(m[4]);
    const std::size_t count = m[5].matched ? std::stoul(m[5]) : 1, size = count * bytes(m[3]);
    const std::size_t align = m[2].matched ? std::stoul(m[2]) : bytes(m[3]);
    if (space == "global" || space == "const") {
      out_ << "alignas(" << align << ") " << type(m[3]) << " " << name << "[" << count << "] = "
           << (m[6].matched && m[6].str().starts_with("{") ? m[6].str() : "{" + m[6].str() + "}")
           << ";\n";
    } else if (space == "shared") {
      shared_bytes_ = (shared_bytes_ + align - 1) / align * align;
      out_ << "constexpr std::uint64_t " << name << " = " << shared_bytes_ << ";\n";
      shared_bytes_ += size;
      if (shared_bytes_ > 48 * 1024) throw std::runtime_error("too much shared memory");
    } else if (space == "local" || space == "param") {
      out_ << "alignas(" << align << ") std::byte " << name << "[" << size << "];\n";
    } else {
      throw std::runtime_error("unknown declaration " + text);
    }
  }

  const std::string file_;
  std::ostream& out_;
  Strings entries_;
  std::string at_begin_;  // of the function that follows
  std::size_t shared_bytes_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: translate IN.ptx OUT.cpp");
  const std::string name = argv[1];
  std::ifstream in(name);
  std::ostringstream text;
  Translation(name.substr(name.rfind('/') + 1), text).run(read_statements(in));
  std::ofstream out(argv[2]);
  out << text.str();
  if (!in.eof() || !out.flush()) throw std::runtime_error("cannot read " + name + " or write");
} catch (const std::exception& error) {
  std::cerr << "translate: " << error.what() << "\n";
  return 1;
}
