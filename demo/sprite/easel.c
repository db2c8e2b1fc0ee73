/* Two tones: a shape is filled with its shade, then with its colour moved up and to the left inside itself,
 * so that a crescent of shade stays on the side away from the lamp. */
#include "easel.h"
#include <math.h>

Rgb rgb_mix(Rgb a, Rgb b, double s) {
  return (Rgb){a.r + (b.r - a.r) * s, a.g + (b.g - a.g) * s, a.b + (b.b - a.b) * s};
}

Rgb rgb_dark(Rgb c, double amount) {
  return rgb_mix(c, (Rgb){c.r * 0.1, c.g * 0.06, c.b * 0.16 + 10}, amount);
}

Rgb rgb_light(Rgb c, double amount) {
  return rgb_mix(c, (Rgb){255, 252, 246}, amount);
}

void easel_colour(Easel *easel, Region region, Rgb c) {
  if (easel->labels)
    cairo_set_source_rgb(easel->cr, region / 255.0, region / 255.0, region / 255.0);
  else
    cairo_set_source_rgb(easel->cr, c.r / 255, c.g / 255, c.b / 255);
}

void easel_veil(Easel *easel, Rgb c, double alpha) {
  cairo_set_source_rgba(easel->cr, c.r / 255, c.g / 255, c.b / 255, easel->labels ? 0 : alpha);
}

void easel_fill(Easel *easel, Region region, Rgb colour) {
  easel_colour(easel, region, colour);
  cairo_fill(easel->cr);
}

static void outline(Easel *easel, Rgb colour) {
  if (easel->style == STYLE_OUTLINED && !easel->labels) {
    easel_colour(easel, REGION_FEATURE, rgb_dark(colour, 0.82));
    cairo_set_line_width(easel->cr, easel->line);
    cairo_stroke(easel->cr);
  }
  cairo_new_path(easel->cr);
}

void easel_shape(Easel *easel, Region region, Rgb colour) {
  easel_colour(easel, region, colour);
  cairo_fill_preserve(easel->cr);
  outline(easel, colour);
}

void easel_solid(Easel *easel, Region region, Rgb colour, double away) {
  cairo_t *cr = easel->cr;
  if (easel->labels) {
    easel_fill(easel, region, colour);
    return;
  }
  cairo_path_t *path = cairo_copy_path(cr);
  easel_colour(easel, region, rgb_dark(colour, 0.22));
  cairo_fill_preserve(cr);
  cairo_save(cr);
  cairo_clip(cr);
  cairo_translate(cr, -away, -away * 0.55);
  cairo_append_path(cr, path);
  easel_fill(easel, region, colour);
  cairo_restore(cr);
  if (easel->style == STYLE_OUTLINED) {
    cairo_append_path(cr, path);
    outline(easel, colour);
  }
  cairo_path_destroy(path);
}

void easel_stroke(Easel *easel, Region region, Rgb colour, double width) {
  easel_colour(easel, region, colour);
  cairo_set_line_width(easel->cr, width);
  cairo_stroke(easel->cr);
}

void easel_limb(Easel *easel, Region region, Rgb colour, double width) {
  cairo_t *cr = easel->cr;
  if (easel->labels) {
    easel_stroke(easel, region, colour, width);
    return;
  }
  if (easel->style == STYLE_OUTLINED) {
    easel_colour(easel, REGION_FEATURE, rgb_dark(colour, 0.82));
    cairo_set_line_width(cr, width + easel->line);
    cairo_stroke_preserve(cr);
  }
  easel_colour(easel, region, rgb_dark(colour, 0.22));
  cairo_set_line_width(cr, width - (easel->style == STYLE_OUTLINED ? easel->line : 0));
  cairo_stroke_preserve(cr);
  cairo_path_t *path = cairo_copy_path(cr);
  cairo_new_path(cr);
  cairo_save(cr);
  cairo_translate(cr, -width * 0.09, -width * 0.06);
  cairo_append_path(cr, path);
  easel_stroke(easel, region, colour, width * 0.74);
  cairo_restore(cr);
  cairo_path_destroy(path);
}

void easel_glaze(Easel *easel, Rgb c, double alpha) {
  if (!easel->labels) {
    easel_veil(easel, c, alpha);
    cairo_fill_preserve(easel->cr);
  }
  cairo_new_path(easel->cr);
}

void path_ellipse(cairo_t *cr, double x, double y, double rx, double ry) {
  const double k = 0.5522847498;
  cairo_move_to(cr, x + rx, y);
  cairo_curve_to(cr, x + rx, y + k * ry, x + k * rx, y + ry, x, y + ry);
  cairo_curve_to(cr, x - k * rx, y + ry, x - rx, y + k * ry, x - rx, y);
  cairo_curve_to(cr, x - rx, y - k * ry, x - k * rx, y - ry, x, y - ry);
  cairo_curve_to(cr, x + k * rx, y - ry, x + rx, y - k * ry, x + rx, y);
  cairo_close_path(cr);
}

void path_polygon(cairo_t *cr, const double *xy, int count) {
  for (int i = 0; i < count; i++)
    cairo_line_to(cr, xy[2 * i], xy[2 * i + 1]);
  cairo_close_path(cr);
}
