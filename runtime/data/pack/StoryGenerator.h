//===- StoryGenerator.h - Seeded stories with a known entropy -------------===//
//
// Small stories in the words of a young child, drawn from a grammar. Names and
// things return later in a story, so a model gains by looking back. Every draw
// can be read back from the text (the options of a draw start differently; a
// test holds the grammar to that), so the entropy of a story is exactly the sum
// of log2(options) over its draws: no model can have fewer bits per byte in the
// long run, and one that knows the grammar has exactly as many.
//===----------------------------------------------------------------------===//
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitbyte {

/// One kind of draw: its name and its options. An option is text with slots:
/// `{kind}` draws once in a story and repeats that, `{kind2}` is another one,
/// `{he} {him} {his} {He}` follow the drawn name.
struct StoryKind {
  std::string_view name;
  std::vector<std::string_view> options;
};

struct Story {
  std::string text; ///< Ends with a newline.
  double bits = 0;  ///< Entropy: the sum of log2(options) of its draws.
};

class StoryGenerator {
public:
  explicit StoryGenerator(uint64_t seed) : seed(seed) {}

  /// The story of this number: any can be made without the ones before.
  Story story(uint64_t number) const;

  static std::span<const StoryKind> grammar();

private:
  uint64_t seed;
};

} // namespace bitbyte
