/* The characters' premultiplied RGB becomes YUV by one matrix product that takes alpha as a fourth channel:
 * the offsets of luma and chroma belong to what is covered only. Chroma takes the mean of its four pixels,
 * which premultiplication makes right. */
#include "puppet/draw/compose.h"
#include "base/plane.h"
#include "base/simd.h"
#include "puppet/draw/hold.h"
#include "puppet/draw/veil.h"
#include <math.h>
#include <string.h>

#define SHADOW 0.42f       /* how much light a foot on the ground takes away */
#define SHADOW_ASPECT 4.4f /* width over height */
#define SOMEBODY 25        /* mask values above are somebody */
#define STRAY 0.08f        /* of the frame's height: how far a person may go on where writing ends the mask */
#define STRAY_FROM 14      /* levels of difference from the plate that are noise */
#define STRAY_TO 30        /* that are something else */
#define FIXED 15           /* bits of the matrix */

/* y = r R + g G + b B + a A, 1 << FIXED is one. */
typedef struct {
  gint32 r, g, b, a;
} Mix;

struct Composer {
  VideoInfo info;
  Background background;
  Mix mix[3]; /* Y, U, V */
  guint8 black, white, fill[3];
  Veil *veil;
  BackingRoom *room;
  guint32 *row[2];  /* two rows of a character over a whole frame's width */
  GByteArray *kept; /* what stands in front, as the frame had it */
};

/* ITU-R BT.601, 709, 2020 non-constant; the numbers are those of AVColorSpace. */
static void luma_weights(int matrix, double *kr, double *kb) {
  switch (matrix) {
  case AVCOL_SPC_BT709:
    *kr = 0.2126, *kb = 0.0722;
    break;
  case AVCOL_SPC_BT2020_NCL:
  case AVCOL_SPC_BT2020_CL:
    *kr = 0.2627, *kb = 0.0593;
    break;
  case AVCOL_SPC_SMPTE240M:
    *kr = 0.212, *kb = 0.087;
    break;
  case AVCOL_SPC_FCC:
    *kr = 0.30, *kb = 0.11;
    break;
  default:
    *kr = 0.299, *kb = 0.114;
  }
}

static Mix mix_of(double r, double g, double b, double a) {
  const double one = 1 << FIXED;
  return (Mix){(gint32)lrint(r * one), (gint32)lrint(g * one), (gint32)lrint(b * one),
               (gint32)lrint(a * one)};
}

static void set_matrix(Composer *composer) {
  double kr, kb, full = composer->info.range == AVCOL_RANGE_JPEG;
  luma_weights(composer->info.matrix, &kr, &kb);
  double kg = 1 - kr - kb, luma = full ? 1 : 219.0 / 255, chroma = full ? 1 : 224.0 / 255,
         black = full ? 0 : 16.0 / 255;
  double u = 0.5 * chroma / (1 - kb), v = 0.5 * chroma / (1 - kr), middle = 128.0 / 255;
  composer->mix[0] = mix_of(kr * luma, kg * luma, kb * luma, black);
  composer->mix[1] = mix_of(-kr * u, -kg * u, (1 - kb) * u, middle);
  composer->mix[2] = mix_of((1 - kr) * v, -kg * v, -kb * v, middle);
  composer->black = full ? 0 : 16;
  composer->white = full ? 255 : 235;
}

static inline int mixed(const Mix *mix, int r, int g, int b, int a) {
  return mix->r * r + mix->g * g + mix->b * b + mix->a * a;
}

Composer *composer_new(const VideoInfo *info, Background background, const guint8 colour[3]) {
  Composer *composer = g_new0(Composer, 1);
  composer->info = *info;
  composer->background = background;
  set_matrix(composer);
  const guint8 *c = colour && background == BACKGROUND_SOLID ? colour : (const guint8[3]){0, 0, 0};
  for (int p = 0; p < 3; p++)
    composer->fill[p] = (guint8)CLAMP(
        (mixed(&composer->mix[p], c[0], c[1], c[2], 255) + (1 << (FIXED - 1))) >> FIXED, 0, 255);
  if (background == BACKGROUND_ORIGINAL) {
    composer->veil = veil_new(info);
    composer->room = backing_room_new(info);
  }
  for (int i = 0; i < 2; i++)
    composer->row[i] = g_new0(guint32, (gsize)info->width + 2);
  composer->kept = g_byte_array_new();
  return composer;
}

void composer_free(Composer *composer) {
  if (!composer)
    return;
  veil_free(composer->veil);
  backing_room_free(composer->room);
  g_free(composer->row[0]);
  g_free(composer->row[1]);
  g_byte_array_unref(composer->kept);
  g_free(composer);
}

static void fill_frame(AVFrame *frame, const guint8 fill[3]) {
  for (int p = 0; p < 3; p++) {
    int shift = p > 0, rows = (frame->height + shift) >> shift, columns = (frame->width + shift) >> shift;
    for (int y = 0; y < rows; y++)
      memset(frame->data[p] + (gssize)y * frame->linesize[p], fill[p], (gsize)columns);
  }
}

/* --- contact shadows --- */

/* A soft ellipse: the light left at a squared distance from its middle, in half axes. */
static float light_left(float square, float strength) {
  float t = 1 - MIN(square, 1.0f);
  return 1 - SHADOW * strength * t * t * (2 - t);
}

static void dim(guint8 *p, int neutral, float light) {
  *p = (guint8)((float)neutral + (float)(*p - neutral) * light + 0.5f);
}

static void cast(const Composer *composer, const PainterShadow *shadow, const Image *before, AVFrame *frame) {
  float a = shadow->size * 1.35f, b = a / SHADOW_ASPECT;
  if (!(shadow->strength > 0.02f && a > 1 && fabsf(shadow->x) < 1e5f && fabsf(shadow->y) < 1e5f && a < 1e5f))
    return;
  for (int p = 0; p < 3; p++) {
    int shift = p > 0, width = (frame->width + shift) >> shift, height = (frame->height + shift) >> shift;
    float scale = shift ? 0.5f : 1, cx = shadow->x * scale, cy = shadow->y * scale, ra = a * scale,
          rb = b * scale;
    for (int y = MAX(0, (int)(cy - rb)); y < MIN(height, (int)(cy + rb) + 1); y++)
      for (int x = MAX(0, (int)(cx - ra)); x < MIN(width, (int)(cx + ra) + 1); x++) {
        float dx = ((float)x + 0.5f - cx) / ra, dy = ((float)y + 0.5f - cy) / rb, square = dx * dx + dy * dy;
        if (square < 1)
          dim(frame->data[p] + (gssize)y * frame->linesize[p] + x, p ? 128 : composer->black,
              light_left(square, shadow->strength * hold_at(before, (float)x + 0.5f, (float)y + 0.5f, width, height)));
      }
  }
}

/* --- characters --- */

/* Luma of a row of premultiplied pixels over what is there. */
FASTEST static void lay_luma(guint8 *restrict out, const guint32 *restrict rgba, int n, Mix m) {
  for (int x = 0; x < n; x++) {
    gint32 p = (gint32)rgba[x], a = (p >> 24) & 255;
    gint32 above = m.r * (p & 255) + m.g * ((p >> 8) & 255) + m.b * ((p >> 16) & 255) + m.a * a;
    gint32 below = out[x] * (255 - a) * 257; /* 257 / 65536 is a little more than 1 / 255.004 */
    out[x] = (guint8)((above + (below >> 1) + (1 << (FIXED - 1))) >> FIXED);
  }
}

/* One row of both chroma planes from two rows of pixels; n pairs of columns. */
FASTEST static void lay_chroma(guint8 *restrict u, guint8 *restrict v, const guint32 *restrict top,
                               const guint32 *restrict bottom, int n, Mix mu, Mix mv) {
  for (int x = 0; x < n; x++) {
    guint32 p = top[2 * x], q = top[2 * x + 1], s = bottom[2 * x], t = bottom[2 * x + 1];
    guint32 even = (p & 0xff00ff) + (q & 0xff00ff) + (s & 0xff00ff) + (t & 0xff00ff);
    guint32 odd = (p >> 8 & 0xff00ff) + (q >> 8 & 0xff00ff) + (s >> 8 & 0xff00ff) + (t >> 8 & 0xff00ff);
    gint32 r = (gint32)(even & 0xffff), b = (gint32)(even >> 16), g = (gint32)(odd & 0xffff),
           a = (gint32)(odd >> 16);
    gint32 rest = (1020 - a) * 257;
    u[x] = (guint8)((mu.r * r + mu.g * g + mu.b * b + mu.a * a + (u[x] * rest >> 1) + (2 << FIXED)) >>
                    (FIXED + 2));
    v[x] = (guint8)((mv.r * r + mv.g * g + mv.b * b + mv.a * a + (v[x] * rest >> 1) + (2 << FIXED)) >>
                    (FIXED + 2));
  }
}

/* The columns [x0, x1) of the frame, even, where a row of the box has something. */
static gboolean row_range(const RasterBox *box, int y, int width, int *x0, int *x1) {
  if (y < box->y || y >= box->y + box->height)
    return FALSE;
  const int *span = box->span[(y - box->y) / box->band];
  *x0 = MAX(0, box->x + span[0]);
  *x1 = MIN(width, box->x + span[1]);
  return *x0 < *x1;
}

/* A row of the box where it has something, zero elsewhere in [x0, x1). */
static const guint32 *fetch_row(const RasterBox *box, int y, int width, int x0, int x1, guint32 *room) {
  int from, to;
  memset(room + x0, 0, (gsize)(x1 - x0) * 4);
  if (!row_range(box, y, width, &from, &to))
    return room;
  from = MAX(from, x0), to = MIN(to, x1);
  if (from < to)
    memcpy(room + from, box->rgba + ((gssize)(y - box->y) * box->width + from - box->x) * 4,
           (gsize)(to - from) * 4);
  return room;
}

static void lay_box(const Composer *composer, const RasterBox *box, const Image *before, AVFrame *frame) {
  int width = frame->width, height = frame->height;
  for (int y = MAX(0, box->y) & ~1; y < MIN(height, box->y + box->height); y += 2) {
    int x0 = width, x1 = 0, a, b;
    for (int k = 0; k < 2; k++)
      if (row_range(box, y + k, width, &a, &b))
        x0 = MIN(x0, a), x1 = MAX(x1, b);
    if (x0 >= x1)
      continue;
    x0 &= ~1, x1 = (x1 + 1) & ~1;
    const guint32 *rows[2];
    for (int k = 0; k < 2; k++) {
      rows[k] = fetch_row(box, y + k, width, x0, x1, composer->row[k]);
      hold_row(before, y + k, x0, x1, width, height, composer->row[k]);
    }
    for (int k = 0; k < 2 && y + k < height; k++)
      lay_luma(frame->data[0] + (gssize)(y + k) * frame->linesize[0] + x0, rows[k] + x0, MIN(x1, width) - x0,
               composer->mix[0]);
    lay_chroma(frame->data[1] + (gssize)(y / 2) * frame->linesize[1] + x0 / 2,
               frame->data[2] + (gssize)(y / 2) * frame->linesize[2] + x0 / 2, rows[0] + x0, rows[1] + x0,
               (x1 - x0) / 2, composer->mix[1], composer->mix[2]);
  }
}

static void lay_alpha(const Composer *composer, const RasterBox *box, const Image *before, AVFrame *mask) {
  int range = composer->white - composer->black;
  guint32 *row = composer->row[0];
  for (int y = MAX(0, box->y); y < MIN(mask->height, box->y + box->height); y++) {
    int x0, x1;
    if (!row_range(box, y, mask->width, &x0, &x1))
      continue;
    guint8 *out = mask->data[0] + (gssize)y * mask->linesize[0];
    fetch_row(box, y, mask->width, x0, x1, row);
    hold_row(before, y, x0, x1, mask->width, mask->height, row);
    for (int x = x0; x < x1; x++) {
      int a = (int)(row[x] >> 24);
      out[x] = (guint8)(out[x] + ((composer->white - out[x]) * a + (a ? range / 2 : 0)) / 255);
    }
  }
}

/* --- what stands in front --- */

/* Copies the frame's own pixels there, plane after plane. */
static gboolean keep_front(const Composer *composer, const ComposeInput *input, const AVFrame *frame,
                           BackingFront *front) {
  if (!input->backing || !backing_front(input->backing, input->index, front) ||
      front->x + front->width > frame->width || front->y + front->height > frame->height)
    return FALSE;
  g_byte_array_set_size(composer->kept, 0);
  for (int p = 0; p < 3; p++) {
    int shift = p > 0;
    for (int y = 0; y < front->height >> shift; y++)
      g_byte_array_append(composer->kept,
                          frame->data[p] + (gssize)(y + (front->y >> shift)) * frame->linesize[p] +
                              (front->x >> shift),
                          (guint)(front->width >> shift));
  }
  return TRUE;
}

/* Lays them over what was drawn meanwhile. */
static void return_front(const Composer *composer, const BackingFront *front, AVFrame *frame) {
  const guint8 *kept = composer->kept->data;
  for (int p = 0; p < 3; p++) {
    int shift = p > 0, columns = front->width >> shift;
    for (int y = 0; y < front->height >> shift; y++, kept += columns) {
      guint8 *out =
          frame->data[p] + (gssize)(y + (front->y >> shift)) * frame->linesize[p] + (front->x >> shift);
      const guint8 *alpha = front->alpha + (gssize)(y >> !shift) * (front->width / 2);
      for (int x = 0; x < columns; x++) {
        int a = alpha[x >> !shift];
        out[x] = (guint8)((kept[x] * a + out[x] * (255 - a) + 127) / 255);
      }
    }
  }
}

/* Whether one of the masks has somebody at (u, v), in shares of the frame. */
static gboolean masked(const Image *const *masks, int count, float u, float v) {
  for (int k = 0; k < count; k++)
    if (*image_at(masks[k], MIN((int)(u * (float)masks[k]->width), masks[k]->width - 1),
                  MIN((int)(v * (float)masks[k]->height), masks[k]->height - 1)) > SOMEBODY)
      return TRUE;
  return FALSE;
}

/* The columns [*x0, *x1) of blocks of the strip around which the people who are taken out are. */
static gboolean near_people(const ComposeInput *input, const BackingFront *front, const AVFrame *frame,
                            int *x0, int *x1) {
  float reach = STRAY * (float)frame->height;
  *x0 = front->width / 2, *x1 = 0;
  for (int x = 0; x < front->width / 2; x += 2)
    for (float y = (float)front->y - reach; y < (float)(front->y + front->height); y += 4)
      if (y >= 0 && masked(input->replaced, input->replaced_count,
                           (float)(front->x + 2 * x) / (float)frame->width, y / (float)frame->height)) {
        *x0 = MIN(*x0, x), *x1 = MAX(*x1, x);
        break;
      }
  *x0 = MAX(*x0 - (int)reach / 2, 0);
  *x1 = MIN(*x1 + (int)reach / 2, front->width / 2);
  return *x0 < *x1;
}

/* Masks end where writing crosses a person: what differs from the plate beside them, and is no writing, is
 * theirs. */
static void take_strays(const Composer *composer, const ComposeInput *input, const BackingFront *front,
                        AVFrame *frame) {
  int x0, x1, box[4] = {front->x, front->y, front->x + front->width, front->y + front->height};
  BackingView view;
  if (!near_people(input, front, frame, &x0, &x1))
    return;
  backing_view(input->backing, input->index, box, composer->room, &view);
  for (int y = 0; y < front->height / 2; y++)
    for (int x = x0; x < x1; x++) {
      int fx = front->x / 2 + x, fy = front->y / 2 + y, difference = 0;
      if (front->alpha[(gssize)y * (front->width / 2) + x] == 255)
        continue;
      for (int k = 0; k < 4; k++)
        difference += ABS(frame->data[0][(gssize)(2 * fy + k / 2) * frame->linesize[0] + 2 * fx + k % 2] -
                          view.plane[0][(gssize)(2 * fy + k / 2) * view.stride[0] + 2 * fx + k % 2]);
      difference /= 4;
      for (int p = 1; p < 3; p++)
        difference += ABS(frame->data[p][(gssize)fy * frame->linesize[p] + fx] -
                          view.plane[p][(gssize)fy * view.stride[p] + fx]);
      int a = CLAMP((difference - STRAY_FROM) * 255 / (STRAY_TO - STRAY_FROM), 0, 255);
      if (!a || masked(input->kept, input->kept_count, (2 * (float)fx + 1) / (float)frame->width,
                       (2 * (float)fy + 1) / (float)frame->height))
        continue;
      for (int k = 0; k < 6; k++) {
        int p = MAX(k - 3, 0), u = p ? fx : 2 * fx + k % 2, v = p ? fy : 2 * fy + k / 2;
        guint8 *to = frame->data[p] + (gssize)v * frame->linesize[p] + u;
        *to = (guint8)((*to * (255 - a) + view.plane[p][(gssize)v * view.stride[p] + u] * a + 127) / 255);
      }
    }
}

static void take_out(const Composer *composer, const ComposeInput *input, AVFrame *frame) {
  int box[4], wide[4];
  BackingView view;
  if (!input->backing || !veil_cover(composer->veil, input->replaced, input->replaced_count, input->kept,
                                     input->kept_count, box))
    return;
  veil_surroundings(composer->veil, box, wide);
  backing_view(input->backing, input->index, wide, composer->room, &view);
  veil_match(composer->veil, frame, &view, box);
  veil_lay(composer->veil, &view, box, frame);
}

static const Image *who_stands_before(const ComposeInput *input, int box) {
  return input->before ? input->before[box] : NULL;
}

void compose_frame(Composer *composer, AVFrame *frame, const ComposeInput *input, AVFrame *mask) {
  g_return_if_fail(frame->width == composer->info.width && frame->height == composer->info.height);
  BackingFront front;
  gboolean covered = FALSE, original = composer->background == BACKGROUND_ORIGINAL;
  if (original) {
    covered = keep_front(composer, input, frame, &front);
    take_out(composer, input, frame);
    if (covered)
      take_strays(composer, input, &front, frame);
    for (int i = 0; i < input->box_count; i++)
      for (int side = 0; side < 2; side++)
        cast(composer, &input->boxes[i].shadow[side], who_stands_before(input, i), frame);
  } else {
    fill_frame(frame, composer->fill);
  }
  for (int i = 0; i < input->box_count; i++)
    lay_box(composer, &input->boxes[i].picture, original ? who_stands_before(input, i) : NULL, frame);
  if (covered)
    return_front(composer, &front, frame);
  if (!mask)
    return;
  fill_frame(mask, (const guint8[3]){composer->black, 128, 128});
  for (int i = 0; i < input->box_count; i++)
    lay_alpha(composer, &input->boxes[i].picture, original ? who_stands_before(input, i) : NULL, mask);
}
