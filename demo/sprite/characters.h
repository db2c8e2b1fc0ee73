/* Ten characters that no model of this world has seen: an identity from the held-out part and one of the ten
 * marks each. They are what a LoRA must learn. */
#pragma once
#include "attributes.h"

#define CHARACTERS (MARKS - 1)
#define CHARACTER_PICTURES 12

/* Who it is; the rest of the attributes is that of some picture. */
Attributes character_identity(int number);
/* The character in picture `index` of those it is learned from (framings in turn, seven of the places), or,
 * `asked`, of those that are asked for afterwards (all places, other clothes). Daylight. */
Attributes character_picture(int number, int index, gboolean asked);
