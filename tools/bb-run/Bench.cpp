//===- Bench.cpp - bb-run bench: time per program and per kernel ----------===//

#include "runtime/device/cpu/Machine.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Table.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace bitbyte {

namespace {

using json = nlohmann::ordered_json;

struct Options {
  std::string artifact, format = "md";
  std::vector<std::string> programs;
  int repetitions = 5;
  EngineOptions engine;
};

/// Seconds that no program can go below; 0 if the limits are not known.
double leastSeconds(const DeviceLimits &limits, double flops, double bytes) {
  double least = 0;
  if (limits.flops > 0)
    least = flops / limits.flops;
  if (limits.bandwidth > 0)
    least = std::max(least, bytes / limits.bandwidth);
  return least;
}

struct Sample {
  double sum = 0, squares = 0;
  int64_t count = 0;
  void add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  double mean() const { return count ? sum / double(count) : 0; }
  double sigma() const {
    return count > 1
               ? std::sqrt(std::max(0.0, (squares - sum * sum / double(count)) /
                                             double(count - 1)))
               : 0;
  }
};

/// A program, or all calls of one kernel in one run of a program.
struct Row {
  std::string program, kernel; ///< `kernel` is empty for the whole.
  int64_t calls = 1;
  double flops = 0, bytes = 0; ///< Of all calls.
  Sample seconds;
};

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Small numbers that look random, the same in every run.
class Numbers {
public:
  uint32_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state >> 33);
  }
  float around(float size) {
    return (float(next()) / float(1u << 30) - 1) * size;
  }

private:
  uint64_t state = 1;
};

Result<void> fillParameters(Engine &engine) {
  Numbers numbers;
  for (const State &state : engine.artifact().states) {
    if (state.kind != StateKind::parameter || state.dtype != DType::f32 ||
        state.sliceOf >= 0)
      continue;
    std::vector<float> values(state.buffer.bytes / sizeof(float));
    for (float &value : values)
      value = numbers.around(0.05f);
    BB_TRY(engine.writeState(state.name, std::as_bytes(std::span(values))));
  }
  return engine.prepare();
}

/// Bytes below the vocabulary, floats around a half, integers zero.
std::vector<std::byte> inputFor(const Tensor &tensor, int64_t vocabulary) {
  std::vector<std::byte> bytes(tensor.buffer.bytes);
  Numbers numbers;
  if (tensor.dtype == DType::u8)
    for (std::byte &byte : bytes)
      byte = std::byte(numbers.next() % uint32_t(vocabulary));
  if (tensor.dtype == DType::f32)
    for (size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
      float value = 0.5f + numbers.around(0.25f);
      std::memcpy(&bytes[i], &value, sizeof(value));
    }
  return bytes;
}

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// The program's row, then its kernels', the longest first.
Result<std::vector<Row>> measure(Engine &engine, const Program &program,
                                 int repetitions) {
  int64_t vocabulary = std::atoll(
      engine.artifact().configValue("vocab").value_or("256").c_str());
  vocabulary = std::clamp<int64_t>(vocabulary, 1, 256);
  std::vector<std::vector<std::byte>> bytes;
  std::vector<InputBytes> inputs;
  for (const Tensor &tensor : program.inputs) {
    bytes.push_back(inputFor(tensor, vocabulary));
    inputs.push_back({tensor.name, bytes.back()});
  }

  const Variant &variant = engine.variant();
  std::vector<Row> rows(variant.kernels.size() + 1);
  rows[0].program = program.name;
  rows[0].flops = double(program.flops);
  rows[0].bytes = double(program.trafficBytes);
  for (size_t i = 0; i < variant.kernels.size(); ++i) {
    rows[i + 1].program = program.name;
    rows[i + 1].kernel = variant.kernels[i].name;
    rows[i + 1].calls = 0;
  }
  for (const Step &step : program.steps)
    if (auto *dispatch = std::get_if<Dispatch>(&step)) {
      Row &row = rows[dispatch->kernel + 1];
      ++row.calls;
      row.flops += double(variant.kernels[dispatch->kernel].flops);
      row.bytes += double(variant.kernels[dispatch->kernel].trafficBytes);
    }

  // Once to touch all memory, and once for a device that records.
  for (int warm = 0; warm < 2; ++warm)
    BB_TRY(engine.run(program, inputs, {}));
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    engine.collectStepTimes(false);
    double start = now();
    BB_TRY(engine.run(program, inputs, {}));
    rows[0].seconds.add(now() - start);
    engine.collectStepTimes(true);
    BB_TRY(engine.run(program, inputs, {}));
    std::vector<double> seconds(rows.size(), 0);
    for (size_t i = 0; i < program.steps.size(); ++i)
      if (auto *dispatch = std::get_if<Dispatch>(&program.steps[i]))
        seconds[dispatch->kernel + 1] += engine.stepSeconds()[i];
    for (size_t i = 1; i < rows.size(); ++i)
      rows[i].seconds.add(seconds[i]);
  }
  std::erase_if(rows, [](const Row &row) { return row.calls == 0; });
  std::sort(rows.begin() + 1, rows.end(), [](const Row &a, const Row &b) {
    return std::pair(-a.seconds.mean(), a.kernel) <
           std::pair(-b.seconds.mean(), b.kernel);
  });
  return rows;
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

json toJson(const Row &row, const DeviceLimits &limits) {
  double mean = row.seconds.mean();
  json result = {{"program", row.program}};
  if (!row.kernel.empty())
    result["kernel"] = row.kernel;
  result.update(
      {{"calls", row.calls},
       {"ms", mean * 1e3},
       {"ms_sigma", row.seconds.sigma() * 1e3},
       {"gflops", row.flops / mean / 1e9},
       {"gb_s", row.bytes / mean / 1e9},
       {"achieved", leastSeconds(limits, row.flops, row.bytes) / mean}});
  return result;
}

void print(const std::vector<Row> &rows, const DeviceLimits &limits,
           const Engine &engine, const std::string &format) {
  if (format == "json") {
    json list = json::array();
    for (const Row &row : rows)
      list.push_back(toJson(row, limits));
    json report = {{"v", 1},
                   {"machine", cpuName()},
                   {"device", engine.describe()},
                   {"peak_gflops", limits.flops / 1e9},
                   {"bandwidth_gb_s", limits.bandwidth / 1e9},
                   {"rows", list}};
    fmt::print("{}\n", report.dump(2));
    return;
  }
  Table table({"program / kernel", "calls", "ms", "sigma", "GFLOP/s", "GB/s",
               "of limit"});
  for (const Row &row : rows) {
    double mean = row.seconds.mean();
    table.add(
        {row.kernel.empty() ? row.program : row.program + " / " + row.kernel,
         std::to_string(row.calls), fmt::format("{:.3f}", mean * 1e3),
         fmt::format("{:.3f}", row.seconds.sigma() * 1e3),
         fmt::format("{:.1f}", row.flops / mean / 1e9),
         fmt::format("{:.1f}", row.bytes / mean / 1e9),
         fmt::format("{:.1f} %",
                     100 * leastSeconds(limits, row.flops, row.bytes) / mean)});
  }
  if (format == "csv") {
    fmt::print("{}", table.csv());
    return;
  }
  fmt::print(
      "{} on {}. Limits: {:.1f} GFLOP/s, {:.1f} GB/s ({}).\nTimes are means; "
      "data that stay in a cache can move faster than memory.\n\n{}",
      engine.describe(), cpuName(), limits.flops / 1e9, limits.bandwidth / 1e9,
      limits.source.empty() ? "not known" : limits.source, table.markdown());
}

Result<void> bench(const Options &options) {
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  std::vector<const Program *> programs;
  for (const std::string &name : options.programs) {
    BB_ASSIGN(const Program *program, findProgram(engine->variant(), name));
    programs.push_back(program);
  }
  if (programs.empty())
    for (const Program &program : engine->variant().programs)
      if (program.base != "gradients") // for tests: nothing runs it in earnest
        programs.push_back(&program);

  BB_TRY(engine->reserve(programs));
  BB_TRY(fillParameters(*engine));
  BB_ASSIGN(DeviceLimits limits, engine->limits());
  std::vector<Row> rows;
  for (const Program *program : programs) {
    BB_ASSIGN(std::vector<Row> measured,
              measure(*engine, *program, options.repetitions));
    rows.insert(rows.end(), measured.begin(), measured.end());
  }
  print(rows, limits, *engine, options.format);
  return {};
}

} // namespace

void addBench(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *command = addCommand(
      app, "bench", "Time each program and kernel against the machine's limits",
      "bb-run bench s.bba --threads 1 --program micro -o csv");
  command->add_option("ARTIFACT", options->artifact, "What bbc wrote")
      ->required();
  command->add_option("--program", options->programs,
                      "Only this program (repeatable; default: all)");
  command
      ->add_option("--repetitions", options->repetitions,
                   "Runs of each program")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("-o,--output", options->format, "md, csv or json")
      ->check(CLI::IsMember({"md", "csv", "json"}))
      ->capture_default_str();
  command->add_flag_callback(
      "--json", [options] { options->format = "json"; }, "The same as -o json");
  addDeviceOptions(*command, options->engine);
  command->callback(
      [options, &action] { action = [options] { return bench(*options); }; });
}

} // namespace bitbyte
