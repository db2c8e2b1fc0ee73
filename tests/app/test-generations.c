/* Characters of several pictures, and generations as operations: what is refused, reserved, drawn with, found
 * again and published. The worker here only ends jobs. */
#include "school.h"

#include "../must.h"
#include "app/jobs/sweep.h"
#include "app/making/generations.h"

#include <math.h>

/* ---- Characters of several pictures ---- */

static void test_chosen_picture(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  InputSource *sources = school_urls(3);
  gint64 price;
  g_autoptr(CharacterRow) row = NULL;
  CharacterRequest request = {
      .name = "Ada", .image = sources[0], .more = sources + 1, .more_count = 2, .free = TRUE};
  must(character_create(company->app, company->caller, &request, &row, &price, &error));
  assert_int_equal(price, 0);
  assert_int_equal(json_array_size(row->pictures), 3);
  assert_null(row->report);
  g_autoptr(Job) job = school_claim(company, "V4_Preview");
  gboolean held;
  json_auto_t *report =
      json_pack("[{s:s}, {s:s}, {s:s}]", "verdict", "replace", "verdict", "usable", "verdict", "good");
  must(character_inspected(company->app, job, report, 2, &error));
  g_autoptr(CharacterRow) seen = character_get(company->app, company->caller->account, row->id, &error);
  assert_int_equal(json_array_size(seen->report), 3);
  assert_string_equal(seen->status, "processing");
  json_auto_t *objects = json_pack("{s:s, s:s}", "folder", SCHOOL_LORA, "picture", SCHOOL_IMAGE);
  must(job_complete(company->app, job, NULL, objects, 0, &held, &error) && held);
  g_autoptr(CharacterRow) ready = character_get(company->app, company->caller->account, row->id, &error);
  assert_string_equal(ready->status, "ready");
  assert_int_equal(ready->chosen, 2);
  assert_int_equal(json_array_size(ready->report), 3);
  assert_string_equal(ready->picture, SCHOOL_IMAGE);
  request.more_count = 30;
  assert_false(character_create(company->app, company->caller, &request, &row, &price, &error));
  company_expect(&error, REFUSAL_PICTURES_MANY, "31");
  school_urls_free(sources, 3);
}

/* Rows of the time when a Character had one picture. */
static void test_old_rows(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = company_character(company);
  {
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
    must(session_run(session, &error, "UPDATE characters SET pictures = NULL") &&
         session_run(session, &error, "DELETE FROM holds WHERE role = 'picture-0'") &&
         session_commit(session, &error));
  }
  g_autoptr(CharacterRow) row = character_get(company->app, company->caller->account, id, &error);
  must(row);
  assert_int_equal(json_array_size(row->pictures), 1);
  assert_string_equal(json_string_value(json_array_get(row->pictures, 0)), row->picture);
}

static void test_published_characters(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = company_character(company);
  gint64 total;
  for (int published = 0; published < 2; published++) {
    must(character_publish(company->app, company->caller->account, id, published, &error));
    g_autoptr(Session) session = database_begin(company->app->database, DATABASE_READ, &error);
    g_autoptr(CharacterRow) theirs = character_usable(session, "another", id, &error);
    assert_int_equal(theirs != NULL, published);
    g_clear_error(&error);
    g_autoptr(GPtrArray) all = character_list(company->app, "another", "AD", TRUE, 5, 0, &total, &error);
    assert_int_equal(total, published);
    g_autoptr(GPtrArray) own = character_list(company->app, "another", NULL, FALSE, 5, 0, &total, &error);
    assert_int_equal(own->len, 0);
  }
  assert_false(character_publish(company->app, "another", id, FALSE, &error));
  company_expect(&error, REFUSAL_CHARACTER, id);
}

/* ---- generations ---- */

static char *trained(Company *company) {
  g_autoptr(CharacterRow) row = school_character(company, 10);
  g_autoptr(Job) job = school_claim(company, POOL_IDENTITY);
  g_autofree char *lora = school_put(company, "a LoRA");
  school_finish(company, job, lora);
  return g_strdup(row->id);
}

static GenerationRequest wish(const char *prompt) {
  return (GenerationRequest){.prompt = prompt, .count = 1, .seed = -1, .strength = 1};
}

static void generation_refused(Company *company, const GenerationRequest *request, Refusal why,
                               const char *word) {
  GError *error = NULL;
  gint64 price, jobs = company_count(company, "jobs"), balance = company_balance(company);
  Job *job = NULL;
  assert_false(generation_create(company->app, company->caller, request, &job, &price, &error));
  company_expect(&error, why, word);
  assert_null(job);
  assert_int_equal(company_count(company, "jobs"), jobs);
  assert_int_equal(company_balance(company), balance);
  assert_int_equal(company_drafts(company), 0);
}

static void test_refused_generations(void **state) {
  Company *company = *state;
  g_autoptr(CharacterRow) row = school_character(company, 10);
  GenerationRequest request = wish(NULL);
  request.aspect = "17:2";
  request.count = 5;
  request.character_id = "nobody";
  generation_refused(company, &request, REFUSAL_PROMPT, "prompt");
  request.prompt = " \n\t ";
  generation_refused(company, &request, REFUSAL_PROMPT, "empty");
  g_autofree char *endless = g_strnfill(GENERATION_PROMPT_MAX + 1, 'a');
  request.prompt = endless;
  generation_refused(company, &request, REFUSAL_PROMPT, "5001");
  request.prompt = "in a park";
  generation_refused(company, &request, REFUSAL_ASPECT, "17:2");
  request.aspect = "21:9";
  generation_refused(company, &request, REFUSAL_INVALID, "5");
  request.count = 4;
  request.strength = 3;
  generation_refused(company, &request, REFUSAL_INVALID, "strength");
  request.strength = NAN;
  generation_refused(company, &request, REFUSAL_INVALID, "strength");
  request.strength = 1;
  generation_refused(company, &request, REFUSAL_CHARACTER, "nobody");
  request.character_id = row->id;
  request.model = "nosuch";
  generation_refused(company, &request, REFUSAL_NOT_TRAINED, row->id);
  request.character_id = NULL;
  generation_refused(company, &request, REFUSAL_MODEL, "nosuch");
}

static Job *drawn(Company *company, const GenerationRequest *request) {
  g_autoptr(GError) error = NULL;
  gint64 price;
  g_autoptr(Job) job = NULL;
  must(generation_create(company->app, company->caller, request, &job, &price, &error));
  assert_int_equal(price, request->count * GENERATION_PRICE);
  Job *claimed = school_claim(company, POOL_IDENTITY);
  assert_string_equal(claimed->id, job->id);
  gboolean held;
  g_autofree char *image = school_put(company, claimed->id);
  json_auto_t *result = json_pack("{s:[s], s:I}", "images", image, "seed", (json_int_t)1);
  json_auto_t *objects = json_pack("{s:s}", "image-0", image);
  must(job_complete(company->app, claimed, result, objects, price, &held, &error) && held);
  return claimed;
}

static void test_generation(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  g_autofree char *id = trained(company);
  gint64 before = company_balance(company);
  GenerationRequest request = wish("in a\npark");
  request.character_id = id;
  request.count = 2;
  g_autoptr(Job) job = drawn(company, &request);
  assert_true(g_str_has_prefix(job->id, "task_"));
  assert_string_equal(job->prompt, "in a park");
  assert_string_equal(json_string_value(json_object_get(job->spec, "model")), "sprite");
  assert_non_null(json_object_get(job->spec, "lora"));
  assert_true(json_integer_value(json_object_get(job->spec, "seed")) >= 0);
  assert_int_equal(company_balance(company), before - 2 * GENERATION_PRICE);
  g_autofree char *image = school_held(company, job->id, "image-0");
  assert_non_null(image);

  /* One that fails costs nothing. */
  g_autoptr(Job) failing = NULL;
  gint64 price;
  gboolean held;
  must(generation_create(company->app, company->caller, &request, &failing, &price, &error));
  g_autoptr(Job) claimed = school_claim(company, POOL_IDENTITY);
  must(job_fail(company->app, claimed, REFUSAL_MODEL, "It does not fit.", &held, &error));
  assert_int_equal(company_balance(company), before - 2 * GENERATION_PRICE);
  school_books(company);
}

static void run(Company *company, const char *sql) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  must(session && session_run(session, &error, sql) && session_commit(session, &error));
}

static gint64 found(Company *company, const WorkQuery *query) {
  g_autoptr(GError) error = NULL;
  gint64 total = -1;
  g_autoptr(GPtrArray) jobs = work_search(company->app, query, &total, &error);
  must(jobs);
  assert_int_equal(jobs->len, MIN(total, query->limit));
  return total;
}

static void test_works(void **state) {
  g_autoptr(GError) error = NULL;
  Company *company = *state;
  const char *account = company->caller->account;
  GenerationRequest park = wish("A 100% green PARK"), sea = wish("the sea");
  sea.title = "Holidays";
  g_autoptr(Job) first = drawn(company, &park);
  g_autoptr(Job) second = drawn(company, &sea);
  WorkQuery query = {.account = account, .kinds = WORK_RENDERS | WORK_GENERATIONS, .limit = 10};
  assert_int_equal(found(company, &query), 2);
  query.q = "park";
  assert_int_equal(found(company, &query), 1);
  query.q = "0%";
  assert_int_equal(found(company, &query), 1);
  query.q = "%";
  assert_int_equal(found(company, &query), 1);
  query.q = "holi";
  assert_int_equal(found(company, &query), 1);
  query = (WorkQuery){.account = "another", .kinds = WORK_GENERATIONS, .limit = 10};
  assert_int_equal(found(company, &query), 0);
  query = (WorkQuery){.account = account, .kinds = WORK_RENDERS, .limit = 10};
  assert_int_equal(found(company, &query), 0);

  /* Published to everybody, and then not gone with time. */
  query = (WorkQuery){.kinds = WORK_GENERATIONS, .published = TRUE, .complete = TRUE, .limit = 1};
  assert_int_equal(found(company, &query), 0);
  assert_false(work_publish(company->app, "another", first->id, TRUE, &error));
  company_expect(&error, REFUSAL_NOT_FOUND, "job");
  must(work_publish(company->app, account, first->id, TRUE, &error));
  must(work_publish(company->app, account, first->id, TRUE, &error));
  assert_int_equal(found(company, &query), 1);
  run(company, "UPDATE jobs SET expires = 1 WHERE expires IS NOT NULL");
  must(sweep(company->app, &error) >= 0);
  g_autofree char *kept = school_held(company, first->id, "image-0"),
                  *gone = school_held(company, second->id, "image-0");
  assert_non_null(kept);
  assert_null(gone);
  assert_false(work_publish(company->app, account, second->id, TRUE, &error));
  company_expect(&error, REFUSAL_CONFLICT, "no longer");
  query = (WorkQuery){.account = account, .kinds = WORK_GENERATIONS, .complete = TRUE, .limit = 10};
  assert_int_equal(found(company, &query), 1);
  must(work_publish(company->app, account, first->id, FALSE, &error));
  run(company, "UPDATE jobs SET expires = 1 WHERE expires IS NOT NULL");
  must(sweep(company->app, &error) >= 0);
  g_autofree char *then = school_held(company, first->id, "image-0");
  assert_null(then);
  g_autoptr(CharacterRow) row = school_character(company, 10);
  assert_false(work_publish(company->app, account, row->training, TRUE, &error));
  company_expect(&error, REFUSAL_CONFLICT, "training");
}

static void test_models(void **state) {
  Company *company = *state;
  const json_t *list = generation_models(company->app), *usual = json_array_get(list, 0);
  assert_int_equal(json_array_size(list), 2);
  assert_string_equal(json_string_value(json_object_get(usual, "id")), "sprite");
  assert_true(json_is_true(json_object_get(usual, "trainable")));
  assert_ptr_equal(generation_models(company->app), list);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, school_setup, company_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_chosen_picture),
      TEST(test_old_rows),
      TEST(test_published_characters),
      TEST(test_refused_generations),
      TEST(test_generation),
      TEST(test_works),
      TEST(test_models),
  };
  cmocka_set_test_filter(g_getenv("TEST_ONLY"));
  return cmocka_run_group_tests(tests, school_setup_group, school_teardown_group);
}
