#include "tools/bb-run/StopSignals.h"

#include <csignal>

namespace bitbyte {

static volatile std::sig_atomic_t requested = 0;

void installStopSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { requested = 1; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stopRequested() { return requested != 0; }

} // namespace bitbyte
