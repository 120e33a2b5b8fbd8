#include "runtime/train/Progress.h"

#include <fmt/format.h>
#include <unistd.h>

namespace bitbyte {

std::string formatDuration(double seconds) {
  auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60,
                       whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string formatSpeed(double bytesPerSecond) {
  if (bytesPerSecond >= 1e6)
    return fmt::format("{:.1f} MB/s", bytesPerSecond / 1e6);
  if (bytesPerSecond >= 1e3)
    return fmt::format("{:.1f} kB/s", bytesPerSecond / 1e3);
  return fmt::format("{:.0f} B/s", bytesPerSecond);
}

Progress::Progress(FILE *stream) : stream(stream) {
  terminal = stream && isatty(fileno(stream));
}

void Progress::clear() {
  if (drawn)
    fputs("\r\033[K", stream);
  drawn = false;
}

void Progress::note(std::string_view line) {
  if (!stream)
    return;
  clear();
  fmt::print(stream, "{}\n", line);
  fflush(stream);
}

void Progress::advance(std::string_view what, uint64_t done, uint64_t total,
                       std::string_view rest) {
  if (!stream)
    return;
  auto now = std::chrono::steady_clock::now();
  double since = std::chrono::duration<double>(now - last).count();
  if (since < (terminal ? 0.1 : 5) && done != total)
    return;
  last = now;
  if (!terminal) {
    fmt::print(stream, "{} {}/{} {}\n", what, done, total, rest);
    fflush(stream);
    return;
  }
  constexpr int width = 24;
  int filled = total ? static_cast<int>(width * done / total) : width;
  fmt::print(stream, "\r\033[K{} {}/{} {}{} {}", what, done, total,
             std::string(filled, '#'), std::string(width - filled, '.'), rest);
  fflush(stream);
  drawn = true;
}

} // namespace bitbyte
