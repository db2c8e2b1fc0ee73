/* troupe train: pictures become a LoRA in a Character's folder; with --full, a folder of captioned pictures a
 * model of its own. */
#include "cli/cli.h"
#include "identity/inspect/inspect.h"
#include "identity/training/character_training.h"
#include "identity/training/full_training.h"

#include <stdio.h>

#define INSPECTED_RESOLUTION 256
#define UNSAID (-1) /* of an option with a number */

typedef struct {
  CommonOptions common;
  char *out, *name, *trigger, *class, *model, *held_out;
  char **captions, **masks, **replay, **previews;
  int steps, rank, batch, resolution, preview_every, width;
  double rate, memory;
  gint64 seed;
  gboolean preserve, full;
} Options;

/* What was said on the command line over what the model says. */
static void change_recipe(const Options *options, Recipe *recipe) {
  recipe->seed = (guint64)options->seed;
  recipe->steps = options->steps != UNSAID ? options->steps : recipe->steps;
  recipe->rank = options->rank != UNSAID ? options->rank : recipe->rank;
  recipe->batch = options->batch != UNSAID ? options->batch : recipe->batch;
  recipe->resolution = options->resolution != UNSAID ? options->resolution : recipe->resolution;
  recipe->preview_every = options->preview_every != UNSAID ? options->preview_every : recipe->preview_every;
  recipe->rate = options->rate != UNSAID ? options->rate : recipe->rate;
  recipe->preserve = options->preserve || recipe->preserve;
  if (!recipe->replay && options->replay)
    recipe->replay = MAX(1, recipe->batch / 2);
}

static void print_result(const Options *options, const CharacterTrained *trained, const char *model,
                         Progress *progress) {
  g_autofree char *lora = g_build_filename(options->out, CHARACTER_LORA, NULL);
  if (!options->common.json) {
    printf("%s: %d steps on %s, loss %.3f at first, %.3f at last\n", lora, (int)trained->best_step, model,
           trained->first_loss, trained->last_loss);
    return;
  }
  cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:f, s:f, s:I, s:o}", "character", options->out,
                           "lora", lora, "model", model, "steps", (json_int_t)trained->steps, "best_step",
                           (json_int_t)trained->best_step, "stopped_early", trained->stopped, "first_loss",
                           trained->first_loss, "last_loss", trained->last_loss, "memory",
                           (json_int_t)trained->bytes, "notes", cli_notes_json(progress)));
}

static gboolean check_options(const Options *options, int pictures, GError **error) {
  if (!options->out)
    return fault(error, FAULT_USAGE, "say where the Character should go: -o FOLDER.");
  if (options->seed < 0)
    return fault(error, FAULT_USAGE, "--seed is a whole number from 0.");
  if (!(options->memory >= 0 && options->memory < 1e6))
    return fault(error, FAULT_USAGE, "--memory is a number of gigabytes.");
  if (pictures < DATASET_MIN_PICTURES || pictures > DATASET_MAX_PICTURES)
    return fault(error, FAULT_USAGE, "give %d to %d pictures of the character, not %d.", DATASET_MIN_PICTURES,
                 DATASET_MAX_PICTURES, pictures);
  return TRUE;
}

/* What is wrong with the pictures, as remarks; the training goes on. Small models' pictures are drawings, of
 * which the networks for people know nothing. */
static gboolean inspect(const Options *options, char **pictures, int count, const Recipe *recipe,
                        Progress *progress, GError **error) {
  g_autoptr(GError) problem = NULL;
  if (recipe->resolution < INSPECTED_RESOLUTION)
    return TRUE;
  g_autoptr(Inspection) inspection = inspect_pictures((const char *const *)pictures, (gsize)count, POSE_FULL,
                                                      options->common.models, progress, &problem);
  for (guint i = 0; inspection && i < inspection->pictures->len; i++) {
    const PictureReport *report = &g_array_index(inspection->pictures, PictureReport, i);
    for (guint k = 0; report->verdict == VERDICT_REPLACE && k < report->remarks->len; k++)
      progress_note(progress, "%s: %s", report->path, (const char *)report->remarks->pdata[k]);
  }
  for (guint i = 0; inspection && i < inspection->remarks->len; i++)
    progress_note(progress, "%s", (const char *)inspection->remarks->pdata[i]);
  return progress_continue(progress, error);
}

static int count_of(char **list) {
  return list ? (int)g_strv_length(list) : 0;
}

static gboolean train(const Options *options, char **pictures, int count, GError **error) {
  if (!check_options(options, count, error))
    return FALSE;
  Progress *progress = cli_progress_begin(&options->common);
  g_autofree char *folder =
      model_find(options->model ? options->model : MODEL_DEFAULT, options->common.models, error);
  g_autoptr(Model) model = folder ? model_open(folder, error) : NULL;
  g_autofree char *replay_file = NULL;
  Recipe recipe;
  if (!model || !recipe_of_model(model, &recipe, &replay_file, error))
    return FALSE;
  change_recipe(options, &recipe);
  const CharacterTraining job = {.pictures = (const char *const *)pictures,
                                 .picture_count = count,
                                 .captions = (const char *const *)options->captions,
                                 .caption_count = count_of(options->captions),
                                 .masks = (const char *const *)options->masks,
                                 .mask_count = count_of(options->masks),
                                 .held_out = options->held_out,
                                 .replay = (const char *const *)options->replay,
                                 .replay_file = replay_file,
                                 .name = options->name,
                                 .trigger = options->trigger,
                                 .class = options->class,
                                 .memory = (gint64)(options->memory * 1e9),
                                 .previews = (const char *const *)options->previews};
  CharacterTrained trained;
  if (!recipe_settle(&recipe, error) || !inspect(options, pictures, count, &recipe, progress, error) ||
      !character_train(model, &recipe, &job, options->out, &trained, progress, error))
    return FALSE;
  print_result(options, &trained, model_facts(model)->name, progress);
  return TRUE;
}

/* --- a whole model --- */

static gboolean check_full(const Options *options, int places, GError **error) {
  if (places != 1)
    return fault(error, FAULT_USAGE,
                 "name one folder of pictures, each with its caption beside it (NAME.txt).");
  if (!options->out)
    return fault(error, FAULT_USAGE, "say where the model should go: -o FOLDER.");
  if (options->seed < 0)
    return fault(error, FAULT_USAGE, "--seed is a whole number from 0.");
  if (options->model || options->trigger || options->class || options->held_out || options->captions ||
      options->masks || options->replay || options->previews || options->preserve ||
      options->rank != UNSAID || options->preview_every != UNSAID || options->memory > 0)
    return fault(error, FAULT_USAGE,
                 "--full trains a model from scratch; with it go -o, --name, --steps, --batch, --rate, "
                 "--resolution, --width and --seed.");
  return TRUE;
}

static gboolean train_full(const Options *options, char **places, int count, GError **error) {
  if (!check_full(options, count, error))
    return FALSE;
  Progress *progress = cli_progress_begin(&options->common);
  g_auto(GStrv) pictures = full_training_pictures(places[0], error);
  FullTraining job = full_training_defaults;
  job.pictures = (const char *const *)pictures;
  job.name = options->name;
  job.seed = (guint64)options->seed;
  job.steps = options->steps != UNSAID ? options->steps : job.steps;
  job.batch = options->batch != UNSAID ? options->batch : job.batch;
  job.resolution = options->resolution != UNSAID ? options->resolution : job.resolution;
  job.hidden = options->width != UNSAID ? options->width : job.hidden;
  job.rate = options->rate != UNSAID ? options->rate : job.rate;
  FullTrained trained;
  if (!pictures || !full_train(&job, options->out, &trained, progress, error))
    return FALSE;
  if (!options->common.json) {
    printf("%s: %d steps, loss %.3f; draw with `troupe generate %s \"…\" -o FOLDER`\n", options->out,
           (int)trained.steps, trained.loss, options->out);
    return TRUE;
  }
  cli_print_json(json_pack("{s:s, s:I, s:f, s:o}", "model", options->out, "steps", (json_int_t)trained.steps,
                           "loss", trained.loss, "notes", cli_notes_json(progress)));
  return TRUE;
}

static void options_clear(Options *options) {
  char *strings[] = {options->out,   options->name,     options->trigger,      options->class,
                     options->model, options->held_out, options->common.models};
  char **lists[] = {options->captions, options->masks, options->replay, options->previews};
  for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
    g_free(strings[i]);
  for (gsize i = 0; i < G_N_ELEMENTS(lists); i++)
    g_strfreev(lists[i]);
}

int command_train(int argc, char **argv) {
  Options options = {.steps = UNSAID,
                     .rank = UNSAID,
                     .batch = UNSAID,
                     .resolution = UNSAID,
                     .preview_every = UNSAID,
                     .width = UNSAID,
                     .rate = UNSAID};
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &options.out,
       "Folder of the Character: a new one, or one that is there", "FOLDER"},
      {"name", 0, 0, G_OPTION_ARG_STRING, &options.name, "Name of the Character", "NAME"},
      {"trigger", 0, 0, G_OPTION_ARG_STRING, &options.trigger,
       "The word that will call the character in prompts (zqx)", "WORD"},
      {"class", 0, 0, G_OPTION_ARG_STRING, &options.class,
       "What the character is, in one word of the model (person)", "WORD"},
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &options.model, "Model to train on (sprite)", "NAME|FOLDER"},
      {"caption", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.captions,
       "What a picture shows, without the character's lasting traits: one for all or one for each, in their "
       "order; else the .txt beside the picture",
       "TEXT|FILE"},
      {"mask", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.masks,
       "The figure in white on black, one for each picture, in their order; else the picture's alpha",
       "PICTURE"},
      {"hold-out", 0, 0, G_OPTION_ARG_FILENAME, &options.held_out,
       "A picture that is not learnt from; training stops when it does not get better", "PICTURE"},
      {"replay", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.replay,
       "A picture of somebody else, to be learnt along so that others stay themselves", "PICTURE"},
      {"preserve", 0, 0, G_OPTION_ARG_NONE, &options.preserve,
       "For those, hold on to what the model draws instead of the picture", NULL},
      {"steps", 0, 0, G_OPTION_ARG_INT, &options.steps, "Steps", "N"},
      {"rank", 0, 0, G_OPTION_ARG_INT, &options.rank, "Rank of the LoRA (16)", "N"},
      {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &options.rate, "Learning rate", "R"},
      {"batch", 0, 0, G_OPTION_ARG_INT, &options.batch, "Pictures in a step", "N"},
      {"resolution", 0, 0, G_OPTION_ARG_INT, &options.resolution, "Pixels a side of a square picture", "N"},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &options.seed, "Number from which everything random follows", "N"},
      {"memory", 0, 0, G_OPTION_ARG_DOUBLE, &options.memory, "Most memory to use (what is free)", "GB"},
      {"preview", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.previews,
       "A prompt that is drawn now and then during the training", "PROMPT"},
      {"preview-every", 0, 0, G_OPTION_ARG_INT, &options.preview_every, "Steps between previews; 0: none",
       "N"},
      {"full", 0, 0, G_OPTION_ARG_NONE, &options.full,
       "Train a whole small model from scratch on one folder of captioned pictures", NULL},
      {"width", 0, 0, G_OPTION_ARG_INT, &options.width, "Of that model, a multiple of 64 (192)", "N"},
      {NULL},
  };
  const Command *command = cli_command("train");
  GError *error = NULL;
  if (cli_parse(command, entries, &options.common, &argc, &argv, &error)) {
    if (!options.full && options.width != UNSAID)
      fault(&error, FAULT_USAGE, "--width belongs to --full.");
    else if (options.full)
      train_full(&options, argv + 1, argc - 1, &error);
    else
      train(&options, argv + 1, argc - 1, &error);
  }
  options_clear(&options);
  return cli_finish(command->name, error);
}
