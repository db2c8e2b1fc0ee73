/* A network, or a part of one, ready to run on XNNPACK in 32-bit floats with one thread.
 *
 *   g_autoptr(Graph) graph = graph_new(model, NULL, 0, NULL, 0, error);
 *   memcpy(graph_input(graph, 0), pixels, …);
 *   if (graph_run(graph, error))
 *     use(graph_output(graph, 0));
 *
 * One thread per graph, frames side by side, is deliberate: the workers of XNNPACK's thread pool spin while
 * they wait, and on a busy machine a second thread makes a network slower, not faster. A graph is not for two
 * threads at once. */
#pragma once
#include "nn/tflite.h"

typedef struct Graph Graph;

/* Builds the operators that lead from the tensors `inputs` to the tensors `outputs` (indices into
 * model->tensor). With no inputs or no outputs given, the model's own. A network around operators that
 * XNNPACK does not have is run in parts this way. Outputs may be concatenations. The model may be freed
 * afterwards. FAULT_NETWORK when an operator is not supported, shapes contradict each other or the whole is
 * beyond the limits. */
Graph *graph_new(const Tflite *model, const int *inputs, int n_inputs, const int *outputs, int n_outputs,
                 GError **error);
void graph_free(Graph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Graph, graph_free)

/* The buffers, valid as long as the graph: write the input before a run, read the output after it. NHWC. */
float *graph_input(Graph *graph, int index);
const float *graph_output(const Graph *graph, int index);
/* In floats; 0 where there is no such input or output. */
gsize graph_input_size(const Graph *graph, int index);
gsize graph_output_size(const Graph *graph, int index);

/* FAULT_INTERNAL when XNNPACK refuses. */
gboolean graph_run(Graph *graph, GError **error);
