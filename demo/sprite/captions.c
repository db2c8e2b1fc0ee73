/* A caption is a list of clauses in the order framing and subject, identity, clothes, mood, posture, place,
 * light, style. */
#include "captions.h"

const CaptionManner caption_learn = {0.10, 0.15, 0.10, TRUE};
const CaptionManner caption_whole = {0, 0, 0, FALSE};

#define IDENTITY_CLAUSES 5

static void say(GString *caption, const char *clause) {
  if (caption->len > 0)
    g_string_append_c(caption, ' ');
  g_string_append(caption, clause);
}

static void say_identity(GString *caption, const Attributes *a, const CaptionManner *manner, Dice *dice) {
  g_autofree char *skin = g_strdup_printf("%s skin", attributes_word("skin", a->skin));
  g_autofree char *face = g_strdup_printf("%s face", attributes_word("face", a->face));
  g_autofree char *hair =
      a->hair == HAIR_BALD
          ? g_strdup("bald")
          : g_strdup_printf("%s %s hair", attributes_word("hair", a->hair), attributes_word("tint", a->tint));
  const char *eyewear = a->eyewear == EYEWEAR_NONE ? "no glasses" : attributes_word("eyewear", a->eyewear);
  const char *beard = a->subject == SUBJECT_WOMAN ? NULL
                      : a->beard == BEARD_NONE    ? "clean shaven"
                                                  : attributes_word("beard", a->beard);
  const char *clauses[IDENTITY_CLAUSES] = {skin, face, hair, eyewear, beard};
  gboolean keep[IDENTITY_CLAUSES] = {FALSE, FALSE, FALSE, TRUE, TRUE};
  int order[IDENTITY_CLAUSES] = {0, 1, 2, 3, 4};
  for (int i = IDENTITY_CLAUSES - 1; manner->shuffle && i > 0; i--) {
    int k = dice_pick(dice, i + 1), swap = order[i];
    order[i] = order[k], order[k] = swap;
  }
  for (int i = 0; i < IDENTITY_CLAUSES; i++) {
    gboolean dropped = dice_unit(dice) < manner->drop_clause && !keep[order[i]];
    if (clauses[order[i]] && !dropped)
      say(caption, clauses[order[i]]);
  }
}

char *caption_of(const Attributes *a, const CaptionManner *manner, const char *trigger, Dice *dice) {
  static const char *const framings[FRAMINGS][2] = {{"portrait", "close-up"},
                                                    {"half body picture", "half body shot"},
                                                    {"full body picture", "full body shot"}};
  static const char *const postures[POSES] = {"arms down", "hands on hips", "right arm raised",
                                              "left arm raised", "both arms raised"};
  static const char *const places[SCENES] = {
      "in the park",   "at the beach", "in the city",   "in the forest",  "in the mountains",
      "in the desert", "in space",     "in the office", "in the library", "in the studio"};
  g_autoptr(GString) caption = g_string_new(NULL);
  gboolean silent = dice_unit(dice) < manner->drop_all;
  gboolean nobody = dice_unit(dice) < manner->drop_identity || trigger;
  int variant = manner->shuffle ? dice_pick(dice, 2) : 0;
  if (silent)
    return g_string_free(g_steal_pointer(&caption), FALSE);
  g_string_append_printf(caption, "%s of a ", framings[a->framing][variant]);
  if (trigger)
    g_string_append_printf(caption, "%s ", trigger);
  g_string_append(caption, nobody ? "person" : attributes_word("subject", a->subject));
  if (!nobody)
    say_identity(caption, a, manner, dice);
  g_autofree char *clothes =
      g_strdup_printf("%s %s", attributes_word("cloth", a->cloth), attributes_word("garment", a->garment));
  gboolean hidden = a->framing == FRAMING_PORTRAIT && (a->posture == POSE_DOWN || a->posture == POSE_HIPS);
  const char *clauses[] = {
      clothes,          attributes_word("mood", a->mood),   hidden ? NULL : postures[a->posture],
      places[a->place], attributes_word("light", a->light), attributes_word("style", a->style)};
  for (guint i = 0; i < G_N_ELEMENTS(clauses); i++)
    if (dice_unit(dice) >= manner->drop_clause && clauses[i])
      say(caption, clauses[i]);
  return g_string_free(g_steal_pointer(&caption), FALSE);
}
