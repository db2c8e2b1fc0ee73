/* What a training of a LoRA keeps of itself: one line a step in the log, and the checkpoint, which holds the
 * history of all steps too, so that the log can be written again as it was. */
#include "identity/training/checkpoint.h"
#include "identity/training/lora_training_private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define HISTORY_COLUMNS 4

/* --- log --- */

static gboolean log_failed(const LoraTraining *training, GError **error) {
  return fault(error, FAULT_OUTPUT, "%s cannot be written.", training->log_path);
}

static void log_line(FILE *log, gint64 step, const LoraStep *line) {
  char number[4][G_ASCII_DTOSTR_BUF_SIZE];
  const double values[] = {line->loss, line->rate, line->norm, line->held};
  for (int i = 0; i < 4; i++)
    g_ascii_formatd(number[i], sizeof number[i], "%.7g", values[i]);
  fprintf(log, "%" G_GINT64_FORMAT ",%s,%s,%s,%s\n", step, number[0], number[1], number[2],
          isnan(line->held) ? "" : number[3]);
}

gboolean lora_record_open_log(LoraTraining *training, GError **error) {
  if (!training->log_path)
    return TRUE;
  if (!(training->log = g_fopen(training->log_path, "w")))
    return log_failed(training, error);
  fputs("step,loss,learning_rate,gradient_norm,held_out_loss\n", training->log);
  for (guint i = 0; i < training->history->len; i++)
    log_line(training->log, i + 1, &g_array_index(training->history, LoraStep, i));
  return fflush(training->log) == 0 || log_failed(training, error);
}

gboolean lora_record_add(LoraTraining *training, const LoraStep *line, GError **error) {
  g_array_append_val(training->history, *line);
  if (!training->log)
    return TRUE;
  log_line(training->log, training->step, line);
  return fflush(training->log) == 0 || log_failed(training, error);
}

/* --- state --- */

gint64 lora_record_numbers(const LoraTraining *training) {
  gint64 count = 0;
  for (guint i = 0; i < training->parameters->len; i++) {
    const Parameter *parameter = &g_array_index(training->parameters, Parameter, i);
    count += parameter->rows * parameter->cols;
  }
  return count;
}

void lora_record_best(LoraTraining *training, gboolean back) {
  float *at = training->best;
  for (guint i = 0; i < training->parameters->len; i++) {
    const Parameter *parameter = &g_array_index(training->parameters, Parameter, i);
    gsize count = (gsize)(parameter->rows * parameter->cols);
    memcpy(back ? parameter->value : at, back ? at : parameter->value, sizeof *at * count);
    at += count;
  }
}

gboolean lora_training_save(LoraTraining *training, GError **error) {
  if (training->broken)
    return fault(error, FAULT_NETWORK, "A training whose numbers broke cannot be kept.");
  if (!training->checkpoint || training->kept == training->step)
    return TRUE;
  g_autoptr(SafetensorsWriter) writer =
      checkpoint_begin(training->optimiser, training->identity, training->step);
  const double held[] = {training->best_held, (double)training->best_step, (double)training->looks_since};
  safetensors_add(writer, "history", DTYPE_F64, (gint64[]){training->history->len, HISTORY_COLUMNS}, 2,
                  training->history->data);
  if (training->best) {
    safetensors_add(writer, "held", DTYPE_F64, (gint64[]){G_N_ELEMENTS(held)}, 1, held);
    safetensors_add(writer, "best", DTYPE_F32, (gint64[]){lora_record_numbers(training)}, 1, training->best);
  }
  if (!checkpoint_write(writer, training->checkpoint, error))
    return FALSE;
  training->kept = training->step;
  return TRUE;
}

static gboolean load_held(LoraTraining *training, const Safetensors *file, GError **error) {
  gint64 count = lora_record_numbers(training);
  const double *held = safetensors_get(file, "held", DTYPE_F64, (gint64[]){3}, 1, error);
  const float *best = held ? safetensors_get(file, "best", DTYPE_F32, &count, 1, error) : NULL;
  if (!best)
    return FALSE;
  if (!(held[1] >= 0 && held[1] <= (double)training->step && held[2] >= 0 && held[2] <= RECIPE_MAX_STEPS))
    return fault(error, FAULT_INPUT, "%s is damaged; remove it to begin anew.", training->checkpoint);
  training->best_held = held[0];
  training->best_step = (gint64)held[1];
  training->looks_since = (gint64)held[2];
  memcpy(training->best, best, sizeof *best * (gsize)count);
  return TRUE;
}

gboolean lora_record_resume(LoraTraining *training, GError **error) {
  g_autoptr(Safetensors) file = NULL;
  if (!training->checkpoint)
    return TRUE;
  if (!checkpoint_open(training->checkpoint, training->identity, training->optimiser, &training->step, &file,
                       error))
    return FALSE;
  if (!file)
    return TRUE;
  training->kept = training->step;
  gint64 rows = training->step;
  const LoraStep *history =
      safetensors_get(file, "history", DTYPE_F64, (gint64[]){rows, HISTORY_COLUMNS}, 2, error);
  if (!history)
    return FALSE;
  g_array_append_vals(training->history, history, (guint)rows);
  return !training->best || load_held(training, file, error);
}
