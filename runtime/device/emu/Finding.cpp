#include "runtime/device/emu/Finding.h"

#include "runtime/device/emu/Lexer.h"

namespace bitbyte::emu {

std::string Finding::text(const std::string &path) const {
  return fmt::format("{}:{}: kernel '{}': {}: {}", path, line, kernel, kind,
                     message);
}

void Findings::add(const Kernel &kernel, const Op &op, std::string_view kind,
                   std::string message) {
  if (full() || !seen.emplace(op.line, std::string(kind)).second)
    return;
  found.push_back(
      {std::string(kind), kernel.name, op.line, std::move(message)});
}

void Findings::append(Findings other) {
  for (Finding &finding : other.found)
    if (!full() && seen.emplace(finding.line, finding.kind).second)
      found.push_back(std::move(finding));
}

std::string place(const Kernel &kernel, const Op &op) {
  const Module &module = *kernel.module;
  std::string text = fmt::format("line {} ({})", op.line,
                                 lineOf(module.text, op.line).substr(0, 100));
  if (op.location) {
    const Location &location = kernel.locations[op.location];
    auto file = module.files.find(location.file);
    text += fmt::format(", from {}:{}:{}",
                        file == module.files.end() ? "source" : file->second,
                        location.line, location.column);
  }
  return text;
}

} // namespace bitbyte::emu
