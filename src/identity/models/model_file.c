/* model.json is read into plain values, each with its limits; every file it names must be inside the folder.
 */
#include "identity/models/model_file.h"
#include "identity/text/unsaid.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define FORMAT 1
#define TEXT_MAX_BYTES (1 << 20) /* of a licence or a card */
#define STEPS_MAX 1000
#define GUIDANCE_MAX 100
#define SHIFT_MAX 100
#define TEXT_LENGTH_MAX 4096
#define TAP_MAX 200
#define NAME_MAX_BYTES 64

void model_file_free(ModelFile *file) {
  if (!file)
    return;
  ModelFacts *facts = &file->facts;
  char *strings[] = {facts->folder,  facts->name,   facts->title,      facts->about,
                     facts->licence, facts->card,   file->transformer, file->autoencoder,
                     file->words,    file->encoder, file->tokenizer};
  for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
    g_free(strings[i]);
  json_decref(file->unsaid);
  g_free(file);
}

gboolean model_file_is(const char *folder) {
  g_autofree char *own = g_build_filename(folder, MODEL_FILE, NULL);
  g_autofree char *diffusers = g_build_filename(folder, MODEL_FILE_DIFFUSERS, NULL);
  return g_file_test(own, G_FILE_TEST_IS_REGULAR) || g_file_test(diffusers, G_FILE_TEST_IS_REGULAR);
}

/* --- values --- */

typedef struct {
  const char *folder;
  json_t *json;
  GError **error;
} Reader;

static gboolean says_badly(const Reader *reader, const char *key, const char *what) {
  return fault(reader->error, FAULT_INPUT, "%s/%s: \"%s\" must be %s.", reader->folder, MODEL_FILE, key,
               what);
}

/* A relative path without "..", so that a model's folder cannot point elsewhere. */
static gboolean stays_inside(const char *path) {
  g_auto(GStrv) parts = g_strsplit(path, "/", -1);
  return *path && !g_path_is_absolute(path) && !g_strv_contains((const char *const *)parts, "..");
}

/* The path of a file or folder that exists. */
static char *read_place(const Reader *reader, json_t *from, const char *key) {
  const char *name = json_string_value(json_object_get(from, key));
  if (!name || !stays_inside(name)) {
    says_badly(reader, key, "the name of a file in the model's folder");
    return NULL;
  }
  g_autofree char *path = g_build_filename(reader->folder, name, NULL);
  if (!g_file_test(path, G_FILE_TEST_EXISTS))
    return fault_null(reader->error, FAULT_INPUT, "%s is incomplete: there is no %s.", reader->folder, name);
  return g_steal_pointer(&path);
}

static gboolean read_string(const Reader *reader, const char *key, const char *otherwise, char **value) {
  json_t *entry = json_object_get(reader->json, key);
  if (entry && !json_is_string(entry))
    return says_badly(reader, key, "a string");
  *value = g_strdup(entry ? json_string_value(entry) : otherwise);
  return TRUE;
}

/* NULL where the file does not name one. */
static gboolean read_text(const Reader *reader, const char *key, char **text) {
  if (!json_object_get(reader->json, key))
    return TRUE;
  g_autofree char *path = read_place(reader, reader->json, key);
  if (!path)
    return FALSE;
  gsize length;
  g_autoptr(GError) problem = NULL;
  if (!g_file_get_contents(path, text, &length, &problem))
    return fault(reader->error, FAULT_INPUT, "%s cannot be read: %s.", path, problem->message);
  if (length > TEXT_MAX_BYTES || !g_utf8_validate(*text, (gssize)length, NULL))
    return fault(reader->error, FAULT_INPUT, "%s is not a text of at most one megabyte.", path);
  return TRUE;
}

static gboolean read_number(const Reader *reader, json_t *from, const char *key, double otherwise,
                            double least, double most, double *value) {
  json_t *entry = json_object_get(from, key);
  *value = entry ? json_number_value(entry) : otherwise;
  if ((entry && !json_is_number(entry)) || !(*value >= least && *value <= most)) {
    g_autofree char *range = g_strdup_printf("a number from %g to %g", least, most);
    return says_badly(reader, key, range);
  }
  return TRUE;
}

/* --- the parts --- */

static gboolean read_taps(const Reader *reader, json_t *text, int taps[3]) {
  static const int klein[3] = {9, 18, 27};
  memcpy(taps, klein, sizeof klein);
  json_t *list = json_object_get(text, "taps");
  gboolean good = !list || json_array_size(list) == 3;
  for (gsize i = 0; list && good && i < 3; i++) {
    json_t *tap = json_array_get(list, i);
    good = json_is_integer(tap) && json_integer_value(tap) >= 0 && json_integer_value(tap) <= TAP_MAX;
    taps[i] = good ? (int)json_integer_value(tap) : 0;
  }
  return good || says_badly(reader, "taps", "three layers' numbers");
}

static gboolean read_text_side(const Reader *reader, ModelFile *file) {
  json_t *text = json_object_get(reader->json, "text");
  const char *kind = json_string_value(json_object_get(text, "kind"));
  if (g_strcmp0(kind, "words") == 0) {
    file->text = MODEL_TEXT_WORDS;
    file->unsaid = json_incref(json_object_get(text, "unsaid"));
    if (!unsaid_check(file->unsaid))
      return says_badly(reader, "unsaid", "a list of {\"known\": words, \"say\": [clauses]}");
    return (file->words = read_place(reader, text, "file")) != NULL;
  }
  if (g_strcmp0(kind, "qwen3") != 0)
    return says_badly(reader, "text", "of the kind \"words\" or \"qwen3\"");
  double length;
  if (!read_number(reader, text, "length", 512, 16, TEXT_LENGTH_MAX, &length) ||
      !read_taps(reader, text, file->taps))
    return FALSE;
  file->text = MODEL_TEXT_QWEN3;
  file->length = (gint64)length;
  return (file->encoder = read_place(reader, text, "encoder")) != NULL &&
         (file->tokenizer = read_place(reader, text, "tokenizer")) != NULL;
}

static gboolean read_facts(const Reader *reader, ModelFacts *facts) {
  double resolution, longest, steps;
  if (!read_string(reader, "name", NULL, &facts->name) ||
      !read_string(reader, "title", facts->name, &facts->title) ||
      !read_string(reader, "about", "", &facts->about) || !read_text(reader, "licence", &facts->licence) ||
      !read_text(reader, "card", &facts->card) ||
      !read_number(reader, reader->json, "resolution", 1024, AUTOENCODER_PATCH, AUTOENCODER_MAX_SIDE,
                   &resolution) ||
      !read_number(reader, reader->json, "longest", AUTOENCODER_MAX_SIDE, AUTOENCODER_PATCH,
                   AUTOENCODER_MAX_SIDE, &longest) ||
      !read_number(reader, reader->json, "steps", 20, 1, STEPS_MAX, &steps) ||
      !read_number(reader, reader->json, "guidance", 1, 0, GUIDANCE_MAX, &facts->guidance) ||
      !read_number(reader, reader->json, "shift", 0, 0, SHIFT_MAX, &facts->shift))
    return FALSE;
  if (!facts->name || !*facts->name || strlen(facts->name) > NAME_MAX_BYTES || strchr(facts->name, '/'))
    return says_badly(reader, "name", "a short name");
  facts->longest = (gint64)longest;
  facts->resolution = (gint64)resolution / AUTOENCODER_PATCH * AUTOENCODER_PATCH;
  facts->steps = (int)steps;
  facts->trainable = json_is_true(json_object_get(reader->json, "trainable"));
  return TRUE;
}

static gboolean read_own(const Reader *reader, ModelFile *file) {
  if (json_integer_value(json_object_get(reader->json, "format")) != FORMAT)
    return fault(reader->error, FAULT_INPUT,
                 "%s/%s is of another format than %d; a newer version of troupe may read it.", reader->folder,
                 MODEL_FILE, FORMAT);
  return read_facts(reader, &file->facts) &&
         (file->transformer = read_place(reader, reader->json, "transformer")) != NULL &&
         (file->autoencoder = read_place(reader, reader->json, "autoencoder")) != NULL &&
         read_text_side(reader, file);
}

/* --- as published for diffusers --- */

static gboolean read_diffusers(const Reader *reader, ModelFile *file) {
  static const char *const parts[] = {"transformer", "text_encoder", "tokenizer", "vae"};
  char **const places[] = {&file->transformer, &file->encoder, &file->tokenizer, &file->autoencoder};
  const char *class = json_string_value(json_object_get(reader->json, "_class_name"));
  if (!class || !g_str_has_prefix(class, "Flux2Klein"))
    return fault(reader->error, FAULT_INPUT, "%s holds %s; only FLUX.2 [klein] can be run.", reader->folder,
                 class ? class : "no model that is known");
  for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
    *places[i] = g_build_filename(reader->folder, parts[i], NULL);
    if (!g_file_test(*places[i], G_FILE_TEST_IS_DIR))
      return fault(reader->error, FAULT_INPUT, "%s is incomplete: there is no folder %s.", reader->folder,
                   parts[i]);
  }
  gboolean distilled = json_is_true(json_object_get(reader->json, "is_distilled"));
  ModelFacts *facts = &file->facts;
  facts->name = g_path_get_basename(reader->folder);
  facts->title = g_strdup(distilled ? "FLUX.2 [klein]" : "FLUX.2 [klein] base");
  facts->about =
      g_strdup(distilled ? "Four steps a picture." : "Fifty steps a picture; the one to train on.");
  facts->resolution = 1024;
  facts->longest = AUTOENCODER_MAX_SIDE;
  facts->steps = distilled ? 4 : 50;
  facts->guidance = distilled ? 1 : 4;
  facts->trainable = !distilled;
  file->text = MODEL_TEXT_QWEN3;
  file->length = 512;
  return read_taps(reader, NULL, file->taps);
}

/* The one file of tensors in a folder, for networks that are never sharded. */
static gboolean find_single(const Reader *reader, char **path) {
  if (!g_file_test(*path, G_FILE_TEST_IS_DIR))
    return TRUE;
  g_autoptr(GDir) dir = g_dir_open(*path, 0, NULL);
  g_autofree char *found = NULL;
  for (const char *name; dir && (name = g_dir_read_name(dir));)
    if (g_str_has_suffix(name, ".safetensors")) {
      if (found)
        return fault(reader->error, FAULT_INPUT, "%s holds more than one network; keep one.", *path);
      found = g_build_filename(*path, name, NULL);
    }
  if (!found)
    return fault(reader->error, FAULT_INPUT, "%s holds no .safetensors file.", *path);
  g_free(*path);
  *path = g_steal_pointer(&found);
  return TRUE;
}

ModelFile *model_file_read(const char *folder, GError **error) {
  g_autoptr(ModelFile) file = g_new0(ModelFile, 1);
  file->facts.folder = g_strdup(folder);
  g_autofree char *own = g_build_filename(folder, MODEL_FILE, NULL);
  g_autofree char *diffusers = g_build_filename(folder, MODEL_FILE_DIFFUSERS, NULL);
  gboolean is_own = g_file_test(own, G_FILE_TEST_EXISTS);
  json_error_t problem;
  json_t *json = json_load_file(is_own ? own : diffusers, JSON_REJECT_DUPLICATES, &problem);
  if (!json)
    return fault_null(error, FAULT_INPUT, "%s is not a model: %s.", folder, problem.text);
  const Reader reader = {folder, json, error};
  gboolean good = is_own ? read_own(&reader, file) : read_diffusers(&reader, file);
  json_decref(json);
  if (!good || !find_single(&reader, &file->autoencoder))
    return NULL;
  return g_steal_pointer(&file);
}
