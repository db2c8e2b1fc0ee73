/* Chance that is the same on every machine: SplitMix64 (Steele, Lea and Flood 2014). */
#pragma once
#include <glib.h>

typedef struct {
  guint64 state;
} Dice;

static inline guint64 dice_next(Dice *dice) {
  guint64 z = (dice->state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* A generator of its own for every (seed, stream, index). */
static inline Dice dice_new(guint64 seed, guint64 stream, guint64 index) {
  Dice dice = {seed};
  dice.state = dice_next(&dice) + stream * 0xD1B54A32D192ED03u;
  dice.state = dice_next(&dice) + index * 0x8CB92BA72F3D8DD7u;
  return (Dice){dice_next(&dice)};
}

static inline double dice_unit(Dice *dice) { /* [0, 1) */
  return (double)(dice_next(dice) >> 11) * 0x1p-53;
}

static inline double dice_between(Dice *dice, double low, double high) {
  return low + (high - low) * dice_unit(dice);
}

static inline int dice_pick(Dice *dice, int count) {
  return (int)(dice_unit(dice) * count);
}
