/* A network file of any content: it is refused with an error, or it can be built and run. */
#include "nn/graph.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = g_bytes_new(data, size);
  g_autoptr(Tflite) model = tflite_parse(bytes, &error);
  if (!model)
    return 0;
  gsize work = 0;
  for (int i = 0; i < model->tensors; i++)
    work += model->tensor[i].elements;
  if (work > 1024 * 1024) /* slow, not interesting */
    return 0;
  g_autoptr(Graph) graph = graph_new(model, NULL, 0, NULL, 0, &error);
  if (graph)
    graph_run(graph, NULL);
  return 0;
}
