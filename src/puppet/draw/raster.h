/* Draws textured triangle meshes with depth and smooth edges into an RGBA picture, orthographically.
 *
 * A drawing is a list of passes, back to front. Inside a pass nearer triangles hide farther ones, pixel by
 * pixel; passes lie over one another like painted sheets. Edges are smooth: every pixel has four depths and
 * colours at rotated-grid places, but the texture is read once per triangle and pixel. Soft fragments (alpha
 * below one half) hide nothing and only show where nothing denser is: a matte's faint rim would otherwise
 * punch pale outlines into what lies behind it.
 *
 * The same input gives the same bytes. A Raster belongs to one thread at a time; textures are shared. */
#pragma once
#include "base/image.h"

/* A premultiplied RGBA picture and its halvings. */
typedef struct RasterTexture RasterTexture;
/* finest: levels that are more than this many times larger than needed are left out (1 keeps the picture
 * itself). */
RasterTexture *raster_texture_new(const Image *rgba, float finest);
void raster_texture_free(RasterTexture *texture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RasterTexture, raster_texture_free)

typedef struct {
  const RasterTexture *texture;
  int triangles;
  const float (*position)[3]; /* pixels, z toward the camera */
  const float (*uv)[2];       /* texture pixels, continuous */
  const float *fade;          /* by vertex, 0..1, multiplies the texture; NULL for 1 */
  const guint32 (*triangle)[3];
  const guint8 *part; /* by triangle; with rank: rank[part] decides before depth does; NULL for none */
  const guint8 *rank; /* [LAYERS], or however many values part has */
  float scale;        /* output pixels per texture pixel, chooses the halving */
} RasterMesh;

typedef struct {
  const RasterMesh *meshes;
  int count;
} RasterPass;

/* What was drawn: the rectangle [x, x + width) x [y, y + height) of the frame; rgba is premultiplied. */
typedef struct {
  int x, y, width, height;
  const guint8 *rgba;   /* [height][width][4] */
  int band;             /* rows per band */
  const int (*span)[2]; /* by band: columns [from, to) of the rectangle; outside of them nothing was drawn,
                           nor written */
} RasterBox;

typedef struct Raster Raster;
Raster *raster_new(int width, int height);
void raster_free(Raster *raster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Raster, raster_free)

/* FALSE when nothing lies in the frame. box points into the raster and is valid until the next call. */
gboolean raster_draw(Raster *raster, const RasterPass *passes, int count, RasterBox *box);
