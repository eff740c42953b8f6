// GoldenFixture: a tiny model with its inputs, logits, losses and gradients as PyTorch computed them in
// double precision (tests/golden/make_fixtures.py), read from HDF5.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "model/model_configuration.h"

namespace cola {

struct GoldenFixture {
  ModelConfiguration configuration;
  std::int64_t batch = 0, sequence = 0;
  std::vector<std::int32_t> input_ids, targets;          // [batch, sequence]; ignored targets are -1
  std::map<std::string, std::vector<float>> weights;     // logical shape, without storage padding
  std::map<std::string, std::vector<double>> gradients;  // of the SUM of the losses, by the weight's name
  std::vector<double> logits;                            // [batch, sequence, vocab_size]
  std::vector<double> token_losses;                      // [batch, sequence]; 0 where ignored
  double loss_sum = 0, loss_mean = 0;                    // over the targets that are not ignored
};

namespace golden {

/// An HDF5 identifier with its closing function. Throws FileError when the identifier is invalid.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what) : id_(id), close_(close) {
    if (id_ < 0) throw FileError("cannot open {}", what);
  }
  ~Handle() { close_(id_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

template <typename T>
hid_t memory_type();
template <>
inline hid_t memory_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
inline hid_t memory_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
inline hid_t memory_type<std::int32_t>() {
  return H5T_NATIVE_INT32;
}
template <>
inline hid_t memory_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}

template <typename T>
std::vector<T> read_dataset(hid_t group, const std::string& name) {
  const Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "dataset " + name);
  const Handle space(H5Dget_space(dataset), H5Sclose, "the shape of " + name);
  std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  if (H5Dread(dataset, memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    throw FileError("cannot read dataset {}", name);
  return values;
}

template <typename T>
T read_attribute(hid_t file, const char* name) {
  const Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose, std::string("attribute ") + name);
  T value{};
  if (H5Aread(attribute, memory_type<T>(), &value) < 0) throw FileError("cannot read attribute {}", name);
  return value;
}

inline std::string read_text_attribute(hid_t file, const char* name) {
  const Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose, std::string("attribute ") + name);
  const Handle type(H5Aget_type(attribute), H5Tclose, std::string("the type of attribute ") + name);
  std::string text(H5Tget_size(type), '\0');
  if (H5Aread(attribute, type, text.data()) < 0) throw FileError("cannot read attribute {}", name);
  return text;
}

/// Every dataset of `group`, by name.
template <typename T>
std::map<std::string, std::vector<T>> read_group(hid_t file, const std::string& name) {
  const Handle group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose, "group " + name);
  H5G_info_t information;
  if (H5Gget_info(group, &information) < 0) throw FileError("cannot list group {}", name);
  std::map<std::string, std::vector<T>> result;
  for (hsize_t i = 0; i < information.nlinks; ++i) {
    std::string member(256, '\0');
    const ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, member.data(),
                                              member.size(), H5P_DEFAULT);
    if (length < 0) throw FileError("cannot list group {}", name);
    member.resize(static_cast<std::size_t>(length));
    result[member] = read_dataset<T>(group, member);
  }
  return result;
}

inline ModelConfiguration read_configuration(hid_t file) {
  const auto integer = [&](const char* name) { return read_attribute<std::int64_t>(file, name); };
  ModelConfiguration configuration;
  configuration.vocab_size = integer("vocab_size");
  configuration.hidden_size = integer("hidden_size");
  configuration.intermediate_size = integer("intermediate_size");
  configuration.num_hidden_layers = integer("num_hidden_layers");
  configuration.num_attention_heads = integer("num_attention_heads");
  configuration.num_key_value_heads = integer("num_key_value_heads");
  configuration.max_position_embeddings = integer("max_position_embeddings");
  configuration.rms_norm_eps = read_attribute<double>(file, "rms_norm_eps");
  configuration.rope_theta = read_attribute<double>(file, "rope_theta");
  configuration.projection =
      read_text_attribute(file, "projection") == "full" ? ProjectionKind::full : ProjectionKind::cola;
  configuration.rank = integer("rank");
  configuration.gate_activation = integer("gate_activation") != 0;
  return configuration;
}

}  // namespace golden

/// The fixture in the file at `path`. Throws FileError.
inline GoldenFixture read_golden_fixture(const std::string& path) {
  using namespace golden;
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, path);
  GoldenFixture fixture;
  fixture.configuration = read_configuration(file);
  fixture.input_ids = read_dataset<std::int32_t>(file, "input_ids");
  fixture.targets = read_dataset<std::int32_t>(file, "targets");
  fixture.weights = read_group<float>(file, "weights");
  fixture.gradients = read_group<double>(file, "gradients");
  fixture.logits = read_dataset<double>(file, "logits");
  fixture.token_losses = read_dataset<double>(file, "token_losses");
  fixture.loss_sum = read_attribute<double>(file, "loss_sum");
  fixture.loss_mean = read_attribute<double>(file, "loss_mean");
  const Handle ids(H5Dopen2(file, "input_ids", H5P_DEFAULT), H5Dclose, "dataset input_ids");
  const Handle space(H5Dget_space(ids), H5Sclose, "the shape of input_ids");
  hsize_t shape[2] = {};
  if (H5Sget_simple_extent_ndims(space) != 2 || H5Sget_simple_extent_dims(space, shape, nullptr) != 2)
    throw FileError("{}: input_ids is not [batch, sequence]", path);
  fixture.batch = static_cast<std::int64_t>(shape[0]);
  fixture.sequence = static_cast<std::int64_t>(shape[1]);
  return fixture;
}

}  // namespace cola
