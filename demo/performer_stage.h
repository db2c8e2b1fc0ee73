/* One frame: the performers before the room, with shadows, smooth edges and the exact masks. */
#pragma once
#include "performer_flesh.h"
#include "performer_trace.h"

typedef struct {
  Image *picture;                /* RGB */
  Image *mask[FLESH_MAX_PEOPLE]; /* 1 channel: how much of the pixel this person covers, 255 all of it */
  Image *light;                  /* 1 channel: 255 where no shadow falls on the room */
} Shot;

void shot_clear(Shot *shot);

/* background: the room as this camera sees it. */
void stage_shoot(const Flesh *flesh, const Camera *camera, const Image *background, Shot *shot);

/* The camera: vertical extent and place are the same for every format, so that a performer always fills it
 * alike. pan and tilt in radians, zoom 1 for none. */
Camera stage_camera(int width, int height, float pan, float tilt, float zoom);

/* Whether a point so deep under the skin is seen: in the picture, and nothing in front but what it lies in.
 */
gboolean stage_sees(const Flesh *flesh, const Camera *camera, vec3s point, float radius);
