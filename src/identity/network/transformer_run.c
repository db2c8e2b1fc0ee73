/* Memory of a pass, in one piece. The plan is one function that walks over all arrays; with a base address it
 * hands out pointers, without one it only counts. */
#include "identity/network/transformer_private.h"

#include <string.h>

#define ALIGNMENT 64
#define TOKENS_MAX (1 << 20)
#define KEEP_BYTES (64 << 20) /* up to which single blocks keep what they gave */

typedef struct {
  guint8 *base; /* NULL: count only */
  gint64 used;
} Carve;

static void take(Carve *carve, float **out, gint64 rows, gint64 cols) {
  *out = carve->base ? (float *)(carve->base + carve->used) : NULL;
  gint64 bytes = rows * cols * (gint64)sizeof(float);
  carve->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void carve_conditioning(Carve *carve, TransformerRun *run, gint64 h, gboolean training) {
  take(carve, &run->sinusoid, 1, TIME_WIDTH);
  take(carve, &run->time_hidden, 1, h);
  take(carve, &run->time_active, 1, h);
  take(carve, &run->vec, 1, h);
  take(carve, &run->vec_active, 1, h);
  take(carve, &run->modulation[TEXT], 6, h);
  take(carve, &run->modulation[IMAGE], 6, h);
  take(carve, &run->single_modulation, 3, h);
  take(carve, &run->final_modulation, 2, h);
  if (!training)
    return;
  take(carve, &run->d_time_hidden, 1, h);
  take(carve, &run->d_time_active, 1, h);
  take(carve, &run->d_vec, 1, h);
  take(carve, &run->d_vec_active, 1, h);
  take(carve, &run->d_modulation[TEXT], 6, h);
  take(carve, &run->d_modulation[IMAGE], 6, h);
  take(carve, &run->d_single_modulation, 3, h);
  take(carve, &run->d_final_modulation, 2, h);
}

static void carve_activations(Carve *carve, Activations *a, const TransformerShape *shape, gint64 n,
                              gboolean training) {
  gint64 h = shape->hidden, m = shape->mlp;
  take(carve, &a->mod, n, h);
  take(carve, &a->wide, n, 3 * h + 2 * m);
  take(carve, &a->joined, n, h + m);
  take(carve, &a->out, n, h);
  take(carve, &a->lse, shape->heads, n);
  if (training)
    take(carve, &a->raw, n, 2 * h);
}

static gboolean keeps_singles(const TransformerShape *shape, gint64 n, gboolean training) {
  Carve carve = {NULL};
  Activations counted = {NULL};
  carve_activations(&carve, &counted, shape, n, TRUE);
  return training && carve.used * shape->singles <= KEEP_BYTES;
}

static void carve_training(Carve *carve, TransformerRun *run, const TransformerShape *shape, gint64 n) {
  gint64 h = shape->hidden, m = shape->mlp;
  take(carve, &run->mod2, n, h);
  take(carve, &run->out2, n, h);
  take(carve, &run->middle, n, h);
  take(carve, &run->d, n, h);
  take(carve, &run->d_out, n, h);
  take(carve, &run->d_mod, n, h);
  take(carve, &run->d_wide, n, 3 * h + 2 * m);
  take(carve, &run->d_joined, n, h + m);
  take(carve, &run->d_low, n, LORA_CHUNK);
}

static gint64 carve_run(TransformerRun *run, const TransformerShape *shape, gint64 n, gboolean training) {
  Carve carve = {.base = run->memory};
  gint64 h = shape->hidden, states = training ? shape->doubles + shape->singles + 1 : 1;
  carve_conditioning(&carve, run, h, training);
  take(&carve, &run->cos, n, shape->head / 2);
  take(&carve, &run->sin, n, shape->head / 2);
  for (gint64 i = 0; i < states; i++) {
    float *state;
    take(&carve, &state, n, h);
    if (run->kept)
      run->kept[i] = state;
  }
  carve_activations(&carve, &run->own, shape, n, training);
  run_use(run, &run->own);
  take(&carve, &run->low, n, LORA_CHUNK);
  for (gint64 i = 0; i < shape->singles && keeps_singles(shape, n, training); i++) {
    Activations counted;
    carve_activations(&carve, run->singles ? &run->singles[i] : &counted, shape, n, training);
  }
  if (training)
    carve_training(&carve, run, shape, n);
  return carve.used;
}

/* Rounded activations: of the widest that is multiplied with weights, which in the gradient of a single
 * block's first layer is its output; the operations reserve a quarter more. */
static gint64 rounding_bytes(const TransformerShape *shape, gint64 n, gboolean training) {
  gint64 widest = shape->hidden + shape->mlp;
  if (training)
    widest = MAX(widest, 3 * shape->hidden + 2 * shape->mlp);
  return n * widest * (gint64)sizeof(guint16) * 5 / 4;
}

gint64 transformer_run_bytes(const TransformerShape *shape, gint64 n_image, gint64 n_text, gboolean training,
                             Arithmetic arithmetic) {
  TransformerRun counted = {0};
  gint64 n = n_image + n_text,
         rounding = arithmetic == ARITHMETIC_BF16 ? rounding_bytes(shape, n, training) : 0;
  return carve_run(&counted, shape, n, training) + rounding;
}

TransformerRun *transformer_run_new(const Transformer *transformer, gint64 n_image, gint64 n_text,
                                    gboolean training, Arithmetic arithmetic, GError **error) {
  const TransformerShape *shape = &transformer->shape;
  if (n_image < 1 || n_text < 0 || n_image > TOKENS_MAX || n_text > TOKENS_MAX)
    return fault_null(error, FAULT_LIMIT,
                      "A picture of %" G_GINT64_FORMAT " tokens with %" G_GINT64_FORMAT
                      " words is beyond what the transformer can take.",
                      n_image, n_text);
  g_autoptr(TransformerRun) run = g_new0(TransformerRun, 1);
  run->transformer = transformer;
  run->arithmetic = arithmetic;
  run->training = training;
  run->n_image = n_image;
  run->n_text = n_text;
  gint64 bytes = carve_run(run, shape, n_image + n_text, training);
  if (posix_memalign(&run->memory, ALIGNMENT, (gsize)bytes) != 0) {
    run->memory = NULL;
    return fault_null(error, FAULT_LIMIT,
                      "There is no room for the %.1f GB that %" G_GINT64_FORMAT
                      " tokens need. Make the picture smaller.",
                      (double)bytes / 1e9, n_image + n_text);
  }
  run->kept = g_new0(float *, (gsize)(shape->doubles + shape->singles + 1));
  if (keeps_singles(shape, n_image + n_text, training))
    run->singles = g_new0(Activations, (gsize)shape->singles + 1);
  carve_run(run, shape, n_image + n_text, training);
  return g_steal_pointer(&run);
}

void transformer_run_free(TransformerRun *run) {
  if (!run)
    return;
  g_clear_pointer(&run->taps, g_hash_table_unref);
  g_free(run->kept);
  g_free(run->singles);
  free(run->memory);
  g_free(run);
}

/* --- activations for tests --- */

void transformer_run_forget(TransformerRun *run) {
  g_clear_pointer(&run->singles, g_free);
}

void transformer_run_keep(TransformerRun *run) {
  if (!run->taps)
    run->taps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
}

void transformer_tap(TransformerRun *run, const float *data, gint64 rows, gint64 cols, gint64 stride,
                     const char *format, ...) {
  if (!run->taps)
    return;
  va_list arguments;
  va_start(arguments, format);
  char *name = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  GArray *copy = g_array_sized_new(FALSE, FALSE, sizeof(float), (guint)(rows * cols));
  for (gint64 i = 0; i < rows; i++)
    g_array_append_vals(copy, data + i * stride, (guint)cols);
  g_hash_table_insert(run->taps, name, copy);
}

gboolean transformer_activation(const TransformerRun *run, const char *name, float *out, gint64 count) {
  const GArray *kept = run->taps ? g_hash_table_lookup(run->taps, name) : NULL;
  if (!kept || kept->len != count)
    return FALSE;
  memcpy(out, kept->data, sizeof *out * (gsize)count);
  return TRUE;
}
