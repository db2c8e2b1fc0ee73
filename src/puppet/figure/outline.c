/* What differs from the ground is ink. A flood from the border finds the outside, and everything else is the
 * figure. Where outlines have gaps the inside leaks; rooms that a disc cannot enter are added, for discs of
 * growing radii.
 *
 * Line art and flat colour need opposite treatment of holes: inside an outline paper is figure, beside a
 * coloured arm it is ground. The share of ink tells which of them a picture is. */
#include "base/fault.h"
#include "puppet/figure/backdrop.h"
#include "puppet/cutout/cutout.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORK_SIDE 1000     /* longer side at which the outline is sought */
#define PLAIN_ENOUGH 0.72f /* share of the margin that must be ground */
#define COLOURED 0.62f     /* share of ink above which a figure counts as coloured, not outlined */
#define BRUSH 0.12f        /* half width, over the root of the area, that no stroke of line art has */
#define HOLE 0.0015f       /* of the figure's area: smaller holes are gaps in the colour */
#define STROKE 0.004f      /* of the longer side: margin around thin strokes, so that they can be cut */
#define SHEET 0.86f        /* of its bounds: what fills more is no figure but the paper that it is drawn on */
#define SHEET_BORDER 0.03f /* of the sheet's shorter side */
#define ROOM 3.5f          /* inner radius of what a gap may lead into, over the gap's half width */

/* Half widths of gaps that are bridged, of the longer side. */
static const float gaps[] = {0.003f, 0.006f, 0.010f, 0.016f, 0.024f};

static gsize count_inside(const Plane *mask) {
  gsize n = 0;
  for (gsize i = 0; i < (gsize)mask->width * (gsize)mask->height; i++)
    n += mask->v[i] >= 0.5f;
  return n;
}

static float percentile(const Plane *plane, float above, float share) {
  enum { BINS = 512 };
  int histogram[BINS] = {0}, total = 0;
  for (gsize i = 0; i < (gsize)plane->width * (gsize)plane->height; i++)
    if (plane->v[i] > above) {
      histogram[MIN(BINS - 1, (int)(plane->v[i] * 2))]++;
      total++;
    }
  int below = 0;
  for (int bin = 0; bin < BINS; bin++) {
    below += histogram[bin];
    if (below >= (int)(share * (float)total))
      return ((float)bin + 0.5f) / 2;
  }
  return 0;
}

/* Hysteresis: regions above the low threshold that hold something above the high one. */
static Plane *find_ink(const Backdrop *backdrop) {
  const Plane *difference = backdrop->difference;
  gsize n = (gsize)difference->width * (gsize)difference->height;
  float visible = MAX(6 * backdrop->noise, 9.0f);
  float strong = percentile(difference, visible, 0.75f);
  float high = MAX(visible, 0.4f * strong), low = MAX(4 * backdrop->noise, MAX(6.0f, 0.22f * strong));
  low = MIN(low, high);
  g_autofree int *labels = g_new(int, n);
  int regions = plane_regions(difference, low, labels, NULL);
  g_autofree int *seeds = g_new0(int, (gsize)regions + 1);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && difference->v[i] >= high)
      seeds[labels[i]]++;
  Plane *ink = plane_new(difference->width, difference->height);
  int enough = MAX(3, (int)(n / 100000));
  for (gsize i = 0; i < n; i++)
    ink->v[i] = labels[i] && seeds[labels[i]] >= enough;
  return ink;
}

/* Everything that a flood from the border does not reach: ink and what it encloses. */
static Plane *enclosed(const Plane *ink) {
  int w = ink->width, h = ink->height;
  gsize n = (gsize)w * (gsize)h;
  g_autoptr(Plane) open = plane_new(w, h);
  for (gsize i = 0; i < n; i++)
    open->v[i] = ink->v[i] < 0.5f;
  g_autofree int *labels = g_new(int, n);
  int regions = plane_regions(open, 0.5f, labels, NULL);
  g_autofree guint8 *outside = g_new0(guint8, (gsize)regions + 1);
  for (int x = 0; x < w; x++)
    outside[labels[x]] = outside[labels[n - 1 - (gsize)x]] = 1;
  for (int y = 0; y < h; y++)
    outside[labels[(gsize)y * (gsize)w]] = outside[labels[(gsize)y * (gsize)w + (gsize)w - 1]] = 1;
  outside[0] = 0;
  Plane *inside = plane_new(w, h);
  for (gsize i = 0; i < n; i++)
    inside->v[i] = !outside[labels[i]];
  return inside;
}

/* Greatest distance from the border within each region of a mask. [regions + 1] */
static float *inner_radii(const Plane *mask, const int *labels, int regions) {
  g_autoptr(Plane) rest = plane_copy(mask);
  gsize n = (gsize)mask->width * (gsize)mask->height;
  for (gsize i = 0; i < n; i++)
    rest->v[i] = 1 - rest->v[i];
  g_autoptr(Plane) depth = plane_distance(rest, 0.5f, NULL);
  float *radii = g_new0(float, (gsize)regions + 1);
  for (gsize i = 0; i < n; i++)
    radii[labels[i]] = MAX(radii[labels[i]], depth->v[i]);
  return radii;
}

/* What a disc cannot reach that rolls in from the border around the ink: gaps narrower than the disc stop it.
 */
static Plane *unreached(const Plane *ink, float radius) {
  gsize n = (gsize)ink->width * (gsize)ink->height;
  g_autoptr(Plane) barrier = plane_copy(ink);
  plane_dilate(barrier, radius);
  Plane *reached = enclosed(barrier);
  for (gsize i = 0; i < n; i++)
    reached->v[i] = 1 - reached->v[i];
  plane_dilate(reached, radius);
  for (gsize i = 0; i < n; i++)
    reached->v[i] = reached->v[i] < 0.5f && ink->v[i] < 0.5f;
  return reached;
}

/* Adds to the figure what ink encloses but for gaps of up to twice the radius. Where the room behind a gap is
 * hardly wider than the gap it is no leak but the space between two limbs. */
static void bridge_gaps(Plane *figure, const Plane *ink, float radius) {
  gsize n = (gsize)ink->width * (gsize)ink->height;
  g_autoptr(Plane) room = unreached(ink, radius);
  for (gsize i = 0; i < n; i++)
    room->v[i] *= figure->v[i] < 0.5f;
  g_autofree int *labels = g_new(int, n);
  int regions = plane_regions(room, 0.5f, labels, NULL);
  g_autofree float *radii = inner_radii(room, labels, regions);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && radii[labels[i]] >= ROOM * radius)
      figure->v[i] = 1;
}

static Plane *fill_figure(const Plane *ink) {
  Plane *figure = enclosed(ink);
  for (gsize i = 0; i < G_N_ELEMENTS(gaps); i++)
    bridge_gaps(figure, ink, gaps[i] * (float)MAX(ink->width, ink->height));
  Plane *result = enclosed(figure);
  plane_free(figure);
  return result;
}

/* Keeps the largest piece and those that are near it or not much smaller: a head drawn apart from its body.
 */
static void keep_figure(Plane *mask) {
  gsize n = (gsize)mask->width * (gsize)mask->height;
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  int regions = plane_regions(mask, 0.5f, labels, &sizes);
  if (regions == 0)
    return;
  int main_region = 1;
  for (int i = 2; i <= regions; i++)
    if (sizes[i] > sizes[main_region])
      main_region = i;
  g_autoptr(Plane) piece = plane_new(mask->width, mask->height);
  for (gsize i = 0; i < n; i++)
    piece->v[i] = labels[i] == main_region;
  g_autoptr(Plane) distance = plane_distance(piece, 0.5f, NULL);
  g_autofree float *gap = g_new(float, (gsize)regions + 1);
  for (int i = 0; i <= regions; i++)
    gap[i] = G_MAXFLOAT;
  for (gsize i = 0; i < n; i++)
    gap[labels[i]] = MIN(gap[labels[i]], distance->v[i]);
  float near = 0.025f * (float)MAX(mask->width, mask->height);
  for (gsize i = 0; i < n; i++) {
    int region = labels[i];
    double share = region ? (double)sizes[region] / sizes[main_region] : 0;
    mask->v[i] = region && ((gap[region] < near && share > 0.004) || (gap[region] < 4 * near && share > 0.1));
  }
}

/* In a coloured figure, ground that shows through a hole of some size is ground. */
static void open_holes(Plane *mask, const Plane *ink) {
  gsize n = (gsize)mask->width * (gsize)mask->height, area = count_inside(mask), inked = 0;
  for (gsize i = 0; i < n; i++)
    inked += mask->v[i] >= 0.5f && ink->v[i] >= 0.5f;
  g_autofree int *one = g_new(int, n);
  int pieces = plane_regions(ink, 0.5f, one, NULL);
  g_autofree float *thickness = inner_radii(ink, one, pieces);
  float thickest = 0;
  for (int i = 1; i <= pieces; i++)
    thickest = MAX(thickest, thickness[i]);
  if ((double)inked < COLOURED * (double)area || thickest < BRUSH * sqrtf((float)area))
    return; /* an outline, or a figure of strokes */
  g_autoptr(Plane) hole = plane_new(mask->width, mask->height);
  for (gsize i = 0; i < n; i++)
    hole->v[i] = mask->v[i] >= 0.5f && ink->v[i] < 0.5f;
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(hole, 0.5f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && (double)sizes[labels[i]] > HOLE * (double)area)
      mask->v[i] = 0;
}

static Image *find_outline(const Image *rgb, GError **error) {
  float scale = MIN(1.0f, (float)WORK_SIDE / (float)MAX(rgb->width, rgb->height));
  int w = MAX(1, (int)lroundf((float)rgb->width * scale)),
      h = MAX(1, (int)lroundf((float)rgb->height * scale));
  if (w < 16 || h < 16)
    return fault_null(error, FAULT_LIMIT, "The picture is only %d x %d pixels.", rgb->width, rgb->height);
  g_autoptr(Image) small = image_resize(rgb, w, h);
  g_auto(Backdrop) backdrop = {0};
  backdrop_fit(&backdrop, small);
  if (backdrop.plain < PLAIN_ENOUGH)
    return fault_null(error, FAULT_NOBODY, "The figure does not stand on a plain ground; give a --mask.");

  g_autoptr(Plane) ink = find_ink(&backdrop);
  g_autoptr(Plane) mask = fill_figure(ink);
  plane_open(mask, 0.6f);
  keep_figure(mask);
  open_holes(mask, ink);
  plane_dilate(mask, STROKE * (float)MAX(w, h));
  gsize area = count_inside(mask), n = (gsize)w * (gsize)h;
  if ((double)area < 0.004 * (double)n || (double)area > 0.93 * (double)n)
    return fault_null(error, FAULT_NOBODY, "Nothing stands out from the picture's ground; give a --mask.");

  plane_blur(mask, 0.7f);
  g_autoptr(Plane) full = plane_resize(mask, rgb->width, rgb->height);
  Image *result = image_new(rgb->width, rgb->height, 1);
  for (gsize i = 0; i < (gsize)rgb->width * (gsize)rgb->height; i++)
    result->pixels[i] = full->v[i] >= 0.5f ? 255 : 0;
  return result;
}

/* A sheet of paper on a table stands out from the table as a whole. Its bounds, less a border that hides its
 * edges. */
static gboolean is_sheet(const Image *mask, int box[4]) {
  int left = mask->width, top = mask->height, right = -1, bottom = -1;
  gsize area = 0;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y)) {
        left = MIN(left, x), right = MAX(right, x), top = MIN(top, y), bottom = MAX(bottom, y);
        area++;
      }
  int width = right - left + 1, height = bottom - top + 1,
      inset = (int)(SHEET_BORDER * (float)MIN(width, height));
  if ((double)area < SHEET * (double)width * (double)height)
    return FALSE;
  box[0] = left + inset, box[1] = top + inset, box[2] = width - 2 * inset, box[3] = height - 2 * inset;
  return box[2] >= 64 && box[3] >= 64;
}

Image *cutout_outline(const Image *rgb, GError **error) {
  Image *mask = find_outline(rgb, error);
  int box[4];
  if (!mask || !is_sheet(mask, box))
    return mask;
  g_autoptr(Image) sheet = image_crop(rgb, box[0], box[1], box[2], box[3]);
  g_autoptr(Image) drawn = find_outline(sheet, NULL);
  if (!drawn)
    return mask;
  memset(mask->pixels, 0, (gsize)mask->width * (gsize)mask->height);
  for (int y = 0; y < drawn->height; y++)
    memcpy(image_at(mask, box[0], box[1] + y), image_at(drawn, 0, y), (gsize)drawn->width);
  return mask;
}
