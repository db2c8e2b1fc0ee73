/* A Character: one picture, its cutout and its rig, in memory and as a folder.
 *
 * The folder holds character.json (name, where the joints come from, every joint), cutout.png,
 * rig.safetensors, thumb.webp and the picture itself. */
#pragma once
#include "base/progress.h"
#include "puppet/rig/rig.h"

typedef struct {
  char *name;    /* for people: the picture's or folder's name without suffix */
  char *picture; /* path of the picture it was made from, or NULL for a loaded one */
  Image
      *cutout; /* RGBA, straight alpha, size of the picture; or NULL for a loaded one, whose rig has it all */
  Rig *rig;
} Character;

typedef struct {
  const char *joints; /* a JSON file of joint positions (puppet/figure/joints_file.h), or NULL */
  const char *mask;   /* a picture: white is the figure; or NULL */
  const char *models; /* folder of the networks, or NULL */
} CharacterOptions;

/* From a PNG, JPEG or WebP with one figure in it. FAULT_INPUT, FAULT_LIMIT, FAULT_NOBODY, FAULT_NETWORK. */
Character *character_make(const char *picture, const CharacterOptions *options, Progress *progress,
                          GError **error);
void character_free(Character *character);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Character, character_free)

/* Makes the folder, which must not exist or be empty. Nothing is left behind on failure. FAULT_OUTPUT. */
gboolean character_save(const Character *character, const char *folder, GError **error);
Character *character_load(const char *folder, GError **error);
