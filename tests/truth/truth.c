/* truth tracks SCENE|VIDEO TRUTH     joints and masks against the truth of a performance
 * truth plate SCENE TRUTH            the recovered background against the room
 * truth motion DRIVER RESULT         the result's movement against the driver's
 *
 * Exit: 0 within the limits, 1 outside them or unable to judge, 2 wrong usage. */
#include "truth.h"
#include "media/picture.h"
#include <string.h>

static gboolean judge(char **words, const Limits *limits, json_t *result, gboolean *passed, GError **error) {
  if (g_str_equal(words[0], "motion"))
    return judge_motion(words[1], words[2], limits, result, passed, error);
  g_autoptr(Truth) truth = truth_load(words[2], error);
  if (truth == NULL)
    return FALSE;
  if (g_str_equal(words[0], "plate"))
    return judge_plate(words[1], truth, limits, result, passed, error);
  return judge_tracks(words[1], truth, limits, result, passed, error);
}

static gboolean parse_network(const char *name, PoseNetwork *network) {
  static const char *const names[] = {"lite", "full", "heavy"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    if (g_str_equal(name, names[i])) {
      *network = (PoseNetwork)i;
      return TRUE;
    }
  return FALSE;
}

int main(int argc, char **argv) {
  Limits limits = {.min_pck = -1,
                   .min_iou = -1,
                   .min_seen = -1,
                   .min_filled = -1,
                   .max_degrees = -1,
                   .max_missing = -1,
                   .person = 1,
                   .readings = 1};
  g_autofree char *models = NULL, *network = NULL;
  GOptionEntry entries[] = {
      {"min-pck", 0, 0, G_OPTION_ARG_DOUBLE, &limits.min_pck, "tracks: least PCK@0.1", "SHARE"},
      {"min-iou", 0, 0, G_OPTION_ARG_DOUBLE, &limits.min_iou, "tracks: least mask IoU", "SHARE"},
      {"min-seen", 0, 0, G_OPTION_ARG_DOUBLE, &limits.min_seen,
       "plate: least PSNR where the room was ever visible", "DB"},
      {"min-filled", 0, 0, G_OPTION_ARG_DOUBLE, &limits.min_filled, "plate: least PSNR where it never was",
       "DB"},
      {"step", 0, 0, G_OPTION_ARG_INT, &limits.step, "compare every so many frames (plate: 6, motion: 1)",
       "N"},
      {"max-degrees", 0, 0, G_OPTION_ARG_DOUBLE, &limits.max_degrees, "motion: largest mean angle error",
       "DEGREES"},
      {"max-missing", 0, 0, G_OPTION_ARG_DOUBLE, &limits.max_missing,
       "motion: largest share of frames without a person", "SHARE"},
      {"person", 0, 0, G_OPTION_ARG_INT, &limits.person,
       "motion: who of the driver's people is followed (default 1)", "N"},
      {"readings", 0, 0, G_OPTION_ARG_INT, &limits.readings,
       "motion: how often every frame is read: 1 (default), or 3 for the median of three", "N"},
      {"each", 0, 0, G_OPTION_ARG_NONE, &limits.each,
       "motion: every frame's angle errors by bone on standard error", NULL},
      {"models", 0, 0, G_OPTION_ARG_FILENAME, &models, "Folder of the networks", "FOLDER"},
      {"network", 0, 0, G_OPTION_ARG_STRING, &network, "lite, full (default) or heavy", "NAME"},
      {NULL},
  };
  g_autoptr(GError) error = NULL;
  g_autoptr(GOptionContext) context = g_option_context_new("tracks|plate|motion FIRST SECOND");
  g_option_context_add_main_entries(context, entries, NULL);
  limits.network = POSE_FULL;
  if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 4 ||
      (!g_str_equal(argv[1], "tracks") && !g_str_equal(argv[1], "plate") &&
       !g_str_equal(argv[1], "motion")) ||
      (network && !parse_network(network, &limits.network)) || limits.step < 0 ||
      (limits.readings != 1 && limits.readings != 3)) {
    g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
    g_printerr("%s%s", error ? error->message : "", help);
    return 2;
  }
  limits.models = models;
  json_t *result = json_object();
  gboolean passed = FALSE;
  if (!picture_init(argv[0], &error) || !judge(argv + 1, &limits, result, &passed, &error)) {
    g_printerr("truth: %s\n", error->message);
    json_decref(result);
    return 1;
  }
  json_object_set_new(result, "passed", json_boolean(passed));
  json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
  fputc('\n', stdout);
  json_decref(result);
  return passed ? 0 : 1;
}
