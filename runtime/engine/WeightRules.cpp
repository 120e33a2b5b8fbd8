#include "runtime/engine/WeightRules.h"

#include <algorithm>

namespace bitbyte {

std::optional<std::vector<std::string>> matchPattern(std::string_view pattern,
                                                     std::string_view name) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos)
    return pattern == name ? std::optional(std::vector<std::string>())
                           : std::nullopt;
  if (!name.starts_with(pattern.substr(0, star)))
    return std::nullopt;
  name.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (size_t length = 1; length <= name.size(); ++length)
    if (auto rest = matchPattern(pattern, name.substr(length))) {
      rest->insert(rest->begin(), std::string(name.substr(0, length)));
      return rest;
    }
  return std::nullopt;
}

std::string fillPattern(std::string_view pattern,
                        std::span<const std::string> captures) {
  std::string name;
  size_t next = 0;
  for (char c : pattern)
    if (c == '*' && next < captures.size())
      name += captures[next++];
    else
      name += c;
  return name;
}

bool isIgnored(const Artifact &artifact, std::string_view name) {
  for (const ImportRule &rule : artifact.importRules)
    if (rule.ignore)
      for (const std::string &pattern : rule.names)
        if (matchPattern(pattern, name))
          return true;
  return false;
}

PublishedForm publishedForm(const Artifact &artifact, std::string_view name,
                            std::span<const uint64_t> shape) {
  PublishedForm form;
  std::vector<int64_t> reshape;
  // Several rules may speak about one parameter, each of another matter.
  for (const ImportRule &rule : artifact.importRules) {
    auto captures =
        rule.ignore ? std::nullopt : matchPattern(rule.pattern, name);
    if (!captures)
      continue;
    for (const std::string &pattern : rule.names) {
      std::string filled = fillPattern(pattern, *captures);
      if (std::find(form.names.begin(), form.names.end(), filled) ==
          form.names.end())
        form.names.push_back(filled);
    }
    form.transpose |= rule.transpose;
    if (!rule.reshape.empty())
      reshape = rule.reshape;
  }
  if (form.names.empty())
    form.names.emplace_back(name);
  form.shape.assign(shape.begin(), shape.end());
  form.transpose &= shape.size() == 2;
  if (form.transpose)
    std::swap(form.shape[0], form.shape[1]);
  if (!reshape.empty()) {
    uint64_t known = 1, all = elementCount(shape).value_or(0);
    for (int64_t size : reshape)
      known *= size == -1 ? 1 : uint64_t(size);
    form.shape.clear();
    for (int64_t size : reshape)
      form.shape.push_back(size == -1 ? all / known : uint64_t(size));
  }
  return form;
}

/// [rows, columns] to [columns, rows].
static std::vector<float> transposed(std::span<const float> values,
                                     uint64_t rows, uint64_t columns) {
  std::vector<float> result(values.size());
  for (uint64_t row = 0; row < rows; ++row)
    for (uint64_t column = 0; column < columns; ++column)
      result[column * rows + row] = values[row * columns + column];
  return result;
}

std::vector<float> toPublished(const PublishedForm &form,
                               std::span<const uint64_t> shape,
                               std::span<const float> values) {
  if (form.transpose)
    return transposed(values, shape[0], shape[1]);
  return {values.begin(), values.end()};
}

std::vector<float> fromPublished(const PublishedForm &form,
                                 std::span<const uint64_t> shape,
                                 std::span<const float> values) {
  if (form.transpose)
    return transposed(values, shape[1], shape[0]);
  return {values.begin(), values.end()};
}

} // namespace bitbyte
