/* Pictures are cut to a square round their middle. A caption's words are those of identity/text/words.c: what
 * stands between blanks and marks, made small; each gets a vector of normal numbers, as wide as there are
 * words or wider, so that the network can learn any meaning for each of them. */
#include "identity/training/full_material.h"
#include "base/checksum.h"
#include "identity/picture/autoencoder.h"
#include "identity/sampling/noise.h"
#include "identity/text/words.h"
#include "identity/training/caption_template.h"
#include "media/picture.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RESERVED 32 /* words for LoRAs' triggers */
#define WIDTH_MIN 256
#define WIDTH_MAX 1024
#define LENGTH_MIN 8
#define LENGTH_MAX 77
#define WORDS_MAX 8192
#define FIT_MAX 3000 /* pictures from which the block transform is made */
#define POWER .3
#define SILENT .1 /* share of captions that are left out, for guidance */
#define STREAM_VECTORS 7
enum { STREAM_PICTURE = FLOW_FREE, STREAM_SILENT };

struct FullMaterial {
  gint64 side, n_text; /* tokens; words */
  guint64 seed;
  char *name;
  GPtrArray *captions; /* char * */
  float *tokens;       /* [pictures, side², channels] */
  Words *words;
  gint32 *ids; /* [pictures, n_text] */
  gint32 *empty;
};

void full_material_free(FullMaterial *material) {
  if (!material)
    return;
  g_ptr_array_unref(material->captions);
  words_free(material->words);
  g_free(material->name);
  g_free(material->tokens);
  g_free(material->ids);
  g_free(material->empty);
  g_free(material);
}

/* --- captions --- */

static gboolean read_captions(FullMaterial *material, const char *const *pictures, GError **error) {
  for (const char *const *path = pictures; *path; path++) {
    char *caption = NULL;
    if (!caption_beside(*path, &caption, error))
      return FALSE;
    if (!caption)
      return fault(error, FAULT_INPUT, "%s has no caption: write it into a text of the same name, .txt.",
                   *path);
    g_ptr_array_add(material->captions, caption);
  }
  return TRUE;
}

/* The caption in small letters, everything but letters and digits a blank. */
static char **split(const char *caption) {
  g_autofree char *small = g_utf8_strdown(caption, -1);
  g_autoptr(GString) plain = g_string_new(NULL);
  for (const char *at = small; *at; at = g_utf8_next_char(at)) {
    gunichar letter = g_utf8_get_char(at);
    g_string_append_unichar(plain, g_unichar_isalnum(letter) ? letter : ' ');
  }
  return g_strsplit(plain->str, " ", -1);
}

static gint compare_words(gconstpointer a, gconstpointer b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All words, sorted; the most in one caption to *longest. */
static GPtrArray *gather_words(const FullMaterial *material, gint64 *longest) {
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
  *longest = 0;
  for (guint i = 0; i < material->captions->len; i++) {
    g_auto(GStrv) parts = split(material->captions->pdata[i]);
    gint64 count = 0;
    for (char **part = parts; *part; part++) {
      if (!**part || strlen(*part) > 60)
        continue;
      count++;
      if (g_hash_table_contains(seen, *part))
        continue;
      char *word = g_strdup(*part);
      g_hash_table_add(seen, word);
      g_ptr_array_add(list, word);
    }
    *longest = MAX(*longest, count);
  }
  g_ptr_array_sort(list, compare_words);
  return list;
}

static char *describe_words(const GPtrArray *list, gint64 length) {
  json_t *root = json_object(), *words = json_array(), *reserved = json_array();
  json_array_append_new(words, json_string("<pad>"));
  for (guint i = 0; i < list->len; i++)
    json_array_append_new(words, json_string(list->pdata[i]));
  for (int i = 0; i < RESERVED; i++) {
    g_autofree char *name = g_strdup_printf("<%d>", i + 1);
    json_array_append_new(words, json_string(name));
    json_array_append_new(reserved, json_string(name));
  }
  json_object_set_new(root, "length", json_integer(length));
  json_object_set_new(root, "words", words);
  json_object_set_new(root, "reserved", reserved);
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  return text;
}

static gboolean write_words(const FullMaterial *material, const char *path, GError **error) {
  gint64 longest;
  g_autoptr(GPtrArray) list = gather_words(material, &longest);
  if (list->len > WORDS_MAX)
    return fault(error, FAULT_LIMIT, "The captions use %u different words; a small model can learn %d.",
                 list->len, WORDS_MAX);
  gint64 rows = 1 + list->len + RESERVED, width = CLAMP((rows + 63) / 64 * 64, WIDTH_MIN, WIDTH_MAX);
  g_autofree float *vectors = g_new(float, (gsize)(rows * width));
  noise_fill(0, STREAM_VECTORS, rows * width, vectors);
  /* Room for a trigger and a few words more. */
  char *text = describe_words(list, CLAMP(longest + 4, LENGTH_MIN, LENGTH_MAX));
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "words.vectors", DTYPE_F32, (gint64[]){rows, width}, 2, vectors);
  safetensors_set_metadata(writer, "words", text);
  free(text);
  return safetensors_write(writer, path, error);
}

static void encode_captions(FullMaterial *material) {
  gint64 length = words_length(material->words), count = material->captions->len;
  material->n_text = length;
  material->ids = g_new(gint32, (gsize)(count * length));
  material->empty = g_new(gint32, (gsize)length);
  words_encode(material->words, "", material->empty, NULL);
  for (gint64 i = 0; i < count; i++)
    words_encode(material->words, material->captions->pdata[i], material->ids + i * length, NULL);
}

/* --- pictures --- */

/* The middle square, `side` pixels, [3, side, side]. */
static gboolean read_picture(const char *path, gint64 side, float *picture, GError **error) {
  g_autoptr(Image) image = picture_load(path, error);
  if (!image)
    return FALSE;
  int least = MIN(image->width, image->height);
  g_autoptr(Image) square =
      image_crop(image, (image->width - least) / 2, (image->height - least) / 2, least, least);
  g_autoptr(Image) sized = image_resize(square, (int)side, (int)side);
  autoencoder_from_image(sized, picture);
  return TRUE;
}

static gboolean fit_blocks(const char *const *pictures, gint64 side, const char *path, Progress *progress,
                           GError **error) {
  g_autoptr(BlocksFit) fit = blocks_fit_new();
  g_autofree float *picture = g_new(float, (gsize)(3 * side * side));
  guint count = g_strv_length((char **)pictures);
  for (guint i = 0; i < MIN(count, FIT_MAX); i++) {
    progress_report(progress, "Fitting the block transform", i, MIN(count, FIT_MAX));
    if (!progress_continue(progress, error) || !read_picture(pictures[i], side, picture, error))
      return FALSE;
    blocks_fit_add(fit, picture, side, side);
  }
  if (blocks_fit_write(fit, POWER, path, error))
    return TRUE;
  g_prefix_error(error, "The pictures are too few or too small: ");
  return FALSE;
}

static gboolean encode_pictures(FullMaterial *material, const char *const *pictures, const char *blocks,
                                Progress *progress, GError **error) {
  g_autoptr(Autoencoder) autoencoder = autoencoder_open(blocks, error);
  if (!autoencoder)
    return FALSE;
  gint64 pixels = material->side * AUTOENCODER_PATCH, count = material->captions->len,
         numbers = material->side * material->side * AUTOENCODER_CHANNELS;
  g_autofree float *picture = g_new(float, (gsize)(3 * pixels * pixels));
  material->tokens = g_try_new(float, (gsize)(count * numbers));
  if (!material->tokens)
    return fault(error, FAULT_MEMORY, "There is no memory for so many pictures.");
  for (gint64 i = 0; i < count; i++) {
    progress_report(progress, "Reading the pictures", i, count);
    if (!progress_continue(progress, error) || !read_picture(pictures[i], pixels, picture, error) ||
        !autoencoder_encode(autoencoder, picture, pixels, pixels, material->tokens + i * numbers, error))
      return FALSE;
  }
  return TRUE;
}

/* --- the whole --- */

static char *name_of(const FullMaterial *material) {
  g_autoptr(Checksum) checksum = checksum_new();
  gsize count = material->captions->len;
  checksum_update(checksum, material->tokens,
                  sizeof(float) * count * (gsize)(material->side * material->side * AUTOENCODER_CHANNELS));
  checksum_update(checksum, material->ids, sizeof(gint32) * count * (gsize)material->n_text);
  g_autofree char *hex = checksum_hex(checksum);
  return g_strdup_printf("pictures %s", hex);
}

FullMaterial *full_material_new(const char *const *pictures, gint64 resolution, guint64 seed,
                                const char *blocks, const char *words, Progress *progress, GError **error) {
  g_autoptr(FullMaterial) material = g_new0(FullMaterial, 1);
  material->captions = g_ptr_array_new_with_free_func(g_free);
  material->side = resolution / AUTOENCODER_PATCH;
  material->seed = seed;
  if (!read_captions(material, pictures, error))
    return NULL;
  if (!g_file_test(words, G_FILE_TEST_EXISTS) && !write_words(material, words, error))
    return NULL;
  if (!(material->words = words_open(words, error)))
    return NULL;
  encode_captions(material);
  if (!g_file_test(blocks, G_FILE_TEST_EXISTS) && !fit_blocks(pictures, resolution, blocks, progress, error))
    return NULL;
  if (!encode_pictures(material, pictures, blocks, progress, error))
    return NULL;
  material->name = name_of(material);
  return g_steal_pointer(&material);
}

static void sample(int worker, guint64 index, float *tokens, float *text, gpointer user) {
  const FullMaterial *material = user;
  gint64 numbers = material->side * material->side * AUTOENCODER_CHANNELS, count = material->captions->len;
  gint64 which =
      MIN(count - 1, (gint64)(flow_uniform(material->seed, index, STREAM_PICTURE) * (double)count));
  gboolean silent = flow_uniform(material->seed, index, STREAM_SILENT) < SILENT;
  memcpy(tokens, material->tokens + which * numbers, sizeof *tokens * (gsize)numbers);
  words_features(material->words, silent ? material->empty : material->ids + which * material->n_text, text);
}

TrainerSource full_material_source(FullMaterial *material) {
  return (TrainerSource){material->side, material->side, material->n_text, material->name, sample, material};
}

gint64 full_material_context(const FullMaterial *material) {
  return words_width(material->words);
}
