// Fault points: named places where tests kill the process, so that what a crash leaves there can be looked
// at.
//
// The environment variable COLA_FAULT_POINT=NAME or NAME:N makes the N-th (first) arrival at the point NAME
// end the process by SIGKILL: no destructor, no flush, no word. Without the variable a point costs a
// comparison.
//
//   snapshot          a stretch of the state is about to be copied to host memory
//   update            the optimizer is about to change the state, the snapshot being complete
//   shard_begin       the shard's file is laid out, none of its data are written
//   shard_write       another block of data was written
//   shard_flush       all data are written, the file is about to be flushed
//   shard_commit      the shard has its final name
//   drain             a shard in the local folder is about to be copied to the shared one
//   rename            a finished file (shard, manifest) is flushed and about to be renamed
//   renamed           it has its name, the folder is not flushed
//   manifest          all shards are there, the manifest is about to be written
//   committed         the manifest is published, older checkpoints are about to be retired
//   retire            a checkpoint is about to lose its manifest
//   retire_files      it has lost its manifest, its shards are still there
//   retired           it is gone
#pragma once

namespace cola {

void fault_point(const char* name);

}  // namespace cola
