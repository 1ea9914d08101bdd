// The layouts, by what quantization_config.quant_method calls them.
#pragma once

#include "files/huggingface/layouts/raw_tensors.h"
#include "files/huggingface/layouts/settings.h"

namespace tessera::huggingface {

void apply_gptq(const Settings& config, RawTensors& tensors);
void apply_awq(const Settings& config, RawTensors& tensors);
void apply_bitsandbytes(const Settings& config, RawTensors& tensors);
void apply_hqq(const Settings& config, RawTensors& tensors);
void apply_compressed_tensors(const Settings& config, RawTensors& tensors);
void apply_fp8(const Settings& config, RawTensors& tensors);
void apply_mxfp4(const Settings& config, RawTensors& tensors);
void apply_modelopt(const Settings& config, RawTensors& tensors);
void apply_torchao(const Settings& config, RawTensors& tensors);
void apply_bitnet(const Settings& config, RawTensors& tensors);

}  // namespace tessera::huggingface
