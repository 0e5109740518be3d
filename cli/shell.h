// What a shell and its user are told of the command: made from its options, so that it is complete.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace keratin::cli {

/// In the format of man(7).
std::string man_page(const CLI::App& app, const std::string& version);
/// A script for bash; zsh takes it after `autoload bashcompinit; bashcompinit`.
std::string bash_completion(const CLI::App& app);

}  // namespace keratin::cli
