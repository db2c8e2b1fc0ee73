/* What a drawn picture shows: the attributes from which picture and caption are made. */
#pragma once
#include "dice.h"
#include <jansson.h>

typedef enum { FRAMING_PORTRAIT, FRAMING_HALF, FRAMING_FULL, FRAMINGS } Framing;
typedef enum { SUBJECT_MAN, SUBJECT_WOMAN, SUBJECTS } Subject;
typedef enum { SKIN_PALE, SKIN_LIGHT, SKIN_TAN, SKIN_BROWN, SKIN_DARK, SKINS } Skin;
typedef enum { FACE_ROUND, FACE_OVAL, FACE_SQUARE, FACE_LONG, FACES } Face;
typedef enum {
  HAIR_SHORT,
  HAIR_LONG,
  HAIR_BOB,
  HAIR_CURLY,
  HAIR_AFRO,
  HAIR_SPIKY,
  HAIR_MOHAWK,
  HAIR_BUN,
  HAIR_BALD,
  HAIRS
} Hair;
typedef enum {
  TINT_BLACK,
  TINT_BROWN,
  TINT_BLONDE,
  TINT_RED,
  TINT_WHITE,
  TINT_GREY,
  TINT_BLUE,
  TINT_PINK,
  TINT_GREEN,
  TINTS
} Tint;
typedef enum { EYEWEAR_NONE, EYEWEAR_GLASSES, EYEWEAR_SUNGLASSES, EYEWEARS } Eyewear;
typedef enum { BEARD_NONE, BEARD_FULL, BEARD_MOUSTACHE, BEARDS } Beard;
typedef enum {
  GARMENT_TSHIRT,
  GARMENT_SWEATER,
  GARMENT_HOODIE,
  GARMENT_SUIT,
  GARMENT_DRESS,
  GARMENT_STRIPED,
  GARMENTS
} Garment;
typedef enum {
  CLOTH_RED,
  CLOTH_BLUE,
  CLOTH_GREEN,
  CLOTH_YELLOW,
  CLOTH_PURPLE,
  CLOTH_ORANGE,
  CLOTH_WHITE,
  CLOTH_BLACK,
  CLOTHS
} Cloth;
typedef enum { MOOD_SMILING, MOOD_SERIOUS, MOOD_SURPRISED, MOODS } Mood;
typedef enum { POSE_DOWN, POSE_HIPS, POSE_RIGHT_UP, POSE_LEFT_UP, POSE_BOTH_UP, POSES } Posture;
typedef enum {
  SCENE_PARK,
  SCENE_BEACH,
  SCENE_CITY,
  SCENE_FOREST,
  SCENE_MOUNTAINS,
  SCENE_DESERT,
  SCENE_SPACE,
  SCENE_OFFICE,
  SCENE_LIBRARY,
  SCENE_STUDIO,
  SCENES
} Place;
typedef enum { LIGHT_DAY, LIGHT_SUNSET, LIGHT_NIGHT, LIGHTS } Light;
typedef enum { STYLE_FLAT, STYLE_OUTLINED, STYLES } Style;
/* Never in the pictures of the base: what a new character may have that no caption can say. */
typedef enum {
  MARK_NONE,
  MARK_HEADBAND,
  MARK_EYEPATCH,
  MARK_SCAR,
  MARK_EARRINGS,
  MARK_BOW,
  MARK_CAP,
  MARK_FACE_PAINT,
  MARK_HORNS,
  MARK_FLOWER,
  MARK_CROWN,
  MARKS
} Mark;

typedef struct {
  Framing framing;
  Subject subject;
  Skin skin;
  Face face;
  Hair hair;
  Tint tint; /* of hair and beard */
  Eyewear eyewear;
  Beard beard;
  Garment garment;
  Cloth cloth;
  Mood mood;
  Posture posture;
  Place place;
  Light light;
  Style style;
  Mark mark;
} Attributes;

/* In 0..255. */
typedef struct {
  double r, g, b;
} Rgb;

extern const Rgb skin_colours[SKINS], tint_colours[TINTS], cloth_colours[CLOTHS], mark_colours[MARKS];
/* How light changes every colour: c · gain + offset. */
Rgb light_on(Light light, Rgb colour);

/* The parts a model learns from and those that only judge it. Which part a combination belongs to is a
 * property of its identity, clothes and scene alone, so that no held-out combination is ever learned. */
typedef enum { PART_LEARN, PART_HOLD_OUT } Part;
Part attributes_part(const Attributes *attributes);

/* A fair draw from one part. White spiky hair and every mark are kept out of both. */
Attributes attributes_draw(Dice *dice, Part part);

/* For files: {"framing": "portrait", …}. FALSE where the object lacks one or has another word. */
json_t *attributes_to_json(const Attributes *attributes);
gboolean attributes_from_json(const json_t *object, Attributes *attributes);
/* The word of a value: attributes_word("hair", HAIR_BOB) = "bob"; NULL for what does not exist. */
const char *attributes_word(const char *field, int value);
