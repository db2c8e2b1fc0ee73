/* Viggle's objects: what its answers look like. */
#pragma once
#include "api/shapes.h"
#include "app/accounts/accounts.h"

/* What Viggle calls a refusal; the codes and statuses are facts of that API. */
extern const ErrorRow viggle_errors[];
json_t *viggle_error_body(const Request *request, const ErrorRow *row, const char *message);

json_t *viggle_character(const App *app, const CharacterRow *row);
json_t *viggle_character_item(const CharacterRow *row);                  /* in a list */
json_t *viggle_character_started(const CharacterRow *row, gint64 price); /* answer to a create */
json_t *viggle_scene(const App *app, const SceneRow *row);
json_t *viggle_scene_item(const SceneRow *row);
json_t *viggle_scene_started(const SceneRow *row);
json_t *viggle_scene_imported(const SceneRow *row);
json_t *viggle_render(const App *app, const Job *job);
json_t *viggle_render_started(const Job *job);
json_t *viggle_credits(const Balance *balance);

/* The object of a job's subject as a GET in this dialect gives it; NULL with *error. */
json_t *viggle_job_object(App *app, const Job *job, GError **error);
