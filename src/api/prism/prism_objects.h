/* Prism's objects: what its answers look like. */
#pragma once
#include "api/shapes.h"
#include "app/jobs/latency.h"
#include "app/templates/templates.h"

/* What Prism calls a refusal; codes and statuses are facts of that API. */
extern const ErrorRow prism_errors[];
json_t *prism_error_body(const Request *request, const ErrorRow *row, const char *message);

/* {"data": […], "pagination": {…}}; takes data. */
Answer *prism_list(json_t *data, int limit, int offset, gint64 total);

json_t *prism_character(const CharacterRow *row);
json_t *prism_template(App *app, const TemplateRow *row);
json_t *prism_generation(App *app, const Job *job);
/* The answer to whatever starts generations: of a template, or (NULL) directly. latency may be NULL. */
json_t *prism_started(GPtrArray *jobs, const char *template_id, gint64 price, const Latency *latency);
/* A row of a search. community: as a published work, else as one of the account's own. */
json_t *prism_asset(App *app, const Job *job, gboolean community);

/* The object of a job's subject, for webhooks; NULL with *error. */
json_t *prism_job_object(App *app, const Job *job, GError **error);
