// cola_data: makes token files of text, and looks at them.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "apps/common/exit_code.h"
#include "apps/common/run_program.h"
#include "apps/data/inspect.h"
#include "apps/data/tokenize.h"
#include "core/error.h"
#include "core/version.h"
#include "dist/mpi_session.h"
#include "dist/placement/launch_environment.h"

namespace {

using namespace cola;

constexpr const char* help =
    R"(cola_data: make token files for training out of text, and look at them.

  cola_data tokenize --input FILE... --output DIR (--tokenizer MODEL | --bytes) [OPTION...]
  cola_data inspect FILE...
  cola_data --help | --version

tokenize writes DIR/train-NNNNN.h5 and DIR/validation-NNNNN.h5, one of each for every rank that has documents. Start it
under mpirun or srun to tokenize in parallel: files are dealt out by size, and large uncompressed ones divided.

  --input FILE...            .txt, .jsonl or .json (one object a line, with its text in a field), each plain or
                             compressed: .gz, .zst, .dz
  --field NAME               the field of .jsonl and .json files that holds a document's text (default "text"); one of the
                             line's object itself, not of an object inside it
  --output DIR               made if it is not there
  --tokenizer MODEL          a SentencePiece model; its end-of-sentence piece ends documents
  --bytes                    no model: ids 0-255 are the bytes, 256 ends a document, 257 is padding
  --packing packed           documents one after another, each with its end: every token trains (the default)
  --packing document         one document a row, cut or padded to the sequence length; padding does not train
  --sequence-length L        of --packing document (default 256); must be data.sequence_length of the training run
  --validation-fraction F    documents held back, chosen by a hash of their text and nothing else (default 0.01); at least
                             one of two; 0 for none
  --document-bytes N         .txt files are cut at blank lines into documents of at least N bytes (default 4096), and where
                             there is none for 1 MiB at a line's end or white space; 0 takes a whole file as one document
  --skip-bad N               leave out documents that cannot be read, at most N of all ranks together (default 0): lines
                             that are no JSON object or have no text in the field. Each is named. One more ends the work,
                             nothing written: at once where a rank by itself finds more than N, else when all ranks have
                             read theirs
  --force                    replace the token files in DIR, once the new ones are complete

DIR's disk needs room for the new files beside the old ones: 2 bytes a token (4 for vocabularies above 65536), 8 a document;
twice as much where the file system cannot free parts of a file (NFS before 4.2).

inspect prints a token file's attributes, counts and first tokens, and checks all of it. Of several files it prints a line
each and their sums; it goes on after a damaged one, and names each on stderr.

Nothing appears in DIR under its final name before every rank has finished: after a failure, run it again.

Exit codes: 0 done; 2 bad command line or bad input; 1 anything else, inspect finding a damaged file among it.
)";

/// Without a launcher MPI is not started: it takes longer than a small corpus, and on the login nodes of some
/// clusters it cannot start at all. Under one, ranks leave GPUs and network cards alone.
int tokenize_as_launched(int count, char** arguments, const std::vector<std::string>& words) {
  if (!read_launch_environment(environment_variable)) return tokenize_text(*make_self_communicator(), words);
  return run_on_ranks(count, arguments, {.on_cpu = true, .bind_network = false},
                      [&](MpiSession& session) { return tokenize_text(session.world(), words); });
}

int run(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const auto asks = [&](const char* option) {
    return std::find(words.begin(), words.end(), option) != words.end();
  };
  if (asks("--help") || asks("-h")) {
    fmt::print("{}", help);
    return exit_finished;
  }
  if (asks("--version")) {
    fmt::print("cola_data {}\n", version);
    return exit_finished;
  }
  const std::string command = words.empty() ? "" : words.front();
  const std::vector<std::string> rest(words.begin() + !words.empty(), words.end());
  if (command == "inspect") return inspect_tokens(rest);
  if (command != "tokenize")
    throw UsageError("usage: cola_data tokenize ... | cola_data inspect FILE... (see cola_data --help)");
  return tokenize_as_launched(count, arguments, rest);
}

}  // namespace

int main(int count, char** arguments) {
  return run_program("cola_data", [&] { return unless_output_failed(run(count, arguments)); });
}
