/* A Character's folder as training leaves it: new ones hold character.json, thumb.webp and the pictures; one
 * that was made from a picture (puppet/character.h) keeps what it has.
 *
 * character.json gains "lora": {"model", "trigger", "class"}; all else in it stays as it is. */
#pragma once
#include "base/fault.h"

/* Makes folder, its training/ and, where it is new, character.json and the copies of the pictures in
 * pictures/. name: NULL for that of the folder. FAULT_OUTPUT where something else is there. */
gboolean character_folder_prepare(const char *folder, const char *name, const char *const *pictures,
                                  int picture_count, GError **error);
/* The training is complete: says so in character.json and removes the checkpoint. */
gboolean character_folder_trained(const char *folder, const char *model, const char *trigger,
                                  const char *class, GError **error);
