/* Feet on the ground: when they stand, and how to keep what stands from sliding.
 *
 * A foot stands while it is slow and stays within a few centimetres (Kovar, Schreiner, Gleicher, Footskate
 * Cleanup for Motion Capture Editing, 2002, take such runs as constraints; here the leg then turns and
 * lengthens by the little that is missing). */
#pragma once
#include "puppet/motion/driver.h"

/* planted [driver->count] receives 1 while the foot (0 left, 1 right) stands. */
void ground_plants(const Driver *driver, int side, guint8 *planted);

/* Makes a path constant (its own mean) in every run of planted frames; before and after the correction fades
 * over `fade` frames, or passes over from run to run where they lie closer. Frames of other segments are left
 * alone. */
void ground_pin(float (*path)[2], const guint8 *planted, const int *segment, int count, int fade);
