//===- StopSignals.h - SIGINT and SIGTERM as a question -------------------===//
#pragma once

namespace bitbyte {

/// From now on the first SIGINT or SIGTERM only makes `stopRequested` true; a
/// second one ends the process.
void installStopSignals();
bool stopRequested();

} // namespace bitbyte
