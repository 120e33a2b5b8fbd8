#include "runtime/device/emu/ControlFlow.h"
#include "runtime/device/emu/Control.h"

namespace bitbyte::emu {

namespace {

/// The graph of instructions, with the exit as one more node.
struct Graph {
  std::vector<std::vector<uint32_t>> after, before;
  uint32_t exit;

  explicit Graph(const Kernel &kernel)
      : after(kernel.ops.size() + 1), before(kernel.ops.size() + 1),
        exit(uint32_t(kernel.ops.size())) {
    for (uint32_t i = 0; i < exit; ++i) {
      const Op &op = kernel.ops[i];
      bool falls = true;
      if (op.run == branch) {
        edge(i, op.target);
        falls = op.guard != noSlot;
      } else if (op.run == branchIndexed) {
        for (uint32_t k = 0; k < op.count; ++k)
          edge(i, kernel.lists[op.first + k]);
        falls = op.guard != noSlot;
      } else if (op.run == leave) {
        edge(i, exit);
        falls = op.guard != noSlot;
      }
      if (falls)
        edge(i, i + 1);
    }
  }

  void edge(uint32_t from, uint32_t to) {
    after[from].push_back(to);
    before[to].push_back(from);
  }
};

} // namespace

/// Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm", on the
/// reversed graph.
void findJoins(Kernel &kernel) {
  Graph graph(kernel);
  size_t size = graph.after.size();
  std::vector<uint32_t> order;           // post-order from the exit
  std::vector<uint32_t> number(size, 0); // in that order
  std::vector<bool> seen(size, false);
  std::vector<std::pair<uint32_t, size_t>> stack = {{graph.exit, 0}};
  seen[graph.exit] = true;
  while (!stack.empty()) {
    auto &[node, edge] = stack.back();
    if (edge < graph.before[node].size()) {
      uint32_t next = graph.before[node][edge++];
      if (!seen[next]) {
        seen[next] = true;
        stack.push_back({next, 0});
      }
    } else {
      number[node] = uint32_t(order.size());
      order.push_back(node);
      stack.pop_back();
    }
  }

  std::vector<uint32_t> dominator(size, nowhere);
  dominator[graph.exit] = graph.exit;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order.size(); i-- > 0;) {
      uint32_t node = order[i], common = nowhere;
      if (node == graph.exit)
        continue;
      for (uint32_t next : graph.after[node]) {
        if (dominator[next] == nowhere)
          continue;
        if (common == nowhere) {
          common = next;
          continue;
        }
        uint32_t other = next;
        while (common != other) {
          while (number[common] < number[other])
            common = dominator[common];
          while (number[other] < number[common])
            other = dominator[other];
        }
      }
      if (common != dominator[node]) {
        dominator[node] = common;
        changed = true;
      }
    }
  }
  for (uint32_t i = 0; i < graph.exit; ++i)
    if (kernel.ops[i].run == branch || kernel.ops[i].run == branchIndexed)
      kernel.ops[i].join = dominator[i] == graph.exit ? nowhere : dominator[i];
}

} // namespace bitbyte::emu
