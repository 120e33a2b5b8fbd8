#include "runtime/generate/Sampler.h"

#include "runtime/core/Random.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#pragma STDC FP_CONTRACT OFF

namespace bitbyte {

Result<Sampler> Sampler::create(const SamplerOptions &options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature))
    return fail(ErrorKind::Usage, "temperature {} is below 0",
                options.temperature);
  if (options.topK < 0)
    return fail(ErrorKind::Usage, "top-k {} is below 0", options.topK);
  if (!(options.topP > 0 && options.topP <= 1))
    return fail(ErrorKind::Usage, "top-p {} is outside (0, 1]", options.topP);
  return Sampler(options);
}

Result<uint8_t> Sampler::draw(std::span<const float> logits,
                              uint64_t index) const {
  logits = logits.first(std::min<size_t>(logits.size(), 256));
  for (size_t id = 0; id < logits.size(); ++id)
    if (!std::isfinite(logits[id]))
      return fail(ErrorKind::Diverged, "the logit of byte {} is {}", id,
                  logits[id]);
  std::vector<uint16_t> order(logits.size());
  std::iota(order.begin(), order.end(), uint16_t(0));
  std::ranges::sort(order, [&](uint16_t a, uint16_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  if (options.temperature == 0)
    return static_cast<uint8_t>(order[0]);
  if (options.topK > 0)
    order.resize(std::min<size_t>(order.size(), options.topK));

  std::vector<double> weights(order.size());
  double total = 0, largest = logits[order[0]];
  for (size_t i = 0; i < order.size(); ++i) {
    weights[i] = exact::exp((logits[order[i]] - largest) / options.temperature);
    total += weights[i];
  }
  if (options.topP < 1) {
    double held = 0;
    size_t count = 0;
    while (count < order.size() && held < options.topP * total)
      held += weights[count++];
    order.resize(count);
    total = held;
  }
  double u = RandomStream(options.seed, RandomUse::sampling, 0).uniform(index);
  double left = u * total;
  for (size_t i = 0; i < order.size(); ++i) {
    if (left < weights[i])
      return static_cast<uint8_t>(order[i]);
    left -= weights[i];
  }
  return static_cast<uint8_t>(order.back()); // rounding ate the last bit
}

} // namespace bitbyte
