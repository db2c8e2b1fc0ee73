#include "identity/inspect/inspect_json.h"

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

json_t *picture_report_json(const PictureReport *report, gboolean named) {
  json_t *object = json_object();
  if (named)
    json_object_set_new(object, "picture", json_string(report->path));
  json_object_update_new(object,
                         json_pack("{s:s, s:o, s:b}", "verdict", verdict_name(report->verdict), "remarks",
                                   strings_json(report->remarks), "readable", report->readable));
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

json_t *inspection_remarks_json(const Inspection *inspection) {
  return strings_json(inspection->remarks);
}
