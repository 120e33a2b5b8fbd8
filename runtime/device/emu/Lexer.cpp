#include "runtime/device/emu/Lexer.h"

namespace bitbyte::emu {

static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '$' || c == '%';
}
static bool isBlank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' ||
         c == '\v';
}

namespace {

class Lexer {
public:
  explicit Lexer(std::string_view text) : text(text) {}

  Token next() {
    skipBlanks();
    Token token{Token::Kind::End, line, {}};
    if (at == text.size())
      return token;
    size_t start = at;
    char c = text[at];
    if (isLetter(c) ||
        (c == '.' && at + 1 < text.size() && !isDigit(text[at + 1]))) {
      token.kind = Token::Kind::Word;
      skipWord();
    } else if (isDigit(c)) {
      token.kind = Token::Kind::Number;
      while (
          at < text.size() &&
          (isDigit(text[at]) || isLetter(text[at]) || text[at] == '.' ||
           ((text[at] == '+' || text[at] == '-') && isDecimalExponent(start))))
        ++at;
    } else if (c == '"') {
      token.kind = Token::Kind::String;
      ++at;
      while (at < text.size() && text[at] != '"' && text[at] != '\n')
        ++at;
      if (at < text.size() && text[at] == '"')
        ++at;
    } else {
      token.kind = Token::Kind::Mark;
      ++at;
    }
    token.text = text.substr(start, at - start);
    return token;
  }

private:
  void skipWord() {
    ++at;
    while (at < text.size()) {
      char c = text[at];
      if (isLetter(c) || isDigit(c) || c == '.')
        ++at;
      else if (c == ':' && at + 1 < text.size() && text[at + 1] == ':')
        at += 2;
      else
        break;
    }
  }

  /// Whether the sign at `at` belongs to a number like 1.5e-3.
  bool isDecimalExponent(size_t start) const {
    char before = text[at - 1];
    return (before == 'e' || before == 'E') &&
           text.substr(start, at - start).find('.') != std::string_view::npos;
  }

  void skipBlanks() {
    while (at < text.size()) {
      if (text[at] == '\n')
        ++line;
      if (isBlank(text[at])) {
        ++at;
      } else if (text.substr(at, 2) == "//") {
        while (at < text.size() && text[at] != '\n')
          ++at;
      } else if (text.substr(at, 2) == "/*") {
        at += 2;
        while (at < text.size() && text.substr(at, 2) != "*/") {
          line += text[at] == '\n';
          ++at;
        }
        at = at + 2 < text.size() ? at + 2 : text.size();
      } else {
        break;
      }
    }
  }

  std::string_view text;
  size_t at = 0;
  uint32_t line = 1;
};

} // namespace

std::vector<Token> tokenize(std::string_view text) {
  Lexer lexer(text);
  std::vector<Token> tokens;
  do
    tokens.push_back(lexer.next());
  while (tokens.back().kind != Token::Kind::End);
  return tokens;
}

std::string_view lineOf(std::string_view text, uint32_t line) {
  size_t at = 0;
  for (uint32_t i = 1; i < line && at < text.size(); ++i) {
    size_t end = text.find('\n', at);
    at = end == std::string_view::npos ? text.size() : end + 1;
  }
  std::string_view found = text.substr(at, text.find('\n', at) - at);
  while (!found.empty() && isBlank(found.front()))
    found.remove_prefix(1);
  while (!found.empty() && isBlank(found.back()))
    found.remove_suffix(1);
  return found;
}

} // namespace bitbyte::emu
