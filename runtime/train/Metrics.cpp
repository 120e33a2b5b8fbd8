#include "runtime/train/Metrics.h"

#include "runtime/core/File.h"

#include <cerrno>
#include <cmath>
#include <fcntl.h>
#include <numbers>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace bitbyte {

std::string jsonNumber(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

Result<Metrics> Metrics::open(const std::string &path, uint64_t bytes) {
  Metrics metrics;
  metrics.path = path;
  metrics.length = bytes;
  metrics.descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (metrics.descriptor < 0)
    return fail(ErrorKind::Failed, "{}: cannot be written: {}", path,
                systemError(errno));
  struct stat status;
  if (fstat(metrics.descriptor, &status) != 0 ||
      static_cast<uint64_t>(status.st_size) < bytes)
    return fail(ErrorKind::BadInput,
                "{}: has {} bytes, the checkpoint was written after {}", path,
                status.st_size, bytes);
  if (ftruncate(metrics.descriptor, static_cast<off_t>(bytes)) != 0)
    return fail(ErrorKind::Failed, "{}: cannot be cut to {} bytes: {}", path,
                bytes, systemError(errno));
  return metrics;
}

Metrics::Metrics(Metrics &&other) noexcept
    : path(std::move(other.path)),
      descriptor(std::exchange(other.descriptor, -1)), length(other.length) {}

Metrics::~Metrics() {
  if (descriptor >= 0)
    close(descriptor);
}

Result<void> Metrics::add(const TrainLine &line) {
  double speed = static_cast<double>(line.stepBytes) / line.seconds;
  return append(fmt::format(
      R"({{"v":1,"step":{},"bytes":{},"loss":{},"bpb":{},"lr":{},"grad_norm":{},)"
      R"("ms":{:.3f},"bytes_per_second":{:.1f},"skipped":{}}})",
      line.step, line.bytes, jsonNumber(line.loss),
      jsonNumber(line.loss / std::numbers::ln2), jsonNumber(line.lr),
      jsonNumber(line.gradNorm), line.seconds * 1e3, speed, line.skipped));
}

Result<void> Metrics::add(const EvalLine &line) {
  return append(fmt::format(
      R"({{"v":1,"step":{},"split":"{}","eval_bytes":{},"bpb":{},"seconds":{:.3f}}})",
      line.step, line.split, line.evalBytes, jsonNumber(line.bitsPerByte),
      line.seconds));
}

Result<void> Metrics::append(const std::string &line) {
  std::string text = line + "\n";
  ssize_t written = ::write(descriptor, text.data(), text.size());
  if (written != std::ssize(text))
    return fail(ErrorKind::Failed, "{}: a line of {} bytes was not written: {}",
                path, text.size(),
                written < 0 ? systemError(errno) : "the disk is full");
  length += text.size();
  return {};
}

Result<void> Metrics::flush() {
  if (fdatasync(descriptor) != 0)
    return fail(ErrorKind::Failed, "{}: cannot be flushed: {}", path,
                systemError(errno));
  return {};
}

} // namespace bitbyte
