/* Ten features that the base model never sees: a new character is known by one of them. */
#include "figure.h"
#include <math.h>

static void paint_headband(Easel *e, Rgb c, double w, double h) {
  cairo_t *cr = e->cr;
  cairo_move_to(cr, -w - 0.09, -h * 0.24);
  cairo_curve_to(cr, -w * 0.5, -h * 0.5, w * 0.5, -h * 0.5, w + 0.09, -h * 0.24);
  cairo_line_to(cr, w + 0.1, -h * 0.52);
  cairo_curve_to(cr, w * 0.5, -h * 0.8, -w * 0.5, -h * 0.8, -w - 0.1, -h * 0.52);
  cairo_close_path(cr);
  easel_solid(e, REGION_MARK, c, 0.08);
}

static void paint_eyepatch(Easel *e, Rgb c, double w) {
  cairo_t *cr = e->cr;
  cairo_move_to(cr, -w, -0.36);
  cairo_line_to(cr, w, 0.0);
  easel_stroke(e, REGION_MARK, c, 0.09);
  path_ellipse(cr, 0.38, 0.07, 0.31, 0.3);
  easel_shape(e, REGION_MARK, c);
}

static void paint_scar(Easel *e, Rgb c) {
  cairo_t *cr = e->cr;
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_move_to(cr, -0.62, -0.3);
  cairo_line_to(cr, -0.28, 0.52);
  for (int i = 0; i < 3; i++) {
    cairo_move_to(cr, -0.68 + 0.1 * i, -0.02 + 0.2 * i);
    cairo_line_to(cr, -0.4 + 0.1 * i, -0.1 + 0.2 * i);
  }
  easel_stroke(e, REGION_MARK, c, 0.1);
}

static void paint_cap(Easel *e, Rgb c, double w, double h) {
  cairo_t *cr = e->cr;
  cairo_move_to(cr, -w - 0.16, -h * 0.34);
  cairo_curve_to(cr, -w - 0.2, -h - 0.1, -w * 0.6, -h - 0.34, 0, -h - 0.34);
  cairo_curve_to(cr, w * 0.6, -h - 0.34, w + 0.2, -h - 0.1, w + 0.16, -h * 0.34);
  cairo_close_path(cr);
  easel_solid(e, REGION_MARK, c, 0.14);
  cairo_move_to(cr, -w * 0.9, -h * 0.36);
  cairo_curve_to(cr, -w * 0.6, -h * 0.56, w * 0.6, -h * 0.56, w * 0.9, -h * 0.36);
  cairo_curve_to(cr, w * 0.6, -h * 0.16, -w * 0.6, -h * 0.16, -w * 0.9, -h * 0.36);
  easel_shape(e, REGION_MARK, rgb_dark(c, 0.2));
}

static void paint_bow(Easel *e, Rgb c, double h) {
  cairo_t *cr = e->cr;
  cairo_save(cr);
  cairo_translate(cr, 0.52, -h - 0.04);
  cairo_rotate(cr, 0.4);
  for (int side = -1; side <= 1; side += 2) {
    cairo_move_to(cr, 0, 0);
    cairo_curve_to(cr, side * 0.2, -0.36, side * 0.62, -0.42, side * 0.62, -0.3);
    cairo_curve_to(cr, side * 0.7, 0, side * 0.7, 0.1, side * 0.62, 0.3);
    cairo_curve_to(cr, side * 0.62, 0.42, side * 0.2, 0.36, 0, 0);
    easel_solid(e, REGION_MARK, c, 0.08);
  }
  path_ellipse(cr, 0, 0, 0.15, 0.18);
  easel_shape(e, REGION_MARK, rgb_dark(c, 0.2));
  cairo_restore(cr);
}

static void paint_face_paint(Easel *e, Rgb c, double w) {
  cairo_set_line_cap(e->cr, CAIRO_LINE_CAP_ROUND);
  for (int side = -1; side <= 1; side += 2)
    for (int i = 0; i < 2; i++) {
      cairo_move_to(e->cr, side * w * 0.46, 0.36 + 0.17 * i);
      cairo_line_to(e->cr, side * w * 0.84, 0.28 + 0.17 * i);
    }
  easel_stroke(e, REGION_MARK, c, 0.11);
}

static void paint_horns(Easel *e, Rgb c, double h) {
  for (int side = -1; side <= 1; side += 2) {
    cairo_move_to(e->cr, side * 0.36, -h * 0.86);
    cairo_curve_to(e->cr, side * 0.4, -h - 0.2, side * 0.6, -h - 0.4, side * 0.92, -h - 0.46);
    cairo_curve_to(e->cr, side * 0.94, -h - 0.1, side * 0.86, -h * 0.8, side * 0.66, -h * 0.66);
    cairo_close_path(e->cr);
    easel_solid(e, REGION_MARK, c, 0.08);
  }
}

static void paint_flower(Easel *e, Rgb c, double w) {
  for (int i = 0; i < 5; i++) {
    double a = i * 2 * G_PI / 5;
    path_ellipse(e->cr, -w * 0.8 + 0.2 * cos(a), -0.52 + 0.2 * sin(a), 0.17, 0.17);
    easel_shape(e, REGION_MARK, c);
  }
  path_ellipse(e->cr, -w * 0.8, -0.52, 0.13, 0.13);
  easel_fill(e, REGION_MARK, (Rgb){255, 214, 80});
}

static void paint_crown(Easel *e, Rgb c, double h) {
  double top = -h - 0.62, foot = -h + 0.14;
  path_polygon(e->cr,
               (double[]){-0.62, foot, -0.72, top + 0.1, -0.34, top + 0.36, 0, top, 0.34, top + 0.36, 0.72,
                          top + 0.1, 0.62, foot},
               7);
  easel_solid(e, REGION_MARK, c, 0.1);
  path_ellipse(e->cr, 0, foot - 0.16, 0.12, 0.12);
  easel_fill(e, REGION_MARK, (Rgb){220, 50, 70});
}

void mark_paint(Easel *e, const Figure *f, gboolean before_hair) {
  double w = head_half_width(f->of->face), h = head_height(f->of->face);
  Rgb c = mark_colours[f->of->mark];
  cairo_new_path(e->cr);
  if (before_hair) {
    if (f->of->mark == MARK_SCAR)
      paint_scar(e, c);
    else if (f->of->mark == MARK_FACE_PAINT)
      paint_face_paint(e, c, w);
    return;
  }
  switch (f->of->mark) {
  case MARK_HEADBAND:
    paint_headband(e, c, w, h);
    break;
  case MARK_EYEPATCH:
    paint_eyepatch(e, c, w);
    break;
  case MARK_EARRINGS:
    for (int side = -1; side <= 1; side += 2) {
      path_ellipse(e->cr, side * (w + 0.03), 0.5, 0.15, 0.17);
      easel_stroke(e, REGION_MARK, c, 0.1);
    }
    break;
  case MARK_BOW:
    paint_bow(e, c, h);
    break;
  case MARK_CAP:
    paint_cap(e, c, w, h);
    break;
  case MARK_HORNS:
    paint_horns(e, c, h);
    break;
  case MARK_FLOWER:
    paint_flower(e, c, w);
    break;
  case MARK_CROWN:
    paint_crown(e, c, h);
    break;
  default:
    break;
  }
}
