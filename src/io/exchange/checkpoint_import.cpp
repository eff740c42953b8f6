#include "io/exchange/checkpoint_import.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <system_error>
#include <vector>

#include "core/divide_up.h"
#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/checkpoint_reader.h"
#include "io/exchange/weights_file.h"
#include "io/files/checksum.h"
#include "io/files/directory_lock.h"
#include "io/files/durable_file.h"
#include "io/files/hdf5_file.h"
#include "io/files/run_directory.h"

namespace cola {

namespace {

// Weights of another program's still have the buffer that transformers once saved; it follows from
// rope_theta.
bool is_derived(const std::string& name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

// A checkpoint of this program as if it had been exported. Its shards have checksums of their own.
class CheckpointWeights final : public WeightsFile {
 public:
  CheckpointWeights(const std::string& folder, ShardCheck check) : reader_(folder, check) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const Parameter& parameter : reader_.manifest().parameters) names.push_back(parameter.name);
    return names;
  }
  std::vector<std::int64_t> shape(const std::string& name) const override {
    return exported::logical_shape(find(name));
  }
  void read(const std::string& name, std::span<float> values) const override {
    const std::vector<float> weights = reader_.read_tensor(find(name), StateTensor::weights);
    std::copy(weights.begin(), weights.end(), values.begin());
  }
  std::string checksums() const override { return {}; }

 private:
  const Parameter& find(const std::string& name) const {
    for (const Parameter& parameter : reader_.manifest().parameters)
      if (parameter.name == name) return parameter;
    throw FileError("{}: has no tensor {}", reader_.folder(), name);
  }

  mutable CheckpointReader reader_;  // opens its shards as they are needed
};

std::unique_ptr<WeightsFile> open_import(const std::string& path, bool verify) {
  const std::string own = find_own_checkpoint(path);
  if (own.empty()) return open_weights_file(path);
  return std::make_unique<CheckpointWeights>(own, verify ? ShardCheck::checksum : ShardCheck::size);
}

// Exported weights, checked against their checksums as they are read. Files made elsewhere have none.
class ExportedWeights {
 public:
  ExportedWeights(const std::string& path, bool verify) : path_(path), file_(open_import(path, verify)) {
    if (!verify) return;
    const std::string text = file_->checksums();
    for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
      lines_.push_back(text.substr(begin, end + 1 - begin));
  }

  // Every tensor must be there in its logical shape, and no other.
  void require_tensors(const Manifest& like) const {
    const std::vector<std::string> names = file_->names();
    std::set<std::string> others(names.begin(), names.end());
    for (const Parameter& parameter : like.parameters) {
      if (others.erase(parameter.name) == 0) throw FileError("{}: has no tensor {}", path_, parameter.name);
      const std::vector<std::int64_t> shape = file_->shape(parameter.name);
      if (shape != exported::logical_shape(parameter))
        throw FileError("{}: {} is [{}], the model needs {}", path_, parameter.name, fmt::join(shape, ", "),
                        shape_text(parameter));
    }
    std::erase_if(others, is_derived);
    if (!others.empty())
      throw FileError("{}: holds {}, which the model does not have", path_, *others.begin());
  }

  // Stored elements [begin, end) of the flat space, gathered from every tensor that reaches into it.
  std::vector<float> flat(const Manifest& like, std::int64_t begin, std::int64_t end) const {
    std::vector<float> flat(static_cast<std::size_t>(end - begin));
    for (const Parameter& parameter : like.parameters) {
      const std::int64_t offset =
          like.units[static_cast<std::size_t>(parameter.unit)].offset + parameter.offset;
      const std::int64_t first = std::max(begin, offset);
      const std::int64_t last = std::min(end, offset + parameter.stored_elements());
      if (first >= last) continue;
      const std::vector<float> values = stored(parameter);
      std::copy(values.begin() + (first - offset), values.begin() + (last - offset),
                flat.begin() + (first - begin));
    }
    return flat;
  }

 private:
  // Rows of a logical tensor spread out to their stored width; padding is zero.
  std::vector<float> stored(const Parameter& parameter) const {
    std::vector<float> logical(static_cast<std::size_t>(parameter.elements()));
    file_->read(parameter.name, logical);
    require_intact(parameter.name, logical);
    std::vector<float> stored(static_cast<std::size_t>(parameter.stored_elements()));
    for (std::int64_t row = 0; row < parameter.rows; ++row)
      std::copy_n(logical.begin() + row * parameter.columns, parameter.columns,
                  stored.begin() + row * parameter.stored_columns);
    return stored;
  }

  void require_intact(const std::string& name, std::span<const float> values) const {
    if (lines_.empty()) return;
    const std::string line = exported::checksum_line(checksum_of(std::as_bytes(values)), name);
    if (std::find(lines_.begin(), lines_.end(), line) == lines_.end())
      throw FileError("{}: {} is damaged or was changed: it does not have its checksum among its {}", path_,
                      name, exported::checksums_name);
  }

  std::string path_;
  std::unique_ptr<WeightsFile> file_;
  std::vector<std::string> lines_;  // none: nothing is checked
};

int choose_shards(std::int64_t total_elements, int wanted) {
  constexpr std::int64_t most_elements = std::int64_t{1} << 28;
  if (wanted > total_elements) throw UsageError("{} shards are more than the model has elements", wanted);
  return wanted > 0 ? wanted : static_cast<int>(divide_up(total_elements, most_elements));
}

// A run directory and where its checkpoints lie.
struct RunPlace {
  std::string run, checkpoints;
};

// Either of them may be named, by whatever path.
RunPlace place_of_run(const std::string& directory) {
  if (directory.empty()) throw UsageError("the run directory to import into has an empty name");
  const std::string whole = std::filesystem::absolute(directory).lexically_normal().string();
  if (checkpoint_step(last_name(whole)))
    throw UsageError("{}: is named as a single checkpoint; name the run directory that is to hold it",
                     directory);
  if (last_name(whole) == checkpoints_name) return {parent_folder(whole), directory};
  return {directory, (std::filesystem::path(directory) / checkpoints_name).string()};
}

void require_uncommitted(const std::string& folder) {
  if (is_committed(folder))
    throw UsageError("{}: is a committed checkpoint already, and will not be written into", folder);
}

// An empty folder, on a disk with room for the whole.
void prepare(const std::string& folder, std::int64_t total_elements, int shards) {
  remove_uncommitted(folder);
  const std::int64_t largest = divide_up(total_elements, shards);
  require_free_space(folder, static_cast<std::uint64_t>(shards) * shard_bytes(largest), folder);
}

void write_shards(const ExportedWeights& weights, const std::string& folder, int shards, Manifest& manifest) {
  const std::int64_t total = manifest.total_elements();
  for (int shard = 0; shard < shards; ++shard) {
    const std::int64_t begin = total * shard / shards, end = total * (shard + 1) / shards;
    const std::vector<float> values = weights.flat(manifest, begin, end);
    const std::vector<float> zeros(values.size());
    manifest.shards.push_back(
        write_shard(folder, {shard, shards, {{begin, end, 0}}}, {values, zeros, zeros}));
  }
}

}  // namespace

std::string find_own_checkpoint(const std::string& input) {
  const auto holds = [&](const std::string& name) { return std::filesystem::exists(input + "/" + name); };
  // Whatever else lies in the folder of another program's model, it is that model.
  if (!std::filesystem::is_directory(input) || holds(exported::configuration_name)) return {};
  const std::string directory = checkpoints_directory(input);
  const bool is_named_so = directory != input || checkpoint_step(last_name(input));
  const bool is_own = is_committed(input) || !step_folders(directory).empty() ||
                      (is_named_so && !holds(exported::safetensors_name));
  return is_own ? resolve_checkpoint(input) : std::string();
}

Manifest read_export_manifest(const std::string& input) {
  const Hdf5File file = Hdf5File::open(input);
  if (!file.contains(exported::manifest_name))
    throw FileError("{}: does not say what model it holds; --like CHECKPOINT can say it instead", input);
  return manifest_from_json(file.read_text(exported::manifest_name), input + ": " + exported::manifest_name);
}

std::string import_weights(const std::string& input, const Manifest& like, const std::string& directory,
                           int shards, bool verify) {
  Manifest manifest = like;
  // The model and its tokenizer are the same; how far it was trained counts no more.
  manifest.step = manifest.next_sample = manifest.tokens = 0;
  manifest.seed = 0;
  manifest.shards.clear();
  shards = choose_shards(like.total_elements(), shards);
  const RunPlace place = place_of_run(directory);
  const std::string folder = (std::filesystem::path(place.checkpoints) / checkpoint_name(0)).string();
  const ExportedWeights weights(input, verify);
  weights.require_tensors(like);
  // A job that works in the run directory would take what is half there for what a crash left.
  DirectoryLock lock(place.run);
  const bool is_new = !std::filesystem::exists(place.checkpoints);
  require_uncommitted(folder);
  try {
    prepare(folder, like.total_elements(), shards);
    write_shards(weights, folder, shards, manifest);
    publish_manifest(folder, manifest);
  } catch (const Error&) {
    remove_uncommitted(folder);
    std::error_code ignored;
    if (is_new) std::filesystem::remove(place.checkpoints, ignored);
    lock.withdraw();
    throw;
  }
  return folder;
}

}  // namespace cola
