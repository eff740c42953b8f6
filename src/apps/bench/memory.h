// cola_bench memory: what full-rank models, CoLA and CoLA-M take in memory, and how fast they train.
#pragma once

#include "dist/mpi_session.h"

namespace cola {

/// The whole command, its options included; returns the exit code. Collective. Throws UsageError.
int bench_memory(int count, char** arguments, MpiSession& session);

}  // namespace cola
