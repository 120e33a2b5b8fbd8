//===- Clean.h - Plain text out of marked-up text -------------------------===//
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bitbyte {

/// Which elements of HTML or OSIS text mean what; all others vanish and leave
/// their content.
struct MarkupRules {
  /// Dropped with their content: an element's name, or `.class` for every
  /// element whose class attribute begins so.
  std::span<const std::string_view> drop;
  std::span<const std::string_view> breaks; ///< Begin a new line.
};

/// Strips tags and comments, resolves entities, tidies white space.
std::string stripMarkup(std::string_view text, const MarkupRules &rules);

std::string cleanHtml(std::string_view text);

/// A manual page in man macros as plain text; empty for pages that only refer
/// to another one, or are written in mdoc.
std::string cleanManual(std::string_view text);

/// One space between words, no space at line ends, no empty lines.
std::string tidySpace(std::string_view text);

/// Typographic quotes, dashes and ellipses as ASCII.
std::string plainPunctuation(std::string text);

void replaceAll(std::string &text, std::string_view from, std::string_view to);

} // namespace bitbyte
