/* Low-rank adapters on the transformer's linear layers: y = x·Wᵀ + scale·strength·(x·Aᵀ)·Bᵀ. */
#pragma once
#include "identity/network/transformer.h"

typedef struct {
  char *name; /* BFL name of the layer without ".weight": "double_blocks.0.img_attn.qkv" */
  gint64 in, out, rank;
  float *a, *b;     /* [rank, in], [out, rank] */
  float *d_a, *d_b; /* gradients, the same shapes; NULL where nothing is trained */
  float scale;      /* α / r of the file */
} LoraLayer;

struct Lora {
  GArray *layers; /* LoraLayer */
  float strength; /* 1 unless the user says otherwise */
};

/* A new one on all linear layers of the blocks (fused qkv): A uniform within ±1/√in from the seed, B zero. */
Lora *lora_new(const Transformer *transformer, gint64 rank, guint64 seed, GError **error);
/* Any of the published namings (ai-toolkit, ComfyUI, kohya, peft, diffusers with separate q, k, v);
 * FAULT_INPUT for another kind of adapter, another model's sizes, damaged files. */
Lora *lora_load(const char *path, const Transformer *transformer, GError **error);
/* bf16, names that ComfyUI and diffusers load (diffusion_model.….lora_A.weight), scale folded into B.
 * metadata: pairs key, value, NULL at the end. */
gboolean lora_save(const Lora *lora, const char *path, const char *const *metadata, GError **error);
void lora_free(Lora *lora);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lora, lora_free)
/* NULL where the layer has none. */
const LoraLayer *lora_layer(const Lora *lora, const char *name);

/* Gradients, at zero, for one that was loaded; lora_new's has them already. */
void lora_train(Lora *lora);
/* Its matrices for an optimiser, "double_blocks.0.img_attn.qkv.lora_A" and so on (transfer full; element
 * Parameter; the pointers are borrowed). */
GArray *lora_parameters(const Lora *lora);
