/* What several readings of one picture agree upon. In a picture that shows no more than a person's upper
 * half, the network takes whoever stands behind for a part of that person, but hardly ever the same ones
 * twice. */
#pragma once
#include "base/image.h"
#include "puppet/figure/figure.h"

/* masks: count of them, 1 channel, 255 = figure, all of one size, the most trusted first. Around the hair and
 * what is worn on the face, where readings differ for better reasons, the first decides alone. Returns a mask
 * of the same kind (transfer full). */
Image *mask_agreement(const Image *const *masks, int count, const Figure *figure);
