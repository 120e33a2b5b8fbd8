#include "tools/bb-data/Commands.h"

#include "runtime/data/Dataset.h"
#include "runtime/data/pack/Packer.h"
#include "runtime/data/pack/Recipe.h"
#include "runtime/data/pack/StoryGenerator.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unistd.h>

using nlohmann::ordered_json;

namespace bitbyte {

static volatile std::sig_atomic_t stopAsked = 0;

/// Shows progress on a terminal ten times a second, and asks to stop after
/// SIGINT or SIGTERM, so that the packer can remove what it began.
static std::function<bool(uint64_t, uint64_t)> makeProgress() {
  auto onSignal = [](int) { stopAsked = 1; };
  std::signal(SIGINT, onSignal);
  std::signal(SIGTERM, onSignal);
  using Clock = std::chrono::steady_clock;
  bool terminal = isatty(2);
  return [terminal, last = Clock::time_point()](uint64_t bytes,
                                                uint64_t documents) mutable {
    auto now = Clock::now();
    if (terminal && now - last > std::chrono::milliseconds(100)) {
      last = now;
      fmt::print(stderr, "\r{:.1f} MB, {} documents\033[K", bytes / 1e6,
                 documents);
    }
    return !stopAsked;
  };
}

static void endProgress() {
  if (isatty(2))
    fmt::print(stderr, "\r\033[K");
}

static void show(const DataIndex &index, const std::string &directory,
                 bool json) {
  ordered_json source = ordered_json::parse(index.sourceJson);
  if (json) {
    ordered_json object = {{"v", 1},
                           {"directory", directory},
                           {"hash", index.contentHash()},
                           {"bytes", index.bytes()},
                           {"separator", index.separator},
                           {"source", source}};
    for (const SplitEntry &split : index.splits)
      object["splits"][split.name] = {{"bytes", split.bytes},
                                      {"units", split.documents},
                                      {"shards", split.shards.size()}};
    fmt::print("{}\n", object.dump(2, ' ', false,
                                   ordered_json::error_handler_t::replace));
    return;
  }
  fmt::print("{}: {} bytes, hash {}\n", directory, index.bytes(),
             index.contentHash());
  fmt::print("{:<8}{:>16}{:>12}{:>10}\n", "split", "bytes", "units", "shards");
  for (const SplitEntry &split : index.splits)
    fmt::print("{:<8}{:>16}{:>12}{:>10}\n", split.name, split.bytes,
               split.documents, split.shards.size());
  if (source.contains("entropy_bits_per_byte"))
    fmt::print("entropy floor: {:.4f} bits per byte\n",
               source["entropy_bits_per_byte"].get<double>());
  for (const ordered_json &package :
       source.value("packages", ordered_json::array()))
    fmt::print("from {} {}\n", package["name"].get<std::string>(),
               package["version"].get<std::string>());
}

static PackOptions packOptions(const DataCommand &command) {
  PackOptions options;
  options.shardBytes = command.shardBytes;
  options.separator = command.separator;
  options.split = !command.noSplit;
  options.progress = makeProgress();
  return options;
}

Result<void> runPack(const DataCommand &command) {
  BB_ASSIGN(std::unique_ptr<Packer> packer,
            Packer::create(command.directory, packOptions(command)));
  DocumentOptions options{command.raw ? Decode::Raw : Decode::Auto,
                          command.field};
  DocumentCounts counts;
  for (const std::string &input : command.inputs)
    BB_TRY(readDocuments(input, options, *packer, counts));
  ordered_json source = {
      {"made_by", "pack"}, {"files", counts.files}, {"field", command.field}};
  BB_ASSIGN(DataIndex index, packer->finish(source.dump()));
  endProgress();
  if (counts.skipped > 0)
    fmt::print(stderr, "left out {} hidden entries and links\n",
               counts.skipped);
  show(index, command.directory, command.json);
  return {};
}

Result<void> runSynth(const DataCommand &command) {
  BB_ASSIGN(std::unique_ptr<Packer> packer,
            Packer::create(command.directory, packOptions(command)));
  StoryGenerator generator(command.seed);
  double bits = 0;
  for (uint64_t number = 0; packer->bytes() < command.bytes; ++number) {
    Story story = generator.story(number);
    bits += story.bits;
    BB_TRY(packer->document(story.text));
  }
  ordered_json source = {
      {"made_by", "synth"},
      {"seed", command.seed},
      {"entropy_bits_per_byte",
       packer->bytes() ? bits / static_cast<double>(packer->bytes()) : 0}};
  BB_ASSIGN(DataIndex index, packer->finish(source.dump()));
  endProgress();
  show(index, command.directory, command.json);
  return {};
}

/// Where .deb files are kept; nothing needs HOME.
static std::string defaultCache() {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/bitbyte/packages";
  if (const char *home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/bitbyte/packages";
  return std::filesystem::temp_directory_path().string() + "/bitbyte-packages";
}

static void listRecipes(bool json) {
  ordered_json array = ordered_json::array();
  if (!json)
    fmt::print("{:<12}{:>12}{:>10}  {}\n", "recipe", "download MB", "text MB",
               "what");
  for (const Recipe &recipe : allRecipes()) {
    if (!json) {
      fmt::print("{:<12}{:>12}{:>10}  {}\n", recipe.name,
                 recipe.downloadMegabytes, recipe.megabytes, recipe.summary);
      continue;
    }
    ordered_json packages = ordered_json::array();
    for (const RecipePart &part : recipe.parts)
      packages.push_back({{"name", part.package}, {"version", part.version}});
    array.push_back({{"name", recipe.name},
                     {"summary", recipe.summary},
                     {"hash", recipe.hash},
                     {"packages", packages}});
  }
  if (json)
    fmt::print("{}\n", array.dump(2));
}

Result<void> runRecipe(const DataCommand &command) {
  if (command.name == "list") {
    listRecipes(command.json);
    return {};
  }
  const Recipe *recipe = findRecipe(command.name);
  if (!recipe)
    return fail(ErrorKind::Usage,
                "no recipe named '{}'; bb-data recipe list shows them",
                command.name);
  if (command.directory.empty())
    return fail(ErrorKind::Usage, "a recipe needs -o DIR");
  RecipeOptions options;
  options.cache = command.cache.empty() ? defaultCache() : command.cache;
  options.pack = packOptions(command);
  options.strict = command.strict;
  options.notice = [](const std::string &line) {
    fmt::print(stderr, "{}\n", line);
  };
  BB_ASSIGN(RecipeResult result, cook(*recipe, command.directory, options));
  endProgress();
  show(result.index, command.directory, command.json);
  if (!result.asPinned) {
    for (const std::string &difference : result.differences)
      fmt::print(stderr, "note: {}\n", difference);
    fmt::print(stderr,
               "warning: the content differs from the pinned one: hash "
               "{}, pinned {}\n",
               result.index.contentHash(), recipe->hash);
  }
  return {};
}

Result<void> runInfo(const DataCommand &command) {
  BB_ASSIGN(Dataset data, Dataset::open(command.directory));
  show(data.index(), command.directory, command.json);
  return {};
}

} // namespace bitbyte
