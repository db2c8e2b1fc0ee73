/* A Scene's folder, written. Private to the stage. */
#pragma once
#include "stage/scene.h"

#define SCENE_JSON "scene.json"
#define SCENE_TRACKS "tracks.safetensors"
#define SCENE_MASKS "masks.mkv"
#define SCENE_THUMB "thumb.webp"

/* The name of a plate's picture inside the folder (transfer full): PNG, but JPEG for those so large that a
 * PNG would pass the limit on pictures. */
char *scene_plate_name(int index, int width, int height);
char *scene_known_name(int index);
char *scene_front_name(int index);

/* Writes scene.json and tracks.safetensors into folder. source: name of the video inside it. FAULT_OUTPUT. */
gboolean scene_save(const Scene *scene, const char *folder, const char *source, GError **error);
