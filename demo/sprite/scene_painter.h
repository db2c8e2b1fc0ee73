/* Ten places behind a character, each recognisable at a glance: by day, at sunset, at night. */
#pragma once
#include "easel.h"

/* Paints the whole canvas, which is `size` user units wide and high. */
void scene_paint(Easel *easel, Place place, Light light, Dice *dice);
