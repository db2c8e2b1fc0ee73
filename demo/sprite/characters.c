#include "characters.h"

#define SEED 2026u
enum { STREAM_WHO, STREAM_LEARNT, STREAM_ASKED };
#define PLACES_LEARNT 7

Attributes character_identity(int number) {
  Dice dice = dice_new(SEED, STREAM_WHO, (guint64)number);
  for (;;) {
    Attributes who = attributes_draw(&dice, PART_HOLD_OUT);
    who.mark = (Mark)(MARK_HEADBAND + number);
    who.light = LIGHT_DAY;
    /* No feature may hide another, and no word says the colour of a bald man's beard. */
    gboolean eyes_hidden = who.mark == MARK_EYEPATCH && who.eyewear != EYEWEAR_NONE;
    if (who.hair != HAIR_BALD && who.eyewear != EYEWEAR_SUNGLASSES && !eyes_hidden)
      return who;
  }
}

Attributes character_picture(int number, int index, gboolean asked) {
  Dice dice = dice_new(SEED + (guint64)number, asked ? STREAM_ASKED : STREAM_LEARNT, (guint64)index);
  Attributes who = character_identity(number), a = attributes_draw(&dice, PART_LEARN);
  if (a.garment == GARMENT_DRESS && who.subject == SUBJECT_MAN)
    a.garment = GARMENT_SUIT;
  a.framing = (Framing)(index % FRAMINGS);
  a.place = (Place)((asked ? index : index % PLACES_LEARNT) % SCENES);
  a.place = (Place)((a.place + 3 * number) % SCENES);
  a.light = LIGHT_DAY;
  a.subject = who.subject;
  a.skin = who.skin;
  a.face = who.face;
  a.hair = who.hair;
  a.tint = who.tint;
  a.eyewear = who.eyewear;
  a.beard = who.beard;
  a.mark = who.mark;
  return a;
}
