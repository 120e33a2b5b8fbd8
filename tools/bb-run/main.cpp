//===- main.cpp - bb-run: runs what bbc compiled --------------------------===//

#include "tools/bb-run/Commands.h"

using namespace bitbyte;

static constexpr const char *help =
    "Runs a model that bbc compiled: trains it, measures it in bits per byte, "
    "lets it\nwrite. One artifact holds code for several machines; bb-run "
    "takes "
    "the best one.";

static constexpr const char *examples =
    "Examples:\n"
    "  bb-run train s.bba --data stories --out runs/a\n"
    "  bb-run eval s.bba --checkpoint runs/a --data stories\n"
    "  bb-run generate s.bba --checkpoint runs/a --prompt 'Once upon'\n"
    "  bb-run info s.bba                        what is in an artifact\n"
    "  bb-run bench s.bba                       how fast each kernel is\n"
    "  bb-run doctor                            what this machine can do\n"
    "\n"
    "Exit codes: 0 done, 1 failed while running, 2 usage, 3 bad input file,\n"
    "4 no or too small device or memory, 5 diverged, 75 interrupted and saved.";

int main(int argc, char **argv) {
  CLI::App app(help, "bb-run");
  app.set_version_flag("--version", "bb-run " BB_VERSION);
  app.require_subcommand(1);
  app.footer(examples);
  Action action;
  addTrain(app, action);
  addEval(app, action);
  addGenerate(app, action);
  addCompare(app, action);
  addImport(app, action);
  addExport(app, action);
  addExec(app, action);
  addBench(app, action);
  addReplay(app, action);
  addInfo(app, action);
  addDoctor(app, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorKind::Usage);
  }
  Result<void> done = action();
  if (done)
    return 0;
  fmt::print(stderr, "bb-run: error: {}\n", done.error().message);
  return static_cast<int>(done.error().kind);
}
