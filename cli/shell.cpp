#include <CLI/CLI.hpp>

#include <sstream>

#include <keratin/cli/shell.h>

namespace keratin::cli {
namespace {

/// Text of which nothing is taken for a request: no backslash, hyphen, or leading point or quote.
std::string escaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = i == 0 || text[i - 1] == '\n';
    if (begins && (text[i] == '.' || text[i] == '\'')) out += "\\&";
    if (text[i] == '\\')
      out += "\\e";
    else if (text[i] == '-')
      out += "\\-";
    else
      out += text[i];
  }
  return out;
}

void describe(std::ostream& out, const CLI::Option& option) {
  if (option.get_group().empty()) return;  // hidden
  const bool takes_value = option.get_items_expected_max() > 0;
  out << ".TP\n\\fB" << escaped(option.get_name(false, true)) << "\\fR";
  if (!option.get_positional() && takes_value) out << " \\fIVALUE\\fR";
  out << "\n" << escaped(option.get_description());
  const std::string& standard = option.get_default_str();
  if (!standard.empty()) out << " (default: " << escaped(standard) << ")";
  out << "\n";
}

}  // namespace

std::string man_page(const CLI::App& app, const std::string& version) {
  std::ostringstream out;
  out << ".TH KERATIN 1 \"\" \"keratin " << version << "\" \"User Commands\"\n"
      << ".SH NAME\nkeratin \\- train, run, compare and convert Keras's model files\n"
      << ".SH SYNOPSIS\n.B keratin\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n"
      << ".SH DESCRIPTION\n"
      << escaped(app.get_description()) << "\n.SH COMMANDS\n";
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    out << ".SS keratin " << command->get_name();
    for (const CLI::Option* option : command->get_options())
      if (option->get_positional()) out << " " << option->get_name(true);
    out << "\n" << escaped(command->get_description()) << ".\n";
    for (const CLI::Option* option : command->get_options()) describe(out, *option);
  }
  out << ".SH NOTES\n.nf\n" << escaped(app.get_footer()) << "\n.fi\n";
  return out.str();
}

std::string bash_completion(const CLI::App& app) {
  std::ostringstream commands, cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands << (commands.str().empty() ? "" : " ") << command->get_name();
    cases << "    " << command->get_name() << ") options=\"";
    for (const CLI::Option* option : command->get_options())
      for (const std::string& name : option->get_lnames()) cases << "--" << name << " ";
    cases << "\" ;;\n";
  }
  return R"(# Completion of the command keratin: its commands, their options, and files.
_keratin() {
  local word=${COMP_WORDS[COMP_CWORD]} options=
  case ${COMP_WORDS[1]} in
)" + cases.str() +
         R"(  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ")" +
         commands.str() + R"( --help --version" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _keratin keratin
)";
}

}  // namespace keratin::cli
