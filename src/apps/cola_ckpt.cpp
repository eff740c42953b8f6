// cola_ckpt: looks at checkpoints, verifies and compares them, exports and imports weights. Needs no
// launcher.
#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/ckpt/arguments.h"
#include "apps/ckpt/export.h"
#include "apps/ckpt/list.h"
#include "apps/ckpt/show.h"
#include "apps/common/exit_code.h"
#include "apps/common/run_program.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "io/checkpoints/checkpoint_compare.h"
#include "io/checkpoints/checkpoint_directory.h"

namespace {

using namespace cola;

constexpr const char* help =
    R"(cola_ckpt: look at checkpoints, verify and compare them, export and import weights.

  cola_ckpt list DIR                 every checkpoint of a run, finished or not, with its state
  cola_ckpt show DIR                 step, tokens, model, and the norms of every tensor and its moments
  cola_ckpt show --config DIR        the configuration the checkpoint was trained with, as YAML
  cola_ckpt verify DIR...            reads every byte against the checksums; names the file that is bad
  cola_ckpt diff A B                 compares weights and both optimizer moments, whatever the number of shards
  cola_ckpt export [--format hdf5|safetensors] [--dtype fp32|bf16] [--tokenizer MODEL|--bytes] [--force] DIR OUTPUT
                                     weights by name, padding stripped, optimizer left out: as a file of HDF5 (the
                                     default) or a folder for Hugging Face's tools, with model.safetensors and
                                     config.json, or that first file alone, where OUTPUT ends in .safetensors; --dtype
                                     bf16 rounds the weights of safetensors and halves their size; --tokenizer puts the
                                     SentencePiece model of the training data beside them, --bytes one for bytes, as is
                                     done unasked where the checkpoint says that it was trained on bytes; --force
                                     replaces what is there
  cola_ckpt import [--shards N] [--like DIR] INPUT RUN_DIR
                                     makes RUN_DIR/checkpoints/step-00000000 of weights, moments zero, in N files
                                     (0, the default: as many as keep each below 2^28 elements); INPUT is exported
                                     HDF5, a .safetensors file, a folder as Hugging Face's tools save a LLaMA in, or a
                                     DIR, with whose weights a new run is to begin; --like names a checkpoint of the
                                     same model, for files that do not say what model it is

DIR, A and B may be a step folder, a checkpoints folder or a run directory; of the latter two the newest committed
checkpoint is meant. A checkpoint is committed if its manifest.json exists.

show, diff, export and import compare what they read with its checksums first; --no-verify leaves that out.

Exit codes: 0 all well (diff: identical); 1 damaged, different, or failed; 2 a bad command line, or no committed
checkpoint where it names one.
)";

int verify(const std::vector<std::string>& words) {
  int code = exit_finished;
  for (const std::string& path : CheckpointArguments(words, {}).paths(1, SIZE_MAX, "verify DIR...")) {
    try {
      const std::string folder = resolve_checkpoint(path);
      verify_checkpoint(folder);
      const Manifest manifest = read_manifest(folder);
      fmt::print("{}: good: {} shards, {}\n", folder, manifest.shards.size(),
                 format_bytes(manifest.total_bytes()));
    } catch (const UsageError& missing) {
      log_error(missing.what());
      if (code == exit_finished) code = exit_usage;
    } catch (const FileError& damage) {
      log_error(damage.what());
      code = exit_failed;
    }
  }
  return code;
}

int diff(const std::vector<std::string>& words) {
  boost::program_options::options_description known;
  known.add_options()("no-verify", "");
  const CheckpointArguments arguments(words, known);
  const std::vector<std::string> both = arguments.paths(2, 2, "diff [--no-verify] A B");
  CheckpointReader a = open_checkpoint(arguments, both[0]), b = open_checkpoint(arguments, both[1]);
  const std::vector<TensorDifference> differences = compare_checkpoints(a, b);
  for (const TensorDifference& difference : differences) {
    if (!difference.reason.empty())
      fmt::print("{}: {}\n", difference.name, difference.reason);
    else
      fmt::print("{} {}: {} elements differ, by up to {:.9g}\n", difference.name, name_of(difference.tensor),
                 difference.elements, difference.max_difference);
  }
  if (!differences.empty()) return exit_failed;
  fmt::print("identical: {} tensors and their moments, at steps {} and {}\n", a.manifest().parameters.size(),
             a.manifest().step, b.manifest().step);
  return exit_finished;
}

int run(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word != "--help" && word != "-h" && word != "--version") continue;
    fmt::print("{}", word == "--version" ? fmt::format("cola_ckpt {}\n", version) : help);
    return exit_finished;
  }
  if (words.empty())
    throw UsageError("usage: cola_ckpt list|show|verify|diff|export|import ... (see cola_ckpt --help)");
  const std::map<std::string, std::function<int(const std::vector<std::string>&)>> commands = {
      {"list", list_checkpoints},    {"show", show_checkpoint},    {"verify", verify}, {"diff", diff},
      {"export", export_checkpoint}, {"import", import_checkpoint}};
  const auto command = commands.find(words.front());
  if (command == commands.end())
    throw UsageError("{}: no such command; there are list, show, verify, diff, export and import",
                     words.front());
  return command->second({words.begin() + 1, words.end()});
}

}  // namespace

int main(int count, char** words) {
  return run_program("cola_ckpt", [&] { return unless_output_failed(run({words + 1, words + count})); });
}
