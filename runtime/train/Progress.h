//===- Progress.h - What a person sees while a run goes on ----------------===//
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace bitbyte {

/// "1:05:09", "3:20"
std::string formatDuration(double seconds);
/// "1.6 kB/s"
std::string formatSpeed(double bytesPerSecond);

/// On a terminal, one line that is drawn over; elsewhere a plain line every few
/// seconds. `notes` are lines of their own.
class Progress {
public:
  /// A null stream is silent.
  explicit Progress(FILE *stream);
  ~Progress() { clear(); }
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void note(std::string_view line);
  /// `rest` follows the bar: "loss 1.234".
  void advance(std::string_view what, uint64_t done, uint64_t total,
               std::string_view rest);

private:
  void clear();

  FILE *stream;
  bool terminal = false, drawn = false;
  std::chrono::steady_clock::time_point last{};
};

} // namespace bitbyte
