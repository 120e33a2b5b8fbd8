#include "runtime/train/RunConfig.h"

#include <algorithm>
#include <numeric>

namespace bitbyte {

namespace {
constexpr double big = 9007199254740992; // 2^53: exact as a double
using C = RunConfig;
using enum RunConfig::Change;
} // namespace

std::string RunConfig::Key::fullName() const {
  return fmt::format("{}.{}", section, name);
}

std::span<const RunConfig::Key> RunConfig::keys() {
  static const std::vector<Key> table = {
      {"train", "steps", &C::steps, 1, big, whenAsked, "optimizer steps"},
      {"train", "seed", &C::seed, 0, big, never,
       "of initial values, data order, dropout and samples"},
      {"train", "accumulate", &C::accumulate, 1, 1 << 20, never,
       "micro-batches of one step"},
      {"train", "eval_every", &C::evalEvery, 0, big, freely,
       "steps between evaluations; 0: none"},
      {"train", "eval_bytes", &C::evalBytes, 0, big, freely,
       "first bytes of the split to evaluate while training; 0: all"},
      {"train", "checkpoint_every", &C::checkpointEvery, 0, big, freely,
       "steps between checkpoints; 0: only the last"},
      {"train", "keep", &C::keep, 1, big, freely, "newest checkpoints kept"},
      {"train", "log_every", &C::logEvery, 1, big, freely,
       "steps between lines of metrics.jsonl"},
      {"train", "sample_bytes", &C::sampleBytes, 0, 1 << 20, freely,
       "bytes to generate for the report; 0: none"},
      {"train", "minutes", &C::minutes, 0, 1e9, freely,
       "end (saved) when the run has taken this time, resumed parts together; "
       "the schedule ends then too; 0: no limit"},
      {"optimizer",
       "schedule",
       &C::schedule,
       0,
       0,
       whenAsked,
       "of the learning rate",
       {"cosine", "wsd", "constant"}},
      {"optimizer", "lr", &C::lr, 0, 1e6, whenAsked, "peak learning rate"},
      {"optimizer", "min_lr", &C::minLr, 0, 1e6, whenAsked,
       "last learning rate; default lr / 10"},
      {"optimizer", "warmup", &C::warmup, 0, big, whenAsked,
       "steps of linear rise; default steps / 20, at most 200"},
      {"optimizer", "decay_steps", &C::decaySteps, 0, big, whenAsked,
       "last steps that fall to min_lr; default: wsd steps / 5, cosine all"},
      {"optimizer", "beta1", &C::beta1, 0, 1, whenAsked, "decay of the mean"},
      {"optimizer", "beta2", &C::beta2, 0, 1, whenAsked,
       "decay of the mean square"},
      {"optimizer", "eps", &C::eps, 0, 1, whenAsked, "added to the root"},
      {"optimizer", "weight_decay", &C::weightDecay, 0, 1e6, whenAsked,
       "decoupled, times lr"},
      {"optimizer", "clip", &C::clip, 0, 1e30, whenAsked,
       "largest gradient norm; 0: no clipping"},
      {"data", "split", &C::split, 0, 0, never, "to train on"},
      {"data", "eval_split", &C::evalSplit, 0, 0, freely,
       "to evaluate while training"},
      {"data", "curriculum", &C::curriculum, 0, 0, never,
       "shapes by step; default: the artifact's own shape"},
      {"guard", "max_skips", &C::maxSkips, 0, big, freely,
       "non-finite steps in a row that are skipped before giving up"},
  };
  return table;
}

const RunConfig::Key *RunConfig::findKey(std::string_view fullName) {
  for (const Key &key : keys())
    if (key.fullName() == fullName)
      return &key;
  return nullptr;
}

namespace {
double derivedMinLr(const RunConfig &config) { return config.lr / 10; }
int64_t derivedWarmup(const RunConfig &config) {
  return std::min<int64_t>(200, config.steps / 20);
}
int64_t derivedDecay(const RunConfig &config) {
  return config.schedule == "wsd"
             ? config.steps / 5
             : std::max<int64_t>(0, config.steps - config.warmup);
}
} // namespace

Result<void> RunConfig::resolve() {
  if (minLr < 0)
    minLr = derivedMinLr(*this);
  if (warmup < 0)
    warmup = derivedWarmup(*this);
  if (decaySteps < 0)
    decaySteps = derivedDecay(*this);
  if (minLr > lr)
    return fail(ErrorKind::BadInput,
                "optimizer.min_lr = {} is above optimizer.lr = {}", minLr, lr);
  if (beta1 >= 1 || beta2 >= 1)
    return fail(ErrorKind::BadInput,
                "optimizer.beta1 = {} and beta2 = {} must be below 1", beta1,
                beta2);
  for (size_t i = 0; i < curriculum.size(); ++i) {
    if (i == 0 ? curriculum[0].step != 0
               : curriculum[i].step <= curriculum[i - 1].step)
      return fail(ErrorKind::BadInput,
                  "data.curriculum: entry {} begins at step {}; the first "
                  "begins at 0 and each later than the one before",
                  i, curriculum[i].step);
  }
  return {};
}

void RunConfig::unresolve() {
  if (decaySteps == derivedDecay(*this))
    decaySteps = -1;
  if (warmup == derivedWarmup(*this))
    warmup = -1;
  if (minLr == derivedMinLr(*this))
    minLr = -1;
}

std::string tomlText(std::string_view value) {
  std::string text = "\"";
  for (char c : value)
    if (c == '"' || c == '\\')
      text += {'\\', c};
    else if (static_cast<unsigned char>(c) < 32 || c == 127)
      text += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      text += c;
  return text + "\"";
}

std::string RunConfig::valueText(const Key &key) const {
  return std::visit(
      [&](auto member) -> std::string {
        const auto &value = this->*member;
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return tomlText(value);
        } else if constexpr (std::is_arithmetic_v<T>) {
          return fmt::format("{}", value);
        } else {
          std::string text = "[";
          for (const CurriculumEntry &entry : value)
            text += fmt::format("{}{{step = {}, T = {}, B = {}}}",
                                text.size() > 1 ? ", " : "", entry.step,
                                entry.T, entry.B);
          return text + "]";
        }
      },
      key.member);
}

std::string RunConfig::toToml() const {
  std::string text;
  std::string_view section;
  for (const Key &key : keys()) {
    if (key.section != section)
      text += fmt::format("{}[{}]\n", section.empty() ? "" : "\n", key.section);
    section = key.section;
    std::string line = fmt::format("{} = {}", key.name, valueText(key));
    text += fmt::format("{:<28} # {}\n", line, key.help);
  }
  return text;
}

std::string_view nearestWord(std::string_view word,
                             std::span<const std::string_view> candidates) {
  auto distance = [](std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t(0));
    for (size_t i = 1; i <= a.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= b.size(); ++j) {
        size_t above = row[j];
        row[j] = std::min(
            {above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
        diagonal = above;
      }
    }
    return row[b.size()];
  };
  std::string_view best;
  size_t least = std::max<size_t>(2, word.size() / 2) + 1;
  for (std::string_view candidate : candidates)
    if (size_t edits = distance(word, candidate); edits < least) {
      least = edits;
      best = candidate;
    }
  return best;
}

} // namespace bitbyte
