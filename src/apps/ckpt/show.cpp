#include "apps/ckpt/show.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "apps/ckpt/arguments.h"
#include "core/error.h"
#include "core/text.h"
#include "io/checkpoints/checkpoint_compare.h"

namespace cola {

namespace {

std::string model_summary(const Manifest& manifest) {
  std::int64_t elements = 0, rank = 0;
  for (const Parameter& parameter : manifest.parameters) {
    elements += parameter.elements();
    if (rank == 0 && parameter.name.ends_with(".cola_a")) rank = parameter.rows;
  }
  const Parameter& embedding = manifest.parameters.at(0);
  const std::string kind = rank > 0 ? fmt::format("CoLA of rank {}", rank) : std::string("full rank");
  return fmt::format("{}, {} layers, hidden size {}, vocabulary {}, {} parameters ({} stored)", kind,
                     manifest.units.size() - 2, embedding.columns, embedding.rows, elements,
                     manifest.total_elements());
}

void print_tensors(CheckpointReader& reader) {
  std::size_t width = 6;
  for (const Parameter& parameter : reader.manifest().parameters)
    width = std::max(width, parameter.name.size());
  fmt::print("{:<{}} {:>16} {:>13} {:>13} {:>13}\n", "tensor", width, "shape", "L2 weights", "L2 exp_avg",
             "L2 exp_avg_sq");
  for (const Parameter& parameter : reader.manifest().parameters) {
    const TensorNorms norms = tensor_norms(reader, parameter);
    fmt::print("{:<{}} {:>16} {:>13.6g} {:>13.6g} {:>13.6g}\n", parameter.name, width, shape_text(parameter),
               norms.weights, norms.exp_avg, norms.exp_avg_sq);
  }
}

}  // namespace

int show_checkpoint(const std::vector<std::string>& words) {
  boost::program_options::options_description known;
  known.add_options()("config", "")("no-verify", "");
  const CheckpointArguments arguments(words, known);
  CheckpointReader reader =
      open_checkpoint(arguments, arguments.paths(1, 1, "show [--config] [--no-verify] DIR").front());
  const Manifest& manifest = reader.manifest();
  if (arguments.has("config")) {
    fmt::print("{}", manifest.configuration);
    return exit_finished;
  }
  fmt::print("checkpoint   {}\n", reader.folder());
  fmt::print("step         {}\n", manifest.step);
  fmt::print("tokens       {}\n", manifest.tokens);
  fmt::print("next sample  {}\n", manifest.next_sample);
  fmt::print("seed         {}\n", manifest.seed);
  fmt::print("model        {}\n", model_summary(manifest));
  fmt::print("shards       {} ({})\n\n", manifest.shards.size(), format_bytes(manifest.total_bytes()));
  print_tensors(reader);
  return exit_finished;
}

}  // namespace cola
