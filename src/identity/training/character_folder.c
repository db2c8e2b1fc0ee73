/* character.json is read, changed and written again whole; everything appears by renaming. */
#include "identity/training/character_folder.h"

#include "base/files.h"
#include "identity/training/character_training.h"
#include "media/picture.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#define FORMAT 1 /* of character.json, puppet/character.c */
#define DESCRIPTION "character.json"
#define PICTURES "pictures"
#define THUMB_SIDE 256

static gboolean write_json(const char *folder, json_t *json, GError **error) {
  g_autofree char *path = g_build_filename(folder, DESCRIPTION, NULL);
  char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(7));
  g_autoptr(GError) problem = NULL;
  gboolean good = g_file_set_contents(path, text, -1, &problem);
  free(text);
  return good || fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, problem->message);
}

static json_t *read_json(const char *folder, GError **error) {
  g_autofree char *path = g_build_filename(folder, DESCRIPTION, NULL);
  json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
  if (json && json_integer_value(json_object_get(json, "format")) == FORMAT)
    return json;
  json_decref(json);
  return fault_null(error, FAULT_INPUT, "%s is damaged or of another version.", path);
}

static gboolean copy_picture(const char *from, const char *folder, int index, GError **error) {
  const char *type = picture_type(from);
  g_autofree char *name = g_strdup_printf("%02d.%s", index + 1, type ? type : "picture");
  g_autofree char *place = g_build_filename(folder, PICTURES, name, NULL), *bytes = NULL;
  gsize length;
  g_autoptr(GError) problem = NULL;
  return (g_file_get_contents(from, &bytes, &length, &problem) &&
          g_file_set_contents(place, bytes, (gssize)length, &problem)) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", place, problem->message);
}

static gboolean save_thumb(const char *picture, const char *folder, GError **error) {
  g_autofree char *path = g_build_filename(folder, "thumb.webp", NULL);
  g_autoptr(Image) image = picture_load(picture, error);
  if (!image)
    return FALSE;
  double scale = fmin(1, THUMB_SIDE / (double)MAX(image->width, image->height));
  g_autoptr(Image) thumb = image_resize(image, MAX(1, (int)lround(image->width * scale)),
                                        MAX(1, (int)lround(image->height * scale)));
  return picture_save(thumb, path, error);
}

static gboolean make_folder(const char *parent, const char *name, GError **error) {
  g_autofree char *path = g_build_filename(parent, name, NULL);
  return g_mkdir_with_parents(path, 0755) == 0 ||
         fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", path, g_strerror(errno));
}

static gboolean fill(const char *draft, const char *name, const char *const *pictures, int count,
                     GError **error) {
  json_t *json = json_pack("{s:i, s:s}", "format", FORMAT, "name", name);
  gboolean good = json && write_json(draft, json, error) && make_folder(draft, PICTURES, error) &&
                  make_folder(draft, CHARACTER_TRAINING, error) && save_thumb(pictures[0], draft, error);
  json_decref(json);
  for (int i = 0; i < count && good; i++)
    good = copy_picture(pictures[i], draft, i, error);
  return good;
}

static gboolean make_new(const char *folder, const char *name, const char *const *pictures, int count,
                         GError **error) {
  g_autofree char *draft = files_draft(folder, error), *title = files_title(folder);
  if (!draft)
    return FALSE;
  if (fill(draft, name ? name : title, pictures, count, error) && files_publish(draft, folder, error))
    return TRUE;
  files_remove_tree(draft);
  return FALSE;
}

gboolean character_folder_prepare(const char *folder, const char *name, const char *const *pictures,
                                  int picture_count, GError **error) {
  g_autofree char *description = g_build_filename(folder, DESCRIPTION, NULL);
  if (name && (!*name || !g_utf8_validate(name, -1, NULL)))
    return fault(error, FAULT_USAGE, "the name must be UTF-8 text.");
  if (!g_file_test(description, G_FILE_TEST_EXISTS))
    return make_new(folder, name, pictures, picture_count, error);
  json_t *json = read_json(folder, error);
  gboolean good = json && make_folder(folder, CHARACTER_TRAINING, error);
  if (good && name) {
    json_object_set_new(json, "name", json_string(name));
    good = write_json(folder, json, error);
  }
  json_decref(json);
  return good;
}

gboolean character_folder_trained(const char *folder, const char *model, const char *trigger,
                                  const char *class, GError **error) {
  json_t *json = read_json(folder, error);
  if (!json)
    return FALSE;
  json_object_set_new(json, "lora",
                      json_pack("{s:s, s:s, s:s}", "model", model, "trigger", trigger, "class", class));
  gboolean good = write_json(folder, json, error);
  json_decref(json);
  g_autofree char *checkpoint = g_build_filename(folder, CHARACTER_TRAINING, LORA_TRAINING_CHECKPOINT, NULL);
  if (good)
    g_unlink(checkpoint);
  return good;
}
