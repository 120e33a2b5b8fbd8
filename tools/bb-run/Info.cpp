//===- Info.cpp - bb-run info: what is in a file --------------------------===//

#include "runtime/core/File.h"
#include "runtime/core/Memory.h"
#include "runtime/core/Safetensors.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Table.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace bitbyte {

namespace {

using json = nlohmann::ordered_json;
namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Artifacts
//===----------------------------------------------------------------------===//

std::string_view name(StateKind kind) {
  constexpr std::string_view names[] = {"parameter", "gradient", "moment",
                                        "counter",   "derived",  "cache"};
  return names[size_t(kind)];
}

json describe(const Program &program) {
  auto tensors = [](const std::vector<Tensor> &list) {
    json result = json::array();
    for (const Tensor &tensor : list)
      result.push_back({{"name", tensor.name},
                        {"dtype", name(tensor.dtype)},
                        {"shape", tensor.shape}});
    return result;
  };
  return {{"name", program.name},
          {"inputs", tensors(program.inputs)},
          {"outputs", tensors(program.outputs)},
          {"steps", program.steps.size()},
          {"arena_bytes", program.arenaBytes},
          {"live_bytes", program.liveBytes},
          {"flops", program.flops},
          {"traffic_bytes", program.trafficBytes}};
}

json describe(const Artifact &artifact) {
  json config = json::object(), defaults = json::object();
  for (const auto &[key, value] : artifact.config)
    config[key] = value;
  for (const auto &[key, value] : artifact.defaults)
    defaults[key] = value;
  json states = json::array();
  for (const State &state : artifact.states)
    states.push_back({{"name", state.name},
                      {"dtype", name(state.dtype)},
                      {"shape", state.shape},
                      {"kind", name(state.kind)},
                      {"group", state.group},
                      {"flat", artifact.isFlat(state)},
                      {"saved", state.saved}});
  json variants = json::array();
  for (const Variant &variant : artifact.variants) {
    json programs = json::array(), kernels = json::array();
    for (const Program &program : variant.programs)
      programs.push_back(describe(program));
    for (const Kernel &kernel : variant.kernels)
      kernels.push_back({{"name", kernel.name},
                         {"anchor", kernel.anchor},
                         {"programs", kernel.programs},
                         {"scratch_bytes", kernel.scratchBytes},
                         {"flops", kernel.flops},
                         {"traffic_bytes", kernel.trafficBytes}});
    uint64_t code = 0;
    for (const Module &module : variant.modules)
      code += module.code.size();
    variants.push_back({{"target", variant.target},
                        {"code_bytes", code},
                        {"constants_bytes", variant.constants.size()},
                        {"parameters_bytes", variant.parametersBytes},
                        {"training_bytes", variant.trainingBytes},
                        {"derived_bytes", variant.derivedBytes},
                        {"cache_bytes", variant.cacheBytes},
                        {"programs", programs},
                        {"kernels", kernels}});
  }
  return {{"kind", "artifact"},
          {"model", artifact.model},
          {"compiler", artifact.compiler},
          {"hash", artifact.hash},
          {"source_hash", artifact.sourceHash},
          {"compute_type", artifact.computeType},
          {"parameters", artifact.parameterCount()},
          {"config", config},
          {"defaults", defaults},
          {"programs_asked", artifact.programsAsked},
          {"states", states},
          {"variants", variants}};
}

std::string
pairs(const std::vector<std::pair<std::string, std::string>> &list) {
  std::string text;
  for (const auto &[key, value] : list)
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value);
  return text.empty() ? "-" : text;
}

void print(const Variant &variant) {
  fmt::print(
      "\nvariant {}: parameters {}, training state {}, derived {}, caches {}, "
      "constants {}\n\n",
      variant.target, formatBytes(variant.parametersBytes),
      formatBytes(variant.trainingBytes), formatBytes(variant.derivedBytes),
      formatBytes(variant.cacheBytes), formatBytes(variant.constants.size()));
  Table programs(
      {"program", "steps", "arena", "over lower bound", "GFLOP", "moved"});
  for (const Program &program : variant.programs)
    programs.add({program.name, std::to_string(program.steps.size()),
                  formatBytes(program.arenaBytes),
                  program.liveBytes
                      ? fmt::format("{:.3f}", double(program.arenaBytes) /
                                                  double(program.liveBytes))
                      : "-",
                  fmt::format("{:.3f}", double(program.flops) / 1e9),
                  formatBytes(program.trafficBytes)});
  fmt::print("{}\n", programs.markdown());
  Table kernels({"kernel", "anchor", "programs", "scratch", "MFLOP", "moved"});
  for (const Kernel &kernel : variant.kernels)
    kernels.add({kernel.name, kernel.anchor, std::to_string(kernel.programs),
                 formatBytes(kernel.scratchBytes),
                 fmt::format("{:.3f}", double(kernel.flops) / 1e6),
                 formatBytes(kernel.trafficBytes)});
  fmt::print("{}", kernels.markdown());
}

void print(const Artifact &artifact) {
  fmt::print("{}: {} by {}, {}\n", artifact.path, artifact.model,
             artifact.compiler, artifact.computeType);
  fmt::print("hash       {}\n", artifact.hash);
  fmt::print("parameters {}\n", artifact.parameterCount());
  fmt::print("config     {}\n", pairs(artifact.config));
  fmt::print("defaults   {}\n", pairs(artifact.defaults));
  for (const Variant &variant : artifact.variants)
    print(variant);
}

//===----------------------------------------------------------------------===//
// Tensors, checkpoints, runs
//===----------------------------------------------------------------------===//

json describe(const Safetensors &file) {
  json tensors = json::array();
  uint64_t elements = 0;
  for (const StoredTensor &tensor : file.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"dtype", name(tensor.type)},
                       {"shape", tensor.shape}});
    elements += elementCount(tensor.shape).value_or(0);
  }
  return {{"kind", "tensors"},
          {"elements", elements},
          {"metadata", file.metadata()},
          {"tensors", tensors}};
}

Result<json> readJson(const std::string &path) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  json value = json::parse(file->text(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded())
    return fail(ErrorKind::BadInput, "{}: is no JSON", path);
  return value;
}

Result<json> describeCheckpoint(const std::string &path) {
  BB_ASSIGN(json manifest, readJson(path + "/manifest.json"));
  BB_ASSIGN(Safetensors weights,
            Safetensors::open(path + "/weights.safetensors"));
  json tensors = describe(weights);
  return json{{"kind", "checkpoint"},
              {"manifest", manifest},
              {"elements", tensors["elements"]},
              {"tensors", tensors["tensors"]}};
}

/// The lines of metrics.jsonl that `wanted` takes; the last of them.
template <typename Wanted>
json lastLine(std::string_view text, Wanted wanted) {
  json last;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    json line = json::parse(text.substr(0, end), nullptr, false);
    if (line.is_object() && wanted(line))
      last = line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return last;
}

Result<json> describeRun(const std::string &path) {
  BB_ASSIGN(auto config, MappedFile::open(path + "/config.toml"));
  json run = {{"kind", "run"}, {"config", config->text()}};
  if (fs::exists(path + "/metrics.jsonl")) {
    BB_ASSIGN(auto metrics, MappedFile::open(path + "/metrics.jsonl"));
    run["last_step"] = lastLine(metrics->text(), [](const json &line) {
      return line.contains("loss");
    });
    run["last_evaluation"] = lastLine(metrics->text(), [](const json &line) {
      return line.contains("split");
    });
  }
  std::vector<std::string> names;
  if (fs::is_directory(path + "/checkpoints"))
    for (const auto &entry : fs::directory_iterator(path + "/checkpoints"))
      if (entry.path().filename().string().starts_with("step-"))
        names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end(), [](const auto &a, const auto &b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  run["checkpoints"] = names;
  return run;
}

void printTensors(const json &tensors) {
  Table table({"tensor", "dtype", "shape"});
  for (const json &tensor : tensors)
    table.add({tensor["name"], tensor["dtype"],
               formatShape(tensor["shape"].get<std::vector<uint64_t>>())});
  fmt::print("{}", table.markdown());
}

void print(const std::string &path, const json &found) {
  std::string kind = found["kind"];
  fmt::print("{}: {}\n", path, kind);
  for (const auto &[key, value] : found.items()) {
    if (key == "kind" || key == "tensors" || value.is_null())
      continue;
    if (key == "config")
      fmt::print("\n{}\n", value.get<std::string>());
    else if (key == "manifest")
      fmt::print("manifest {}\n", value.dump(2));
    else
      fmt::print("{} {}\n", key, value.dump());
  }
  if (found.contains("tensors"))
    printTensors(found["tensors"]);
}

//===----------------------------------------------------------------------===//
// The command
//===----------------------------------------------------------------------===//

Result<json> describeFolder(const std::string &path) {
  if (fs::exists(path + "/config.toml"))
    return describeRun(path);
  if (fs::exists(path + "/manifest.json"))
    return describeCheckpoint(path);
  return fail(
      ErrorKind::BadInput,
      "{}: is neither a run (config.toml) nor a checkpoint (manifest.json)",
      path);
}

/// Safetensors files begin with a length and a brace; all else should be an
/// artifact.
Result<bool> isTensorFile(const std::string &path) {
  BB_ASSIGN(auto file, MappedFile::open(path));
  return file->text().size() > 8 && file->text()[8] == '{' &&
         !file->text().starts_with("BITBYTE");
}

Result<void> info(const std::string &path, bool asJson) {
  json found;
  if (fs::is_directory(path)) {
    BB_ASSIGN(found, describeFolder(path));
  } else {
    BB_ASSIGN(bool tensors, isTensorFile(path));
    if (tensors || path.ends_with(".safetensors")) {
      BB_ASSIGN(Safetensors file, Safetensors::open(path));
      found = describe(file);
    } else {
      BB_ASSIGN(auto artifact, Artifact::open(path));
      if (!asJson) {
        print(*artifact);
        return {};
      }
      found = describe(*artifact);
    }
  }
  if (asJson)
    fmt::print("{}\n",
               found.dump(2, ' ', false, json::error_handler_t::replace));
  else
    print(path, found);
  return {};
}

} // namespace

void addInfo(CLI::App &app, Action &action) {
  auto path = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App *command = addCommand(
      app, "info", "Show an artifact, a run, a checkpoint or a file of tensors",
      "bb-run info s.bba\nbb-run info runs/first --json");
  command
      ->add_option("FILE", *path,
                   "Artifact, run, checkpoint or safetensors file")
      ->required();
  command->add_flag("--json", *json, "Print JSON");
  command->callback([path, json, &action] {
    action = [path, json] { return info(inputPath(*path), *json); };
  });
}

} // namespace bitbyte
