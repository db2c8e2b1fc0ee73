/* Writes an adapter in pieces, with scales and metadata, for the fuzzer to spoil. */
#include "tensor/safetensors.h"

int main(int argc, char **argv) {
  const float numbers[24 * 2] = {.1f, .2f, .3f}, alpha = 2;
  if (argc != 2)
    return 2;
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  const char *const whole[] = {"diffusion_model.double_blocks.0.txt_attn.qkv",
                               "lora_unet_single_blocks_0_linear2"};
  const gint64 in[] = {8, 12}, out[] = {24, 8};
  for (gsize i = 0; i < G_N_ELEMENTS(whole); i++) {
    g_autofree char *a = g_strconcat(whole[i], i ? ".lora_down.weight" : ".lora_A.weight", NULL);
    g_autofree char *b = g_strconcat(whole[i], i ? ".lora_up.weight" : ".lora_B.weight", NULL);
    g_autofree char *scale = g_strconcat(whole[i], ".alpha", NULL);
    safetensors_add(writer, a, DTYPE_F32, (gint64[]){2, in[i]}, 2, numbers);
    safetensors_add(writer, b, DTYPE_F32, (gint64[]){out[i], 2}, 2, numbers);
    safetensors_add(writer, scale, DTYPE_F32, NULL, 0, &alpha);
  }
  static const char *const thirds[] = {"to_q", "to_v"};
  for (gsize i = 0; i < G_N_ELEMENTS(thirds); i++) {
    g_autofree char *a = g_strdup_printf("transformer.transformer_blocks.0.attn.%s.lora_A.weight", thirds[i]);
    g_autofree char *b = g_strdup_printf("transformer.transformer_blocks.0.attn.%s.lora_B.weight", thirds[i]);
    safetensors_add(writer, a, DTYPE_F16, (gint64[]){2, 8}, 2, numbers);
    safetensors_add(writer, b, DTYPE_BF16, (gint64[]){8, 2}, 2, numbers);
  }
  safetensors_set_metadata(writer, "lora_adapter_metadata",
                           "{\"transformer.r\": 2, \"transformer.lora_alpha\": 4, "
                           "\"transformer.alpha_pattern\": {\"to_v\": 1}}");
  return safetensors_write(writer, argv[1], NULL) ? 0 : 1;
}
