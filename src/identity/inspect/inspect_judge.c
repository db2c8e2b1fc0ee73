/* Limits come from what trainers of such models ask for (512 pixels at least, the face large enough to be
 * learned, one person, no doubles) and, for sharpness and light, from good photographs and drawings and
 * blurred, darkened and washed out copies of them. */
#include "identity/inspect/inspect.h"

#define SIDE_USELESS 256 /* pixels of the shorter side */
#define SIDE_SMALL 512
#define BLURRED .002f  /* sharpness: a blur with a sigma of 2 to 3 pixels at 1024 */
#define SOFT .006f     /* 1.5 to 2 pixels; frames of compressed video have .01 */
#define ALL_DARK .35f  /* nothing in the picture is brighter */
#define ALL_BRIGHT .6f /* nothing is darker */
#define FLAT .2f       /* brightness from the darkest to the brightest */
#define FACE_LOST 40.f /* pixels of height */
#define FACE_SMALL 80.f
#define FIGURE_SMALL .04f /* share of the picture */
#define HIDDEN_MUCH .5f
#define TURNED .35f

const char *shown_name(Shown shown) {
  static const char *const names[] = {[SHOWN_NOTHING] = "nobody",          [SHOWN_HEAD] = "head",
                                      [SHOWN_BUST] = "head and shoulders", [SHOWN_HALF] = "upper half",
                                      [SHOWN_KNEES] = "down to the knees", [SHOWN_WHOLE] = "whole body"};
  return names[shown];
}

const char *verdict_name(Verdict verdict) {
  static const char *const names[] = {
      [VERDICT_GOOD] = "good", [VERDICT_USABLE] = "usable", [VERDICT_REPLACE] = "replace"};
  return names[verdict];
}

static void remark(PictureReport *report, Verdict verdict, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void remark(PictureReport *report, Verdict verdict, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_ptr_array_add(report->remarks, g_strdup_vprintf(format, arguments));
  va_end(arguments);
  report->verdict = MAX(report->verdict, verdict);
}

static void judge_size(PictureReport *report) {
  int shorter = MIN(report->width, report->height);
  if (shorter < SIDE_SMALL)
    remark(report, shorter < SIDE_USELESS ? VERDICT_REPLACE : VERDICT_USABLE,
           "It is small: %d x %d pixels. Take a picture of at least %d pixels on the shorter side.",
           report->width, report->height, SIDE_SMALL);
}

static void judge_light(PictureReport *report) {
  const Light *light = &report->light;
  if (light->bright < ALL_DARK)
    remark(report, VERDICT_REPLACE, "It is too dark: nothing in it is bright. Take one with more light.");
  else if (light->dark > ALL_BRIGHT)
    remark(report, VERDICT_REPLACE, "It is washed out: nothing in it is dark. Take one with less light.");
  else if (light->bright - light->dark < FLAT)
    remark(report, VERDICT_REPLACE, "There is hardly any contrast in it.");
  if (light->sharpness < BLURRED)
    remark(report, VERDICT_REPLACE, "It is blurred. Take one that is in focus and not moved.");
  else if (light->sharpness < SOFT)
    remark(report, VERDICT_USABLE, "It is a little soft; a sharper one is better.");
}

static void judge_face(PictureReport *report) {
  if (!report->face)
    remark(report, VERDICT_USABLE,
           "The face is not seen. That is fine for one or two of the set, from behind; the others should "
           "show it.");
  else if (report->face_height < FACE_LOST)
    remark(report, VERDICT_USABLE,
           "The face is only %.0f pixels high: nothing of it will be learned here. Come closer, or crop.",
           report->face_height);
  else if (report->face_height < FACE_SMALL)
    remark(report, VERDICT_GOOD, "The face is %.0f pixels high; it is learned from the closer pictures.",
           report->face_height);
}

static void judge_body(PictureReport *report) {
  if (report->people == 0) {
    remark(report, VERDICT_GOOD,
           "Nobody was found in it, as is usual for drawn figures. See to it yourself that "
           "there is one figure, whole and large.");
    return;
  }
  if (report->people > 1)
    remark(report, VERDICT_REPLACE, "There are %d people in it. Crop it so that only the character is left.",
           report->people);
  judge_face(report);
  if (report->cut & CUT_TOP && report->shown >= SHOWN_BUST)
    remark(report, VERDICT_USABLE, "The head is cut off at the top. Leave some room above it.");
  if (report->cut & (CUT_LEFT | CUT_RIGHT))
    remark(report, VERDICT_USABLE, "The figure is cut off at the %s.",
           (report->cut & CUT_LEFT) && (report->cut & CUT_RIGHT) ? "sides"
           : report->cut & CUT_LEFT                              ? "left"
                                                                 : "right");
  if (report->figure < FIGURE_SMALL)
    remark(report, VERDICT_USABLE, "The figure covers only %.1f %% of the picture. Crop closer.",
           (double)report->figure * 100);
  if (report->hidden > HIDDEN_MUCH)
    remark(report, VERDICT_USABLE, "Much of the body is hidden behind something or by itself.");
}

void inspect_judge(PictureReport *report) {
  if (!report->readable)
    return;
  judge_size(report);
  judge_light(report);
  judge_body(report);
}

/* --- the set --- */

static PictureReport *picture(const Inspection *inspection, guint index) {
  return &g_array_index(inspection->pictures, PictureReport, index);
}

/* Of two that show the same the worse one goes, or else the later. */
static void mark_double(Inspection *inspection, guint k, guint i, gboolean mirrored) {
  gboolean later = picture(inspection, i)->verdict >= picture(inspection, k)->verdict;
  guint stays = later ? k : i;
  PictureReport *goes = picture(inspection, later ? i : k);
  goes->same_as = (int)stays;
  goes->mirrored = mirrored;
}

static void find_doubles(Inspection *inspection) {
  for (guint i = 1; i < inspection->pictures->len; i++)
    for (guint k = 0; k < i && picture(inspection, i)->same_as < 0; k++) {
      const PictureReport *report = picture(inspection, i), *before = picture(inspection, k);
      gboolean mirrored;
      if (report->readable && before->readable && before->same_as < 0 &&
          picture_hash_same(&before->hash, &report->hash, &mirrored))
        mark_double(inspection, k, i, mirrored);
    }
  for (guint i = 0; i < inspection->pictures->len; i++) {
    PictureReport *report = picture(inspection, i);
    if (report->same_as >= 0)
      remark(report, VERDICT_REPLACE, "It shows the same as picture %d%s. Take another pose, place or light.",
             report->same_as + 1, report->mirrored ? ", mirrored" : "");
  }
}

static void say(Inspection *inspection, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(Inspection *inspection, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_ptr_array_add(inspection->remarks, g_strdup_vprintf(format, arguments));
  va_end(arguments);
}

typedef struct {
  guint readable, found, near, whole, front, side, doubles;
} Tally;

static Tally tally_of(const Inspection *inspection) {
  Tally tally = {0};
  for (guint i = 0; i < inspection->pictures->len; i++) {
    const PictureReport *report = picture(inspection, i);
    if (!report->readable)
      continue;
    tally.readable++;
    tally.doubles += report->same_as >= 0;
    tally.found += report->people > 0;
    tally.near += report->people > 0 && report->face && report->shown <= SHOWN_BUST;
    tally.whole += report->shown == SHOWN_WHOLE;
    tally.front += report->face && ABS(report->turn) < TURNED;
    tally.side += report->face && ABS(report->turn) >= TURNED;
  }
  return tally;
}

/* The numbers of those that should go, as "2, 5 and 9". NULL where there are none. */
static char *to_replace(const Inspection *inspection, guint *count) {
  g_autoptr(GString) list = g_string_new(NULL);
  guint total = 0, said = 0;
  for (guint i = 0; i < inspection->pictures->len; i++)
    total += picture(inspection, i)->verdict == VERDICT_REPLACE;
  for (guint i = 0; i < inspection->pictures->len; i++)
    if (picture(inspection, i)->verdict == VERDICT_REPLACE)
      g_string_append_printf(list, "%s%u", said++ == 0 ? "" : said == total ? " and " : ", ", i + 1);
  *count = total;
  return total ? g_string_free(g_steal_pointer(&list), FALSE) : NULL;
}

void inspect_set(Inspection *inspection) {
  for (guint i = 0; i < inspection->pictures->len; i++)
    inspect_judge(picture(inspection, i));
  find_doubles(inspection);
  Tally tally = tally_of(inspection);
  guint replaced = 0;
  g_autofree char *list = to_replace(inspection, &replaced);
  if (list)
    say(inspection, "Replace picture%s %s.", replaced > 1 ? "s" : "", list);
  if (tally.readable < INSPECT_FEW)
    say(inspection, "There are %u pictures; training wants %d to %d.", tally.readable, INSPECT_FEW,
        INSPECT_MANY);
  if (tally.readable > INSPECT_MANY)
    say(inspection, "There are %u pictures; more than the best %d do not help.", tally.readable,
        INSPECT_MANY);
  if (tally.readable > 2 && tally.doubles + 1 >= tally.readable)
    say(inspection, "They all show the same. Take different poses, places and lights.");
  if (tally.found < INSPECT_FEW)
    return; /* too few to say what is missing among them */
  if (!tally.near)
    say(inspection, "None is close. Add some of head and shoulders: the face is learned from them.");
  if (!tally.whole)
    say(inspection, "None shows the whole body. Add some that do.");
  if (tally.front && !tally.side)
    say(inspection, "All faces look into the camera. Add some that look to the side.");
  if (tally.side && !tally.front)
    say(inspection, "No face looks into the camera. Add some that do.");
}

/* --- which one is best --- */

static int better(float a, float b) {
  return (a > b) - (a < b);
}

/* Above 0 when a is the better one for a body. Somebody beside the figure, or an edge through it, cannot be
 * mended; how sharp it is decides last. */
static int compare_for_body(const PictureReport *a, const PictureReport *b) {
  int alone = (a->people == 1) - (b->people == 1);
  int shown = (a->shown > b->shown) - (a->shown < b->shown);
  int whole = (a->cut == 0) - (b->cut == 0);
  int hidden = better(b->hidden, a->hidden);
  int verdict = (a->verdict < b->verdict) - (a->verdict > b->verdict);
  const int order[] = {alone, shown, whole, hidden, verdict, better(a->figure, b->figure)};
  for (gsize i = 0; i < G_N_ELEMENTS(order); i++)
    if (order[i])
      return order[i];
  return 0;
}

int inspection_choose(const Inspection *inspection) {
  int best = -1;
  for (guint i = 0; i < inspection->pictures->len; i++) {
    const PictureReport *report = &g_array_index(inspection->pictures, PictureReport, i);
    if (report->readable && (best < 0 || (report->people > 0 &&
                                          compare_for_body(report, &g_array_index(inspection->pictures,
                                                                                  PictureReport, best)) > 0)))
      best = (int)i;
  }
  return MAX(best, 0);
}
