/* What the files of the adapter share; nothing of it is for others. */
#pragma once
#include "identity/network/transformer_private.h"

#define LORA_RANK_MAX 1024

/* One without layers. */
Lora *lora_alloc(void);
/* Adds a layer of zeros with scale 1 (borrowed until the next is added). */
LoraLayer *lora_add(Lora *lora, const char *name, gint64 in, gint64 out, gint64 rank);
