#include "toy_model.h"

#include "base/files.h"
#include <gio/gio.h>
#include <glib/gstdio.h>

static const char description[] =
    "{\"format\": 1, \"name\": \"toy\", \"title\": \"Toy\", \"about\": \"Random.\", \"transformer\": "
    "\"transformer.safetensors\", \"autoencoder\": \"autoencoder.safetensors\", \"text\": {\"kind\": "
    "\"qwen3\", "
    "\"encoder\": \"encoder.safetensors\", \"tokenizer\": \"tokenizer\", \"taps\": [1, 2, 3], \"length\": "
    "40}, "
    "\"resolution\": 48, \"steps\": 2, \"guidance\": 2, \"trainable\": true, \"training\": {\"steps\": 120, "
    "\"rank\": 4, \"batch\": 4, \"warmup\": 4}}";

static gboolean copy(const char *golden, const char *name, const char *folder, const char *as) {
  g_autofree char *from = g_build_filename(golden, name, NULL), *to = g_build_filename(folder, as, NULL);
  return files_copy(from, to, G_MAXINT64, NULL);
}

static gboolean copy_tokenizer(const char *golden, const char *folder) {
  g_autofree char *from = g_build_filename(golden, "toy_tokenizer", NULL),
                  *to = g_build_filename(folder, "tokenizer", NULL);
  g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
  g_mkdir(to, 0700);
  for (const char *name; dir && (name = g_dir_read_name(dir));)
    if (!copy(from, name, to, name))
      return FALSE;
  return dir != NULL;
}

/* The model that ships would be the usual one: one of its name that cannot be read hides it. */
static gboolean hide_shipped(const char *folder) {
  g_autofree char *hidden = g_build_filename(folder, "sprite", NULL);
  g_autofree char *json = g_build_filename(hidden, "model.json", NULL);
  return g_mkdir_with_parents(hidden, 0700) == 0 && g_file_set_contents(json, "{}", -1, NULL);
}

gboolean toy_model_make(const char *folder) {
  const char *named = g_getenv("GOLDEN_IDENTITY"), *shared = g_getenv("TROUPE_SHARED");
  g_autofree char *golden =
      named ? g_strdup(named) : g_build_filename(shared ? shared : "../shared", "golden-identity", NULL);
  g_autofree char *toy = g_build_filename(folder, "toy", NULL);
  g_autofree char *json = g_build_filename(toy, "model.json", NULL);
  return g_mkdir_with_parents(toy, 0700) == 0 &&
         copy(golden, "a_model.safetensors", toy, "transformer.safetensors") &&
         copy(golden, "vae_model_bf16.safetensors", toy, "autoencoder.safetensors") &&
         copy(golden, "qwen_tiny_bf16.safetensors", toy, "encoder.safetensors") &&
         copy_tokenizer(golden, toy) && g_file_set_contents(json, description, -1, NULL) &&
         hide_shipped(folder);
}
