/* What the painters draw on: a cairo canvas that fills shapes in two tones, or, for the judge, in the number
 * of the region to which they belong. */
#pragma once
#include "attributes.h"
#include <cairo.h>

typedef enum {
  REGION_SCENE,
  REGION_SKIN,
  REGION_HAIR,
  REGION_CLOTHES,
  REGION_FEATURE, /* eyes, mouth, buttons, stripes: what has no colour that a caption says */
  REGION_EYEWEAR,
  REGION_BEARD,
  REGION_MARK,
  REGIONS
} Region;

typedef struct {
  cairo_t *cr;
  gboolean labels;
  Style style;
  double line; /* width of an outline in user units, as they are now */
} Easel;

Rgb rgb_mix(Rgb a, Rgb b, double share_of_b);
Rgb rgb_dark(Rgb colour, double amount); /* 0 as it is … 1 black, a little cooler */
Rgb rgb_light(Rgb colour, double amount);

void easel_colour(Easel *easel, Region region, Rgb colour);
void easel_veil(Easel *easel, Rgb colour, double alpha); /* nothing in label mode: check easel->labels */

/* The current path is consumed. */
void easel_fill(Easel *easel, Region region, Rgb colour);  /* one tone, no outline */
void easel_shape(Easel *easel, Region region, Rgb colour); /* one tone, outline where the style has it */
void easel_solid(Easel *easel, Region region, Rgb colour, double away); /* shade at the right and below */
void easel_stroke(Easel *easel, Region region, Rgb colour, double width);
/* A limb: a round stroke in two tones. */
void easel_limb(Easel *easel, Region region, Rgb colour, double width);
/* Translucent; draws nothing in label mode. */
void easel_glaze(Easel *easel, Rgb colour, double alpha);

/* Paths. */
void path_ellipse(cairo_t *cr, double x, double y, double rx, double ry);
void path_polygon(cairo_t *cr, const double *xy, int count);
