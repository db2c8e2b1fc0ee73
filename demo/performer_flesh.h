/* The performer's body and clothes as a signed distance field of some hundred rounded solids on the bones.
 *
 * Solids of one group melt into each other (smooth minimum); groups only touch, so a hand on the hip stays a
 * hand. Sleeves melt into the shirt and legs into the hips near their joint only. */
#pragma once
#include "performer_body.h"

typedef enum {
  FLESH_SKIN, /* head, neck, what the neckline shows */
  FLESH_HAIR,
  FLESH_SHIRT,
  FLESH_SLEEVE, /* left, right */
  FLESH_ARM = FLESH_SLEEVE + 2,
  FLESH_HIPS = FLESH_ARM + 2,
  FLESH_LEG,
  FLESH_SHOE = FLESH_LEG + 2,
  FLESH_GROUPS = FLESH_SHOE + 2
} FleshGroup;

#define FLESH_MAX_PEOPLE 2
#define FLESH_MAX_SOLIDS 240
#define FLESH_ALL_GROUPS (FLESH_MAX_PEOPLE * FLESH_GROUPS)
/* How far beyond its sphere a solid may bend its neighbours or darken them. */
#define FLESH_MARGIN 0.06f

/* A round cone along the local y axis from radius r1 at 0 to r2 at h, in a stretched local frame. */
typedef struct {
  float rows[3][3], at[3];       /* local = rows (p - at) */
  float h, r1, r2, slope, slant; /* of the cone's side */
  float thin;                    /* the smallest stretch: a step in local units times this is safe */
  float melt;                    /* width of the smooth minimum, metres */
  float cut;                     /* the solid ends at this local y; FLT_MAX for none */
  float cut_scale;
  float centre[3], reach; /* bounding sphere */
  guint8 group;           /* person * FLESH_GROUPS + FleshGroup */
  gboolean carve;         /* taken away from the group instead */
} Solid;

typedef struct {
  int people;
  Body body[FLESH_MAX_PEOPLE];
  gboolean short_hair[FLESH_MAX_PEOPLE];
  int count;
  Solid solid[FLESH_MAX_SOLIDS]; /* those that carve come after those that they carve */
} Flesh;

void flesh_dress(Flesh *flesh);

/* The distance at p from the solids that the list names, and the nearest group (-1 when there is none near).
 */
float flesh_distance(const Flesh *flesh, const guint8 *list, int count, const float p[3], int *group);
