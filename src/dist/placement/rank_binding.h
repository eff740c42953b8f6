// Rank binding: the GPU, cores, threads and network card of this rank, chosen by what lies near what.
#pragma once

#include "dist/mpi_session.h"
#include "dist/placement/node_layout.h"

namespace cola {

/// Places this rank: its GPU, where CUDA shows it `gpus` (0: it computes on the CPU), is the one nearest to
/// the cores that the launcher bound it to; a rank that may use more cores than those near its GPU is bound
/// to these. `threads` 0 means the cores it may use, shared evenly with ranks that may use the very same
/// ones. The result lacks the device's name. Collective.
RankPlace bind_rank(MpiSession& session, int gpus, int threads);

}  // namespace cola
