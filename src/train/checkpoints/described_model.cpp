#include "train/checkpoints/described_model.h"

#include <filesystem>

#include "core/error.h"
#include "io/exchange/huggingface_configuration.h"
#include "io/exchange/weights_file.h"
#include "io/files/durable_file.h"
#include "model/parameter_table.h"
#include "train/configuration/run_configuration.h"

namespace cola {

ModelConfiguration described_model(const CheckpointReader& reader) {
  const ModelConfiguration model =
      parse_run_configuration(reader.manifest().configuration, reader.folder() + "/manifest.json").model;
  require_same_parameters(reader.manifest(), ParameterTable(model), reader.folder());
  return model;
}

Manifest describe_huggingface(const std::string& input) {
  const std::string folder = std::filesystem::is_directory(input) ? input : parent_folder(input);
  const std::string path = folder + "/" + exported::configuration_name;
  if (!std::filesystem::exists(path))
    throw FileError(
        "{}: has no {} beside it to say what model it holds; --like CHECKPOINT can say it instead", input,
        exported::configuration_name);
  RunConfiguration configuration;
  configuration.run.name = "imported";
  configuration.model = configuration_from_huggingface(read_file(path), path);
  configuration.data.sequence_length = configuration.model.max_position_embeddings;
  configuration.data.train = configuration.data.validation = {"unknown"};
  const ParameterTable table(configuration.model);
  Manifest manifest;
  manifest.configuration = to_yaml(configuration);
  manifest.parameters = table.parameters();
  manifest.units = table.units();
  return manifest;
}

}  // namespace cola
