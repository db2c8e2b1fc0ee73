/* The small network that follows a block transform and takes the mosaic out of its pictures.
 *
 * The picture, folded 4 x 4 pixels into 48 channels, with 16 more that say where in its block each folded
 * pixel lies (one of them is 1), goes through 3x3 convolutions whose taps lie `reach` folded pixels apart
 * (Yu, Koltun: "Multi-scale context aggregation by dilated convolutions", 2016), outside is zero. After each
 * but the last comes a ReLU, and round the inner ones a skip; what the last gives is unfolded and added to
 * the picture:
 *
 *   a_1 = ReLU(conv_0(a_0)),  a_i+1 = ReLU(conv_i(a_i)) + a_i,  picture += unfold(conv_last(a_last))
 *
 * In a file: refine.N.weight [out, in, 3, 3], refine.N.bias [out], refine.reach [layers]. */
#pragma once
#include "identity/picture/autoencoder_parts.h"

#define FOLD 4
#define FOLD_CHANNELS (3 * FOLD * FOLD)
#define FOLD_PLACES ((AUTOENCODER_PATCH / FOLD) * (AUTOENCODER_PATCH / FOLD))
#define REFINEMENT_MAX_LAYERS 16
#define REFINEMENT_MAX_REACH 16
#define REFINEMENT_TAPS 9

typedef struct {
  gint64 in, out;
  int reach;
  float *weight, *bias; /* [out, in · 9], [out] */
} RefinementLayer;

typedef struct {
  int layers;
  RefinementLayer layer[REFINEMENT_MAX_LAYERS];
  float reaches[REFINEMENT_MAX_LAYERS]; /* as the file has them */
} Refinement;

/* With what is trained here: seven layers 64 wide. He's initialisation; the last begins at zero, and with it
 * the whole. */
Refinement *refinement_new(guint64 seed);
/* FAULT_INPUT. */
Refinement *refinement_open(const Safetensors *file, GError **error);
gboolean refinement_is_in(const Safetensors *file);
/* Its tensors, in fp32; the refinement must live until the writer has written. */
void refinement_add(const Refinement *refinement, SafetensorsWriter *writer);
void refinement_free(Refinement *refinement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Refinement, refinement_free)

/* --- one pass --- */
typedef struct {
  gint64 rows, columns; /* folded */
} RefinementMap;

/* Working memory; map i goes into layer i, raw i came out of it before the skip. */
typedef struct {
  Buffer maps[REFINEMENT_MAX_LAYERS], raws[REFINEMENT_MAX_LAYERS], patches;
} RefinementMemory;
void refinement_memory_clear(RefinementMemory *memory);

/* What is to be added to the picture [3, h, w], folded: out [48, h/4 · w/4]. */
void refinement_run(const Refinement *refinement, RefinementMemory *memory, const float *picture,
                    gint64 height, gint64 width, float *out);
/* Floats that a pass holds. */
gint64 refinement_room(const Refinement *refinement, gint64 height, gint64 width);
/* The folded correction added to the picture. */
void refinement_unfold(const float *folded, gint64 height, gint64 width, float *picture);

/* The neighbourhoods of the pixels in rows `first` … `last` (not included), patches [channels · 9, pixels of
 * these rows]; or, `back`, what patches give back to the pixels, added. */
void refinement_patches(const RefinementMap *map, float *planes, gint64 channels, int reach, gint64 first,
                        gint64 last, float *patches, gboolean back);
/* So many rows go through a convolution at a time. */
gint64 refinement_band(const RefinementMap *map);

/* Where number `channel` of the folded pixel (row, column) lies in a picture [3, height, width]. */
static inline gint64 fold_place(gint64 channel, gint64 row, gint64 column, gint64 height, gint64 width) {
  gint64 plane = channel / (FOLD * FOLD), y = channel / FOLD % FOLD, x = channel % FOLD;
  return (plane * height + row * FOLD + y) * width + column * FOLD + x;
}
