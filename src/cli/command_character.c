/* troupe character: a picture becomes a Character. */
#include "cli/cli.h"
#include "puppet/character.h"

#include <stdio.h>

typedef struct {
  CommonOptions common;
  char *out, *joints, *mask;
} Options;

static void print_character(const Character *character, const Options *options, Progress *progress) {
  const Rig *rig = character->rig;
  gboolean from_pose = rig->figure.source == FIGURE_FROM_POSE;
  if (!options->common.json) {
    printf("%s: %s, joints from %s, %u layers\n", options->out, character->name,
           from_pose ? "the pose network" : "the silhouette", rig->layers->len);
    return;
  }
  json_t *joints = json_object();
  for (int i = 0; i < JOINTS; i++)
    json_object_set_new(
        joints, joint_names[i],
        json_pack("[f, f, f]", rig->figure.joint[i][0], rig->figure.joint[i][1], rig->figure.visibility[i]));
  cli_print_json(json_pack("{s:s, s:s, s:i, s:i, s:s, s:f, s:o, s:o}", "character", options->out, "name",
                           character->name, "width", rig->width, "height", rig->height, "joints_from",
                           from_pose ? "pose" : "silhouette", "figure_height", rig->figure.height, "joints",
                           joints, "notes", cli_notes_json(progress)));
}

static gboolean make_character(const Options *options, const char *picture, GError **error) {
  if (!options->out)
    return fault(error, FAULT_USAGE, "say where the Character should go: -o FOLDER.");
  Progress *progress = cli_progress_begin(&options->common);
  CharacterOptions character_options = {options->joints, options->mask, options->common.models};
  g_autoptr(Character) character = character_make(picture, &character_options, progress, error);
  if (!character || !character_save(character, options->out, error))
    return FALSE;
  print_character(character, options, progress);
  return TRUE;
}

int command_character(int argc, char **argv) {
  Options options = {0};
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &options.out,
       "Folder of the Character; must not exist or be empty", "FOLDER"},
      {"joints", 0, 0, G_OPTION_ARG_FILENAME, &options.joints,
       "Joint positions, any subset by name, where the found ones are wrong", "FILE.json"},
      {"mask", 0, 0, G_OPTION_ARG_FILENAME, &options.mask,
       "The figure in white on black, where the found one is wrong", "PICTURE"},
      {NULL},
  };
  const Command *command = cli_command("character");
  GError *error = NULL;
  if (cli_parse(command, entries, &options.common, &argc, &argv, &error)) {
    if (argc != 2)
      fault(&error, FAULT_USAGE, "give one picture: troupe character %s", command->arguments);
    else
      make_character(&options, argv[1], &error);
  }
  g_free(options.out);
  g_free(options.joints);
  g_free(options.mask);
  g_free(options.common.models);
  return cli_finish(command->name, error);
}
