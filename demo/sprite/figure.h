/* One character, from head to shoes.
 *
 * Units are head radii: the head's centre is the origin, y points down, shoulders lie at 1.5, hips at 3,
 * soles at 5.1. Right and left are the character's own. */
#pragma once
#include "easel.h"

typedef struct {
  const Attributes *of;
  Rgb skin, hair, cloth, trousers, shoe;
  double tilt;       /* of the head, radians */
  double hand[2][2]; /* moved by so much; [0] the right, on the picture's left */
  double elbow[2][2];
  double bold;  /* how much larger small features are drawn, 1 in a portrait */
  double blink; /* direction of the eyes, -1..1 */
} Figure;

void figure_paint(Easel *easel, const Figure *figure);

/* In hair.c. Both are drawn in the head's own frame. */
void hair_paint_behind(Easel *easel, const Figure *figure);
void hair_paint_before(Easel *easel, const Figure *figure);
/* In head.c. */
void head_path(cairo_t *cr, Face face, double grow);
double head_half_width(Face face);
double head_height(Face face); /* from the centre to the crown; the chin is as far below */
void head_paint(Easel *easel, const Figure *figure);
/* In marks.c: what is worn on the head, before and behind the hair. */
void mark_paint(Easel *easel, const Figure *figure, gboolean before_hair);
