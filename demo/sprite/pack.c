/* sprite-pack: from a finished training's folder to the Model that is shipped.
 *
 * Weights become bf16; the block transform comes with its refinement; ordinary pictures with their captions
 * are put beside them as tokens, for LoRAs to be trained along with (identity/training/replay.h); of the log
 * of the loss, means over a hundredth of the training each remain. */
#include "captions.h"
#include "identity/models/model.h"
#include "identity/training/replay.h"
#include "sprite.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_LINES 100
#define LOG_COLUMNS 5 /* step, samples, seconds, loss, rate */
#define REPLAY_SEED 909090u

typedef struct {
  char *blocks, *out;
  int replay;
} Options;

static char *in(const char *folder, const char *name) {
  return g_build_filename(folder, name, NULL);
}

static gboolean copy(const char *from, const char *to, GError **error) {
  g_autofree char *bytes = NULL;
  gsize length;
  g_autoptr(GError) cause = NULL;
  if (!g_file_get_contents(from, &bytes, &length, &cause))
    return fault(error, FAULT_INPUT, "%s cannot be read: %s.", from, cause->message);
  return g_file_set_contents(to, bytes, (gssize)length, &cause) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", to, cause->message);
}

static gboolean pack_weights(const char *from, const char *to, GError **error) {
  g_autoptr(Transformer) transformer = transformer_open(from, FALSE, error);
  return transformer && transformer_save(transformer, to, DTYPE_BF16, NULL, error);
}

/* --- the log --- */

static void write_mean(FILE *file, const double *sums, int count) {
  fprintf(file, "%.0f,%.0f,%.0f,%.4f,%.3g\n", sums[0], sums[1], sums[2], sums[3] / count, sums[4]);
}

/* Of each stretch its last step, samples, seconds and rate, and the mean of its loss. */
static gboolean thin_log(const char *from, const char *to, GError **error) {
  g_autofree char *text = NULL;
  if (!g_file_get_contents(from, &text, NULL, NULL))
    return fault(error, FAULT_INPUT, "%s cannot be read.", from);
  FILE *file = g_fopen(to, "w");
  if (!file)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", to, g_strerror(errno));
  g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
  int rows = (int)g_strv_length(lines) - 1, stretch = MAX(1, rows / LOG_LINES), count = 0;
  double sums[LOG_COLUMNS] = {0};
  fputs("step,samples,seconds,loss,rate\n", file);
  for (int i = 0; i < rows; i++) {
    char *at = lines[i + 1];
    for (int c = 0; c < LOG_COLUMNS; c++) {
      double value = g_ascii_strtod(at, &at);
      sums[c] = c == 3 && count ? sums[c] + value : value;
      at += *at == ',';
    }
    if (++count == stretch || i == rows - 1) {
      write_mean(file, sums, count);
      count = 0;
    }
  }
  return fclose(file) == 0 || fault(error, FAULT_OUTPUT, "%s cannot be written.", to);
}

/* --- ordinary pictures --- */

static gboolean pack_replay(const Options *o, int size, const char *path, GError **error) {
  gint64 side = size / AUTOENCODER_PATCH, numbers = side * side * AUTOENCODER_CHANNELS;
  g_autoptr(Autoencoder) autoencoder = autoencoder_open(o->blocks, error);
  if (!autoencoder)
    return FALSE;
  g_autoptr(Sprite) sprite = sprite_new(size);
  g_autoptr(Image) image = image_new(size, size, 3);
  g_autofree float *picture = g_new(float, (gsize)size *(gsize)size * 3);
  g_autofree float *tokens = g_new(float, (gsize)(o->replay * numbers));
  g_auto(GStrv) captions = g_new0(char *, (gsize)o->replay + 1);
  for (int i = 0; i < o->replay; i++) {
    Attributes attributes;
    CaptionManner manner = caption_learn;
    manner.drop_all = 0;
    sprite_sample(sprite, REPLAY_SEED, (guint64)i, PART_LEARN, &attributes, image->pixels);
    Dice dice = dice_new(REPLAY_SEED, 3, (guint64)i);
    captions[i] = caption_of(&attributes, &manner, NULL, &dice);
    autoencoder_from_image(image, picture);
    if (!autoencoder_encode(autoencoder, picture, size, size, tokens + i * numbers, error))
      return FALSE;
  }
  return replay_write(path, tokens, o->replay, side, side, AUTOENCODER_CHANNELS,
                      (const char *const *)captions, error);
}

/* --- the whole --- */

static gboolean write_facts(const char *path, int size, GError **error) {
  g_autofree char *text =
      g_strdup_printf("{\n"
                      "  \"format\": 1,\n"
                      "  \"name\": \"sprite\",\n"
                      "  \"title\": \"Sprite\",\n"
                      "  \"about\": \"A small model for demonstration: drawn characters in ten places.\",\n"
                      "  \"transformer\": \"transformer.safetensors\",\n"
                      "  \"autoencoder\": \"autoencoder.safetensors\",\n"
                      "  \"text\": {\"kind\": \"words\", \"file\": \"words.safetensors\"},\n"
                      "  \"resolution\": %d, \"steps\": 20, \"guidance\": 3, \"shift\": 1.5,\n"
                      "  \"trainable\": true,\n"
                      "  \"training\": {\"pictures\": \"replay.safetensors\"},\n"
                      "  \"licence\": \"LICENSE\", \"card\": \"README.md\"\n"
                      "}\n",
                      size);
  g_autoptr(GError) cause = NULL;
  return g_file_set_contents(path, text, -1, &cause) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, cause->message);
}

static gboolean run(const Options *o, const char *folder, GError **error) {
  g_autoptr(Model) model = model_open(folder, error);
  if (!model)
    return FALSE;
  int size = (int)model_facts(model)->resolution;
  if (g_mkdir_with_parents(o->out, 0777) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", o->out, g_strerror(errno));
  const char *const names[] = {"model.safetensors", "words.safetensors", "loss.csv"};
  const char *const ends[] = {"transformer.safetensors", "words.safetensors",  "loss.csv",
                              "autoencoder.safetensors", "replay.safetensors", "model.json"};
  g_autofree char *weights = in(folder, names[0]), *words = in(folder, names[1]), *log = in(folder, names[2]);
  g_autofree char *to_weights = in(o->out, ends[0]), *to_words = in(o->out, ends[1]),
                  *to_log = in(o->out, ends[2]), *to_blocks = in(o->out, ends[3]),
                  *to_replay = in(o->out, ends[4]), *to_facts = in(o->out, ends[5]);
  return pack_weights(weights, to_weights, error) && copy(words, to_words, error) &&
         thin_log(log, to_log, error) && copy(o->blocks, to_blocks, error) &&
         pack_replay(o, size, to_replay, error) &&
         (g_file_test(to_facts, G_FILE_TEST_EXISTS) || write_facts(to_facts, size, error));
}

int main(int argc, char **argv) {
  Options o = {.replay = 384};
  const GOptionEntry entries[] = {
      {"blocks", 0, 0, G_OPTION_ARG_FILENAME, &o.blocks, "The block transform with its refinement", "FILE"},
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &o.out, "The Model's folder", "FOLDER"},
      {"replay", 0, 0, G_OPTION_ARG_INT, &o.replay, "So many ordinary pictures (384)", "N"},
      {NULL}};
  g_autoptr(GOptionContext) context = g_option_context_new("FOLDER --blocks FILE -o FOLDER");
  g_option_context_set_summary(context,
                               "Makes a Model to be shipped of a finished training; a model.json that "
                               "is there stays.");
  g_option_context_add_main_entries(context, entries, NULL);
  g_autoptr(GError) error = NULL;
  gboolean good = g_option_context_parse(context, &argc, &argv, &error);
  if (good && (argc != 2 || !o.blocks || !o.out || o.replay < 1 || o.replay > REPLAY_MAX_PICTURES))
    good = fault(&error, FAULT_USAGE, "a training's folder, --blocks, -o, and 1 to %d pictures.",
                 REPLAY_MAX_PICTURES);
  good = good && run(&o, argv[1], &error);
  if (!good)
    fprintf(stderr, "sprite-pack: %s\n", error->message);
  g_free(o.blocks);
  g_free(o.out);
  return good ? 0 : 1;
}
