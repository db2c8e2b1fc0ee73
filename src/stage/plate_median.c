/* The temporal median over the samples, two luma rows and one of each chroma at a time, in bands that go to
 * separate threads; no row depends on another, so the result does not depend on the bands.
 *
 * The median of bytes is found bit by bit from the top: a bit is set when at most half of the samples lie
 * below the number made so far with it. That is a few operations on whole rows, which compilers turn into
 * vector code. The result is then the mean of the samples close to the median: as deaf to outliers, but with
 * less noise and rounding.
 *
 * Chroma takes no part of samples whose luma was an outlier, so that colour and brightness come from the same
 * thing.
 *
 * Where samples fall into several states, the majority is not always the background: which state is, is
 * decided after a first pass (plate_contest.c), and the rows concerned are made again. */
#include "base/simd.h"
#include "stage/plate.h"
#include "stage/plate_samples.h"

#include <math.h>
#include <string.h>

enum {
  CLOSE = 7,    /* levels from the median within which samples are averaged */
  OUTLIER = 22, /* levels from the median beyond which a luma sample shows something else */
  OUTLIER_CHROMA = 14,
  ALIKE = 36,       /* distance of colours up to which samples show the same */
  STATE_SHARE = 12, /* percent of the samples that make a state of their own */
  TIER_NEVER = 3,   /* a threshold that no tier reaches */
  BANDS_MAX = 8,
};

typedef struct {
  const GPtrArray *samples;
  int width, height; /* of the plate */
  AVFrame *plate;
  Image *known;
  int begin, end;   /* chroma rows */
  GArray *contests; /* Contest, by place */
} Band;

/* One plane of all samples along one row. */
typedef struct {
  int width;
  guint8 *value;  /* [samples][width] */
  guint8 *use;    /* [samples][width] first the tier, later 255 = counts */
  guint8 *median; /* [width] */
} Row;

static Row row_new(guint samples, int width) {
  gsize n = (gsize)samples * (gsize)width;
  return (Row){width, g_malloc(n), g_malloc(n), g_malloc((gsize)width)};
}

static void row_clear(Row *row) {
  g_free(row->value);
  g_free(row->use);
  g_free(row->median);
}

/* --- fetching --- */

/* Adds the sample's correction for plane c to a row at y; scale = plate pixels per pixel of the row. */
FASTEST static void add_gain(const Sample *sample, int c, float y, int scale, guint8 *value, int width) {
  const Plane *gain = sample->gain[c];
  if (!gain)
    return;
  float step = sample->gain_step / (float)scale, gy = CLAMP(y / step - 0.5f, 0.0f, (float)(gain->height - 1));
  int y0 = (int)gy, y1 = MIN(y0 + 1, gain->height - 1);
  float fy = gy - (float)y0;
  for (int cell = -1; cell < gain->width; cell++) {
    int x0 = MAX(cell, 0), x1 = MIN(cell + 1, gain->width - 1);
    float left = *plane_at(gain, x0, y0) * (1 - fy) + *plane_at(gain, x0, y1) * fy;
    float right = *plane_at(gain, x1, y0) * (1 - fy) + *plane_at(gain, x1, y1) * fy;
    int begin = MAX((int)ceilf(((float)cell + 0.5f) * step - 0.5f), 0);
    int end = MIN((int)ceilf(((float)cell + 1.5f) * step - 0.5f), width);
    if (cell == gain->width - 1)
      end = width;
    float slope = (right - left) / step,
          start = left + ((float)begin + 0.5f - ((float)cell + 0.5f) * step) * slope;
    for (int x = begin; x < end; x++) {
      float sum = (float)value[x] + start + slope * (float)(x - begin) + 0.5f;
      value[x] = (guint8)CLAMP(sum, 0.0f, 255.0f);
    }
  }
}

FASTEST static void fetch_tier_still(const Sample *sample, int y, guint8 *tier, int width) {
  if (!sample->tier) {
    memset(tier, TIER_CLEAR, (gsize)width);
    return;
  }
  const guint8 *from =
      image_at(sample->tier, 0, (2 * y + 1) * sample->tier->height / (2 * sample->frame->height));
  for (int x = 0; x < width; x++)
    tier[x] = from[(2 * x + 1) * sample->tier->width / (2 * width)];
}

static float bilinear(const guint8 *data, int stride, int width, int height, float x, float y) {
  x = CLAMP(x, 0.0f, (float)(width - 1));
  y = CLAMP(y, 0.0f, (float)(height - 1));
  int x0 = (int)x, y0 = (int)y, x1 = MIN(x0 + 1, width - 1), y1 = MIN(y0 + 1, height - 1);
  float fx = x - (float)x0, fy = y - (float)y0;
  const guint8 *top = data + (gssize)y0 * stride, *bottom = data + (gssize)y1 * stride;
  return (1 - fy) * ((1 - fx) * top[x0] + fx * top[x1]) + fy * ((1 - fx) * bottom[x0] + fx * bottom[x1]);
}

/* Catmull-Rom between four values: unlike the bilinear mean it keeps the sharpness of a frame between its
 * pixels. */
static float cubic(const float p[4], float f) {
  return p[1] + 0.5f * f *
                    (p[2] - p[0] +
                     f * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3] + f * (3 * (p[1] - p[2]) + p[3] - p[0])));
}

static float bicubic(const guint8 *data, int stride, int width, int height, float x, float y) {
  int x0 = (int)floorf(x), y0 = (int)floorf(y);
  if (x0 < 1 || y0 < 1 || x0 + 2 >= width || y0 + 2 >= height)
    return bilinear(data, stride, width, height, x, y);
  float rows[4];
  for (int j = 0; j < 4; j++) {
    const guint8 *p = data + (gssize)(y0 - 1 + j) * stride + x0 - 1;
    rows[j] = cubic((float[]){p[0], p[1], p[2], p[3]}, x - (float)x0);
  }
  return CLAMP(cubic(rows, y - (float)y0), 0.0f, 255.0f);
}

static void fetch_luma(const Sample *sample, int y, guint8 *value, guint8 *tier, int width) {
  const AVFrame *frame = sample->frame;
  if (sample->still) {
    memcpy(value, frame->data[0] + (gssize)y * frame->linesize[0], (gsize)width);
    fetch_tier_still(sample, y, tier, width);
  } else {
    for (int x = 0; x < width; x++) {
      float u, v;
      tier[x] = TIER_PERSON;
      value[x] = 0;
      if (!homography_apply(sample->toward, (float)x, (float)y, &u, &v) || u < 0 || v < 0 ||
          u > (float)(frame->width - 1) || v > (float)(frame->height - 1))
        continue;
      tier[x] = (guint8)sample_tier(sample, u, v);
      if (tier[x] != TIER_PERSON)
        value[x] =
            (guint8)(bicubic(frame->data[0], frame->linesize[0], frame->width, frame->height, u, v) + 0.5f);
    }
  }
  add_gain(sample, 0, (float)y + 0.5f, 1, value, width);
}

/* plane: 1 or 2; y and width in chroma pixels, which lie in the middle of four luma pixels. */
static void fetch_chroma(const Sample *sample, int plane, int y, guint8 *value, int width) {
  const AVFrame *frame = sample->frame;
  if (sample->still) {
    memcpy(value, frame->data[plane] + (gssize)y * frame->linesize[plane], (gsize)width);
  } else {
    for (int x = 0; x < width; x++) {
      float u, v;
      value[x] = 128;
      if (homography_apply(sample->toward, 2 * (float)x + 0.5f, 2 * (float)y + 0.5f, &u, &v) &&
          fabsf(u) < 1e6f && fabsf(v) < 1e6f)
        value[x] = (guint8)(bilinear(frame->data[plane], frame->linesize[plane], frame->width / 2,
                                     frame->height / 2, (u - 0.5f) / 2, (v - 0.5f) / 2) +
                            0.5f);
    }
  }
  add_gain(sample, plane, (float)y + 0.5f, 2, value, width);
}

/* --- deciding --- */

/* Turns tiers into "counts" and says where at least enough samples count. Frames in which people are far are
 * preferred; near ones are used where there are many of them. */
FASTEST static void choose(Row *row, guint samples, guint8 *known) {
  int width = row->width;
  guint8 enough = samples < 4 ? 1 : (guint8)MAX(2u, samples / 20),
         enough_near = samples < 4 ? 1 : (guint8)MAX(3u, samples / 6);
  g_autofree guint8 *clear = g_malloc0((gsize)width), *near = g_malloc0((gsize)width);
  for (guint s = 0; s < samples; s++) {
    const guint8 *tier = row->use + (gsize)s * (gsize)width;
    for (int x = 0; x < width; x++) {
      clear[x] = (guint8)(clear[x] + (tier[x] == TIER_CLEAR));
      near[x] = (guint8)(near[x] + (tier[x] != TIER_PERSON));
    }
  }
  for (int x = 0; x < width; x++) {
    clear[x] = clear[x] >= enough ? TIER_CLEAR : near[x] >= enough_near ? TIER_NEAR : TIER_NEVER;
    known[x] = clear[x] == TIER_NEVER ? 0 : 255;
  }
  for (guint s = 0; s < samples; s++) {
    guint8 *use = row->use + (gsize)s * (gsize)width;
    for (int x = 0; x < width; x++)
      use[x] = use[x] >= clear[x] ? 255 : 0;
  }
}

/* The lower median of the samples that count; 0 where none does. */
FASTEST static void find_median(Row *row, guint samples) {
  int width = row->width;
  g_autofree guint8 *half = g_malloc0((gsize)width), *below = g_malloc((gsize)width);
  for (guint s = 0; s < samples; s++)
    for (int x = 0; x < width; x++)
      half[x] = (guint8)(half[x] + (row->use[(gsize)s * (gsize)width + (gsize)x] & 1));
  for (int x = 0; x < width; x++)
    half[x] = half[x] ? (guint8)((half[x] - 1) / 2) : 0;
  memset(row->median, 0, (gsize)width);
  for (int bit = 128; bit; bit >>= 1) {
    memset(below, 0, (gsize)width);
    for (guint s = 0; s < samples; s++) {
      const guint8 *value = row->value + (gsize)s * (gsize)width, *use = row->use + (gsize)s * (gsize)width;
      for (int x = 0; x < width; x++)
        below[x] = (guint8)(below[x] + (guint8)((value[x] < (guint8)(row->median[x] | bit)) & use[x] & 1));
    }
    for (int x = 0; x < width; x++)
      row->median[x] = below[x] <= half[x] ? (guint8)(row->median[x] | bit) : row->median[x];
  }
}

/* The mean of the samples close to the median. */
FASTEST static void store_mean(const Row *row, guint samples, guint8 *to) {
  int width = row->width;
  g_autofree guint16 *sum = g_new0(guint16, width), *count = g_new0(guint16, width);
  for (guint s = 0; s < samples; s++) {
    const guint8 *value = row->value + (gsize)s * (gsize)width, *use = row->use + (gsize)s * (gsize)width;
    for (int x = 0; x < width; x++) {
      int difference = value[x] - row->median[x];
      guint16 close = (guint16)(use[x] && difference <= CLOSE && difference >= -CLOSE);
      sum[x] = (guint16)(sum[x] + close * value[x]);
      count[x] = (guint16)(count[x] + close);
    }
  }
  for (int x = 0; x < width; x++)
    to[x] = (guint8)(count[x] ? (sum[x] + count[x] / 2) / count[x] : row->median[x]);
}

/* Which samples count for chroma: those that do for all four luma pixels and are no outlier there. Where none
 * is left, those that count for any. */
FASTEST static void choose_chroma(const Row luma[2], Row *chroma, guint samples) {
  int width = chroma->width;
  g_autofree guint8 *any = g_malloc0((gsize)width);
  for (guint s = 0; s < samples; s++)
    for (int x = 0; x < width; x++) {
      guint8 all = 255, some = 0;
      for (int k = 0; k < 4; k++) {
        const Row *row = &luma[k >> 1];
        gsize i = (gsize)s * (gsize)row->width + (gsize)(2 * x + (k & 1));
        int difference = row->value[i] - row->median[2 * x + (k & 1)];
        all &= row->use[i] & (ABS(difference) <= OUTLIER ? 255 : 0);
        some |= row->use[i];
      }
      chroma->use[(gsize)s * (gsize)width + (gsize)x] = all ? 255 : some ? 1 : 0;
      any[x] |= all;
    }
  for (guint s = 0; s < samples; s++)
    for (int x = 0; x < width; x++) {
      guint8 *use = &chroma->use[(gsize)s * (gsize)width + (gsize)x];
      *use = *use == 255 || (*use && !any[x]) ? 255 : 0;
    }
}

/* All samples along one chroma row. */
typedef struct {
  Row luma[2], u, v;
} Lines;

static Lines lines_new(guint samples, int width) {
  return (Lines){{row_new(samples, width), row_new(samples, width)},
                 row_new(samples, width / 2),
                 row_new(samples, width / 2)};
}

static void lines_clear(Lines *lines) {
  row_clear(&lines->luma[0]);
  row_clear(&lines->luma[1]);
  row_clear(&lines->u);
  row_clear(&lines->v);
}

/* The colour of a block in one sample. */
static void block_colour(const Lines *lines, guint s, int x, float colour[3]) {
  gsize i = (gsize)s * (gsize)lines->luma[0].width + (gsize)(2 * x),
        k = (gsize)s * (gsize)lines->u.width + (gsize)x;
  const guint8 *a = lines->luma[0].value + i, *b = lines->luma[1].value + i;
  colour[0] = (float)(a[0] + a[1] + b[0] + b[1]) / 4;
  colour[1] = lines->u.value[k];
  colour[2] = lines->v.value[k];
}

static gboolean block_counts(const Lines *lines, guint s, int x) {
  gsize i = (gsize)s * (gsize)lines->luma[0].width + (gsize)(2 * x);
  const guint8 *a = lines->luma[0].use + i, *b = lines->luma[1].use + i;
  return a[0] && a[1] && b[0] && b[1];
}

/* Splits the samples of one block into states: those around the sample that most others resemble, then the
 * same with what is left. */
static Contest contest_of(const Lines *lines, guint samples, int x, int at) {
  float colour[64][3];
  guint64 left = 0;
  int all = 0;
  for (guint s = 0; s < MIN(samples, 64u); s++)
    if (block_counts(lines, s, x)) {
      block_colour(lines, s, x, colour[s]);
      left |= G_GUINT64_CONSTANT(1) << s;
      all++;
    }
  Contest contest = {.at = at};
  while (left && contest.count < CONTEST_STATES) {
    guint64 best = 0;
    int most = 0, middle = 0;
    for (int s = 0; s < 64; s++) {
      guint64 alike = 0;
      for (int t = 0; t < 64 && left >> s & 1; t++)
        if (left >> t & 1 && colour_distance(colour[s], colour[t]) <= ALIKE)
          alike |= G_GUINT64_CONSTANT(1) << t;
      if (__builtin_popcountll(alike) > most) {
        most = __builtin_popcountll(alike);
        best = alike;
        middle = s;
      }
    }
    left &= ~best;
    if (most < 2 || most * 100 < all * STATE_SHARE)
      break;
    for (int c = 0; c < 3; c++)
      contest.colour[contest.count][c] = (guint8)(colour[middle][c] + 0.5f);
    contest.share[contest.count] = (float)most / (float)all;
    contest.samples[contest.count++] = best;
  }
  return contest;
}

/* Notes the blocks of a row where many samples are far from the median. */
FASTEST static void note_contests(const Lines *lines, guint samples, int cy, GArray *contests) {
  int width = lines->u.width;
  g_autofree guint8 *used = g_malloc0((gsize)width), *close = g_malloc0((gsize)width);
  for (guint s = 0; s < samples; s++) {
    gsize at = (gsize)s * (gsize)width;
    const guint8 *use = lines->luma[0].use + 2 * at, *fits = lines->u.use + at;
    const guint8 *u = lines->u.value + at, *v = lines->v.value + at;
    for (int x = 0; x < width; x++) {
      int du = u[x] - lines->u.median[x], dv = v[x] - lines->v.median[x];
      used[x] = (guint8)(used[x] + (use[2 * x] & 1));
      close[x] =
          (guint8)(close[x] + (use[2 * x] & fits[x] & (du <= OUTLIER_CHROMA) & (du >= -OUTLIER_CHROMA) &
                               (dv <= OUTLIER_CHROMA) & (dv >= -OUTLIER_CHROMA)));
    }
  }
  for (int x = 0; x < width; x++) {
    int far = used[x] - close[x];
    if (far < 2 || far * 100 < used[x] * STATE_SHARE)
      continue;
    Contest contest = contest_of(lines, samples, x, cy * width + x);
    if (contest.count > 1)
      g_array_append_val(contests, contest);
  }
}

/* Only the samples that show the chosen state count in the contested blocks of the row. */
static void restrict_to_chosen(Lines *lines, guint samples, const Contest *contests, guint count, int cy) {
  for (guint k = 0; k < count; k++) {
    const Contest *contest = &contests[k];
    int x = contest->at - cy * lines->u.width;
    for (guint s = 0; s < samples && contest->chosen >= 0; s++)
      if (!(contest->samples[contest->chosen] >> s & 1))
        for (int i = 0; i < 4; i++)
          lines->luma[i >> 1].use[(gsize)s * (gsize)lines->luma[0].width + (gsize)(2 * x + (i & 1))] = 0;
  }
}

/* One chroma row of the plate. contests: those of the row to respect, or NULL to find them. */
static void make_row(Band *band, Lines *lines, int cy, const Contest *contests, guint count) {
  guint n = band->samples->len;
  g_autofree guint8 *known = g_malloc((gsize)band->width);
  for (int k = 0; k < 2; k++) {
    Row *row = &lines->luma[k];
    int y = 2 * cy + k;
    for (guint s = 0; s < n; s++) {
      gsize at = (gsize)s * (gsize)band->width;
      fetch_luma(band->samples->pdata[s], y, row->value + at, row->use + at, band->width);
    }
    choose(row, n, contests ? known : image_at(band->known, 0, y));
  }
  if (contests)
    restrict_to_chosen(lines, n, contests, count, cy);
  for (int k = 0; k < 2; k++) {
    find_median(&lines->luma[k], n);
    store_mean(&lines->luma[k], n, band->plate->data[0] + (gssize)(2 * cy + k) * band->plate->linesize[0]);
  }
  choose_chroma(lines->luma, &lines->u, n);
  memcpy(lines->v.use, lines->u.use, (gsize)n * (gsize)lines->u.width);
  Row *rows[2] = {&lines->u, &lines->v};
  for (int plane = 1; plane < 3; plane++) {
    Row *row = rows[plane - 1];
    for (guint s = 0; s < n; s++)
      fetch_chroma(band->samples->pdata[s], plane, cy, row->value + (gsize)s * (gsize)row->width, row->width);
    find_median(row, n);
    store_mean(row, n, band->plate->data[plane] + (gssize)cy * band->plate->linesize[plane]);
  }
  if (!contests)
    note_contests(lines, n, cy, band->contests);
}

/* First pass: by majority, noting where it is contested. */
static gpointer by_majority(gpointer data) {
  Band *band = data;
  Lines lines = lines_new(band->samples->len, band->width);
  for (int cy = band->begin; cy < band->end; cy++)
    make_row(band, &lines, cy, NULL, 0);
  lines_clear(&lines);
  return NULL;
}

/* Second pass: the rows with contests again, now that these are settled. */
static gpointer by_decision(gpointer data) {
  Band *band = data;
  Lines lines = lines_new(band->samples->len, band->width);
  const Contest *contests = (const Contest *)(gpointer)band->contests->data;
  for (guint begin = 0, end; begin < band->contests->len; begin = end) {
    int cy = contests[begin].at / lines.u.width;
    gboolean changed = FALSE;
    for (end = begin; end < band->contests->len && contests[end].at / lines.u.width == cy; end++)
      changed |= contests[end].chosen > 0;
    if (changed)
      make_row(band, &lines, cy, contests + begin, end - begin);
  }
  lines_clear(&lines);
  return NULL;
}

static void run_bands(Band *band, int bands, GThreadFunc pass) {
  GThread *thread[BANDS_MAX];
  for (int i = 0; i < bands; i++)
    thread[i] = g_thread_new("plate", pass, &band[i]);
  for (int i = 0; i < bands; i++)
    g_thread_join(thread[i]);
}

AVFrame *samples_median(GPtrArray *samples, int width, int height, Image **known) {
  AVFrame *plate = av_frame_alloc();
  plate->format = AV_PIX_FMT_YUV420P;
  plate->width = width;
  plate->height = height;
  if (av_frame_get_buffer(plate, 0) < 0)
    g_error("No memory for a picture of %d x %d.", width, height);
  *known = image_new(width, height, 1);
  Band band[BANDS_MAX];
  int bands = CLAMP((int)g_get_num_processors(), 1, BANDS_MAX);
  for (int i = 0; i < bands; i++) {
    GArray *contests = g_array_new(FALSE, FALSE, sizeof(Contest));
    int begin = height / 2 * i / bands, end = height / 2 * (i + 1) / bands;
    band[i] = (Band){samples, width, height, plate, *known, begin, end, contests};
  }
  run_bands(band, bands, by_majority);
  g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Contest));
  for (int i = 0; i < bands; i++)
    if (band[i].contests->len)
      g_array_append_vals(all, band[i].contests->data, band[i].contests->len);
  contests_settle((Contest *)(gpointer)all->data, (int)all->len, plate, *known);
  guint taken = 0;
  for (int i = 0; i < bands; i++) {
    guint count = band[i].contests->len;
    if (count)
      memcpy(band[i].contests->data, all->data + taken * sizeof(Contest), count * sizeof(Contest));
    taken += count;
  }
  run_bands(band, bands, by_decision);
  for (int i = 0; i < bands; i++)
    g_array_unref(band[i].contests);
  return plate;
}
