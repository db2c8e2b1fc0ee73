/* sprite-judge: how often pictures show what their attributes ask for, beside what true renders and shuffled
 * ones reach. The pictures come from a folder, from a model that is given held-out captions, or, to judge the
 * judge, from the painter itself. */
#include "captions.h"
#include "judge.h"
#include "media/picture.h"
#include "painting.h"
#include "sprite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  Attributes asked;
  Image *image;
} Exhibit;

static void exhibit_clear(gpointer data) {
  image_free(((Exhibit *)data)->image);
}

static gboolean read_line(const char *folder, const char *line, GArray *exhibits, int *size, GError **error) {
  json_t *object = json_loads(line, 0, NULL);
  const char *file = json_string_value(json_object_get(object, "file"));
  Exhibit exhibit = {0};
  gboolean ok = object && file && !strchr(file, '/') && attributes_from_json(object, &exhibit.asked);
  if (!ok)
    fault(error, FAULT_INPUT, "%s/attributes.jsonl has a line that does not name a file and its attributes.",
          folder);
  if (ok) {
    g_autofree char *path = g_build_filename(folder, file, NULL);
    g_autoptr(Image) image = picture_load(path, error);
    if (image && image->channels != 3) {
      Image *converted = image_convert(image, 3);
      image_free(image);
      image = converted;
    }
    ok = image != NULL;
    if (ok && *size == 0 && image->width >= 64 && image->width <= 1024)
      *size = image->width;
    if (ok && (image->width != *size || image->height != *size))
      ok = fault(error, FAULT_INPUT, "%s is not a square of the size of the others.", path);
    exhibit.image = ok ? g_steal_pointer(&image) : NULL;
  }
  if (ok)
    g_array_append_val(exhibits, exhibit);
  json_decref(object);
  return ok;
}

static GArray *read_folder(const char *folder, int *size, GError **error) {
  g_autoptr(GArray) exhibits = g_array_new(FALSE, FALSE, sizeof(Exhibit));
  g_array_set_clear_func(exhibits, exhibit_clear);
  g_autofree char *list = g_build_filename(folder, "attributes.jsonl", NULL), *text = NULL;
  g_autoptr(GError) cause = NULL;
  if (!g_file_get_contents(list, &text, NULL, &cause))
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", list, cause->message);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++)
    if (**line && !read_line(folder, *line, exhibits, size, error))
      return NULL;
  if (exhibits->len == 0)
    return fault_null(error, FAULT_INPUT, "%s names no picture.", list);
  return g_steal_pointer(&exhibits);
}

static GArray *draw_held_out(int count, guint64 seed, int size) {
  GArray *exhibits = g_array_new(FALSE, FALSE, sizeof(Exhibit));
  g_array_set_clear_func(exhibits, exhibit_clear);
  g_autoptr(Sprite) sprite = sprite_new(size);
  for (int i = 0; i < count; i++) {
    Exhibit exhibit = {.image = image_new(size, size, 3)};
    sprite_sample(sprite, seed, (guint64)i, PART_HOLD_OUT, &exhibit.asked, exhibit.image->pixels);
    g_array_append_val(exhibits, exhibit);
  }
  return exhibits;
}

/* One picture of a caption that leaves out nothing for each held-out index, each from noise of its own. */
static GArray *ask_model(const char *folder, int count, guint64 seed, int steps, double guidance, int *size,
                         GError **error) {
  g_autoptr(Model) model = model_open(folder, error);
  if (!model)
    return NULL;
  *size = (int)model_facts(model)->resolution;
  if (*size < 64 || *size > 1024)
    return fault_null(error, FAULT_INPUT, "%s does not draw pictures of 64 to 1024 pixels.", folder);
  g_autoptr(GArray) exhibits = draw_held_out(count, seed, *size);
  g_auto(GStrv) captions = g_new0(char *, (gsize)count + 1);
  for (int i = 0; i < count; i++) {
    Dice dice = {1};
    captions[i] = caption_of(&g_array_index(exhibits, Exhibit, i).asked, &caption_whole, NULL, &dice);
  }
  const PaintOrder order = {.model = folder, .steps = steps, .guidance = guidance, .seed = seed};
  g_autoptr(GPtrArray) images = paint_all(&order, (const char *const *)captions, count, error);
  for (int i = 0; images && i < count; i++) {
    Exhibit *exhibit = &g_array_index(exhibits, Exhibit, i);
    image_free(exhibit->image);
    exhibit->image = g_steal_pointer(&images->pdata[i]);
  }
  return images ? g_steal_pointer(&exhibits) : NULL;
}

static gboolean save_all(const GArray *exhibits, const char *folder, GError **error) {
  g_autoptr(GString) lines = g_string_new(NULL);
  g_autofree char *list = g_build_filename(folder, "attributes.jsonl", NULL);
  g_autoptr(GError) cause = NULL;
  if (g_mkdir_with_parents(folder, 0777) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", folder, g_strerror(errno));
  for (guint i = 0; i < exhibits->len; i++) {
    const Exhibit *exhibit = &g_array_index(exhibits, Exhibit, i);
    g_autofree char *name = g_strdup_printf("%05u.png", i), *path = g_build_filename(folder, name, NULL);
    json_t *object = attributes_to_json(&exhibit->asked);
    json_object_set_new(object, "file", json_string(name));
    char *line = json_dumps(object, JSON_COMPACT);
    g_string_append_printf(lines, "%s\n", line);
    free(line);
    json_decref(object);
    if (!picture_save_quickly(exhibit->image, path, error))
      return FALSE;
  }
  return g_file_set_contents(list, lines->str, -1, &cause) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", list, cause->message);
}

/* step: how many further the attributes are taken from; 0 judges each picture by its own. */
static Tally judge_all(Judge *judge, const GArray *exhibits, guint step, gboolean renders, int size,
                       int traits) {
  Tally tally = {0};
  g_autoptr(Sprite) sprite = sprite_new(size);
  g_autofree guint8 *pixels = g_malloc((gsize)size * size * 3);
  for (guint i = 0; i < exhibits->len; i++) {
    const Exhibit *seen = &g_array_index(exhibits, Exhibit, i);
    const Exhibit *asked = &g_array_index(exhibits, Exhibit, (i + step) % exhibits->len);
    Verdict verdict;
    if (renders)
      sprite_draw(sprite, &asked->asked, 500000 + i, pixels);
    judge_look(judge, &asked->asked, renders ? pixels : seen->image->pixels, traits, &verdict);
    tally_add(&tally, &asked->asked, &verdict);
  }
  return tally;
}

static void print_row(const char *name, const Tally *tally, int traits) {
  g_print("%-14s", name);
  for (int t = 0; t < traits; t++)
    g_print(" %7.3f", tally_share(tally, (Trait)t));
  g_print("  %6.2f\n", tally_jump(tally));
}

int main(int argc, char **argv) {
  int count = 300, size = 0, seed = 424242, steps = 0;
  double guidance = 0;
  g_autofree char *model = NULL, *keep = NULL;
  gboolean shapes = FALSE;
  GOptionEntry entries[] = {
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &model, "Judge what this model draws of held-out captions",
       "FOLDER"},
      {"keep", 0, 0, G_OPTION_ARG_FILENAME, &keep, "Keep those pictures", "FOLDER"},
      {"steps", 0, 0, G_OPTION_ARG_INT, &steps, "Of the model's sampler", "N"},
      {"guidance", 0, 0, G_OPTION_ARG_DOUBLE, &guidance, "Of the model's sampler", "G"},
      {"count", 'n', 0, G_OPTION_ARG_INT, &count, "Without FOLDER: so many captions (default 300)", "N"},
      {"seed", 0, 0, G_OPTION_ARG_INT, &seed, "Other captions", "N"},
      {"shapes", 0, 0, G_OPTION_ARG_NONE, &shapes,
       "Also hair's shape, mood, posture, face and what is worn on it", NULL},
      {NULL},
  };
  g_autoptr(GError) error = NULL;
  g_autoptr(GOptionContext) context = g_option_context_new("[FOLDER]");
  g_option_context_set_summary(
      context, "Judges the pictures of FOLDER by its attributes.jsonl (as sprite-data writes it).");
  g_option_context_add_main_entries(context, entries, NULL);
  gboolean ok = g_option_context_parse(context, &argc, &argv, &error) && picture_init(argv[0], &error);
  g_autoptr(GArray) exhibits = NULL;
  if (ok && argc > 1)
    ok = (exhibits = read_folder(argv[1], &size, &error)) != NULL;
  else if (ok && model)
    ok = (exhibits =
              ask_model(model, CLAMP(count, 2, 100000), (guint64)seed, steps, guidance, &size, &error)) &&
         (!keep || save_all(exhibits, keep, &error));
  else if (ok)
    exhibits = draw_held_out(CLAMP(count, 2, 100000), (guint64)seed, size = 128);
  if (!ok) {
    g_printerr("sprite-judge: %s\n", error->message);
    return 1;
  }
  int traits = shapes ? TRAITS : TRAITS_REQUIRED;
  g_autoptr(Judge) judge = judge_new(size);
  g_print("%-14s", "share right");
  for (int t = 0; t < traits; t++)
    g_print(" %7s", trait_name((Trait)t));
  g_print("  border/inside\n");
  Tally truth = judge_all(judge, exhibits, 0, TRUE, size, traits), chance, found;
  print_row("true renders", &truth, traits);
  if (argc > 1 || model) {
    found = judge_all(judge, exhibits, 0, FALSE, size, traits);
    print_row("these", &found, traits);
  }
  chance = judge_all(judge, exhibits, exhibits->len / 2 + 1, FALSE, size, traits);
  print_row("shuffled", &chance, traits);
  g_print("%u pictures; of them %d show hair, %d clothes", exhibits->len, truth.asked[TRAIT_TINT],
          truth.asked[TRAIT_CLOTH]);
  if (argc > 1 || model)
    g_print("; border jump %.2f times that of true pictures", tally_jump(&found) / tally_jump(&truth));
  g_print(".\n");
  return 0;
}
