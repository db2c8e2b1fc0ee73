/* Matting: how much of each pixel belongs to the figure, where a trimap leaves it open.
 *
 * A trimap is a plane of 0 (certainly ground), 1 (certainly figure), and values between where alpha is
 * unknown, the value being what a rough mask expects. */
#pragma once
#include "base/image.h"
#include "base/plane.h"

/* The nearest that an unknown pixel of a trimap comes to 0 and 1. */
#define MATTE_OPEN 0.01f

/* What colours say about each unknown pixel on its own. */
typedef struct {
  Plane *alpha; /* 0..1; in known pixels the trimap itself */
  Plane *trust; /* 0..1; 0 in known pixels */
} MattePrior;

typedef struct {
  float unit;        /* pixels over which colours are taken to be stable: about 1 % of the figure's height */
  float shaded_from; /* from this row down the ground may lie in the figure's shadow */
} MatteScale;

/* For each unknown pixel the pair of one figure colour and one ground colour, of those found nearest on
 * either side of the band, whose mixture comes closest to its colour. After Wang and Cohen, Optimized Color
 * Sampling for Robust Matting, 2007. */
MattePrior *matte_prior_new(const Image *rgb, const Plane *trimap, const MatteScale *scale);
void matte_prior_free(MattePrior *prior);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MattePrior, matte_prior_free)

/* The alpha that is, in every 3 x 3 window, closest to a linear function of colour, equals the trimap where
 * that is known, and leans to `guess` by `trust` where it is not. Known pixels of `guess` are not read.
 * Levin, Lischinski, Weiss, A Closed Form Solution to Natural Image Matting, 2006. `rounds` bounds the
 * iterations at the finest level. start: where to begin, or NULL to find out on coarser levels. */
Plane *matte_solve(const Image *rgb, const Plane *trimap, const Plane *guess, const Plane *trust,
                   const Plane *start, int rounds);
