/* An inspection as JSON. */
#pragma once
#include "identity/inspect/inspect.h"
#include <jansson.h>

/* {"picture": PATH if named, "verdict", "remarks", "readable"} and, of one that is readable, "width",
 * "height", "sharpness", "dark", "bright", "people", "shown", "cut", "figure", "hidden", "face": {"height",
 * "turn"} or null, "same_as": number from 1 of the picture that shows the same, or null. */
json_t *picture_report_json(const PictureReport *report, gboolean named);
json_t *inspection_remarks_json(const Inspection *inspection);
