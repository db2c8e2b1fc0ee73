/* One pass over memory per parameter. Every element is computed by itself, so threads change nothing; the
 * norm is summed in double, block by block in a fixed order. */
#include "identity/network/optimiser.h"

#include <math.h>
#include <string.h>

#define BLOCK 16384 /* elements of one partial sum of the norm */
#define WORTH_THREADS 32768

const OptimiserSettings optimiser_defaults = {
    .rate = 1e-4, .beta1 = .9, .beta2 = .999, .epsilon = 1e-8, .momentum = .95, .muon_rate = 10};

typedef struct {
  const Parameter *parameter;
  gint64 count;
  gboolean muon;
  float *first, *second; /* AdamW's moments; Muon has only the first */
} Slot;

struct Optimiser {
  OptimiserSettings settings;
  GArray *slots; /* Slot */
  gint64 steps, bytes;
  float *state; /* all moments */
  float *work;  /* Muon's: the update and what Newton and Schulz need */
};

/* The matrices of the blocks: fused ones count as one. */
static gboolean is_block_matrix(const Parameter *parameter) {
  return parameter->rows > 1 && (g_str_has_prefix(parameter->name, "double_blocks.") ||
                                 g_str_has_prefix(parameter->name, "single_blocks."));
}

Optimiser *optimiser_new(const GArray *parameters, const OptimiserSettings *settings) {
  Optimiser *optimiser = g_new0(Optimiser, 1);
  optimiser->settings = *settings;
  optimiser->slots = g_array_new(FALSE, FALSE, sizeof(Slot));
  gint64 floats = 0, work = 0;
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    Slot slot = {.parameter = parameter, .count = parameter->rows * parameter->cols};
    slot.muon = settings->muon && is_block_matrix(parameter);
    floats += slot.count * (slot.muon ? 1 : 2);
    if (slot.muon)
      work = MAX(work, slot.count + muon_work(parameter->rows, parameter->cols));
    g_array_append_val(optimiser->slots, slot);
  }
  optimiser->state = g_new0(float, (gsize)floats);
  optimiser->work = g_new(float, (gsize)work);
  optimiser->bytes = (floats + work) * (gint64)sizeof(float);
  float *at = optimiser->state;
  for (guint i = 0; i < optimiser->slots->len; i++) {
    Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    slot->first = at;
    slot->second = slot->muon ? NULL : at + slot->count;
    at += slot->count * (slot->muon ? 1 : 2);
  }
  return optimiser;
}

void optimiser_free(Optimiser *optimiser) {
  if (!optimiser)
    return;
  g_array_unref(optimiser->slots);
  g_free(optimiser->state);
  g_free(optimiser->work);
  g_free(optimiser);
}

gint64 optimiser_bytes(const Optimiser *optimiser) {
  return optimiser->bytes;
}

gint64 optimiser_steps(const Optimiser *optimiser) {
  return optimiser->steps;
}

/* --- gradients --- */

static double square_sum(const float *x, gint64 count) {
  gint64 blocks = (count + BLOCK - 1) / BLOCK;
  g_autofree double *sums = g_new(double, (gsize)blocks);
#pragma omp parallel for schedule(static) if (count > WORTH_THREADS)
  for (gint64 block = 0; block < blocks; block++) {
    double sum[8] = {0};
    gint64 first = block * BLOCK, end = MIN(first + BLOCK, count);
    for (gint64 i = first; i < end; i++)
      sum[i % 8] += (double)x[i] * x[i];
    sums[block] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }
  double total = 0;
  for (gint64 block = 0; block < blocks; block++)
    total += sums[block];
  return total;
}

void optimiser_scale(Optimiser *optimiser, double factor) {
  float by = (float)factor;
  for (guint i = 0; i < optimiser->slots->len; i++) {
    const Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    float *gradient = slot->parameter->gradient;
#pragma omp parallel for simd schedule(static) if (slot->count > WORTH_THREADS)
    for (gint64 k = 0; k < slot->count; k++)
      gradient[k] *= by;
  }
}

double optimiser_clip(Optimiser *optimiser, double max) {
  double total = 0;
  for (guint i = 0; i < optimiser->slots->len; i++) {
    const Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    total += square_sum(slot->parameter->gradient, slot->count);
  }
  double norm = sqrt(total), factor = max / (norm + 1e-6);
  if (isfinite(norm) && max > 0 && factor < 1)
    optimiser_scale(optimiser, factor);
  return norm;
}

void optimiser_clear(Optimiser *optimiser) {
  for (guint i = 0; i < optimiser->slots->len; i++) {
    const Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    memset(slot->parameter->gradient, 0, sizeof(float) * (gsize)slot->count);
  }
}

/* --- steps --- */

/* m ← m + (g - m)(1 - β₁), v ← β₂ v + (1 - β₂) g², p ← p (1 - rate · decay) - rate m̂ / (sqrt(v̂) + ε), in the
 * order and with the roundings of PyTorch. */
static void step_adamw(const Optimiser *optimiser, const Slot *slot, double rate) {
  const OptimiserSettings *settings = &optimiser->settings;
  double steps = (double)optimiser->steps;
  double correction1 = 1 - pow(settings->beta1, steps), correction2 = 1 - pow(settings->beta2, steps);
  float keep = (float)(1 - rate * settings->decay), in1 = (float)(1 - settings->beta1),
        beta2 = (float)settings->beta2, in2 = (float)(1 - settings->beta2),
        size = (float)(rate / correction1), root2 = (float)sqrt(correction2),
        epsilon = (float)settings->epsilon;
  float *value = slot->parameter->value, *first = slot->first, *second = slot->second;
  const float *gradient = slot->parameter->gradient;
#pragma omp parallel for simd schedule(static) if (slot->count > WORTH_THREADS)
  for (gint64 i = 0; i < slot->count; i++) {
    float g = gradient[i], m = first[i] + (g - first[i]) * in1, v = second[i] * beta2 + in2 * g * g;
    first[i] = m;
    second[i] = v;
    value[i] = value[i] * keep - size * (m / (sqrtf(v) / root2 + epsilon));
  }
}

/* Momentum as a plain sum, Nesterov's look ahead, an orthogonal matrix whose entries have a root mean square
 * of .2 rate. */
static void step_muon(const Optimiser *optimiser, const Slot *slot, double rate) {
  const OptimiserSettings *settings = &optimiser->settings;
  const Parameter *parameter = slot->parameter;
  float momentum = (float)settings->momentum, *first = slot->first, *update = optimiser->work;
  const float *gradient = parameter->gradient;
#pragma omp parallel for simd schedule(static) if (slot->count > WORTH_THREADS)
  for (gint64 i = 0; i < slot->count; i++) {
    first[i] = momentum * first[i] + gradient[i];
    update[i] = gradient[i] + momentum * first[i];
  }
  muon_orthogonalise(update, parameter->rows, parameter->cols, update + slot->count);
  double own = rate * settings->muon_rate;
  float keep = (float)(1 - own * settings->decay),
        size = (float)(own * .2 * sqrt((double)MAX(parameter->rows, parameter->cols)));
  float *value = parameter->value;
#pragma omp parallel for simd schedule(static) if (slot->count > WORTH_THREADS)
  for (gint64 i = 0; i < slot->count; i++)
    value[i] = value[i] * keep - size * update[i];
}

void optimiser_step(Optimiser *optimiser, double rate) {
  optimiser->steps++;
  for (guint i = 0; i < optimiser->slots->len; i++) {
    const Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    (slot->muon ? step_muon : step_adamw)(optimiser, slot, rate);
  }
}

/* --- Newton and Schulz --- */

#define MUON_STEPS 5

gint64 muon_work(gint64 rows, gint64 cols) {
  gint64 small = MIN(rows, cols);
  return rows * cols + 4 * small * small;
}

static void square_product(const float *a, const float *b, gint64 side, float alpha, float beta, float *c) {
  op_gemm(FALSE, FALSE, side, side, side, alpha, a, side, b, side, beta, c, side);
}

/* X ← P X with P = a I + b A + c A² and A = X Xᵀ, on the shorter side (where there are more rows than
 * columns, X P with A = Xᵀ X): an odd polynomial that pulls all singular values towards 1, with the
 * coefficients of K. Jordan, 2024. All these matrices are polynomials of the first A and change places
 * freely, so the steps need not touch X: the product of all P is gathered, the next A is P A P, and X is
 * multiplied once. */
void muon_orthogonalise(float *u, gint64 rows, gint64 cols, float *work) {
  static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
  gint64 count = rows * cols, small = MIN(rows, cols), square = small * small;
  gboolean tall = rows > cols;
  float *gram = work, *p = gram + square, *product = p + square, *spare = product + square;
  float *result = work + 4 * square;
  float inverse = (float)(1 / (sqrt(square_sum(u, count)) + 1e-7));
  for (gint64 i = 0; i < count; i++)
    u[i] *= inverse;
  op_gemm(tall, !tall, small, small, tall ? rows : cols, 1, u, cols, u, cols, 0, gram, small);
  memset(product, 0, sizeof *product * (gsize)square);
  for (gint64 i = 0; i < small; i++)
    product[i * small + i] = 1;
  for (int step = 0; step < MUON_STEPS; step++) {
    memcpy(p, gram, sizeof *p * (gsize)square);
    square_product(gram, gram, small, c, b, p);
    for (gint64 i = 0; i < small; i++)
      p[i * small + i] += a;
    square_product(product, p, small, 1, 0, spare);
    memcpy(product, spare, sizeof *product * (gsize)square);
    if (step + 1 == MUON_STEPS)
      break;
    square_product(gram, p, small, 1, 0, spare);
    square_product(spare, p, small, 1, 0, gram);
  }
  if (tall)
    op_gemm(FALSE, FALSE, rows, cols, cols, 1, u, cols, product, cols, 0, result, cols);
  else
    op_gemm(FALSE, FALSE, rows, cols, rows, 1, product, rows, u, cols, 0, result, cols);
  memcpy(u, result, sizeof *u * (gsize)count);
}

/* --- state --- */

static void state_name(char *out, gsize size, const Parameter *parameter, const char *what) {
  g_snprintf(out, size, "%s%s", parameter->name, what);
}

void optimiser_save(const Optimiser *optimiser, SafetensorsWriter *writer) {
  safetensors_add(writer, "optimiser.steps", DTYPE_I64, (gint64[]){1}, 1, &optimiser->steps);
  for (guint i = 0; i < optimiser->slots->len; i++) {
    const Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    const Parameter *parameter = slot->parameter;
    const struct {
      const char *what;
      const float *data;
    } pieces[] = {{"", parameter->value}, {".first", slot->first}, {".second", slot->second}};
    for (gsize k = 0; k < G_N_ELEMENTS(pieces); k++) {
      char name[256];
      state_name(name, sizeof name, parameter, pieces[k].what);
      if (pieces[k].data)
        safetensors_add(writer, name, DTYPE_F32, (gint64[]){parameter->rows, parameter->cols}, 2,
                        pieces[k].data);
    }
  }
}

/* One pass that looks at everything (apply FALSE) and one that copies. */
static gboolean load(Optimiser *optimiser, const Safetensors *file, gboolean apply, GError **error) {
  const gint64 *steps = safetensors_get(file, "optimiser.steps", DTYPE_I64, (gint64[]){1}, 1, error);
  if (!steps)
    return FALSE;
  if (*steps < 0)
    return fault(error, FAULT_INPUT, "The checkpoint was taken after %d steps.", (int)*steps);
  if (apply)
    optimiser->steps = *steps;
  for (guint i = 0; i < optimiser->slots->len; i++) {
    const Slot *slot = &g_array_index(optimiser->slots, Slot, i);
    const struct {
      const char *what;
      float *data;
    } pieces[] = {{"", slot->parameter->value}, {".first", slot->first}, {".second", slot->second}};
    for (gsize k = 0; k < G_N_ELEMENTS(pieces); k++) {
      char name[256];
      state_name(name, sizeof name, slot->parameter, pieces[k].what);
      if (!pieces[k].data)
        continue;
      const float *data = safetensors_get(file, name, DTYPE_F32,
                                          (gint64[]){slot->parameter->rows, slot->parameter->cols}, 2, error);
      if (!data)
        return FALSE;
      if (apply)
        memcpy(pieces[k].data, data, sizeof *data * (gsize)slot->count);
      else if (!isfinite(square_sum(data, slot->count)))
        return fault(error, FAULT_INPUT, "The checkpoint's %s has values that are not numbers.", name);
    }
  }
  return TRUE;
}

gboolean optimiser_load(Optimiser *optimiser, const Safetensors *file, GError **error) {
  return load(optimiser, file, FALSE, error) && load(optimiser, file, TRUE, error);
}

/* --- learning rate --- */

double rate_factor(const RateSchedule *schedule, gint64 step) {
  if (step < schedule->warmup)
    return (double)(step + 1) / (double)schedule->warmup;
  if (schedule->shape == RATE_CONSTANT || schedule->steps <= schedule->warmup)
    return 1;
  double lowest = schedule->floor;
  if (schedule->shape == RATE_COSINE) {
    double done = (double)(step - schedule->warmup) / (double)(schedule->steps - schedule->warmup);
    return lowest + (1 - lowest) * (1 + cos(G_PI * CLAMP(done, 0, 1))) / 2;
  }
  double from = schedule->hold * (double)schedule->steps, length = (double)schedule->steps - from;
  double done = length > 0 ? ((double)step - from) / length : 0;
  return 1 - (1 - lowest) * CLAMP(done, 0, 1);
}
