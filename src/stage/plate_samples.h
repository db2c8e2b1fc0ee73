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

/* A block of 2 x 2 pixels, with the chroma pixel that they share, about which the samples disagree. */
enum { CONTEST_STATES = 4 };
typedef struct {
  int at;                           /* index of the block */
  int count;                        /* states, the most frequent first */
  int chosen;                       /* the state that is the background, -1 when none can be; 0 at first */
  guint8 colour[CONTEST_STATES][3]; /* y, u, v */
  float share[CONTEST_STATES];      /* of the samples */
  guint64 samples[CONTEST_STATES];  /* the samples that show it, as bits */
} Contest;

/* Of two colours in y, u, v: about levels of luma, where hue counts for more than brightness. */
static inline float colour_distance(const float a[3], const float b[3]) {
  return ABS(a[0] - b[0]) + 1.5f * (ABS(a[1] - b[1]) + ABS(a[2] - b[2]));
}

/* plate_contest.c: decides each, given the plate by majority. known: 255, or 0 where the background was not
 * seen; places are taken from it that cannot be the background. */
void contests_settle(Contest *contests, int count, const AVFrame *plate, Image *known);

/* plate_median.c: the plate as yuv420p and where it was seen (255). width and height are even. */
AVFrame *samples_median(GPtrArray *samples, int width, int height, Image **known);
