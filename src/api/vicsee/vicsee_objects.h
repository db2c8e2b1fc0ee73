/* What VicSee's API says, in its own words: its codes, its Characters, its tasks. */
#pragma once
#include "api/shapes.h"
#include "app/making/generations.h"
#include "app/making/trainings.h"

extern const ErrorRow vicsee_errors[];
json_t *vicsee_error_body(const Request *request, const ErrorRow *row, const char *message);
/* {"success": true, "data": …}; takes data. */
json_t *vicsee_success(json_t *data);
/* Whole credits, as every number of that API. */
json_t *vicsee_credits(gint64 hundredths);

/* training NULL: it was never trained. */
json_t *vicsee_character(const App *app, const CharacterRow *row, const TrainingRow *training);
/* What making or training one answers with. */
json_t *vicsee_character_started(const CharacterRow *row, const TrainingRow *training, gint64 price);
/* Generations and Renders are its tasks. */
gboolean vicsee_is_task(const Job *job);
json_t *vicsee_task(const App *app, const Job *job);
/* [{"url"}] of a Generation's images; empty where there are none (any more). */
json_t *vicsee_images(const App *app, const Job *job);
/* One of what a task made (index: of its images), and the name it is saved under (transfer full); NULL when
 * there is none. */
const char *vicsee_result(const Job *job, gsize index, char **name);
json_t *vicsee_job_object(App *app, const Job *job, GError **error);
