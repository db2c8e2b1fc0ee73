/* What is known of the performance, as files beside the video:
 *
 *   truth.json          size, frames, rate; people: landmarks [x, y, z, visibility] x 33 in pixels and [x, y,
 * z] x 33 in metres (hips at the origin, y down, z away from the camera) and boxes, frame by frame;
 * homographies from each frame to frame 0, row-major; where background.png lies in frame 0 masks/P-NNNN.png
 * how much of each pixel person P covers in frame N background.png      the room without anybody visible.png,
 * lit.png  in background.png's pixels: in how many frames the place is uncovered, and uncovered and without
 * shadow (up to 255) */
#pragma once
#include "performer_pan.h"
#include "performer_stage.h"

typedef struct Truth Truth;

/* Makes folder and folder/masks. */
Truth *truth_new(const char *folder, const Pan *pan, int people, GError **error);
void truth_free(Truth *truth);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Truth, truth_free)
gboolean truth_frame(Truth *truth, int frame, const Flesh *flesh, const Camera *camera, const Shot *shot,
                     GError **error);
gboolean truth_finish(Truth *truth, GError **error);
