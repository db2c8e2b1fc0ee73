/* The rows' order is part of every model that was trained on them: words may be added after the last only. */
#include "vocabulary.h"
#include "dice.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

#define RESERVED 32
#define SEED 20261121

static const char *const vocabulary[] = {
    "<pad>",   "portrait", "half",      "full",     "body",    "man",     "woman",      "person",
    "skin",    "face",     "hair",      "pale",     "light",   "tan",     "brown",      "dark",
    "round",   "oval",     "square",    "long",     "short",   "bob",     "curly",      "afro",
    "spiky",   "mohawk",   "bun",       "bald",     "black",   "blonde",  "red",        "white",
    "grey",    "blue",     "pink",      "green",    "no",      "glasses", "sunglasses", "clean",
    "shaven",  "beard",    "moustache", "tshirt",   "sweater", "hoodie",  "suit",       "dress",
    "striped", "yellow",   "purple",    "orange",   "smiling", "serious", "surprised",  "arm",
    "down",    "hand",     "hip",       "right",    "left",    "both",    "raised",     "park",
    "beach",   "city",     "forest",    "mountain", "desert",  "space",   "office",     "library",
    "studio",  "day",      "sunset",    "night",    "flat",    "outlined"};

/* word, meaning */
static const char *const synonyms[][2] = {{"close", "portrait"},
                                          {"closeup", "portrait"},
                                          {"headshot", "portrait"},
                                          {"guy", "man"},
                                          {"boy", "man"},
                                          {"men", "man"},
                                          {"male", "man"},
                                          {"gentleman", "man"},
                                          {"girl", "woman"},
                                          {"women", "woman"},
                                          {"lady", "woman"},
                                          {"female", "woman"},
                                          {"character", "person"},
                                          {"someone", "person"},
                                          {"people", "person"},
                                          {"skinned", "skin"},
                                          {"faced", "face"},
                                          {"haired", "hair"},
                                          {"fair", "light"},
                                          {"tanned", "tan"},
                                          {"rectangular", "square"},
                                          {"blond", "blonde"},
                                          {"golden", "blonde"},
                                          {"gray", "grey"},
                                          {"silver", "grey"},
                                          {"ginger", "red"},
                                          {"brunette", "brown"},
                                          {"curls", "curly"},
                                          {"spikes", "spiky"},
                                          {"spiked", "spiky"},
                                          {"shades", "sunglasses"},
                                          {"spectacles", "glasses"},
                                          {"eyeglasses", "glasses"},
                                          {"without", "no"},
                                          {"shaved", "shaven"},
                                          {"bearded", "beard"},
                                          {"mustache", "moustache"},
                                          {"shirt", "tshirt"},
                                          {"tee", "tshirt"},
                                          {"top", "tshirt"},
                                          {"jumper", "sweater"},
                                          {"pullover", "sweater"},
                                          {"turtleneck", "sweater"},
                                          {"hooded", "hoodie"},
                                          {"jacket", "suit"},
                                          {"blazer", "suit"},
                                          {"tuxedo", "suit"},
                                          {"gown", "dress"},
                                          {"skirt", "dress"},
                                          {"stripes", "striped"},
                                          {"stripy", "striped"},
                                          {"violet", "purple"},
                                          {"smile", "smiling"},
                                          {"smiles", "smiling"},
                                          {"happy", "smiling"},
                                          {"grinning", "smiling"},
                                          {"laughing", "smiling"},
                                          {"angry", "serious"},
                                          {"stern", "serious"},
                                          {"amazed", "surprised"},
                                          {"astonished", "surprised"},
                                          {"shocked", "surprised"},
                                          {"up", "raised"},
                                          {"raising", "raised"},
                                          {"lifted", "raised"},
                                          {"waist", "hip"},
                                          {"garden", "park"},
                                          {"meadow", "park"},
                                          {"sea", "beach"},
                                          {"seaside", "beach"},
                                          {"shore", "beach"},
                                          {"street", "city"},
                                          {"town", "city"},
                                          {"downtown", "city"},
                                          {"wood", "forest"},
                                          {"jungle", "forest"},
                                          {"alps", "mountain"},
                                          {"dunes", "desert"},
                                          {"moon", "space"},
                                          {"cosmos", "space"},
                                          {"workplace", "office"},
                                          {"bookshop", "library"},
                                          {"bookshelf", "library"},
                                          {"books", "library"},
                                          {"backdrop", "studio"},
                                          {"daytime", "day"},
                                          {"daylight", "day"},
                                          {"evening", "sunset"},
                                          {"dusk", "sunset"},
                                          {"dawn", "sunset"},
                                          {"nighttime", "night"},
                                          {"midnight", "night"},
                                          {"simple", "flat"},
                                          {"outline", "outlined"},
                                          {"outlines", "outlined"},
                                          {"contour", "outlined"}};

static const char *const silent[] = {
    "a",     "an",     "the",     "of",    "in",      "at",    "on",   "with",   "and",      "is",
    "who",   "his",    "her",     "their", "to",      "by",    "it",   "t",      "picture",  "shot",
    "photo", "image",  "drawing", "view",  "wearing", "wears", "has",  "having", "standing", "style",
    "scene", "colour", "color",   "very",  "s",       "for",   "from", "bodied"};

static char *describe(void) {
  json_t *root = json_object(), *words = json_array(), *reserved = json_array(), *quiet = json_array(),
         *map = json_object();
  for (guint i = 0; i < G_N_ELEMENTS(vocabulary); i++)
    json_array_append_new(words, json_string(vocabulary[i]));
  for (int i = 0; i < RESERVED; i++) {
    g_autofree char *name = g_strdup_printf("<%d>", i + 1);
    json_array_append_new(words, json_string(name));
    json_array_append_new(reserved, json_string(name));
  }
  for (guint i = 0; i < G_N_ELEMENTS(synonyms); i++)
    json_object_set_new(map, synonyms[i][0], json_string(synonyms[i][1]));
  for (guint i = 0; i < G_N_ELEMENTS(silent); i++)
    json_array_append_new(quiet, json_string(silent[i]));
  json_object_set_new(root, "length", json_integer(VOCABULARY_LENGTH));
  json_object_set_new(root, "words", words);
  json_object_set_new(root, "synonyms", map);
  json_object_set_new(root, "silent", quiet);
  json_object_set_new(root, "reserved", reserved);
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  return text;
}

#define ROWS ((gint64)G_N_ELEMENTS(vocabulary) + RESERVED)

static float *make_vectors(void) {
  Dice dice = dice_new(SEED, 0, 0);
  float *vectors = g_new(float, ROWS *VOCABULARY_WIDTH);
  for (gint64 i = 0; i < ROWS * VOCABULARY_WIDTH; i++) { /* Box and Muller */
    double u = 1 - dice_unit(&dice), v = dice_unit(&dice);
    vectors[i] = (float)(sqrt(-2 * log(u)) * cos(2 * G_PI * v));
  }
  return vectors;
}

Words *vocabulary_new(void) {
  g_autoptr(GError) error = NULL;
  g_autofree float *vectors = make_vectors();
  char *text = describe();
  Words *words = words_new(text, vectors, ROWS, VOCABULARY_WIDTH, &error);
  free(text);
  if (!words)
    g_error("%s", error->message); /* the tables above are wrong */
  return words;
}

gboolean vocabulary_write(const char *path, GError **error) {
  g_autofree float *vectors = make_vectors();
  char *text = describe();
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "words.vectors", DTYPE_F32, (gint64[]){ROWS, VOCABULARY_WIDTH}, 2, vectors);
  safetensors_set_metadata(writer, "words", text);
  gboolean ok = safetensors_write(writer, path, error);
  free(text);
  return ok;
}
