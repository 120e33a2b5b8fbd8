#include "runtime/data/pack/StoryGenerator.h"

#include <Random123/philox.h>
#include <algorithm>
#include <cmath>

namespace bitbyte {

// Within a kind no option's text, up to its first slot, begins another's.
static const std::vector<StoryKind> kinds = {
    {"story",
     {"{opening} {home} {wish} {reason} {trouble} {try} {meeting} {advice} "
      "{help} {happy} {lesson}\n"}},
    // The first twenty are girls.
    {"name",
     {"Anna", "Bella", "Clara",  "Daisy", "Ella", "Fiona", "Grace", "Holly",
      "Iris", "Jane",  "Kate",   "Lucy",  "Mia",  "Nora",  "Olive", "Polly",
      "Rose", "Sara",  "Tina",   "Wendy", "Adam", "Ben",   "Carl",  "David",
      "Eric", "Frank", "George", "Henry", "Ivan", "Jack",  "Kevin", "Leo",
      "Max",  "Noah",  "Oscar",  "Peter", "Rob",  "Sam",   "Tom",   "Will"}},
    {"trait",
     {"brave", "careful", "clever", "cheerful", "gentle", "happy", "kind",
      "lazy", "lonely", "merry", "noisy", "patient", "proud", "quiet", "sleepy",
      "shy", "silly", "stubborn", "tiny"}},
    {"animal",
     {"badger", "bear",  "cat",      "crow",  "deer",   "dog", "duck",
      "fox",    "frog",  "goat",     "goose", "hare",   "hen", "horse",
      "lamb",   "mole",  "mouse",    "otter", "owl",    "pig", "rabbit",
      "robin",  "snail", "squirrel", "swan",  "turtle", "wolf"}},
    {"place", {"barn",   "bridge",  "cave",    "castle", "farm",   "forest",
               "garden", "harbour", "hill",    "lake",   "market", "meadow",
               "mill",   "orchard", "pond",    "river",  "school", "shore",
               "tower",  "valley",  "village", "well"}},
    {"color",
     {"black", "blue", "brown", "golden", "green", "grey", "pink", "purple",
      "red", "silver", "white", "yellow"}},
    {"thing",
     {"ball",   "basket", "bell",     "boat",   "book",   "bottle",  "box",
      "button", "candle", "coat",     "cup",    "drum",   "feather", "flag",
      "flute",  "hat",    "jar",      "key",    "kite",   "ladder",  "lamp",
      "map",    "mirror", "necklace", "pebble", "pencil", "ribbon",  "ring",
      "rope",   "shell",  "spoon",    "stone",  "sword",  "teapot",  "violin",
      "wagon",  "whistle"}},
    {"food",
     {"berries", "bread", "cake", "carrots", "cheese", "cherries", "cookies",
      "honey", "jam", "milk", "nuts", "pancakes", "pears", "plums", "soup",
      "toast"}},
    {"size", {"big", "huge", "large", "little", "plain", "small"}},
    {"time",
     {"One autumn morning", "One cold evening", "One foggy day",
      "One hot afternoon", "One rainy day", "One spring morning",
      "One summer night", "One sunny day", "One windy day",
      "One winter morning"}},
    {"opening",
     {"Once upon a time there was a {trait} child named {name}.",
      "Long ago there lived a {trait} child called {name}.",
      "There was once a {trait} child whose name was {name}.",
      "This is the story of a {trait} child named {name}."}},
    {"home",
     {"Every day {he} played near the {size} {place}.",
      "In a {size} house by the {place}, {he} lived with {his} {person}.",
      "Not far from the {place} {he} had a {size} room with a {color2} door.",
      "People at the {place} knew {him} well, for {he} always shared {his} "
      "{food}."}},
    {"person",
     {"aunt", "brother", "cousin", "father", "grandmother", "grandfather",
      "mother", "sister", "uncle"}},
    {"wish", {"{time}, {name} wanted a {color} {thing} more than anything."}},
    {"reason",
     {"A friend had one just like it.",
      "For {his} {person2} the next day was a birthday.",
      "In a dream {he} had seen it shine.",
      "It would make the {animal2} laugh, {he} thought.",
      "Nobody at the {place} had ever seen such a {thing}.",
      "With it {he} could win the race at the {place2}."}},
    {"trouble",
     {"But a {size2} wall stood around the {place2} where it lay.",
      "Sadly, the {thing} fell behind the {place2} and was gone.",
      "Then the wind took the {thing} and dropped it behind the {place2}.",
      "When {he} came to the {place2}, the {thing} was stuck in a tree.",
      "Yet a {size2} {animal2} sat on the {thing} and would not move."}},
    {"try",
     {"At first {name} called for help, but no one came.",
      "First {he} pulled with both hands, but it was too heavy.",
      "Next {he} built steps out of {color2} boxes, but they fell.",
      "So {name} waited until dark and felt {feeling}.",
      "Twice {he} jumped as high as {he} could, and twice {he} fell."}},
    {"feeling", {"afraid", "angry", "cold", "lost", "sad", "tired", "upset"}},
    {"meeting",
     {"Just then a {trait2} {animal} came by with some {food}.",
      "Out of the grass stepped a {trait2} {animal}.",
      "Suddenly a {trait2} {animal} spoke to {him}.",
      "Up on a branch {he} saw a {trait2} {animal}."}},
    {"advice",
     {"\"Do not cry,\" said the {animal}.",
      "\"I can help you, {name},\" said the {animal}.",
      "\"Let us do it together,\" said the {animal}.",
      "\"What is wrong, {name}?\" asked the {animal}.",
      "\"You look {feeling2},\" said the {animal}."}},
    {"help", {"{He} gave the {animal} some {food}, and together they {deed}."}},
    {"deed",
     {"asked the {animal2} to bring the {thing} back",
      "dug a tunnel to the {thing}",
      "found a long stick and reached the {thing}",
      "made a net and caught the {thing}",
      "sang until the {thing} came rolling down",
      "tied a rope around the {thing} and pulled"}},
    {"happy",
     {"Soon {name} held the {color} {thing} in {his} hands and smiled.",
      "That evening {name} and the {animal} danced around the {color} {thing}.",
      "The {color} {thing} was safe, and {name} hugged the {animal}."}},
    {"lesson",
     {"After that, {name} was never {feeling3} again.",
      "From then on, {name} and the {animal} were friends.",
      "Now {name} knew that a {trait2} friend is worth more than a {thing}."}},
};

std::span<const StoryKind> StoryGenerator::grammar() { return kinds; }

namespace {

/// One story being told.
class Teller {
public:
  Teller(uint64_t seed, uint64_t number) : seed(seed), number(number) {}

  void expand(std::string_view text, std::string &out) {
    while (!text.empty()) {
      size_t open = text.find('{');
      out += text.substr(0, open);
      if (open == std::string_view::npos)
        return;
      size_t close = text.find('}', open);
      fill(text.substr(open + 1, close - open - 1), out);
      text.remove_prefix(close + 1);
    }
  }

  double bits = 0;

private:
  void fill(std::string_view slot, std::string &out) {
    static constexpr std::string_view pronouns[][2] = {
        {"he", "she"}, {"him", "her"}, {"his", "her"}, {"He", "She"}};
    for (auto &forms : pronouns)
      if (slot == forms[0]) {
        out += forms[isGirl];
        return;
      }
    if (!drawn.contains(slot)) {
      // The text is made before it is kept: an option may hold further slots.
      std::string made;
      expand(draw(slot), made);
      drawn[slot] = std::move(made);
    }
    out += drawn[slot];
  }

  std::string_view draw(std::string_view slot) {
    std::string_view kind = slot;
    while (kind.back() >= '2' && kind.back() <= '9')
      kind.remove_suffix(1);
    const StoryKind *found = nullptr;
    for (const StoryKind &candidate : kinds)
      if (candidate.name == kind)
        found = &candidate;
    // Numbered slots differ from those of their kind that were drawn before.
    std::vector<size_t> &used = taken[kind];
    std::vector<size_t> options;
    for (size_t i = 0; i < found->options.size(); ++i)
      if (std::find(used.begin(), used.end(), i) == used.end())
        options.push_back(i);
    size_t choice = options[random() % options.size()];
    used.push_back(choice);
    bits += std::log2(static_cast<double>(options.size()));
    if (kind == "name")
      isGirl = choice < 20;
    return found->options[choice];
  }

  uint64_t random() {
    r123::Philox4x32 philox;
    r123::Philox4x32::ctr_type counter = {{static_cast<uint32_t>(number),
                                           static_cast<uint32_t>(number >> 32),
                                           draws++, 0x53746f72}};
    r123::Philox4x32::key_type key = {
        {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
    auto words = philox(counter, key);
    return uint64_t(words[1]) << 32 | words[0];
  }

  uint64_t seed, number;
  uint32_t draws = 0;
  bool isGirl = false;
  std::map<std::string_view, std::string> drawn;
  std::map<std::string_view, std::vector<size_t>> taken;
};

} // namespace

Story StoryGenerator::story(uint64_t number) const {
  Teller teller(seed, number);
  Story story;
  teller.expand("{story}", story.text);
  story.bits = teller.bits;
  return story;
}

} // namespace bitbyte
