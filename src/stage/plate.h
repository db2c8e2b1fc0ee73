/* The plate: the background of a run of frames without the people in it.
 *
 * Frames go in one by one with the union of everybody's masks; a bounded number of them, spread evenly over
 * the run, is kept. In the end every pixel of the plate is the temporal median of the kept frames in which
 * nobody is there or near, compensated for changes of exposure; what was never seen is filled from its
 * surroundings (inpaint.h). Captions that come and go are no background: they are kept as what stands in
 * front.
 *
 *   PlateBuilder *builder = plate_builder_new(info);
 *   for each frame: plate_builder_add(builder, frame, people);
 *   Plate *plate = plate_builder_finish(builder, doubtful, NULL);
 *
 * Pixels are [k, k+1) wide; homographies map pixel centres at integer coordinates, row-major, acting on (x,
 * y, 1). */
#pragma once
#include "stage/scene.h"

#define PLATE_SAMPLES_MAX 62 /* frames kept at most */
#define PLATE_EXTENT_MAX                                                                                     \
  2.0f /* a moving camera's plate is at most so many times as wide and high as a frame */

typedef struct PlateBuilder PlateBuilder;

/* info: of the video; width, height and the colour properties are used. */
PlateBuilder *plate_builder_new(const VideoInfo *info);
void plate_builder_free(PlateBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlateBuilder, plate_builder_free)

/* The next frame, yuv420p of the video's size; a reference is kept, no copy. people: 1 channel of any size,
 * the same for all frames, 255 = somebody; NULL = nobody. */
void plate_builder_add(PlateBuilder *builder, const AVFrame *frame, const Image *people);
int plate_builder_count(const PlateBuilder *builder);

/* doubtful, where not NULL: [count] TRUE where somebody may be there without a mask; such frames are left out
 * while others remain. homography, where not NULL: [count] frame pixel -> key frame pixel (transfer full),
 * else the camera is still. The plate has picture and known; first is 0. A run without frames gives NULL. */
Plate *plate_builder_finish(PlateBuilder *builder, const gboolean *doubtful, float (*homography)[9]);

void plate_free(Plate *plate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plate, plate_free)

/* The rectangle in key frame coordinates that all frames together cover. */
typedef struct {
  float x0, y0, x1, y1;
} PlateExtent;

PlateExtent plate_extent_of(const float homography[9], int width, int height);
PlateExtent plate_extent_join(PlateExtent a, PlateExtent b);
/* Whether a plate may cover it. */
gboolean plate_extent_fits(PlateExtent extent, int width, int height);

/* The plate as the camera saw it in frame `index` of its run: rgb, 3 channels, of the frame's size, is
 * filled. */
void plate_view(const Plate *plate, int index, Image *rgb);

gboolean homography_invert(const float h[9], float inverse[9]);                 /* FALSE when singular */
void homography_multiply(const float a[9], const float b[9], float product[9]); /* b acts first */
/* FALSE, with (0, 0), when the point goes to infinity. */
static inline gboolean homography_apply(const float h[9], float x, float y, float *u, float *v) {
  float w = h[6] * x + h[7] * y + h[8];
  *u = *v = 0;
  if (w < 1e-6f)
    return FALSE;
  *u = (h[0] * x + h[1] * y + h[2]) / w;
  *v = (h[3] * x + h[4] * y + h[5]) / w;
  return TRUE;
}
