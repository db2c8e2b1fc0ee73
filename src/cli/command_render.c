/* troupe render: the whole way, from a picture and a video (or what was prepared of them) to the result. */
#include "base/files.h"
#include "cli/cli.h"
#include "cli/contact_sheet.h"
#include "puppet/render.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHARACTER_NICENESS 5 /* of its thread, where the Scene is made beside it */

typedef struct {
  CommonOptions common;
  char *character, *video, *scene, *out, *model, *background, *colour, *mask, *joints, *figure_mask,
      *contact_sheet;
  int person;
} Options;

static void options_clear(Options *options) {
  char **texts[] = {&options->character,     &options->video,         &options->scene,
                    &options->out,           &options->model,         &options->background,
                    &options->colour,        &options->mask,          &options->joints,
                    &options->figure_mask,   &options->contact_sheet, &options->common.models,
                    &options->common.network};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
    g_clear_pointer(texts[i], g_free);
}

static gboolean parse_colour(const char *text, guint8 colour[3], GError **error) {
  g_auto(GStrv) parts = g_strsplit(text, ",", -1);
  for (int i = 0; i < 3; i++) {
    guint64 value;
    if (g_strv_length(parts) != 3 ||
        !g_ascii_string_to_unsigned(g_strstrip(parts[i]), 10, 0, 255, &value, NULL))
      return fault(error, FAULT_USAGE, "--bg-color is three numbers from 0 to 255 like 0,255,0, not \"%s\".",
                   text);
    colour[i] = (guint8)value;
  }
  return TRUE;
}

static gboolean parse_background(const Options *options, RenderOptions *render, GError **error) {
  static const char *const names[] = {"original", "solid", "transparent"};
  gsize i = 0;
  while (i < G_N_ELEMENTS(names) && options->background && !g_str_equal(options->background, names[i]))
    i++;
  if (i == G_N_ELEMENTS(names))
    return fault(error, FAULT_USAGE, "--background is original, solid or transparent, not \"%s\".",
                 options->background);
  render->background = (Background)i;
  if (options->colour && render->background != BACKGROUND_SOLID)
    return fault(error, FAULT_USAGE, "--bg-color goes with --background solid.");
  memcpy(render->colour, (guint8[]){0, 255, 0}, 3);
  return !options->colour || parse_colour(options->colour, render->colour, error);
}

/* A transparent render always has its mask: beside the output where no place was named. */
static char *mask_place(const Options *options, const RenderOptions *render) {
  if (options->mask || render->background != BACKGROUND_TRANSPARENT)
    return g_strdup(options->mask);
  const char *dot = strrchr(options->out, '.');
  int stem = dot && dot > strrchr(options->out, '/') ? (int)(dot - options->out) : (int)strlen(options->out);
  return g_strdup_printf("%.*s-mask.mp4", stem, options->out);
}

static gboolean check_usage(const Options *options, int argc, GError **error) {
  if (argc > 1)
    return fault(error, FAULT_USAGE, "every input has its option: --character and --video or --scene.");
  if (!options->character)
    return fault(error, FAULT_USAGE, "say who should perform: --character PICTURE or FOLDER.");
  if (!options->video == !options->scene)
    return fault(error, FAULT_USAGE, "say in what, with one of --video VIDEO and --scene FOLDER.");
  if (!options->out)
    return fault(error, FAULT_USAGE, "say where the result should go: -o OUT.mp4.");
  if (!g_str_has_suffix(options->out, ".mp4"))
    return fault(error, FAULT_USAGE, "the result is an MP4 file; give -o a name that ends in .mp4.");
  if (options->person < 0)
    return fault(error, FAULT_USAGE, "--person is the number of a person, from 1.");
  PoseNetwork network;
  return cli_network(&options->common, POSE_FULL, &network, error) &&
         (!options->model || render_model_known(options->model, error));
}

/* --- inputs --- */

typedef struct {
  const Options *options;
  Progress *progress;
  Character *character;
  GError *error;
} CharacterTask;

static gpointer obtain_character(gpointer data) {
  CharacterTask *task = data;
  const Options *options = task->options;
  /* Following people in the video takes longer and is a chain; it must not wait for this. */
  if (options->video)
    setpriority(PRIO_PROCESS, (id_t)gettid(), CHARACTER_NICENESS);
  CharacterOptions character_options = {options->joints, options->figure_mask, options->common.models};
  if (!g_file_test(options->character, G_FILE_TEST_IS_DIR))
    task->character = character_make(options->character, &character_options, task->progress, &task->error);
  else if (options->joints || options->figure_mask)
    fault(&task->error, FAULT_USAGE, "--joints and --figure-mask go with a picture; %s is prepared already.",
          options->character);
  else
    task->character = character_load(options->character, &task->error);
  if (!task->character)
    progress_cancel(task->progress); /* the Scene need not be finished */
  return NULL;
}

/* scratch: where a Scene made on the way was put, to be removed afterwards. */
static Scene *obtain_scene(const Options *options, char **scratch, Progress *progress, GError **error) {
  PoseNetwork network;
  if (options->scene)
    return scene_load(options->scene, error);
  if (!cli_network(&options->common, POSE_FULL, &network, error))
    return NULL;
  *scratch = g_dir_make_tmp("troupe-scene-XXXXXX", error);
  if (!*scratch)
    return NULL;
  SceneOptions scene = {.model = options->model ? options->model : RENDER_MODEL_VOLUMETRIC,
                        .network = network,
                        .models = options->common.models,
                        .brief = TRUE};
  return scene_prepare(options->video, *scratch, &scene, progress, error);
}

/* Character and Scene are made side by side: each alone keeps one core busy for much of its time. */
static gboolean obtain_inputs(const Options *options, Character **character, Scene **scene, char **scratch,
                              Progress *progress, GError **error) {
  CharacterTask task = {options, progress, NULL, NULL};
  GThread *thread = g_thread_new("character", obtain_character, &task);
  GError *scene_error = NULL;
  *scene = obtain_scene(options, scratch, progress, &scene_error);
  if (!*scene)
    progress_cancel(progress);
  g_thread_join(thread);
  *character = task.character;
  /* Where one failed, the other was only told to stop: the reason is what the user must hear. */
  if (task.error && (!scene_error || g_error_matches(scene_error, FAULT, FAULT_CANCELLED)))
    g_clear_error(&scene_error);
  else if (scene_error)
    g_clear_error(&task.error);
  if (scene_error || task.error)
    g_propagate_error(error, scene_error ? scene_error : task.error);
  return *character && *scene;
}

/* --- output --- */

static void print_result(const Options *options, const Scene *scene, const RenderOptions *render,
                         const RenderResult *result, Progress *progress) {
  if (!options->common.json) {
    if (!options->common.quiet)
      fprintf(stderr, "%s: %d frames, %.2f s\n", options->out, result->frames, scene->info.seconds);
    return;
  }
  json_t *object = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:b, s:o}", "output", options->out,
                             "model", scene->model, "width", scene->info.width, "height", scene->info.height,
                             "frames", result->frames, "frames_with_character", result->acted, "frame_rate",
                             av_q2d(scene->info.frame_rate), "seconds", scene->info.seconds, "sound",
                             scene->info.sound, "notes", cli_notes_json(progress));
  if (render->mask)
    json_object_set_new(object, "mask", json_string(render->mask));
  if (options->contact_sheet)
    json_object_set_new(object, "contact_sheet", json_string(options->contact_sheet));
  cli_print_json(object);
}

static gboolean render_with(const Options *options, const RenderOptions *render, const Character *character,
                            Scene *scene, Progress *progress, GError **error) {
  RenderResult result;
  Role role = {character, options->person};
  if (options->model && !scene_check_model(scene, options->model, error))
    return FALSE;
  if (!render_video(scene, &role, 1, render, options->out, &result, progress, error))
    return FALSE;
  if (options->contact_sheet &&
      !contact_sheet_write(scene->source, options->out, result.frames, options->contact_sheet, error))
    return FALSE;
  print_result(options, scene, render, &result, progress);
  return TRUE;
}

static gboolean run(const Options *options, int argc, GError **error) {
  RenderOptions render = {0};
  if (!check_usage(options, argc, error) || !parse_background(options, &render, error))
    return FALSE;
  g_autofree char *mask = mask_place(options, &render);
  render.mask = mask;
  Progress *progress = cli_progress_begin(&options->common);
  g_autoptr(Character) character = NULL;
  g_autoptr(Scene) scene = NULL;
  g_autofree char *scratch = NULL;
  gboolean good = obtain_inputs(options, &character, &scene, &scratch, progress, error) &&
                  render_with(options, &render, character, scene, progress, error);
  if (scratch)
    files_remove_tree(scratch);
  return good;
}

int command_render(int argc, char **argv) {
  Options options = {0};
  const GOptionEntry entries[] = {
      {"character", 'c', 0, G_OPTION_ARG_FILENAME, &options.character,
       "Picture of the character, or a Character's folder", "PICTURE|FOLDER"},
      {"video", 'v', 0, G_OPTION_ARG_FILENAME, &options.video, "The driving video", "VIDEO"},
      {"scene", 's', 0, G_OPTION_ARG_FILENAME, &options.scene, "A prepared Scene instead of a video",
       "FOLDER"},
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &options.out, "The result", "OUT.mp4"},
      {"model", 0, 0, G_OPTION_ARG_STRING, &options.model,
       "V4_Preview (volumetric, usual) or V3_Preview (flat, for drawings)", "MODEL"},
      {"background", 0, 0, G_OPTION_ARG_STRING, &options.background, "original (usual), solid or transparent",
       "MODE"},
      {"bg-color", 0, 0, G_OPTION_ARG_STRING, &options.colour,
       "Colour of the solid background; 0,255,0 when absent", "R,G,B"},
      {"mask", 0, 0, G_OPTION_ARG_FILENAME, &options.mask,
       "Also write the character's mask as a video, white on black", "OUT"},
      {"person", 0, 0, G_OPTION_ARG_INT, &options.person,
       "Whom to replace, as numbered by `troupe scene`; the one seen most when absent", "N"},
      {"joints", 0, 0, G_OPTION_ARG_FILENAME, &options.joints,
       "Joint positions in the picture, where the found ones are wrong", "FILE.json"},
      {"figure-mask", 0, 0, G_OPTION_ARG_FILENAME, &options.figure_mask,
       "The figure in the picture, white on black", "PICTURE"},
      {"contact-sheet", 0, 0, G_OPTION_ARG_FILENAME, &options.contact_sheet,
       "Also write a picture of 12 moments", "OUT.png"},
      {"network", 0, 0, G_OPTION_ARG_STRING, &options.common.network,
       "Pose network for the video: lite, full (usual) or heavy", "NAME"},
      {NULL},
  };
  const Command *command = cli_command("render");
  GError *error = NULL;
  if (cli_parse(command, entries, &options.common, &argc, &argv, &error))
    run(&options, argc, &error);
  options_clear(&options);
  return cli_finish(command->name, error);
}
