//===- Generate.cpp - bb-run generate -------------------------------------===//

#include "runtime/core/File.h"
#include "runtime/generate/Generator.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Runs.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <unistd.h>

namespace bitbyte {

namespace {

struct Options {
  std::string artifact, checkpoint, prompt;
  GenerateOptions generate;
  EngineOptions engine;
  bool greedy = false, noCache = false, escape = false, echo = false;
};

/// False if the reader is gone.
Result<bool> writeOut(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0 && errno == EPIPE)
      return false;
    if (written < 0)
      return fail(ErrorKind::Failed, "standard output: {}", systemError(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

/// \n \t \r \0 \\ \xHH as the bytes that they stand for.
Result<std::string> unescape(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    static constexpr std::string_view from = "ntr0\\", to("\n\t\r\0\\", 5);
    size_t at = i + 1 < text.size() ? from.find(text[i + 1]) : from.npos;
    unsigned value = 0;
    const char *hex = text.data() + i + 2;
    if (at != from.npos) {
      bytes += to[at];
      ++i;
    } else if (i + 3 < text.size() && text[i + 1] == 'x' &&
               std::from_chars(hex, hex + 2, value, 16).ptr == hex + 2) {
      bytes += static_cast<char>(value);
      i += 3;
    } else {
      return fail(ErrorKind::Usage,
                  "--prompt: the escape at byte {} is none of \\n \\t \\r \\0 "
                  "\\\\ \\xHH",
                  i);
    }
  }
  return bytes;
}

Result<std::string> promptOf(const Options &options) {
  std::string prompt = options.prompt;
  if (prompt == "-") {
    BB_ASSIGN(auto input, MappedFile::open("/dev/stdin"));
    prompt = std::string(input->text());
  }
  if (options.escape)
    return unescape(prompt);
  return prompt;
}

Result<void> showPrompt(const Options &options, const std::string &prompt) {
  bool terminal = isatty(STDOUT_FILENO);
  if (prompt.empty() || (!terminal && !options.echo))
    return {};
  bool dim = terminal && !getenv("NO_COLOR");
  BB_TRY(writeOut(dim ? "\033[2m" + prompt + "\033[0m" : prompt));
  return {};
}

Result<void> generate(const Options &options) {
  BB_ASSIGN(std::string prompt, promptOf(options));
  GenerateOptions asked = options.generate;
  asked.cache = !options.noCache;
  if (options.greedy)
    asked.sampler.temperature = 0;
  BB_TRY(Sampler::create(asked.sampler)); // before the weights are read
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  BB_TRY(loadCheckpointWeights(*engine, options.checkpoint));
  signal(SIGPIPE, SIG_IGN);
  BB_TRY(showPrompt(options, prompt));

  Result<bool> open = true;
  BB_ASSIGN(GenerateEnd end,
            generate(*engine, prompt, asked, [&](uint8_t byte) {
              char c = static_cast<char>(byte);
              open = writeOut({&c, 1});
              return open && *open;
            }));
  if (!open)
    return tl::unexpected(std::move(open.error()));
  if (isatty(STDOUT_FILENO))
    BB_TRY(writeOut("\n"));
  if (end == GenerateEnd::contextFull)
    fmt::print(stderr, "bb-run: stopped: the model's context is full\n");
  return {};
}

} // namespace

void addGenerate(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  GenerateOptions &asked = options->generate;
  CLI::App *command = addCommand(
      app, "generate", "Let a model write",
      "bb-run generate s.bba --checkpoint runs/a --prompt 'Once upon a time'\n"
      "bb-run generate s.bba --checkpoint runs/a --prompt - --bytes 500 < a.txt"
      "\n"
      "bb-run generate s.bba --checkpoint runs/a --prompt 'a\\tb\\x00' "
      "--escape");
  command->add_option("ARTIFACT", options->artifact, "What bbc wrote")
      ->required();
  command
      ->add_option("--checkpoint", options->checkpoint,
                   "A run (its newest checkpoint), a checkpoint, or a "
                   "safetensors file")
      ->required();
  command->add_option("--prompt", options->prompt,
                      "Raw bytes, or - for standard input; an empty one stands "
                      "for a newline");
  command->add_option("--bytes", asked.bytes, "How many bytes to write")
      ->capture_default_str();
  command
      ->add_option("--temperature", asked.sampler.temperature,
                   "Below 1 bolder, above 1 wilder; 0: greedy")
      ->capture_default_str();
  command->add_option("--top-k", asked.sampler.topK,
                      "Draw among the K likeliest bytes; 0: off");
  command->add_option("--top-p", asked.sampler.topP,
                      "Draw among the fewest bytes that hold this probability");
  command->add_flag("--greedy", options->greedy, "Always the likeliest byte");
  command->add_option("--seed", asked.sampler.seed, "Of the draws")
      ->capture_default_str();
  command->add_flag("--escape", options->escape,
                    "\\n \\t \\r \\\\ \\xHH in the prompt stand for bytes");
  command->add_flag("--echo", options->echo, "Write the prompt first");
  command->add_flag("--no-cache", options->noCache,
                    "Compute every byte from the whole text: slow, a check");
  addDeviceOptions(*command, options->engine);
  command->callback([options, &action] {
    action = [options] { return generate(*options); };
  });
}

} // namespace bitbyte
