#include "io/exported_file.h"

#include <algorithm>
#include <filesystem>

#include "io/hdf5_file.h"
#include "io/safetensors_file.h"

namespace cola {

namespace {

class ExportedHdf5 final : public ExportedFile {
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

}  // namespace

bool exported::is_safetensors(const std::string& path) {
  return path.ends_with(".safetensors") || std::filesystem::is_directory(path);
}

std::unique_ptr<ExportedFile> open_exported(const std::string& path) {
  if (!exported::is_safetensors(path)) return std::make_unique<ExportedHdf5>(path);
  const bool is_folder = std::filesystem::is_directory(path);
  return std::make_unique<SafetensorsFile>(is_folder ? path + "/" + exported::safetensors_name : path);
}

}  // namespace cola
