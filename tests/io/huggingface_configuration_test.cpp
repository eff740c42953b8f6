#include "io/exchange/huggingface_configuration.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace cola {
namespace {

using Json = nlohmann::json;

// As transformers wrote it for LLaMA 7b, its other keys left out here and there.
Json llama() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 11008,
    "max_position_embeddings": 2048, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
    "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false, "torch_dtype": "float16",
    "transformers_version": "4.28.1", "use_cache": true, "vocab_size": 32000})");
}

std::string refusal(const Json& json) {
  try {
    configuration_from_huggingface(json.dump(), "config.json");
  } catch (const FileError& error) {
    return error.what();
  }
  return {};
}

TEST(HuggingFaceConfiguration, ReadsALlama) {
  const ModelConfiguration read = configuration_from_huggingface(llama().dump(), "config.json");
  ModelConfiguration wanted;
  wanted.vocab_size = 32000;
  wanted.hidden_size = 4096;
  wanted.intermediate_size = 11008;
  wanted.num_hidden_layers = wanted.num_attention_heads = wanted.num_key_value_heads = 32;
  wanted.max_position_embeddings = 2048;
  wanted.rms_norm_eps = 1e-5;
  wanted.projection = ProjectionKind::full;
  wanted.rank = 1024;
  EXPECT_EQ(read, wanted);
}

TEST(HuggingFaceConfiguration, ReadsRopeThetaWhereverItStands) {
  Json json = llama();
  json["rope_theta"] = 500000;
  EXPECT_EQ(configuration_from_huggingface(json.dump(), "").rope_theta, 500000);
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 250000.0}, {"rope_type", "default"}};
  EXPECT_EQ(configuration_from_huggingface(json.dump(), "").rope_theta, 250000);
}

TEST(HuggingFaceConfiguration, SaysWhatHuggingFaceNeeds) {
  ModelConfiguration model;
  model.projection = ProjectionKind::full;
  model.num_key_value_heads = 2;
  model.rank = model.hidden_size / 4;
  const Json json = Json::parse(to_huggingface_json(model, DataType::float32));
  EXPECT_EQ(json["architectures"], Json::parse(R"(["LlamaForCausalLM"])"));
  EXPECT_EQ(json["model_type"], "llama");
  EXPECT_EQ(json["num_key_value_heads"], 2);
  EXPECT_EQ(json["hidden_act"], "silu");
  EXPECT_EQ(json["tie_word_embeddings"], false);
  EXPECT_EQ(json["torch_dtype"], "float32");
  EXPECT_FALSE(json.contains("rank"));
  EXPECT_FALSE(json.contains("auto_map"));
  EXPECT_TRUE(json["bos_token_id"].is_null() && json["eos_token_id"].is_null());
  const Json other = Json::parse(to_huggingface_json(model, DataType::bfloat16, 256));
  EXPECT_EQ(other["eos_token_id"], 256);
  EXPECT_EQ(other["torch_dtype"], "bfloat16");
  EXPECT_EQ(configuration_from_huggingface(json.dump(), ""), model);
}

TEST(HuggingFaceConfiguration, SaysThatColaIsNoLlama) {
  ModelConfiguration model;
  model.rank = 48;
  model.gate_activation = true;
  model.rope_theta = 12345.678;
  const Json json = Json::parse(to_huggingface_json(model, DataType::float32));
  EXPECT_EQ(json["model_type"], "cola_llama");
  EXPECT_EQ(json["architectures"], Json::parse(R"(["ColaForCausalLM"])"));
  EXPECT_EQ(json["auto_map"]["AutoModelForCausalLM"], "modeling_cola.ColaForCausalLM");
  EXPECT_EQ(json["projection"], "cola");
  EXPECT_EQ(json["rank"], 48);
  EXPECT_EQ(configuration_from_huggingface(json.dump(), ""), model);
}

TEST(HuggingFaceConfiguration, RefusesOtherModelsByKey) {
  const auto with = [](const char* key, const Json& value) {
    Json json = llama();
    json[key] = value;
    return refusal(json);
  };
  EXPECT_EQ(with("model_type", "mistral"),
            "config.json: model_type is \"mistral\"; only llama and cola_llama are known here");
  EXPECT_EQ(with("hidden_act", "gelu"), "config.json: hidden_act is \"gelu\"; only \"silu\" is known here");
  EXPECT_EQ(with("tie_word_embeddings", true),
            "config.json: tie_word_embeddings is true; only false is known here");
  EXPECT_EQ(with("attention_bias", true), "config.json: attention_bias is true; only false is known here");
  EXPECT_EQ(with("mlp_bias", true), "config.json: mlp_bias is true; only false is known here");
  EXPECT_EQ(with("head_dim", 64), "config.json: head_dim is 64; only 128 is known here");
  EXPECT_EQ(with("rope_scaling", {{"type", "linear"}}),
            "config.json: rope_scaling is {\"type\":\"linear\"}; only null is known here");
  EXPECT_EQ(with("rope_parameters", {{"rope_type", "llama3"}}),
            "config.json: rope_parameters: rope_type is \"llama3\"; only \"default\" is known here");
  EXPECT_EQ(with("rope_parameters", {{"type", "linear"}}),
            "config.json: rope_parameters: type is \"linear\"; only \"default\" is known here");
  EXPECT_EQ(with("model_type", "mis\ntral"),
            "config.json: model_type is \"mis\\ntral\"; only llama and cola_llama are known here");
  EXPECT_EQ(with("vocab_size", "many"), "config.json: vocab_size is \"many\", of the wrong type");
  EXPECT_EQ(with("vocab_size", 1.5), "config.json: vocab_size is 1.5, of the wrong type");
  EXPECT_EQ(with("rope_parameters", 7), "config.json: rope_parameters is 7, no JSON object");
  EXPECT_EQ(with("hidden_size", nullptr), "config.json: hidden_size is missing");
  EXPECT_EQ(with("hidden_size", 4100),
            "config.json: hidden_size must be a multiple of 8 (aligned rows), got 4100");
  EXPECT_EQ(with("num_attention_heads", 0), "config.json: num_attention_heads must be at least 1, got 0");
  EXPECT_EQ(with("vocab_size", 18446744073709551615u).substr(0, 24), "config.json: vocab_size ");
}

TEST(HuggingFaceConfiguration, RefusesWhatIsNoObject) {
  const std::string deep =
      R"({"rope_scaling":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  for (const std::string text : {"", "[]", "{", "\xff", deep.c_str()})
    EXPECT_THROW(configuration_from_huggingface(text, "config.json"), FileError) << text;
}

}  // namespace
}  // namespace cola
