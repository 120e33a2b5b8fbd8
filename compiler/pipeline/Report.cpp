//===- Report.cpp - What bbc --report prints ------------------------------===//

#include "compiler/pipeline/Report.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <map>

using namespace llvm;
using namespace bitbyte;
using namespace bitbyte::bb;

namespace {

/// Elements of all parameters; a flat state counts through its slices.
uint64_t parameterCount(const fb::ArtifactT &artifact) {
  std::vector<bool> isFlat(artifact.states.size());
  for (auto &state : artifact.states)
    if (state->slice_of >= 0)
      isFlat[state->slice_of] = true;
  uint64_t count = 0;
  for (auto [state, flat] : zip_equal(artifact.states, isFlat)) {
    if (state->kind != fb::StateKind::parameter || flat)
      continue;
    uint64_t elements = 1;
    for (uint64_t dim : state->shape)
      elements *= dim;
    count += elements;
  }
  return count;
}

/// Bytes of text that a program reads at a time: the largest u8 input.
uint64_t bytesOfText(const fb::ProgramT &program) {
  uint64_t most = 0;
  for (auto &input : program.inputs)
    if (input->dtype == fb::DType::u8)
      most = std::max(most, input->buffer->bytes());
  return most;
}

struct StepCounts {
  uint64_t dispatches = 0, copies = 0, zeros = 0;
};

StepCounts countSteps(const fb::ProgramT &program) {
  StepCounts counts;
  for (auto &step : program.steps) {
    counts.dispatches += step.type == fb::Step::Dispatch;
    counts.copies += step.type == fb::Step::Copy;
    counts.zeros += step.type == fb::Step::Zero;
  }
  return counts;
}

/// Bytes that a program moves at the least, if nothing that it computes on the
/// way left the chip: states, constants, inputs and outputs, each once.
uint64_t leastTraffic(const fb::VariantT &variant,
                      const fb::ProgramT &program) {
  using Span = std::pair<uint64_t, uint64_t>;
  std::map<std::pair<fb::Space, bool>, std::vector<Span>> touched;
  auto touch = [&](const fb::Buffer &buffer, bool writes) {
    if (buffer.space() != fb::Space::arena)
      touched[{buffer.space(), writes}].push_back(
          {buffer.offset(), buffer.offset() + buffer.bytes()});
  };
  for (auto &step : program.steps) {
    if (auto *dispatch = step.AsDispatch()) {
      auto &kernel = *variant.kernels[dispatch->kernel];
      for (auto [buffer, writes] : zip(dispatch->buffers, kernel.writes))
        touch(buffer, writes);
    } else if (auto *copy = step.AsCopy()) {
      touch(*copy->source, false);
      touch(*copy->target, true);
    } else if (auto *zero = step.AsZero()) {
      touch(*zero->target, true);
    }
  }
  uint64_t bytes = 0;
  for (auto &[place, spans] : touched) {
    sort(spans);
    uint64_t end = 0;
    for (auto [from, to] : spans) {
      bytes += to > end ? to - std::max(from, end) : 0;
      end = std::max(end, to);
    }
  }
  for (auto *tensors : {&program.inputs, &program.outputs})
    for (auto &tensor : *tensors)
      if (tensor->buffer->space() == fb::Space::arena)
        bytes += tensor->buffer->bytes();
  return bytes;
}

/// Kernels by anchor, and how often programs run each anchor.
std::map<std::string, std::pair<uint64_t, uint64_t>>
anchorsOf(const fb::VariantT &variant) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> anchors;
  for (auto &kernel : variant.kernels)
    ++anchors[kernel->anchor].first;
  for (auto &program : variant.programs)
    for (auto &step : program->steps)
      if (auto *dispatch = step.AsDispatch())
        ++anchors[variant.kernels[dispatch->kernel]->anchor].second;
  return anchors;
}

void printText(const fb::ArtifactT &artifact, const PhaseRunner &runner,
               uint64_t fileBytes, raw_ostream &out) {
  auto mega = [](uint64_t bytes) {
    return format("%10.2f", double(bytes) / 1e6);
  };
  out << artifact.model << ", " << artifact.compute_type << ": "
      << parameterCount(artifact) << " parameters, " << fileBytes
      << " bytes of artifact\n";
  for (auto &variant : artifact.variants) {
    out << "\n"
        << variant->target << "   MB: parameters"
        << mega(variant->parameters_bytes) << ", training"
        << mega(variant->training_bytes) << ", derived"
        << mega(variant->derived_bytes) << ", cache"
        << mega(variant->cache_bytes) << ", constants"
        << mega(variant->constants_bytes) << "\n";
    out << "  program              steps copies   arena MB    live MB  "
           "arena/live   moved MB   least MB"
           "     GFLOP  FLOP/byte\n";
    for (auto &program : variant->programs) {
      StepCounts steps = countSteps(*program);
      uint64_t text = bytesOfText(*program);
      out << "  " << left_justify(program->name, 20)
          << format("%6llu %6llu ", (unsigned long long)steps.dispatches,
                    (unsigned long long)(steps.copies + steps.zeros))
          << mega(program->arena_bytes) << " " << mega(program->live_bytes)
          << format("  %10.3f ",
                    program->live_bytes
                        ? double(program->arena_bytes) / program->live_bytes
                        : 1.0)
          << mega(program->traffic_bytes) << " "
          << mega(leastTraffic(*variant, *program))
          << format(" %9.3f", double(program->flops) / 1e9)
          << format(" %10.0f", text ? double(program->flops) / text : 0.0)
          << "\n";
    }
    out << "  kernels: " << variant->kernels.size() << "\n";
    for (auto &[anchor, counts] : anchorsOf(*variant))
      out << "    " << left_justify(anchor, 18) << counts.first << " kernels, "
          << counts.second << " dispatches\n";
  }
  out << "\nseconds:";
  for (auto [i, name] : enumerate(phaseNames))
    out << " " << name << format(" %.2f", runner.secondsOf(Phase(i)));
  out << "\n";
}

void printJson(const fb::ArtifactT &artifact, const PhaseRunner &runner,
               uint64_t fileBytes, raw_ostream &out) {
  json::OStream json(out, 2);
  json.object([&] {
    json.attribute("model", artifact.model);
    json.attribute("dtype", artifact.compute_type);
    json.attribute("parameters", int64_t(parameterCount(artifact)));
    json.attribute("artifact_bytes", int64_t(fileBytes));
    json.attributeArray("variants", [&] {
      for (auto &variant : artifact.variants)
        json.object([&] {
          json.attribute("target", variant->target);
          json.attribute("parameters_bytes",
                         int64_t(variant->parameters_bytes));
          json.attribute("training_bytes", int64_t(variant->training_bytes));
          json.attribute("derived_bytes", int64_t(variant->derived_bytes));
          json.attribute("cache_bytes", int64_t(variant->cache_bytes));
          json.attribute("constants_bytes", int64_t(variant->constants_bytes));
          json.attributeArray("programs", [&] {
            for (auto &program : variant->programs)
              json.object([&] {
                StepCounts steps = countSteps(*program);
                uint64_t text = bytesOfText(*program);
                json.attribute("name", program->name);
                json.attribute("dispatches", int64_t(steps.dispatches));
                json.attribute("copies", int64_t(steps.copies));
                json.attribute("zeros", int64_t(steps.zeros));
                json.attribute("arena_bytes", int64_t(program->arena_bytes));
                json.attribute("live_bytes", int64_t(program->live_bytes));
                json.attribute("traffic_bytes",
                               int64_t(program->traffic_bytes));
                json.attribute("least_traffic_bytes",
                               int64_t(leastTraffic(*variant, *program)));
                json.attribute("flops", int64_t(program->flops));
                if (text)
                  json.attribute("flops_per_byte",
                                 double(program->flops) / text);
              });
          });
          json.attribute("kernels", int64_t(variant->kernels.size()));
          json.attributeObject("anchors", [&] {
            for (auto &[anchor, counts] : anchorsOf(*variant))
              json.attributeObject(anchor, [&, c = counts] {
                json.attribute("kernels", int64_t(c.first));
                json.attribute("dispatches", int64_t(c.second));
              });
          });
        });
    });
    json.attributeObject("seconds", [&] {
      for (auto [i, name] : enumerate(phaseNames))
        json.attribute(name, runner.secondsOf(Phase(i)));
    });
  });
  out << "\n";
}

} // namespace

void bb::printReport(const CompileOptions &options,
                     const fb::ArtifactT &artifact, const PhaseRunner &runner,
                     uint64_t fileBytes, raw_ostream &out) {
  if (options.report == ReportFormat::json)
    printJson(artifact, runner, fileBytes, out);
  else
    printText(artifact, runner, fileBytes, out);
}
