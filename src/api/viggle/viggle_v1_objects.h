/* The objects of Viggle's newer generation, /v1. */
#pragma once
#include "api/shapes.h"
#include "app/accounts/accounts.h"

extern const ErrorRow viggle_v1_errors[];
json_t *viggle_v1_error_body(const Request *request, const ErrorRow *row, const char *message);

json_t *viggle_v1_character(const App *app, const CharacterRow *row);
json_t *viggle_v1_motion(const App *app, const SceneRow *row);
/* Of renders and videos alike. */
json_t *viggle_v1_render(const App *app, const Job *job);

#define VIGGLE_V1_LINK_SECONDS 3600

/* The object of a job's subject as a GET in this dialect gives it; NULL with *error. */
json_t *viggle_v1_job_object(App *app, const Job *job, GError **error);
