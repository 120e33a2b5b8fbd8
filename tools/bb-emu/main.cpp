//===- main.cpp - bb-emu: one PTX kernel on the emulator ------------------===//

#include "runtime/device/emu/EmuDevice.h"
#include "tools/bb-emu/Arguments.h"

#include <CLI/CLI.hpp>
#include <clocale>
#include <fstream>
#include <iterator>

using namespace bitbyte;

namespace {

struct Settings {
  std::string path, entry, schedule = "eager", checks = "shared";
  std::vector<uint32_t> grid = {1}, block = {32};
  uint32_t shared = 0;
  uint64_t limit = 0;
  std::vector<std::string> arguments, prints, writes;
  bool mutants = false, list = false, statistics = false;
};

Result<std::string> readText(const std::string &path) {
  std::ifstream file(path == "-" ? "/dev/stdin" : path, std::ios::binary);
  if (!file)
    return fail(ErrorKind::BadInput, "{}: cannot be read", path);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

/// "2", "2:10", "2:10:4": argument, first element, number of elements.
Result<void> printBuffer(const Call &call, const std::string &what) {
  uint64_t numbers[3] = {0, 0, ~uint64_t(0)};
  char tail = 0;
  int found = std::sscanf(what.c_str(), "%lu:%lu:%lu%c", &numbers[0],
                          &numbers[1], &numbers[2], &tail);
  if (found < 1 || found > 3 || numbers[0] >= call.arguments.size() ||
      !call.arguments[numbers[0]].buffer)
    return fail(ErrorKind::Usage,
                "--print {}: there is no such buffer; say "
                "ARGUMENT[:FIRST[:COUNT]], counting from 0",
                what);
  const Argument &argument = call.arguments[numbers[0]];
  uint64_t end = argument.count();
  uint64_t begin = std::min(numbers[1], end);
  end = begin + std::min(numbers[2], end - begin);
  std::string text;
  for (uint64_t i = begin; i < end; ++i)
    text += (i == begin ? "" : " ") + argument.element(i);
  fmt::print("{}: {}\n", numbers[0], text);
  return {};
}

Result<void> writeBuffer(const Call &call, const std::string &what) {
  size_t equals = what.find('=');
  char *end = nullptr;
  uint64_t index = std::strtoull(what.c_str(), &end, 10);
  if (equals == std::string::npos || end != what.c_str() + equals ||
      index >= call.arguments.size() || !call.arguments[index].buffer)
    return fail(ErrorKind::Usage, "--write {}: say ARGUMENT=PATH", what);
  const std::vector<std::byte> &bytes = call.arguments[index].bytes;
  std::ofstream file(what.substr(equals + 1), std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()),
             std::streamsize(bytes.size()));
  if (!file.flush())
    return fail(ErrorKind::Failed, "{}: cannot be written",
                what.substr(equals + 1));
  return {};
}

Result<int> run(const Settings &settings) {
  BB_ASSIGN(std::string text, readText(settings.path));
  BB_ASSIGN(auto module, emu::Module::parse(std::move(text), settings.path));
  if (settings.list) {
    for (const auto &kernel : module->kernels)
      fmt::print("{}: {} instructions, {} parameters\n", kernel->name,
                 kernel->ops.size(), kernel->parameters.size());
    return 0;
  }
  Call call;
  call.kernel = settings.entry.empty() ? module->kernels.front().get()
                                       : module->find(settings.entry);
  if (!call.kernel)
    return fail(ErrorKind::Usage, "{}: has no entry '{}'", settings.path,
                settings.entry);
  std::copy_n(settings.grid.begin(), settings.grid.size(), call.blocks);
  std::copy_n(settings.block.begin(), settings.block.size(), call.threads);
  call.sharedBytes = settings.shared;
  for (const std::string &argument : settings.arguments) {
    BB_ASSIGN(Argument parsed, Argument::parse(argument));
    call.arguments.push_back(std::move(parsed));
  }
  emu::Options options;
  BB_TRY(readSchedule(settings.schedule, options));
  options.checkShared = settings.checks != "off";
  options.checkGlobal = settings.checks == "all";
  if (settings.limit)
    options.instructionLimit = settings.limit;
  if (settings.mutants)
    return mutate(call, options);

  BB_ASSIGN(emu::Outcome outcome, call.run(*call.kernel, options));
  for (const emu::Finding &finding : outcome.findings.all())
    fmt::print(stderr, "{}\n", finding.text(settings.path));
  for (const std::string &what : settings.prints)
    BB_TRY(printBuffer(call, what));
  for (const std::string &what : settings.writes)
    BB_TRY(writeBuffer(call, what));
  if (settings.statistics)
    fmt::print("{} warp instructions\n", outcome.instructions);
  return outcome.findings.empty() ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
  std::setlocale(LC_ALL, "C");
  Settings settings;
  CLI::App app(
      "Runs one PTX kernel on the CPU and checks what it does: bounds, "
      "alignment, races and uninitialised reads in shared memory, "
      "barriers, leftover copies, hangs.");
  app.footer(
      "Examples:\n"
      "  bb-emu add.ptx --grid 4 --block 256 --arg f32[1024]=iota --arg "
      "f32[1024]=1 --arg f32[1024] --print 2:0:8\n"
      "  bb-emu matmul.ptx --block 128 --shared 49152 --arg "
      "bf16[64x64]=random:1 … --schedule lazy\n"
      "  bb-emu matmul.ptx … --mutate\n"
      "Exit codes: 0 done, 1 findings or survivors, 2 usage, 3 bad PTX.");
  app.set_version_flag("--version", "bb-emu " BB_VERSION);
  app.add_option("PTX", settings.path,
                 "The kernel's text; - reads standard input")
      ->required();
  app.add_flag("--list", settings.list, "Print the entries and run nothing");
  app.add_option("--entry", settings.entry, "Which kernel (default: the first)")
      ->group("Launch");
  app.add_option("--grid", settings.grid, "Blocks: X or X,Y,Z")
      ->delimiter(',')
      ->expected(1, 3)
      ->check(CLI::Range(1u, 1u << 31))
      ->group("Launch");
  app.add_option("--block", settings.block, "Threads of a block: X or X,Y,Z")
      ->delimiter(',')
      ->expected(1, 3)
      ->check(CLI::Range(1, 1024))
      ->group("Launch");
  app.add_option("--shared", settings.shared, "Bytes of dynamic shared memory")
      ->group("Launch");
  app.add_option("--arg", settings.arguments,
                 "The next argument: a buffer TYPE[COUNT]=FILLING (zero, iota, "
                 "random:SEED, file:PATH, a number), a number TYPE=NUMBER, or "
                 "a tensor map map=ARGUMENT,BOX[,SWIZZLE]")
      ->allow_extra_args(false)
      ->group("Arguments");
  app.add_option("--print", settings.prints,
                 "Print a buffer afterwards: ARGUMENT[:FIRST[:COUNT]], from 0")
      ->allow_extra_args(false)
      ->group("Arguments");
  app.add_option("--write", settings.writes,
                 "Write a buffer's bytes afterwards: ARGUMENT=PATH")
      ->allow_extra_args(false)
      ->group("Arguments");
  app.add_option("--schedule", settings.schedule,
                 "eager, lazy, random or random:SEED")
      ->capture_default_str()
      ->group("Checking");
  app.add_option("--checks", settings.checks,
                 "off, shared, or all: also races on global memory")
      ->check(CLI::IsMember({"off", "shared", "all"}))
      ->capture_default_str()
      ->group("Checking");
  app.add_option("--limit", settings.limit,
                 "Warp instructions after which a kernel hangs")
      ->group("Checking");
  app.add_flag("--mutate", settings.mutants,
               "Delete each synchronising instruction in turn; list the "
               "deletions that no schedule notices")
      ->group("Checking");
  app.add_flag("--statistics", settings.statistics, "Count instructions")
      ->group("Checking");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : int(ErrorKind::Usage);
  }
  Result<int> result = run(settings);
  if (result)
    return *result;
  fmt::print(stderr, "bb-emu: error: {}\n", result.error().message);
  return int(result.error().kind);
}
