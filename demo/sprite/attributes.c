/* Every attribute is one row of a table: its name, its words, its place in the struct. */
#include "attributes.h"
#include <stddef.h>
#include <string.h>

/* Neighbours differ by at least 45 in luma, so that a median tells them apart. */
const Rgb skin_colours[SKINS] = {
    {253, 228, 214}, {243, 186, 144}, {208, 139, 84}, {146, 86, 50}, {80, 46, 34}};
const Rgb tint_colours[TINTS] = {{36, 33, 42},   {101, 58, 32},   {244, 203, 92},
                                 {212, 74, 30},  {243, 242, 240}, {148, 152, 162},
                                 {48, 104, 226}, {248, 118, 186}, {52, 172, 88}};
const Rgb cloth_colours[CLOTHS] = {{216, 46, 52},  {44, 98, 214},  {46, 158, 78},   {250, 208, 60},
                                   {134, 66, 186}, {246, 136, 40}, {242, 242, 246}, {44, 44, 52}};
const Rgb mark_colours[MARKS] = {{0, 0, 0},      {214, 30, 40},  {20, 20, 24},  {176, 44, 60},
                                 {255, 205, 40}, {240, 70, 160}, {30, 70, 170}, {60, 120, 220},
                                 {150, 30, 30},  {255, 90, 130}, {250, 200, 40}};

typedef struct {
  const char *name;
  size_t offset;
  int count;
  const char *words[11];
} Field;

static const Field fields[] = {
    {"framing", offsetof(Attributes, framing), FRAMINGS, {"portrait", "half", "full"}},
    {"subject", offsetof(Attributes, subject), SUBJECTS, {"man", "woman"}},
    {"skin", offsetof(Attributes, skin), SKINS, {"pale", "light", "tan", "brown", "dark"}},
    {"face", offsetof(Attributes, face), FACES, {"round", "oval", "square", "long"}},
    {"hair",
     offsetof(Attributes, hair),
     HAIRS,
     {"short", "long", "bob", "curly", "afro", "spiky", "mohawk", "bun", "bald"}},
    {"tint",
     offsetof(Attributes, tint),
     TINTS,
     {"black", "brown", "blonde", "red", "white", "grey", "blue", "pink", "green"}},
    {"eyewear", offsetof(Attributes, eyewear), EYEWEARS, {"none", "glasses", "sunglasses"}},
    {"beard", offsetof(Attributes, beard), BEARDS, {"none", "beard", "moustache"}},
    {"garment",
     offsetof(Attributes, garment),
     GARMENTS,
     {"tshirt", "sweater", "hoodie", "suit", "dress", "striped"}},
    {"cloth",
     offsetof(Attributes, cloth),
     CLOTHS,
     {"red", "blue", "green", "yellow", "purple", "orange", "white", "black"}},
    {"mood", offsetof(Attributes, mood), MOODS, {"smiling", "serious", "surprised"}},
    {"posture", offsetof(Attributes, posture), POSES, {"down", "hips", "right", "left", "both"}},
    {"place",
     offsetof(Attributes, place),
     SCENES,
     {"park", "beach", "city", "forest", "mountains", "desert", "space", "office", "library", "studio"}},
    {"light", offsetof(Attributes, light), LIGHTS, {"day", "sunset", "night"}},
    {"style", offsetof(Attributes, style), STYLES, {"flat", "outlined"}},
    {"mark",
     offsetof(Attributes, mark),
     MARKS,
     {"none", "headband", "eyepatch", "scar", "earrings", "bow", "cap", "paint", "horns", "flower", "crown"}},
};

static int *place_of(const Field *field, Attributes *attributes) {
  G_STATIC_ASSERT(sizeof(Framing) == sizeof(int));
  return (int *)(gpointer)((char *)attributes + field->offset);
}

static int value_of(const Field *field, const Attributes *attributes) {
  int value;
  memcpy(&value, (const char *)attributes + field->offset, sizeof value);
  return value;
}

Rgb light_on(Light light, Rgb c) {
  switch (light) {
  case LIGHT_SUNSET:
    return (Rgb){c.r * 0.92 + 20, c.g * 0.84 + 6, c.b * 0.76};
  case LIGHT_NIGHT:
    return (Rgb){c.r * 0.62, c.g * 0.68 + 4, c.b * 0.84 + 20};
  default:
    return c;
  }
}

Part attributes_part(const Attributes *a) {
  const guint64 values[] = {a->subject, a->skin,  a->face,    a->hair,  a->tint,
                            a->eyewear, a->beard, a->garment, a->cloth, a->place};
  Dice hash = {20261121};
  for (guint i = 0; i < G_N_ELEMENTS(values); i++)
    hash.state = dice_next(&hash) + values[i];
  return dice_next(&hash) % 32 == 0 ? PART_HOLD_OUT : PART_LEARN;
}

static Attributes draw(Dice *dice) {
  Attributes a;
  memset(&a, 0, sizeof a);
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
    *place_of(&fields[i], &a) = dice_pick(dice, fields[i].count);
  a.mark = MARK_NONE;
  double eyes = dice_unit(dice), chin = dice_unit(dice), light = dice_unit(dice), style = dice_unit(dice);
  a.eyewear = eyes < 0.55 ? EYEWEAR_NONE : eyes < 0.82 ? EYEWEAR_GLASSES : EYEWEAR_SUNGLASSES;
  a.beard = chin < 0.5 ? BEARD_NONE : chin < 0.78 ? BEARD_FULL : BEARD_MOUSTACHE;
  a.light = light < 0.8 ? LIGHT_DAY : light < 0.9 ? LIGHT_SUNSET : LIGHT_NIGHT;
  a.style = style < 0.75 ? STYLE_FLAT : STYLE_OUTLINED;
  if (a.subject == SUBJECT_WOMAN)
    a.beard = BEARD_NONE;
  if (a.subject == SUBJECT_MAN && a.garment == GARMENT_DRESS)
    a.garment = GARMENT_SUIT;
  /* No word says the colour of a bald man's beard. */
  if (a.hair == HAIR_BALD)
    a.tint = TINT_BROWN;
  return a;
}

Attributes attributes_draw(Dice *dice, Part part) {
  for (;;) {
    Attributes a = draw(dice);
    gboolean kept_out = a.hair == HAIR_SPIKY && a.tint == TINT_WHITE;
    if (!kept_out && attributes_part(&a) == part)
      return a;
  }
}

const char *attributes_word(const char *name, int value) {
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
    if (strcmp(fields[i].name, name) == 0)
      return value >= 0 && value < fields[i].count ? fields[i].words[value] : NULL;
  return NULL;
}

json_t *attributes_to_json(const Attributes *attributes) {
  json_t *object = json_object();
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
    json_object_set_new(object, fields[i].name,
                        json_string(fields[i].words[value_of(&fields[i], attributes)]));
  return object;
}

gboolean attributes_from_json(const json_t *object, Attributes *attributes) {
  memset(attributes, 0, sizeof *attributes);
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
    const char *word = json_string_value(json_object_get(object, fields[i].name));
    int value = -1;
    for (int k = 0; word && k < fields[i].count; k++)
      if (strcmp(fields[i].words[k], word) == 0)
        value = k;
    if (value < 0)
      return FALSE;
    *place_of(&fields[i], attributes) = value;
  }
  return TRUE;
}
