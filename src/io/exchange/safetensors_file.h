// SafetensorsFile: Hugging Face's format for tensors. Length of the header (8 bytes, little-endian), the
// header in JSON, then the values of all tensors without a gap (https://huggingface.co/docs/safetensors).
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/data_type.h"
#include "io/exchange/weights_file.h"
#include "io/files/file_descriptor.h"

namespace cola {

/// One to read from. F32, BF16 and F16 are known.
class SafetensorsFile final : public WeightsFile {
 public:
  /// Reads and checks the header. Throws FileError if it goes beyond the file, is no JSON, or has a tensor of
  /// another type, of a shape that is not its size, or at a place that overlaps another's, leaves a gap or
  /// lies outside the file.
  explicit SafetensorsFile(const std::string& path);

  std::vector<std::string> names() const override;
  std::vector<std::int64_t> shape(const std::string& name) const override { return find(name).shape; }
  void read(const std::string& name, std::span<float> values) const override;
  std::string checksums() const override { return checksums_; }

 private:
  struct Tensor {
    std::string type;
    std::vector<std::int64_t> shape;
    std::int64_t begin = 0, end = 0;  // bytes of the data
  };
  static Tensor read_entry(const nlohmann::json& entry, std::int64_t data_bytes);
  const Tensor& find(const std::string& name) const;
  void require_seamless(std::int64_t data_bytes) const;

  std::string path_;
  FileDescriptor file_;
  std::int64_t data_begin_ = 0;  // behind the header
  std::map<std::string, Tensor> tensors_;
  std::string checksums_;
};

/// The header of a file that holds the manifest's weights as `type`, float32 or bfloat16, its length before
/// it: as long for any checksums. `offsets`, where given, receives the place of each parameter's values in
/// the file.
std::string safetensors_header(const Manifest& manifest, DataType type, const std::string& checksums,
                               std::vector<std::int64_t>* offsets = nullptr);

}  // namespace cola
