/* Exhaustive: a dozen extremities give some ten thousand assignments of O(1) each, since paths and exits are
 * kept. */
#include "puppet/figure/limbs.h"
#include <math.h>
#include <string.h>

#define MAX_TIPS 10
#define MAX_HEADS 24
#define THICKER 1.45f /* a disc that many times thicker than the limb belongs to the trunk */
#define TRUNK 0.7f    /* of the thickness at a limb's join: what is as thick belongs to the trunk */
#define HAIR 0.22f    /* of the height: what sticks out more from a head is a limb */
#define NECKING 1.10f /* a head is at least so many times thicker than its neck */

typedef struct {
  int node;
  gboolean round;
  float prominence; /* over the neck, 1 = none */
} HeadCandidate;

typedef struct {
  const Branches *branches;
  float height, bottom; /* in pixels; lowest y of any node */
  int tips;
  int tip[MAX_TIPS]; /* nodes */
  float protrude[MAX_TIPS];
  float hair[MAX_HEADS][MAX_TIPS]; /* the price of a tip as that head's hair */
  int heads;
  HeadCandidate head[MAX_HEADS];
  GHashTable *exits; /* (tip, joint) -> node + 1 */
} Search;

/* First node from the tip on that lies within a much thicker disc of the trunk, that is, of a part of the
 * path that is about as thick as its join. A limb that is as thick as the trunk begins at the join. */
static int find_exit(const Branches *b, int tip, int join) {
  int n;
  g_autofree int *path = branches_path(b, tip, join, &n);
  for (int i = 0; i < n; i++)
    for (int j = n - 1; j > i; j--) {
      const float *p = b->at[path[i]], *q = b->at[path[j]];
      float thick = b->radius[path[j]];
      if (thick > THICKER * MAX(b->radius[path[i]], 2.0f) && thick > TRUNK * b->radius[join] &&
          hypotf(p[0] - q[0], p[1] - q[1]) < 0.92f * thick)
        return path[i];
    }
  return join;
}

static int exit_of(Search *search, int tip, int join) {
  gpointer key = GINT_TO_POINTER(tip * search->branches->nodes + join);
  int node = GPOINTER_TO_INT(g_hash_table_lookup(search->exits, key)) - 1;
  if (node >= 0)
    return node;
  node = find_exit(search->branches, tip, join);
  g_hash_table_insert(search->exits, key, GINT_TO_POINTER(node + 1));
  return node;
}

/* Nodes that are as good as the same head are one candidate. */
static void add_head(Search *search, int node, gboolean round, float prominence) {
  const Branches *b = search->branches;
  for (int i = 0; i < search->heads; i++) {
    HeadCandidate *other = &search->head[i];
    float apart = hypotf(b->at[node][0] - b->at[other->node][0], b->at[node][1] - b->at[other->node][1]);
    if (other->node == node || (round && other->round && apart < 0.5f * b->radius[other->node])) {
      if (b->radius[node] > b->radius[other->node])
        other->node = node;
      other->prominence = MAX(other->prominence, prominence);
      return;
    }
  }
  if (search->heads < MAX_HEADS)
    search->head[search->heads++] = (HeadCandidate){node, round, prominence};
}

static void add_if_round(Search *search, int top, float neck) {
  float radius = search->branches->radius[top];
  if (radius >= NECKING * neck && radius > 0.025f * search->height)
    add_head(search, top, TRUE, radius / MAX(neck, 1.0f));
}

/* Tops of the radius on the way from every tip to every other, with a neck behind them. */
static void find_heads(Search *search) {
  const Branches *b = search->branches;
  for (int t = 0; t < search->tips; t++)
    add_head(search, search->tip[t], FALSE, 1);
  for (int t = 0; t < search->tips; t++)
    for (int u = 0; u < search->tips; u++) {
      if (t == u)
        continue;
      int n, top = 0;
      g_autofree int *path = branches_path(b, search->tip[t], search->tip[u], &n);
      float length = branches_between(b, search->tip[t], search->tip[u]), neck = G_MAXFLOAT;
      for (int i = 0; i < n && branches_between(b, search->tip[t], path[i]) < 0.6f * length; i++) {
        float r = b->radius[path[i]];
        if (r <= b->radius[path[top]]) {
          neck = MIN(neck, r);
          continue;
        }
        add_if_round(search, path[top], neck);
        top = i, neck = r;
      }
      add_if_round(search, path[top], neck);
    }
}

/* Position along and beside the axis from head to hip, in units of its length. */
static void on_axis(const float head[2], const float hip[2], const float p[2], float *along, float *beside) {
  float ax = hip[0] - head[0], ay = hip[1] - head[1], l2 = MAX(ax * ax + ay * ay, 1.0f);
  *along = ((p[0] - head[0]) * ax + (p[1] - head[1]) * ay) / l2;
  *beside = ((p[0] - head[0]) * ay - (p[1] - head[1]) * ax) / l2; /* positive on the picture's right */
}

static float outside(float x, float low, float high) {
  return x < low ? low - x : x > high ? x - high : 0;
}

typedef struct {
  int head, hand[2], foot[2]; /* indices into the search's candidates; -1 for a missing hand or second foot */
} Guess;

static float score_legs(Search *search, const Guess *guess, Limbs *limbs, float hip[2]) {
  const Branches *b = search->branches;
  float h = search->height, misfit = 0;
  int feet[2] = {search->tip[guess->foot[0]], guess->foot[1] < 0 ? -1 : search->tip[guess->foot[1]]};
  for (int i = 0; i < 2; i++)
    limbs->leg[i] = (Limb){-1, -1, 0};
  if (feet[1] < 0) {
    const float *foot = b->at[feet[0]], *head = b->at[limbs->head];
    limbs->fork = feet[0];
    limbs->leg[0] = (Limb){feet[0], feet[0], 0};
    for (int c = 0; c < 2; c++)
      hip[c] = head[c] + 0.5f * (foot[c] - head[c]);
    return 0.8f + 4 * MAX(0, (search->bottom - foot[1]) / h - 0.05f);
  }
  limbs->fork = branches_median(b, limbs->head, feet[0], feet[1]);
  hip[0] = hip[1] = 0;
  for (int i = 0; i < 2; i++) {
    int root = exit_of(search, feet[i], limbs->fork);
    limbs->leg[i] = (Limb){feet[i], root, branches_between(b, feet[i], root)};
    hip[0] += 0.5f * b->at[root][0], hip[1] += 0.5f * b->at[root][1];
    misfit += 3 * MAX(0, (search->bottom - b->at[feet[i]][1]) / h - 0.05f);
    misfit += 3 * outside(limbs->leg[i].length / h, 0.06f, 0.62f);
    misfit += 2 * MAX(0, (b->at[root][1] - b->at[feet[i]][1]) / h); /* a foot above its own hip */
  }
  misfit += 0.6f * fabsf(logf((limbs->leg[0].length + 0.03f * h) / (limbs->leg[1].length + 0.03f * h)));
  return misfit;
}

/* Of a head without a neck: half its width a little below its top. A thin end is no head. */
static float thickness_behind(const Search *search, int head) {
  const Branches *b = search->branches;
  int node = search->head[head].node, at = node;
  while (b->parent[at] >= 0 && b->distance[node] - b->distance[at] < 0.06f * search->height)
    at = b->parent[at];
  return b->radius[at] / search->height;
}

static float score_head(Search *search, const Guess *guess, const Limbs *limbs, const float hip[2]) {
  const HeadCandidate *head = &search->head[guess->head];
  const float *at = search->branches->at[limbs->head];
  float r = search->branches->radius[limbs->head] / search->height;
  float up = hip[1] - at[1], aside = fabsf(hip[0] - at[0]);
  float tilt = atan2f(aside, up); /* beyond a right angle when the head is below the hips */
  float misfit = 1.2f * tilt * tilt;
  if (head->round)
    misfit -= 0.35f * smooth_step(1.05f, 1.5f, head->prominence) * smooth_step(0.02f, 0.05f, r);
  else
    misfit += 0.6f * (1 - smooth_step(0.015f, 0.035f, thickness_behind(search, guess->head)));
  return misfit + 4 * MAX(0, r - 0.28f);
}

static float score_arms(Search *search, const Guess *guess, Limbs *limbs, const float hip[2]) {
  const Branches *b = search->branches;
  float h = search->height, misfit = 0, along[2], beside[2];
  const float *head = b->at[limbs->head];
  int shown = 0;
  for (int i = 0; i < 2; i++) {
    limbs->arm[i] = (Limb){-1, -1, 0};
    if (guess->hand[i] < 0) {
      misfit += 0.42f;
      continue;
    }
    int tip = search->tip[guess->hand[i]];
    int join = branches_median(b, limbs->head, tip, limbs->fork);
    int root = exit_of(search, tip, join);
    limbs->arm[i] = (Limb){tip, root, branches_between(b, tip, root)};
    on_axis(head, hip, b->at[root], &along[i], &beside[i]);
    float tip_along, tip_beside;
    on_axis(head, hip, b->at[tip], &tip_along, &tip_beside);
    beside[i] += 0.4f * tip_beside;
    misfit += 7 * outside(along[i], 0.10f, 0.72f) + 1.5f * (along[i] - 0.36f) * (along[i] - 0.36f);
    misfit += 3 * outside(limbs->arm[i].length / h, 0.05f, 0.62f);
    if (join == limbs->head)
      misfit += 0.5f; /* it grows from the head */
    shown++;
  }
  if (shown == 2) {
    misfit += 1.6f * MAX(0, fabsf(along[0] - along[1]) - 0.06f);
    misfit += 0.5f * fabsf(logf((limbs->arm[0].length + 0.03f * h) / (limbs->arm[1].length + 0.03f * h)));
    if (beside[0] * beside[1] > 0)
      misfit += 0.8f;
    if (beside[0] < beside[1]) {
      Limb swap = limbs->arm[0];
      limbs->arm[0] = limbs->arm[1];
      limbs->arm[1] = swap;
    }
  } else if (shown == 1) {
    int from = limbs->arm[0].tip >= 0 ? 0 : 1, to = beside[from] >= 0 ? 0 : 1;
    if (from != to) {
      limbs->arm[to] = limbs->arm[from];
      limbs->arm[from] = (Limb){-1, -1, 0};
    }
  }
  return misfit;
}

/* What is left over counts by its size: hair on the head little, a finger or a heel less than a limb of the
 * trunk. */
static float score_rest(Search *search, const Guess *guess, const Limbs *limbs) {
  const Branches *b = search->branches;
  float misfit = 0;
  for (int t = 0; t < search->tips; t++) {
    int node = search->tip[t];
    if (t == guess->hand[0] || t == guess->hand[1] || t == guess->foot[0] || t == guess->foot[1] ||
        node == limbs->head)
      continue;
    int join = branches_median(b, node, limbs->head, limbs->fork);
    float size = search->protrude[t] / search->height;
    if (join == limbs->head || branches_between(b, join, limbs->head) < 0.6f * b->radius[limbs->head])
      misfit += search->hair[guess->head][t];
    else {
      gboolean on_limb = FALSE;
      for (int i = 0; i < 2; i++) {
        const Limb *arm = &limbs->arm[i], *leg = &limbs->leg[i];
        if (arm->tip >= 0 && branches_between(b, arm->tip, branches_median(b, node, arm->tip, limbs->head)) <
                                 0.9f * arm->length)
          on_limb = TRUE;
        if (leg->tip >= 0 && branches_between(b, leg->tip, branches_median(b, node, leg->tip, limbs->head)) <
                                 0.9f * leg->length)
          on_limb = TRUE;
      }
      misfit += (on_limb ? 1.2f : 3.0f) * size;
    }
  }
  return misfit;
}

/* trunk: legs and head of the guess, scored already. */
static void try_guess(Search *search, const Guess *guess, const Limbs *trunk, const float hip[2],
                      Limbs *best) {
  Limbs limbs = *trunk;
  limbs.misfit += score_arms(search, guess, &limbs, hip);
  if (limbs.misfit >= best->misfit)
    return;
  limbs.misfit += score_rest(search, guess, &limbs);
  if (limbs.misfit < best->misfit)
    *best = limbs;
}

static gboolean taken(const Search *search, const Guess *guess, int t) {
  return t == guess->foot[0] || t == guess->foot[1] || search->tip[t] == search->head[guess->head].node;
}

static void try_hands(Search *search, Guess *guess, Limbs *best) {
  Limbs trunk = {.head = search->head[guess->head].node, .round = search->head[guess->head].round};
  float hip[2];
  trunk.misfit = score_legs(search, guess, &trunk, hip);
  trunk.misfit += score_head(search, guess, &trunk, hip);
  if (trunk.misfit >= best->misfit) /* arms and the rest only add to it */
    return;
  for (int a = -1; a < search->tips; a++) {
    if (a >= 0 && taken(search, guess, a))
      continue;
    for (int c = -1; c < MAX(a, 0); c++) {
      if (c >= 0 && taken(search, guess, c))
        continue;
      guess->hand[0] = a, guess->hand[1] = c;
      try_guess(search, guess, &trunk, hip, best);
    }
  }
}

static void add_tip(Search *search, int t) {
  const Branches *b = search->branches;
  const Tip *tip = &b->tip[t];
  search->tip[t] = tip->node, search->protrude[t] = tip->protrude;
}

/* Hair, ears and hats are thin or short, and do not tower. Only what is outside of the head's own disc
 * counts. */
static float price_as_hair(const Search *search, int head, int t) {
  const Branches *b = search->branches;
  const float *centre = b->at[search->head[head].node];
  float h = search->height, r = b->radius[search->head[head].node], size = 0, area = 0, thick = 0;
  int count;
  g_autofree int *path = branches_path(b, search->tip[t], search->head[head].node, &count);
  for (int i = 0;
       i + 1 < count && hypotf(b->at[path[i]][0] - centre[0], b->at[path[i]][1] - centre[1]) > 1.15f * r;
       i++) {
    float step = branches_between(b, path[i], path[i + 1]);
    size += step, area += 2 * b->radius[path[i]] * step;
    thick = MAX(thick, b->radius[path[i]]);
  }
  size /= h;
  float above = (centre[1] - b->at[search->tip[t]][1] - 2.2f * r) / h;
  return 0.6f * size + 1.5f * MAX(0, size - HAIR) + 2 * MAX(0, above) + 20 * area / (h * h) +
         0.6f * smooth_step(0.45f, 0.75f, thick / MAX(r, 1.0f)) * smooth_step(0.02f, 0.08f, size);
}

/* With the trunk known, a limb begins where it leaves any of the trunk's discs. Those of the head do not
 * count: a raised arm may pass it. */
static void refine_root(const Branches *b, const Limbs *limbs, Limb *limb) {
  if (limb->tip < 0)
    return;
  int trunk_count, count;
  g_autofree int *trunk = branches_path(b, limbs->head, limbs->fork, &trunk_count);
  g_autofree int *path =
      branches_path(b, limb->tip, branches_median(b, limbs->head, limb->tip, limbs->fork), &count);
  float length = branches_between(b, limbs->head, limbs->fork);
  float skip = limbs->round ? 1.4f * b->radius[limbs->head] : 0.3f * length;
  for (int i = 0; i < count && path[i] != limb->root; i++)
    for (int k = 0; k < trunk_count; k++) {
      const float *p = b->at[path[i]], *q = b->at[trunk[k]];
      float thick = b->radius[trunk[k]];
      if (branches_between(b, trunk[k], limbs->head) > skip &&
          thick > THICKER * MAX(b->radius[path[i]], 2.0f) &&
          hypotf(p[0] - q[0], p[1] - q[1]) < 0.92f * thick) {
        limb->root = path[i], limb->length = branches_between(b, limb->tip, limb->root);
        return;
      }
    }
}

gboolean limbs_find(const Branches *branches, float height, Limbs *limbs) {
  Search search = {.branches = branches, .height = height, .tips = MIN(branches->tips, MAX_TIPS)};
  for (int t = 0; t < search.tips; t++)
    add_tip(&search, t);
  for (int i = 0; i < branches->nodes; i++)
    search.bottom = MAX(search.bottom, branches->at[i][1]);
  if (search.tips < 2)
    return FALSE;
  g_autoptr(GHashTable) exits = g_hash_table_new(NULL, NULL);
  search.exits = exits;
  find_heads(&search);
  for (int head = 0; head < search.heads; head++)
    for (int t = 0; t < search.tips; t++)
      search.hair[head][t] = price_as_hair(&search, head, t);
  limbs->misfit = G_MAXFLOAT;
  for (int head = 0; head < search.heads; head++)
    for (int f = 0; f < search.tips; f++)
      for (int g = -1; g < f; g++) {
        Guess guess = {head, {-1, -1}, {f, g}};
        int node = search.head[head].node;
        if (search.tip[f] == node || (g >= 0 && search.tip[g] == node))
          continue;
        try_hands(&search, &guess, limbs);
      }
  if (limbs->misfit == G_MAXFLOAT)
    return FALSE;
  for (int side = 0; side < 2; side++)
    refine_root(branches, limbs, &limbs->arm[side]);
  if (limbs->leg[1].tip >= 0) {
    const float *p = branches->at[limbs->leg[0].root], *q = branches->at[limbs->leg[1].root];
    const float *s = branches->at[limbs->leg[0].tip], *t = branches->at[limbs->leg[1].tip];
    if (2 * p[0] + s[0] < 2 * q[0] + t[0]) {
      Limb swap = limbs->leg[0];
      limbs->leg[0] = limbs->leg[1];
      limbs->leg[1] = swap;
    }
  }
  return TRUE;
}
