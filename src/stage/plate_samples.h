/* What the files of the plate share: the kept frames. Private to plate*.c. */
#pragma once
#include "base/plane.h"
#include <libavutil/frame.h>

typedef enum { TIER_PERSON, TIER_NEAR, TIER_CLEAR } Tier; /* somebody is there; is near; is not */

typedef struct {
  int index;       /* of the frame in its run */
  AVFrame *frame;  /* yuv420p */
  Image *people;   /* union of the masks of this frame and its neighbours; then NULL */
  Image *tier;     /* 1 channel, Tier, size of the masks; NULL = clear everywhere */
  float toward[9]; /* plate pixel -> frame pixel */
  gboolean still;  /* toward is the identity */
  Plane *gain[3];  /* levels to add to y, u, v over the plate, a small grid; NULL = none */
  float gain_step; /* plate pixels from one value of the grid to the next */
} Sample;

/* Where nobody is: tier at a frame's continuous pixel (nearest). */
static inline Tier sample_tier(const Sample *sample, float x, float y) {
  if (!sample->tier)
    return TIER_CLEAR;
  int tx = (int)((x + 0.5f) * (float)sample->tier->width / (float)sample->frame->width);
  int ty = (int)((y + 0.5f) * (float)sample->tier->height / (float)sample->frame->height);
  return *image_at(sample->tier, CLAMP(tx, 0, sample->tier->width - 1),
                   CLAMP(ty, 0, sample->tier->height - 1));
}

/* plate_exposure.c: fills in gain of every sample for a plate of the given size. */
void samples_compensate(GPtrArray *samples, int width, int height);

/* plate_median.c: the plate as yuv420p and where it was seen (255). width and height are even. */
AVFrame *samples_median(GPtrArray *samples, int width, int height, Image **known);
