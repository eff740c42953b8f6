#include "io/exchange/weights_file.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/exchange/safetensors_file.h"
#include "io/files/durable_file.h"
#include "io/files/hdf5_file.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

class ExportedHdf5 final : public WeightsFile {
 public:
  explicit ExportedHdf5(const std::string& path) : file_(Hdf5File::open(path)) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> names = file_.names();
    std::erase_if(names, [](const std::string& name) {
      return name == exported::manifest_name || name == exported::checksums_name;
    });
    return names;
  }
  std::vector<std::int64_t> shape(const std::string& name) const override { return file_.shape(name); }
  void read(const std::string& name, std::span<float> values) const override { file_.read_all(name, values); }
  std::string checksums() const override {
    return file_.contains(exported::checksums_name) ? file_.read_text(exported::checksums_name)
                                                    : std::string();
  }

 private:
  Hdf5File file_;
};

// Weights that were saved in several files, and the index that says which tensor is in which.
class SplitSafetensors final : public WeightsFile {
 public:
  SplitSafetensors(const std::string& folder, const std::string& index) {
    const nlohmann::json json = parse_foreign_json(read_file(index));
    const nlohmann::json places = json.is_object() ? json.value("weight_map", nlohmann::json()) : json;
    if (!places.is_object()) throw FileError("{}: has no weight_map", index);
    for (const auto& [tensor, place] : places.items()) {
      const std::string name = place.is_string() ? place.get<std::string>() : std::string();
      if (name.empty() || name.find('/') != name.npos)
        throw FileError("{}: {} is in {}, which is no file's name", index, tensor, json_text(place));
      files_.try_emplace(tensor, open(folder + "/" + name));
    }
    for (const auto& [path, file] : open_)
      for (const std::string& tensor : file->names())
        if (!files_.contains(tensor)) throw FileError("{}: lacks {}, which {} holds", index, tensor, path);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [tensor, file] : files_) names.push_back(tensor);
    return names;
  }
  std::vector<std::int64_t> shape(const std::string& name) const override {
    return files_.at(name)->shape(name);
  }
  void read(const std::string& name, std::span<float> values) const override {
    files_.at(name)->read(name, values);
  }
  std::string checksums() const override { return {}; }

 private:
  std::shared_ptr<SafetensorsFile> open(const std::string& path) {
    std::shared_ptr<SafetensorsFile>& file = open_[path];
    if (!file) file = std::make_shared<SafetensorsFile>(path);
    return file;
  }

  std::map<std::string, std::shared_ptr<SafetensorsFile>> open_, files_;  // by path, and by tensor
};

}  // namespace

bool exported::is_safetensors(const std::string& path) {
  return path.ends_with(".safetensors") || std::filesystem::is_directory(path);
}

std::unique_ptr<WeightsFile> open_weights_file(const std::string& path) {
  if (!exported::is_safetensors(path)) return std::make_unique<ExportedHdf5>(path);
  if (!std::filesystem::is_directory(path)) return std::make_unique<SafetensorsFile>(path);
  const std::string whole = path + "/" + exported::safetensors_name, index = whole + ".index.json";
  if (!std::filesystem::exists(whole) && std::filesystem::exists(index))
    return std::make_unique<SplitSafetensors>(path, index);
  return std::make_unique<SafetensorsFile>(whole);
}

}  // namespace cola
