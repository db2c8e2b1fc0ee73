/* The values that the objects of several dialects are made of. */
#pragma once
#include "api/http/http.h"
#include "app/making/characters.h"
#include "app/making/renders.h"
#include "app/making/scenes.h"

json_t *shape_text(const char *text);     /* null for NULL; valid UTF-8 whatever comes */
json_t *shape_time(gint64 milliseconds);  /* ISO 8601 with Z; null for 0 */
json_t *shape_number(double value);       /* to 1/1000; without a point where it is whole */
json_t *shape_credits(gint64 hundredths); /* 667 -> 6.67, 100 -> 1; null for less than 0 */
/* A signed link to an object (or a file inside), good for at least `seconds`; null for no object. The same
 * for all of an hour, so that an answer made of it can be kept. */
json_t *shape_link(const App *app, const char *object, const char *inside, const char *name, gint64 seconds);
/* Results' links in Viggle and VicSee. */
gint64 shape_link_seconds(const App *app);
/* thumb.webp of a Character's or Scene's folder; null before there is one. */
json_t *shape_thumbnail(const App *app, const char *folder, gint64 seconds);

/* The object of a Render's result by role ("video", "mask"): NULL when it has none (any more). */
const char *shape_result(const Job *job, const char *role);
/* "job_…-mask.mp4" */
json_t *shape_result_link(const App *app, const Job *job, const char *role, gint64 seconds);

/* [{"uuid", "type"}] and ["uuid"] of a Scene. */
json_t *shape_segments(const SceneRow *scene);
json_t *shape_segment_names(const SceneRow *scene);

/* Ids of Characters as /v1 writes them, "char_" and the UUID; every dialect reads both forms. */
json_t *shape_character_id(const char *id);
const char *shape_plain_character(const char *id);

/* A job of any kind as Troupe itself shows it. */
json_t *shape_job(const Job *job);

/* The price that a dry run found. */
Answer *shape_dry_run(gint64 price, const char *mode);

/* One row of a dialect's table of errors. */
const ErrorRow *shape_error_row(const ErrorRow *rows, Refusal why);
/* Why a job or its subject failed: the row by the name in the tables. */
const ErrorRow *shape_failure(const ErrorRow *rows, const char *name);

/* What stands for a subject that could not be read: where it was deleted, an object that says so (and *error
 * is cleared); NULL otherwise. */
json_t *shape_deleted(const Job *job, GError **error);

/* What a request to import a Template asks for; *row stays NULL for a dry run. */
gboolean shape_import(Request *request, SceneRow **row, GError **error);
