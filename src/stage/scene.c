/* The Scene in memory: freeing it, its plates one at a time, whether it fits a model. */
#include "stage/scene.h"
#include "media/picture.h"
#include "stage/plate.h"
#include "stage/scene_file.h"

#include <string.h>

void scene_free(Scene *scene) {
  if (!scene)
    return;
  g_free(scene->folder);
  g_free(scene->model);
  g_free(scene->source);
  tracks_free(scene->tracks);
  if (scene->plates)
    g_ptr_array_unref(scene->plates);
  g_free(scene);
}

gboolean scene_check_model(const Scene *scene, const char *model, GError **error) {
  if (strcmp(scene->model, model) == 0)
    return TRUE;
  return fault(error, FAULT_USAGE, "This Scene was prepared for %s; prepare it again with --model %s.",
               scene->model, model);
}

char *scene_plate_name(int index, int width, int height) {
  const gint64 png_max = PICTURE_MAX_BYTES / 3; /* pixels that fit even if nothing could be compressed */
  return g_strdup_printf("plate-%d.%s", index, (gint64)width * height > png_max ? "jpg" : "png");
}

char *scene_known_name(int index) {
  return g_strdup_printf("plate-%d-known.png", index);
}

char *scene_front_name(int index) {
  return g_strdup_printf("plate-%d-front.png", index);
}

/* One picture of the folder with the wanted channels; FAULT_INPUT when it has another size. */
static Image *load_picture(const Scene *scene, const char *name, int channels, int width, int height,
                           GError **error) {
  g_autofree char *path = g_build_filename(scene->folder, name, NULL);
  g_autoptr(GError) problem = NULL;
  g_autoptr(Image) image = picture_load(path, &problem);
  if (!image)
    return fault_null(error, FAULT_INPUT, "The Scene %s is damaged: %s", scene->folder, problem->message);
  if (image->width != width || image->height != height)
    return fault_null(error, FAULT_INPUT, "The Scene %s is damaged: %s is %d x %d pixels instead of %d x %d.",
                      scene->folder, name, image->width, image->height, width, height);
  return image_convert(image, channels);
}

static gboolean load_front(const Scene *scene, Front *front, int index, GError **error) {
  g_autofree char *name = scene_front_name(index);
  front->alpha = load_picture(scene, name, 1, front->width / 2, front->height / 2 * front->spans, error);
  return front->alpha != NULL;
}

const Plate *scene_plate(Scene *scene, int frame, GError **error) {
  Plate *found = NULL;
  int index = 0;
  for (guint i = 0; i < scene->plates->len; i++) {
    Plate *plate = scene->plates->pdata[i];
    if (frame >= plate->first && frame - plate->first < plate->count) {
      found = plate;
      index = (int)i;
    }
  }
  if (!found)
    return fault_null(error, FAULT_INPUT, "The Scene %s has no background for frame %d.", scene->folder,
                      frame);
  if (found->picture)
    return found;
  for (guint i = 0; i < scene->plates->len; i++) {
    Plate *plate = scene->plates->pdata[i];
    g_clear_pointer(&plate->picture, image_free);
    g_clear_pointer(&plate->known, image_free);
    if (plate->front)
      g_clear_pointer(&plate->front->alpha, image_free);
  }
  g_autofree char *name = scene_plate_name(index, found->width, found->height),
                  *known = scene_known_name(index);
  found->picture = load_picture(scene, name, 3, found->width, found->height, error);
  if (!found->picture)
    return NULL;
  found->known = load_picture(scene, known, 1, found->width, found->height, error);
  if (!found->known) {
    g_clear_pointer(&found->picture, image_free);
    return NULL;
  }
  if (found->front && !load_front(scene, found->front, index, error)) {
    g_clear_pointer(&found->picture, image_free);
    return NULL;
  }
  return found;
}
