/* Checkpoints are written every few minutes and when the work is cancelled; the log is cut back to the
 * checkpoint's step when a training goes on, so that it has each step once. */
#include "identity/training/full_training.h"
#include "identity/models/model_file.h"
#include "identity/training/full_material.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SMOOTH 100
#define WARM_UP_SHARE 10 /* of short trainings, at most a tenth */
static const char *const suffixes[] = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff"};

const FullTraining full_training_defaults = {.steps = 12000,
                                             .batch = 48,
                                             .resolution = 128,
                                             .hidden = 192,
                                             .doubles = 1,
                                             .singles = 5,
                                             .rate = 1.8e-3,
                                             .minutes = 5};

/* --- pictures --- */

static gboolean is_picture(const char *name) {
  g_autofree char *small = g_ascii_strdown(name, -1);
  for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++)
    if (g_str_has_suffix(small, suffixes[i]))
      return TRUE;
  return FALSE;
}

static gint compare_paths(gconstpointer a, gconstpointer b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

char **full_training_pictures(const char *folder, GError **error) {
  g_autoptr(GError) cause = NULL;
  g_autoptr(GDir) dir = g_dir_open(folder, 0, &cause);
  if (!dir)
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", folder, cause->message);
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
  for (const char *name; (name = g_dir_read_name(dir));)
    if (is_picture(name))
      g_ptr_array_add(list, g_build_filename(folder, name, NULL));
  g_ptr_array_sort(list, compare_paths);
  g_ptr_array_add(list, NULL);
  g_ptr_array_set_free_func(list, NULL);
  return (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

/* --- files --- */

typedef struct {
  const FullTraining *job;
  Progress *progress;
  GError **error;
  char *folder, *transformer, *blocks, *words, *facts, *checkpoint, *log_path;
  Trainer *trainer;
  FILE *log;
} Work;

static void work_clear(Work *work) {
  char *const strings[] = {work->folder, work->transformer, work->blocks,  work->words,
                           work->facts,  work->checkpoint,  work->log_path};
  for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
    g_free(strings[i]);
  trainer_free(work->trainer);
  if (work->log)
    fclose(work->log);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

static gboolean prepare_folder(Work *work, const char *folder) {
  work->folder = g_canonicalize_filename(folder, NULL);
  g_autofree char *training = g_build_filename(work->folder, FULL_TRAINING, NULL);
  work->transformer = g_build_filename(work->folder, "transformer.safetensors", NULL);
  work->blocks = g_build_filename(work->folder, "autoencoder.safetensors", NULL);
  work->words = g_build_filename(work->folder, "words.safetensors", NULL);
  work->facts = g_build_filename(work->folder, MODEL_FILE, NULL);
  work->checkpoint = g_build_filename(training, "checkpoint.safetensors", NULL);
  work->log_path = g_build_filename(training, "loss.csv", NULL);
  if (model_file_is(work->folder) && !g_file_test(work->checkpoint, G_FILE_TEST_EXISTS))
    return fault(work->error, FAULT_USAGE,
                 "%s is a model already, whose training is complete; name another folder.", folder);
  if (g_mkdir_with_parents(training, 0777) != 0)
    return fault(work->error, FAULT_OUTPUT, "%s cannot be made: %s.", training, g_strerror(errno));
  return TRUE;
}

static gboolean write_facts(const Work *work) {
  g_autofree char *base = g_path_get_basename(work->folder);
  const char *name = work->job->name ? work->job->name : base;
  json_t *json =
      json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:I, s:i, s:f, s:f, s:b}", "format", 1, "name",
                name, "title", name, "about", "Trained from scratch.", "transformer",
                "transformer.safetensors", "autoencoder", "autoencoder.safetensors", "text", "kind", "words",
                "file", "words.safetensors", "resolution", (json_int_t)work->job->resolution, "steps", 20,
                "guidance", 3.0, "shift", 1.5, "trainable", TRUE);
  gboolean good = json && json_dump_file(json, work->facts, JSON_INDENT(2)) == 0;
  json_decref(json);
  return good || fault(work->error, FAULT_OUTPUT, "%s cannot be written.", work->facts);
}

/* The lines of steps that the checkpoint does not know go. */
static gboolean open_log(Work *work) {
  g_autofree char *text = NULL;
  g_autoptr(GString) kept = g_string_new("step,loss,learning_rate,gradient_norm\n");
  gint64 steps = trainer_steps(work->trainer);
  if (steps && g_file_get_contents(work->log_path, &text, NULL, NULL)) {
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 1; i < g_strv_length(lines); i++) {
      gint64 step = g_ascii_strtoll(lines[i], NULL, 10);
      if (step >= 1 && step <= steps)
        g_string_append_printf(kept, "%s\n", lines[i]);
    }
  }
  if (!(work->log = g_fopen(work->log_path, "w")) || fputs(kept->str, work->log) < 0)
    return fault(work->error, FAULT_OUTPUT, "%s cannot be written.", work->log_path);
  return TRUE;
}

static gboolean add_line(const Work *work, const TrainerReport *report) {
  char number[3][G_ASCII_DTOSTR_BUF_SIZE];
  const double values[] = {report->loss, report->rate, report->norm};
  for (int i = 0; i < 3; i++)
    g_ascii_formatd(number[i], sizeof number[i], "%.6g", values[i]);
  fprintf(work->log, "%" G_GINT64_FORMAT ",%s,%s,%s\n", report->step, number[0], number[1], number[2]);
  return fflush(work->log) == 0 || fault(work->error, FAULT_OUTPUT, "%s cannot be written.", work->log_path);
}

static gboolean keep(const Work *work) {
  return trainer_write_model(work->trainer, DTYPE_BF16, work->transformer, work->error) &&
         trainer_save(work->trainer, work->checkpoint, work->error);
}

/* --- steps --- */

static gboolean check(const FullTraining *job, GError **error) {
  guint count = g_strv_length((char **)job->pictures);
  if (count < FULL_MIN_PICTURES || count > FULL_MAX_PICTURES)
    return fault(error, FAULT_LIMIT, "A model is trained from scratch on %d to %d pictures, not %u.",
                 FULL_MIN_PICTURES, FULL_MAX_PICTURES, count);
  if (job->steps < 1 || job->steps > 10000000 || job->batch < 1 || job->batch > 4096)
    return fault(error, FAULT_USAGE, "steps and pictures in a step must be at least 1.");
  if (job->resolution < 32 || job->resolution > 512 || job->resolution % AUTOENCODER_PATCH)
    return fault(error, FAULT_USAGE, "the resolution is a multiple of %d from 32 to 512 pixels.",
                 AUTOENCODER_PATCH);
  if (job->hidden < TRAINER_HEAD || job->hidden > 1024 || job->hidden % TRAINER_HEAD)
    return fault(error, FAULT_USAGE, "the network's width is a multiple of %d from %d to 1024.", TRAINER_HEAD,
                 TRAINER_HEAD);
  if (!(job->rate > 0 && job->rate <= 1))
    return fault(error, FAULT_USAGE, "the learning rate is above 0 and at most 1; usual is %g.",
                 full_training_defaults.rate);
  return TRUE;
}

static Trainer *make_trainer(const FullTraining *job, const TrainerSource *source, gint64 context,
                             GError **error) {
  const TransformerShape shape = trainer_shape(job->hidden, job->doubles, job->singles, context);
  TrainerSettings settings = trainer_defaults;
  settings.schedule.steps = job->steps;
  settings.schedule.warmup = MIN(settings.schedule.warmup, job->steps / WARM_UP_SHARE);
  settings.batch = job->batch;
  settings.optimiser.rate = job->rate;
  settings.seed = job->seed;
  return trainer_new(&shape, &settings, source, error);
}

static gboolean train(Work *work, FullTrained *trained) {
  gint64 kept = g_get_monotonic_time();
  TrainerReport report;
  while (trainer_steps(work->trainer) < work->job->steps) {
    if (!progress_continue(work->progress, NULL))
      return keep(work) && progress_continue(work->progress, work->error);
    if (!trainer_step(work->trainer, &report, work->error) || !add_line(work, &report))
      return FALSE;
    trained->loss =
        isnan(trained->loss) ? report.loss : trained->loss + (report.loss - trained->loss) / SMOOTH;
    char stage[64];
    g_snprintf(stage, sizeof stage, "Training, loss %.3f", trained->loss);
    progress_report(work->progress, stage, report.step, work->job->steps);
    gint64 now = g_get_monotonic_time();
    if ((double)(now - kept) / 60e6 >= work->job->minutes) {
      if (!keep(work))
        return FALSE;
      kept = now;
    }
  }
  return TRUE;
}

gboolean full_train(const FullTraining *job, const char *folder, FullTrained *trained, Progress *progress,
                    GError **error) {
  g_auto(Work) work = {.job = job, .progress = progress, .error = error};
  *trained = (FullTrained){.loss = NAN};
  if (!check(job, error) || !prepare_folder(&work, folder))
    return FALSE;
  g_autoptr(FullMaterial) material =
      full_material_new(job->pictures, job->resolution, job->seed, work.blocks, work.words, progress, error);
  if (!material)
    return FALSE;
  TrainerSource source = full_material_source(material);
  work.trainer = make_trainer(job, &source, full_material_context(material), error);
  if (!work.trainer || !trainer_load(work.trainer, work.checkpoint, error) || !open_log(&work))
    return FALSE;
  if (trainer_steps(work.trainer))
    progress_note(progress, "Went on after step %" G_GINT64_FORMAT " of a training that was interrupted.",
                  trainer_steps(work.trainer));
  if (!train(&work, trained) || !trainer_write_model(work.trainer, DTYPE_BF16, work.transformer, error) ||
      !write_facts(&work))
    return FALSE;
  g_unlink(work.checkpoint);
  trained->steps = trainer_steps(work.trainer);
  return TRUE;
}
