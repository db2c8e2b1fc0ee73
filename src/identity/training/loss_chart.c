/* Drawn with cairo. Single steps scatter by half of the loss and more, since each has another time t, so that
 * the line to look at is the running mean; the axis covers what that line covers and cuts the outermost dots.
 */
#include "identity/training/loss_chart.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

#define WIDTH 960
#define HEIGHT 540
#define LEFT 70.0
#define RIGHT 20.0
#define TOP 46.0
#define RATE_TOP 430.0 /* the small chart of the rate */
#define LOSS_BOTTOM 390.0
#define RATE_BOTTOM 490.0
#define TICKS 5
#define RUNNING 40 /* the mean runs over about a 40th of the training */

typedef struct {
  cairo_t *cr;
  const LoraStep *steps;
  gint64 count;
  double *mean; /* running, of the loss */
  double low, high;
} Chart;

static Image *to_image(cairo_surface_t *surface) {
  cairo_surface_flush(surface);
  int width = cairo_image_surface_get_width(surface), height = cairo_image_surface_get_height(surface);
  Image *image = image_new(width, height, 3);
  for (int y = 0; y < height; y++) {
    const guint32 *row = (const guint32 *)(const void *)(cairo_image_surface_get_data(surface) +
                                                         y * cairo_image_surface_get_stride(surface));
    for (int x = 0; x < width; x++)
      for (int k = 0; k < 3; k++)
        image_at(image, x, y)[k] = (guint8)(row[x] >> (16 - 8 * k));
  }
  return image;
}

static cairo_t *begin(int width, int height, cairo_surface_t **surface) {
  *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
  cairo_t *cr = cairo_create(*surface);
  cairo_set_source_rgb(cr, 1, 1, 1);
  cairo_paint(cr);
  cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  return cr;
}

static void write_text(cairo_t *cr, double x, double y, double size, double align, const char *text) {
  cairo_text_extents_t extents;
  cairo_set_font_size(cr, size);
  cairo_text_extents(cr, text, &extents);
  cairo_move_to(cr, x - align * extents.x_advance, y);
  cairo_show_text(cr, text);
}

/* --- the chart --- */

static double x_of(const Chart *chart, gint64 step) {
  return LEFT + (WIDTH - LEFT - RIGHT) * (double)step / (double)MAX(chart->count, 1);
}

static double y_of(const Chart *chart, double loss) {
  return LOSS_BOTTOM - (LOSS_BOTTOM - TOP) * (loss - chart->low) / (chart->high - chart->low);
}

/* The running mean; the axis from what it covers, a little beyond, never below 0. */
static void measure(Chart *chart) {
  double keep = 1 - 1 / fmax(2, (double)chart->count / RUNNING), sum = 0, weight = 0, low = INFINITY,
         high = -INFINITY;
  for (gint64 i = 0; i < chart->count; i++) {
    sum = keep * sum + chart->steps[i].loss;
    weight = keep * weight + 1;
    chart->mean[i] = sum / weight;
    double held = isnan(chart->steps[i].held) ? chart->mean[i] : chart->steps[i].held;
    low = fmin(low, fmin(chart->mean[i], held));
    high = fmax(high, fmax(chart->mean[i], held));
  }
  if (!(high >= low))
    low = 0, high = 1;
  double room = fmax(high - low, .1 * fabs(high) + 1e-6) * .35;
  chart->low = fmax(0, low - room);
  chart->high = high + room;
}

/* 1, 2 or 5 times a power of ten. */
static double round_step(double span) {
  double power = pow(10, floor(log10(span / TICKS))), times = span / TICKS / power;
  return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static void draw_axes(const Chart *chart) {
  cairo_t *cr = chart->cr;
  char text[32];
  cairo_set_line_width(cr, 1);
  double by = round_step(chart->high - chart->low);
  for (double value = ceil(chart->low / by) * by; value <= chart->high; value += by) {
    double y = floor(y_of(chart, value)) + .5;
    cairo_set_source_rgb(cr, .88, .88, .88);
    cairo_move_to(cr, LEFT, y);
    cairo_line_to(cr, WIDTH - RIGHT, y);
    cairo_stroke(cr);
    cairo_set_source_rgb(cr, .3, .3, .3);
    g_snprintf(text, sizeof text, "%.4g", value);
    write_text(cr, LEFT - 8, y + 4, 13, 1, text);
  }
  gint64 every = MAX(1, (gint64)round_step((double)MAX(chart->count, 1) * .8));
  for (gint64 step = 0; step <= chart->count; step += every) {
    g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, step);
    write_text(cr, x_of(chart, step), RATE_BOTTOM + 20, 13, .5, text);
  }
  write_text(cr, (LEFT + WIDTH - RIGHT) / 2, RATE_BOTTOM + 40, 13, .5, "steps");
}

static void draw_loss(const Chart *chart) {
  cairo_t *cr = chart->cr;
  cairo_save(cr);
  cairo_rectangle(cr, LEFT, TOP, WIDTH - LEFT - RIGHT, LOSS_BOTTOM - TOP);
  cairo_clip(cr);
  cairo_set_source_rgba(cr, .25, .45, .8, .35);
  for (gint64 i = 0; i < chart->count; i++) {
    cairo_arc(cr, x_of(chart, i + 1), y_of(chart, chart->steps[i].loss), 1.6, 0, 2 * G_PI);
    cairo_fill(cr);
  }
  cairo_set_source_rgb(cr, .1, .25, .6);
  cairo_set_line_width(cr, 2.2);
  for (gint64 i = 0; i < chart->count; i++)
    cairo_line_to(cr, x_of(chart, i + 1), y_of(chart, chart->mean[i]));
  cairo_stroke(cr);
  cairo_set_source_rgb(cr, .85, .35, .1);
  for (gint64 i = 0; i < chart->count; i++)
    if (!isnan(chart->steps[i].held))
      cairo_line_to(cr, x_of(chart, i + 1), y_of(chart, chart->steps[i].held));
  cairo_stroke(cr);
  cairo_restore(cr);
}

static void draw_rate(const Chart *chart) {
  cairo_t *cr = chart->cr;
  double most = 0;
  for (gint64 i = 0; i < chart->count; i++)
    most = fmax(most, chart->steps[i].rate);
  cairo_set_source_rgb(cr, .45, .45, .45);
  cairo_set_line_width(cr, 1.5);
  for (gint64 i = 0; i < chart->count && most > 0; i++)
    cairo_line_to(cr, x_of(chart, i + 1),
                  RATE_BOTTOM - (RATE_BOTTOM - RATE_TOP) * chart->steps[i].rate / most);
  cairo_stroke(cr);
  char text[48];
  g_snprintf(text, sizeof text, "%.3g", most);
  write_text(cr, LEFT - 8, RATE_TOP + 5, 13, 1, text);
  write_text(cr, LEFT + 2, RATE_TOP - 8, 13, 0, "learning rate");
  cairo_set_source_rgb(cr, .6, .6, .6);
  cairo_set_line_width(cr, 1);
  cairo_move_to(cr, LEFT, RATE_BOTTOM + .5);
  cairo_line_to(cr, WIDTH - RIGHT, RATE_BOTTOM + .5);
  cairo_stroke(cr);
}

static void draw_legend(const Chart *chart, const char *title) {
  cairo_t *cr = chart->cr;
  gboolean held = FALSE;
  for (gint64 i = 0; i < chart->count; i++)
    held = held || !isnan(chart->steps[i].held);
  cairo_set_source_rgb(cr, .1, .1, .1);
  write_text(cr, LEFT, 28, 18, 0, title);
  cairo_set_source_rgb(cr, .1, .25, .6);
  write_text(cr, WIDTH - RIGHT, 22, 13, 1, "loss, running mean");
  cairo_set_source_rgb(cr, .85, .35, .1);
  if (held)
    write_text(cr, WIDTH - RIGHT, 39, 13, 1, "loss of the held-out picture");
}

Image *loss_chart(const LoraStep *steps, gint64 count, const char *title) {
  cairo_surface_t *surface;
  g_autofree double *mean = g_new0(double, (gsize)count + 1);
  Chart chart = {begin(WIDTH, HEIGHT, &surface), steps, count, mean};
  measure(&chart);
  draw_axes(&chart);
  draw_loss(&chart);
  draw_rate(&chart);
  draw_legend(&chart, title);
  Image *image = to_image(surface);
  cairo_destroy(chart.cr);
  cairo_surface_destroy(surface);
  return image;
}

/* --- the sheet --- */

#define CELL 256
#define GAP 8
#define LABEL 110

/* The picture as large as the cell allows. */
static void draw_cell(Image *sheet, const Image *picture, int left, int top) {
  double scale = CELL / (double)MAX(picture->width, picture->height);
  g_autoptr(Image) rgb = image_convert(picture, 3);
  g_autoptr(Image) scaled =
      image_resize(rgb, MAX(1, (int)lround(rgb->width * scale)), MAX(1, (int)lround(rgb->height * scale)));
  int x = left + (CELL - scaled->width) / 2, y = top + (CELL - scaled->height) / 2;
  for (int row = 0; row < scaled->height; row++)
    memcpy(image_at(sheet, x, y + row), image_at(scaled, 0, row), 3 * (gsize)scaled->width);
}

Image *labelled_sheet(const Image *const *cells, int rows, int columns, const char *const *labels) {
  cairo_surface_t *surface;
  cairo_t *cr = begin(LABEL + columns * (CELL + GAP), GAP + rows * (CELL + GAP), &surface);
  cairo_set_source_rgb(cr, .15, .15, .15);
  for (int row = 0; row < rows; row++)
    write_text(cr, 10, GAP + row * (CELL + GAP) + CELL / 2 + 5, 15, 0, labels[row]);
  Image *sheet = to_image(surface);
  cairo_destroy(cr);
  cairo_surface_destroy(surface);
  for (int i = 0; i < rows * columns; i++)
    if (cells[i])
      draw_cell(sheet, cells[i], LABEL + i % columns * (CELL + GAP), GAP + i / columns * (CELL + GAP));
  return sheet;
}
