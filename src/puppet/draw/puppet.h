/* A character that follows a track: from a rig and a person's motion to the pixels of the character in every
 * frame.
 *
 *   g_autoptr(Puppet) puppet = puppet_new(rig, track, tracks, FALSE, progress);
 *   g_autoptr(Painter) painter = painter_new(puppet, info);           one for each thread
 *   if (painter_draw(painter, frame, &box))                           FALSE: not in this frame
 *     compose_frame(composer, video_frame, …, &box, 1, NULL);         puppet/draw/compose.h
 *
 * A Puppet does not change once made, and any number of painters may share it; each painter belongs to one
 * thread at a time. What a painter draws depends on the frame's number alone, never on what it drew before.
 */
#pragma once
#include "base/progress.h"
#include "media/video.h"
#include "perception/track.h"
#include "puppet/draw/borrowed.h"
#include "puppet/draw/raster.h"
#include "puppet/rig/rig.h"

typedef struct Puppet Puppet;

/* rig, track and tracks are only read; rig must outlive the puppet. flat: the paper figure (V3_Preview,
 * puppet/draw/flat.h) instead of the volumetric one. borrows: whether what the picture lacks is the
 * performer's own then. Adds notes to progress about what the puppet cannot follow.
 */
Puppet *puppet_new(const Rig *rig, const Track *track, const Tracks *tracks, gboolean flat, gboolean borrows,
                   Progress *progress);
void puppet_free(Puppet *puppet);
/* What its picture lacks and the performer lends. */
const Borrowed *puppet_borrowed(const Puppet *puppet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Puppet, puppet_free)

typedef struct {
  float x, y;     /* middle of the foot on the ground, frame pixels */
  float size;     /* half width of the shadow, pixels */
  float strength; /* 0 in the air … 1 standing */
} PainterShadow;

typedef struct {
  RasterBox picture;       /* premultiplied RGBA, valid until the painter's next call */
  PainterShadow shadow[2]; /* left and right foot */
} PainterBox;

typedef struct Painter Painter;
Painter *painter_new(const Puppet *puppet, const VideoInfo *info);
void painter_free(Painter *painter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Painter, painter_free)

/* Draws the character as of this frame of the video. FALSE when it is not to be seen in it. */
gboolean painter_draw(Painter *painter, int frame, PainterBox *box);
