/* Fetching published models for those who have the network.
 *
 * Known are the FLUX.2 [klein] models in the folders that diffusers uses. Which files there are, how large,
 * and the checksums of the large ones are asked of the model hub (GET /api/models/REPOSITORY/tree/main, an
 * array of {"path", "size", "lfs": {"oid": sha256}}); the files come from /REPOSITORY/resolve/main/PATH. What
 * is there already, whole or in part, is not fetched again. The file that makes the folder a Model comes
 * last.
 */
#pragma once
#include "base/progress.h"

#define MODEL_HUB "https://huggingface.co"

typedef struct {
  const char *name, *repository, *licence;
  double gigabytes; /* about, of all that is needed */
} PublishedModel;
extern const PublishedModel published_models[];
extern const gsize published_model_count;
const PublishedModel *published_model(const char *name); /* NULL where none is known */

/* from: another place than the hub, or NULL; into: folder of models, or NULL: the user's. folder (transfer
 * full): where the model is. FAULT_USAGE, FAULT_INPUT, FAULT_LIMIT where the disk is too small (said before
 * anything is fetched), FAULT_OUTPUT, FAULT_CANCELLED. */
gboolean model_pull(const char *name, const char *from, const char *into, char **folder, Progress *progress,
                    GError **error);
