#include <iostream>

#include <keratin/core/internal/message.h>

namespace keratin {

void print_warning(const std::string& text) { std::cerr << "Warning: " << text << std::endl; }

}  // namespace keratin
