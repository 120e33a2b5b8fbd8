#include "runtime/train/TrainRun.h"
#include "runtime/core/File.h"
#include "runtime/core/Safetensors.h"
#include "runtime/train/Checkpoint.h"
#include "runtime/train/Report.h"
#include "runtime/train/RunDirectory.h"
#include "runtime/train/Schedule.h"
#include "test/runtime/FakeEngine.h"
#include "test/runtime/TestData.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bitbyte::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string contentOf(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A checkpoint flushes nine times, which is slow on a busy disk; what is tested
// here is the death of a process, not of the machine.
const bool inMemory =
    access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 1) == 0;

class Training : public testing::Test {
protected:
  Training() {
    makeDataset(folder / "data", patternedBytes(3000, 16),
                patternedBytes(200, 16, 9));
  }

  TrainRequest request(const std::string &name, int64_t steps) {
    TrainRequest request;
    request.data = folder / "data";
    request.out = folder / name;
    request.steps = steps;
    request.assignments = {"train.eval_every=8", "train.checkpoint_every=10",
                           "train.sample_bytes=8"};
    return request;
  }
  static Result<void> train(const TrainRequest &request, FakeEngine &engine) {
    Progress silent(nullptr);
    return trainRun(engine, request, silent);
  }
  static void mustTrain(const TrainRequest &request, FakeEngine &engine) {
    auto result = train(request, engine);
    ASSERT_TRUE(result) << result.error().message;
  }
  static Error errorOf(const TrainRequest &request, FakeEngine &engine) {
    auto result = train(request, engine);
    EXPECT_FALSE(result);
    return result ? Error() : result.error();
  }
  static Error errorOf(const TrainRequest &request) {
    FakeEngine engine;
    return errorOf(request, engine);
  }
  /// Metrics without what a clock decides.
  static std::vector<json> metrics(const std::string &run) {
    std::vector<json> lines;
    std::ifstream file(run + "/metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      json entry = json::parse(line);
      for (const char *key : {"ms", "bytes_per_second", "seconds"})
        entry.erase(key);
      lines.push_back(std::move(entry));
    }
    return lines;
  }
  static std::vector<std::string> checkpoints(const std::string &run) {
    std::vector<std::string> names;
    for (const auto &entry : fs::directory_iterator(run + "/checkpoints"))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  TemporaryFolder folder;
};

TEST_F(Training, LearnsAndLeavesARun) {
  FakeEngine engine;
  TrainRequest asked = request("run", 60);
  mustTrain(asked, engine);
  auto lines = metrics(asked.out);
  ASSERT_EQ(lines.size(), 60u + 8u);
  EXPECT_EQ(lines[0]["step"], 1);
  EXPECT_EQ(lines[0]["bytes"], 16);
  EXPECT_EQ(lines[0]["v"], 1);
  EXPECT_NEAR(lines[0]["loss"].get<double>() / std::log(2),
              lines[0]["bpb"].get<double>(), 1e-12);
  EXPECT_EQ(lines[8]["split"], "val");
  EXPECT_EQ(lines[8]["eval_bytes"], 200);
  EXPECT_LT(lines[67]["bpb"].get<double>(),
            lines[8]["bpb"].get<double>() - 0.5);
  EXPECT_EQ(engine.count, 60);
  EXPECT_THAT(checkpoints(asked.out),
              ElementsAre("step-40", "step-50", "step-60"));
  std::string html = contentOf(asked.out + "/report.html");
  EXPECT_THAT(html, HasSubstr("<polyline"));
  EXPECT_THAT(html, HasSubstr("Sample"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  auto record = RunRecord::read(asked.out + "/config.toml");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->facts["artifact_hash"], "0123");
}

TEST_F(Training, RecordedMetricsHaveAllFields) {
  FakeEngine engine;
  mustTrain(request("run", 8), engine);
  std::ifstream file(folder / "run/metrics.jsonl");
  std::string line;
  std::getline(file, line);
  auto keysOf = [](const std::string &text) {
    std::vector<std::string> keys;
    json entry = json::parse(text);
    for (const auto &[key, value] : entry.items())
      keys.push_back(key);
    return keys;
  };
  EXPECT_THAT(keysOf(line),
              ElementsAre("bpb", "bytes", "bytes_per_second", "grad_norm",
                          "loss", "lr", "ms", "skipped", "step", "v"));
  for (int i = 0; i < 8; ++i)
    std::getline(file, line);
  EXPECT_THAT(keysOf(line), ElementsAre("bpb", "eval_bytes", "seconds", "split",
                                        "step", "v"));
}

TEST_F(Training, AResumedRunIsTheUninterruptedOneBitForBit) {
  for (int stopAt : {1, 7, 8, 10, 23, 39}) {
    TemporaryFolder own;
    FakeEngine whole;
    TrainRequest asked = request("x", 40);
    asked.out = own / "whole";
    mustTrain(asked, whole);

    FakeEngine first, second;
    asked.out = own / "parts";
    asked.stop = [&] { return first.updates >= stopAt; };
    Error stopped = errorOf(asked, first);
    EXPECT_EQ(stopped.kind, ErrorKind::Interrupted) << stopped.message;
    asked.stop = nullptr;
    asked.resume = true;
    mustTrain(asked, second);
    EXPECT_EQ(second.updates, 40 - stopAt);

    EXPECT_EQ(metrics(own / "whole"), metrics(own / "parts")) << stopAt;
    for (const char *file : {"weights", "optimizer"}) {
      std::string path =
          fmt::format("/checkpoints/step-40/{}.safetensors", file);
      EXPECT_EQ(contentOf((own / "whole") + path),
                contentOf((own / "parts") + path));
    }
  }
}

TEST_F(Training, ResumeNeedsNoOptionsAgain) {
  FakeEngine first, second;
  TrainRequest asked = request("run", 40);
  asked.assignments.push_back("optimizer.lr=0.01");
  asked.stop = [&] { return first.updates >= 15; };
  errorOf(asked, first);
  TrainRequest again;
  again.data = asked.data;
  again.out = asked.out;
  again.resume = true;
  mustTrain(again, second);
  EXPECT_EQ(metrics(asked.out).back()["step"], 40);
}

TEST_F(Training, TakesTheNewestWholeCheckpoint) {
  FakeEngine whole;
  TrainRequest asked = request("run", 40);
  mustTrain(asked, whole);
  auto before = metrics(asked.out);
  std::string newest = asked.out + "/checkpoints/step-40/weights.safetensors",
              older = asked.out + "/checkpoints/step-30/manifest.json";
  std::string bytes = contentOf(newest);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(newest, std::ios::binary) << bytes;
  fs::resize_file(older, fs::file_size(older) / 2);

  CheckpointSearch search = findCheckpoint(asked.out);
  ASSERT_TRUE(search.newest);
  EXPECT_EQ(search.newest->state.step, 20);
  ASSERT_EQ(search.skipped.size(), 2u);
  EXPECT_THAT(search.skipped[0], HasSubstr("step-40/weights.safetensors"));
  EXPECT_THAT(search.skipped[1], HasSubstr("step-30/manifest.json"));

  FakeEngine resumed;
  asked.resume = true;
  mustTrain(asked, resumed);
  EXPECT_EQ(resumed.updates, 20);
  EXPECT_EQ(metrics(asked.out), before);
  EXPECT_TRUE(openCheckpoint(asked.out + "/checkpoints/step-40"));
}

TEST_F(Training, AnyDamageToAManifestIsFound) {
  FakeEngine engine;
  TrainRequest asked = request("run", 3);
  mustTrain(asked, engine);
  std::string checkpoint = asked.out + "/checkpoints/step-3",
              path = checkpoint + "/manifest.json";
  std::string good = contentOf(path);
  ASSERT_TRUE(openCheckpoint(checkpoint));
  for (size_t at = 0; at < good.size(); at += 5) {
    std::string bad = good;
    bad[at] ^= 4;
    if (json::parse(bad, nullptr, false) == json::parse(good))
      continue; // a blank
    std::ofstream(path, std::ios::binary) << bad;
    EXPECT_FALSE(openCheckpoint(checkpoint)) << at;
  }
}

TEST_F(Training, KilledAtAnyTimeItGoesOn) {
  TrainRequest asked = request("run", 150);
  asked.assignments = {"train.checkpoint_every=2", "train.eval_every=0"};
  asked.resume = true;
  unsigned random = 7;
  int64_t last = 0;
  for (int round = 0; round < 12; ++round) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FakeEngine engine;
      Progress silent(nullptr);
      _exit(trainRun(engine, asked, silent) ? 0 : 1);
    }
    random = random * 1664525 + 1013904223;
    usleep(5000 + (random >> 16) % 40000);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) ||
                (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    if (!fs::exists(asked.out + "/checkpoints"))
      continue;
    CheckpointSearch search = findCheckpoint(asked.out);
    EXPECT_TRUE(search.skipped.empty()) << search.skipped[0];
    int64_t step = search.newest ? search.newest->state.step : 0;
    EXPECT_GE(step, last);
    last = step;
  }
  EXPECT_GT(last, 0);
  FakeEngine engine, whole;
  mustTrain(asked, engine);
  asked.resume = false;
  asked.out = folder / "whole";
  mustTrain(asked, whole);
  EXPECT_EQ(metrics(folder / "run"), metrics(folder / "whole"));
  EXPECT_EQ(engine.table, whole.table);
}

TEST_F(Training, ResumeRefusesAnotherRun) {
  FakeEngine first;
  TrainRequest asked = request("run", 12);
  mustTrain(asked, first);
  asked.resume = true;

  TrainRequest other = asked;
  other.seed = 2;
  Error error = errorOf(other);
  EXPECT_EQ(error.kind, ErrorKind::Usage);
  EXPECT_THAT(error.message, HasSubstr("train.seed = 1, asked is 2"));

  other = asked;
  other.assignments.push_back("train.accumulate=2");
  EXPECT_THAT(errorOf(other).message, HasSubstr("train.accumulate = 1"));

  FakeEngine larger({.vocab = 32});
  error = errorOf(asked, larger);
  EXPECT_EQ(error.kind, ErrorKind::BadInput);
  EXPECT_THAT(error.message,
              HasSubstr("model config vocab is 16, now it is 32"));
  FakeEngine narrow({.computeType = "bf16"});
  EXPECT_THAT(errorOf(asked, narrow).message,
              HasSubstr("compute type is f32, now it is bf16"));

  other = asked;
  other.data = folder / "other";
  makeDataset(other.data, patternedBytes(3000, 16, 5), "");
  EXPECT_THAT(errorOf(other).message, HasSubstr("data hash"));
}

TEST_F(Training, AllowChangeIsNeededAndRecorded) {
  FakeEngine first, second;
  TrainRequest asked = request("run", 12);
  mustTrain(asked, first);
  asked.resume = true;
  asked.steps = 20;
  Error error = errorOf(asked);
  EXPECT_EQ(error.kind, ErrorKind::Usage);
  EXPECT_THAT(error.message, HasSubstr("--allow-change train.steps"));
  asked.allowChange = {"train.stps"};
  EXPECT_EQ(errorOf(asked).kind, ErrorKind::Usage);
  asked.allowChange = {"train.seed"};
  EXPECT_EQ(errorOf(asked).kind, ErrorKind::Usage);
  asked.allowChange = {"train.steps"};
  mustTrain(asked, second);
  EXPECT_EQ(second.updates, 8);
  auto record = RunRecord::read(asked.out + "/config.toml");
  ASSERT_TRUE(record);
  EXPECT_THAT(record->changes,
              ElementsAre("step 12: train.steps from 12 to 20"));
  // The schedule follows the new length.
  RunConfig config;
  ASSERT_TRUE(config.readFile(asked.out + "/config.toml"));
  EXPECT_EQ(config.decaySteps, 19);
}

TEST_F(Training, ADefaultAskedForByItsValueIsNoChange) {
  FakeEngine first, second;
  TrainRequest asked = request("run", 12);
  asked.assignments.push_back("optimizer.warmup=0"); // 12 steps / 20
  mustTrain(asked, first);
  asked.resume = true;
  mustTrain(asked, second);
  asked.assignments.back() = "optimizer.warmup=1";
  EXPECT_THAT(errorOf(asked).message,
              HasSubstr("--allow-change optimizer.warmup"));
}

TEST_F(Training, RefusesAnExistingFolderAndASecondProcess) {
  FakeEngine engine;
  TrainRequest asked = request("run", 4);
  mustTrain(asked, engine);
  Error error = errorOf(asked);
  EXPECT_EQ(error.kind, ErrorKind::Usage);
  EXPECT_THAT(error.message, HasSubstr("--resume"));
  asked.resume = true;
  auto lock = RunDirectory::open(asked.out, true);
  ASSERT_TRUE(lock);
  error = errorOf(asked);
  EXPECT_EQ(error.kind, ErrorKind::Usage);
  EXPECT_THAT(error.message, HasSubstr("another process"));
}

TEST_F(Training, ARefusedStartLeavesTheFolderFree) {
  TrainRequest asked = request("run", 4);
  asked.data = folder / "absent";
  EXPECT_EQ(errorOf(asked).kind, ErrorKind::BadInput);
  asked.data = folder / "data";
  FakeEngine engine;
  mustTrain(asked, engine);
}

TEST_F(Training, SkipsStepsThatAreNotFinite) {
  FakeEngine engine;
  engine.badUpdates = {3, 4, 9};
  TrainRequest asked = request("run", 12);
  asked.assignments.push_back("guard.max_skips=2");
  mustTrain(asked, engine);
  EXPECT_EQ(engine.count, 9);
  auto lines = metrics(asked.out);
  EXPECT_EQ(lines[1]["skipped"], 0);
  EXPECT_EQ(lines[3]["skipped"], 2);
  EXPECT_TRUE(lines[3]["grad_norm"].is_null());
  EXPECT_EQ(lines.back()["skipped"].is_number() ? lines.back()["skipped"]
                                                : lines[12]["skipped"],
            3);
}

TEST_F(Training, GivesUpWhenNothingIsFinite) {
  FakeEngine engine;
  engine.badUpdates = {5, 6, 7};
  TrainRequest asked = request("run", 12);
  asked.assignments.push_back("guard.max_skips=2");
  Error error = errorOf(asked, engine);
  EXPECT_EQ(error.kind, ErrorKind::Diverged);
  EXPECT_THAT(error.message, HasSubstr("3 times in a row"));
  EXPECT_EQ(engine.count, 4);
}

TEST_F(Training, AccumulationIsOneLargerBatch) {
  FakeEngine once({.shapes = {{4, 8}}}), twice({.shapes = {{2, 8}}});
  TrainRequest asked = request("once", 10);
  mustTrain(asked, once);
  asked.out = folder / "twice";
  asked.assignments.push_back("train.accumulate=2");
  mustTrain(asked, twice);
  EXPECT_EQ(twice.updates, 10);
  for (size_t i = 0; i < once.table.size(); ++i)
    EXPECT_NEAR(once.table[i], twice.table[i], 1e-4);
}

TEST_F(Training, CurriculaKeepTheBytesOfAStep) {
  FakeOptions options{.shapes = {{4, 8}, {2, 16}, {3, 8}}};
  TrainRequest asked = request("run", 6);
  asked.assignments = {"train.eval_every=0", "train.sample_bytes=0",
                       "data.curriculum=[{step=0, T=8, B=4}, {step=4, T=16, "
                       "B=2}]"};
  FakeEngine engine(options);
  mustTrain(asked, engine);
  EXPECT_EQ(engine.log[6], "micro");
  EXPECT_EQ(engine.log[8], "micro.B2T16");
  EXPECT_EQ(metrics(asked.out).back()["bytes"], 6 * 32);

  asked.out = folder / "b";
  asked.assignments[2] =
      "data.curriculum=[{step=0, T=8, B=4}, {step=4, T=8, B=3}]";
  FakeEngine b(options);
  EXPECT_THAT(errorOf(asked, b).message, HasSubstr("must stay 32"));
  asked.assignments[2] = "data.curriculum=[{step=0, T=9, B=4}]";
  Error error = errorOf(asked, b);
  EXPECT_EQ(error.kind, ErrorKind::BadInput);
  EXPECT_THAT(error.message, HasSubstr("compiled for B=4,T=8 B=2,T=16"));
}

TEST_F(Training, NoTwoMicroBatchesHaveOneCounter) {
  FakeEngine engine({.shapes = {{4, 8}, {2, 8}}, .dropout = true});
  TrainRequest asked = request("run", 5);
  asked.assignments = {"train.eval_every=0", "train.sample_bytes=0",
                       "data.curriculum=[{step=0, T=8, B=2}, {step=2, T=8, "
                       "B=4}, {step=4, T=8, B=2}]",
                       "train.accumulate=2"};
  mustTrain(asked, engine);
  EXPECT_THAT(engine.counters, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_F(Training, RecordsItsBatches) {
  FakeEngine engine;
  TrainRequest asked = request("run", 3);
  asked.assignments.push_back("train.accumulate=2");
  asked.recordBatches = folder / "batches";
  mustTrain(asked, engine);
  std::string recorded = contentOf(asked.recordBatches);
  EXPECT_EQ(recorded.size(), 3u * 2 * 2 * 9);
  std::string text = contentOf(folder / "data/train-00000.bin");
  for (size_t row = 0; row < recorded.size(); row += 9)
    EXPECT_NE(text.find(recorded.substr(row, 9)), text.npos);
}

TEST_F(Training, InitTakesWeightsFromARunOrAFile) {
  FakeEngine first, second, third;
  TrainRequest asked = request("a", 5);
  mustTrain(asked, first);
  TrainRequest more = request("b", 1);
  more.init = asked.out;
  auto trained = first.table;
  second.onRun = [&](const Program &) {
    if (second.updates == 0) {
      EXPECT_EQ(second.table, trained);
    }
  };
  mustTrain(more, second);
  more.out = folder / "c";
  more.init = asked.out + "/checkpoints/step-5/weights.safetensors";
  mustTrain(more, third);
  EXPECT_EQ(second.table, third.table);
  EXPECT_EQ(third.count, 1);
}

TEST_F(Training, TimeOverIsNoError) {
  FakeEngine engine;
  TrainRequest asked = request("run", 1000000);
  asked.minutes = 0.0005;
  mustTrain(asked, engine);
  EXPECT_LT(engine.updates, 1000000);
  EXPECT_TRUE(findCheckpoint(asked.out).newest);
}

TEST_F(Training, TheScheduleEndsWithTheTime) {
  // A second for each update: 60 of the 1000 steps fit.
  auto timed = [](TrainRequest &asked, FakeEngine &engine) {
    asked.minutes = 1;
    asked.assignments.push_back("optimizer.warmup=100");
    asked.clock = [&engine] { return static_cast<double>(engine.updates); };
  };
  FakeEngine engine;
  TrainRequest asked = request("run", 1000);
  timed(asked, engine);
  mustTrain(asked, engine);
  EXPECT_EQ(engine.updates, 60);
  std::vector<double> rates;
  for (const json &line : metrics(asked.out))
    if (line.contains("lr"))
      rates.push_back(line["lr"]);
  ASSERT_EQ(rates.size(), 60u);
  double peak = *std::ranges::max_element(rates);
  EXPECT_LT(rates[0], peak / 50);    // warmup, compressed too
  EXPECT_EQ(rates[6], peak);         // at a tenth of the time, then it falls
  EXPECT_LT(rates[59], peak * 0.11); // min_lr is lr / 10
  EXPECT_GT(rates[59], peak * 0.1 - 1e-12);

  // Stopped and resumed, it goes on where the time was.
  FakeEngine first, second;
  TrainRequest parts = request("parts", 1000);
  timed(parts, first);
  parts.stop = [&] { return first.updates == 33; };
  EXPECT_EQ(errorOf(parts, first).kind, ErrorKind::Interrupted);
  parts.stop = {};
  parts.resume = true;
  timed(parts, second);
  mustTrain(parts, second);
  EXPECT_EQ(second.updates, 27);
  EXPECT_EQ(second.table, engine.table);
  EXPECT_EQ(metrics(parts.out), metrics(asked.out));

  // A finished run given more time has not come to its end.
  FakeEngine third;
  timed(parts, third);
  parts.minutes = 2;
  mustTrain(parts, third);
  EXPECT_EQ(third.updates, 60);
}

TEST_F(Training, ADryRunWritesNothing) {
  FakeEngine engine;
  TrainRequest asked = request("run", 10);
  asked.dryRun = true;
  testing::internal::CaptureStdout();
  auto result = train(asked, engine);
  std::string text = testing::internal::GetCapturedStdout();
  EXPECT_TRUE(result);
  EXPECT_THAT(text, HasSubstr("10, 16 bytes each, 160 bytes in all"));
  EXPECT_THAT(text, HasSubstr("memory"));
  EXPECT_FALSE(fs::exists(asked.out));
  EXPECT_TRUE(engine.log.empty());
}

TEST_F(Training, FindsWeightsWhereverTheyAre) {
  FakeEngine engine;
  TrainRequest asked = request("run", 10);
  mustTrain(asked, engine);
  std::string step = asked.out + "/checkpoints/step-10";
  for (const std::string &path :
       {asked.out, step, step + "/weights.safetensors"}) {
    auto source = findWeights(path);
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ(fs::path(source->file).lexically_normal(),
              fs::path(step + "/weights.safetensors"));
  }
  EXPECT_EQ(findWeights(folder / "data").error().kind, ErrorKind::BadInput);
  EXPECT_EQ(findWeights(folder / "nothing").error().kind, ErrorKind::BadInput);
}

TEST_F(Training, AFullDiskKeepsTheOldCheckpoint) {
  FakeEngine engine;
  TrainRequest asked = request("run", 40);
  asked.assignments = {"train.checkpoint_every=10", "train.log_every=1000",
                       "train.eval_every=0"};
  // Files stop growing at 800 bytes, as on a full disk; weights have 1,024.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  engine.onRun = [&](const Program &) {
    if (engine.updates == 15) {
      rlimit small = before;
      small.rlim_cur = 800;
      setrlimit(RLIMIT_FSIZE, &small);
    }
  };
  Error error = errorOf(asked, engine);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(error.kind, ErrorKind::Failed);
  EXPECT_THAT(error.message, HasSubstr("checkpoint of step 20"));
  EXPECT_THAT(error.message, HasSubstr("step-10 is kept"));
  EXPECT_THAT(checkpoints(asked.out), ElementsAre("step-10"));

  asked.resume = true;
  FakeEngine second, whole;
  mustTrain(asked, second);
  asked.resume = false;
  asked.out = folder / "whole";
  mustTrain(asked, whole);
  EXPECT_EQ(second.table, whole.table);
}

} // namespace
} // namespace bitbyte::test
