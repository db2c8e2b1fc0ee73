/* A whole model, small and random, made here: it opens only when its parts fit, and what it draws depends on
 * prompt, seed and adapter and on nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "../must.h"
#include "base/files.h"
#include "identity/network/lora.h"
#include "identity/sampling/generate.h"
#include "identity/sampling/noise.h"
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define WORDS                                                                                                \
  "{\"length\": 6, \"words\": [\"<pad>\", \"man\", \"hat\", \"red\", \"<1>\", \"<2>\"], \"reserved\": "      \
  "[\"<1>\", \"<2>\"]}"
#define ROWS 6
#define CONTEXT 12

static char *folder; /* of all that is made here */

static char *in(const char *place, const char *name) {
  return g_build_filename(place, name, NULL);
}

/* --- making a model --- */

static void write_transformer(const char *place, gint64 context) {
  const TransformerShape shape = {
      .hidden = 32, .head = 16, .mlp = 96, .context = context, .channels = 128, .doubles = 1, .singles = 1};
  g_autoptr(GError) error = NULL;
  g_autoptr(Transformer) transformer = transformer_new(&shape, DTYPE_F32, TRUE, 5, &error);
  must(transformer);
  g_autoptr(GArray) parameters = transformer_parameters(transformer);
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index(parameters, Parameter, i);
    gint64 count = parameter->rows * parameter->cols;
    if (parameter->rows > 1) /* also those that begin at zero */
      noise_fill(i, 1, count, parameter->value);
    for (gint64 k = 0; k < count && parameter->rows > 1; k++)
      parameter->value[k] *= .8f / sqrtf((float)parameter->cols);
  }
  g_autofree char *path = in(place, "transformer.safetensors");
  must(transformer_save(transformer, path, DTYPE_BF16, NULL, &error));
}

static void write_words(const char *place) {
  float vectors[ROWS * CONTEXT];
  noise_fill(8, 0, ROWS * CONTEXT, vectors);
  memset(vectors, 0, sizeof *vectors * CONTEXT);
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "words.vectors", DTYPE_F32, (gint64[]){ROWS, CONTEXT}, 2, vectors);
  safetensors_set_metadata(writer, "words", WORDS);
  g_autofree char *path = in(place, "words.safetensors");
  assert_true(safetensors_write(writer, path, NULL));
}

/* The basis: each number of a token lifts six neighbouring pixels of one channel. */
static void write_blocks(const char *place) {
  g_autofree float *mean = g_new0(float, 768), *basis = g_new0(float, 128 * 768), *scale = g_new0(float, 128);
  for (int i = 0; i < 128; i++) {
    scale[i] = 1;
    for (int k = 0; k < 6; k++)
      basis[i * 768 + i * 6 + k] = 1 / sqrtf(6);
  }
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "blocks.mean", DTYPE_F32, (gint64[]){768}, 1, mean);
  safetensors_add(writer, "blocks.basis", DTYPE_F32, (gint64[]){128, 768}, 2, basis);
  safetensors_add(writer, "blocks.scale", DTYPE_F32, (gint64[]){128}, 1, scale);
  g_autofree char *path = in(place, "autoencoder.safetensors");
  assert_true(safetensors_write(writer, path, NULL));
}

static void write_text(const char *place, const char *name, const char *text) {
  g_autofree char *path = in(place, name);
  assert_true(g_file_set_contents(path, text, -1, NULL));
}

#define MODEL(extra)                                                                                         \
  "{\"format\": 1, \"name\": \"tiny\", \"transformer\": \"transformer.safetensors\", "                       \
  "\"autoencoder\": \"autoencoder.safetensors\", \"text\": {\"kind\": \"words\", \"file\": "                 \
  "\"words.safetensors\"}, \"resolution\": 64, \"steps\": 3, \"guidance\": 2, \"shift\": 1.5" extra "}"

static char *make_model(const char *name) {
  char *place = in(folder, name);
  g_mkdir_with_parents(place, 0700);
  write_transformer(place, CONTEXT);
  write_words(place);
  write_blocks(place);
  write_text(place, "LICENSE", "free");
  write_text(place, "model.json", MODEL(", \"licence\": \"LICENSE\", \"trainable\": true"));
  return place;
}

static Model *open_model(const char *name) {
  g_autofree char *place = make_model(name);
  g_autoptr(GError) error = NULL;
  Model *model = model_open(place, &error);
  must(model);
  return model;
}

/* --- models --- */

static void a_model_says_what_it_is(void **state) {
  g_autoptr(Model) model = open_model("facts");
  const ModelFacts *facts = model_facts(model);
  assert_string_equal(facts->name, "tiny");
  assert_string_equal(facts->title, "tiny");
  assert_string_equal(facts->licence, "free");
  assert_null(facts->card);
  assert_int_equal(facts->resolution, 64);
  assert_int_equal(facts->steps, 3);
  assert_true(facts->guidance == 2 && facts->shift == 1.5 && facts->trainable);
  assert_int_equal(model_text_length(model), 6);
  assert_int_equal(model_text_width(model), CONTEXT);
}

static void refused(const char *place, const char *json) {
  g_autoptr(GError) error = NULL;
  if (json)
    write_text(place, "model.json", json);
  g_autoptr(Model) model = model_open(place, &error);
  if (model || !g_error_matches(error, FAULT, FAULT_INPUT))
    fail_msg("accepted: %s", json ? json : place);
}

static void models_whose_parts_do_not_fit_are_refused(void **state) {
  g_autofree char *place = make_model("broken");
  refused(place, "");
  refused(place, "[]");
  refused(place, "{}");
  refused(place, "{\"format\": 2}");
  refused(place, MODEL(", \"licence\": \"../facts/LICENSE\""));
  refused(place, MODEL(", \"licence\": \"/etc/passwd\""));
  refused(place, MODEL(", \"licence\": \"absent\""));
  refused(place, MODEL(", \"title\": 3"));
  refused(place, "{\"format\": 1, \"name\": \"tiny\"}");
  refused(place, "{\"format\": 1, \"name\": \"a/b\", \"transformer\": \"transformer.safetensors\"}");
  refused(place, "{\"format\": 1, \"name\": \"tiny\", \"steps\": 0}");
  refused(place, "{\"format\": 1, \"name\": \"tiny\", \"steps\": \"many\"}");
  refused(place, "{\"format\": 1, \"name\": \"tiny\", \"resolution\": 1e9}");
  refused(place,
          "{\"format\": 1, \"name\": \"tiny\", \"transformer\": \"transformer.safetensors\", "
          "\"autoencoder\": \"autoencoder.safetensors\", \"text\": {\"kind\": \"qwen3\", \"taps\": [1, 2]}}");
  g_autoptr(GError) error = NULL;
  write_text(place, "model.json", MODEL(""));
  g_autoptr(Model) whole = model_open(place, &error);
  must(whole);
  write_transformer(place, CONTEXT + 4); /* of another text side */
  refused(place, NULL);
  g_autofree char *autoencoder = in(place, "autoencoder.safetensors");
  g_unlink(autoencoder);
  refused(place, NULL);
}

static void models_are_found_by_name(void **state) {
  g_autofree char *place = make_model("here"), *found = NULL;
  g_autoptr(GError) error = NULL;
  must(found = model_find("here", folder, &error));
  assert_string_equal(found, place);
  g_autofree char *same = model_find(place, NULL, &error);
  assert_string_equal(same, place);
  g_autoptr(GPtrArray) names = model_list(folder);
  assert_true(g_ptr_array_find_with_equal_func(names, "here", g_str_equal, NULL));
  assert_null(model_find("absent", folder, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_USAGE));
  assert_non_null(strstr(error->message, "here"));
}

/* --- sizes and prompts --- */

static void sizes_keep_shape_and_area(void **state) {
  static const struct {
    gint64 resolution;
    double aspect;
    gint64 width, height;
  } cases[] = {{128, 1, 128, 128},     {1024, 1, 1024, 1024}, {16, 1, 16, 16},
               {1024, .75, 880, 1184}, {128, .75, 112, 144},  {1024, 16.0 / 9, 1360, 768}};
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    gint64 width, height;
    generate_size(cases[i].resolution, AUTOENCODER_MAX_SIDE, cases[i].aspect, &width, &height);
    assert_true(width % 16 == 0 && height % 16 == 0 &&
                width * height <= cases[i].resolution * cases[i].resolution);
    assert_true(fabs(log((double)width / (double)height / cases[i].aspect)) < .06);
    assert_int_equal(width, cases[i].width);
    assert_int_equal(height, cases[i].height);
  }
}

static void prompt_becomes(const char *prompt, const char *trigger, const char *class, const char *expected) {
  g_autofree char *text = generate_prompt(prompt, trigger, class);
  assert_string_equal(text, expected);
}

static void triggers_find_their_place(void **state) {
  prompt_becomes("a man in a park", NULL, NULL, "a man in a park");
  prompt_becomes("a man in a park", "zqx", "man", "a zqx man in a park");
  prompt_becomes("A Man in a park", "zqx", "man", "A zqx Man in a park");
  prompt_becomes("a woman in Manchester", "zqx", "man", "zqx man, a woman in Manchester");
  prompt_becomes("[trigger] with [trigger]'s dog", "zqx", "man", "zqx with zqx's dog");
  prompt_becomes("ZQX in a park", "zqx", "man", "ZQX in a park");
  prompt_becomes("in a park", "zqx", NULL, "zqx, in a park");
  prompt_becomes("\xc3\xa9man man", "zqx", "man", "\xc3\xa9man zqx man");
  prompt_becomes("", "zqx", "man", "zqx man, ");
}

/* --- drawing --- */

typedef struct {
  GPtrArray *images;
  int stop_after;
} Album;

static gboolean keep(GeneratedPicture *picture, gpointer user, GError **error) {
  Album *album = user;
  g_ptr_array_add(album->images, g_steal_pointer(&picture->image));
  return !album->stop_after || (int)album->images->len < album->stop_after ||
         fault(error, FAULT_OUTPUT, "enough");
}

static GPtrArray *draw(Model *model, const GenerateOptions *options, Progress *progress, GError **error) {
  Album album = {g_ptr_array_new_with_free_func((GDestroyNotify)image_free)};
  if (!generate(model, options, keep, &album, progress, error))
    g_clear_pointer(&album.images, g_ptr_array_unref);
  return album.images;
}

static gboolean same_image(const Image *a, const Image *b) {
  return a->width == b->width && a->height == b->height &&
         memcmp(a->pixels, b->pixels, (gsize)a->width * (gsize)a->height * 3) == 0;
}

static void pictures_depend_on_prompt_and_seed_alone(void **state) {
  g_autoptr(Model) model = open_model("draw");
  g_autoptr(GError) error = NULL;
  const char *prompts[] = {"a man", "a red hat", NULL}, *one[] = {"a red hat", NULL};
  GenerateOptions options = {.prompts = prompts, .count = 2, .seed = 4, .strength = 1};
  g_autoptr(GPtrArray) all = draw(model, &options, NULL, &error);
  must(all);
  assert_int_equal(all->len, 4);
  assert_int_equal(((Image *)all->pdata[0])->width, 64);
  assert_false(same_image(all->pdata[0], all->pdata[1]));
  assert_false(same_image(all->pdata[0], all->pdata[2]));
  options = (GenerateOptions){.prompts = one, .count = 1, .seed = 5, .strength = 1};
  g_autoptr(GPtrArray) again = draw(model, &options, NULL, &error);
  must(again);
  assert_true(same_image(all->pdata[3], again->pdata[0]));
  options.aspect = .5;
  g_autoptr(GPtrArray) tall = draw(model, &options, NULL, &error);
  must(tall);
  assert_true(((Image *)tall->pdata[0])->height > ((Image *)tall->pdata[0])->width);
}

static char *write_lora(Model *model, const char *trigger) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Lora) lora = lora_new(model_transformer(model), 2, 7, &error);
  must(lora);
  for (guint i = 0; i < lora->layers->len; i++) {
    LoraLayer *layer = &g_array_index(lora->layers, LoraLayer, i);
    noise_fill(i, 9, layer->out * layer->rank, layer->b);
  }
  char *path = in(folder, "lora.safetensors");
  const char *metadata[] = {LORA_MODEL, "tiny", LORA_TRIGGER, trigger, LORA_CLASS, "man", NULL};
  must(lora_save(lora, path, metadata, &error));
  return path;
}

static void an_adapter_changes_the_picture_by_its_strength(void **state) {
  g_autoptr(Model) model = open_model("adapted");
  g_autoptr(GError) error = NULL;
  const char *prompts[] = {"a man", NULL};
  GenerateOptions options = {.prompts = prompts, .count = 1, .strength = 1, .trigger = "zqx", .class = "man"};
  g_autoptr(GPtrArray) plain = draw(model, &options, NULL, &error);
  must(plain);
  g_autofree char *lora = write_lora(model, "zqx");
  options = (GenerateOptions){.prompts = prompts, .count = 1, .lora = lora, .strength = 0};
  g_autoptr(GPtrArray) nothing = draw(model, &options, NULL, &error);
  must(nothing);
  assert_true(same_image(plain->pdata[0], nothing->pdata[0])); /* with the trigger from the file */
  options.strength = 1;
  g_autoptr(GPtrArray) adapted = draw(model, &options, NULL, &error);
  must(adapted);
  assert_false(same_image(plain->pdata[0], adapted->pdata[0]));
}

static void references_change_the_picture(void **state) {
  g_autoptr(Model) model = open_model("references");
  g_autoptr(GError) error = NULL;
  const char *prompts[] = {"a man", NULL};
  g_autoptr(Image) first = image_new(200, 100, 3), second = image_new(64, 70, 3),
                   thin = image_new(64, 600, 3);
  memset(first->pixels, 200, 200 * 100 * 3);
  const Image *references[] = {first, second};
  GenerateOptions options = {.prompts = prompts, .count = 1, .strength = 1};
  g_autoptr(GPtrArray) plain = draw(model, &options, NULL, &error);
  must(plain);
  options.references = references;
  options.reference_count = 2;
  gint64 bytes = generate_bytes(model, &options);
  g_autoptr(GPtrArray) after = draw(model, &options, NULL, &error);
  must(after);
  assert_false(same_image(plain->pdata[0], after->pdata[0]));
  options.reference_count = 1;
  assert_true(generate_bytes(model, &options) < bytes);
  references[0] = thin;
  assert_null(draw(model, &options, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_LIMIT));
}

static void count_steps(const char *stage, gint64 done, gint64 total, gpointer user) {
  gint64 *last = user;
  if (!g_str_equal(stage, "Drawing"))
    return;
  assert_int_equal(total, 6);
  assert_true(done >= *last);
  *last = done;
}

static void progress_is_told_and_cancelling_ends(void **state) {
  g_autoptr(Model) model = open_model("progress");
  g_autoptr(GError) error = NULL;
  gint64 last = 0;
  const char *prompts[] = {"a purple man", NULL};
  const GenerateOptions options = {.prompts = prompts, .count = 2, .strength = 1};
  g_autoptr(Progress) progress = progress_new(count_steps, &last);
  g_autoptr(GPtrArray) images = draw(model, &options, progress, &error);
  must(images);
  assert_int_equal(last, 6);
  g_auto(GStrv) notes = progress_notes(progress); /* purple is not a word of this model */
  assert_int_equal(g_strv_length(notes), 1);
  assert_non_null(strstr(notes[0], "purple"));
  last = 0;
  progress_cancel(progress);
  assert_null(draw(model, &options, progress, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_CANCELLED));
}

static void senseless_options_are_refused(void **state) {
  g_autoptr(Model) model = open_model("options");
  const char *prompts[] = {"a man", NULL}, *none[] = {NULL}, *bytes[] = {"\xff", NULL};
  const GenerateOptions bad[] = {{.prompts = none, .count = 1},
                                 {.prompts = prompts, .count = 0},
                                 {.prompts = prompts, .count = 100000},
                                 {.prompts = prompts, .count = 1, .steps = -1},
                                 {.prompts = prompts, .count = 1, .aspect = 90},
                                 {.prompts = prompts, .count = 1, .strength = NAN},
                                 {.prompts = prompts, .count = 1, .guidance = -2},
                                 {.prompts = prompts, .count = 1, .trigger = "!?"},
                                 {.prompts = prompts, .count = 1, .reference_count = 17}};
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    assert_null(draw(model, &bad[i], NULL, &error));
    if (!g_error_matches(error, FAULT, FAULT_USAGE))
      fail_msg("case %d: %s", (int)i, error ? error->message : "accepted");
  }
  g_autoptr(GError) error = NULL;
  const GenerateOptions not_text = {.prompts = bytes, .count = 1};
  assert_null(draw(model, &not_text, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static int make_folder(void **state) {
  folder = g_dir_make_tmp("generate-XXXXXX", NULL);
  return folder == NULL;
}

static int remove_folder(void **state) {
  files_remove_tree(folder);
  g_free(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_says_what_it_is),
      cmocka_unit_test(models_whose_parts_do_not_fit_are_refused),
      cmocka_unit_test(models_are_found_by_name),
      cmocka_unit_test(sizes_keep_shape_and_area),
      cmocka_unit_test(triggers_find_their_place),
      cmocka_unit_test(pictures_depend_on_prompt_and_seed_alone),
      cmocka_unit_test(an_adapter_changes_the_picture_by_its_strength),
      cmocka_unit_test(references_change_the_picture),
      cmocka_unit_test(progress_is_told_and_cancelling_ends),
      cmocka_unit_test(senseless_options_are_refused),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
