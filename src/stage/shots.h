/* Shot boundaries: at which frames a video was cut.
 *
 * Frames go in once, in order; whether a frame begins a new shot is known a few frames later, because a cut
 * is a change that stays while a flash is one that goes away again. What is not a cut: fades, flashes of up
 * to SHOTS_FLASH frames, changes of exposure, a fast pan, a person who fills the picture and moves. Where
 * another scene follows behind black, its first clear frame begins the shot. A dissolve from one scene into
 * another is not found.
 *
 *   shots_add(shots, rgb);
 *   while (next < shots_decided(shots))
 *     use(next, shots_is_cut(shots, next)), next++;
 *
 * after the last frame shots_end(shots) and the loop once more. Uses a fixed amount of memory. */
#pragma once
#include "base/image.h"

#define SHOTS_FLASH 2   /* frames that a flash may last */
#define SHOTS_LATENCY 4 /* frames that must follow before a frame is decided */

typedef struct Shots Shots;

Shots *shots_new(void);
void shots_free(Shots *shots);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Shots, shots_free)

/* rgb: 3 channels, any size, the same for every frame. */
void shots_add(Shots *shots, const Image *rgb);
/* No more frames follow: all are decided now. */
void shots_end(Shots *shots);
/* How many frames, from the first, are decided. */
int shots_decided(const Shots *shots);
/* Whether frame begins a shot; the first does. frame: one of the SHOTS_LATENCY + 1 most recently decided. */
gboolean shots_is_cut(const Shots *shots, int frame);
