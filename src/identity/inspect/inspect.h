/* What a set of training pictures is like, and which of them to replace: said in words before hours are spent
 * on them.
 *
 * Each picture is looked at as training sees it: shrunk until its longer side has 1024 pixels, never
 * enlarged. Where nobody is found (drawn figures often are not), light and sharpness are those of the whole
 * picture. */
#pragma once
#include "base/progress.h"
#include "identity/inspect/picture_hash.h"
#include "perception/face.h"

#define INSPECT_SIDE 1024 /* pixels */
#define INSPECT_FEW 10    /* a set has at least so many, */
#define INSPECT_MANY 30   /* and at most so many */

/* How much of the body is in the picture. */
typedef enum { SHOWN_NOTHING, SHOWN_HEAD, SHOWN_BUST, SHOWN_HALF, SHOWN_KNEES, SHOWN_WHOLE } Shown;
/* "nobody", "head", "head and shoulders", "upper half", "down to the knees", "whole body" */
const char *shown_name(Shown shown);

typedef enum { CUT_TOP = 1, CUT_LEFT = 2, CUT_RIGHT = 4 } Cut; /* the lower edge cuts most portraits */

/* Light and sharpness of the figure. */
typedef struct {
  float sharpness; /* variance of the Laplacian as a share of the variance of the figure's own brightness */
  float dark, bright; /* brightness, 0..1, that a twentieth of the whole picture lies below, and above */
} Light;

typedef enum { VERDICT_GOOD, VERDICT_USABLE, VERDICT_REPLACE } Verdict;
const char *verdict_name(Verdict verdict); /* "good", "usable", "replace" */

typedef struct {
  char *path;
  gboolean readable; /* the rest but remarks means nothing where it is FALSE */
  int width, height; /* of the file */
  Light light;
  int people;
  Shown shown;
  unsigned cut;      /* of Cut */
  float figure;      /* share of the picture that the figure covers */
  float hidden;      /* share of the joints inside the picture that something hides */
  gboolean face;     /* is it seen? */
  float face_height; /* pixels, at training's size, from chin to forehead */
  float turn;        /* -1..1: where the nose is between the cheeks; 0 looks into the camera */
  PictureHash hash;
  int same_as;       /* index of the first picture that shows the same, or -1 */
  gboolean mirrored; /* … as its mirror image */
  Verdict verdict;
  GPtrArray *remarks; /* char *: what is wrong and what to do */
} PictureReport;

typedef struct {
  GArray *pictures;   /* PictureReport, in the order given */
  GPtrArray *remarks; /* char *: about the set */
} Inspection;
void inspection_free(Inspection *inspection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inspection, inspection_free)

/* models: the folder of the networks, or NULL. A picture that cannot be read is reported, not a fault.
 * FAULT_NETWORK, FAULT_CANCELLED. */
Inspection *inspect_pictures(const char *const *paths, gsize count, PoseNetwork network, const char *models,
                             Progress *progress, GError **error);

/* The index of the picture from which a body is best made: the one that shows most of a single person, least
 * hidden. Where nobody is found the first that is readable; 0 when none is. */
int inspection_choose(const Inspection *inspection);

/* --- the steps --- */

/* mask: 1 channel, 255 = figure, of the picture's size; NULL: all of it. */
Light inspect_light(const Image *rgb, const Image *mask);
/* Body, cut and hidden joints from a pose and its mask. */
void inspect_body(const Image *rgb, const Pose *pose, const Image *mask, PictureReport *report);
void inspect_face(const Face *face, PictureReport *report);
/* Verdict and remarks of one picture from its measures. */
void inspect_judge(PictureReport *report);
/* Finds what shows the same, judges every picture and then the set. */
void inspect_set(Inspection *inspection);
