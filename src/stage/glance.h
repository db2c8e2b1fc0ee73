/* Frames as RGB for being looked at by networks and measurements, not for being shown: chroma is not
 * interpolated, which is an eighth of the work (media/video.h has the conversion for pictures that people
 * see). Private to the stage. */
#pragma once
#include "media/video.h"

typedef struct Glance Glance;

Glance *glance_new(const VideoInfo *info);
void glance_free(Glance *glance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Glance, glance_free)
/* A picture for glance_rgb (transfer full). */
Image *glance_image(const VideoInfo *info);
/* rgb: from glance_image. */
void glance_rgb(Glance *glance, const AVFrame *frame, Image *rgb);
