/* sprite-train: trains the small model from scratch in a folder, and goes on where it was stopped.
 *
 * FOLDER: blocks.safetensors, words.safetensors, checkpoint.safetensors, model.safetensors
 * (the average), model.json, loss.csv. */
#include "material.h"
#include "vocabulary.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  gint64 steps, until, batch, seed, hidden, doubles, singles, fit;
  double rate, power, average, minutes, limit;
  int size;
} Options;

static volatile sig_atomic_t stopped;

static void stop(int number) {
  stopped = 1;
}

static char *in(const char *folder, const char *name) {
  return g_build_filename(folder, name, NULL);
}

static gboolean prepare(const char *folder, const Options *o, GError **error) {
  g_autofree char *blocks = in(folder, "blocks.safetensors"), *words = in(folder, "words.safetensors");
  if (g_mkdir_with_parents(folder, 0777) != 0)
    return fault(error, FAULT_OUTPUT, "%s cannot be made: %s.", folder, g_strerror(errno));
  if (!g_file_test(blocks, G_FILE_TEST_EXISTS) &&
      !material_fit_blocks(blocks, o->size, (int)o->fit, o->power, (guint64)o->seed, error))
    return FALSE;
  return vocabulary_write(words, error);
}

static gboolean keep(Trainer *trainer, const char *folder, GError **error) {
  g_autofree char *checkpoint = in(folder, "checkpoint.safetensors"),
                  *model = in(folder, "model.safetensors");
  return trainer_save(trainer, checkpoint, error) && trainer_write_model(trainer, DTYPE_F32, model, error);
}

/* So that the folder is a Model that troupe opens. */
static gboolean write_card(const char *folder, int size, GError **error) {
  g_autofree char *path = in(folder, "model.json");
  g_autoptr(GError) cause = NULL;
  g_autofree char *text = g_strdup_printf(
      "{\"format\": 1, \"name\": \"sprite\", \"title\": \"Sprite\", \"about\": \"A small model for "
      "demonstration: drawn "
      "characters.\",\n \"transformer\": \"model.safetensors\", \"autoencoder\": \"blocks.safetensors\",\n"
      " \"text\": {\"kind\": \"words\", \"file\": \"words.safetensors\"},\n"
      " \"resolution\": %d, \"steps\": 20, \"guidance\": 3, \"shift\": 1.5, \"trainable\": true}\n",
      size);
  return g_file_set_contents(path, text, -1, &cause) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, cause->message);
}

static void log_line(FILE *log, const TrainerReport *r, double seconds) {
  fprintf(log, "%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%.1f,%.5f,%.6g,%.4f", r->step, r->samples, seconds,
          r->loss, r->rate, r->norm);
  for (int f = 0; f < TRAINER_FIFTHS; f++)
    fprintf(log, ",%.4f,%d", r->fifth_count[f] ? r->fifth_sum[f] / r->fifth_count[f] : 0, r->fifth_count[f]);
  fputc('\n', log);
  fflush(log);
}

static gboolean train(Trainer *trainer, const Options *o, const char *folder, FILE *log, GError **error) {
  gint64 begin = g_get_monotonic_time(), kept = begin;
  double loss = 0;
  gint64 first = trainer_steps(trainer);
  TrainerReport report;
  gint64 end = o->until > 0 ? MIN(o->until, o->steps) : o->steps;
  while (trainer_steps(trainer) < end && !stopped) {
    if (!trainer_step(trainer, &report, error))
      return FALSE;
    gint64 now = g_get_monotonic_time();
    double seconds = (double)(now - begin) / 1e6;
    log_line(log, &report, seconds);
    loss = report.step - first < 100 ? loss + (report.loss - loss) / (double)(report.step - first)
                                     : loss + 0.01 * (report.loss - loss);
    if (report.step % 20 == 0 || report.step - first == 5)
      g_print("step %" G_GINT64_FORMAT "  %" G_GINT64_FORMAT
              " samples  loss %.4f  norm %.3f  rate %.2e  %.1f samples/s\n",
              report.step, report.samples, loss, report.norm, report.rate,
              (double)((report.step - first) * o->batch) / seconds);
    if ((double)(now - kept) / 60e6 >= o->minutes) {
      if (!keep(trainer, folder, error))
        return FALSE;
      kept = now;
    }
    if (o->limit > 0 && seconds / 60 >= o->limit)
      break;
  }
  return keep(trainer, folder, error);
}

static gboolean run(const char *folder, const Options *o, GError **error) {
  g_autofree char *blocks = in(folder, "blocks.safetensors"),
                  *checkpoint = in(folder, "checkpoint.safetensors"), *csv = in(folder, "loss.csv");
  if (!prepare(folder, o, error) || !write_card(folder, o->size, error))
    return FALSE;
  g_autoptr(Material) material = material_new(blocks, o->size, (guint64)o->seed, error);
  if (!material)
    return FALSE;
  TrainerSource source = material_source(material);
  const TransformerShape shape = trainer_shape(o->hidden, o->doubles, o->singles, VOCABULARY_WIDTH);
  TrainerSettings settings = trainer_defaults;
  settings.schedule.steps = o->steps;
  settings.batch = o->batch;
  settings.optimiser.rate = o->rate;
  settings.average = o->average;
  settings.seed = (guint64)o->seed;
  g_autoptr(Trainer) trainer = trainer_new(&shape, &settings, &source, error);
  if (!trainer)
    return FALSE;
  gboolean again = g_file_test(checkpoint, G_FILE_TEST_EXISTS);
  if (!trainer_load(trainer, checkpoint, error))
    return FALSE;
  FILE *log = fopen(csv, again ? "a" : "w");
  if (!log)
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", csv, g_strerror(errno));
  if (!again)
    fprintf(log, "step,samples,seconds,loss,rate,norm,loss0,n0,loss1,n1,loss2,n2,loss3,n3,loss4,n4\n");
  gboolean ok = train(trainer, o, folder, log, error);
  fclose(log);
  return ok;
}

int main(int argc, char **argv) {
  Options o = {.steps = 20000,
               .batch = 48,
               .seed = 1,
               .hidden = 192,
               .doubles = 1,
               .singles = 5,
               .fit = 3000,
               .rate = 1.8e-3,
               .power = 0.3,
               .average = 0.9995,
               .minutes = 5,
               .size = 128};
  GOptionEntry entries[] = {
      {"steps", 0, 0, G_OPTION_ARG_INT64, &o.steps, "Length of the training and of its rate's cosine", "N"},
      {"until", 0, 0, G_OPTION_ARG_INT64, &o.until, "End after this step, before the cosine does", "N"},
      {"batch", 0, 0, G_OPTION_ARG_INT64, &o.batch, "Samples a step (default 48)", "N"},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &o.seed, "Another training", "N"},
      {"hidden", 0, 0, G_OPTION_ARG_INT64, &o.hidden, "Width, a multiple of 64 (default 192)", "N"},
      {"doubles", 0, 0, G_OPTION_ARG_INT64, &o.doubles, "Double blocks (default 1)", "N"},
      {"singles", 0, 0, G_OPTION_ARG_INT64, &o.singles, "Single blocks (default 5)", "N"},
      {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.rate, "AdamW's; Muon's is ten times it (default 1.8e-3)", "R"},
      {"average", 0, 0, G_OPTION_ARG_DOUBLE, &o.average, "Of the moving average (default .9995)", "D"},
      {"power", 0, 0, G_OPTION_ARG_DOUBLE, &o.power, "Of the block transform's scales (default .3)", "P"},
      {"size", 0, 0, G_OPTION_ARG_INT, &o.size, "Side of the pictures (default 128)", "PIXELS"},
      {"minutes", 0, 0, G_OPTION_ARG_DOUBLE, &o.minutes, "Between checkpoints (default 5)", "M"},
      {"limit", 0, 0, G_OPTION_ARG_DOUBLE, &o.limit, "End after so many minutes, with a checkpoint", "M"},
      {NULL},
  };
  g_autoptr(GError) error = NULL;
  g_autoptr(GOptionContext) context = g_option_context_new("FOLDER");
  g_option_context_set_summary(context,
                               "Trains the small model from scratch; goes on from FOLDER's checkpoint.");
  g_option_context_add_main_entries(context, entries, NULL);
  gboolean ok = g_option_context_parse(context, &argc, &argv, &error);
  if (ok && (argc != 2 || o.steps < 1 || o.batch < 1 || o.hidden < 64 || o.hidden > 4096 || o.hidden % 64 ||
             o.doubles < 0 || o.singles < 0 || o.size < 64 || o.size > 1024 || o.size % 16))
    ok = fault(&error, FAULT_USAGE, "One folder; sizes as --help says.");
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
  ok = ok && run(argv[1], &o, &error);
  if (!ok)
    g_printerr("sprite-train: %s\n", error->message);
  return ok ? 0 : 1;
}
