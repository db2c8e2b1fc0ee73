/* The dialects that are served, and what they share. */
#pragma once
#include "api/http/http.h"

extern const Dialect
    dialect_viggle; /* api/viggle/viggle.c: /api/characters, /api/scenes, /api/render, /api/credits */
extern const Dialect dialect_viggle_v1; /* api/viggle/viggle_v1.c: /v1/… */
extern const Dialect dialect_vicsee;    /* api/vicsee/vicsee.c: /api/v1/… */
extern const Dialect dialect_prism;     /* api/prism/prism.c: /api/characters (POST; GET with its keys),
                                           /api/templates, /api/generations, /api/s3, /api/assets */
extern const Dialect dialect_own; /* api/own.c: /files, /api/jobs/{id}/events, /healthz, /readyz, /metrics,
                                     /openapi.json, /docs */

/* All of them, NULL at the end; the first answers for paths that no prefix fits. */
extern const Dialect *const dialects[];

/* The object that a GET of the job's subject gives in the dialect in which it was made, as text (transfer
 * full): the body of a webhook. */
char *dialect_job_body(App *app, const Job *job, gpointer user);
