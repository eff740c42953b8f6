// WeightsFile: named tensors of a model as other programs keep them, in HDF5 or safetensors.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoints/manifest.h"

namespace cola {

/// Every member throws FileError naming the file and the tensor.
class WeightsFile {
 public:
  virtual ~WeightsFile() = default;

  /// Of the tensors, in no particular order.
  virtual std::vector<std::string> names() const = 0;
  virtual std::vector<std::int64_t> shape(const std::string& name) const = 0;
  /// A whole tensor as fp32, rows first; `values` has as many elements.
  virtual void read(const std::string& name, std::span<float> values) const = 0;
  /// The lines that export wrote (exported::checksum_line); empty in files made elsewhere.
  virtual std::string checksums() const = 0;
};

/// Hugging Face's folder (its model.safetensors, or those that model.safetensors.index.json names) or a file
/// NAME.safetensors; any other is HDF5. Throws FileError for a file that is none or is damaged.
std::unique_ptr<WeightsFile> open_weights_file(const std::string& path);

namespace exported {

/// What a folder for Hugging Face's tools holds.
inline constexpr const char* configuration_name = "config.json";
inline constexpr const char* safetensors_name = "model.safetensors";
inline constexpr const char* cola_model_name = "modeling_cola.py";
inline constexpr const char* tokenizer_name = "tokenizer.json";
inline constexpr const char* tokenizer_settings_name = "tokenizer_config.json";
inline constexpr const char* sentencepiece_name = "tokenizer.model";
inline constexpr const char* generation_name = "generation_config.json";
/// All of it but the weights. Not every model has each.
inline constexpr std::array describing_names = {configuration_name,      cola_model_name,    tokenizer_name,
                                                tokenizer_settings_name, sentencepiece_name, generation_name};

/// What other programs' tokenizers lie in, which would be taken for this model's.
inline constexpr std::array other_tokenizer_names = {"special_tokens_map.json", "added_tokens.json",
                                                     "vocab.json", "merges.txt", "chat_template.jinja"};

/// The checkpoint's description (no shards), a manifest's JSON: a text of exported HDF5 files.
inline constexpr const char* manifest_name = "manifest";
/// A text, or in safetensors an entry of the metadata: a line a tensor, in the manifest's order.
inline constexpr const char* checksums_name = "checksums";

/// The checksum of the tensor's fp32 values, two spaces, its name.
inline std::string checksum_line(const std::string& digits, const std::string& tensor) {
  return digits + "  " + tensor + "\n";
}

/// The shape of a tensor, without padding.
inline std::vector<std::int64_t> logical_shape(const Parameter& parameter) {
  if (parameter.is_vector) return {parameter.columns};
  return {parameter.rows, parameter.columns};
}

/// Whether open_weights_file takes `path` for safetensors.
bool is_safetensors(const std::string& path);

}  // namespace exported

}  // namespace cola
