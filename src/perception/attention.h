/* The face network with attention, run in parts around the three operators that only it has: for the lips and
 * each eye it cuts a turned patch out of its own feature map, at the place where the mesh says that they are.
 * Private to the room. */
#pragma once
#include "perception/face.h"

#define ATTENTION_CROP 192

typedef struct Attention Attention;

Attention *attention_new(const char *models, GError **error);
void attention_free(Attention *attention);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attention, attention_free)

/* [192, 192, 3], 0..1 */
float *attention_input(Attention *attention);
/* logit: of the flag. point: in the crop's pixels. */
gboolean attention_run(Attention *attention, float *logit, float point[FACE_POINTS][3], GError **error);
