/* From the wanted outputs the operators are followed back to the given inputs and to constants; what was met
 * is then added to the subgraph in the order of the file.
 *
 * XNNPACK of Debian 12 cannot concatenate. The detectors end in concatenations along the first axis that is
 * not 1, whose parts therefore lie one after the other in memory: each part becomes an output of its own,
 * bound to its place in one buffer. */
#include "nn/graph.h"
#include "nn/operators.h"
#include <string.h>

/* All computed tensors of one graph, in floats; the largest network met needs a quarter of it. */
#define MAX_ACTIVATIONS ((gsize)128 * 1024 * 1024)

typedef struct {
  float *data;
  gsize size; /* floats */
} Buffer;

struct Graph {
  xnn_runtime_t runtime;
  GPtrArray *keep; /* constants and buffers */
  int inputs, outputs;
  Buffer input[TFLITE_MAX_OPERANDS], output[TFLITE_MAX_OPERANDS];
  GArray *bound; /* struct xnn_external_value */
};

static gboolean refuse(GError **error, const char *what) {
  return fault(error, FAULT_NETWORK, "The network cannot be used: %s.", what);
}

/* Fills producer[tensor]; operators must come in an order in which they can run. */
static gboolean find_producers(const Tflite *model, int *producer, GError **error) {
  for (int t = 0; t < model->tensors; t++)
    producer[t] = -1;
  for (int i = 0; i < model->operators; i++) {
    const TfliteOperator *op = &model->op[i];
    for (int k = 0; k < op->outputs; k++) {
      if (producer[op->output[k]] >= 0 || model->tensor[op->output[k]].data)
        return refuse(error, "two operators write the same tensor");
      producer[op->output[k]] = i;
    }
  }
  for (int i = 0; i < model->operators; i++)
    for (int k = 0; k < model->op[i].inputs; k++)
      if (model->op[i].input[k] >= 0 && producer[model->op[i].input[k]] >= i)
        return refuse(error, "its operators are not in an order in which they can run");
  return TRUE;
}

/* Marks an operand of an operator that is needed; what is neither given nor constant needs its producer. */
static gboolean need(const Builder *b, int tensor, gboolean *needed, GError **error) {
  if (tensor < 0 || b->role[tensor] & XNN_VALUE_FLAG_EXTERNAL_INPUT || builder_is_constant(b, tensor))
    return TRUE;
  if (b->producer[tensor] < 0)
    return refuse(error, "a tensor comes from nowhere");
  needed[b->producer[tensor]] = TRUE;
  return TRUE;
}

static float *bind(Graph *graph, int tensor, float *data) {
  struct xnn_external_value value = {.id = (guint32)tensor, .data = data};
  g_array_append_val(graph->bound, value);
  return data;
}

static Buffer buffer_new(Graph *graph, gsize size) {
  Buffer buffer = {.data = g_malloc0(size * sizeof(float) + XNN_EXTRA_BYTES), .size = size};
  g_ptr_array_add(graph->keep, buffer.data);
  return buffer;
}

static gboolean expose(Graph *graph, const Builder *b, int tensor, guint32 *role, gboolean *needed,
                       float *data, GError **error) {
  if (role[tensor] || builder_is_constant(b, tensor) || b->model->tensor[tensor].type != TFLITE_F32)
    return refuse(error, "an output is at the same time something else");
  role[tensor] = XNN_VALUE_FLAG_EXTERNAL_OUTPUT;
  bind(graph, tensor, data);
  return need(b, tensor, needed, error);
}

static gboolean parts_follow(const Tflite *model, const TfliteOperator *op) {
  const TfliteTensor *whole = &model->tensor[op->output[0]];
  int axis = op->options.axis < 0 ? op->options.axis + whole->rank : op->options.axis, sum = 0;
  if (op->outputs != 1 || op->options.activation != ACTIVATION_NONE || axis < 0 || axis >= whole->rank)
    return FALSE;
  for (int i = 0; i < op->inputs; i++) {
    const TfliteTensor *part = op->input[i] < 0 ? NULL : &model->tensor[op->input[i]];
    if (!part || part->rank != whole->rank)
      return FALSE;
    for (int k = 0; k < whole->rank; k++)
      if ((k < axis && whole->shape[k] != 1) || (k != axis && part->shape[k] != whole->shape[k]))
        return FALSE;
    sum += part->shape[axis]; /* at most 8 times 16 million */
  }
  return sum == whole->shape[axis];
}

static gboolean expose_output(Graph *graph, const Builder *b, int tensor, guint32 *role, gboolean *needed,
                              GError **error) {
  Buffer buffer = graph->output[graph->outputs++] = buffer_new(graph, b->model->tensor[tensor].elements);
  int producer = b->producer[tensor];
  const TfliteOperator *op = producer < 0 ? NULL : &b->model->op[producer];
  if (!op || op->code != TFLITE_CONCATENATION)
    return expose(graph, b, tensor, role, needed, buffer.data, error);
  if (!parts_follow(b->model, op))
    return refuse(error, "a concatenation interleaves its parts");
  float *at = buffer.data;
  for (int i = 0; i < op->inputs; i++) {
    if (!expose(graph, b, op->input[i], role, needed, at, error))
      return FALSE;
    at += b->model->tensor[op->input[i]].elements;
  }
  return TRUE;
}

static gboolean expose_input(Graph *graph, const Builder *b, int tensor, guint32 *role, GError **error) {
  const TfliteTensor *t = &b->model->tensor[tensor];
  if (role[tensor] || t->data || t->type != TFLITE_F32)
    return refuse(error, "an input is at the same time something else");
  role[tensor] = XNN_VALUE_FLAG_EXTERNAL_INPUT;
  graph->input[graph->inputs] = buffer_new(graph, t->elements);
  bind(graph, tensor, graph->input[graph->inputs++].data);
  return TRUE;
}

static gboolean add_operators(Builder *b, gboolean *needed, GError **error) {
  const Tflite *model = b->model;
  gsize activations = 0;
  for (int i = model->operators - 1; i >= 0; i--)
    for (int k = 0; needed[i] && k < model->op[i].inputs; k++)
      if (!need(b, model->op[i].input[k], needed, error))
        return FALSE;
  for (int i = 0; i < model->operators; i++) {
    if (!needed[i])
      continue;
    if (model->op[i].outputs == 1)
      activations += model->tensor[model->op[i].output[0]].elements;
    if (activations > MAX_ACTIVATIONS)
      return refuse(error, "it needs more memory than the limit");
    if (!builder_add(b, &model->op[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean create_runtime(Graph *graph, xnn_subgraph_t subgraph, GError **error) {
  if (xnn_create_runtime(subgraph, &graph->runtime) != xnn_status_success ||
      xnn_setup_runtime(graph->runtime, graph->bound->len, (struct xnn_external_value *)graph->bound->data) !=
          xnn_status_success)
    return refuse(error, "XNNPACK could not prepare it");
  return TRUE;
}

static gboolean build(Graph *graph, Builder *b, const int *inputs, int n_inputs, const int *outputs,
                      int n_outputs, guint32 *role, GError **error) {
  g_autofree gboolean *needed = g_new0(gboolean, MAX(b->model->operators, 1));
  for (int i = 0; i < n_inputs; i++)
    if (!expose_input(graph, b, inputs[i], role, error))
      return FALSE;
  for (int i = 0; i < n_outputs; i++)
    if (!expose_output(graph, b, outputs[i], role, needed, error))
      return FALSE;
  if (xnn_create_subgraph((guint32)b->model->tensors, 0, &b->subgraph) != xnn_status_success)
    return refuse(error, "XNNPACK could not prepare it");
  gboolean good = add_operators(b, needed, error);
  /* An input that nothing reads still has to exist, for it is bound. */
  for (guint i = 0; good && i < graph->bound->len; i++)
    if (!b->defined[g_array_index(graph->bound, struct xnn_external_value, i).id])
      good = refuse(error, "an input leads nowhere");
  good = good && create_runtime(graph, b->subgraph, error);
  xnn_delete_subgraph(b->subgraph);
  return good;
}

static gpointer initialize(gpointer unused) {
  return GINT_TO_POINTER(xnn_initialize(NULL) == xnn_status_success);
}

Graph *graph_new(const Tflite *model, const int *inputs, int n_inputs, const int *outputs, int n_outputs,
                 GError **error) {
  static GOnce once = G_ONCE_INIT; /* XNNPACK's own state is global */
  if (!g_once(&once, initialize, NULL))
    return fault_null(error, FAULT_INTERNAL, "XNNPACK does not support this processor.");
  if (n_inputs == 0)
    inputs = model->input, n_inputs = model->inputs;
  if (n_outputs == 0)
    outputs = model->output, n_outputs = model->outputs;
  g_return_val_if_fail(n_inputs <= TFLITE_MAX_OPERANDS && n_outputs <= TFLITE_MAX_OPERANDS, NULL);
  if (n_inputs == 0 || n_outputs == 0)
    return refuse(error, "it has no input or no output"), NULL;

  gsize tensors = (gsize)MAX(model->tensors, 1);
  g_autofree guint32 *role = g_new0(guint32, tensors);
  g_autofree gboolean *defined = g_new0(gboolean, tensors);
  g_autofree int *producer = g_new(int, tensors);
  g_autofree float **constant = g_new0(float *, tensors);
  if (!find_producers(model, producer, error))
    return NULL;
  g_autoptr(Graph) graph = g_new0(Graph, 1);
  graph->keep = g_ptr_array_new_with_free_func(g_free);
  graph->bound = g_array_new(FALSE, FALSE, sizeof(struct xnn_external_value));
  Builder builder = {.model = model,
                     .role = role,
                     .defined = defined,
                     .producer = producer,
                     .constant = constant,
                     .keep = graph->keep};
  if (!build(graph, &builder, inputs, n_inputs, outputs, n_outputs, role, error))
    return NULL;
  return g_steal_pointer(&graph);
}

void graph_free(Graph *graph) {
  if (!graph)
    return;
  if (graph->runtime)
    xnn_delete_runtime(graph->runtime);
  g_ptr_array_unref(graph->keep);
  g_array_unref(graph->bound);
  g_free(graph);
}

float *graph_input(Graph *graph, int index) {
  return graph->input[index].data;
}

const float *graph_output(const Graph *graph, int index) {
  return graph->output[index].data;
}

gsize graph_input_size(const Graph *graph, int index) {
  return index >= 0 && index < graph->inputs ? graph->input[index].size : 0;
}

gsize graph_output_size(const Graph *graph, int index) {
  return index >= 0 && index < graph->outputs ? graph->output[index].size : 0;
}

gboolean graph_run(Graph *graph, GError **error) {
  if (xnn_invoke_runtime(graph->runtime) != xnn_status_success)
    return fault(error, FAULT_INTERNAL, "A network could not be run.");
  return TRUE;
}
