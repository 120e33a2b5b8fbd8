#include "runtime/data/pack/StoryGenerator.h"

#include <gmock/gmock.h>
#include <set>

using namespace bitbyte;

TEST(StoryGenerator, DrawsCanBeReadBack) {
  // What makes the sum of log2(options) the entropy: within a kind, no option's
  // text up to its first slot begins another's.
  for (const StoryKind &kind : StoryGenerator::grammar())
    for (std::string_view a : kind.options)
      for (std::string_view b : kind.options)
        if (a.data() != b.data()) {
          EXPECT_FALSE(
              b.substr(0, b.find('{')).starts_with(a.substr(0, a.find('{'))))
              << kind.name << ": " << a << " / " << b;
        }
}

TEST(StoryGenerator, IsSeededAndFillsEverySlot) {
  StoryGenerator generator(1), same(1), other(2);
  std::set<std::string> texts;
  for (uint64_t i = 0; i < 200; ++i) {
    Story story = generator.story(i);
    EXPECT_EQ(story.text, same.story(i).text);
    EXPECT_NE(story.text, other.story(i).text);
    EXPECT_EQ(story.text.find_first_of("{}"), std::string::npos) << story.text;
    EXPECT_EQ(story.text.back(), '\n');
    EXPECT_GT(story.bits, 50);
    texts.insert(story.text);
  }
  EXPECT_EQ(texts.size(), 200u);
}

TEST(StoryGenerator, IsPinned) {
  // A seed means the same stories for ever.
  Story story = StoryGenerator(7).story(0);
  EXPECT_THAT(
      story.text,
      testing::StartsWith(
          "There was once a tiny child whose name was Olive. Every day "
          "she played near the huge valley. One foggy day, Olive wanted "
          "a brown box more than anything."));
  EXPECT_NEAR(story.bits, 73.3306, 1e-3);
}
