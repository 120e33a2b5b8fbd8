#include "runtime/engine/Sequence.h"

#include <algorithm>
#include <cstring>

namespace bitbyte {

Sequence::Sequence(std::span<const Run> runs) {
  auto place = [&](const Tensor &tensor) {
    uint64_t offset = hostBytes;
    hostBytes += (tensor.buffer.bytes + 63) / 64 * 64;
    return offset;
  };
  for (const Run &run : runs) {
    Part part;
    part.program = run.program;
    for (const Tensor &input : run.program->inputs)
      part.inputOffsets.push_back(place(input));
    for (const OutputBytes &output : run.outputs) {
      part.outputs.push_back(run.program->output(output.name));
      part.outputOffsets.push_back(place(*part.outputs.back()));
    }
    parts.push_back(std::move(part));
  }
}

bool Sequence::fits(std::span<const Run> runs) const {
  return std::equal(
      parts.begin(), parts.end(), runs.begin(), runs.end(),
      [](const Part &part, const Run &run) {
        return part.program == run.program &&
               std::equal(part.outputs.begin(), part.outputs.end(),
                          run.outputs.begin(), run.outputs.end(),
                          [](const Tensor *tensor, const OutputBytes &output) {
                            return tensor->name == output.name;
                          });
      });
}

/// What a run is given for input number `i` of its program; null: nothing.
static const InputBytes *inputOf(const Run &run, const Program &program,
                                 size_t i) {
  auto given = std::find_if(run.inputs.begin(), run.inputs.end(),
                            [&](const InputBytes &input) {
                              return input.name == program.inputs[i].name;
                            });
  return given == run.inputs.end() ? nullptr : &*given;
}

Result<void> Sequence::note(Device &device, const Walk &walk,
                            const DeviceMemory &host) const {
  for (const Part &part : parts) {
    for (size_t i = 0; i < part.program->inputs.size(); ++i) {
      const Buffer &buffer = part.program->inputs[i].buffer;
      BB_TRY(device.upload(walk.at(buffer),
                           {host.data + part.inputOffsets[i], buffer.bytes}));
    }
    BB_TRY(walk.steps(*part.program));
    for (size_t i = 0; i < part.outputs.size(); ++i) {
      const Buffer &buffer = part.outputs[i]->buffer;
      BB_TRY(device.download({host.data + part.outputOffsets[i], buffer.bytes},
                             walk.at(buffer)));
    }
  }
  return {};
}

Result<void> Sequence::record(Device &device, const Walk &walk) {
  Place &place = places[turn];
  if (!place.host.data) {
    BB_ASSIGN(place.host, device.hostMemory(hostBytes));
  }
  std::string names;
  for (size_t i = 0; i < parts.size(); ++i)
    if (i == 0 || parts[i].program != parts[i - 1].program)
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ",
                           parts[i].program->name);
  BB_TRY(device.beginRecording(names));
  Result<void> noted = note(device, walk, place.host);
  auto ended = device.endRecording();
  BB_TRY(noted); // it says more than that the recording is void
  if (!ended)
    return tl::unexpected(std::move(ended.error()));
  place.recording = std::move(*ended);
  return {};
}

void Sequence::stage(std::span<const Run> runs) {
  Place &place = places[turn];
  place.staged.clear();
  if (!place.host.data)
    return;
  for (size_t r = 0; r < runs.size(); ++r)
    for (size_t i = 0; i < parts[r].program->inputs.size(); ++i)
      if (const InputBytes *given = inputOf(runs[r], *parts[r].program, i)) {
        uint64_t offset = parts[r].inputOffsets[i];
        std::memcpy(place.host.data + offset, given->bytes.data(),
                    given->bytes.size());
        place.staged.insert(offset);
      }
}

Result<void> Sequence::replay(Device &device, std::span<const Run> runs,
                              const std::function<Result<void>()> &meanwhile) {
  Place &place = places[turn];
  turn = 1 - turn;
  for (size_t r = 0; r < runs.size(); ++r)
    for (size_t i = 0; i < parts[r].program->inputs.size(); ++i) {
      const InputBytes *given = inputOf(runs[r], *parts[r].program, i);
      uint64_t offset = parts[r].inputOffsets[i];
      if (!given->staged || !place.staged.contains(offset))
        std::memcpy(place.host.data + offset, given->bytes.data(),
                    given->bytes.size());
    }
  place.staged.clear();
  BB_TRY(device.replay(*place.recording));
  Result<void> done = meanwhile ? meanwhile() : Result<void>();
  BB_TRY(device.finish());
  for (size_t r = 0; r < runs.size(); ++r)
    for (size_t i = 0; i < runs[r].outputs.size(); ++i)
      std::memcpy(runs[r].outputs[i].bytes.data(),
                  place.host.data + parts[r].outputOffsets[i],
                  runs[r].outputs[i].bytes.size());
  return done;
}

} // namespace bitbyte
