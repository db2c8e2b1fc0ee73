/* A small network's operations are too short to be divided among threads: each worker has the model for
 * itself and draws whole pictures. A picture depends on its prompt and seed alone. */
#include "painting.h"

#define WORKERS 2

static void image_clear(gpointer image) {
  image_free(image);
}

static gboolean take(GeneratedPicture *picture, gpointer user, GError **error) {
  gpointer *place = user;
  *place = g_steal_pointer(&picture->image);
  return TRUE;
}

static gboolean paint_share(const PaintOrder *order, const char *const *prompts, int count, int worker,
                            GPtrArray *images, GError **error) {
  g_autoptr(Model) model = model_open(order->model, error);
  if (!model)
    return FALSE;
  for (int i = worker; i < count; i += WORKERS) {
    const char *one[] = {prompts[i], NULL};
    const GenerateOptions options = {.prompts = one,
                                     .count = 1,
                                     .seed = order->seed + (guint64)i,
                                     .steps = order->steps,
                                     .guidance = order->guidance,
                                     .lora = order->lora,
                                     .strength = 1,
                                     .trigger = order->silent ? "" : order->trigger,
                                     .class = order->class};
    if (!generate(model, &options, take, &images->pdata[i], NULL, error))
      return FALSE;
  }
  return TRUE;
}

GPtrArray *paint_all(const PaintOrder *order, const char *const *prompts, int count, GError **error) {
  g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func(image_clear);
  g_ptr_array_set_size(images, count);
  GError *errors[WORKERS] = {NULL};
#pragma omp parallel for schedule(static, 1) num_threads(WORKERS)
  for (int w = 0; w < WORKERS; w++)
    paint_share(order, prompts, count, w, images, &errors[w]);
  GError *first = NULL;
  for (int w = 0; w < WORKERS; w++)
    if (errors[w] && !first)
      first = errors[w];
    else
      g_clear_error(&errors[w]);
  if (!first)
    return g_steal_pointer(&images);
  g_propagate_error(error, first);
  return NULL;
}
