//===- RunConfigReader.cpp - TOML and --set into structs ------------------===//
#include "runtime/core/File.h"
#include "runtime/train/RunConfig.h"
#include "runtime/train/RunDirectory.h"

#include <algorithm>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#include <toml++/toml.h>

namespace bitbyte {

namespace {

/// Where a value stands, and what kind of error a wrong one is.
struct Origin {
  std::string path;
  bool commandLine = false;

  template <typename... Args>
  tl::unexpected<Error> error(const toml::source_region &at,
                              fmt::format_string<Args...> format,
                              Args &&...args) const {
    std::string message = fmt::format(format, std::forward<Args>(args)...);
    if (commandLine)
      return fail(ErrorKind::Usage, "{}: {}", path, message);
    return fail(ErrorKind::BadInput, "{}:{}:{}: error: {}", path, at.begin.line,
                at.begin.column, message);
  }
};

std::string_view typeName(const toml::node &node) {
  switch (node.type()) {
  case toml::node_type::table:
    return "a table";
  case toml::node_type::array:
    return "an array";
  case toml::node_type::string:
    return "text";
  case toml::node_type::integer:
    return "a whole number";
  case toml::node_type::floating_point:
    return "a number";
  case toml::node_type::boolean:
    return "true or false";
  default:
    return "a date";
  }
}

std::string hint(std::string_view word, std::span<const std::string_view> all) {
  std::string_view nearest = nearestWord(word, all);
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest);
}

Result<void> readNumber(int64_t &out, const toml::node &node,
                        std::string_view what, double least, double most,
                        const Origin &origin) {
  const toml::value<int64_t> *number = node.as_integer();
  if (!number)
    return origin.error(node.source(), "{} is {}, wants a whole number", what,
                        typeName(node));
  if (number->get() < least || number->get() > most)
    return origin.error(node.source(), "{} = {} is outside {} to {}", what,
                        number->get(), least, most);
  out = number->get();
  return {};
}

Result<void> readNumber(double &out, const toml::node &node,
                        std::string_view what, double least, double most,
                        const Origin &origin) {
  double number;
  if (auto *whole = node.as_integer())
    number = static_cast<double>(whole->get());
  else if (auto *real = node.as_floating_point())
    number = real->get();
  else
    return origin.error(node.source(), "{} is {}, wants a number", what,
                        typeName(node));
  if (!(number >= least && number <= most)) // also refuses nan
    return origin.error(node.source(), "{} = {} is outside {} to {}", what,
                        number, least, most);
  out = number;
  return {};
}

Result<void> readCurriculum(std::vector<CurriculumEntry> &out,
                            const toml::node &node, const Origin &origin) {
  const toml::array *array = node.as_array();
  if (!array)
    return origin.error(
        node.source(),
        "data.curriculum is {}, wants an array like [{{step = 0, T = 64, B = "
        "8}}]",
        typeName(node));
  out.clear();
  for (const toml::node &element : *array) {
    const toml::table *table = element.as_table();
    if (!table)
      return origin.error(element.source(),
                          "an entry of data.curriculum is {}, wants {{step = "
                          "0, T = 64, B = 8}}",
                          typeName(element));
    CurriculumEntry entry;
    const std::pair<std::string_view, int64_t *> fields[] = {
        {"step", &entry.step}, {"T", &entry.T}, {"B", &entry.B}};
    static constexpr std::string_view names[] = {"step", "T", "B"};
    for (const auto &[key, value] : *table)
      if (std::ranges::find(names, key.str()) == std::end(names))
        return origin.error(key.source(),
                            "an entry of data.curriculum has no key '{}'{}",
                            key.str(), hint(key.str(), names));
    for (const auto &[name, field] : fields) {
      const toml::node *value = table->get(name);
      if (!value)
        return origin.error(element.source(),
                            "an entry of data.curriculum lacks '{}'", name);
      BB_TRY(readNumber(*field, *value,
                        fmt::format("data.curriculum: {}", name),
                        name == "step" ? 0 : 1, 1 << 30, origin));
    }
    out.push_back(entry);
  }
  return {};
}

Result<void> readText(std::string &out, const toml::node &node,
                      const RunConfig::Key &key, const Origin &origin) {
  const toml::value<std::string> *text = node.as_string();
  if (!text)
    return origin.error(node.source(), "{} is {}, wants text", key.fullName(),
                        typeName(node));
  if (!key.words.empty() &&
      std::ranges::find(key.words, text->get()) == key.words.end())
    return origin.error(node.source(), "{} = \"{}\" is none of {}{}",
                        key.fullName(), text->get(), fmt::join(key.words, ", "),
                        hint(text->get(), key.words));
  out = text->get();
  return {};
}

Result<void> readValue(RunConfig &config, const RunConfig::Key &key,
                       const toml::node &node, const Origin &origin) {
  return std::visit(
      [&](auto member) -> Result<void> {
        auto &out = config.*member;
        using T = std::decay_t<decltype(out)>;
        if constexpr (std::is_same_v<T, std::string>)
          return readText(out, node, key, origin);
        else if constexpr (std::is_arithmetic_v<T>)
          return readNumber(out, node, key.fullName(), key.least, key.most,
                            origin);
        else
          return readCurriculum(out, node, origin);
      },
      key.member);
}

std::vector<std::string_view> sectionNames() {
  std::vector<std::string_view> names;
  for (const RunConfig::Key &key : RunConfig::keys())
    if (std::ranges::find(names, key.section) == names.end())
      names.push_back(key.section);
  return names;
}

Result<const RunConfig::Key *> keyIn(std::string_view section,
                                     std::string_view name,
                                     const toml::source_region &at,
                                     const Origin &origin) {
  std::vector<std::string_view> names;
  for (const RunConfig::Key &key : RunConfig::keys()) {
    if (key.section == section && key.name == name)
      return &key;
    if (key.section == section)
      names.push_back(key.name);
  }
  return origin.error(at, "unknown key '{}' in [{}]{}", name, section,
                      hint(name, names));
}

/// In the order of the file, so that the first error is the topmost.
std::vector<std::pair<toml::key, const toml::node *>>
inOrder(const toml::table &table) {
  std::vector<std::pair<toml::key, const toml::node *>> entries;
  for (const auto &[key, node] : table)
    entries.emplace_back(key, &node);
  std::ranges::sort(entries, [](const auto &a, const auto &b) {
    const auto &x = a.first.source().begin, &y = b.first.source().begin;
    return std::pair(x.line, x.column) < std::pair(y.line, y.column);
  });
  return entries;
}

} // namespace

Result<void> RunConfig::readText(std::string_view text,
                                 const std::string &path) {
  Origin origin{path};
  toml::parse_result parsed = toml::parse(text, path);
  if (!parsed)
    return origin.error(parsed.error().source(), "{}",
                        parsed.error().description());
  for (const auto &[section, node] : inOrder(parsed.table())) {
    if (section.str() == "run")
      continue;
    std::vector<std::string_view> sections = sectionNames();
    const toml::table *table = node->as_table();
    if (std::ranges::find(sections, section.str()) == sections.end())
      return origin.error(section.source(), "unknown {} '{}'{}",
                          table ? "section" : "key outside of any section",
                          section.str(), hint(section.str(), sections));
    if (!table)
      return origin.error(section.source(), "'{}' is {}, wants a section",
                          section.str(), typeName(*node));
    for (const auto &[name, value] : inOrder(*table)) {
      BB_ASSIGN(const Key *key,
                keyIn(section.str(), name.str(), name.source(), origin));
      BB_TRY(readValue(*this, *key, *value, origin));
    }
  }
  return {};
}

Result<void> RunConfig::readFile(const std::string &path) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  return readText(file->text(), path);
}

Result<void> RunConfig::set(std::string_view assignment) {
  Origin origin{fmt::format("--set {}", assignment), true};
  toml::source_region nowhere;
  size_t equals = assignment.find('='), dot = assignment.find('.');
  if (equals == assignment.npos || dot == assignment.npos || dot > equals)
    return origin.error(nowhere, "wants section.key=value");
  std::string_view section = assignment.substr(0, dot),
                   name = assignment.substr(dot + 1, equals - dot - 1);
  std::string value(assignment.substr(equals + 1));
  std::vector<std::string_view> sections = sectionNames();
  if (std::ranges::find(sections, section) == sections.end())
    return origin.error(nowhere, "unknown section '{}'{}", section,
                        hint(section, sections));
  BB_ASSIGN(const Key *key, keyIn(section, name, nowhere, origin));
  if (std::holds_alternative<std::string RunConfig::*>(key->member)) {
    if (!value.starts_with('"')) { // a bare word will do
      toml::value<std::string> text(value);
      return readValue(*this, *key, text, origin);
    }
  }
  toml::parse_result parsed = toml::parse("value = " + value);
  if (!parsed || parsed.table().size() != 1)
    return origin.error(nowhere, "'{}' is no value", value);
  return readValue(*this, *key, *parsed.table().get("value"), origin);
}

Result<RunRecord> RunRecord::read(const std::string &path) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  toml::parse_result parsed = toml::parse(file->text(), path);
  if (!parsed)
    return Origin{path}.error(parsed.error().source(), "{}",
                              parsed.error().description());
  RunRecord record;
  const toml::table *run = parsed.table()["run"].as_table();
  if (!run)
    return record;
  for (const auto &[key, node] : *run)
    if (const toml::value<std::string> *text = node.as_string())
      record.facts[std::string(key.str())] = text->get();
  if (const toml::array *changes = (*run)["changes"].as_array())
    for (const toml::node &change : *changes)
      if (const toml::value<std::string> *text = change.as_string())
        record.changes.push_back(text->get());
  return record;
}

} // namespace bitbyte
