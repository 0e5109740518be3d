// A tape as text, and as a graph.

#include <ostream>
#include <sstream>

#include <keratin/autograd/internal/recording.h>
#include <keratin/autograd/tape.h>
#include <keratin/core/internal/message.h>

namespace keratin {
namespace {

std::string variable_text(const Record& record, VariableId id) {
  if (id == 0) return "-";
  return fmt::format("%{} {}", id, record.variables[id].shape);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradientTape& tape) {
  const Record& record = tape.record();
  for (std::size_t n = tape.first_node_; n < record.nodes.size(); ++n) {
    const Node& node = record.nodes[n];
    std::string text;
    for (std::uint32_t o = 0; o < node.output_count; ++o)
      text += (o > 0 ? ", " : "") + variable_text(record, node.output + o);
    text += fmt::format(" = {}(", node.op);
    for (std::uint32_t i = 0; i < node.input_count; ++i)
      text += (i > 0 ? ", " : "") + variable_text(record, record.inputs[node.inputs + i]);
    text += ")";
    if (node.layer != nullptr) text = fmt::format("{:<60}  # {}", text, node.layer);
    out << text << '\n';
  }
  return out;
}

std::string GradientTape::dot() const {
  const Record& record = this->record();
  std::ostringstream out;
  out << "digraph tape {\n  node [shape=box, fontname=Helvetica];\n";
  std::vector<std::size_t> maker(record.variables.size(), 0);  // node number + 1
  for (std::size_t n = first_node_; n < record.nodes.size(); ++n)
    for (std::uint32_t o = 0; o < record.nodes[n].output_count; ++o)
      maker[record.nodes[n].output + o] = n + 1;
  std::vector<bool> drawn(record.variables.size(), false);
  for (std::size_t n = first_node_; n < record.nodes.size(); ++n) {
    const Node& node = record.nodes[n];
    out << fmt::format("  n{} [label=\"{}\\n{}\"];\n", n,
                       node.layer == nullptr ? node.op : fmt::format("{}: {}", node.layer, node.op),
                       record.variables[node.output].shape);
    for (std::uint32_t i = 0; i < node.input_count; ++i) {
      VariableId id = record.inputs[node.inputs + i];
      if (id == 0) continue;
      if (maker[id] != 0) {
        out << fmt::format("  n{} -> n{};\n", maker[id] - 1, n);
        continue;
      }
      if (!drawn[id])
        out << fmt::format("  v{} [label=\"{}\", shape=ellipse];\n", id,
                           record.variables[id].shape);
      drawn[id] = true;
      out << fmt::format("  v{} -> n{};\n", id, n);
    }
  }
  out << "}\n";
  return out.str();
}

}  // namespace keratin
