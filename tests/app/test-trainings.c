/* Trainings as operations: what is refused and in which order, what a training reserves, holds and gives
 * back, however it ends. The worker here only ends jobs. */
#include "school.h"

#include "../must.h"
#include "app/making/generations.h"

#include <math.h>

/* ---- trainings that are refused ---- */

static void test_numbers_of_pictures(void **state) {
  Company *company = *state;
  InputSource *sources = school_urls(31);
  TrainingRequest request = {.pictures = sources, .seed = -1};
  gint requests = school_requests();
  request.picture_count = 9;
  school_refused(company, &request, REFUSAL_PICTURES_FEW, "9 pictures");
  request.picture_count = 1;
  school_refused(company, &request, REFUSAL_PICTURES_FEW, "1 picture was");
  request.picture_count = 0;
  school_refused(company, &request, REFUSAL_PICTURES_FEW, "0 pictures");
  request.picture_count = 31;
  school_refused(company, &request, REFUSAL_PICTURES_MANY, "31 pictures");
  assert_int_equal(school_requests(), requests); /* nobody was asked for anything */
  school_urls_free(sources, 31);
  const int good[] = {10, 30};
  for (int i = 0; i < 2; i++) {
    g_autoptr(CharacterRow) row = school_character(company, good[i]);
    assert_int_equal(json_array_size(row->pictures), good[i]);
  }
}

/* Each request has everything wrong that is looked at later, too. */
static void test_order_of_refusals(void **state) {
  Company *company = *state;
  InputSource *sources = school_urls(10);
  school_set_url(&sources[3], "ftp://example.com/a.png");
  school_set_url(&sources[6], "missing");
  TrainingRequest request = {
      .pictures = sources, .picture_count = 9, .trigger = "two words", .model = "nosuch", .seed = -1};
  company->settings->models = (g_free(company->settings->models), g_strdup(school_models));
  school_refused(company, &request, REFUSAL_TRIGGER, "two words");
  request.trigger = "---";
  school_refused(company, &request, REFUSAL_TRIGGER, "---");
  request.trigger = "good_one-2";
  request.steps = 1000000;
  school_refused(company, &request, REFUSAL_INVALID, "steps");
  request.steps = 0;
  school_refused(company, &request, REFUSAL_MODEL, "nosuch");
  request.model = "distilled";
  school_refused(company, &request, REFUSAL_MODEL, "distilled");
  request.model = NULL;
  request.name = "\xff";
  school_refused(company, &request, REFUSAL_INVALID, "name");
  request.name = NULL;
  request.character_id = "nobody";
  school_refused(company, &request, REFUSAL_CHARACTER, "nobody");
  request.character_id = NULL;
  school_refused(company, &request, REFUSAL_PICTURES_FEW, "9");
  request.picture_count = 10;
  gint requests = school_requests();
  school_refused(company, &request, REFUSAL_URL_FORM, "image_urls[3]");
  school_set_url(&sources[3], "3.png");
  assert_int_equal(school_requests(), requests);
  school_refused(company, &request, REFUSAL_URL, "image_urls[6]");
  school_urls_free(sources, 10);
}

static void test_credits_come_before_downloads(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  for (int i = 0; i < SCHOOL_CREDITS / TRAINING_PRICE - 1; i++) {
    g_autoptr(CharacterRow) row = school_character(company, 10);
  }
  InputSource *sources = school_urls(10);
  school_set_url(&sources[0], "missing");
  TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  school_refused(company, &request, REFUSAL_URL, "image_urls[0]");
  g_autoptr(CharacterRow) last = school_character(company, 10);
  assert_int_equal(company_balance(company), 0);
  gint requests = school_requests();
  school_refused(company, &request, REFUSAL_CREDITS, "500");
  assert_int_equal(school_requests(), requests);
  school_urls_free(sources, 10);
  school_books(company);
}

static void test_one_bad_picture(void **state) {
  Company *company = *state;
  const struct {
    const char *path;
    Refusal why;
  } cases[] = {{"missing", REFUSAL_URL},
               {"page", REFUSAL_PICTURE_FORMAT},
               {"large", REFUSAL_PICTURE_TOO_LARGE},
               {"hangs-up", REFUSAL_URL},
               {"http://10.0.0.1/a.png", REFUSAL_URL}};
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    InputSource *sources = school_urls(10);
    school_set_url(&sources[4], cases[i].path);
    const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
    school_refused(company, &request, cases[i].why, "image_urls[4]");
    school_urls_free(sources, 10);
  }
  /* What only the engine can see. */
  InputSource *sources = school_urls(10);
  static const char cut[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR and nothing more";
  InputSource broken = company_file(company, "images[4]", cut, sizeof cut);
  InputSource good = sources[4];
  sources[4] = broken;
  const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  school_refused(company, &request, REFUSAL_PICTURE_BROKEN, "images[4]");
  g_free((char *)broken.path);
  sources[4] = good;
  school_urls_free(sources, 10);
}

static void test_nothing_to_train_with(void **state) {
  Company *company = *state;
  g_free(company->settings->models);
  company->settings->models = g_strdup(company->folder);
  InputSource *sources = school_urls(10);
  const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  school_refused(company, &request, REFUSAL_TRAINER, "troupe models");
  school_urls_free(sources, 10);
  assert_int_equal(json_array_size(generation_models(company->app)), 0);
}

static void test_dry_run(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  InputSource *sources = school_urls(10);
  CharacterRow *row = NULL;
  TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1, .dry_run = TRUE};
  must(school_create(company, &request, &row, &error));
  assert_null(row);
  assert_int_equal(company_count(company, "characters"), 0);
  assert_int_equal(company_drafts(company), 0);
  assert_int_equal(company_balance(company), SCHOOL_CREDITS);
  school_set_url(&sources[9], "missing");
  school_refused(company, &request, REFUSAL_URL, "image_urls[9]");
  school_urls_free(sources, 10);
}

/* ---- the way of a training ---- */

static void test_training(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = school_character(company, 12);
  assert_string_equal(row->status, "pending");
  assert_int_equal(company_balance(company), SCHOOL_CREDITS - TRAINING_PRICE);
  g_autoptr(Job) job = school_claim(company, POOL_IDENTITY);
  assert_int_equal(job->kind, JOB_TRAINING);
  assert_string_equal(job->subject, row->id);
  assert_int_equal(json_array_size(json_object_get(job->spec, "pictures")), 12);
  assert_string_equal(json_string_value(json_object_get(job->spec, "model")), "sprite");

  gboolean held = FALSE;
  json_auto_t *partial =
      json_pack("{s:i, s:i, s:f, s:s}", "step", 100, "steps", 400, "loss", 0.5, "previews", SCHOOL_IMAGE);
  must(job_renew(company->app, job, 25, "Training", NULL, partial, &held, &error) && held);
  g_autoptr(TrainingRow) running = school_training(company, row->id);
  assert_string_equal(running->status, "training");
  assert_string_equal(running->trigger, "adaz");
  assert_string_equal(running->class, "person");
  assert_int_equal(running->step, 100);
  assert_int_equal(running->steps, 400);
  assert_true(running->loss == 0.5 && running->progress == 25);
  assert_string_equal(running->previews, SCHOOL_IMAGE);
  assert_null(running->lora);

  school_finish(company, job, SCHOOL_LORA);
  g_autoptr(TrainingRow) ready = school_training(company, row->id);
  assert_string_equal(ready->status, "ready");
  assert_string_equal(ready->lora, SCHOOL_LORA);
  assert_int_equal(ready->step, 400);
  assert_int_equal(ready->credits, TRAINING_PRICE);
  assert_true(ready->completed > 0 && ready->progress == 100);
  g_autoptr(CharacterRow) still = character_get(company->app, company->caller->account, row->id, &error);
  assert_string_equal(still->status, "pending"); /* its rig is another job */
  assert_int_equal(company_balance(company), SCHOOL_CREDITS - TRAINING_PRICE);
  school_books(company);
}

static void test_made_up_trigger(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  InputSource *sources = school_urls(10);
  const TrainingRequest request = {.pictures = sources, .picture_count = 10, .seed = -1};
  g_autoptr(CharacterRow) row = NULL;
  must(school_create(company, &request, &row, &error));
  g_autoptr(TrainingRow) state_of = school_training(company, row->id);
  assert_true(g_regex_match_simple("^CHAR[A-Z0-9]{7}$", state_of->trigger, 0, 0));
  assert_string_equal(row->name, "Character");
  school_urls_free(sources, 10);
}

static void test_failed_training(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = school_character(company, 10);
  g_autoptr(Job) job = school_claim(company, POOL_IDENTITY);
  gboolean held = FALSE;
  must(job_fail(company->app, job, REFUSAL_DIVERGED, "The loss broke.", &held, &error) && held);
  g_autoptr(TrainingRow) failed = school_training(company, row->id);
  assert_string_equal(failed->status, "failed");
  assert_string_equal(failed->error_code, "diverged");
  assert_int_equal(failed->credits, 0);
  assert_int_equal(company_balance(company), SCHOOL_CREDITS);
  school_books(company);
  g_autoptr(Job) rig = school_claim(company, "V4_Preview"); /* which the failure does not concern */
  assert_string_equal(rig->subject, row->id);
}

static void test_killed_training(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = school_character(company, 10);
  for (int i = 0; i < 3; i++) {
    g_autoptr(Job) job = school_claim(company, POOL_IDENTITY);
    assert_int_equal(job->attempts, i + 1);
    must(job_hand_back(company->app, job, "The engine crashed.", FALSE, &error));
  }
  g_autoptr(TrainingRow) failed = school_training(company, row->id);
  assert_string_equal(failed->status, "failed");
  assert_int_equal(company_balance(company), SCHOOL_CREDITS);
  school_books(company);
}

static void test_deleted_character(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = school_character(company, 10);
  g_autoptr(Job) job = school_claim(company, POOL_IDENTITY);
  must(character_delete(company->app, company->caller->account, row->id, &error));
  assert_int_equal(company_count(company, "holds"), 0);
  assert_int_equal(company_balance(company), SCHOOL_CREDITS);
  gboolean held = TRUE;
  must(job_complete(company->app, job, NULL, NULL, TRAINING_PRICE, &held, &error));
  assert_false(held);
  assert_int_equal(company_balance(company), SCHOOL_CREDITS);
  school_books(company);
}

static void test_trained_again(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autoptr(CharacterRow) row = school_character(company, 28), more = NULL;
  InputSource *sources = school_urls(3);
  TrainingRequest request = {.character_id = row->id, .pictures = sources, .picture_count = 2, .seed = -1};
  school_refused(company, &request, REFUSAL_CONFLICT, row->id);
  g_autoptr(Job) first = school_claim(company, POOL_IDENTITY);
  school_finish(company, first, SCHOOL_LORA);
  request.picture_count = 3;
  school_refused(company, &request, REFUSAL_PICTURES_MANY, "31");
  request.picture_count = 2;
  must(school_create(company, &request, &more, &error));
  assert_string_equal(more->id, row->id);
  assert_int_equal(json_array_size(more->pictures), 30);
  g_autofree char *last = school_held(company, row->id, "picture-29");
  assert_non_null(last);
  g_autoptr(Job) second = school_claim(company, POOL_IDENTITY);
  gboolean held;
  must(job_fail(company->app, second, REFUSAL_DIVERGED, "It broke.", &held, &error));
  g_autoptr(TrainingRow) failed = school_training(company, row->id);
  assert_string_equal(failed->status, "failed");
  assert_string_equal(failed->lora, SCHOOL_LORA);

  g_autoptr(CharacterRow) again = NULL;
  request.picture_count = 0;
  must(school_create(company, &request, &again, &error));
  g_autoptr(Job) third = school_claim(company, POOL_IDENTITY);
  g_autofree char *other = school_put(company, "another LoRA");
  school_finish(company, third, other);
  g_autoptr(TrainingRow) ready = school_training(company, row->id);
  assert_string_equal(ready->lora, other);
  assert_int_equal(company_balance(company), SCHOOL_CREDITS - 2 * TRAINING_PRICE);
  school_urls_free(sources, 3);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, school_setup, company_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_numbers_of_pictures),
      TEST(test_order_of_refusals),
      TEST(test_credits_come_before_downloads),
      TEST(test_one_bad_picture),
      TEST(test_nothing_to_train_with),
      TEST(test_dry_run),
      TEST(test_training),
      TEST(test_made_up_trigger),
      TEST(test_failed_training),
      TEST(test_killed_training),
      TEST(test_deleted_character),
      TEST(test_trained_again),
  };
  cmocka_set_test_filter(g_getenv("TEST_ONLY"));
  return cmocka_run_group_tests(tests, school_setup_group, school_teardown_group);
}
