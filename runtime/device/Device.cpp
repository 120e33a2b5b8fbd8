#include "runtime/device/Device.h"

#include <chrono>

namespace bitbyte {

Result<void> Device::mark(size_t number) {
  BB_TRY(finish());
  if (marks.size() <= number)
    marks.resize(number + 1);
  using namespace std::chrono;
  marks[number] =
      duration<double>(steady_clock::now().time_since_epoch()).count();
  return {};
}

Result<double> Device::secondsBetween(size_t from, size_t to) {
  return marks[to] - marks[from];
}

} // namespace bitbyte
