/* Rays through a camera onto the performers: tiles that know which solids can touch them, and sphere tracing.
 *
 * Hart, Sphere Tracing, 1996. */
#pragma once
#include "performer_flesh.h"

/* A pinhole that may turn and zoom but not move, so that all of its pictures are homographies of one another;
 * or, with focal 0, a parallel projection at `scale` pixels per metre, for shadows. */
typedef struct {
  vec3s eye;
  mat3s turn; /* world to camera, rows are the camera's axes */
  float focal, scale, cx, cy;
  int width, height;
} Camera;

/* Pixels, pixel k covers [k, k+1); depth along the axis. */
void camera_project(const Camera *camera, vec3s point, float *x, float *y, float *depth);
void camera_ray(const Camera *camera, float x, float y, vec3s *origin, vec3s *direction);

#define TILE_SIDE 8

typedef struct {
  const Flesh *flesh;
  const Camera *camera;
  int columns, rows;
  guint8 *list; /* [rows][columns][FLESH_MAX_SOLIDS] */
  guint8 *count;
  float *near, *far; /* distances along a ray between which anything can be */
} Tiles;

void tiles_make(Tiles *tiles, const Flesh *flesh, const Camera *camera);
void tiles_clear(Tiles *tiles);

typedef struct {
  int group; /* -1: the ray meets nobody */
  float t;
  vec3s at;
  const guint8 *list;
  int count;
} Hit;

void tiles_trace(const Tiles *tiles, float x, float y, Hit *hit);
vec3s hit_normal(const Flesh *flesh, const Hit *hit);
/* 0 in a deep fold, 1 in the open. */
float hit_openness(const Flesh *flesh, const Hit *hit, vec3s normal);
