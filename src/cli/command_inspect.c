/* troupe inspect: which pictures of a character to train on, and which to replace first. */
#include "cli/cli.h"
#include "identity/inspect.h"

#include <stdio.h>

static json_t *strings_json(const GPtrArray *strings) {
  json_t *array = json_array();
  for (guint i = 0; i < strings->len; i++)
    json_array_append_new(array, json_string(strings->pdata[i]));
  return array;
}

static json_t *cut_json(unsigned cut) {
  static const struct {
    Cut edge;
    const char *name;
  } edges[] = {{CUT_TOP, "top"}, {CUT_LEFT, "left"}, {CUT_RIGHT, "right"}};
  json_t *array = json_array();
  for (gsize i = 0; i < G_N_ELEMENTS(edges); i++)
    if (cut & edges[i].edge)
      json_array_append_new(array, json_string(edges[i].name));
  return array;
}

static json_t *face_json(const PictureReport *report) {
  return report->face
             ? json_pack("{s:f, s:f}", "height", (double)report->face_height, "turn", (double)report->turn)
             : json_null();
}

static json_t *report_json(const PictureReport *report) {
  json_t *object =
      json_pack("{s:s, s:s, s:o, s:b}", "picture", report->path, "verdict", verdict_name(report->verdict),
                "remarks", strings_json(report->remarks), "readable", report->readable);
  if (!report->readable)
    return object;
  json_t *measures =
      json_pack("{s:i, s:i, s:f, s:f, s:f, s:i, s:s, s:o, s:f, s:f, s:o, s:o}", "width", report->width,
                "height", report->height, "sharpness", (double)report->light.sharpness, "dark",
                (double)report->light.dark, "bright", (double)report->light.bright, "people", report->people,
                "shown", shown_name(report->shown), "cut", cut_json(report->cut), "figure",
                (double)report->figure, "hidden", (double)report->hidden, "face", face_json(report),
                "same_as", report->same_as < 0 ? json_null() : json_integer(report->same_as + 1));
  json_object_update_new(object, measures);
  return object;
}

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
      json_array_append_new(pictures, report_json(report));
    else
      print_report(i + 1, report);
  }
  if (json) {
    cli_print_json(
        json_pack("{s:o, s:o}", "pictures", pictures, "remarks", strings_json(inspection->remarks)));
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
