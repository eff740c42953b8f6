// config.json: how Hugging Face's tools are told what a model is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/data_type.h"
#include "model/model_configuration.h"

namespace cola {

/// A full-rank model is a LLaMA, which LlamaForCausalLM loads; a CoLA model has the model_type "cola_llama"
/// and besides the same keys projection, rank and gate_activation, and names modeling_cola.py, which loads
/// it. `type`: that of the weights beside it. `eos_id`: the tokenizer's, where it is known.
std::string to_huggingface_json(const ModelConfiguration& configuration, DataType type,
                                std::optional<std::int64_t> eos_id = {});

/// The model that the text of a config.json describes: of model_type llama or cola_llama. Throws FileError
/// naming `origin` and the key for one that this program does not know.
ModelConfiguration configuration_from_huggingface(const std::string& json, const std::string& origin);

}  // namespace cola
