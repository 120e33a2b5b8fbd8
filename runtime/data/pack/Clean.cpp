#include "runtime/data/pack/Clean.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <utility>

namespace bitbyte {

void replaceAll(std::string &text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t hit; (hit = text.find(from, at)) != std::string::npos;
       at = hit + from.size()) {
    out.append(text, at, hit - at);
    out += to;
  }
  out.append(text, at);
  text = std::move(out);
}

std::string plainPunctuation(std::string text) {
  static constexpr std::pair<std::string_view, std::string_view> table[] = {
      {"\u2018", "'"}, {"\u2019", "'"},   {"\u201c", "\""},  {"\u201d", "\""},
      {"\u2013", "-"}, {"\u2014", " - "}, {"\u2026", "..."}, {"\u00a0", " "}};
  for (auto [from, to] : table)
    replaceAll(text, from, to);
  return text;
}

std::string tidySpace(std::string_view text) {
  std::string out;
  bool space = false, line = false;
  for (char c : text) {
    if (c == '\n')
      line = true;
    else if (c == ' ' || c == '\t' || c == '\r')
      space = true;
    else {
      if (line && !out.empty())
        out += '\n';
      else if (space && !out.empty())
        out += ' ';
      space = line = false;
      out += c;
    }
  }
  if (!out.empty())
    out += '\n';
  return out;
}

static void appendUtf8(std::string &out, uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  int extra = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  constexpr uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(lead[extra] | point >> (6 * extra));
  while (extra-- > 0)
    out += static_cast<char>(0x80 | (point >> (6 * extra) & 0x3f));
}

/// Resolves "&…;" at the start of `text`; returns its length, or 0.
static size_t takeEntity(std::string_view text, std::string &out) {
  size_t end = text.find(';');
  if (end == std::string_view::npos || end > 10)
    return 0;
  std::string_view name = text.substr(1, end - 1);
  static constexpr std::pair<std::string_view, std::string_view> table[] = {
      {"amp", "&"},        {"lt", "<"},         {"gt", ">"},
      {"quot", "\""},      {"apos", "'"},       {"nbsp", " "},
      {"mdash", "\u2014"}, {"ndash", "\u2013"}, {"hellip", "\u2026"},
      {"ldquo", "\u201c"}, {"rdquo", "\u201d"}, {"lsquo", "\u2018"},
      {"rsquo", "\u2019"}};
  for (auto [entity, plain] : table)
    if (name == entity) {
      out += plain;
      return end + 1;
    }
  if (name.size() < 2 || name[0] != '#')
    return 0;
  bool hex = name[1] == 'x' || name[1] == 'X';
  uint32_t point = 0;
  for (char c : name.substr(hex ? 2 : 1)) {
    if (!std::isxdigit(static_cast<unsigned char>(c)))
      return 0;
    uint32_t digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    point = point * (hex ? 16 : 10) + digit;
  }
  if (point == 0 || point > 0x10ffff)
    return 0;
  appendUtf8(out, point == 0xa0 ? ' ' : point);
  return end + 1;
}

namespace {

struct Tag {
  std::string_view name; ///< Without slash.
  std::string_view text; ///< All between the angle brackets.
  bool closes = false, empty = false;
};

} // namespace

static Tag parseTag(std::string_view inside) {
  Tag tag;
  tag.text = inside;
  tag.closes = !inside.empty() && inside[0] == '/';
  tag.empty = !inside.empty() && inside.back() == '/';
  std::string_view rest = inside.substr(tag.closes ? 1 : 0);
  size_t end = 0;
  while (end < rest.size() &&
         std::isalnum(static_cast<unsigned char>(rest[end])))
    ++end;
  tag.name = rest.substr(0, end);
  return tag;
}

static bool isDropped(const Tag &tag, const MarkupRules &rules) {
  return std::any_of(
      rules.drop.begin(), rules.drop.end(), [&](std::string_view rule) {
        if (rule[0] != '.')
          return tag.name == rule;
        std::string attribute = "class=\"" + std::string(rule.substr(1));
        return tag.text.find(attribute) != std::string_view::npos;
      });
}

std::string stripMarkup(std::string_view text, const MarkupRules &rules) {
  std::string out;
  std::string_view dropping; // the element whose end is waited for
  int depth = 0;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i, 4) == "<!--") {
      size_t end = text.find("-->", i);
      i = end == std::string_view::npos ? text.size() : end + 3;
      continue;
    }
    size_t close = text[i] == '<' ? text.find('>', i) : std::string_view::npos;
    if (close != std::string_view::npos) {
      Tag tag = parseTag(text.substr(i + 1, close - i - 1));
      i = close + 1;
      if (depth > 0) {
        if (tag.name == dropping && !tag.empty)
          depth += tag.closes ? -1 : 1;
      } else if (!tag.closes && !tag.empty && isDropped(tag, rules)) {
        dropping = tag.name;
        depth = 1;
      } else if (std::find(rules.breaks.begin(), rules.breaks.end(),
                           tag.name) != rules.breaks.end()) {
        out += '\n';
      }
      continue;
    }
    if (depth > 0) {
      ++i;
      continue;
    }
    if (text[i] == '&')
      if (size_t length = takeEntity(text.substr(i), out)) {
        i += length;
        continue;
      }
    out += text[i++];
  }
  return tidySpace(out);
}

std::string cleanHtml(std::string_view text) {
  static constexpr std::string_view drop[] = {"head",    "script", "style",
                                              ".docnav", ".toc",   ".nav"};
  static constexpr std::string_view breaks[] = {
      "p",  "div", "br", "li", "ul",  "ol",    "dl",
      "dt", "dd",  "h1", "h2", "h3",  "h4",    "h5",
      "h6", "tr",  "td", "th", "pre", "table", "blockquote"};
  // Source lines are wrapped; a new line is one only at these elements.
  std::string joined(text);
  std::replace(joined.begin(), joined.end(), '\n', ' ');
  return stripMarkup(joined, {drop, breaks});
}

//===----------------------------------------------------------------------===//
// Manual pages
//===----------------------------------------------------------------------===//

/// Resolves the escape that begins behind the backslash at `text[i]`; moves `i`
/// behind it.
static void takeEscape(std::string_view text, size_t &i, std::string &out) {
  static constexpr std::pair<std::string_view, std::string_view> glyphs[] = {
      {"aq", "'"},      {"dq", "\""},     {"cq", "\u2019"}, {"oq", "\u2018"},
      {"lq", "\u201c"}, {"rq", "\u201d"}, {"en", "\u2013"}, {"em", "\u2014"},
      {"bu", "\u2022"}, {"co", "\u00a9"}, {"ha", "^"},      {"ti", "~"},
      {"rs", "\\"},     {"->", "\u2192"}, {"mu", "\u00d7"}, {"Fo", "\u00ab"},
      {"Fc", "\u00bb"}};
  // The name of a font, string or glyph: X, (XX or [NAME].
  auto takeName = [&]() -> std::string_view {
    if (i >= text.size())
      return {};
    if (text[i] == '(') {
      std::string_view name = text.substr(i + 1, 2);
      i = std::min(text.size(), i + 3);
      return name;
    }
    if (text[i] == '[') {
      size_t end = std::min(text.find(']', i), text.size());
      std::string_view name = text.substr(i + 1, end - i - 1);
      i = std::min(text.size(), end + 1);
      return name;
    }
    return text.substr(i++, 1);
  };

  if (i >= text.size())
    return;
  char c = text[i];
  if (c == '(' || c == '[') {
    std::string_view name = takeName();
    for (auto [glyph, plain] : glyphs)
      if (name == glyph)
        out += plain;
    return;
  }
  ++i;
  switch (c) {
  case '-':
  case '.':
  case '\'':
    out += c;
    break;
  case 'e':
  case '\\':
    out += '\\';
    break;
  case ' ':
  case '~':
  case '0':
    out += ' ';
    break;
  case '"': // a comment to the end of the line
    i = text.size();
    break;
  case 's':
    while (i < text.size() &&
           (text[i] == '+' || text[i] == '-' ||
            std::isdigit(static_cast<unsigned char>(text[i]))))
      ++i;
    break;
  case 'f':
  case '*':
  case 'm':
  case 'M':
  case 'F':
    takeName();
    break;
  default: // zero-width marks: \& \, \/ \| \^ \% \:
    break;
  }
}

static std::string resolveEscapes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();)
    if (text[i] == '\\')
      takeEscape(text, ++i, out);
    else
      out += text[i++];
  return out;
}

/// The arguments of a macro line, joined by `between`.
static std::string joinArguments(std::string_view text,
                                 std::string_view between) {
  std::string out;
  bool first = true;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    std::string argument;
    bool quoted = text[i] == '"';
    i += quoted;
    while (i < text.size() && text[i] != (quoted ? '"' : ' ')) {
      if (text[i] == '\\' && i + 1 < text.size())
        argument += text[i++];
      argument += text[i++];
    }
    i += quoted;
    if (!first)
      out += between;
    out += resolveEscapes(argument);
    first = false;
  }
  return out;
}

std::string cleanManual(std::string_view text) {
  static constexpr std::string_view spaced[] = {"B",  "I",  "SM",
                                                "SB", "SH", "SS"};
  static constexpr std::string_view joined[] = {"BR", "RB", "IR",
                                                "RI", "BI", "IB"};
  std::string out;
  bool defining = false;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (defining) {
      defining = line != "..";
      continue;
    }
    if (line.empty() || (line[0] != '.' && line[0] != '\'')) {
      out += resolveEscapes(line) + "\n";
      continue;
    }
    size_t begin = line.find_first_not_of(" \t", 1);
    if (begin == std::string_view::npos)
      continue;
    size_t space = line.find(' ', begin);
    std::string_view macro = line.substr(begin, space - begin);
    std::string_view rest =
        space == std::string_view::npos ? "" : line.substr(space + 1);
    if (macro == "so" || macro == "Dd")
      return {};
    auto in = [&](auto &names) {
      return std::find(std::begin(names), std::end(names), macro) !=
             std::end(names);
    };
    defining = macro == "de" || macro == "ig";
    if (in(spaced))
      out += joinArguments(rest, " ") + "\n";
    else if (in(joined))
      out += joinArguments(rest, "") + "\n";
  }
  return tidySpace(out);
}

} // namespace bitbyte
