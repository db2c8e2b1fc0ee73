/* sprite-data: the small model's pictures as files, for the eye, for the judge and for other trainers. (The
 * trainer makes its own in memory.) */
#include "captions.h"
#include "characters.h"
#include "media/picture.h"
#include "sprite.h"
#include "vocabulary.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  int count, size, columns, character; /* -1: anybody */
  gint64 seed;
  gboolean held_out, whole;
  char *words, *sheet, *mark;
} Options;

static json_t *record(const Attributes *a, const char *name, const char *caption) {
  json_t *object = attributes_to_json(a);
  json_object_set_new(object, "file", json_string(name));
  json_object_set_new(object, "caption", json_string(caption));
  return object;
}

static int mark_of(const char *word) {
  for (int i = 0; i < MARKS; i++)
    if (word && strcmp(attributes_word("mark", i), word) == 0)
      return i;
  return MARK_NONE;
}

static Attributes draw_one(Sprite *sprite, const Options *o, int i, guint8 *pixels) {
  Attributes a;
  if (o->character >= 0) {
    a = character_picture(o->character, i, FALSE);
    sprite_draw(sprite, &a, 100u * (guint64)o->character + (guint64)i, pixels);
    return a;
  }
  sprite_sample(sprite, (guint64)o->seed, (guint64)i, o->held_out ? PART_HOLD_OUT : PART_LEARN, &a, pixels);
  if (o->mark) {
    a.mark = (Mark)mark_of(o->mark);
    sprite_draw(sprite, &a, (guint64)i, pixels);
  }
  return a;
}

/* Beside a character's picture: what troupe train reads there. Nothing is said about who it is. */
static gboolean write_text(const Attributes *a, const char *folder, int i, GError **error) {
  Dice dice = {1};
  g_autofree char *name = g_strdup_printf("%05d.txt", i), *path = g_build_filename(folder, name, NULL);
  g_autofree char *text = caption_of(a, &caption_whole, "[trigger]", &dice);
  return g_file_set_contents(path, text, -1, NULL) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written.", path);
}

static gboolean write_pictures(const Options *o, const char *folder, GError **error) {
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  g_autofree char *list = g_build_filename(folder, "attributes.jsonl", NULL);
  if (g_mkdir_with_parents(folder, 0777) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", folder, g_strerror(errno));
  FILE *lines = fopen(list, "w");
  if (!lines)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", list, g_strerror(errno));
  gboolean ok = TRUE;
  for (int i = 0; i < o->count && ok; i++) {
    g_autoptr(Image) image = image_new(o->size, o->size, 3);
    Attributes a = draw_one(sprite, o, i, image->pixels);
    Dice dice = dice_new((guint64)o->seed, 77, (guint64)i);
    g_autofree char *caption = caption_of(&a, o->whole ? &caption_whole : &caption_learn, NULL, &dice);
    g_autofree char *name = g_strdup_printf("%05d.png", i);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    ok = picture_save_quickly(image, path, error);
    ok = ok && (o->character < 0 || write_text(&a, folder, i, error));
    json_t *object = record(&a, name, caption);
    json_dumpf(object, lines, JSON_COMPACT);
    fputc('\n', lines);
    json_decref(object);
  }
  if (fclose(lines) != 0 && ok)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", list, g_strerror(errno));
  return ok;
}

static gboolean write_sheet(const Options *o, GError **error) {
  int size = o->size, rows = (o->count + o->columns - 1) / o->columns;
  g_autoptr(Sprite) sprite = sprite_new(size);
  g_autoptr(Image) sheet = image_new(o->columns * size, rows * size, 3);
  g_autofree guint8 *pixels = g_malloc((gsize)size * size * 3);
  for (int i = 0; i < o->count; i++) {
    draw_one(sprite, o, i, pixels);
    for (int y = 0; y < size; y++)
      memcpy(image_at(sheet, i % o->columns * size, i / o->columns * size + y), pixels + 3 * (gsize)y * size,
             3 * (gsize)size);
  }
  return picture_save(sheet, o->sheet, error);
}

static void print_speed(int size) {
  g_autoptr(Sprite) sprite = sprite_new(size);
  g_autofree guint8 *pixels = g_malloc((gsize)size * size * 3);
  Attributes a;
  gint64 start = g_get_monotonic_time();
  for (guint64 i = 0; i < 2000; i++)
    sprite_sample(sprite, 1, i, PART_LEARN, &a, pixels);
  g_print("%.0f pictures a second on one thread\n", 2000e6 / (double)(g_get_monotonic_time() - start));
}

int main(int argc, char **argv) {
  Options o = {.count = 64, .size = 128, .columns = 8, .character = -1, .seed = 1};
  gboolean speed = FALSE;
  GOptionEntry entries[] = {
      {"count", 'n', 0, G_OPTION_ARG_INT, &o.count, "How many (default 64)", "N"},
      {"size", 0, 0, G_OPTION_ARG_INT, &o.size, "Side in pixels (default 128)", "PIXELS"},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &o.seed, "Other pictures", "N"},
      {"held-out", 0, 0, G_OPTION_ARG_NONE, &o.held_out, "From the part that is never learned", NULL},
      {"whole", 0, 0, G_OPTION_ARG_NONE, &o.whole, "Captions that leave out nothing", NULL},
      {"mark", 0, 0, G_OPTION_ARG_STRING, &o.mark, "With a feature that no picture of the base has", "NAME"},
      {"character", 0, 0, G_OPTION_ARG_INT, &o.character, "One of those that no model has seen", "N"},
      {"sheet", 0, 0, G_OPTION_ARG_FILENAME, &o.sheet, "All on one sheet", "FILE"},
      {"columns", 0, 0, G_OPTION_ARG_INT, &o.columns, "Of the sheet (default 8)", "N"},
      {"words", 0, 0, G_OPTION_ARG_FILENAME, &o.words, "Write the vocabulary and its vectors", "FILE"},
      {"speed", 0, 0, G_OPTION_ARG_NONE, &speed, "Print how quickly pictures are made", NULL},
      {NULL},
  };
  g_autoptr(GError) error = NULL;
  g_autoptr(GOptionContext) context = g_option_context_new("[FOLDER]");
  g_option_context_set_summary(context, "Draws captioned vector characters: pictures and attributes.jsonl in "
                                        "FOLDER, and texts beside a character's.");
  g_option_context_add_main_entries(context, entries, NULL);
  gboolean ok = g_option_context_parse(context, &argc, &argv, &error) && picture_init(argv[0], &error);
  if (ok && (o.size < 64 || o.size > 1024 || o.count < 1 || o.count > 1000000 || o.columns < 1 ||
             o.character < -1 || o.character >= CHARACTERS || argc > 2))
    ok = fault(&error, FAULT_USAGE,
               "One folder, sizes of 64 to 1024, at least one picture, characters of 0 to %d.",
               CHARACTERS - 1);
  if (ok && o.words)
    ok = vocabulary_write(o.words, &error);
  if (ok && o.sheet)
    ok = write_sheet(&o, &error);
  if (ok && argc == 2)
    ok = write_pictures(&o, argv[1], &error);
  if (ok && speed)
    print_speed(o.size);
  if (!ok)
    g_printerr("sprite-data: %s\n", error->message);
  return ok ? 0 : 1;
}
