/* troupe inspect: which pictures of a character to train on, and which to replace first. */
#include "cli/cli.h"
#include "identity/inspect/inspect_json.h"

#include <stdio.h>

static void print_report(guint number, const PictureReport *report) {
  printf("%2u  %-8s %s", number, verdict_name(report->verdict), report->path);
  if (report->readable)
    printf(" (%d x %d, %s", report->width, report->height, shown_name(report->shown));
  if (report->readable && report->face)
    printf(", face %.0f pixels", (double)report->face_height);
  puts(report->readable ? ")" : "");
  for (guint i = 0; i < report->remarks->len; i++)
    printf("             %s\n", (const char *)report->remarks->pdata[i]);
}

static void print_inspection(const Inspection *inspection, gboolean json) {
  json_t *pictures = json_array();
  for (guint i = 0; i < inspection->pictures->len; i++) {
    const PictureReport *report = &g_array_index(inspection->pictures, PictureReport, i);
    if (json)
      json_array_append_new(pictures, picture_report_json(report, TRUE));
    else
      print_report(i + 1, report);
  }
  if (json) {
    cli_print_json(
        json_pack("{s:o, s:o}", "pictures", pictures, "remarks", inspection_remarks_json(inspection)));
    return;
  }
  json_decref(pictures);
  for (guint i = 0; i < inspection->remarks->len; i++)
    printf("%s%s\n", i ? "" : "\n", (const char *)inspection->remarks->pdata[i]);
}

static gboolean inspect(const CommonOptions *common, char **paths, gsize count, GError **error) {
  PoseNetwork network;
  if (!cli_network(common, POSE_HEAVY, &network, error))
    return FALSE;
  Progress *progress = cli_progress_begin(common);
  g_autoptr(Inspection) inspection =
      inspect_pictures((const char *const *)paths, count, network, common->models, progress, error);
  if (!inspection)
    return FALSE;
  cli_progress_end();
  print_inspection(inspection, common->json);
  for (guint i = 0; i < inspection->pictures->len; i++)
    if (g_array_index(inspection->pictures, PictureReport, i).readable)
      return TRUE;
  return fault(error, FAULT_INPUT, "none of the pictures can be read.");
}

int command_inspect(int argc, char **argv) {
  CommonOptions common = {0};
  const GOptionEntry entries[] = {
      {"network", 0, 0, G_OPTION_ARG_STRING, &common.network, "lite, full or heavy (usual)", "NAME"},
      {NULL},
  };
  const Command *command = cli_command("inspect");
  GError *error = NULL;
  if (cli_parse(command, entries, &common, &argc, &argv, &error)) {
    if (argc < 2)
      fault(&error, FAULT_USAGE, "give the pictures: troupe inspect %s", command->arguments);
    else
      inspect(&common, argv + 1, (gsize)argc - 1, &error);
  }
  g_free(common.network);
  g_free(common.models);
  return cli_finish(command->name, error);
}
