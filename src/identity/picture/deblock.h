/* Takes the steps at the borders of 16 x 16 blocks out of a picture, as the filters in video codecs do (List
 * et al.: "Adaptive deblocking filter", 2003), but with ramps as long as half a block: what two blocks
 * disagree about is a colour, and between two flat colours the eye sees every shorter ramp as a line. */
#pragma once
#include <glib.h>

typedef struct {
  float step;    /* differences across a border much larger than this are edges and stay */
  float similar; /* within a block only what differs from the border's pixel by less than about this moves */
} DeblockSettings;
/* Of colours in -1..1. */
extern const DeblockSettings deblock_defaults;

/* picture [3, height, width], in place. */
void deblock(const DeblockSettings *settings, float *picture, gint64 height, gint64 width);
