/* Whether pictures show what their captions ask for, measured in the pixels.
 *
 * Colours: a region is where six label renders of the same attributes with different jitter agree. The median
 * of hair, the lit part of skin and most of the clothes' pixels belong to the nearest colour of the palette
 * under the caption's light. Place: the mean
 * background that is nearest in the region that six label renders agree to be background. Shapes (glasses,
 * beard, …): the value whose true renders, everything else as asked, come nearest where the values differ. */
#pragma once
#include "attributes.h"
#include <stdio.h>

typedef enum {
  TRAIT_SKIN,
  TRAIT_TINT,  /* hair colour */
  TRAIT_CLOTH, /* clothes colour */
  TRAIT_PLACE,
  TRAIT_EYEWEAR,
  TRAIT_BEARD,
  TRAIT_HAIR, /* shape; from here on only where asked for */
  TRAIT_MOOD,
  TRAIT_POSTURE,
  TRAIT_FACE,
  TRAIT_MARK,
  TRAITS
} Trait;
#define TRAITS_REQUIRED TRAIT_HAIR /* how many are always judged */

typedef struct {
  int seen[TRAITS];      /* the value; -1 where the picture does not show it */
  double border, inside; /* mean jump between neighbours across lines at multiples of 16, and elsewhere */
} Verdict;

typedef struct Judge Judge;
Judge *judge_new(int size);
void judge_free(Judge *judge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Judge, judge_free)
/* pixels [size][size][3]; traits: so many of the first are judged. */
void judge_look(Judge *judge, const Attributes *asked, const guint8 *pixels, int traits, Verdict *verdict);
/* The value of a trait in the attributes. */
int trait_value(Trait trait, const Attributes *attributes);
const char *trait_name(Trait trait);

typedef struct {
  int asked[TRAITS], right[TRAITS];
  double border, inside;
} Tally;
void tally_add(Tally *tally, const Attributes *asked, const Verdict *verdict);
double tally_share(const Tally *tally, Trait trait); /* 0 where nothing was asked */
double tally_jump(const Tally *tally);               /* border / inside */
