/* Body and clothes; the order of painting is from back to front, arms last. */
#include "figure.h"
#include <math.h>

typedef struct {
  double shoulder, waist, hip; /* half widths */
} Build;

static Build build_of(const Figure *f) {
  return f->of->subject == SUBJECT_MAN ? (Build){1.04, 0.80, 0.76} : (Build){0.86, 0.62, 0.78};
}

static gboolean short_sleeves(const Figure *f) {
  return f->of->garment == GARMENT_TSHIRT || f->of->garment == GARMENT_DRESS;
}

/* --- legs --- */

static void paint_shoe(Easel *e, const Figure *f, int side) {
  cairo_t *cr = e->cr;
  double x = side * 0.44;
  cairo_move_to(cr, x - 0.3, 5.04);
  cairo_curve_to(cr, x - 0.34, 4.62, x + 0.34, 4.62, x + 0.3, 5.04);
  cairo_curve_to(cr, x + side * 0.16 + 0.26, 5.12, x + side * 0.16 - 0.26, 5.12, x - 0.3, 5.04);
  easel_solid(e, REGION_FEATURE, f->shoe, 0.07);
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(cr, x - 0.28, 5.06);
  cairo_line_to(cr, x + 0.28, 5.06);
  easel_stroke(e, REGION_FEATURE, rgb_light(f->shoe, 0.75), 0.09);
}

static void paint_legs(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  gboolean bare = f->of->garment == GARMENT_DRESS;
  Rgb cloth = f->of->garment == GARMENT_SUIT ? f->cloth : f->trousers;
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_BUTT);
  for (int side = -1; side <= 1; side += 2) {
    paint_shoe(e, f, side);
    cairo_move_to(cr, side * 0.37, 2.8);
    cairo_line_to(cr, side * 0.42, 4.8);
    if (bare)
      easel_limb(e, REGION_SKIN, f->skin, 0.38);
    else
      easel_limb(e, REGION_FEATURE, cloth, 0.6);
  }
}

/* --- torso --- */

static void torso_path(cairo_t *cr, Build b, double hem, double flare, double neck) {
  double s = b.shoulder, w = b.waist;
  cairo_move_to(cr, -0.36, 1.12);
  cairo_curve_to(cr, -0.62, 1.24, -s, 1.2, -s, 1.72);
  cairo_curve_to(cr, -s, 2.0, -w, 2.1, -w, 2.4);
  cairo_curve_to(cr, -w, 2.7, -flare, hem - 0.3, -flare, hem);
  cairo_curve_to(cr, -flare * 0.5, hem + 0.1, flare * 0.5, hem + 0.1, flare, hem);
  cairo_curve_to(cr, flare, hem - 0.3, w, 2.7, w, 2.4);
  cairo_curve_to(cr, w, 2.1, s, 2.0, s, 1.72);
  cairo_curve_to(cr, s, 1.2, 0.62, 1.24, 0.36, 1.12);
  cairo_curve_to(cr, 0.2, 1.12 + neck, -0.2, 1.12 + neck, -0.36, 1.12);
  cairo_close_path(cr);
}

static void collar(Easel *e, Rgb colour, double dip, double width, Region region) {
  cairo_set_line_cap(e->cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(e->cr, -0.36, 1.13);
  cairo_curve_to(e->cr, -0.2, 1.13 + dip, 0.2, 1.13 + dip, 0.36, 1.13);
  easel_stroke(e, region, colour, width);
}

static void paint_hem(Easel *e, Rgb colour, double half, double y) {
  cairo_set_line_cap(e->cr, CAIRO_LINE_CAP_BUTT);
  cairo_move_to(e->cr, -half + 0.02, y);
  cairo_curve_to(e->cr, -half * 0.5, y + 0.1, half * 0.5, y + 0.1, half - 0.02, y);
  easel_stroke(e, REGION_CLOTHES, colour, 0.17);
}

static void paint_stripes(Easel *e, const Figure *f, Build b) {
  cairo_t *cr = e->cr;
  Rgb band = f->of->cloth == CLOTH_WHITE ? (Rgb){52, 66, 112} : (Rgb){250, 248, 242};
  cairo_save(cr);
  torso_path(cr, b, 3.05, b.hip, 0.3);
  cairo_clip(cr);
  for (int i = 0; i < 4; i++) {
    double y = 1.52 + 0.44 * i;
    cairo_move_to(cr, -1.2, y);
    cairo_curve_to(cr, -0.4, y + 0.1, 0.4, y + 0.1, 1.2, y);
    easel_stroke(e, REGION_FEATURE, band, 0.17);
  }
  cairo_restore(cr);
}

static void paint_suit_front(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  Rgb shirt = f->of->cloth == CLOTH_WHITE ? (Rgb){120, 150, 206} : (Rgb){252, 252, 252};
  Rgb tie =
      f->of->cloth == CLOTH_RED || f->of->cloth == CLOTH_ORANGE ? (Rgb){44, 52, 92} : (Rgb){196, 40, 60};
  path_polygon(cr, (double[]){-0.37, 1.12, 0.37, 1.12, 0, 2.25}, 3);
  easel_fill(e, REGION_FEATURE, shirt);
  path_polygon(
      cr, (double[]){-0.12, 1.28, 0.12, 1.28, 0.07, 1.46, 0.14, 1.95, 0, 2.16, -0.14, 1.95, -0.07, 1.46}, 7);
  easel_fill(e, REGION_FEATURE, tie);
  for (int side = -1; side <= 1; side += 2) {
    path_polygon(cr,
                 (double[]){side * 0.33, 1.1, side * 0.58, 1.3, side * 0.5, 1.56, side * 0.58, 1.64, 0, 2.32,
                            side * 0.24, 1.6},
                 6);
    easel_shape(e, REGION_CLOTHES,
                f->of->cloth == CLOTH_BLACK ? rgb_light(f->cloth, 0.16) : rgb_dark(f->cloth, 0.24));
  }
  path_ellipse(cr, 0.02, 2.62, 0.06, 0.06);
  easel_fill(e, REGION_FEATURE, rgb_dark(f->cloth, 0.55));
}

static void paint_hoodie_front(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  Rgb deep = f->of->cloth == CLOTH_BLACK ? rgb_light(f->cloth, 0.18) : rgb_dark(f->cloth, 0.22);
  path_polygon(cr, (double[]){-0.4, 2.42, 0.4, 2.42, 0.58, 2.84, -0.58, 2.84}, 4);
  easel_shape(e, REGION_CLOTHES, deep);
  collar(e, deep, 0.5, 0.26, REGION_CLOTHES);
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  for (int side = -1; side <= 1; side += 2) {
    cairo_move_to(cr, side * 0.15, 1.5);
    cairo_line_to(cr, side * 0.17, 1.95);
  }
  easel_stroke(e, REGION_FEATURE, (Rgb){250, 248, 240}, 0.075);
}

static void paint_torso(Easel *e, const Figure *f) {
  Build b = build_of(f);
  Rgb trim = f->of->cloth == CLOTH_BLACK ? rgb_light(f->cloth, 0.2) : rgb_dark(f->cloth, 0.26);
  Garment garment = f->of->garment;
  if (garment == GARMENT_DRESS) {
    torso_path(e->cr, b, 4.0, 1.22, 0.42);
    easel_solid(e, REGION_CLOTHES, f->cloth, 0.14);
    paint_hem(e, trim, 1.2, 3.94);
    cairo_set_line_cap(e->cr, CAIRO_LINE_CAP_BUTT);
    cairo_move_to(e->cr, -b.waist, 2.42);
    cairo_curve_to(e->cr, -0.3, 2.5, 0.3, 2.5, b.waist, 2.42);
    easel_stroke(e, REGION_CLOTHES, trim, 0.16);
    return;
  }
  double hem = garment == GARMENT_SUIT ? 3.3 : 3.05;
  torso_path(e->cr, b, hem, garment == GARMENT_SUIT ? b.hip + 0.08 : b.hip,
             garment == GARMENT_SWEATER ? 0.12 : 0.34);
  easel_solid(e, REGION_CLOTHES, f->cloth, 0.14);
  switch (garment) {
  case GARMENT_TSHIRT:
    collar(e, trim, 0.36, 0.1, REGION_CLOTHES);
    break;
  case GARMENT_SWEATER:
    collar(e, trim, 0.16, 0.26, REGION_CLOTHES);
    paint_hem(e, trim, b.hip, 2.98);
    break;
  case GARMENT_HOODIE:
    paint_hem(e, trim, b.hip, 2.98);
    paint_hoodie_front(e, f);
    break;
  case GARMENT_SUIT:
    paint_suit_front(e, f);
    break;
  case GARMENT_STRIPED:
    paint_stripes(e, f, b);
    collar(e, trim, 0.36, 0.1, REGION_CLOTHES);
    break;
  default:
    break;
  }
}

/* --- arms --- */

typedef struct {
  double x[3], y[3]; /* shoulder, elbow, hand */
  gboolean up;
} Arm;

static Arm arm_of(const Figure *f, int k) {
  Build b = build_of(f);
  int side = k == 0 ? -1 : 1;
  Posture posture = f->of->posture;
  gboolean up = posture == POSE_BOTH_UP || posture == (k == 0 ? POSE_RIGHT_UP : POSE_LEFT_UP);
  Arm arm = {.up = up};
  arm.x[0] = b.shoulder - 0.22;
  arm.y[0] = 1.56;
  if (up) {
    arm.x[1] = b.shoulder + 0.86, arm.y[1] = 1.72;
    arm.x[2] = b.shoulder + 0.78, arm.y[2] = 0.22;
  } else if (posture == POSE_HIPS) {
    arm.x[1] = b.shoulder + 1.0, arm.y[1] = 2.1;
    arm.x[2] = b.hip + 0.06, arm.y[2] = 2.76;
  } else {
    arm.x[1] = b.shoulder + 0.26, arm.y[1] = 2.2;
    arm.x[2] = b.shoulder + 0.18, arm.y[2] = 2.98;
  }
  for (int i = 0; i < 3; i++)
    arm.x[i] *= side;
  arm.x[1] += f->elbow[k][0], arm.y[1] += f->elbow[k][1];
  arm.x[2] += f->hand[k][0], arm.y[2] += f->hand[k][1];
  return arm;
}

/* The first `share` of a curve that bends at the elbow. */
static void arm_path(cairo_t *cr, const Arm *a, double share) {
  double x1 = a->x[0] + (a->x[1] - a->x[0]) * share, y1 = a->y[0] + (a->y[1] - a->y[0]) * share;
  double bx = a->x[1] + (a->x[2] - a->x[1]) * share, by = a->y[1] + (a->y[2] - a->y[1]) * share;
  double x2 = x1 + (bx - x1) * share, y2 = y1 + (by - y1) * share;
  cairo_move_to(cr, a->x[0], a->y[0]);
  cairo_curve_to(cr, a->x[0] + (x1 - a->x[0]) * 0.8, a->y[0] + (y1 - a->y[0]) * 0.8, x2 + (x1 - x2) * 0.8,
                 y2 + (y1 - y2) * 0.8, x2, y2);
}

static void paint_hand(Easel *e, const Figure *f, const Arm *a, int side) {
  cairo_t *cr = e->cr;
  double x = a->x[2], y = a->y[2];
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  if (a->up) {
    for (int i = -1; i <= 2; i++) {
      double turn = side * 0.16 + 0.36 * (i - 0.5) * side;
      cairo_move_to(cr, x, y - 0.12);
      cairo_line_to(cr, x + 0.42 * sin(turn), y - 0.12 - 0.42 * cos(turn));
    }
    cairo_move_to(cr, x, y);
    cairo_line_to(cr, x - side * 0.34, y - 0.16);
    easel_stroke(e, REGION_SKIN, f->skin, 0.15);
    path_ellipse(cr, x, y - 0.06, 0.23, 0.25);
    easel_fill(e, REGION_SKIN, f->skin);
  } else if (f->of->posture == POSE_HIPS) {
    path_ellipse(cr, x, y, 0.22, 0.2);
    easel_shape(e, REGION_SKIN, f->skin);
  } else {
    path_ellipse(cr, x, y + 0.1, 0.2, 0.26);
    easel_shape(e, REGION_SKIN, f->skin);
    cairo_move_to(cr, x - side * 0.1, y + 0.02);
    cairo_line_to(cr, x - side * 0.21, y + 0.18);
    easel_stroke(e, REGION_SKIN, f->skin, 0.13);
  }
}

static void paint_arm(Easel *e, const Figure *f, int k) {
  cairo_t *cr = e->cr;
  Arm arm = arm_of(f, k);
  int side = k == 0 ? -1 : 1;
  double thick = f->of->subject == SUBJECT_MAN ? 0.46 : 0.4;
  cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
  paint_hand(e, f, &arm, side);
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  if (short_sleeves(f)) {
    arm_path(cr, &arm, 1);
    easel_limb(e, REGION_SKIN, f->skin, thick - 0.1);
    arm_path(cr, &arm, 0.4);
    easel_limb(e, REGION_CLOTHES, f->cloth, thick + 0.08);
    return;
  }
  arm_path(cr, &arm, 0.93);
  easel_limb(e, REGION_CLOTHES, f->cloth, thick);
  if (f->of->garment == GARMENT_STRIPED && !e->labels) {
    Rgb band = f->of->cloth == CLOTH_WHITE ? (Rgb){52, 66, 112} : (Rgb){250, 248, 242};
    cairo_save(cr);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_BUTT);
    cairo_set_dash(cr, (double[]){0.15, 0.26}, 2, 0.05);
    arm_path(cr, &arm, 0.9);
    easel_stroke(e, REGION_FEATURE, band, thick - 0.02);
    cairo_restore(cr);
  } else if (f->of->garment == GARMENT_STRIPED) { /* stripes are not the garment's colour */
    cairo_save(cr);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_BUTT);
    cairo_set_dash(cr, (double[]){0.15, 0.26}, 2, 0.05);
    arm_path(cr, &arm, 0.9);
    easel_stroke(e, REGION_FEATURE, f->cloth, thick - 0.02);
    cairo_restore(cr);
  }
}

void figure_paint(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  if (f->of->framing == FRAMING_FULL) {
    path_ellipse(cr, 0, 5.08, 1.2, 0.17);
    easel_glaze(e, (Rgb){20, 16, 40}, 0.28);
  }
  cairo_save(cr);
  cairo_translate(cr, 0, 1);
  cairo_rotate(cr, f->tilt);
  cairo_translate(cr, 0, -1);
  hair_paint_behind(e, f);
  cairo_restore(cr);
  if (f->of->framing == FRAMING_FULL)
    paint_legs(e, f);
  if (f->of->garment == GARMENT_HOODIE) {
    path_ellipse(cr, 0, 1.14, 0.78, 0.44);
    easel_shape(e, REGION_CLOTHES, rgb_dark(f->cloth, 0.3));
  }
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(cr, 0, 0.7);
  cairo_line_to(cr, 0, 1.26);
  double neck = f->of->subject == SUBJECT_MAN ? 0.62 : 0.5;
  if (e->style == STYLE_OUTLINED && !e->labels) {
    easel_colour(e, REGION_FEATURE, rgb_dark(f->skin, 0.82));
    cairo_set_line_width(cr, neck + e->line);
    cairo_stroke_preserve(cr);
  }
  easel_stroke(e, REGION_SKIN, rgb_dark(f->skin, e->style == STYLE_OUTLINED ? 0.12 : 0.16), neck);
  paint_torso(e, f);
  cairo_save(cr);
  cairo_translate(cr, 0, 1);
  cairo_rotate(cr, f->tilt);
  cairo_translate(cr, 0, -1);
  head_paint(e, f);
  cairo_restore(cr);
  for (int k = 0; k < 2; k++)
    paint_arm(e, f, k);
}
