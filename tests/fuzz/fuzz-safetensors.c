/* A safetensors file of any content: it is refused with an error, or every number in it can be read; as an
 * adapter and as a network it is refused or runs. */
#include "identity/network/lora.h"
#include "tensor/safetensors.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void run(const Transformer *transformer, const Lora *lora) {
  const TransformerShape *shape = transformer_shape(transformer);
  if (shape->parameters > 1 << 20) /* slow, not interesting */
    return;
  g_autoptr(TransformerRun) pass = transformer_run_new(transformer, 2, 1, FALSE, ARITHMETIC_F32, NULL);
  g_autofree float *numbers = g_new0(float, (gsize)(2 * shape->channels + shape->context)),
                   *velocity = g_new(float, (gsize)(2 * shape->channels));
  const TokenId ids[2] = {{0, 0, 0, 0}, {0, 0, 1, 0}};
  const TransformerInput input = {2, 2, 1, numbers, ids, numbers, ids, .5};
  transformer_forward(pass, &input, lora, velocity);
}

/* Names and every element. */
static void read_all(const char *path) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Safetensors) file = safetensors_open(path, &error);
  g_assert((file == NULL) == (error != NULL));
  if (!file)
    return;
  g_autoptr(GPtrArray) names = safetensors_names(file);
  for (guint i = 0; i < names->len; i++) {
    const SafetensorsTensor *tensor = safetensors_find(file, names->pdata[i]);
    gsize count = (gsize)safetensors_count(tensor);
    g_autofree float *floats = g_new(float, count);
    g_autofree guint8 *bytes = g_memdup2(tensor->data, count * dtype_bytes(tensor->dtype));
    safetensors_floats(tensor, floats);
  }
}

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  static Transformer *tiny;
  const TransformerShape shape = {
      .hidden = 8, .head = 8, .mlp = 4, .context = 3, .channels = 2, .doubles = 1, .singles = 1};
  tiny = tiny ? tiny : transformer_new(&shape, DTYPE_F32, FALSE, 1, NULL);
  int memory = memfd_create("fuzz", 0);
  g_assert(memory >= 0 && write(memory, data, size) == (gssize)size);
  g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", memory);
  read_all(path);
  g_autoptr(GError) error = NULL, other = NULL;
  g_autoptr(Lora) lora = lora_load(path, tiny, &error);
  g_assert((lora == NULL) == (error != NULL));
  if (lora)
    run(tiny, lora);
  g_autoptr(Transformer) transformer = transformer_open(path, FALSE, &other);
  g_assert((transformer == NULL) == (other != NULL));
  if (transformer)
    run(transformer, NULL);
  close(memory);
  return 0;
}
