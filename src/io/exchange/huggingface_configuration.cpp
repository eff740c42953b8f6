#include "io/exchange/huggingface_configuration.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::json;

constexpr const char* llama_type = "llama";
constexpr const char* cola_type = "cola_llama";

// Keys of one config.json; null counts as not there, as in Hugging Face's own reader.
class Keys {
 public:
  Keys(const Json& json, std::string origin) : json_(json), origin_(std::move(origin)) {}

  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  template <typename Value>
  Value get(const char* key) const {
    if (!has(key)) throw FileError("{}: {} is missing", origin_, key);
    const Json& value = json_[key];
    const bool fits = std::is_same_v<Value, std::string> ? value.is_string()
                      : std::is_same_v<Value, bool>      ? value.is_boolean()
                      : std::is_integral_v<Value>        ? value.is_number_integer()
                                                         : value.is_number();
    if (!fits) throw FileError("{}: {} is {}, of the wrong type", origin_, key, json_text(value));
    return value.get<Value>();
  }
  template <typename Value>
  Value get(const char* key, const Value& otherwise) const {
    return has(key) ? get<Value>(key) : otherwise;
  }
  /// Models that compute something else are refused.
  template <typename Value>
  void require(const char* key, const Value& known) const {
    if (get<Value>(key, known) != known)
      throw FileError("{}: {} is {}; only {} is known here", origin_, key, json_text(json_[key]),
                      json_text(known));
  }

 private:
  const Json& json_;
  std::string origin_;
};

// rope_theta itself or, as newer versions of transformers write it, inside rope_parameters.
double read_rope_theta(const Json& json, const std::string& origin) {
  const Keys keys(json, origin);
  if (keys.has("rope_scaling"))
    throw FileError("{}: rope_scaling is {}; only null is known here", origin,
                    json_text(json["rope_scaling"]));
  if (!keys.has("rope_parameters")) return keys.get<double>("rope_theta", 10000.0);
  const Json& parameters = json["rope_parameters"];
  if (!parameters.is_object())
    throw FileError("{}: rope_parameters is {}, no JSON object", origin, json_text(parameters));
  const Keys inside(parameters, origin + ": rope_parameters");
  for (const char* kind : {"rope_type", "type"}) inside.require<std::string>(kind, "default");
  return inside.get<double>("rope_theta", keys.get<double>("rope_theta", 10000.0));
}

void read_projections(const Keys& keys, ModelConfiguration& configuration, const std::string& origin) {
  const auto type = keys.get<std::string>("model_type");
  if (type == llama_type) {
    configuration.projection = ProjectionKind::full;
    configuration.rank =
        std::max<std::int64_t>(configuration.hidden_size / 4, 1);  // a run's default; not used
    return;
  }
  if (type != cola_type)
    throw FileError("{}: model_type is {}; only {} and {} are known here", origin, json_text(type),
                    llama_type, cola_type);
  keys.require<std::string>("projection", "cola");
  configuration.projection = ProjectionKind::cola;
  configuration.rank = keys.get<std::int64_t>("rank");
  configuration.gate_activation = keys.get<bool>("gate_activation");
}

}  // namespace

std::string to_huggingface_json(const ModelConfiguration& configuration, DataType type,
                                std::optional<std::int64_t> eos_id) {
  const bool full = configuration.projection == ProjectionKind::full;
  nlohmann::ordered_json json, end;
  if (eos_id) end = *eos_id;
  json["architectures"] = {full ? "LlamaForCausalLM" : "ColaForCausalLM"};
  if (!full)
    json["auto_map"] = {{"AutoConfig", "modeling_cola.ColaConfig"},
                        {"AutoModelForCausalLM", "modeling_cola.ColaForCausalLM"}};
  json["model_type"] = full ? llama_type : cola_type;
  json["vocab_size"] = configuration.vocab_size;
  json["hidden_size"] = configuration.hidden_size;
  json["intermediate_size"] = configuration.intermediate_size;
  json["num_hidden_layers"] = configuration.num_hidden_layers;
  json["num_attention_heads"] = configuration.num_attention_heads;
  json["num_key_value_heads"] = configuration.num_key_value_heads;
  json["head_dim"] = configuration.head_dim();
  json["max_position_embeddings"] = configuration.max_position_embeddings;
  json["rms_norm_eps"] = configuration.rms_norm_eps;
  json["rope_theta"] = configuration.rope_theta;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["mlp_bias"] = false;
  json["tie_word_embeddings"] = false;
  json["torch_dtype"] = type == DataType::bfloat16 ? "bfloat16" : "float32";
  // Left out, transformers would take 1 and 2. No pad_token_id: it would keep that id, which may be the
  // end's, from learning.
  json["bos_token_id"] = end;
  json["eos_token_id"] = end;
  if (!full) {
    json["projection"] = "cola";
    json["rank"] = configuration.rank;
    json["gate_activation"] = configuration.gate_activation;
  }
  return json_text(json, 2) + "\n";
}

ModelConfiguration configuration_from_huggingface(const std::string& text, const std::string& origin) {
  const Json json = parse_foreign_json(text);
  if (!json.is_object()) throw FileError("{}: is no JSON object", origin);
  const Keys keys(json, origin);
  ModelConfiguration configuration;
  configuration.vocab_size = keys.get<std::int64_t>("vocab_size");
  configuration.hidden_size = keys.get<std::int64_t>("hidden_size");
  configuration.intermediate_size = keys.get<std::int64_t>("intermediate_size");
  configuration.num_hidden_layers = keys.get<std::int64_t>("num_hidden_layers");
  configuration.num_attention_heads = keys.get<std::int64_t>("num_attention_heads");
  configuration.num_key_value_heads = keys.get("num_key_value_heads", configuration.num_attention_heads);
  configuration.max_position_embeddings = keys.get<std::int64_t>("max_position_embeddings");
  configuration.rms_norm_eps = keys.get<double>("rms_norm_eps", 1e-6);
  configuration.rope_theta = read_rope_theta(json, origin);
  read_projections(keys, configuration, origin);
  if (const ConfigurationProblem problem = find_problem(configuration); !problem.key.empty())
    throw FileError("{}: {} {}", origin, problem.key, problem.problem);
  keys.require<std::string>("hidden_act", "silu");
  keys.require("attention_bias", false);
  keys.require("mlp_bias", false);
  keys.require("tie_word_embeddings", false);
  keys.require("head_dim", configuration.head_dim());
  return configuration;
}

}  // namespace cola
