//===- Lexer.h - PTX text as tokens ---------------------------------------===//
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bitbyte::emu {

/// A word is a name with all its dots: `mul.wide.u32`, `.param`, `%tid.x`,
/// `shared::cta`, `$L__BB0_1`. Numbers keep their spelling.
struct Token {
  enum class Kind : uint8_t { Word, Number, String, Mark, End };
  Kind kind = Kind::End;
  uint32_t line = 0;
  std::string_view text;

  bool is(std::string_view what) const {
    return (kind == Kind::Mark || kind == Kind::Word) && text == what;
  }
};

/// Cuts the whole text; the last token is End. The tokens borrow the text.
/// Characters that PTX does not know become marks, which no rule accepts.
std::vector<Token> tokenize(std::string_view text);

/// The line of the text with this number (from 1), without blanks around it.
std::string_view lineOf(std::string_view text, uint32_t line);

} // namespace bitbyte::emu
