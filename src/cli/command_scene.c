/* troupe scene: a driving video becomes a Scene. */
#include "cli/cli.h"
#include "puppet/render.h"
#include "stage/scene.h"

#include <stdio.h>

typedef struct {
  CommonOptions common;
  char *out, *model;
} Options;

static void print_scene(const Scene *scene, const Options *options, Progress *progress) {
  json_t *people = json_array();
  for (guint i = 0; i < scene->tracks->tracks->len; i++) {
    const Track *track = scene->tracks->tracks->pdata[i];
    json_array_append_new(people, json_pack("{s:i, s:i, s:i}", "id", track->id, "first_frame", track->first,
                                            "frames", track->count));
  }
  json_t *result = json_pack(
      "{s:s, s:s, s:i, s:i, s:i, s:f, s:b, s:i, s:i, s:o, s:o}", "scene", scene->folder, "model",
      scene->model, "width", scene->info.width, "height", scene->info.height, "frames", scene->tracks->frames,
      "seconds", scene->info.seconds, "sound", scene->info.sound, "shots", (int)scene->tracks->cuts->len,
      "plates", (int)scene->plates->len, "people", people, "notes", cli_notes_json(progress));
  if (options->common.json) {
    cli_print_json(result);
    return;
  }
  json_decref(result);
  printf("%s: %d frames, %u person%s\n", scene->folder, scene->tracks->frames, scene->tracks->tracks->len,
         scene->tracks->tracks->len == 1 ? "" : "s");
}

static gboolean make_scene(const Options *options, const char *video, GError **error) {
  PoseNetwork network;
  if (!options->out)
    return fault(error, FAULT_USAGE, "say where the Scene should go: -o FOLDER.");
  if (!render_model_known(options->model, error) ||
      !cli_network(&options->common, POSE_FULL, &network, error))
    return FALSE;
  Progress *progress = cli_progress_begin(&options->common);
  SceneOptions scene_options = {
      .model = options->model, .network = network, .models = options->common.models};
  g_autoptr(Scene) scene = scene_prepare(video, options->out, &scene_options, progress, error);
  if (!scene)
    return FALSE;
  print_scene(scene, options, progress);
  return TRUE;
}

int command_scene(int argc, char **argv) {
  Options options = {.model = g_strdup(RENDER_MODEL_VOLUMETRIC)};
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &options.out, "Folder of the Scene; must not exist or be empty",
       "FOLDER"},
      {"model", 0, 0, G_OPTION_ARG_STRING, &options.model, "V4_Preview (volumetric) or V3_Preview (flat)",
       "MODEL"},
      {"network", 0, 0, G_OPTION_ARG_STRING, &options.common.network, "lite, full or heavy", "NAME"},
      {NULL},
  };
  const Command *command = cli_command("scene");
  GError *error = NULL;
  if (cli_parse(command, entries, &options.common, &argc, &argv, &error)) {
    if (argc != 2)
      fault(&error, FAULT_USAGE, "give one video: troupe scene %s", command->arguments);
    else
      make_scene(&options, argv[1], &error);
  }
  g_free(options.out);
  g_free(options.model);
  g_free(options.common.network);
  g_free(options.common.models);
  return cli_finish(command->name, error);
}
