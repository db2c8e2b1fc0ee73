/* troupe generate: pictures of a Character, or of whatever a model can draw, from a prompt. */
#include "base/files.h"
#include "cli/cli.h"
#include "identity/sampling/generate.h"
#include "media/picture.h"

#include <stdio.h>
#include <string.h>

#define LORA_FILE "lora.safetensors"
#define MEGABYTE 1e6

typedef struct {
  CommonOptions common;
  char *out, *aspect, *model;
  char **references;
  int count, steps;
  gint64 seed;
  double strength, guidance;
} Options;

/* Who is to be drawn: a model, and a LoRA where there is a Character. */
typedef struct {
  char *model, *lora; /* paths */
} Subject;

static void subject_clear(Subject *subject) {
  g_free(subject->model);
  g_free(subject->lora);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Subject, subject_clear)

/* --- who --- */

static gboolean find_character(const Options *options, const char *name, Subject *subject, GError **error) {
  g_autoptr(Safetensors) file = safetensors_open(subject->lora, error);
  if (!file)
    return FALSE;
  const char *base = options->model ? options->model : safetensors_metadata(file, LORA_MODEL);
  if (!base)
    return fault(error, FAULT_USAGE, "%s does not say which model it was trained on; name it with --model.",
                 name);
  return (subject->model = model_find(base, options->common.models, error)) != NULL;
}

static gboolean find_subject(const Options *options, const char *name, Subject *subject, GError **error) {
  g_autofree char *lora = g_build_filename(name, LORA_FILE, NULL);
  g_autofree char *character = g_build_filename(name, "character.json", NULL);
  if (g_str_has_suffix(name, ".safetensors"))
    subject->lora = g_strdup(name);
  else if (g_file_test(lora, G_FILE_TEST_EXISTS))
    subject->lora = g_steal_pointer(&lora);
  else if (g_file_test(character, G_FILE_TEST_EXISTS))
    return fault(error, FAULT_USAGE,
                 "%s has not been learned yet: show it to `troupe train` in ten to thirty pictures first.",
                 name);
  if (subject->lora)
    return find_character(options, name, subject, error);
  return (subject->model = model_find(name, options->common.models, error)) != NULL;
}

/* --- options --- */

static gboolean read_aspect(const char *text, double *aspect, GError **error) {
  *aspect = 1;
  if (!text)
    return TRUE;
  char *end = NULL;
  double width = g_ascii_strtod(text, &end), height = 1;
  gboolean good = end != text;
  if (good && *end == ':') {
    const char *rest = end + 1;
    height = g_ascii_strtod(rest, &end);
    good = end != rest;
  }
  if (!good || *end || !(width > 0) || !(height > 0) || !(width / height < 1e3))
    return fault(error, FAULT_USAGE, "--aspect is width to height, like 3:4, not \"%s\".", text);
  *aspect = width / height;
  return TRUE;
}

static GPtrArray *read_references(const Options *options, GError **error) {
  g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
  for (char **path = options->references; path && *path; path++) {
    Image *image = picture_load(*path, error);
    if (!image)
      return NULL;
    g_ptr_array_add(images, image);
  }
  return g_steal_pointer(&images);
}

/* What it will be and take, said before. */
static void tell_plan(Model *model, const GenerateOptions *options, Progress *progress) {
  gint64 wanted = generate_bytes(model, options), width, height;
  if (!wanted) /* the options make no sense; generate says which */
    return;
  generate_size(model_facts(model)->resolution, model_facts(model)->longest, options->aspect, &width,
                &height);
  g_autofree char *plan = g_strdup_printf(
      "%s: %d x %d pixels, %d steps, %.0f MB of working memory", model_facts(model)->title, (int)width,
      (int)height, options->steps ? options->steps : model_facts(model)->steps, (double)wanted / MEGABYTE);
  progress_report(progress, plan, 0, 0);
}

/* --- pictures --- */

typedef struct {
  const char *draft;
  json_t *pictures;
  int width, height;
} Drawn;

static gboolean keep_picture(GeneratedPicture *picture, gpointer user, GError **error) {
  Drawn *drawn = user;
  g_autofree char *name = g_strdup_printf("%02d.png", (int)json_array_size(drawn->pictures) + 1);
  g_autofree char *path = g_build_filename(drawn->draft, name, NULL);
  if (!picture_save(picture->image, path, error))
    return FALSE;
  drawn->width = picture->image->width;
  drawn->height = picture->image->height;
  json_array_append_new(drawn->pictures, json_pack("{s:s, s:s, s:I, s:i, s:f}", "file", name, "prompt",
                                                   picture->text, "seed", (json_int_t)picture->seed, "steps",
                                                   picture->steps, "guidance", picture->guidance));
  return TRUE;
}

static gboolean write_account(const Drawn *drawn, const Options *options, const char *model,
                              const char *subject, GError **error) {
  json_t *account = json_pack("{s:s, s:s, s:f, s:i, s:i, s:O}", "subject", subject, "model", model,
                              "strength", options->strength, "width", drawn->width, "height", drawn->height,
                              "pictures", drawn->pictures);
  g_autofree char *path = g_build_filename(drawn->draft, "generation.json", NULL);
  int failed = json_dump_file(account, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
  json_decref(account);
  return !failed || fault(error, FAULT_OUTPUT, "%s cannot be written.", path);
}

static void print_result(const Drawn *drawn, const Options *options, const char *model, Progress *progress) {
  if (options->common.json)
    cli_print_json(json_pack("{s:s, s:s, s:i, s:i, s:O, s:o}", "folder", options->out, "model", model,
                             "width", drawn->width, "height", drawn->height, "pictures", drawn->pictures,
                             "notes", cli_notes_json(progress)));
  else
    printf("%s: %d picture%s of %d x %d pixels\n", options->out, (int)json_array_size(drawn->pictures),
           json_array_size(drawn->pictures) == 1 ? "" : "s", drawn->width, drawn->height);
}

/* Draws into the draft and publishes it; what was drawn before somebody stopped it is kept. */
static gboolean draw_all(Model *model, const GenerateOptions *generation, const Options *options,
                         const char *subject, Progress *progress, GError **error) {
  g_autofree char *draft = files_draft(options->out, error);
  if (!draft)
    return FALSE;
  Drawn drawn = {draft, json_array()};
  GError *problem = NULL;
  gboolean done = generate(model, generation, keep_picture, &drawn, progress, &problem);
  gboolean stopped = g_error_matches(problem, FAULT, FAULT_CANCELLED) && json_array_size(drawn.pictures);
  GError *failure = NULL;
  gboolean published = (done || stopped) &&
                       write_account(&drawn, options, model_facts(model)->name, subject, &failure) &&
                       files_publish(draft, options->out, &failure);
  if (published)
    print_result(&drawn, options, model_facts(model)->name, progress);
  else
    files_remove_tree(draft);
  json_decref(drawn.pictures);
  if (failure) {
    g_clear_error(&problem);
    g_propagate_error(error, failure);
  } else if (problem) {
    g_propagate_error(error, problem);
  }
  return done && published;
}

static gboolean make_pictures(const Options *options, const char *subject_name, char **prompts,
                              GError **error) {
  double aspect;
  if (!options->out)
    return fault(error, FAULT_USAGE, "say where the pictures should go: -o FOLDER.");
  if (options->seed < 0)
    return fault(error, FAULT_USAGE, "--seed is a whole number from 0.");
  g_auto(Subject) subject = {0};
  if (!read_aspect(options->aspect, &aspect, error) || !find_subject(options, subject_name, &subject, error))
    return FALSE;
  g_autoptr(GPtrArray) references = read_references(options, error);
  if (!references)
    return FALSE;
  Progress *progress = cli_progress_begin(&options->common);
  g_autoptr(Model) model = model_open(subject.model, error);
  if (!model)
    return FALSE;
  g_autofree char *kept = g_build_filename(g_get_user_cache_dir(), "troupe", "prompts", NULL);
  model_keep_prompts(model, kept, NULL); /* only to be quicker */
  const GenerateOptions generation = {.prompts = (const char *const *)prompts,
                                      .count = options->count,
                                      .seed = (guint64)options->seed,
                                      .aspect = aspect,
                                      .steps = options->steps,
                                      .guidance = options->guidance,
                                      .lora = subject.lora,
                                      .strength = options->strength,
                                      .references = (const Image *const *)references->pdata,
                                      .reference_count = (int)references->len};
  tell_plan(model, &generation, progress);
  return draw_all(model, &generation, options, subject_name, progress, error);
}

int command_generate(int argc, char **argv) {
  Options options = {.count = 1, .strength = 1};
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &options.out,
       "Folder of the pictures; must not exist or be empty", "FOLDER"},
      {"count", 'n', 0, G_OPTION_ARG_INT, &options.count, "Pictures of each prompt (1)", "N"},
      {"aspect", 0, 0, G_OPTION_ARG_STRING, &options.aspect, "Width to height (1:1)", "W:H"},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &options.seed,
       "Of the first picture; the next have the next ones (0)", "N"},
      {"steps", 0, 0, G_OPTION_ARG_INT, &options.steps, "Steps a picture (the model's own)", "N"},
      {"guidance", 0, 0, G_OPTION_ARG_DOUBLE, &options.guidance,
       "How closely to follow the prompt (the model's own)", "G"},
      {"strength", 0, 0, G_OPTION_ARG_DOUBLE, &options.strength, "Of the Character's features (1)", "S"},
      {"reference", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.references,
       "A picture to draw after; may be given more than once", "PICTURE"},
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &options.model,
       "The model to draw a Character with (the one it was learned with)", "NAME|FOLDER"},
      {NULL},
  };
  const Command *command = cli_command("generate");
  GError *error = NULL;
  if (cli_parse(command, entries, &options.common, &argc, &argv, &error)) {
    if (argc < 3)
      fault(&error, FAULT_USAGE, "say who and what to draw: troupe generate %s", command->arguments);
    else
      make_pictures(&options, argv[1], argv + 2, &error);
  }
  g_free(options.out);
  g_free(options.aspect);
  g_free(options.model);
  g_strfreev(options.references);
  g_free(options.common.models);
  return cli_finish(command->name, error);
}
