//===- main.cpp - bb-data: bytes to train on ------------------------------===//

#include "tools/bb-data/Commands.h"

#include <CLI/CLI.hpp>
#include <clocale>

using namespace bitbyte;

/// "\n", "\t", "\0", "\\" and "\xHH" in an option's text.
static std::string unescape(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char c = text[++i];
    if (c == 'x' && i + 2 < text.size() && std::isxdigit(text[i + 1]) &&
        std::isxdigit(text[i + 2])) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : c;
    }
  }
  return out;
}

static void addCommon(CLI::App &app, DataCommand &command) {
  app.add_option("--shard-bytes", command.shardBytes,
                 "Largest shard; sizes may end in K, M or G")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--json", command.json, "Print the result as JSON");
}

int main(int argc, char **argv) {
  CLI::App app("Makes the data directories that bb-run trains and evaluates "
               "on: raw bytes in\nshards, split into train, val and test (98, "
               "1 and 1 %) by the hash of each document.");
  app.name("bb-data");
  app.set_version_flag("--version", "bb-data " BB_VERSION);
  app.require_subcommand(1);
  app.footer("Examples:\n"
             "  bb-data recipe stories-en -o stories     a corpus from Debian "
             "packages\n"
             "  bb-data pack book.txt notes/ -o mine     your own files\n"
             "  bb-data synth --bytes 8M -o tales        stories with a known "
             "entropy\n"
             "  bb-data info stories                     what is in it; checks "
             "every byte");
  DataCommand command;
  std::string separator;

  CLI::App *pack = app.add_subcommand("pack", "Pack files into a directory");
  pack->add_option("INPUT", command.inputs,
                   "Files, directories, tar archives, - for standard input; "
                   "gzip, zstd and xz are unpacked")
      ->required();
  pack->add_option("-o,--output", command.directory, "Directory to make")
      ->required();
  pack->add_option("--field", command.field,
                   "Inputs are JSON lines: each line's string NAME is a "
                   "document");
  pack->add_option("--separator", separator,
                   "Bytes between documents; \\n \\t \\0 \\xHH are understood");
  pack->add_flag("--raw", command.raw,
                 "Unpack nothing: take the bytes as they are");
  pack->add_flag("--no-val", command.noSplit, "Put everything into train");
  addCommon(*pack, command);
  pack->footer(
      "Example:\n  zcat dump.gz | bb-data pack - --separator '\\n' -o dump");

  CLI::App *recipe =
      app.add_subcommand("recipe", "Make a known corpus from Debian packages");
  recipe->add_option("NAME", command.name, "Which one; 'list' lists them")
      ->required();
  recipe->add_option("-o,--output", command.directory, "Directory to make");
  recipe->add_option(
      "--cache", command.cache,
      "Where packages are kept (default: ~/.cache/bitbyte/packages)");
  recipe->add_flag("--strict", command.strict,
                   "Fail where the content differs from the pinned hash");
  addCommon(*recipe, command);
  recipe->footer("Example:\n  bb-data recipe stories-en -o stories");

  CLI::App *synth =
      app.add_subcommand("synth", "Invent stories with a known entropy");
  synth->add_option("-o,--output", command.directory, "Directory to make")
      ->required();
  synth->add_option("--bytes", command.bytes, "How much, at least")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  synth->add_option("--seed", command.seed, "Which stories")
      ->capture_default_str();
  addCommon(*synth, command);
  synth->footer("Example:\n  bb-data synth --seed 7 --bytes 64M -o tales");

  CLI::App *info =
      app.add_subcommand("info", "Show a directory, and check all its bytes");
  info->add_option("DIR", command.directory, "Data directory")->required();
  info->add_flag("--json", command.json, "Print JSON");
  info->footer("Example:\n  bb-data info stories --json");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorKind::Usage);
  }
  command.separator = unescape(separator);

  Result<void> done = pack->parsed()     ? runPack(command)
                      : recipe->parsed() ? runRecipe(command)
                      : synth->parsed()  ? runSynth(command)
                                         : runInfo(command);
  if (done)
    return 0;
  fmt::print(stderr, "bb-data: error: {}\n", done.error().message);
  return static_cast<int>(done.error().kind);
}
