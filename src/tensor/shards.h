/* The tensors of a network that lies in one safetensors file or in the folder of a sharded one.
 *
 * A folder has one *.safetensors.index.json, whose weight_map names the file of each tensor, or a single
 * *.safetensors. All is hostile: shards are plain file names in the same folder and every tensor that the
 * index names must be where it says.
 *
 *   g_autoptr(Shards) shards = shards_open("klein/transformer", error);
 *   const SafetensorsTensor *tensor = shards_find(shards, "x_embedder.weight");
 */
#pragma once
#include "tensor/safetensors.h"

typedef struct Shards Shards;
/* The files stay mapped until shards_free. FAULT_INPUT. */
Shards *shards_open(const char *path, GError **error);
void shards_free(Shards *shards);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Shards, shards_free)
const char *shards_path(const Shards *shards); /* as it was given to shards_open */
const SafetensorsTensor *shards_find(const Shards *shards, const char *name); /* NULL when absent */
/* All names, sorted (transfer container; valid as long as the shards are open). */
GPtrArray *shards_names(const Shards *shards);
/* The string under __metadata__ of the first file that has it, or NULL. */
const char *shards_metadata(const Shards *shards, const char *key);
