// One way back through a tape: check what is asked, mark what is needed, one loop from the end.
#pragma once

#include <vector>

#include <keratin/autograd/internal/backward.h>

namespace keratin {

class BackwardPass {
 public:
  /// Of the results y with respect to x, through the nodes from `first_node` on. Throws
  /// std::invalid_argument when a result or an x was not recorded.
  BackwardPass(Record& record, std::size_t first_node, const std::vector<Tensor>& y,
               const std::vector<Tensor>& x, const std::vector<Tensor>& output_gradients);
  /// `last`: nodes are released as soon as they have been used.
  void run(bool last);
  /// Zeros where y does not depend on x.
  std::vector<Tensor> gradients(const std::vector<Tensor>& x) const;

 private:
  void find_variables(const std::vector<Tensor>& y, const std::vector<Tensor>& x);
  void mark_needed();
  void begin_with(const std::vector<Tensor>& y, const std::vector<Tensor>& output_gradients);
  void visit(Node& node, Backward& backward);
  std::size_t at(VariableId id) const { return id - first_; }

  Record& record_;
  std::size_t first_node_, last_node_;
  VariableId first_;  // the lowest number that this pass uses
  std::vector<VariableId> results_, sources_;
  std::vector<GradientSum> sums_;  // the gradient of each variable from first_ on
  std::vector<char> needed_;       // whether that variable depends on something in x
  std::vector<char> asked_;        // whether it is in x
};

}  // namespace keratin
