/* sprite-proof: shows characters that a model never saw to it, twelve pictures each, and judges what it then
 * draws of them and of others.
 *
 * FOLDER/NAME gets pictures/, the Character with its LoRA, and drawn/ with what was asked for. Printed are
 * the shares of right answers: of true renders, of the model without the LoRA given the same prompts, with
 * it; and of other people's captions without and with it. */
#include "captions.h"
#include "characters.h"
#include "identity/training/character_training.h"
#include "judge.h"
#include "media/picture.h"
#include "painting.h"
#include "sprite.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#define TRIGGER "zqx"
#define CLASS "person"
#define OTHERS_SEED 565656u

typedef struct {
  char *model;
  int first, count, asked, others, size;
  int steps, rank, batch, replay;
  double rate, dropout;
  gboolean preserve;
} Options;

/* A list of attributes with what was drawn of it. */
typedef struct {
  Attributes *asked;
  char **prompts;
  int count;
} Task;

static const Trait identity[] = {TRAIT_SKIN, TRAIT_TINT, TRAIT_EYEWEAR, TRAIT_BEARD, TRAIT_HAIR, TRAIT_MARK};
static const Trait prompt_traits[] = {TRAIT_CLOTH, TRAIT_PLACE};
static const Trait shown[] = {TRAIT_SKIN, TRAIT_TINT, TRAIT_EYEWEAR, TRAIT_BEARD,
                              TRAIT_HAIR, TRAIT_MARK, TRAIT_CLOTH,   TRAIT_PLACE};

/* --- tasks --- */

static void task_clear(Task *task) {
  g_free(task->asked);
  g_strfreev(task->prompts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Task, task_clear)

static Task task_new(int count) {
  return (Task){g_new0(Attributes, (gsize)count), g_new0(char *, (gsize)count + 1), count};
}

static Task task_of_character(int number, int count) {
  Task task = task_new(count);
  for (int i = 0; i < count; i++) {
    Dice dice = {1};
    task.asked[i] = character_picture(number, i, TRUE);
    task.prompts[i] = caption_of(&task.asked[i], &caption_whole, TRIGGER, &dice);
  }
  return task;
}

static Task task_of_others(int count) {
  Task task = task_new(count);
  for (int i = 0; i < count; i++) {
    Dice dice = dice_new(OTHERS_SEED, 1, (guint64)i);
    task.asked[i] = attributes_draw(&dice, PART_HOLD_OUT);
    task.prompts[i] = caption_of(&task.asked[i], &caption_whole, NULL, &dice);
  }
  return task;
}

/* --- judging --- */

static double share_of(const Tally *tally, const Trait *traits, gsize count) {
  int asked = 0, right = 0;
  for (gsize i = 0; i < count; i++) {
    asked += tally->asked[traits[i]];
    right += tally->right[traits[i]];
  }
  return asked ? (double)right / asked : 0;
}

/* images: NULL judges true renders. */
static Tally judge_task(Judge *judge, const Options *o, const Task *task, const GPtrArray *images,
                        int traits) {
  Tally tally = {0};
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  g_autofree guint8 *pixels = g_malloc((gsize)o->size * (gsize)o->size * 3);
  for (int i = 0; i < task->count; i++) {
    Verdict verdict;
    sprite_draw(sprite, &task->asked[i], 700000 + (guint64)i, pixels);
    judge_look(judge, &task->asked[i], images ? ((Image *)images->pdata[i])->pixels : pixels, traits,
               &verdict);
    tally_add(&tally, &task->asked[i], &verdict);
  }
  return tally;
}

static void print_head(void) {
  printf("%-26s", "");
  for (gsize i = 0; i < G_N_ELEMENTS(shown); i++)
    printf(" %7s", trait_name(shown[i]));
  printf("  identity  prompt\n");
}

static void print_row(const char *name, const Tally *tally) {
  printf("%-26s", name);
  for (gsize i = 0; i < G_N_ELEMENTS(shown); i++)
    if (tally->asked[shown[i]])
      printf(" %7.3f", tally_share(tally, shown[i]));
    else
      printf("       -");
  printf("    %.3f   %.3f\n", share_of(tally, identity, G_N_ELEMENTS(identity)),
         share_of(tally, prompt_traits, G_N_ELEMENTS(prompt_traits)));
  fflush(stdout);
}

static void tally_merge(Tally *sum, const Tally *more) {
  for (int t = 0; t < TRAITS; t++) {
    sum->asked[t] += more->asked[t];
    sum->right[t] += more->right[t];
  }
  sum->border += more->border;
  sum->inside += more->inside;
}

/* --- files --- */

static gboolean save_images(const GPtrArray *images, const char *folder, const char *name, int size,
                            GError **error) {
  const int columns = 8, rows = ((int)images->len + columns - 1) / columns;
  g_autoptr(Image) sheet = image_new(columns * size, rows * size, 3);
  memset(sheet->pixels, 255, (gsize)sheet->width * (gsize)sheet->height * 3);
  for (int i = 0; i < (int)images->len; i++)
    for (int y = 0; y < size; y++)
      memcpy(image_at(sheet, i % columns * size, i / columns * size + y),
             ((Image *)images->pdata[i])->pixels + 3 * (gsize)y * (gsize)size, 3 * (gsize)size);
  g_autofree char *path = g_build_filename(folder, name, NULL);
  return picture_save(sheet, path, error);
}

/* The pictures to learn from, with their captions beside them; paths (transfer full). */
static char **write_pictures(const Options *o, int number, const char *folder, GError **error) {
  g_autofree char *pictures = g_strconcat(folder, "-pictures", NULL);
  g_auto(GStrv) paths = g_new0(char *, CHARACTER_PICTURES + 1);
  g_autoptr(Sprite) sprite = sprite_new(o->size);
  if (g_mkdir_with_parents(pictures, 0777) != 0)
    return fault_null(error, FAULT_OUTPUT, "%s cannot be made: %s.", pictures, g_strerror(errno));
  for (int i = 0; i < CHARACTER_PICTURES; i++) {
    const Attributes a = character_picture(number, i, FALSE);
    Dice dice = {1};
    g_autoptr(Image) image = image_new(o->size, o->size, 3);
    g_autofree char *caption = caption_of(&a, &caption_whole, TRIGGER, &dice);
    g_autofree char *name = g_strdup_printf("%02d.png", i), *text = g_strdup_printf("%02d.txt", i);
    g_autofree char *text_path = g_build_filename(pictures, text, NULL);
    paths[i] = g_build_filename(pictures, name, NULL);
    sprite_draw(sprite, &a, 100u * (guint64)number + (guint64)i, image->pixels);
    if (!picture_save(image, paths[i], error))
      return NULL;
    if (!g_file_set_contents(text_path, caption, -1, NULL))
      return fault_null(error, FAULT_OUTPUT, "%s cannot be written.", text_path);
  }
  return g_steal_pointer(&paths);
}

/* --- one character --- */

static gboolean learn(const Options *o, int number, const char *folder, double *seconds, GError **error) {
  g_auto(GStrv) paths = write_pictures(o, number, folder, error);
  g_autoptr(Model) model = paths ? model_open(o->model, error) : NULL;
  g_autofree char *replay = NULL, *log = g_build_filename(folder, CHARACTER_TRAINING, NULL);
  Recipe recipe;
  if (!model || !recipe_of_model(model, &recipe, &replay, error))
    return FALSE;
  recipe.seed = (guint64)number + 1;
  recipe.preview_every = 0;
  recipe.steps = o->steps ? o->steps : recipe.steps;
  recipe.rank = o->rank ? o->rank : recipe.rank;
  recipe.batch = o->batch ? o->batch : recipe.batch;
  recipe.replay = o->replay >= 0 ? o->replay : recipe.replay;
  recipe.rate = o->rate > 0 ? o->rate : recipe.rate;
  recipe.dropout = o->dropout >= 0 ? o->dropout : recipe.dropout;
  recipe.preserve = o->preserve || recipe.preserve;
  const CharacterTraining job = {.pictures = (const char *const *)paths,
                                 .picture_count = CHARACTER_PICTURES,
                                 .replay_file = replay,
                                 .trigger = TRIGGER,
                                 .class = CLASS};
  CharacterTrained trained;
  gint64 begin = g_get_monotonic_time();
  if (!recipe_settle(&recipe, error) || !character_train(model, &recipe, &job, folder, &trained, NULL, error))
    return FALSE;
  *seconds = (double)(g_get_monotonic_time() - begin) / 1e6;
  return TRUE;
}

typedef struct {
  Tally truth, base, with, others;
  double seconds;
} Result;

static gboolean try_character(const Options *o, Judge *judge, int number, const char *root,
                              const Task *others, Result *result, GError **error) {
  g_autofree char *name = g_strdup_printf("%d-%s", number, attributes_word("mark", number + 1));
  g_autofree char *folder = g_build_filename(root, name, NULL);
  g_autofree char *lora = g_build_filename(folder, CHARACTER_LORA, NULL);
  g_auto(Task) task = task_of_character(number, o->asked);
  if (!learn(o, number, folder, &result->seconds, error))
    return FALSE;
  const char *const *prompts = (const char *const *)task.prompts;
  PaintOrder order = {.model = o->model, .trigger = TRIGGER, .class = CLASS, .seed = 31};
  g_autoptr(GPtrArray) before = paint_all(&order, prompts, task.count, error);
  order.lora = lora;
  g_autoptr(GPtrArray) after = before ? paint_all(&order, prompts, task.count, error) : NULL;
  order.silent = TRUE;
  g_autoptr(GPtrArray) leaked =
      after ? paint_all(&order, (const char *const *)others->prompts, others->count, error) : NULL;
  if (!leaked || !save_images(after, folder, "drawn.png", o->size, error) ||
      !save_images(before, folder, "drawn-without.png", o->size, error) ||
      !save_images(leaked, folder, "others.png", o->size, error))
    return FALSE;
  result->truth = judge_task(judge, o, &task, NULL, TRAITS);
  result->base = judge_task(judge, o, &task, before, TRAITS);
  result->with = judge_task(judge, o, &task, after, TRAITS);
  result->others = judge_task(judge, o, others, leaked, TRAITS_REQUIRED);
  printf("%s, learnt in %.0f s\n", name, result->seconds);
  print_row("  true renders", &result->truth);
  print_row("  without the LoRA", &result->base);
  print_row("  with it", &result->with);
  print_row("  others, with it", &result->others);
  return TRUE;
}

static gboolean run(Options *o, const char *root, GError **error) {
  {
    g_autoptr(Model) model = model_open(o->model, error);
    if (!model)
      return FALSE;
    o->size = (int)model_facts(model)->resolution;
  }
  if (o->size < 64 || o->size > 1024)
    return fault(error, FAULT_USAGE, "%s does not draw pictures of 64 to 1024 pixels.", o->model);
  g_autoptr(Judge) judge = judge_new(o->size);
  g_auto(Task) others = task_of_others(o->others);
  const PaintOrder order = {.model = o->model, .seed = 31};
  g_autoptr(GPtrArray) plain = paint_all(&order, (const char *const *)others.prompts, others.count, error);
  if (!plain)
    return FALSE;
  print_head();
  Tally unchanged = judge_task(judge, o, &others, plain, TRAITS_REQUIRED);
  print_row("others, without a LoRA", &unchanged);
  Result sum = {0};
  for (int i = 0; i < o->count; i++) {
    Result one = {0};
    if (!try_character(o, judge, o->first + i, root, &others, &one, error))
      return FALSE;
    tally_merge(&sum.truth, &one.truth);
    tally_merge(&sum.base, &one.base);
    tally_merge(&sum.with, &one.with);
    tally_merge(&sum.others, &one.others);
    sum.seconds = MAX(sum.seconds, one.seconds);
  }
  printf("all %d, learnt in %.0f s or less each\n", o->count, sum.seconds);
  print_row("  true renders", &sum.truth);
  print_row("  without the LoRA", &sum.base);
  print_row("  with it", &sum.with);
  print_row("  others, without it", &unchanged);
  print_row("  others, with it", &sum.others);
  return TRUE;
}

int main(int argc, char **argv) {
  Options o = {.count = CHARACTERS, .asked = 24, .others = 30, .replay = -1, .dropout = -1};
  const GOptionEntry entries[] = {
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &o.model, "The model's folder", "FOLDER"},
      {"first", 0, 0, G_OPTION_ARG_INT, &o.first, "Which character is the first (0)", "N"},
      {"count", 'n', 0, G_OPTION_ARG_INT, &o.count, "So many characters (10)", "N"},
      {"asked", 0, 0, G_OPTION_ARG_INT, &o.asked, "Pictures drawn of each (24)", "N"},
      {"others", 0, 0, G_OPTION_ARG_INT, &o.others, "Pictures drawn of others (30)", "N"},
      {"steps", 0, 0, G_OPTION_ARG_INT, &o.steps, "Of the training, where not the model's", "N"},
      {"rank", 0, 0, G_OPTION_ARG_INT, &o.rank, "As well", "N"},
      {"batch", 0, 0, G_OPTION_ARG_INT, &o.batch, "As well", "N"},
      {"replay", 0, 0, G_OPTION_ARG_INT, &o.replay, "As well", "N"},
      {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.rate, "As well", "R"},
      {"dropout", 0, 0, G_OPTION_ARG_DOUBLE, &o.dropout, "As well", "SHARE"},
      {"preserve", 0, 0, G_OPTION_ARG_NONE, &o.preserve, "For replayed pictures, hold on to the model's own",
       NULL},
      {NULL}};
  g_autoptr(GOptionContext) context = g_option_context_new("FOLDER --model FOLDER");
  g_option_context_set_summary(context, "Has a model learn characters that it never saw, and judges them.");
  g_option_context_add_main_entries(context, entries, NULL);
  g_autoptr(GError) error = NULL;
  gboolean good = g_option_context_parse(context, &argc, &argv, &error) && picture_init(argv[0], &error);
  if (good && (argc != 2 || !o.model || o.first < 0 || o.count < 1 || o.first + o.count > CHARACTERS ||
               o.asked < 1 || o.asked > 1000 || o.others < 1 || o.others > 1000))
    good = fault(&error, FAULT_USAGE, "one folder, a model, characters 0 to %d, counts up to 1000.",
                 CHARACTERS - 1);
  good = good && run(&o, argv[1], &error);
  if (!good)
    fprintf(stderr, "sprite-proof: %s\n", error->message);
  g_free(o.model);
  return good ? 0 : 1;
}
