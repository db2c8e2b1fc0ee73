/* The formulas as they are written, in loops, nothing shared with the engine. */
#include "plain.h"

#include <math.h>
#include <string.h>

typedef struct {
  const TransformerShape *shape;
  PlainWeights *weights;
  gint64 n_text, n;
  double *angles; /* [n, head / 2] */
} Plain;

PlainWeights *plain_weights(const GArray *parameters) {
  PlainWeights *weights = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    gint64 count = parameter->rows * parameter->cols;
    double *copy = g_new(double, (gsize)count);
    for (gint64 k = 0; k < count; k++)
      copy[k] = parameter->value[k];
    g_hash_table_insert(weights, g_strdup(parameter->name), copy);
  }
  return weights;
}

static const double *weight(const Plain *plain, const char *format, ...) G_GNUC_PRINTF(2, 3);
static const double *weight(const Plain *plain, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *name = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  const double *found = g_hash_table_lookup(plain->weights, name);
  g_assert(found);
  return found;
}

static double *linear(const double *x, gint64 n, gint64 in, gint64 out, const double *w) {
  double *y = g_new0(double, (gsize)(n * out) + 1);
  for (gint64 i = 0; i < n; i++)
    for (gint64 o = 0; o < out; o++)
      for (gint64 k = 0; k < in; k++)
        y[i * out + o] += x[i * in + k] * w[o * in + k];
  return y;
}

static double silu(double x) {
  return x / (1 + exp(-x));
}

static double *modulate(const double *x, gint64 n, gint64 h, const double *shift, const double *scale) {
  double *y = g_new(double, (gsize)(n * h) + 1);
  for (gint64 i = 0; i < n; i++) {
    double mean = 0, variance = 0;
    for (gint64 k = 0; k < h; k++)
      mean += x[i * h + k] / (double)h;
    for (gint64 k = 0; k < h; k++)
      variance += pow(x[i * h + k] - mean, 2) / (double)h;
    for (gint64 k = 0; k < h; k++)
      y[i * h + k] = (1 + scale[k]) * (x[i * h + k] - mean) / sqrt(variance + 1e-6) + shift[k];
  }
  return y;
}

/* One head of one row of q or k. */
static void norm_and_turn(double *x, gint64 head, const double *w, const double *angles) {
  double square = 0;
  for (gint64 k = 0; k < head; k++)
    square += x[k] * x[k] / (double)head;
  for (gint64 k = 0; k < head; k++)
    x[k] *= w[k] / sqrt(square + 1e-6);
  for (gint64 k = 0; k < head / 2; k++) {
    double a = x[2 * k], b = x[2 * k + 1];
    x[2 * k] = cos(angles[k]) * a - sin(angles[k]) * b;
    x[2 * k + 1] = sin(angles[k]) * a + cos(angles[k]) * b;
  }
}

static void prepare_rows(const Plain *plain, double *rows, gint64 first, gint64 count, gint64 stride,
                         const double *query, const double *key) {
  gint64 head = plain->shape->head, h = plain->shape->hidden;
  for (gint64 i = first; i < first + count; i++)
    for (gint64 k = 0; k < plain->shape->heads; k++) {
      norm_and_turn(rows + i * stride + k * head, head, query, plain->angles + i * head / 2);
      norm_and_turn(rows + i * stride + h + k * head, head, key, plain->angles + i * head / 2);
    }
}

/* y [n, y_stride] */
static void attend(const Plain *plain, const double *rows, gint64 stride, double *y, gint64 y_stride) {
  gint64 head = plain->shape->head, h = plain->shape->hidden, n = plain->n;
  g_autofree double *p = g_new(double, (gsize)n);
  for (gint64 k = 0; k < plain->shape->heads; k++)
    for (gint64 i = 0; i < n; i++) {
      double sum = 0;
      for (gint64 j = 0; j < n; j++) {
        double score = 0;
        for (gint64 c = 0; c < head; c++)
          score += rows[i * stride + k * head + c] * rows[j * stride + h + k * head + c];
        sum += p[j] = exp(score / sqrt((double)head));
      }
      for (gint64 c = 0; c < head; c++) {
        double value = 0;
        for (gint64 j = 0; j < n; j++)
          value += p[j] / sum * rows[j * stride + 2 * h + k * head + c];
        y[i * y_stride + k * head + c] = value;
      }
    }
}

static void add_gated(double *x, const double *gate, const double *o, gint64 n, gint64 h) {
  for (gint64 i = 0; i < n * h; i++)
    x[i] += gate[i % h] * o[i];
}

static void gate_rows(const double *x, gint64 n, gint64 m, gint64 stride, double *y, gint64 y_stride) {
  for (gint64 i = 0; i < n; i++)
    for (gint64 k = 0; k < m; k++)
      y[i * y_stride + k] = silu(x[i * stride + k]) * x[i * stride + m + k];
}

static void double_block(const Plain *plain, int block, double *x, const double *modulation[2]) {
  static const char *const names[] = {"txt", "img"};
  gint64 h = plain->shape->hidden, m = plain->shape->mlp, n = plain->n;
  const gint64 first[] = {0, plain->n_text}, count[] = {plain->n_text, n - plain->n_text};
  g_autofree double *qkv = g_new(double, (gsize)(n * 3 * h)), *attention = g_new(double, (gsize)(n * h));
  for (int s = 0; s < 2; s++) {
    g_autofree double *mod = modulate(x + first[s] * h, count[s], h, modulation[s], modulation[s] + h);
    g_autofree double *own = linear(mod, count[s], h, 3 * h,
                                    weight(plain, "double_blocks.%d.%s_attn.qkv.weight", block, names[s]));
    memcpy(qkv + first[s] * 3 * h, own, sizeof *own * (gsize)(count[s] * 3 * h));
    prepare_rows(plain, qkv, first[s], count[s], 3 * h,
                 weight(plain, "double_blocks.%d.%s_attn.norm.query_norm.scale", block, names[s]),
                 weight(plain, "double_blocks.%d.%s_attn.norm.key_norm.scale", block, names[s]));
  }
  attend(plain, qkv, 3 * h, attention, h);
  for (int s = 0; s < 2; s++) {
    double *stream = x + first[s] * h;
    g_autofree double *o = linear(attention + first[s] * h, count[s], h, h,
                                  weight(plain, "double_blocks.%d.%s_attn.proj.weight", block, names[s]));
    add_gated(stream, modulation[s] + 2 * h, o, count[s], h);
    g_autofree double *mod = modulate(stream, count[s], h, modulation[s] + 3 * h, modulation[s] + 4 * h);
    g_autofree double *hidden =
        linear(mod, count[s], h, 2 * m, weight(plain, "double_blocks.%d.%s_mlp.0.weight", block, names[s]));
    g_autofree double *gated = g_new(double, (gsize)(count[s] * m) + 1);
    gate_rows(hidden, count[s], m, 2 * m, gated, m);
    g_autofree double *o2 =
        linear(gated, count[s], m, h, weight(plain, "double_blocks.%d.%s_mlp.2.weight", block, names[s]));
    add_gated(stream, modulation[s] + 5 * h, o2, count[s], h);
  }
}

static void single_block(const Plain *plain, int block, double *x, const double *modulation) {
  gint64 h = plain->shape->hidden, m = plain->shape->mlp, n = plain->n, stride = 3 * h + 2 * m;
  g_autofree double *mod = modulate(x, n, h, modulation, modulation + h);
  g_autofree double *wide =
      linear(mod, n, h, stride, weight(plain, "single_blocks.%d.linear1.weight", block));
  g_autofree double *joined = g_new(double, (gsize)(n * (h + m)));
  prepare_rows(plain, wide, 0, n, stride, weight(plain, "single_blocks.%d.norm.query_norm.scale", block),
               weight(plain, "single_blocks.%d.norm.key_norm.scale", block));
  attend(plain, wide, stride, joined, h + m);
  gate_rows(wide + 3 * h, n, m, stride, joined + h, h + m);
  g_autofree double *o = linear(joined, n, h + m, h, weight(plain, "single_blocks.%d.linear2.weight", block));
  add_gated(x, modulation + 2 * h, o, n, h);
}

static void fill_angles(const Plain *plain, const TransformerInput *input) {
  gint64 head = plain->shape->head, axis = head / 4;
  for (gint64 i = 0; i < plain->n; i++) {
    const gint32 *id = i < plain->n_text ? input->text_ids[i] : input->image_ids[i - plain->n_text];
    for (gint64 k = 0; k < head / 2; k++)
      plain->angles[i * head / 2 + k] =
          id[k / (axis / 2)] * pow(2000, -2.0 * (double)(k % (axis / 2)) / (double)axis);
  }
}

static double *widened(const float *x, gint64 count) {
  double *y = g_new(double, (gsize)count + 1);
  for (gint64 i = 0; i < count; i++)
    y[i] = x[i];
  return y;
}

/* SiLU of the conditioning vector. */
static double *condition(const Plain *plain, double t) {
  gint64 h = plain->shape->hidden;
  double sinusoid[256];
  for (int k = 0; k < 128; k++) {
    sinusoid[k] = cos(1000 * t * exp(-log(10000) * k / 128));
    sinusoid[128 + k] = sin(1000 * t * exp(-log(10000) * k / 128));
  }
  g_autofree double *hidden = linear(sinusoid, 1, 256, h, weight(plain, "time_in.in_layer.weight"));
  for (gint64 i = 0; i < h; i++)
    hidden[i] = silu(hidden[i]);
  double *vec = linear(hidden, 1, h, h, weight(plain, "time_in.out_layer.weight"));
  for (gint64 i = 0; i < h; i++)
    vec[i] = silu(vec[i]);
  return vec;
}

void plain_forward(const TransformerShape *shape, PlainWeights *weights, const TransformerInput *input,
                   double *velocity) {
  gint64 h = shape->hidden, n_text = input->n_text, n_image = input->n_image, n = n_text + n_image;
  g_autofree double *angles = g_new(double, (gsize)(n * shape->head / 2));
  Plain plain = {shape, weights, n_text, n, angles};
  fill_angles(&plain, input);
  g_autofree double *vec = condition(&plain, input->t);
  g_autofree double *text_modulation =
      linear(vec, 1, h, 6 * h, weight(&plain, "double_stream_modulation_txt.lin.weight"));
  g_autofree double *image_modulation =
      linear(vec, 1, h, 6 * h, weight(&plain, "double_stream_modulation_img.lin.weight"));
  g_autofree double *single = linear(vec, 1, h, 3 * h, weight(&plain, "single_stream_modulation.lin.weight"));
  g_autofree double *final =
      linear(vec, 1, h, 2 * h, weight(&plain, "final_layer.adaLN_modulation.1.weight"));
  g_autofree double *text = widened(input->text, n_text * shape->context);
  g_autofree double *image = widened(input->image, n_image * shape->channels);
  g_autofree double *text_in = linear(text, n_text, shape->context, h, weight(&plain, "txt_in.weight"));
  g_autofree double *image_in = linear(image, n_image, shape->channels, h, weight(&plain, "img_in.weight"));
  g_autofree double *x = g_new(double, (gsize)(n * h));
  memcpy(x, text_in, sizeof *x * (gsize)(n_text * h));
  memcpy(x + n_text * h, image_in, sizeof *x * (gsize)(n_image * h));
  const double *modulations[] = {text_modulation, image_modulation};
  for (int i = 0; i < shape->doubles; i++)
    double_block(&plain, i, x, modulations);
  for (int i = 0; i < shape->singles; i++)
    single_block(&plain, i, x, single);
  g_autofree double *mod = modulate(x + n_text * h, n_image, h, final, final + h);
  g_autofree double *out =
      linear(mod, n_image, h, shape->channels, weight(&plain, "final_layer.linear.weight"));
  memcpy(velocity, out, sizeof *out * (gsize)(n_image * shape->channels));
}
