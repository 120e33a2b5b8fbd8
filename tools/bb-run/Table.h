//===- Table.h - Rows and columns for people and programs -----------------===//
#pragma once

#include <string>
#include <vector>

namespace bitbyte {

/// The first column is text and stands left, the others are numbers.
class Table {
public:
  explicit Table(std::vector<std::string> header) : rows{std::move(header)} {}
  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }

  /// With `|` between columns, which are aligned.
  std::string markdown() const;
  /// Comma-separated, quoted where a cell needs it.
  std::string csv() const;

private:
  std::vector<std::vector<std::string>> rows; ///< The first is the header.
};

} // namespace bitbyte
