/* Options, exit codes and results that all commands share. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

gboolean cli_parse(const Command *command, const GOptionEntry *entries, CommonOptions *common, int *argc,
                   char ***argv, GError **error) {
  const GOptionEntry shared[] = {
      {"models", 0, 0, G_OPTION_ARG_FILENAME, &common->models, "Folder of the networks", "FOLDER"},
      {"json", 0, 0, G_OPTION_ARG_NONE, &common->json, "Print the result as JSON on standard output", NULL},
      {"quiet", 'q', 0, G_OPTION_ARG_NONE, &common->quiet, "Show no progress and no remarks", NULL},
      {NULL},
  };
  g_autoptr(GOptionContext) context = g_option_context_new(command->arguments);
  g_option_context_set_summary(context, command->summary);
  g_option_context_set_description(context, command->details);
  if (entries)
    g_option_context_add_main_entries(context, entries, NULL);
  g_option_context_add_main_entries(context, shared, NULL);
  /* GOption takes the program's name from argv[0]; the user typed two words. */
  g_autofree char *name = g_strdup_printf("troupe %s", command->name);
  g_set_prgname(name);
  g_autoptr(GError) problem = NULL;
  if (!g_option_context_parse(context, argc, argv, &problem))
    return fault(error, FAULT_USAGE, "%s. `%s --help` shows the options.", problem->message, name);
  return TRUE;
}

gboolean cli_network(const CommonOptions *common, PoseNetwork usual, PoseNetwork *network, GError **error) {
  static const char *const names[] = {[POSE_LITE] = "lite", [POSE_FULL] = "full", [POSE_HEAVY] = "heavy"};
  *network = usual;
  if (!common->network)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    if (g_str_equal(names[i], common->network)) {
      *network = (PoseNetwork)i;
      return TRUE;
    }
  return fault(error, FAULT_USAGE, "--network is lite, full or heavy, not \"%s\".", common->network);
}

static int exit_code(const GError *error) {
  if (!error)
    return EXIT_DONE;
  if (g_error_matches(error, FAULT, FAULT_USAGE))
    return EXIT_USAGE;
  return g_error_matches(error, FAULT, FAULT_CANCELLED) ? EXIT_INTERRUPTED : EXIT_FAILED;
}

int cli_finish(const char *command, GError *error) {
  cli_progress_end();
  int code = exit_code(error);
  if (error)
    fprintf(stderr, "troupe %s: %s\n", command, error->message);
  g_clear_error(&error);
  return code;
}

void cli_print_json(json_t *object) {
  /* Six figures say more than the networks know, and keep lines short. */
  char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
  puts(text);
  free(text);
  json_decref(object);
}

json_t *cli_notes_json(Progress *progress) {
  json_t *array = json_array();
  g_auto(GStrv) notes = progress_notes(progress);
  for (char **note = notes; *note; note++)
    json_array_append_new(array, json_string(*note));
  return array;
}
