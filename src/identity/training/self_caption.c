/* All clauses of a group meet the same noise at the same times, so that only the words make the difference.
 */
#include "identity/training/self_caption.h"

#include "identity/text/unsaid.h"
#include "identity/training/flow_loss.h"
#include <jansson.h>
#include <math.h>

#define DRAWS 6
#define EARLIEST .25 /* times between which words matter */
#define LATEST .85
#define SEED 1

typedef struct {
  Model *model;
  const DatasetItem *item;
  const char *class;
  const json_t *groups;
  const char *chosen[UNSAID_GROUPS_MAX];
  FlowLoss *flow;
  GError **error;
} Reader;

/* What is known so far, in the order of captions (transfer full). */
static char *compose(const Reader *reader) {
  char *text = g_strdup(reader->class);
  for (size_t i = 0; i < json_array_size(reader->groups); i++)
    if (reader->chosen[i])
      text = unsaid_add(text, json_array_get(reader->groups, i), reader->chosen[i]);
  return text;
}

/* NAN with *error. */
static double loss_of(Reader *reader) {
  g_autofree char *text = compose(reader);
  const float *features = model_features(reader->model, text, NULL, reader->error);
  double sum = features ? 0 : NAN;
  for (int i = 0; features && i < DRAWS; i++) {
    const FlowSample sample = {.height = reader->item->height,
                               .width = reader->item->width,
                               .tokens = reader->item->tokens,
                               .text = features,
                               .n_text = model_text_length(reader->model),
                               .t = EARLIEST + (LATEST - EARLIEST) * (i + .5) / DRAWS,
                               .seed = SEED,
                               .draw = (guint64)i};
    sum += flow_loss(reader->flow, &sample, NULL);
  }
  return sum;
}

/* The best clause of one of the group's lists; least is the loss that has to be beaten. */
static gboolean try_list(Reader *reader, size_t group, const json_t *list, double *least, const char **best) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    reader->chosen[group] = json_string_value(json_array_get(list, i));
    double loss = loss_of(reader);
    if (!isfinite(loss))
      return *reader->error != NULL ? FALSE
                                    : fault(reader->error, FAULT_NETWORK, "The model gives no numbers.");
    if (loss < *least) {
      *least = loss;
      *best = reader->chosen[group];
    }
  }
  return TRUE;
}

static gboolean decide(Reader *reader, size_t group) {
  const json_t *facts = json_array_get(reader->groups, group);
  const char *best = NULL;
  double least = INFINITY;
  if (json_is_true(json_object_get(facts, "who")))
    return TRUE;
  gboolean good = try_list(reader, group, json_object_get(facts, "say"), &least, &best) &&
                  try_list(reader, group, json_object_get(facts, "also"), &least, &best);
  reader->chosen[group] = best;
  return good;
}

char *self_caption(Model *model, const DatasetItem *item, const char *class, GError **error) {
  GError *problem = NULL;
  Reader reader = {
      .model = model, .item = item, .class = class, .groups = model_unsaid(model), .error = &problem};
  if (json_array_size(reader.groups) == 0)
    return NULL;
  gint64 tokens = item->height * item->width, text = model_text_length(model);
  g_autoptr(TransformerRun) run =
      transformer_run_new(model_transformer(model), tokens, text, FALSE, model_arithmetic(model), &problem);
  g_autoptr(FlowLoss) flow =
      run ? flow_new(run, transformer_shape(model_transformer(model)), tokens, text) : NULL;
  reader.flow = flow;
  gboolean good = flow != NULL;
  for (size_t i = 0; good && i < json_array_size(reader.groups); i++)
    good = decide(&reader, i);
  if (good)
    return compose(&reader);
  g_propagate_error(error, problem);
  return NULL;
}
