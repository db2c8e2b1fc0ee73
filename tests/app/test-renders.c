/* Renders: which requests are refused and why, what the others cost, and what they ask of the worker. */
#include "company.h"

#include <string.h>

typedef struct {
  Job *job;
  gint64 price;
  const char *mode;
} Outcome;

static Outcome create(Company *company, const RenderRequest *request, GError **error) {
  Outcome outcome = {0};
  gboolean done = render_create(company->app, company->caller, request, &outcome.job, &outcome.price,
                                &outcome.mode, error);
  assert_true(done ? *error == NULL : *error != NULL && !outcome.job);
  return outcome;
}

static void refused(Company *company, const RenderRequest *request, Refusal why, const char *word) {
  GError *error = NULL;
  gint64 balance = company_balance(company), jobs = company_count(company, "jobs"),
         holds = company_count(company, "holds");
  create(company, request, &error);
  company_expect(&error, why, word);
  assert_int_equal(company_balance(company), balance);
  assert_int_equal(company_count(company, "jobs"), jobs);
  assert_int_equal(company_count(company, "holds"), holds);
}

static Outcome accepted(Company *company, const RenderRequest *request) {
  GError *error = NULL;
  gint64 balance = company_balance(company);
  Outcome outcome = create(company, request, &error);
  if (error)
    fail_msg("%s", error->message);
  assert_int_equal(company_balance(company), balance - (request->dry_run ? 0 : outcome.price));
  return outcome;
}

static InputSource none(const char *field) {
  return (InputSource){.field = field};
}

static RenderRequest empty(void) {
  return (RenderRequest){
      .ref_image = none("ref_image"), .driving_video = none("driving_video"), .audio = TRUE};
}

static void forget(RenderRequest *request) {
  g_free((char *)request->ref_image.path);
  g_free((char *)request->driving_video.path);
}

static const char *spec(const Outcome *outcome, const char *key) {
  return json_string_value(json_object_get(outcome->job->spec, key));
}

/* --- arithmetic --- */

static void test_price(void **state) {
  assert_int_equal(render_price(6.67, FALSE), 667);
  assert_int_equal(render_price(6.67, TRUE), 1334);
  assert_int_equal(render_price(6.675, FALSE), 668); /* half up, though no double is 6.675 */
  assert_int_equal(render_price(6.6749, FALSE), 667);
  assert_int_equal(render_price(300, FALSE), 30000);
  assert_int_equal(render_price(0.001, FALSE), 1);
}

static void test_colour(void **state) {
  int colour[3];
  assert_true(render_colour("0,128,255", colour));
  assert_int_equal(colour[1], 128);
  assert_int_equal(colour[2], 255);
  assert_true(render_colour(" 1, 2 ,3", colour));
  const char *const wrong[] = {"",      "1,2",  "1,2,3,4", "256,0,0", "-1,0,0",
                               "a,b,c", "1,,2", "1.5,2,3", "0x1,2,3", "#fff"};
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
    assert_false(render_colour(wrong[i], colour));
}

static void test_text(void **state) {
  GError *error = NULL;
  g_autofree char *trimmed = input_text("name", "  \xc3\x84\xe3\x81\x82 b\xe3\x80\x80 ", 1, 100, &error);
  assert_string_equal(trimmed, "\xc3\x84\xe3\x81\x82 b");
  assert_null(input_text("name", " \t ", 1, 100, &error));
  company_expect(&error, REFUSAL_INVALID, "name");
  assert_null(input_text("name", "a\nb", 1, 100, &error));
  company_expect(&error, REFUSAL_INVALID, "control");
  assert_null(input_text("name", "a\xff", 1, 100, &error));
  company_expect(&error, REFUSAL_INVALID, "UTF-8");
  g_autofree char *long_name = g_strnfill(101, 'x');
  assert_null(input_text("name", long_name, 1, 100, &error));
  company_expect(&error, REFUSAL_INVALID, "101");
  long_name[100] = '\0';
  g_autofree char *fits = input_text("name", long_name, 1, 100, &error);
  assert_non_null(fits);
}

/* --- combinations --- */

static void test_missing(void **state) {
  Company *company = *state;
  RenderRequest request = empty();
  refused(company, &request, REFUSAL_PICTURE_MISSING, "ref_image");
  request.scene_id = "nothing";
  refused(company, &request, REFUSAL_PICTURE_MISSING, "ref_image");
  request.scene_id = ""; /* an empty field of a form is no field */
  request.character_id = "nobody";
  refused(company, &request, REFUSAL_VIDEO_MISSING, "driving_video");
  request.scene_id = "nothing";
  refused(company, &request, REFUSAL_CHARACTER, "nobody");
}

static void test_on_demand(void **state) {
  Company *company = *state;
  RenderRequest request = empty();
  request.ref_image = company_picture(company, "ref_image");
  request.driving_video = company_clip(company, "driving_video");
  Outcome outcome = accepted(company, &request);
  assert_string_equal(outcome.mode, "full_pipeline");
  assert_int_equal(outcome.price, 150);
  assert_string_equal(outcome.job->pool, "V4_Preview");
  assert_true(g_str_has_prefix(outcome.job->id, "job_"));
  assert_non_null(spec(&outcome, "picture"));
  assert_non_null(spec(&outcome, "video"));
  assert_string_equal(spec(&outcome, "background"), "original");
  assert_int_equal(company_count(company, "holds"), 2);
  assert_int_equal(company_drafts(company), 0);
  job_free(outcome.job);
  forget(&request);
}

static void test_dry_run(void **state) {
  Company *company = *state;
  RenderRequest request = empty();
  request.ref_image = company_picture(company, "ref_image");
  request.driving_video = company_clip(company, "driving_video");
  request.fast = request.dry_run = TRUE;
  request.model = "V3_Preview";
  Outcome outcome = accepted(company, &request);
  assert_null(outcome.job);
  assert_int_equal(outcome.price, 300);
  assert_string_equal(outcome.mode, "fast");
  assert_int_equal(company_count(company, "jobs"), 0);
  assert_int_equal(company_drafts(company), 0);
  forget(&request);
}

static void test_prepared(void **state) {
  Company *company = *state;
  g_autofree char *character = company_character(company), *scene = company_scene(company, NULL, "solid");
  RenderRequest request = empty();
  request.character_id = character;
  request.scene_id = scene;
  Outcome outcome = accepted(company, &request);
  assert_string_equal(outcome.mode, "preprocessed");
  assert_int_equal(outcome.price, 668);
  assert_string_equal(spec(&outcome, "character"), character);
  assert_string_equal(spec(&outcome, "scene"), scene);
  assert_string_equal(spec(&outcome, "background"), "solid"); /* the scene's own */
  assert_int_equal(json_integer_value(json_array_get(json_object_get(outcome.job->spec, "colour"), 0)), 255);
  job_free(outcome.job);

  request.background_mode = "inpaint";
  request.fast = TRUE;
  outcome = accepted(company, &request);
  assert_string_equal(outcome.mode, "fast");
  assert_int_equal(outcome.price, 1336);
  assert_true(outcome.job->priority > 0);
  assert_string_equal(spec(&outcome, "background"), "original");
  job_free(outcome.job);
}

static void test_mixed(void **state) {
  Company *company = *state;
  g_autofree char *character = company_character(company),
                  *scene = company_scene(company, "V3_Preview", NULL);
  RenderRequest request = empty();
  request.ref_image = company_picture(company, "ref_image");
  request.scene_id = scene;
  Outcome outcome = accepted(company, &request);
  assert_string_equal(outcome.mode, "full_pipeline");
  assert_string_equal(outcome.job->pool, "V3_Preview"); /* the scene's, unasked */
  job_free(outcome.job);
  forget(&request);

  request = empty();
  request.character_id = character;
  request.driving_video = company_clip(company, "driving_video");
  outcome = accepted(company, &request);
  assert_string_equal(outcome.mode, "full_pipeline");
  assert_int_equal(outcome.price, 150);
  job_free(outcome.job);
  forget(&request);
}

static void test_too_many(void **state) {
  Company *company = *state;
  RenderRequest request = empty();
  request.ref_image.url = "http://example.com/a.png";
  request.character_id = "a";
  request.scene_id = "b";
  refused(company, &request, REFUSAL_INVALID, "only one of ref_image, character_id");
  request.character_id = NULL;
  request.driving_video.url = "http://example.com/a.mp4";
  refused(company, &request, REFUSAL_INVALID, "only one of driving_video and scene_id");
  request.scene_id = NULL;
  request.ref_image = none("ref_image");
  request.character_mapping = "{\"person_1\": \"a\"}";
  refused(company, &request, REFUSAL_INVALID, "character_mapping needs scene_id");
}

/* --- several characters --- */

static void test_mapping(void **state) {
  Company *company = *state;
  g_autofree char *character = company_character(company), *scene = company_scene(company, NULL, NULL);
  g_autofree char *first = company_segment(company, scene, 0), *second = company_segment(company, scene, 1);
  g_autofree char *both =
      g_strdup_printf("{\"%s\": \"%s\", \"%s\": \"%s\"}", first, character, second, character);
  RenderRequest request = empty();
  request.scene_id = scene;
  request.character_mapping = both;
  Outcome outcome = accepted(company, &request);
  assert_string_equal(outcome.mode, "multi_character");
  assert_int_equal(outcome.price, 668); /* not by head */
  const json_t *roles = json_object_get(outcome.job->spec, "roles");
  assert_int_equal(json_array_size(roles), 2);
  assert_int_equal(json_integer_value(json_object_get(json_array_get(roles, 0), "person")), 2);
  assert_int_equal(json_integer_value(json_object_get(json_array_get(roles, 1), "person")), 1);
  job_free(outcome.job);
}

static void test_mapping_refused(void **state) {
  Company *company = *state;
  g_autofree char *scene = company_scene(company, NULL, NULL), *segment = company_segment(company, scene, 0);
  g_autofree char *unknown_character = g_strdup_printf("{\"%s\": \"nobody\"}", segment);
  g_autofree char *twice = g_strdup_printf("{\"%s\": \"a\", \"%s\": \"b\"}", segment, segment);
  g_autofree char *number = g_strdup_printf("{\"%s\": 7}", segment);
  const struct {
    const char *mapping;
    Refusal why;
    const char *word;
  } cases[] = {
      {"{", REFUSAL_MAPPING, "JSON"},           {"person_1=a", REFUSAL_MAPPING, "JSON"},
      {"[]", REFUSAL_INVALID, "object"},        {"7", REFUSAL_INVALID, "object"},
      {"{}", REFUSAL_INVALID, "at least one"},  {"{\"person_0\": \"a\"}", REFUSAL_INVALID, "person_0"},
      {number, REFUSAL_INVALID, segment},       {unknown_character, REFUSAL_CHARACTER, "nobody"},
      {twice, REFUSAL_INVALID, "same segment"},
  };
  RenderRequest request = empty();
  request.scene_id = scene;
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    request.character_mapping = cases[i].mapping;
    refused(company, &request, cases[i].why, cases[i].word);
  }
}

/* --- models, backgrounds, fast --- */

static void test_looks(void **state) {
  Company *company = *state;
  g_autofree char *character = company_character(company),
                  *scene = company_scene(company, "V3_Preview", NULL);
  RenderRequest request = empty();
  request.character_id = character;
  request.scene_id = scene;
  request.model = "V4_Preview";
  refused(company, &request, REFUSAL_MODEL, "V3_Preview");
  request.model = "V5";
  refused(company, &request, REFUSAL_MODEL, "V5");
  request.model = "V3_Preview";
  request.background_mode = "beach";
  refused(company, &request, REFUSAL_BACKGROUND, "beach");
  request.background_mode = NULL;
  request.bg_color = "0,255,0";
  refused(company, &request, REFUSAL_INVALID, "bg_color");
  request.background_mode = "solid";
  request.bg_color = "0,255";
  refused(company, &request, REFUSAL_INVALID, "bg_color");
  request.bg_color = "0,255,0";
  Outcome outcome = accepted(company, &request);
  assert_int_equal(json_integer_value(json_array_get(json_object_get(outcome.job->spec, "colour"), 1)), 255);
  job_free(outcome.job);
  company->settings->fast = FALSE;
  request.fast = TRUE;
  refused(company, &request, REFUSAL_FAST, "fast");
}

/* --- readiness and ownership --- */

static void test_not_ready(void **state) {
  Company *company = *state;
  GError *error = NULL;
  gint64 price;
  g_autofree char *scene = company_scene(company, NULL, NULL), *ready = company_character(company);
  g_autoptr(CharacterRow) character = NULL;
  CharacterRequest make = {.name = "Bo", .image = company_picture(company, "image")};
  assert_true(character_create(company->app, company->caller, &make, &character, &price, &error));
  assert_string_equal(character->status, "pending");
  g_autoptr(SceneRow) pending = NULL;
  SceneRequest film = {.name = "Walk", .video = company_clip(company, "video")};
  assert_true(scene_create(company->app, company->caller, &film, &pending, &error));

  RenderRequest request = empty();
  request.character_id = character->id;
  request.scene_id = scene;
  refused(company, &request, REFUSAL_CHARACTER_NOT_READY, "pending");
  request.character_id = ready;
  request.scene_id = pending->id;
  refused(company, &request, REFUSAL_SCENE_NOT_READY, "pending");
  request.scene_id = "other";
  refused(company, &request, REFUSAL_SCENE, "other");
  Caller stranger = {.account = "somebody", .dialect = "viggle"};
  assert_null(scene_get(company->app, stranger.account, scene, &error));
  company_expect(&error, REFUSAL_SCENE, scene);
  g_free((char *)make.image.path);
  g_free((char *)film.video.path);
}

static void test_credits(void **state) {
  Company *company = *state;
  GError *error = NULL;
  g_autofree char *character = company_character(company), *scene = company_scene(company, NULL, NULL);
  g_autoptr(Session) session = database_begin(company->app->database, DATABASE_WRITE, &error);
  assert_true(
      ledger_reserve(session, company->caller->account, "other", company_balance(company) - 667, &error));
  assert_true(session_commit(session, &error));
  g_clear_pointer(&session, session_free);
  RenderRequest request = empty();
  request.character_id = character;
  request.scene_id = scene;
  refused(company, &request, REFUSAL_CREDITS, "6.68");
  request.scene_id = NULL; /* a clip of 1.5 s can be paid */
  request.driving_video = company_clip(company, "driving_video");
  Outcome outcome = accepted(company, &request);
  job_free(outcome.job);
  forget(&request);
}

/* What a render needs stays after its character is deleted; what nobody needs goes. */
static void test_deleted(void **state) {
  Company *company = *state;
  GError *error = NULL;
  g_autofree char *character = company_character(company), *scene = company_scene(company, NULL, NULL);
  RenderRequest request = empty();
  request.character_id = character;
  request.scene_id = scene;
  Outcome outcome = accepted(company, &request);
  assert_true(character_delete(company->app, company->caller->account, character, &error));
  assert_true(scene_delete(company->app, company->caller->account, scene, &error));
  assert_int_equal(company_count(company, "holds"), 2);
  refused(company, &request, REFUSAL_CHARACTER, character);
  assert_false(character_delete(company->app, company->caller->account, character, &error));
  company_expect(&error, REFUSAL_CHARACTER, character);
  g_autoptr(Job) cancelled = job_cancel(company->app, outcome.job->id, company->caller->account, &error);
  assert_non_null(cancelled);
  assert_int_equal(company_count(company, "holds"), 0);
  assert_int_equal(company_balance(company), COMPANY_CREDITS - CHARACTER_PRICE);
  job_free(outcome.job);
}

#define WITH_COMPANY(test) cmocka_unit_test_setup_teardown(test, company_setup, company_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_price), cmocka_unit_test(test_colour),      cmocka_unit_test(test_text),
      WITH_COMPANY(test_missing),   WITH_COMPANY(test_on_demand),       WITH_COMPANY(test_dry_run),
      WITH_COMPANY(test_prepared),  WITH_COMPANY(test_mixed),           WITH_COMPANY(test_too_many),
      WITH_COMPANY(test_mapping),   WITH_COMPANY(test_mapping_refused), WITH_COMPANY(test_looks),
      WITH_COMPANY(test_not_ready), WITH_COMPANY(test_credits),         WITH_COMPANY(test_deleted),
  };
  return cmocka_run_group_tests_name("app renders", tests, NULL, NULL);
}
