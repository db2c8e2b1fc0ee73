/* Nine ways to wear hair, each with a part behind the head, a part before it, and a sheen. */
#include "figure.h"
#include <math.h>

static void sheen(Easel *e, const Figure *f, double w, double h) {
  if (e->labels)
    return;
  cairo_t *cr = e->cr;
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(cr, -w * 0.66, -h * 0.56);
  cairo_curve_to(cr, -w * 0.56, -h * 0.84, -w * 0.3, -h * 0.98, -w * 0.02, -h * 1.0);
  easel_veil(e, rgb_light(f->hair, 0.55), 0.7);
  cairo_set_line_width(cr, 0.11);
  cairo_stroke(cr);
}

/* From temple to temple over the crown; the caller draws the hairline back from right to left. */
static void cap_over(cairo_t *cr, double w, double h, double temple) {
  cairo_move_to(cr, -w, temple);
  cairo_curve_to(cr, -w * 1.06, -h * 0.62, -w * 0.62, -h, 0, -h);
  cairo_curve_to(cr, w * 0.62, -h, w * 1.06, -h * 0.62, w, temple);
}

/* A ring of curls: circles on an arc, and the inside. */
static void curls(Easel *e, Rgb colour, double rx, double ry, double cy, double from, double to, int count,
                  double r) {
  cairo_t *cr = e->cr;
  for (int i = 0; i < count; i++) {
    double a = from + (to - from) * i / (count - 1);
    path_ellipse(cr, rx * cos(a), cy + ry * sin(a), r, r);
    easel_shape(e, REGION_HAIR, i % 2 ? colour : rgb_dark(colour, 0.1));
  }
}

static void paint_afro_behind(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cairo_set_fill_rule(cr, CAIRO_FILL_RULE_WINDING);
  double cx = 0, cy = -0.28, rx = w + 0.62, ry = h + 0.5;
  int bumps = 15;
  for (int i = 0; i <= bumps; i++) {
    double a = 2 * G_PI * i / bumps, b = a - G_PI / bumps;
    double x = cx + rx * cos(a), y = cy + ry * sin(a);
    if (i == 0)
      cairo_move_to(cr, x, y);
    else
      cairo_curve_to(cr, cx + rx * 1.1 * cos(b - 0.1), cy + ry * 1.1 * sin(b - 0.1),
                     cx + rx * 1.1 * cos(b + 0.1), cy + ry * 1.1 * sin(b + 0.1), x, y);
  }
  cairo_close_path(cr);
  easel_solid(e, REGION_HAIR, f->hair, 0.2);
}

void hair_paint_behind(Easel *e, const Figure *f) {
  cairo_t *cr = e->cr;
  double w = head_half_width(f->of->face), h = head_height(f->of->face);
  Rgb back = rgb_dark(f->hair, 0.16);
  switch (f->of->hair) {
  case HAIR_LONG:
    cairo_move_to(cr, 0, -h - 0.14);
    cairo_curve_to(cr, w + 0.5, -h - 0.14, w + 0.34, 0.4, w + 0.42, 1.2);
    cairo_curve_to(cr, w + 0.5, 1.7, w + 0.34, 2.1, w + 0.3, 2.24);
    cairo_curve_to(cr, w * 0.6, 2.42, w * 0.4, 2.2, 0, 2.2);
    cairo_curve_to(cr, -w * 0.4, 2.2, -w * 0.6, 2.42, -w - 0.3, 2.24);
    cairo_curve_to(cr, -w - 0.34, 2.1, -w - 0.5, 1.7, -w - 0.42, 1.2);
    cairo_curve_to(cr, -w - 0.34, 0.4, -w - 0.5, -h - 0.14, 0, -h - 0.14);
    easel_shape(e, REGION_HAIR, back);
    break;
  case HAIR_BOB:
    cairo_move_to(cr, 0, -h - 0.12);
    cairo_curve_to(cr, w + 0.5, -h - 0.12, w + 0.36, 0.2, w + 0.34, 0.7);
    cairo_curve_to(cr, w + 0.3, 1.16, w * 0.8, 1.14, w * 0.6, 1.1);
    cairo_line_to(cr, -w * 0.6, 1.1);
    cairo_curve_to(cr, -w * 0.8, 1.14, -w - 0.3, 1.16, -w - 0.34, 0.7);
    cairo_curve_to(cr, -w - 0.36, 0.2, -w - 0.5, -h - 0.12, 0, -h - 0.12);
    easel_shape(e, REGION_HAIR, back);
    break;
  case HAIR_CURLY:
    curls(e, back, w + 0.12, h + 0.06, 0.02, G_PI * 0.8, G_PI * 2.2, 12, 0.34);
    break;
  case HAIR_AFRO:
    paint_afro_behind(e, f, w, h);
    break;
  case HAIR_BUN:
    path_ellipse(cr, 0, -h - 0.36, 0.46, 0.42);
    easel_solid(e, REGION_HAIR, f->hair, 0.12);
    break;
  default:
    break;
  }
}

static void paint_short(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cap_over(cr, w + 0.07, h + 0.2, 0.0);
  cairo_line_to(cr, w - 0.06, 0.06);
  cairo_curve_to(cr, w - 0.08, -0.2, w * 0.9, -0.4, w * 0.66, -h * 0.46);
  cairo_curve_to(cr, w * 0.2, -h * 0.34, -w * 0.3, -h * 0.42, -w * 0.5, -h * 0.66);
  cairo_curve_to(cr, -w * 0.6, -h * 0.5, -w * 0.86, -h * 0.4, -w + 0.06, 0.06);
  cairo_close_path(cr);
  easel_solid(e, REGION_HAIR, f->hair, 0.12);
  sheen(e, f, w, h);
}

static void paint_long(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cap_over(cr, w + 0.16, h + 0.18, 0.3);
  cairo_curve_to(cr, w + 0.22, 0.9, w + 0.3, 1.3, w + 0.2, 1.56);
  cairo_curve_to(cr, w - 0.12, 1.3, w + 0.02, 0.6, w - 0.08, 0.0);
  cairo_curve_to(cr, w * 0.7, -h * 0.3, w * 0.2, -h * 0.56, -w * 0.06, -h * 0.74);
  cairo_curve_to(cr, -w * 0.3, -h * 0.5, -w * 0.8, -h * 0.34, -w + 0.08, 0.0);
  cairo_curve_to(cr, -w - 0.02, 0.6, -w + 0.12, 1.3, -w - 0.2, 1.56);
  cairo_curve_to(cr, -w - 0.3, 1.3, -w - 0.22, 0.9, -w - 0.16, 0.3);
  easel_solid(e, REGION_HAIR, f->hair, 0.1);
  sheen(e, f, w, h);
}

static void paint_bob(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cap_over(cr, w + 0.2, h + 0.18, 0.3);
  cairo_curve_to(cr, w + 0.3, 0.8, w + 0.1, 1.02, w - 0.16, 1.0);
  cairo_curve_to(cr, w + 0.04, 0.6, w - 0.06, 0.1, w - 0.12, -0.26);
  cairo_curve_to(cr, w * 0.5, -0.36, -w * 0.5, -0.36, -w + 0.12, -0.26);
  cairo_curve_to(cr, -w + 0.06, 0.1, -w - 0.04, 0.6, -w + 0.16, 1.0);
  cairo_curve_to(cr, -w - 0.1, 1.02, -w - 0.3, 0.8, -w - 0.2, 0.3);
  easel_solid(e, REGION_HAIR, f->hair, 0.1);
  sheen(e, f, w, h);
}

static void paint_curly(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cap_over(cr, w, h + 0.1, -0.1);
  cairo_curve_to(cr, w * 0.5, -h * 0.62, -w * 0.5, -h * 0.62, -w, -0.1);
  easel_fill(e, REGION_HAIR, f->hair);
  curls(e, f->hair, w * 0.86, h * 0.66, -0.16, G_PI * 1.06, G_PI * 1.94, 6, 0.31);
  curls(e, rgb_light(f->hair, 0.07), w * 0.5, h * 0.3, -h * 0.78, G_PI * 1.0, G_PI * 2.0, 4, 0.28);
  curls(e, f->hair, w + 0.06, 0.3, 0.06, G_PI, 2 * G_PI, 2, 0.24);
}

static void paint_afro(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cap_over(cr, w + 0.05, h + 0.14, 0.02);
  cairo_curve_to(cr, w * 0.92, -h * 0.4, w * 0.6, -h * 0.62, 0, -h * 0.6);
  cairo_curve_to(cr, -w * 0.6, -h * 0.62, -w * 0.92, -h * 0.4, -w - 0.05, 0.02);
  easel_fill(e, REGION_HAIR, f->hair);
  cairo_save(cr);
  cairo_translate(cr, -0.1, -0.16);
  sheen(e, f, w + 0.3, h + 0.2);
  cairo_restore(cr);
}

static void paint_spiky(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  static const double tip[9][2] = {{-1.36, -0.3},  {-1.34, -0.92}, {-0.98, -1.42},
                                   {-0.42, -1.74}, {0.22, -1.76},  {0.82, -1.54},
                                   {1.26, -1.06},  {1.42, -0.44},  {1.2, -0.02}};
  cairo_move_to(cr, -w - 0.04, 0.06);
  for (int i = 0; i < 9; i++) {
    double b = G_PI * (1.075 + 0.108 * i);
    double reach = i == 8 ? 0.4 : 1;
    cairo_line_to(cr, tip[i][0] * (0.3 + 0.7 * w) * (i == 8 ? 0.92 : 1),
                  tip[i][1] * (h + 0.02) * reach + (i == 8 ? 0.06 : 0));
    if (i < 8)
      cairo_line_to(cr, (w + 0.14) * cos(b), (h + 0.16) * sin(b));
  }
  cairo_line_to(cr, w - 0.04, 0.06);
  cairo_line_to(cr, w * 0.84, -h * 0.36);
  cairo_line_to(cr, w * 0.56, -h * 0.26);
  cairo_line_to(cr, w * 0.34, -h * 0.52);
  cairo_line_to(cr, w * 0.06, -h * 0.28);
  cairo_line_to(cr, -w * 0.18, -h * 0.54);
  cairo_line_to(cr, -w * 0.5, -h * 0.28);
  cairo_line_to(cr, -w * 0.72, -h * 0.46);
  cairo_close_path(cr);
  easel_solid(e, REGION_HAIR, f->hair, 0.13);
  sheen(e, f, w * 0.9, h);
}

static void paint_mohawk(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  if (!e->labels) { /* the shaven sides */
    cap_over(cr, w + 0.01, h + 0.01, -0.06);
    cairo_curve_to(cr, w * 0.7, -h * 0.62, w * 0.4, -h * 0.6, 0, -h * 0.6);
    cairo_curve_to(cr, -w * 0.4, -h * 0.6, -w * 0.7, -h * 0.62, -w, -0.06);
    easel_glaze(e, f->hair, 0.4);
  }
  cairo_move_to(cr, -0.4, -h * 0.56);
  cairo_curve_to(cr, -0.56, -h * 1.0, -0.6, -h * 1.2, -0.56, -h - 0.5);
  cairo_line_to(cr, -0.32, -h - 0.36);
  cairo_line_to(cr, -0.22, -h - 0.74);
  cairo_line_to(cr, -0.02, -h - 0.5);
  cairo_line_to(cr, 0.2, -h - 0.78);
  cairo_line_to(cr, 0.32, -h - 0.4);
  cairo_line_to(cr, 0.58, -h - 0.52);
  cairo_curve_to(cr, 0.6, -h * 1.2, 0.56, -h * 1.0, 0.4, -h * 0.56);
  cairo_curve_to(cr, 0.2, -h * 0.44, -0.2, -h * 0.44, -0.4, -h * 0.56);
  easel_solid(e, REGION_HAIR, f->hair, 0.11);
}

static void paint_bun(Easel *e, const Figure *f, double w, double h) {
  cairo_t *cr = e->cr;
  cap_over(cr, w + 0.07, h + 0.13, 0.06);
  cairo_curve_to(cr, w * 0.9, -h * 0.3, w * 0.56, -h * 0.6, 0, -h * 0.62);
  cairo_curve_to(cr, -w * 0.56, -h * 0.6, -w * 0.9, -h * 0.3, -w - 0.07, 0.06);
  easel_solid(e, REGION_HAIR, f->hair, 0.11);
  sheen(e, f, w, h);
}

void hair_paint_before(Easel *e, const Figure *f) {
  static void (*const painters[HAIRS])(Easel *, const Figure *, double, double) = {
      paint_short, paint_long,   paint_bob, paint_curly, paint_afro,
      paint_spiky, paint_mohawk, paint_bun, NULL};
  if (painters[f->of->hair])
    painters[f->of->hair](e, f, head_half_width(f->of->face), head_height(f->of->face));
}
