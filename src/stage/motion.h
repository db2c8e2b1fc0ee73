/* The plane motion that best explains pairs of points, some of which are wrong. Private to the camera. */
#pragma once
#include <glib.h>

typedef struct {
  double from[2], to[2];
} Match;

typedef struct {
  double h[9]; /* from -> to */
  int inliers;
  int freedom; /* 0 nothing found, 2 translation, 4 similarity, 8 homography */
} Motion;

/* start: a guess, also tried. tolerance: pixels within which a match is right. size: of the picture, pixels;
 * used to scale the problem and to judge whether matches are spread widely enough for a homography. */
Motion motion_fit(const Match *matches, int count, const double start[9], double tolerance,
                  const int size[2]);

void motion_apply(const double h[9], const double from[2], double to[2]);
void motion_multiply(const double a[9], const double b[9], double product[9]); /* b acts first */
gboolean motion_invert(const double h[9], double inverse[9]);
