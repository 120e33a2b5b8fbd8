#include "tools/bb-run/Table.h"

#include <algorithm>
#include <fmt/format.h>

namespace bitbyte {

std::string Table::markdown() const {
  std::vector<size_t> widths(rows[0].size(), 3);
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t i = 0; i < rows[r].size(); ++i)
      text += i == 0 ? fmt::format("| {:<{}} |", rows[r][i], widths[i])
                     : fmt::format(" {:>{}} |", rows[r][i], widths[i]);
    text += "\n";
    if (r != 0)
      continue;
    for (size_t i = 0; i < widths.size(); ++i)
      text += i == 0 ? fmt::format("| {:-<{}} |", "", widths[i])
                     : fmt::format(" {:-<{}}: |", "", widths[i] - 1);
    text += "\n";
  }
  return text;
}

std::string Table::csv() const {
  std::string text;
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      std::string cell = row[i];
      if (cell.find_first_of(",\"\n") != std::string::npos) {
        for (size_t at = 0; (at = cell.find('"', at)) != std::string::npos;
             at += 2)
          cell.insert(at, 1, '"');
        cell = "\"" + cell + "\"";
      }
      text += cell + (i + 1 < row.size() ? "," : "\n");
    }
  return text;
}

} // namespace bitbyte
