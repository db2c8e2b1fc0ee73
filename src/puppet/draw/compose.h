/* Puts the characters into the video: takes the people whom they play out of the frame and lays the
 * characters over it.
 *
 * Works on the video's own yuv420p, in its range and matrix; whatever is neither near a replaced person nor
 * under a character stays the original bit for bit. People who are not replaced keep their own look.
 *
 *   Composer *composer = composer_new(info, BACKGROUND_ORIGINAL, NULL);   one for each thread
 *   compose_frame(composer, frame, &input, NULL);
 *
 * The same input gives the same bytes, whatever was composed before. */
#pragma once
#include "puppet/draw/backing.h"
#include "puppet/draw/puppet.h"

typedef enum { BACKGROUND_ORIGINAL, BACKGROUND_SOLID, BACKGROUND_TRANSPARENT } Background;

typedef struct Composer Composer;
/* colour: RGB of BACKGROUND_SOLID, or NULL. */
Composer *composer_new(const VideoInfo *info, Background background, const guint8 colour[3]);
void composer_free(Composer *composer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Composer, composer_free)

/* Everything that belongs to one frame. Masks: 1 channel, all of one size, 255 = person. Only
 * BACKGROUND_ORIGINAL reads backing and masks. */
typedef struct {
  int index;                    /* of the frame in the video */
  const Backing *backing;       /* NULL: nobody is taken out */
  const Image *const *replaced; /* masks of the people whom characters play */
  int replaced_count;
  const Image *const *kept; /* masks of the others */
  int kept_count;
  const PainterBox *boxes; /* characters, back to front */
  int box_count;
  /* By box: mask of those of the others who stand before it, or NULL; NULL as a whole for nobody. */
  const Image *const *before;
} ComposeInput;

/* frame: yuv420p of the video's size, writable. mask, where not NULL: the same; receives the characters'
 * alpha, white on black. */
void compose_frame(Composer *composer, AVFrame *frame, const ComposeInput *input, AVFrame *mask);
