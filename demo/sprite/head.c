/* Head and face. The features grow when the figure is small, so that eyes and mouth keep several pixels. */
#include "figure.h"
#include <math.h>

static const struct {
  double width, height, jaw, chin; /* jaw: how far down the cheeks stay wide; chin: how wide it is */
} faces[FACES] = {
    {1.00, 0.98, 0.58, 0.60}, {0.88, 1.06, 0.60, 0.40}, {0.93, 1.00, 0.94, 0.74}, {0.78, 1.16, 0.72, 0.50}};

double head_half_width(Face face) {
  return faces[face].width;
}

double head_height(Face face) {
  return faces[face].height;
}

void head_path(cairo_t *cr, Face face, double grow) {
  double w = faces[face].width * grow, h = faces[face].height * grow, k = 0.56;
  double jaw = faces[face].jaw, chin = faces[face].chin;
  cairo_move_to(cr, -w, 0);
  cairo_curve_to(cr, -w, -k * h, -k * w, -h, 0, -h);
  cairo_curve_to(cr, k * w, -h, w, -k * h, w, 0);
  cairo_curve_to(cr, w, jaw * h, chin * w, h, 0, h);
  cairo_curve_to(cr, -chin * w, h, -w, jaw * h, -w, 0);
  cairo_close_path(cr);
}

static void paint_ears(Easel *e, const Figure *f) {
  double w = faces[f->of->face].width;
  for (int side = -1; side <= 1; side += 2) {
    path_ellipse(e->cr, side * w, 0.12, 0.19, 0.25);
    easel_shape(e, REGION_SKIN, f->skin);
    path_ellipse(e->cr, side * (w + 0.02), 0.13, 0.08, 0.13);
    easel_glaze(e, rgb_dark(f->skin, 0.4), 0.7);
  }
}

static double eye_distance(const Figure *f) {
  return 0.24 + 0.16 * faces[f->of->face].width;
}

static void paint_eyes(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double grow = f->bold, x = eye_distance(f), wide = f->of->mood == MOOD_SURPRISED ? 1.16 : 1;
  double rx = 0.165 * grow, ry = 0.215 * grow * wide;
  for (int side = -1; side <= 1; side += 2) {
    path_ellipse(cr, side * x, 0.06, rx, ry);
    easel_fill(e, REGION_FEATURE, (Rgb){255, 255, 255});
    path_ellipse(cr, side * x + 0.03 * f->blink, 0.085, rx * 0.68, ry * 0.74);
    easel_fill(e, REGION_FEATURE, (Rgb){42, 30, 36});
    path_ellipse(cr, side * x + 0.03 * f->blink - 0.05 * grow, 0.0, rx * 0.26, ry * 0.24);
    easel_fill(e, REGION_FEATURE, (Rgb){255, 255, 255});
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_move_to(cr, side * x - rx, 0.06 - ry * 0.45);
    cairo_curve_to(cr, side * x - rx * 0.6, 0.06 - ry * 1.2, side * x + rx * 0.6, 0.06 - ry * 1.2,
                   side * x + rx, 0.06 - ry * 0.45);
    if (f->of->subject == SUBJECT_WOMAN) {
      cairo_move_to(cr, side * (x + rx * 0.9), 0.06 - ry * 0.55);
      cairo_line_to(cr, side * (x + rx * 1.5), 0.06 - ry * 0.95);
    }
    easel_stroke(e, REGION_FEATURE, (Rgb){42, 30, 36}, 0.06 * grow);
  }
}

static void paint_brows(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double x = eye_distance(f), y = -0.27 * (1 + 0.3 * (f->bold - 1));
  double inner = 0, outer = 0, arch = -0.08;
  if (f->of->mood == MOOD_SERIOUS)
    inner = 0.09, outer = -0.02, arch = -0.02;
  if (f->of->mood == MOOD_SURPRISED)
    inner = -0.12, outer = -0.08, arch = -0.12;
  double width = f->of->subject == SUBJECT_MAN ? 0.105 : 0.07;
  Rgb colour = f->of->hair == HAIR_BALD ? rgb_dark(f->skin, 0.55) : rgb_dark(f->hair, 0.22);
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  for (int side = -1; side <= 1; side += 2) {
    cairo_move_to(cr, side * (x - 0.17), y + inner);
    cairo_curve_to(cr, side * (x - 0.05), y + inner + arch, side * (x + 0.08), y + outer + arch,
                   side * (x + 0.2), y + outer + 0.02);
  }
  easel_stroke(e, REGION_FEATURE, colour, width * f->bold);
}

static void paint_mouth(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double y = 0.56 * faces[f->of->face].height, g = 0.8 + 0.2 * f->bold;
  Rgb lips =
      rgb_mix(rgb_dark(f->skin, 0.42), (Rgb){196, 44, 66}, f->of->subject == SUBJECT_WOMAN ? 0.75 : 0.4);
  if (f->of->mood == MOOD_SMILING) {
    cairo_move_to(cr, -0.32 * g, y - 0.05);
    cairo_curve_to(cr, -0.14, y + 0.01, 0.14, y + 0.01, 0.32 * g, y - 0.05);
    cairo_curve_to(cr, 0.26 * g, y + 0.29 * g, -0.26 * g, y + 0.29 * g, -0.32 * g, y - 0.05);
    easel_fill(e, REGION_FEATURE, (Rgb){124, 30, 44});
    cairo_move_to(cr, -0.27 * g, y - 0.02);
    cairo_curve_to(cr, -0.12, y + 0.02, 0.12, y + 0.02, 0.27 * g, y - 0.02);
    cairo_curve_to(cr, 0.18, y + 0.1 * g, -0.18, y + 0.1 * g, -0.27 * g, y - 0.02);
    easel_fill(e, REGION_FEATURE, (Rgb){255, 252, 248});
    path_ellipse(cr, 0, y + 0.155 * g, 0.11, 0.05);
    easel_fill(e, REGION_FEATURE, (Rgb){238, 108, 112});
  } else if (f->of->mood == MOOD_SERIOUS) {
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_move_to(cr, -0.2 * g, y + 0.05);
    cairo_curve_to(cr, -0.08, y + 0.02, 0.08, y + 0.02, 0.2 * g, y + 0.05);
    easel_stroke(e, REGION_FEATURE, rgb_dark(lips, 0.2), 0.1 * f->bold);
  } else {
    path_ellipse(cr, 0, y + 0.08, 0.14 * g, 0.19 * g);
    easel_fill(e, REGION_FEATURE, (Rgb){124, 30, 44});
    path_ellipse(cr, 0, y + 0.18, 0.09, 0.06);
    easel_fill(e, REGION_FEATURE, (Rgb){238, 108, 112});
  }
}

static void paint_nose_and_cheeks(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double w = faces[f->of->face].width;
  for (int side = -1; side <= 1; side += 2) {
    path_ellipse(cr, side * w * 0.6, 0.38, 0.18, 0.12);
    easel_glaze(e, (Rgb){240, 84, 84}, f->of->skin == SKIN_DARK ? 0.14 : 0.24);
  }
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(cr, -0.07, 0.32);
  cairo_curve_to(cr, -0.06, 0.4, 0.06, 0.4, 0.08, 0.32);
  easel_stroke(e, REGION_FEATURE, rgb_dark(f->skin, 0.36), 0.075 * f->bold);
}

/* Under the mouth: a beard frames the jaw and leaves the mouth free; a moustache lies above it. */
static void paint_beard(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double w = faces[f->of->face].width, h = faces[f->of->face].height, y = 0.56 * h;
  if (f->of->beard == BEARD_FULL) {
    double jaw = faces[f->of->face].jaw, chin = faces[f->of->face].chin;
    cairo_move_to(cr, -w * 1.01, 0.1);
    cairo_curve_to(cr, -w * 1.04, jaw * h + 0.16, -chin * w - 0.12, h + 0.22, 0, h + 0.22);
    cairo_curve_to(cr, chin * w + 0.12, h + 0.22, w * 1.04, jaw * h + 0.16, w * 1.01, 0.1);
    cairo_curve_to(cr, w * 0.9, 0.42, w * 0.8, y + 0.04, w * 0.58, y + 0.02);
    cairo_curve_to(cr, w * 0.44, y - 0.02, 0.3, y - 0.24, 0, y - 0.14);
    cairo_curve_to(cr, -0.3, y - 0.24, -w * 0.44, y - 0.02, -w * 0.58, y + 0.02);
    cairo_curve_to(cr, -w * 0.8, y + 0.04, -w * 0.9, 0.42, -w * 1.01, 0.1);
    cairo_close_path(cr);
    easel_solid(e, REGION_BEARD, f->hair, 0.1);
    if (f->of->mood == MOOD_SERIOUS) { /* a dark line would be lost in it */
      path_ellipse(cr, 0, y + 0.05, 0.28, 0.11);
      easel_fill(e, REGION_FEATURE, f->skin);
    }
  } else if (f->of->beard == BEARD_MOUSTACHE) {
    double up = f->of->mood == MOOD_SURPRISED ? 0.03 : 0, g = 0.7 + 0.3 * f->bold;
    cairo_move_to(cr, 0, y - 0.22 * g - up);
    cairo_curve_to(cr, 0.16, y - 0.3 * g - up, 0.36 * g, y - 0.16 - up, 0.52 * g, y - 0.2 * g - up);
    cairo_curve_to(cr, 0.46 * g, y + 0.06 - up, 0.14, y + 0.06 - up, 0, y - 0.05 - up);
    cairo_curve_to(cr, -0.14, y + 0.06 - up, -0.46 * g, y + 0.06 - up, -0.52 * g, y - 0.2 * g - up);
    cairo_curve_to(cr, -0.36 * g, y - 0.16 - up, -0.16, y - 0.3 * g - up, 0, y - 0.22 * g - up);
    cairo_close_path(cr);
    easel_solid(e, REGION_BEARD, f->hair, 0.05);
  }
}

static void paint_eyewear(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double x = eye_distance(f) + 0.02, w = faces[f->of->face].width, g = 0.75 + 0.25 * f->bold;
  Rgb dark = {26, 24, 32};
  double rx = 0.32 * g, ry = 0.31 * g, line = 0.085 * f->bold;
  if (f->of->eyewear == EYEWEAR_NONE)
    return;
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(cr, -w - 0.02, -0.02);
  cairo_line_to(cr, -x - rx, 0.02);
  cairo_move_to(cr, w + 0.02, -0.02);
  cairo_line_to(cr, x + rx, 0.02);
  cairo_move_to(cr, -x + rx * 0.9, 0.02);
  cairo_curve_to(cr, -0.05, -0.05, 0.05, -0.05, x - rx * 0.9, 0.02);
  easel_stroke(e, REGION_EYEWEAR, dark, line);
  for (int side = -1; side <= 1; side += 2) {
    if (f->of->eyewear == EYEWEAR_GLASSES) {
      path_ellipse(cr, side * x, 0.07, rx, ry);
      easel_glaze(e, (Rgb){226, 244, 255}, 0.42);
      path_ellipse(cr, side * x, 0.07, rx, ry);
      easel_stroke(e, REGION_EYEWEAR, dark, line);
    } else {
      cairo_move_to(cr, side * (x - rx * 0.92), -0.13 * g);
      cairo_curve_to(cr, side * (x - rx * 0.2), -0.2 * g, side * (x + rx), -0.2 * g, side * (x + rx * 1.12),
                     -0.13 * g);
      cairo_curve_to(cr, side * (x + rx * 1.2), 0.34 * g, side * (x + 0.2 * rx), 0.44 * g, side * x,
                     0.42 * g);
      cairo_curve_to(cr, side * (x - 0.7 * rx), 0.4 * g, side * (x - rx), 0.2 * g, side * (x - rx * 0.92),
                     -0.13 * g);
      easel_fill(e, REGION_EYEWEAR, dark);
      cairo_move_to(cr, side * x - 0.16, 0.12);
      cairo_line_to(cr, side * x + 0.02, -0.08);
      easel_stroke(e, REGION_EYEWEAR, (Rgb){122, 132, 156}, 0.075);
    }
  }
}

void head_paint(Easel *e, const Figure *f) {
  paint_ears(e, f);
  head_path(e->cr, f->of->face, 1);
  easel_solid(e, REGION_SKIN, f->skin, 0.13);
  if (f->of->hair == HAIR_BALD) {
    path_ellipse(e->cr, -0.3, -0.68, 0.26, 0.12);
    easel_glaze(e, (Rgb){255, 255, 255}, 0.35);
  }
  paint_nose_and_cheeks(e, f);
  paint_beard(e, f);
  paint_mouth(e, f);
  if (f->of->eyewear != EYEWEAR_SUNGLASSES)
    paint_eyes(e, f);
  mark_paint(e, f, TRUE);
  hair_paint_before(e, f);
  paint_brows(e, f);
  paint_eyewear(e, f);
  mark_paint(e, f, FALSE);
}
