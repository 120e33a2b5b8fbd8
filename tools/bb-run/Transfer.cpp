//===- Transfer.cpp - bb-run import and export ----------------------------===//

#include "runtime/engine/Weights.h"
#include "runtime/train/Checkpoint.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Runs.h"

#include <filesystem>

namespace bitbyte {

namespace {

namespace fs = std::filesystem;

struct ImportOptions {
  std::string file, out, artifact;
  EngineOptions engine;
};

struct ExportOptions {
  std::string source, out, artifact, names = "published";
  EngineOptions engine;
};

Result<void> importWeights(const ImportOptions &options) {
  std::error_code error;
  if (fs::exists(options.out, error))
    return fail(ErrorKind::Usage, "{}: exists", options.out);
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  BB_ASSIGN(Loaded loaded, loadWeights(*engine, inputPath(options.file)));
  BB_TRY(saveWeightsFolder(*engine, options.out));
  fmt::print(stderr, "{}: {} parameters from {} ({} names)\n", options.out,
             engine->artifact().parameterCount(), options.file,
             loaded.layout == Layout::spec ? "the spec's" : "published");
  return {};
}

Result<void> exportWeights(const ExportOptions &options) {
  std::string artifact = options.artifact;
  if (artifact.empty()) {
    BB_ASSIGN(artifact, artifactOfRun(options.source));
  }
  BB_ASSIGN(auto engine, openEngine(artifact, options.engine));
  BB_TRY(loadCheckpointWeights(*engine, options.source));
  return saveWeights(
      *engine, options.out,
      {.layout = options.names == "spec" ? Layout::spec : Layout::published,
       .alternativeNames = options.names == "also"});
}

} // namespace

void addImport(CLI::App &app, Action &action) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App *command = addCommand(
      app, "import", "Take published weights into a checkpoint",
      "bb-run import model.safetensors -o start --artifact gpt2.bba\n"
      "bb-run train gpt2.bba --data stories --out runs/a --init start");
  command->add_option("FILE", options->file, "Safetensors file")->required();
  command->add_option("-o,--out", options->out, "Folder to make")->required();
  command->add_option("--artifact", options->artifact, "What bbc wrote")
      ->required();
  addDeviceOptions(*command, options->engine);
  command->callback([options, &action] {
    action = [options] { return importWeights(*options); };
  });
}

void addExport(CLI::App &app, Action &action) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App *command =
      addCommand(app, "export", "Write weights under their published names",
                 "bb-run export runs/a -o model.safetensors");
  command
      ->add_option("RUN", options->source,
                   "A run (its newest checkpoint), a checkpoint, or a file")
      ->required();
  command->add_option("-o,--out", options->out, "Safetensors file to write")
      ->required();
  command->add_option("--artifact", options->artifact,
                      "Default: the one that the run was trained with");
  command
      ->add_option("--names", options->names,
                   "published, also (the alternative ones), or spec")
      ->check(CLI::IsMember({"published", "also", "spec"}))
      ->capture_default_str();
  addDeviceOptions(*command, options->engine);
  command->callback([options, &action] {
    action = [options] { return exportWeights(*options); };
  });
}

} // namespace bitbyte
